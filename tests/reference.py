"""The oracle: a multilayer perceptron in plain float64 NumPy, which every test of the package may trust.

It shares no code with fastnn and never will. Speed, memory and batching are no concern here; every line is
meant to be checked against a textbook by eye, and `test_reference.py` checks all of it by finite differences.
"""

# Letters:  n samples in the mini-batch, I inputs and O outputs of a layer
#   W (I, O) weights     b (O,) biases     z (n, O) pre-activations, z = a_in W + b
#   a (n, O) activations after dropout, a = mask * f(z); f'(z) is the slope
#   delta (n, O) = d(loss)/dz              dW (I, O), db (O,) gradients

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LEAKY_SLOPE = 0.01

# Activations: value and slope as functions of z, in forms that neither overflow nor cancel


def logistic(z: Array) -> Array:
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, e) / (1.0 + e)


def softplus(z: Array) -> Array:
    """log(1 + exp(z))"""
    return np.logaddexp(0.0, z)


def normal_cdf(z: Array) -> Array:
    # erfc(-z) rather than 1 + erf(z): the left tail keeps its digits.
    erfc = np.vectorize(math.erfc, otypes=[np.float64])
    return 0.5 * erfc(-z / math.sqrt(2.0))


def normal_pdf(z: Array) -> Array:
    return np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)


ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "identity": (lambda z: z.copy(), lambda z: np.ones_like(z)),
    "logistic": (logistic, lambda z: logistic(z) * logistic(-z)),
    "tanh": (np.tanh, lambda z: 4.0 * logistic(2.0 * z) * logistic(-2.0 * z)),  # = 1 - tanh(z)^2
    "relu": (lambda z: np.maximum(z, 0.0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "leaky_relu": (
        lambda z: np.where(z > 0, z, LEAKY_SLOPE * z),
        lambda z: np.where(z > 0, 1.0, LEAKY_SLOPE),
    ),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0.0))), lambda z: np.exp(np.minimum(z, 0.0))),
    "gelu": (lambda z: z * normal_cdf(z), lambda z: normal_cdf(z) + z * normal_pdf(z)),
    "silu": (lambda z: z * logistic(z), lambda z: logistic(z) * (1.0 + z * logistic(-z))),
}

# Outputs: from the logits (the last z) to what the network answers


def log_softmax(z: Array) -> Array:
    shifted = z - z.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


OUTPUTS: dict[str, Callable[[Array], Array]] = {
    "softmax": softmax,
    "logistic": logistic,
    "identity": lambda z: z.copy(),
}

# Heads: output and loss together. (z, Y) -> the loss of each row (n,), and its derivative by z (n, O)


def softmax_cross_entropy(z: Array, Y: Array) -> tuple[Array, Array]:
    # Y sums to 1 for classes; the general derivative is right for any targets.
    return -(Y * log_softmax(z)).sum(axis=1), softmax(z) * Y.sum(axis=1, keepdims=True) - Y


def logistic_cross_entropy(z: Array, Y: Array) -> tuple[Array, Array]:
    """Binary cross-entropy summed over the outputs: -Y log p - (1 - Y) log(1 - p) with p = logistic(z)."""
    return (Y * softplus(-z) + (1.0 - Y) * softplus(z)).sum(axis=1), logistic(z) - Y


def softmax_mse(z: Array, Y: Array) -> tuple[Array, Array]:
    p = softmax(z)
    error = p - Y
    # Jacobian of softmax: dp_j/dz_k = p_j ([j = k] - p_k)
    return 0.5 * (error**2).sum(axis=1), p * (error - (error * p).sum(axis=1, keepdims=True))


def logistic_mse(z: Array, Y: Array) -> tuple[Array, Array]:
    error = logistic(z) - Y
    return 0.5 * (error**2).sum(axis=1), error * logistic(z) * logistic(-z)


def identity_mse(z: Array, Y: Array) -> tuple[Array, Array]:
    error = z - Y
    return 0.5 * (error**2).sum(axis=1), error


HEADS: dict[tuple[str, str], Callable[[Array, Array], tuple[Array, Array]]] = {
    ("softmax", "cross_entropy"): softmax_cross_entropy,
    ("logistic", "cross_entropy"): logistic_cross_entropy,
    ("softmax", "mse"): softmax_mse,
    ("logistic", "mse"): logistic_mse,
    ("identity", "mse"): identity_mse,
}


class ReferenceNet:
    """A network with its loss; the parameters are float64 copies of those given.

    Parameters
    ----------
    sizes : inputs, hidden layers..., outputs
    activations : one name of `ACTIVATIONS` per hidden layer
    output, loss : a pair of `HEADS`
    weights, biases : one (I, O) and one (O,) array per layer, any dtype
    l1, l2 : penalties l1 * sum|W| and l2/2 * sum(W^2) over all weights; biases are free
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activations: Sequence[str],
        output: str,
        loss: str,
        weights: Sequence[ArrayLike],
        biases: Sequence[ArrayLike],
        l1: float = 0.0,
        l2: float = 0.0,
    ) -> None:
        if (output, loss) not in HEADS:
            raise ValueError(f"output {output!r} and loss {loss!r} make no head; the heads are {list(HEADS)}")
        n_layers = len(sizes) - 1
        if not len(activations) + 1 == len(weights) == len(biases) == n_layers:
            raise ValueError(
                f"{n_layers} layers need {n_layers - 1} activations and {n_layers} weights and biases, got "
                f"{len(activations)}, {len(weights)} and {len(biases)}"
            )
        self.sizes = list(sizes)
        self.activations = list(activations)
        self.output = output
        self.loss = loss
        self.weights = [_exact(W, shape, "weights") for W, shape in zip(weights, pairwise(sizes), strict=True)]
        self.biases = [_exact(b, (width,), "biases") for b, width in zip(biases, sizes[1:], strict=True)]
        self.l1 = l1
        self.l2 = l2

    @property
    def parameters(self) -> list[Array]:
        """All weights, then all biases: the arrays themselves, for `sgd_step`."""
        return [*self.weights, *self.biases]

    def forward(self, X: ArrayLike, masks: Sequence[Any] | None = None, input_mask: ArrayLike | None = None) -> Array:
        """Outputs (n, n_outputs) for inputs X (n, n_inputs); the masks are those of `loss_and_gradients`."""
        _, zs = self._propagate(X, masks, input_mask)
        return OUTPUTS[self.output](zs[-1])

    def penalty(self) -> float:
        """What l1 and l2 add to the loss."""
        return float(sum(self.l1 * np.abs(W).sum() + 0.5 * self.l2 * (W**2).sum() for W in self.weights))

    def loss_and_gradients(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        masks: Sequence[Any] | None = None,
        input_mask: ArrayLike | None = None,
    ) -> tuple[float, list[Array], list[Array]]:
        """Loss of one mini-batch and its gradients by back-propagation.

        Parameters
        ----------
        X : (n, n_inputs), already scaled
        Y : (n, n_outputs) targets; one-hot rows for classes, 0 and 1 for several labels
        sample_weight : (n,) or None for equal weights; the loss is sum(w * row loss) / sum(w)
        masks : one (n, width) array or None per hidden layer, or None for no dropout; each multiplies the
            activations of its layer and already contains the factor 1/(1 - rate)
        input_mask : (n, n_inputs), the same for the inputs, or None

        Returns
        -------
        loss : mean over the mini-batch, *without* `penalty()`
        dWs, dbs : lists like `weights` and `biases`; gradients of loss + penalty
        """
        inputs, zs = self._propagate(X, masks, input_mask)
        n = len(inputs[0])
        w = np.ones(n) if sample_weight is None else _exact(sample_weight, (n,), "sample_weight")
        w = w / w.sum()

        row_losses, row_deltas = HEADS[self.output, self.loss](zs[-1], _exact(Y, zs[-1].shape, "Y"))
        loss = float(w @ row_losses)

        dWs: list[Array] = []
        dbs: list[Array] = []
        delta = w[:, None] * row_deltas
        for layer in reversed(range(len(self.weights))):
            W = self.weights[layer]
            dWs.insert(0, inputs[layer].T @ delta + self.l2 * W + self.l1 * np.sign(W))
            dbs.insert(0, delta.sum(axis=0))
            if layer > 0:
                _, slope = ACTIVATIONS[self.activations[layer - 1]]
                z = zs[layer - 1]
                delta = (delta @ W.T) * self._mask(masks, layer - 1, z) * slope(z)
        return loss, dWs, dbs

    def _propagate(
        self, X: ArrayLike, masks: Sequence[Any] | None, input_mask: ArrayLike | None
    ) -> tuple[list[Array], list[Array]]:
        """Inputs and pre-activations of every layer."""
        if masks is not None and len(masks) != len(self.activations):
            raise ValueError(f"masks must have one entry per hidden layer, {len(self.activations)}, got {len(masks)}")
        a = _exact(X, (len(np.asarray(X)), self.sizes[0]), "X")
        if input_mask is not None:
            a = a * _exact(input_mask, a.shape, "input_mask")
        inputs, zs = [], []
        for layer, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = a @ W + b
            inputs.append(a)
            zs.append(z)
            if layer < len(self.activations):
                value, _ = ACTIVATIONS[self.activations[layer]]
                a = value(z) * self._mask(masks, layer, z)
        return inputs, zs

    @staticmethod
    def _mask(masks: Sequence[Any] | None, layer: int, z: Array) -> Array:
        if masks is None or masks[layer] is None:
            return np.ones_like(z)
        return _exact(masks[layer], z.shape, f"masks[{layer}]")


def _exact(values: ArrayLike, shape: tuple[int, ...], name: str) -> Array:
    """A float64 copy of exactly this shape: broadcasting would hide a mistake in a test."""
    array = np.array(values, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    return array


def sgd_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    velocities: Sequence[Array],
    rate: float,
    momentum: float = 0.0,
    nesterov: bool = False,
) -> None:
    """One step of gradient descent with momentum, as scikit-learn and Keras define it.

    v <- momentum * v - rate * g, then w <- w + v, or with Nesterov w <- w + momentum * v - rate * g
    with the new v. `velocities` are zeros before the first step.
    """
    for w, g, v in zip(params, grads, velocities, strict=True):
        v[...] = momentum * v - rate * g
        w += momentum * v - rate * g if nesterov else v


def apply_max_norm(W: Array, limit: float) -> None:
    """Scale each column of W (the weights into one unit) with an L2 norm above `limit` back to `limit`."""
    norms = np.sqrt((W**2).sum(axis=0))
    W *= limit / np.maximum(norms, limit)
