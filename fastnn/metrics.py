"""FLOOR 4: how good a classifier is: per-class scores, confusion matrix, the mistakes it was surest of.

All figures are scikit-learn's; here they get one checked form, for text, JSON and pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._checks import integer, unmasked

__all__ = ["Mistake", "Report", "mistakes", "report"]


@dataclass(frozen=True, eq=False)
class Report:
    """Scores of predicted labels.

    Attributes
    ----------
    classes : list
        The labels, in the order of the rows and columns of `confusion`.
    accuracy : float
        Share of samples that are right.
    f1_macro : float
        Mean F1 of the classes that occur among the actual or the predicted labels, as `Trainer.evaluate` has it.
    per_class : list of dict
        ``label``, ``precision``, ``recall``, ``f1`` (0 where undefined) and ``support`` (samples) of each class.
    confusion : ndarray of int64, (n_classes, n_classes)
        Counts of samples: rows are actual classes, columns predicted ones.
    n_samples : int
    """

    classes: list[Any]
    accuracy: float
    f1_macro: float
    per_class: list[dict[str, Any]]
    confusion: np.ndarray
    n_samples: int

    def text(self) -> str:
        """scikit-learn's classification report, a line for each class that occurs; then the confusion matrix."""
        from sklearn.metrics import classification_report

        occur = np.flatnonzero(self.confusion.sum(axis=0) + self.confusion.sum(axis=1))
        pairs = np.argwhere(self.confusion).repeat(self.confusion[self.confusion > 0], axis=0)
        names = [str(self.classes[i]) for i in occur]
        scores = classification_report(*pairs.T, labels=occur, target_names=names, digits=4, zero_division=0)
        return f"{scores}\n{self._confusion_text()}"

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain lists, strings and numbers, ready for JSON."""
        return {
            "classes": list(self.classes),
            "accuracy": self.accuracy,
            "f1_macro": self.f1_macro,
            "n_samples": self.n_samples,
            "per_class": [dict(row) for row in self.per_class],
            "confusion": self.confusion.tolist(),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Report:
        """Return the report that `as_dict` described, for example one read from a JSON file.

        Raises
        ------
        ValueError
            If `document` describes none.
        """
        try:
            confusion = np.array(document["confusion"], np.int64)
            classes = list(document["classes"])
            if confusion.shape != (len(classes), len(classes)) or not confusion.any() or confusion.min() < 0:
                raise ValueError(f"{len(classes)} classes, and {confusion.tolist()} as confusion")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"this is not a report as Report.as_dict gives it: {error!r}") from None
        return _from_confusion(classes, confusion)

    def _confusion_text(self) -> str:
        names = [str(label) for label in self.classes]
        widths = [max(len(name), len(str(n))) for name, n in zip(names, self.confusion.max(axis=0), strict=True)]
        first = max(map(len, names))
        lines = ["confusion matrix (rows: actual, columns: predicted)", ""]
        for name, cells in [("", names), *zip(names, self.confusion.tolist(), strict=True)]:
            shown = (str(cell).rjust(width) for cell, width in zip(cells, widths, strict=True))
            lines.append("  ".join([name.rjust(first), *shown]).rstrip())
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Mistake:
    """One sample that was predicted wrongly.

    Attributes
    ----------
    index : int
        Row of the sample.
    actual, predicted : label
    confidence : float
        Probability, 0..1, that the network gave the wrong class.
    """

    index: int
    actual: Any
    predicted: Any
    confidence: float


def report(y_true: Any, y_pred: Any, classes: Any = None) -> Report:
    """Compare predicted labels with the actual ones.

    Parameters
    ----------
    y_true, y_pred : array-like, (n_samples,)
        Whole numbers, booleans or strings.
    classes : array-like, (n_classes,), optional
        The labels, in the order of the report, for example ``net.classes``; some of them may never occur.
        Default: those that occur, sorted.

    Returns
    -------
    Report

    Raises
    ------
    TypeError, ValueError
        For lengths that differ, no samples, labels that are none of `classes`, numbers that were predicted by a
        regression, and several labels a sample.

    Examples
    --------
    >>> found = report(["cat", "dog", "dog"], ["cat", "dog", "cat"])
    >>> found.classes, round(found.accuracy, 2), found.confusion.tolist()
    (['cat', 'dog'], 0.67, [[1, 0], [1, 1]])
    """
    actual, predicted = as_labels("y_true", y_true), as_labels("y_pred", y_pred)
    _same_length(actual, "y_pred", predicted)
    known = _as_classes(classes) if classes is not None else _union(actual, predicted)
    rows, columns = _indices("y_true", actual, known), _indices("y_pred", predicted, known)
    from sklearn.metrics import confusion_matrix

    # a class more, since scikit-learn warns of a matrix with a single one
    counts = confusion_matrix(rows, columns, labels=np.arange(len(known) + 1))
    return _from_confusion(known.tolist(), counts[:-1, :-1])


def mistakes(y_true: Any, proba: Any, classes: Any, n: int | None = None) -> list[Mistake]:
    """Return the samples that are predicted wrongly, the most confident mistake first.

    Parameters
    ----------
    y_true : array-like, (n_samples,)
        The actual labels.
    proba : array-like of float, (n_samples, n_classes), (n_samples, 1) or (n_samples,)
        What `MLP.predict_proba` returns; one column is the probability of the second of two classes.
    classes : array-like, (n_classes,)
        The labels of the columns, for example ``net.classes``.
    n : int, optional
        Return no more than so many; default: all.

    Returns
    -------
    list of Mistake

    Raises
    ------
    TypeError, ValueError
        As `report`; also for `proba` of another shape or with NaN.

    Examples
    --------
    >>> mistakes([0, 1, 1], [[0.8, 0.2], [0.9, 0.1], [0.6, 0.4]], [0, 1], n=1)
    [Mistake(index=1, actual=1, predicted=0, confidence=0.9)]
    """
    most = None if n is None else integer("n", n, 0)
    actual, known = as_labels("y_true", y_true), _as_classes(classes)
    given = np.asarray(proba)
    if given.dtype.kind != "f":
        raise TypeError(f"proba must hold probabilities as floats, got dtype {given.dtype}")
    given = given[:, None] if given.ndim == 1 else given
    if given.ndim != 2 or given.shape[1] not in (len(known), 1 if len(known) == 2 else len(known)):
        raise ValueError(f"proba must be (n_samples, {len(known)}), a column for each class, got shape {given.shape}")
    _same_length(actual, "proba", given)
    if not np.isfinite(given).all():
        row = int(np.argwhere(~np.isfinite(given))[0][0])
        raise ValueError(f"proba must be finite, got {given[row].tolist()} at row {row}")
    if given.shape[1] == 1:
        yes = given[:, 0] >= 0.5  # as MLP.predict decides
        best, confidence = yes.astype(np.int64), np.where(yes, given[:, 0], 1 - given[:, 0])
    else:
        best = given.argmax(axis=1)
        confidence = given[np.arange(len(given)), best]
    truth = _indices("y_true", actual, known)
    wrong = np.flatnonzero(best != truth)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")][:most]
    labels = known.tolist()
    return [Mistake(int(i), labels[truth[i]], labels[best[i]], float(confidence[i])) for i in wrong]


def as_labels(name: str, y: Any) -> np.ndarray:
    """Return `y` as an array (n_samples,) of labels: whole numbers, booleans, text, or floats that are classes.

    Raises
    ------
    TypeError, ValueError
        If it is none: several labels a sample, numbers of a regression, or nothing at all.
    """
    unmasked(name, y)
    labels = np.asarray(y)
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels.ravel()):
        labels = labels.astype(str)
    if labels.dtype.kind not in "biufU":
        raise TypeError(f"{name} must hold labels, whole numbers or strings of one kind, got dtype {labels.dtype}")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(
            f"{name} must be (n_samples,), one label a sample, got shape {labels.shape}; of one-hot rows take "
            "argmax(axis=1), and score several labels a sample column by column"
        )
    if len(labels) == 0:
        raise ValueError(f"{name} is empty; at least one sample is needed")
    if labels.dtype.kind == "f":
        wrong = labels[labels % 1 != 0]
        if len(wrong):
            raise ValueError(f"{name} must hold labels, got the number {wrong[0]:g}; for a regression there is R2")
        labels = labels.astype(np.int64)
    return labels


def _same_length(actual: np.ndarray, name: str, other: np.ndarray) -> None:
    if len(actual) != len(other):
        raise ValueError(f"y_true and {name} must be equally long, got {len(actual)} and {len(other)} samples")


def _union(actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    if (actual.dtype.kind == "U") != (predicted.dtype.kind == "U"):
        raise ValueError(
            f"y_true and y_pred must hold labels of one kind, got dtypes {actual.dtype} and {predicted.dtype}"
        )
    return np.union1d(actual, predicted)


def _as_classes(classes: Any) -> np.ndarray:
    known = as_labels("classes", classes)
    if len(np.unique(known)) != len(known):
        raise ValueError(f"classes must be different labels, got {known.tolist()}")
    return known


def _indices(name: str, labels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Where each label stands among the known classes."""
    if (labels.dtype.kind == "U") != (known.dtype.kind == "U"):
        raise ValueError(f"{name} holds labels of dtype {labels.dtype}, but the classes are of dtype {known.dtype}")
    order = np.argsort(known)
    place = order[np.searchsorted(known, labels, sorter=order).clip(max=len(known) - 1)]
    unknown = known[place] != labels
    if unknown.any():
        row = int(np.argmax(unknown))
        few = ", ".join(map(repr, known.tolist()[:12])) + (", ..." if len(known) > 12 else "")
        raise ValueError(f"{name} has the label {labels[row].item()!r} at row {row}, which is none of {few}")
    return place


def _from_confusion(classes: Sequence[Any], confusion: np.ndarray) -> Report:
    """All scores follow from the matrix of counts."""
    from sklearn.metrics import precision_recall_fscore_support

    actual, predicted = np.argwhere(confusion).T
    every = np.arange(len(classes))
    precision, recall, f1, _ = precision_recall_fscore_support(
        actual, predicted, labels=every, sample_weight=confusion[actual, predicted], zero_division=0
    )
    support = confusion.sum(axis=1)
    rows = zip(classes, precision.tolist(), recall.tolist(), f1.tolist(), support.tolist(), strict=True)
    names = ("label", "precision", "recall", "f1", "support")
    n_samples = int(confusion.sum())
    occurs = support + confusion.sum(axis=0) > 0
    return Report(
        classes=list(classes),
        accuracy=float(confusion.trace() / n_samples),
        f1_macro=float(f1[occurs].mean()),
        per_class=[dict(zip(names, row, strict=True)) for row in rows],
        confusion=confusion.astype(np.int64),
        n_samples=n_samples,
    )
