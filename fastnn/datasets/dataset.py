"""FLOOR 4: what every loader returns, and the one exception it raises.

A Dataset is checked when it is made, whichever file it came from: rows agree, nothing is empty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


class DataError(ValueError):
    """A data set that cannot be found, read or understood; the message says what is wrong and what to do."""


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Samples and labels, ready for `Trainer.fit`.

    Attributes
    ----------
    name : str
        What was loaded: "digits", "mnist" or the file's name.
    X : ndarray, shape (n_samples, n_features)
        Training samples: uint8 where the source holds bytes, else float32 or float64.
    y : ndarray, shape (n_samples,) or (n_samples, n_targets), or None
        Their labels (int64, text) or targets (float64); None where the source has none.
    X_test, y_test : ndarray or None
        The test part, where the source has one.
    image_shape : tuple of int or None
        (height, width) of the image that a row of `X` is, row by row.
    input_scale : float or None
        For `MLP(input_scale=...)`; None leaves its default (1/255 for uint8, else 1).
    feature_names : list of str or None
        The header of a CSV file, without its label column.

    Raises
    ------
    DataError
        If a part is empty, or parts do not fit together.
    """

    name: str
    X: np.ndarray
    y: np.ndarray | None = None
    X_test: np.ndarray | None = None
    y_test: np.ndarray | None = None
    image_shape: tuple[int, ...] | None = None
    input_scale: float | None = None
    feature_names: list[str] | None = None

    def __post_init__(self) -> None:
        _check_part(self.name, "", self.X, self.y)
        if self.X_test is None:
            if self.y_test is not None:
                raise DataError(f"{self.name} has labels for a test part but no samples for it")
            return
        _check_part(self.name, "test ", self.X_test, self.y_test)
        if self.X_test.shape[1] != self.X.shape[1]:
            raise DataError(
                f"{self.name} has {self.X.shape[1]} features in its training part "
                f"and {self.X_test.shape[1]} in its test part; they must be the same"
            )

    def __repr__(self) -> str:
        parts = [f"{len(self.X)} samples", f"{self.X.shape[1]} features ({self.X.dtype})"]
        if self.y is None:
            parts.append("no labels")
        if self.X_test is not None:
            parts.append(f"{len(self.X_test)} test samples")
        return f"<Dataset {self.name}: {', '.join(parts)}>"

    def require_labels(self) -> Dataset:
        """Return the data set itself if it has labels; otherwise raise DataError with the remedy."""
        if self.y is None:
            raise DataError(
                f"{self.name} has no labels: name the label column of a CSV file (label=...), put y into an "
                ".npz file, or the labels file beside the images of an IDX pair"
            )
        return self


def _check_part(name: str, part: str, X: np.ndarray, y: np.ndarray | None) -> None:
    if X.ndim != 2 or 0 in X.shape:
        raise DataError(
            f"{name} is empty: its {part}samples have shape {X.shape}, and at least one sample "
            "with one feature is needed"
        )
    if y is not None and len(y) != len(X):
        raise DataError(f"{name} has {len(X)} {part}samples but {len(y)} {part}labels; they must be as many")


def flatten(X: np.ndarray) -> tuple[np.ndarray, tuple[int, ...] | None]:
    """Return `X` as (n_samples, n_features), and the image shape of a row if `X` had more than two axes."""
    if X.ndim <= 2:
        return X, None
    # Not reshape(n, -1): NumPy cannot tell what -1 is when there are no samples.
    n_features = int(np.prod(X.shape[1:]))
    return X.reshape(len(X), n_features), tuple(int(n) for n in X.shape[1:])
