"""Plain NumPy as a careful user writes it: matrix products, no loop over units, no copy that is not needed.

In float64 it is also the referee's reference.
"""

from __future__ import annotations

import numpy as np

from peers.data import Parameters, Samples
from peers.jobs import Prediction, Training


def forward(
    X: np.ndarray, weights: list[np.ndarray], biases: list[np.ndarray], activation: str, output: str
) -> list[np.ndarray]:
    """Inputs and activations of all layers, (n, units) each."""
    levels = [X]
    for layer, (W, b) in enumerate(zip(weights, biases, strict=True)):
        z = levels[-1] @ W
        z += b
        _link(z, activation if layer < len(weights) - 1 else output)
        levels.append(z)
    return levels


def _link(z: np.ndarray, name: str) -> None:
    """Apply an activation or output in place."""
    if name == "relu":
        np.maximum(z, 0, out=z)
    elif name == "logistic":
        np.negative(z, out=z)
        np.exp(z, out=z)
        z += 1
        np.reciprocal(z, out=z)
    elif name == "softmax":
        z -= z.max(axis=1, keepdims=True)
        np.exp(z, out=z)
        z /= z.sum(axis=1, keepdims=True)
    else:
        raise ValueError(f"no such activation or output here: {name!r}")


class Trains:
    """Threads are those of the BLAS that NumPy was built with."""

    def __init__(self, job: Training, n_threads: int) -> None:
        self.job = job

    def begin(self, samples: Samples, parameters: Parameters) -> None:
        self.samples = samples
        self.targets = np.eye(self.job.sizes[-1], dtype=samples.X.dtype)[samples.y]
        self.weights = [W.astype(samples.X.dtype) for W in parameters[0]]
        self.biases = [b.astype(samples.X.dtype) for b in parameters[1]]
        self.velocities = [np.zeros_like(p) for p in (*self.weights, *self.biases)]

    def run(self) -> None:
        X, T, size = self.samples.X, self.targets, self.job.batch_size
        whole = not self.job.shuffle and size >= len(X)
        for order in self.samples.order:
            for start in range(0, len(X), size):
                rows = order[start : start + size]
                self._step(*((X, T) if whole else (X[rows], T[rows])))

    def _step(self, X: np.ndarray, T: np.ndarray) -> None:
        job, weights = self.job, self.weights
        levels = forward(X, weights, self.biases, job.activation, job.output)
        delta = levels[-1] - T
        if job.loss == "mse":
            delta *= levels[-1] * (1 - levels[-1])
        delta /= len(X)
        dWs, dbs = [], []
        for layer in reversed(range(len(weights))):
            a = levels[layer]
            dWs.append(a.T @ delta)
            dbs.append(delta.sum(axis=0))
            if layer:
                delta = delta @ weights[layer].T
                if job.activation == "relu":
                    delta *= a > 0
                else:
                    delta *= a * (1 - a)
        gradients = (*reversed(dWs), *reversed(dbs))
        for p, v, g in zip((*weights, *self.biases), self.velocities, gradients, strict=True):
            g *= job.rate
            if job.momentum:
                v *= job.momentum
                v -= g
                p += v
            else:
                p -= g

    def parameters(self) -> Parameters:
        return self.weights, self.biases


class Predicts:
    """The forward pass."""

    def __init__(self, job: Prediction, n_threads: int) -> None:
        self.job = job

    def begin(self, X: np.ndarray, parameters: Parameters) -> None:
        self.X, self.weights, self.biases = X, *parameters

    def run(self) -> np.ndarray:
        return forward(self.X, self.weights, self.biases, self.job.activation, self.job.output)[-1]
