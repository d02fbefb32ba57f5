"""Archives of NumPy: the names that are in use, and no pickles."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn.datasets import DataError, load


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "t.npz", **arrays)
        return tmp_path / "t.npz"

    return write


def test_keras_names_and_images(npz) -> None:
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    data = load(npz(x_train=images, y_train=np.uint8([4, 2]), x_test=images[:1], y_test=np.uint8([4]), extra=1))
    assert data.X.dtype == np.uint8 and data.X.shape == (2, 12) and data.image_shape == (3, 4)
    assert data.y.dtype == np.int64 and data.y.tolist() == [4, 2]
    assert data.X_test.tolist() == [list(range(12))] and data.y_test.tolist() == [4]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("u1", "u1"), ("f4", "f4"), ("f8", "f8"), (">f4", "f4"), ("i4", "f8"), ("f2", "f8"), ("?", "f8")],
)
def test_type_of_samples(npz, given, kept) -> None:
    X = load(npz(X=np.array([[0, 1]], given))).X
    assert X.dtype == np.dtype(kept) and X.dtype.isnative and X.tolist() == [[0, 1]]


@pytest.mark.parametrize("y", [np.array(["a", "b"]), np.array([0.5, 1]), np.array([[1, 0], [0, 1]])])
def test_labels_may_be_text_targets_or_rows(npz, y) -> None:
    assert np.array_equal(load(npz(X=np.ones((2, 3)), y=y)).y, y)


def test_labels_may_be_absent(npz) -> None:
    assert load(npz(X=np.ones((2, 3)))).y is None


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"data": np.ones(3)}, "no array X or x_train; it has data"),
        ({"X": np.ones((2, 2)), "x_train": np.ones((2, 2))}, "has X and x_train"),
        ({"X": np.ones(3)}, r"X in .* got shape \(3,\) of float64"),
        ({"X": np.array([["a"]])}, "must be an array of numbers"),
        ({"X": np.ones((2, 2), complex)}, "complex128"),
        ({"X": np.array([[None]], object)}, "cannot be read as .npz archive: Object arrays"),
        ({"X": np.ones((2, 2)), "y": np.ones(2, complex)}, "y in .* must be numbers or text"),
        ({"X": np.ones((2, 2)), "y": np.ones(3)}, "2 samples but 3 labels"),
        ({"X": np.ones((0, 28, 28))}, "is empty"),
        ({"X": np.ones((2, 2)), "X_test": np.ones((2, 3))}, "2 features in its training part and 3"),
    ],
)
def test_bad_archives_get_a_sentence(npz, arrays, sentence) -> None:
    with pytest.raises(DataError, match=sentence):
        load(npz(**arrays))


def test_damaged_archives_get_a_sentence(npz, tmp_path) -> None:
    path = npz(X=np.ones((100, 100)))
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(DataError, match=r"is not an \.npz archive, or is truncated"):
        load(path)
    path.write_bytes(raw[:40_000] + b"\xff" * 8 + raw[40_008:])
    with pytest.raises(DataError, match=r"cannot be read as \.npz archive"):
        load(path)
    np.save(tmp_path / "one.npy", np.ones((2, 2)))
    (tmp_path / "one.npy").rename(path)
    with pytest.raises(DataError, match=r"np\.savez writes one"):
        load(path)


@pytest.mark.parametrize("key", ["X", "y"])
def test_the_row_of_a_number_that_is_not_finite_is_that_of_the_file(tmp_path, key):
    arrays = {"X": np.zeros((9, 2)), "y": np.zeros((9, 1))}
    arrays[key][7, 0] = np.nan
    np.savez(tmp_path / "holes.npz", **arrays)
    with pytest.raises(DataError, match=rf"{key} in .*holes.npz must be finite, got nan at index \(7, 0\)"):
        load(tmp_path / "holes.npz")
