"""FLOOR 4: the recipes' methods in plain NumPy, as people write them: what fastnn's time is compared with.

Given the same first weights and the same order of samples they compute the same numbers as fastnn.
"""

# Letters:  n samples in the mini-batch, I inputs and O outputs of a layer
#   W (I, O) weights   b (O,) biases   a (n, O) activations   delta (n, O) = d(loss)/dz

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

import fastnn


def logistic(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z))"""
    return 1.0 / (1.0 + np.exp(-z))


def softmax(z: np.ndarray) -> np.ndarray:
    """Rows of probabilities."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


# Each activation with its slope as a function of the activation
ACTIVATIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "logistic": (logistic, lambda a: a * (1.0 - a)),
    "tanh": (np.tanh, lambda a: 1.0 - a**2),
    "relu": (lambda z: np.maximum(z, 0.0), lambda a: a > 0.0),
}


def scaled(net: fastnn.MLP, X: np.ndarray) -> np.ndarray:
    """What the network sees of the samples X (n, inputs), in its precision."""
    scale = net.input_scale if net.input_scale is not None else 1 / 255 if X.dtype == np.uint8 else 1.0
    offset = 0.0 if net.input_offset is None else net.input_offset
    return ((X.astype(np.float64) - offset) * scale).astype(net.dtype)


def one_hot(y: np.ndarray, n_outputs: int, dtype: Any = np.float64) -> np.ndarray:
    """Rows (n, n_outputs) of 0 with a 1 for the class of each label 0 .. n_outputs - 1."""
    return np.eye(n_outputs, dtype=dtype)[y]


class MiniBatchNetwork:
    """What a trainer does, mini-batch by mini-batch, in matrices of the network's precision.

    It begins with the trainer's network's present weights and zero velocities, and leaves that network alone.
    """

    def __init__(self, trainer: fastnn.Trainer) -> None:
        self.net, self.trainer = trainer.net, trainer
        self.weights = [W.copy() for W in trainer.net.weights]
        self.biases = [b.copy() for b in trainer.net.biases]
        self.velocities = [(np.zeros_like(W), np.zeros_like(b)) for W, b in zip(self.weights, self.biases, strict=True)]
        self.dropout = trainer.dropout_of_levels()
        self.rng = np.random.default_rng(trainer.seed)

    def train(self, X: np.ndarray, Y: np.ndarray, rates: Iterable[float]) -> None:
        """Run an epoch for each of the `rates`; X is scaled already, Y (n, outputs) are rows of 0 and 1."""
        n, batch_size = len(X), self.trainer.batch_size
        for rate in rates:
            order = self.rng.permutation(n) if self.trainer.shuffle else None
            for start in range(0, n, batch_size):
                # a slice is a view, rows by their numbers are a copy
                rows: Any = slice(start, start + batch_size)
                if order is not None:
                    rows = order[rows]
                self.step(X[rows], Y[rows], rate)

    def step(self, X: np.ndarray, Y: np.ndarray, rate: float) -> None:
        """Update weights and biases by the gradients of one mini-batch."""
        masks = [self._mask((len(X), size), p) for size, p in zip(self.net.sizes, self.dropout, strict=False)]
        layers = self._forward(X, masks)
        gradients = self._backward(layers, masks, Y)
        trainer = self.trainer
        for i, (dW, db) in enumerate(gradients):
            W, b = self.weights[i], self.biases[i]
            if trainer.l2:
                dW += trainer.l2 * W
            if trainer.l1:
                dW += trainer.l1 * np.sign(W)
            if momentum := trainer.optimizer.momentum:
                vW, vb = self.velocities[i]
                vW *= momentum
                vb *= momentum
                dW, db = np.add(vW, dW, out=vW), np.add(vb, db, out=vb)
            W -= rate * dW
            b -= rate * db
            if trainer.max_norm is not None:
                W *= np.minimum(1.0, trainer.max_norm / np.sqrt((W**2).sum(axis=0)))

    def _forward(self, X: np.ndarray, masks: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        """Activations of all layers, inputs and outputs included; after dropout."""
        layers = [X if masks[0] is None else X * masks[0]]
        for name, W, b, mask in zip(self.net.activations, self.weights, self.biases, masks[1:], strict=False):
            a = ACTIVATIONS[name][0](layers[-1] @ W + b)
            layers.append(a if mask is None else a * mask)
        z = layers[-1] @ self.weights[-1] + self.biases[-1]
        layers.append(softmax(z) if self.net.output == "softmax" else logistic(z))
        return layers

    def _backward(
        self, layers: list[np.ndarray], masks: Sequence[np.ndarray | None], Y: np.ndarray
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Gradients of weights and biases, layer by layer."""
        outputs = layers[-1]
        delta = (outputs - Y) / len(Y)
        if self.trainer.loss == "mse":
            delta *= outputs * (1.0 - outputs)
        gradients = [(layers[-2].T @ delta, delta.sum(axis=0))]
        for i in reversed(range(len(self.net.activations))):
            a, mask = layers[i + 1], masks[i + 1]
            slope = ACTIVATIONS[self.net.activations[i]][1]
            # behind dropout: the slope of the activation that was there before, times the mask
            factor = slope(a) if mask is None else slope(a / np.where(mask > 0, mask, 1.0)) * mask
            delta = (delta @ self.weights[i + 1].T) * factor
            gradients.append((layers[i].T @ delta, delta.sum(axis=0)))
        return gradients[::-1]

    def _mask(self, shape: tuple[int, int], p: float) -> np.ndarray | None:
        if p == 0.0:
            return None
        return (self.rng.random(shape, np.float32) >= p).astype(self.net.dtype) / (1.0 - p)


def train_by_rows(weights: list[np.ndarray], X: np.ndarray, Y: np.ndarray, alpha: float) -> float:
    """Run one epoch of logistic layers with squared error, one row at a time, in NumPy vectors.

    Parameters
    ----------
    weights : list of arrays (inputs + 1, outputs)
        Changed in place; the last row is that of the bias unit.
    X, Y : arrays (n, inputs) and (n, outputs)
    alpha : float

    Returns
    -------
    float
        Half the squared error, as the rows came, mean.
    """
    cost = 0.0
    one = np.ones(1)
    for x, y in zip(X, Y, strict=True):
        layers = [np.concatenate([x, one])]
        for W in weights[:-1]:
            layers.append(np.concatenate([logistic(np.dot(layers[-1], W)), one]))
        layers.append(logistic(np.dot(layers[-1], weights[-1])))
        error = layers[-1] - y
        cost += 0.5 * np.sum(error**2)
        deltas = [error * layers[-1] * (1.0 - layers[-1])]
        for W, a in zip(weights[:0:-1], layers[-2:0:-1], strict=True):
            delta = np.dot(W, deltas[-1]) * a * (1.0 - a)
            deltas.append(delta[:-1])
        for W, a, delta in zip(weights, layers, deltas[::-1], strict=False):
            W -= alpha * np.outer(a, delta)
    return cost / len(X)


def train_by_numbers(weights: list[list[list[float]]], X: Sequence[Any], Y: Sequence[Any], alpha: float) -> float:
    """Do what `train_by_rows` does in lists of Python numbers: no NumPy at all.

    Parameters
    ----------
    weights : lists (layer, inputs + 1, outputs)
        Changed in place.
    X, Y : lists (n, inputs) and (n, outputs)
    """
    cost = 0.0
    for x, y in zip(X, Y, strict=True):
        layers = [[*x, 1.0]]
        for W in weights:
            sums = [sum(map(float.__mul__, layers[-1], column)) for column in zip(*W, strict=True)]
            layers.append([1.0 / (1.0 + math.exp(-z)) for z in sums] + [1.0])
        outputs = layers.pop()[:-1]
        errors = [a - t for a, t in zip(outputs, y, strict=True)]
        cost += 0.5 * sum(e * e for e in errors)
        delta = [e * a * (1.0 - a) for e, a in zip(errors, outputs, strict=True)]
        for W, inputs in zip(weights[::-1], layers[::-1], strict=True):
            back = [sum(map(float.__mul__, row, delta)) * a * (1.0 - a) for row, a in zip(W, inputs, strict=True)]
            for row, a in zip(W, inputs, strict=True):
                step = alpha * a
                row[:] = [w - step * d for w, d in zip(row, delta, strict=True)]
            delta = back[:-1]
    return cost / len(X)
