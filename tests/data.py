"""Small random problems for the tests: fixed seeds, odd sizes, no files.

Every number is exactly a float32, so that the package in either precision and the float64 oracle see the
same problem and differ only by their own rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def classification(
    n: int = 37, n_features: int = 13, n_classes: int = 5, seed: int = 0
) -> tuple[Array, NDArray[np.int64]]:
    """X (n, n_features) and labels y (n,) in 0..n_classes-1: one cloud per class, every class present."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % n_classes)
    centres = 2.0 * rng.standard_normal((n_classes, n_features))
    return _as_float32(centres[y] + rng.standard_normal((n, n_features))), y


def multilabel(n: int = 37, n_features: int = 13, n_labels: int = 5, seed: int = 0) -> tuple[Array, Array]:
    """X (n, n_features) and Y (n, n_labels) of 0 and 1, any number of ones in a row."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, n_features))
    return _as_float32(X), (X @ rng.standard_normal((n_features, n_labels)) > 0).astype(np.float64)


def regression(n: int = 37, n_features: int = 13, n_targets: int = 5, seed: int = 0) -> tuple[Array, Array]:
    """X (n, n_features) and Y (n, n_targets): a smooth nonlinear function of X with a little noise."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, n_features))
    Y = np.sin(X @ rng.standard_normal((n_features, n_targets))) + 0.1 * rng.standard_normal((n, n_targets))
    return _as_float32(X), _as_float32(Y)


def one_hot(y: NDArray[np.int64], n_classes: int) -> Array:
    """Rows of the identity matrix: (n, n_classes)."""
    return np.eye(n_classes)[y]


def problem(output: str, n: int = 37, n_features: int = 13, n_outputs: int = 5, seed: int = 0) -> tuple[Array, Array]:
    """X and the target matrix Y (n, n_outputs) that suit an output: softmax, logistic or identity."""
    if output == "softmax":
        X, y = classification(n, n_features, n_outputs, seed)
        return X, one_hot(y, n_outputs)
    return {"logistic": multilabel, "identity": regression}[output](n, n_features, n_outputs, seed)


def parameters(sizes: Sequence[int], seed: int = 0) -> tuple[list[Array], list[Array]]:
    """Weights (I, O) that keep the signal's size and biases (O,), all of them nonzero."""
    rng = np.random.default_rng(seed)
    weights = [_as_float32(rng.standard_normal(shape) / np.sqrt(shape[0])) for shape in pairwise(sizes)]
    biases = [_as_float32(0.5 * rng.standard_normal(width)) for width in sizes[1:]]
    return weights, biases


def dropout_mask(shape: tuple[int, int], rate: float, seed: int = 0) -> Array:
    """0 with probability `rate`, otherwise 1/(1 - rate)."""
    kept = np.random.default_rng(seed).random(shape) >= rate
    return _as_float32(kept / (1.0 - rate))


def sample_weights(n: int = 37, seed: int = 0) -> Array:
    """Uneven positive weights (n,), one of them zero."""
    rng = np.random.default_rng(seed)
    w = rng.uniform(0.1, 3.0, n)
    w[rng.integers(n)] = 0.0
    return _as_float32(w)


def _as_float32(values: Array) -> Array:
    return values.astype(np.float32).astype(np.float64)
