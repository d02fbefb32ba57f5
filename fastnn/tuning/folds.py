"""FLOOR 4: which rows are trained on, which validate and which test: scikit-learn's splitters, checked first.

All indices are sorted, so that rows are read in the order in which they lie in memory.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastnn._checks import choice, integer, number

SPLITS = ("stratified", "plain", "shuffle")


class Fold(NamedTuple):
    """Row numbers, each sorted."""

    training: np.ndarray
    validation: np.ndarray


def is_classes(y: np.ndarray, output: str) -> bool:
    """Whether y holds one class a sample, by which parts can be stratified."""
    return output != "identity" and y.ndim == 1


def hold_out(y: np.ndarray, fraction: float, stratify: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that are tuned with and those of the test part, drawn at random.

    Parameters
    ----------
    y : array, (n_samples,) or (n_samples, n_outputs)
    fraction : float
        Of the samples, for the test part.
    stratify : bool
        Give every class its share; y must hold classes.
    seed : int

    Raises
    ------
    ValueError
        If no part of this size can be held out.
    """
    fraction = number("test_fraction", fraction, 0.0, 1.0, above=True, below=True)
    if stratify:
        check_classes(y, 2, "be divided into a test part and the rest", "take split='plain' or 'shuffle'")
    from sklearn.model_selection import train_test_split

    try:
        rest, test = train_test_split(
            np.arange(len(y)), test_size=fraction, stratify=y if stratify else None, random_state=_seed(seed)
        )
    except ValueError as error:
        reason = str(error).rstrip(".")
        raise ValueError(f"no test part of {fraction:g} can be held out of {len(y)} samples: {reason}") from None
    return np.sort(rest), np.sort(test)


def make_folds(
    y: np.ndarray, n_folds: int, split: str = "stratified", fraction: float = 0.1, seed: int = 0
) -> list[Fold]:
    """Divide samples into training and validation parts, several times.

    Parameters
    ----------
    y : array, (n_samples,) or (n_samples, n_outputs)
    n_folds : int
        At least 2; 1 is enough for "shuffle".
    split : {"stratified", "plain", "shuffle"}
        Every sample validates once, the classes in equal shares (StratifiedKFold) or as chance has it (KFold); or each
        fold draws a random `fraction` of all samples to validate (ShuffleSplit).
    seed : int

    Returns
    -------
    list of Fold
        `n_folds` of them.

    Raises
    ------
    TypeError, ValueError
        With a sentence, if the samples cannot be divided so.

    Examples
    --------
    >>> folds = make_folds(np.array([0, 0, 0, 1, 1, 1]), 3)
    >>> [len(fold.training) for fold in folds], sorted(int(row) for fold in folds for row in fold.validation)
    ([4, 4, 4], [0, 1, 2, 3, 4, 5])
    """
    choice("split", split, SPLITS)
    n_folds = integer("folds", n_folds, 1 if split == "shuffle" else 2)
    from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold

    nothing = np.zeros((len(y), 0))
    if split == "shuffle":
        fraction = number("validation_fraction", fraction, 0.0, 1.0, above=True, below=True)
        if len(y) < 2:
            raise ValueError(f"{len(y)} sample cannot be divided into a training and a validation part")
        splitter = ShuffleSplit(n_folds, test_size=fraction, random_state=_seed(seed))
    elif split == "stratified":
        check_classes(y, n_folds, f"be in each of {n_folds} folds", "take fewer folds, split='plain' or 'shuffle'")
        splitter = StratifiedKFold(n_folds, shuffle=True, random_state=_seed(seed))
    else:
        if n_folds > len(y):
            raise ValueError(f"folds must be at most {len(y)}, the number of samples, got {n_folds}")
        splitter = KFold(n_folds, shuffle=True, random_state=_seed(seed))
    return [Fold(np.sort(training), np.sort(validation)) for training, validation in splitter.split(nothing, y)]


def check_classes(y: np.ndarray, least: int, purpose: str, advice: str) -> None:
    """Raise ValueError with a sentence if a class has fewer samples than `least`, which `purpose` needs."""
    if y.ndim != 1:
        raise ValueError(f"only one class a sample can be stratified, got y of shape {y.shape}; take split='plain'")
    classes, counts = np.unique(y, return_counts=True)
    if counts.min() < least:
        rare = counts.argmin()
        amount = "1 sample" if counts[rare] == 1 else f"{counts[rare]} samples"
        raise ValueError(
            f"class {classes[rare].item()!r} has {amount}, too few to {purpose}; {advice}, or leave this class out"
        )


def _seed(seed: int) -> int:
    """scikit-learn's seeds have 32 bits."""
    return seed % 2**32
