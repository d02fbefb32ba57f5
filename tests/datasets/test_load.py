"""datasets.load: names, paths, and the sentences for what is neither."""

from __future__ import annotations

import contextlib
import gzip
import struct
import subprocess
import sys

import numpy as np
import pytest

from fastnn.datasets import NAMES, DataError, Dataset, load


def test_digits_are_split_by_class_and_always_the_same() -> None:
    data = load("digits")
    assert data.X.shape == (1347, 64) and data.X.dtype == np.uint8 and data.X.max() == 16
    assert data.X_test.shape == (450, 64) and len(data.y_test) == 450
    assert data.y.dtype == np.int64 and data.image_shape == (8, 8) and data.input_scale == 1 / 16
    counts = np.bincount(data.y) / len(data.y) - np.bincount(data.y_test) / len(data.y_test)
    assert np.abs(counts).max() < 0.005
    assert np.array_equal(load("digits").X_test, data.X_test)


def test_a_path_chooses_the_loader(tmp_path) -> None:
    (tmp_path / "a.csv").write_text("a,label\n1,2\n")
    (tmp_path / "b.data").write_text("1,2\n")
    np.savez(tmp_path / "c.npz", X=np.ones((1, 3)), y=[1])
    assert load(tmp_path / "a.csv").y.tolist() == [2]
    assert load(str(tmp_path / "b.data"), label="1").y.tolist() == [2]
    assert load(tmp_path / "c.npz").name == "c.npz"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("minst", "did you mean 'mnist'"),
        ("imagenet", f"the names are {', '.join(NAMES)}"),
        ("nowhere.csv", "there is no file nowhere.csv"),
        ("nowhere.npz", "there is no file nowhere.npz"),
        ("a-images-idx3-ubyte", "there is no file a-images-idx3-ubyte"),
        (("a", "b", "c"), "got 3 elements"),
        (7, "got int"),
    ],
)
def test_an_unknown_source_gets_a_sentence(source, sentence, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=sentence):
        load(source)


def test_a_file_of_unknown_kind_and_a_folder_get_a_sentence(tmp_path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match="of no kind that is known"):
        load(tmp_path / "x.parquet")
    for folder in (tmp_path / "folder.csv", tmp_path):
        with pytest.raises(DataError, match="is a folder; give the path of a file in it"):
            load(folder)


@pytest.mark.parametrize("source", ["digits", ("i", "l"), "x.npz", "i-images-idx3-ubyte"])
def test_a_label_column_is_for_csv_only(source) -> None:
    with pytest.raises(DataError, match="label='y' names the label column of a CSV file"):
        load(source, label="y")


def test_damage_anywhere_is_a_data_error_or_none(tmp_path) -> None:
    rng = np.random.default_rng(0)
    np.savez_compressed(tmp_path / "t.npz", X=np.arange(12.0).reshape(4, 3), y=np.array([*"abab"]))
    (tmp_path / "t.csv").write_text('a,b,label\n1.5,2,red\n3,4,"blu,e"\n')
    (tmp_path / "t-images-idx3-ubyte").write_bytes(struct.pack(">4I", 2051, 3, 2, 4) + bytes(24))
    (tmp_path / "u-images-idx3-ubyte.gz").write_bytes(gzip.compress((tmp_path / "t-images-idx3-ubyte").read_bytes()))
    for path in tmp_path.iterdir():
        whole = path.read_bytes()
        load(path)
        for _ in range(200):
            damaged = bytearray(whole)
            for place in rng.integers(0, len(whole), 3):
                damaged[place] = rng.integers(0, 256)
            path.write_bytes(damaged[: rng.integers(1, 2 * len(whole))])
            with contextlib.suppress(DataError):
                load(path)


def test_a_data_set_checks_that_its_parts_fit() -> None:
    X, y = np.ones((3, 2)), np.arange(3)
    with pytest.raises(DataError, match="3 samples but 2 labels"):
        Dataset("d", X, y[:2])
    with pytest.raises(DataError, match="3 test samples but 1 test labels"):
        Dataset("d", X, y, X, y[:1])
    with pytest.raises(DataError, match="2 features in its training part and 1 in its test part"):
        Dataset("d", X, y, X[:, :1], y)
    with pytest.raises(DataError, match="labels for a test part but no samples"):
        Dataset("d", X, y, None, y)
    with pytest.raises(DataError, match="is empty"):
        Dataset("d", X[:0])


def test_labels_can_be_required() -> None:
    data = Dataset("d.csv", np.ones((3, 2)))
    assert repr(data) == "<Dataset d.csv: 3 samples, 2 features (float64), no labels>"
    with pytest.raises(DataError, match=r"d\.csv has no labels"):
        data.require_labels()
    labelled = Dataset("d", np.ones((3, 2)), np.arange(3))
    assert labelled.require_labels() is labelled


def test_import_is_light() -> None:
    code = "import sys, fastnn.datasets; print({'sklearn', 'pooch', 'requests'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set()"
