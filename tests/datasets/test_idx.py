"""IDX pairs: naming, and files that are cut, swapped, foreign or no pair."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from fastnn.datasets import DataError, load
from fastnn.datasets.idx import spellings

IMAGES = np.arange(3 * 2 * 4, dtype=np.uint8).reshape(3, 2, 4)
LABELS = np.uint8([5, 0, 9])


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">{array.ndim + 1}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def write_pair(folder: Path, images: str, labels: str) -> Path:
    for name, array in ((images, IMAGES), (labels, LABELS)):
        raw = idx(array)
        (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return folder / images


@pytest.mark.parametrize("images", spellings("train-images-idx3-ubyte"))
@pytest.mark.parametrize("labels", spellings("train-labels-idx1-ubyte"))
def test_labels_are_found_under_every_spelling(tmp_path, images, labels) -> None:
    data = load(write_pair(tmp_path, images, labels))
    assert data.X.dtype == np.uint8 and np.array_equal(data.X, IMAGES.reshape(3, 8))
    assert data.y.dtype == np.int64 and data.y.tolist() == [5, 0, 9]
    assert data.image_shape == (2, 4) and data.X.flags.writeable


def test_the_spelling_of_the_images_wins(tmp_path) -> None:
    path = write_pair(tmp_path, "a-images-idx3-ubyte", "a-labels-idx1-ubyte")
    (tmp_path / "a-labels.idx1-ubyte.gz").write_bytes(b"damaged")
    assert load(path).y.tolist() == [5, 0, 9]


def test_a_pair_may_have_any_names(tmp_path) -> None:
    write_pair(tmp_path, "pictures", "answers")
    assert load((tmp_path / "pictures", str(tmp_path / "answers"))).y.tolist() == [5, 0, 9]


def test_a_name_in_gz_may_hold_unpacked_bytes(tmp_path) -> None:
    (tmp_path / "x-images-idx3-ubyte.gz").write_bytes(idx(IMAGES))
    assert load(tmp_path / "x-images-idx3-ubyte.gz").y is None


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (b"", "is empty"),
        (b"\0\0\x08", "it has only 3 bytes"),
        (b"<!DOCTYPE html>", r"is not IDX images \(magic number 2051\): it begins with b'<!DO'"),
        (idx(LABELS), r"it begins with .* \(2049\), IDX labels"),
        (idx(IMAGES)[:9], "is truncated: its header takes 16 bytes, and there are 9"),
        (idx(IMAGES)[:-1], r"is truncated: shape \(3, 2, 4\) takes 40 bytes, and there are 39"),
        (idx(IMAGES) + b"\0", "is damaged: shape"),
        (struct.pack(">4I", 2051, *[2**32 - 1] * 3), "is truncated"),
        (gzip.compress(idx(IMAGES))[:-12], "is truncated or damaged gzip"),
        (gzip.compress(idx(IMAGES))[:5], "is truncated or damaged gzip"),
        (b"\x1f\x8b" + b"\xff" * 40, "is truncated or damaged gzip"),
        (idx(IMAGES[:2]), "has 2 images but .* has 3 labels; they are no pair"),
        (idx(IMAGES[:0]), "is empty: its samples have shape"),
    ],
)
def test_bad_images_get_a_sentence(tmp_path, images, sentence) -> None:
    path = write_pair(tmp_path, "t-images-idx3-ubyte.gz", "t-labels-idx1-ubyte.gz")
    path.write_bytes(images)
    with pytest.raises(DataError, match=sentence):
        load(path)


def test_labels_alone_get_a_sentence(tmp_path) -> None:
    write_pair(tmp_path, "t-images-idx3-ubyte", "t-labels-idx1-ubyte")
    with pytest.raises(DataError, match="is a labels file; give its images file"):
        load(tmp_path / "t-labels-idx1-ubyte")


def test_no_images_at_all_get_a_sentence(tmp_path) -> None:
    (tmp_path / "t-images-idx3-ubyte").write_bytes(idx(IMAGES[:0]))
    with pytest.raises(DataError, match="is empty"):
        load(tmp_path / "t-images-idx3-ubyte")
