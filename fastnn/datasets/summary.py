"""FLOOR 4: what is in a data set, in figures: sizes, values, classes and their balance, columns that tell nothing.

Samples are never copied as a whole, and MNIST takes 0.03 s.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fastnn.datasets.dataset import DataError, Dataset

# With more different ones, whole numbers are something to predict and no classes.
_MOST_CLASSES = 1000


@dataclass(frozen=True)
class ColumnSummary:
    """One feature, or one column of targets. `std` divides by the number of samples."""

    name: str
    minimum: float
    maximum: float
    mean: float
    std: float


@dataclass(frozen=True)
class PartSummary:
    """One part of a data set.

    Attributes
    ----------
    name : str
        "training" or "test"; "all" where there is no test part.
    n_samples : int
    minimum, maximum, mean : float
        Of all cells; whole numbers where the samples are.
    zeros : float
        Share of the cells that are 0.
    constant : list of str
        The features that are the same in all samples, by name, or by index where they have none.
    classes : dict or None
        Samples of each class by label, in the order of labels; None where `y` holds targets or there is none.
    targets : list of ColumnSummary
        The columns of `y` where they are targets: numbers with fractions, several columns, or more than 1,000
        different numbers.
    columns : list of ColumnSummary
        The features that were asked for.
    """

    name: str
    n_samples: int
    minimum: float
    maximum: float
    mean: float
    zeros: float
    constant: list[str]
    classes: dict[Any, int] | None
    targets: list[ColumnSummary]
    columns: list[ColumnSummary]

    @property
    def balance(self) -> float | None:
        """Samples of the smallest class over those of the largest: 1 for equal ones; None without classes."""
        return min(self.classes.values()) / max(self.classes.values()) if self.classes else None

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain lists, strings and numbers, ready for JSON."""
        classes = None
        if self.classes is not None:
            classes = [
                {"label": label, "n_samples": n, "share": n / self.n_samples} for label, n in self.classes.items()
            ]
        return asdict(self) | {"classes": classes, "balance": self.balance}


@dataclass(frozen=True)
class Summary:
    """What `describe` finds.

    Attributes
    ----------
    name : str
    n_features : int
    dtype : str
        Of the samples.
    image_shape : tuple of int or None
        (height, width) where samples are images.
    parts : list of PartSummary
        The training part, and the test part if there is one.
    """

    name: str
    n_features: int
    dtype: str
    image_shape: tuple[int, ...] | None
    parts: list[PartSummary]

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain lists, strings and numbers, ready for JSON."""
        shape = None if self.image_shape is None else list(self.image_shape)
        return asdict(self) | {"image_shape": shape, "parts": [part.as_dict() for part in self.parts]}


def describe(dataset: Dataset, columns: Iterable[str | int] | None = None) -> Summary:
    """Return a summary of a data set.

    Parameters
    ----------
    dataset : Dataset
    columns : iterable of str or int, optional
        Features to summarise one by one: their names, or their indices from 0 (negative: from the end), the label
        column not counted.

    Returns
    -------
    Summary

    Raises
    ------
    DataError
        If there is no such column; the sentence names the nearest.

    Examples
    --------
    >>> from fastnn.datasets import describe, load
    >>> training, test = describe(load("digits"), columns=[0, 20]).parts
    >>> training.n_samples, training.maximum, training.constant, training.classes[8]
    (1347, 16, ['0', '24', '32', '39'], 131)
    >>> round(training.columns[1].mean, 2)
    7.12
    """
    X = dataset.X
    names = dataset.feature_names or [str(j) for j in range(X.shape[1])]
    chosen = [_index(dataset, column) for column in ([columns] if isinstance(columns, str | int) else columns or [])]
    parts = [_part("all" if dataset.X_test is None else "training", X, dataset.y, names, chosen)]
    if dataset.X_test is not None:
        parts.append(_part("test", dataset.X_test, dataset.y_test, names, chosen))
    return Summary(dataset.name, X.shape[1], str(X.dtype), dataset.image_shape, parts)


def _index(dataset: Dataset, column: str | int) -> int:
    """Return the index of a feature, given by name or index; a name wins."""
    n, names = dataset.X.shape[1], dataset.feature_names or []
    if column in names:
        return names.index(str(column))
    if isinstance(column, str) and re.fullmatch(r"-?[0-9]+", column):
        column = int(column)
    if isinstance(column, str):
        if not names:
            raise DataError(
                f"{dataset.name} has no column {column!r}; its columns have no names, give an index from 0 to {n - 1}"
            )
        near = difflib.get_close_matches(column, names, n=1)
        shown = ", ".join(names[:8]) + (f" ... ({n} in all)" if n > 8 else "")
        raise DataError(
            f"{dataset.name} has no column {column!r}; "
            + (f"did you mean {near[0]!r}?" if near else f"its columns are {shown}")
        )
    if not -n <= column < n:
        raise DataError(f"{dataset.name} has no column {column}; give an index from 0 to {n - 1}")
    return int(column) % n


def _part(name: str, X: np.ndarray, y: np.ndarray | None, names: Sequence[str], chosen: list[int]) -> PartSummary:
    low, high = X.min(axis=0), X.max(axis=0)
    classes, targets = _labels(y)
    return PartSummary(
        name,
        len(X),
        low.min().item(),
        high.max().item(),
        X.mean(dtype=np.float64).item(),
        1 - np.count_nonzero(X) / X.size,
        [names[j] for j in np.flatnonzero(low == high).tolist()],
        classes,
        targets,
        [_column(names[j], X[:, j]) for j in chosen],
    )


def _labels(y: np.ndarray | None) -> tuple[dict[Any, int] | None, list[ColumnSummary]]:
    """Return the samples of each class, or the columns of targets."""
    if y is None:
        return None, []
    if y.ndim == 2 and y.shape[1] > 1:
        return None, [_column(f"target_{k}", y[:, k]) for k in range(y.shape[1])]
    y = y.ravel()
    labels, counts = np.unique(y, return_counts=True)
    is_number = y.dtype.kind in "iuf"
    if is_number and (len(labels) > _MOST_CLASSES or (labels % 1 != 0).any()):
        return None, [_column("target", y)]
    return dict(zip(labels.tolist(), counts.tolist(), strict=True)), []


def _column(name: str, values: np.ndarray) -> ColumnSummary:
    wide = values.astype(np.float64)
    return ColumnSummary(name, values.min().item(), values.max().item(), wide.mean().item(), wide.std().item())
