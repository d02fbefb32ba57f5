"""FLOOR 4: the IDX format of MNIST and its relatives: images in one file, labels in another.

Format: http://yann.lecun.com/exdb/mnist/ : big-endian magic number 0x0000TTDD (type TT, DD dimensions), DD
sizes of 4 bytes, then the values. Only unsigned bytes (TT = 8) are read, the type of MNIST and its kin.
"""

from __future__ import annotations

import functools
import math
import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np

from fastnn.datasets import copies
from fastnn.datasets.dataset import DataError, Dataset, flatten
from fastnn.datasets.files import read_bytes

LABELS_MAGIC = 0x0801  # 2049: unsigned bytes in 1 dimension
IMAGES_MAGIC = 0x0803  # 2051: unsigned bytes in 3 dimensions
_CONTENT = {LABELS_MAGIC: "labels", IMAGES_MAGIC: "images"}


def read_idx(path: Path, magic: int) -> np.ndarray:
    """Return the array in an IDX file of unsigned bytes, gzipped or not.

    Parameters
    ----------
    path : Path
        The file.
    magic : int
        The magic number it must begin with: `IMAGES_MAGIC` or `LABELS_MAGIC`.

    Returns
    -------
    ndarray of uint8
        Shape (n, height, width) for images, (n,) for labels.

    Raises
    ------
    DataError
        If the file cannot be read, begins with another magic number, or is shorter or longer than its
        header says.
    """
    raw = read_bytes(path)
    wanted = f"IDX {_CONTENT[magic]} (magic number {magic})"
    if len(raw) < 4:
        raise DataError(f"{path} is not {wanted}: it has only {len(raw)} bytes")
    found = struct.unpack_from(">I", raw)[0]
    if found != magic:
        what = f"IDX {_CONTENT[found]}" if found in _CONTENT else "something else"
        raise DataError(f"{path} is not {wanted}: it begins with {raw[:4]!r} ({found}), {what}")
    n_dimensions = magic & 0xFF
    start = 4 + 4 * n_dimensions
    if len(raw) < start:
        raise DataError(f"{path} is truncated: its header takes {start} bytes, and there are {len(raw)}")
    shape = struct.unpack_from(f">{n_dimensions}I", raw, 4)
    promised = start + math.prod(shape)
    if len(raw) != promised:
        fault = "truncated" if len(raw) < promised else "damaged"
        raise DataError(
            f"{path} is {fault}: shape {shape} takes {promised} bytes, and there are {len(raw)}; fetch it again"
        )
    # The copy is writable and lets go of the file's bytes; 10 ms for all of MNIST.
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape).copy()


def load_pair(images: Path, labels: Path | None, cache: bool = True) -> Dataset:
    """Return the samples in an images file with the labels of its labels file (None: no labels).

    `cache`: whether gzipped images may be taken from a copy (see datasets.copies).

    Raises
    ------
    DataError
        If a file is bad (see `read_idx`) or there are not as many labels as images.
    """
    read = functools.partial(_read_images, images)
    data = copies.load(images, read) if cache and images.suffix == ".gz" else read()
    if labels is None:
        return data
    y = read_idx(labels, LABELS_MAGIC)
    if len(data.X) != len(y):
        raise DataError(f"{images} has {len(data.X)} images but {labels} has {len(y)} labels; they are no pair")
    return replace(data, y=y.astype(np.int64))


def _read_images(path: Path) -> Dataset:
    X, image_shape = flatten(read_idx(path, IMAGES_MAGIC))
    return Dataset(path.name, X, image_shape=image_shape)


def labels_beside(images: Path) -> Path | None:
    """Return the labels file that lies beside an images file by the usual naming, or None.

    Both spellings are tried (train-labels-idx1-ubyte and train-labels.idx1-ubyte), with and without .gz.

    Raises
    ------
    DataError
        If the name is that of a labels file, which has no images.
    """
    if "images" not in images.name and "labels" in images.name:
        raise DataError(f"{images} is a labels file; give its images file, or (images, labels)")
    name = images.name.replace("images", "labels").replace("idx3", "idx1")
    if name == images.name:
        return None
    return next((path for path in map(images.with_name, spellings(name)) if path.is_file()), None)


def spellings(name: str) -> list[str]:
    """Return the spellings under which an IDX file is found, `name` itself first."""
    plain = name.removesuffix(".gz")
    stems = [plain, re.sub(r"[-.](idx\d)", r"-\1", plain), re.sub(r"[-.](idx\d)", r".\1", plain)]
    return list(dict.fromkeys([name, *(stem + end for stem in stems for end in (".gz", ""))]))
