"""FLOOR 4: the samples of a tuning, checked once: what is tuned with, and the test part that nothing else sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.engine.labels import encode
from fastnn.engine.network import MLP
from fastnn.engine.samples import as_matrix
from fastnn.tuning.folds import hold_out, is_classes


@dataclass(frozen=True)
class Data:
    """Samples, of which only `rows` are tuned with.

    Attributes
    ----------
    X : array, (n_samples, n_features)
    y : array, (n_samples,) or (n_samples, n_outputs)
    rows : array of int
    X_test, y_test : array
        The test part.
    test_rows : array of int or None
        Where the test part lies in X; None if it came from elsewhere.
    """

    X: np.ndarray
    y: np.ndarray
    rows: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    test_rows: np.ndarray | None

    def check(self, net: MLP) -> None:
        """Raise if a network cannot be trained with y or scored on y_test: before the first fit, not at the end."""

        def read(y: np.ndarray, classes: np.ndarray | None, name: str) -> None:
            encode(y, len(y), net.output, net.sizes[-1], net.dtype, classes, name)

        read(self.y[self.rows], net.classes, "y")
        read(self.y_test, net.classes, "y_test")


def divide(
    X: Any, y: Any, X_test: Any, y_test: Any, *, fraction: float, split: str | None, output: str, seed: int
) -> Data:
    """Check samples and hold out a test part, unless there is one.

    Raises
    ------
    TypeError, ValueError
        With a sentence, for samples that are none, or of which no part can be held out.
    """
    X, y = _samples(X, "X"), _labels(y, "y")
    _same_length("X", X, "y", y)
    if (X_test is None) != (y_test is None):
        raise ValueError("X_test and y_test must be given together, got only one of them")
    if X_test is not None:
        X_test, y_test = _samples(X_test, "X_test", X.shape[1]), _labels(y_test, "y_test")
        _same_length("X_test", X_test, "y_test", y_test)
        return Data(X, y, np.arange(len(X)), X_test, y_test, None)
    stratify = is_classes(y, output) and split in (None, "stratified")
    rows, test = hold_out(y, fraction, stratify, seed)
    return Data(X, y, rows, X[test], y[test], test)


def _samples(X: Any, name: str, n_features: int | None = None) -> np.ndarray:
    if n_features is None:
        shape = np.shape(X)
        n_features = int(np.prod(shape[1:])) if len(shape) > 1 else 0
    return as_matrix(X, n_features, name)


def _labels(y: Any, name: str) -> np.ndarray:
    y = np.asarray(y)
    if y.dtype.kind == "O" and all(isinstance(label, str) for label in y.ravel()):
        y = y.astype(str)
    if y.dtype.kind not in "buifU":
        raise TypeError(f"{name} must hold numbers or strings of one kind, got dtype {y.dtype}")
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _same_length(first: str, X: np.ndarray, second: str, y: np.ndarray) -> None:
    if y.ndim == 0 or len(X) != len(y):
        raise ValueError(f"{first} and {second} must be equally long, got {len(X)} samples and {np.shape(y)} labels")
