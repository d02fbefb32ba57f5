"""FLOOR 4: NumPy's .npz archives, with the names that are in use; never unpickles.

Keys, in either case: X or x_train, y or y_train, X_test, y_test (Keras's mnist.npz has the long ones).
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from fastnn.datasets.dataset import DataError, Dataset, flatten

_KEYS = {"x": "X", "x_train": "X", "y": "y", "y_train": "y", "x_test": "X_test", "y_test": "y_test"}


def load_npz(path: Path) -> Dataset:
    """Return the data set in an .npz archive.

    Samples of more than two axes, such as (n, 28, 28), are flattened. uint8, float32 and float64 stay as they
    are; other numbers become float64. Other arrays in the archive are ignored.

    Raises
    ------
    DataError
        If the file is no archive, has no samples, holds Python objects or anything but numbers in X, or its
        arrays do not fit together.
    """
    arrays = _read(path)
    X, image_shape = flatten(_numbers(path, "X", arrays["X"]))
    X_test = arrays.get("X_test")
    if X_test is not None:
        X_test = flatten(_numbers(path, "X_test", X_test))[0]
    y, y_test = (_labels(path, key, arrays.get(key)) for key in ("y", "y_test"))
    return Dataset(path.name, X, y, X_test, y_test, image_shape=image_shape)


def _read(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of the archive under this module's names for them."""
    if not path.exists():
        raise DataError(f"there is no file {path}; check its name and folder")
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path} is not an .npz archive, or is truncated; np.savez writes one")
    try:
        # Opened here: given a path, NumPy leaves the file open where the archive is bad.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            names = _names(path, archive.files)
            return {key: archive[name] for key, name in names.items()}
    except DataError:
        raise
    # RuntimeError: encrypted or packed in an unknown way. MemoryError: a header that promises too much.
    except (
        OSError,
        ValueError,
        EOFError,
        RuntimeError,
        MemoryError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise DataError(f"{path} cannot be read as .npz archive: {error}") from error


def _names(path: Path, names: list[str]) -> dict[str, str]:
    """Return which of the archive's `names` is X, y, X_test and y_test."""
    found: dict[str, str] = {}
    for name in names:
        key = _KEYS.get(name.lower())
        if key in found:
            raise DataError(f"{path} has {found[key]} and {name}; only one of them can be {key}")
        if key is not None:
            found[key] = name
    if "X" not in found:
        raise DataError(f"{path} has no array X or x_train; it has {', '.join(names) or 'none'}")
    return found


def _numbers(path: Path, key: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "biuf" or array.ndim < 2:
        raise DataError(
            f"{key} in {path} must be an array of numbers with shape (n_samples, n_features), "
            f"got shape {array.shape} of {array.dtype}"
        )
    _check_finite(path, key, array)
    native = array.dtype.newbyteorder("=")
    return array.astype(native if native in (np.uint8, np.float32, np.float64) else np.float64, copy=False)


def _check_finite(path: Path, key: str, array: np.ndarray) -> None:
    """Refuse NaN and infinity here, where rows still have the numbers that they have in the file."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise DataError(f"{key} in {path} must be finite, got {array[where]} at index {where}; remove or impute it")


def _labels(path: Path, key: str, array: np.ndarray | None) -> np.ndarray | None:
    if array is None:
        return None
    if array.dtype.kind not in "biufU" or array.ndim not in (1, 2):
        raise DataError(
            f"{key} in {path} must be numbers or text with shape (n_samples,) or (n_samples, n_outputs), "
            f"got shape {array.shape} of {array.dtype}"
        )
    if array.dtype.kind == "U":
        return array
    _check_finite(path, key, array)
    return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
