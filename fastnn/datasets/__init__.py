"""FLOOR 4: data sets by name or path: the digits, MNIST, CSV, .npz and IDX files.

`load` returns a `Dataset` or raises `DataError`; `describe` summarises one. Nothing is downloaded but MNIST, and
that only when it is asked for and not found.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable
from pathlib import Path

from fastnn._checks import boolean
from fastnn.datasets import copies, csv_file
from fastnn.datasets.dataset import DataError, Dataset
from fastnn.datasets.digits import load_digits
from fastnn.datasets.idx import labels_beside, load_pair
from fastnn.datasets.mnist import load_mnist
from fastnn.datasets.npz import load_npz
from fastnn.datasets.summary import Summary, describe

__all__ = ["NAMES", "DataError", "Dataset", "Summary", "describe", "load"]

_LOADERS: dict[str, Callable[[bool], Dataset]] = {"digits": lambda cache: load_digits(), "mnist": load_mnist}
NAMES = tuple(_LOADERS)
_TABLES = (".csv", ".data", ".txt")


def load(
    source: str | Path | tuple[str | Path, str | Path], *, label: str | int | None = None, cache: bool = True
) -> Dataset:
    """Return the data set that a name or a path stands for.

    Parameters
    ----------
    source : str, Path or pair of them
        "digits" (scikit-learn's 8 x 8 digits, embedded), "mnist" (from the folder FASTNN_DATA, the user's
        cache or the network), or a file: CSV (.csv, .data, .txt), .npz, or IDX images, whose labels file is
        found beside them by its name; or a pair (IDX images, IDX labels). CSV and IDX may be gzipped.
        A name wins over a file of that name; write ./digits for the file.
    label : str or int, optional
        For CSV files: name, or index from 0, of the label column. Default: the column named label.
    cache : bool, default True
        Whether CSV files and gzipped IDX images of 5 MB or more may be taken from a copy in the user's cache
        folder (FASTNN_CACHE_DIR), and copied there; a copy counts until the file changes, and 2 GB of them are
        kept at most.

    Returns
    -------
    Dataset
        Its `y` is None where the source has no labels.

    Raises
    ------
    DataError
        If the source is unknown or not there, cannot be downloaded, or is bad; a sentence says where.

    Examples
    --------
    >>> from fastnn.datasets import load
    >>> load("digits")
    <Dataset digits: 1347 samples, 64 features (uint8), 450 test samples>
    """
    boolean("cache", cache)
    if isinstance(source, str) and source in _LOADERS:
        _refuse_label(label, source)
        return _LOADERS[source](cache)
    if isinstance(source, tuple):
        if len(source) != 2:
            raise DataError(f"a pair of files must be (images, labels), got {len(source)} elements")
        _refuse_label(label, "an IDX pair")
        images, labels = (Path(part).expanduser() for part in source)
        return load_pair(images, labels, cache)
    if not isinstance(source, str | Path):
        raise DataError(f"data must be a name, a path or a pair of paths, got {type(source).__name__}")

    path = Path(source).expanduser()
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(_TABLES):
        read = functools.partial(csv_file.load_csv, path, label)
        return copies.load(path, read, repr(label)) if cache else read()
    if name.endswith(".npz"):
        _refuse_label(label, path)
        return load_npz(path)
    if "idx" in name:
        _refuse_label(label, path)
        return load_pair(path, labels_beside(path), cache)
    kinds = f"{', '.join(_TABLES)}, .npz or an IDX images file such as train-images-idx3-ubyte.gz"
    if path.is_dir():
        raise DataError(f"{path} is a folder; give the path of a file in it")
    if path.exists():
        raise DataError(f"{path} is of no kind that is known by its name: {kinds}")
    near = difflib.get_close_matches(str(source).lower(), NAMES, n=1, cutoff=0.5)
    raise DataError(
        f"there is no data set {str(source)!r}"
        + (f"; did you mean {near[0]!r}" if near else f"; the names are {', '.join(NAMES)}")
        + f". A file is {kinds}"
    )


def _refuse_label(label: str | int | None, source: str | Path) -> None:
    if label is not None:
        raise DataError(f"label={label!r} names the label column of a CSV file, and {source} is none; leave it out")
