"""FLOOR 3: what the user's y means: classes, several labels at once, or numbers to predict.

softmax                 one class a sample: labels of any kind, one-hot rows, or rows of probabilities
logistic, one output    two classes, or a column of 0 and 1
logistic, several       one class a sample (each output its own yes or no), or several labels: rows of 0 and 1
identity                numbers, one column an output
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastnn._checks import unmasked

_NO_LABELS = np.empty(0, np.int32)


class Encoded(NamedTuple):
    """Targets as the kernels read them, and the classes they stand for.

    Exactly one of labels and targets is not empty.
    """

    labels: np.ndarray  # int32 (n,): index of the class
    targets: np.ndarray  # of the network's dtype, flat (n * outputs,)
    classes: np.ndarray | None  # sorted; None without classes


def encode(
    y: Any,
    n_samples: int,
    output: str,
    n_outputs: int,
    dtype: np.dtype,
    classes: np.ndarray | None,
    name: str = "y",
) -> Encoded:
    """Check y and turn it into targets.

    Parameters
    ----------
    y : array-like, (n_samples,) or (n_samples, n_outputs)
    output : {"softmax", "logistic", "identity"}
    classes : array or None
        The classes that the network already knows; None before its first training.

    Raises
    ------
    TypeError, ValueError
        With a sentence, if y does not fit X, the outputs or the classes.
    """
    unmasked(name, y)
    y = np.asarray(y)
    if y.dtype.kind == "O":
        kinds = {type(v) for v in y.ravel()}
        if kinds and all(issubclass(k, str) for k in kinds):
            y = y.astype(str)
        else:
            raise TypeError(f"{name} must hold numbers or strings of one kind, got objects of {_names(kinds)}")
    if y.dtype.kind not in "buifU":
        raise TypeError(f"{name} must hold numbers or strings, got dtype {y.dtype}")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim not in (1, 2):
        raise ValueError(f"{name} must be (n_samples,) or (n_samples, n_outputs), got shape {y.shape}")
    if len(y) != n_samples:
        X = "X" + name.removeprefix("y")
        raise ValueError(f"{X} and {name} must be equally long, got {n_samples} samples and {len(y)} entries of {name}")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        row = np.argwhere(~np.isfinite(y))[0][0]
        raise ValueError(f"{name} must be finite, got {y[row]} at row {row}")
    if output == "identity":
        return _numbers(y, n_outputs, dtype, name)
    if y.ndim == 2:
        return _rows(y, output, n_outputs, dtype, classes, name)
    return _classes(y, output, n_outputs, dtype, classes, name)


def _own(y: np.ndarray, dtype: np.dtype, name: str) -> np.ndarray:
    """y in C order, aligned and writeable: any other kind of array would be another type to the compiled programs."""
    with np.errstate(over="ignore"):
        own = np.require(y, dtype, ["C", "A", "W"])
    if not np.isfinite(own).all():
        row = np.argwhere(~np.isfinite(own))[0][0]
        raise ValueError(f"{name} must be finite in {dtype}, got {y[row]} at row {row}; scale it or take float64")
    return own


def _names(kinds: set[type]) -> str:
    return ", ".join(sorted(k.__name__ for k in kinds)) or "no type"


def _numbers(y: np.ndarray, n_outputs: int, dtype: np.dtype, name: str) -> Encoded:
    if y.dtype.kind == "U":
        raise TypeError(f"{name} must hold numbers for output 'identity', got text; for classes use output='softmax'")
    columns = y.shape[1] if y.ndim == 2 else 1
    if columns != n_outputs:
        raise ValueError(f"{name} must have {n_outputs} columns, one an output of the network, got {columns}")
    return Encoded(_NO_LABELS, _own(y, dtype, name).ravel(), None)


def _rows(
    y: np.ndarray, output: str, n_outputs: int, dtype: np.dtype, classes: np.ndarray | None, name: str
) -> Encoded:
    if y.dtype.kind == "U":
        raise TypeError(f"{name} with several columns must hold numbers, got text")
    if y.shape[1] != n_outputs:
        raise ValueError(f"{name} must have {n_outputs} columns, one an output of the network, got {y.shape[1]}")
    if y.min() < 0 or y.max() > 1:
        raise ValueError(f"rows of {name} must lie in 0..1, got {y.min()} .. {y.max()}")
    targets = _own(y, dtype, name)
    sums = targets.sum(axis=1, dtype=np.float64)
    if output == "softmax" and not np.allclose(sums, 1, atol=1e-4):
        row = int(np.argmax(abs(sums - 1)))
        raise ValueError(
            f"rows of {name} must sum to 1 for output 'softmax', row {row} sums to {sums[row]:g}; "
            "for several labels at once use output='logistic'"
        )
    one_hot = bool(np.isin(y, (0, 1)).all() and (sums == 1).all())
    if output == "logistic" and not one_hot:
        return Encoded(_NO_LABELS, targets.ravel(), None)
    known = np.arange(n_outputs) if classes is None else classes
    if one_hot:
        return Encoded(targets.argmax(axis=1).astype(np.int32), np.empty(0, dtype), known)
    return Encoded(_NO_LABELS, targets.ravel(), known)


def _classes(
    y: np.ndarray, output: str, n_outputs: int, dtype: np.dtype, classes: np.ndarray | None, name: str
) -> Encoded:
    n_classes = 2 if output == "logistic" and n_outputs == 1 else n_outputs
    if classes is None:
        classes = _find_classes(y, n_classes, n_outputs, name)
    if (y.dtype.kind == "U") != (classes.dtype.kind == "U"):
        raise ValueError(f"{name} holds labels of dtype {y.dtype}, but the classes are of dtype {classes.dtype}")
    index = _places(classes, y)
    unknown = classes[index] != y
    if unknown.any():
        row = int(np.argmax(unknown))
        few = ", ".join(repr(c) for c in classes.tolist()[:12]) + (", ..." if len(classes) > 12 else "")
        raise ValueError(f"{name} has the label {y[row].item()!r} at row {row}, which is none of the classes {few}")
    if n_classes != n_outputs:
        return Encoded(_NO_LABELS, index.astype(dtype), classes)
    return Encoded(index.astype(np.int32), np.empty(0, dtype), classes)


def _places(classes: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Where the labels are in the sorted classes; any place for one that is not there."""
    whole_numbers = y.dtype.kind in "iu" and classes.dtype.kind in "iu"
    if whole_numbers and classes[0] == 0 and classes[-1] == len(classes) - 1:
        return y.astype(np.int64).clip(0, len(classes) - 1)  # in a twentieth of the time
    return np.searchsorted(classes, y).clip(max=len(classes) - 1)


def _find_classes(y: np.ndarray, n_classes: int, n_outputs: int, name: str) -> np.ndarray:
    """The distinct labels, sorted; whole numbers below n_classes stand for themselves even if some are absent."""
    if y.dtype.kind == "b" and n_classes == 2:
        return np.array([False, True])
    if y.dtype.kind in "iu" and y.min() >= 0 and y.max() < n_classes:
        return np.arange(n_classes)
    found = np.unique(y)
    if len(found) != n_classes:
        raise ValueError(
            f"{name} has {len(found)} different labels, but a network with {n_outputs} outputs tells "
            f"{n_classes} classes apart; make the last of `sizes` fit"
        )
    return found
