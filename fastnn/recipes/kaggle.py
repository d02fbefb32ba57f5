"""FLOOR 4: the files of Kaggle's "Digit Recognizer", or MNIST written in their form; and what it wants to be sent.

Kaggle's train.csv and test.csv are taken from the subfolder kaggle of FASTNN_DATA.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastnn import datasets
from fastnn._files import replace_file
from fastnn.recipes.network import Data, split_anew
from fastnn.recipes.recipe import Recipe
from fastnn.recipes.result import Options

FOLDER, LABELLED, UNLABELLED = "kaggle", "train.csv", "test.csv"
N_LABELLED = 42_000  # as many of MNIST's 70,000 as Kaggle gives with labels


class Competition(NamedTuple):
    """What the competition gives: labelled images, divided for a test; and images to be classified.

    `y_unlabelled` is known, None if not; `note` says where all this comes from.
    """

    data: Data
    X_unlabelled: np.ndarray | None
    y_unlabelled: np.ndarray | None
    note: str


def load_competition(recipe: Recipe, options: Options) -> Competition:
    """Read both files, after writing them if they are not at hand.

    The table [data] has `rows` of the labelled file, the `test_fraction` of them, and `unlabelled_rows` (default: none,
    and the second file is not needed). Without Kaggle's files the first 42,000 of MNIST's training images are the
    labelled ones and its other 28,000 the unlabelled ones; they are written to the subfolder kaggle of
    ``options.folder``.

    Raises
    ------
    DataError
        If a file or MNIST cannot be read.
    OSError
        If a file cannot be written.
    """
    rows, n_unlabelled = recipe.data["rows"], recipe.data.get("unlabelled_rows", 0)
    given = os.environ.get("FASTNN_DATA")
    folder = Path(given).expanduser() / FOLDER if given else None
    y_unlabelled = None
    if folder is not None and (folder / LABELLED).is_file():
        note = f"The data is Kaggle's, from {folder}."
        labelled, unlabelled = _read(folder, bool(n_unlabelled))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            folder = (options.folder or Path(temporary)) / FOLDER
            y_unlabelled = _write_mnist(folder, rows, n_unlabelled)
            labelled, unlabelled = _read(folder, bool(n_unlabelled))
        note = f"Kaggle's files are not at hand (FASTNN_DATA/{FOLDER}/{LABELLED}), so MNIST was written in their form"
        note += f": the first {len(labelled.X):,} training images"
        if unlabelled is not None:
            note += f", and without labels {len(unlabelled.X):,} of its other images"
        note += f" ({folder})." if options.folder else "."
    options.say(note)
    X, y = labelled.X[:rows], labelled.y[:rows]
    whole = Data(X, y, X[:0], y[:0], labelled.image_shape)
    data = split_anew(whole, recipe.data["test_fraction"])
    return Competition(data, None if unlabelled is None else unlabelled.X[:n_unlabelled], y_unlabelled, note)


def _read(folder: Path, both: bool) -> Any:
    return datasets.load(folder / LABELLED), datasets.load(folder / UNLABELLED) if both else None


def _write_mnist(folder: Path, rows: int, n_unlabelled: int) -> np.ndarray | None:
    """Write the files with so many rows; returns the labels that the second one lacks."""
    mnist: Any = datasets.load("mnist")
    rows = min(rows, N_LABELLED)
    labelled = competition_csv(mnist.X[:rows], mnist.y[:rows])  # a second, in which Ctrl-C should leave no folder
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / LABELLED, labelled)
    if not n_unlabelled:
        return None
    X = np.concatenate([mnist.X[N_LABELLED:], mnist.X_test])[:n_unlabelled]
    replace_file(folder / UNLABELLED, competition_csv(X))
    return np.concatenate([mnist.y[N_LABELLED:], mnist.y_test])[:n_unlabelled]


def competition_csv(X: np.ndarray, y: np.ndarray | None = None) -> bytes:
    """Return images as the competition has them: ``label,pixel0,pixel1 ...``, without labels if there are none.

    Parameters
    ----------
    X : array of uint8, (n, pixels)
    y : array of int, (n,), optional

    Examples
    --------
    >>> competition_csv(np.array([[0, 255]], np.uint8), np.array([7]))
    b'label,pixel0,pixel1\\n7,0,255\\n'
    """
    words = [str(value) for value in range(256)]
    lines = [",".join(([] if y is None else ["label"]) + [f"pixel{i}" for i in range(X.shape[1])])]
    for i, row in enumerate(X):
        line = ",".join(map(words.__getitem__, row.tolist()))
        lines.append(line if y is None else f"{y[i]},{line}")
    return "\n".join([*lines, ""]).encode()


def submission(labels: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the rows that the competition scores: ImageId, from 1, and Label.

    Examples
    --------
    >>> submission([3, 1])
    [{'ImageId': 1, 'Label': 3}, {'ImageId': 2, 'Label': 1}]
    """
    return [{"ImageId": i, "Label": label} for i, label in enumerate(labels, 1)]
