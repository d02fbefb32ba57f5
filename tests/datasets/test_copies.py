"""Copies of big files: the same data set, only while the file is the same, and never an error."""

from __future__ import annotations

import gzip
import os
import struct
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fastnn.datasets import DataError, copies, csv_file, idx, load
from fastnn.datasets.files import read_bytes

TEXT = "label,pixel0,pixel1,pixel2,pixel3\n7,0,255,3,4\n1,9,8,7,6\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """The folder of the copies, with files of any size and age copied to it."""
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(copies, "LEAST_BYTES", 0)
    monkeypatch.setattr(copies, "SETTLED_SECONDS", -1.0)
    return tmp_path / "cache" / "tables"


@pytest.fixture
def parsed(monkeypatch) -> list[Path]:
    """The files that were parsed and not taken from a copy."""
    paths = []
    load_csv = csv_file.load_csv

    def count(path, label=None):
        paths.append(path)
        return load_csv(path, label)

    monkeypatch.setattr(csv_file, "load_csv", count)
    return paths


@pytest.fixture
def table(tmp_path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text(TEXT)
    return path


def assert_same(a, b) -> None:
    assert (a.name, a.image_shape, a.feature_names, a.input_scale) == (
        b.name,
        b.image_shape,
        b.feature_names,
        b.input_scale,
    )
    assert a.X.dtype == b.X.dtype and np.array_equal(a.X, b.X)
    assert a.X.flags.c_contiguous and a.X.flags.writeable
    assert (a.y is None) == (b.y is None)
    assert a.y is None or (a.y.dtype == b.y.dtype and np.array_equal(a.y, b.y))


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "pixel0,pixel1,pixel2,pixel3\n0,255,3,4\n",
        "a,b,label\n0.1,-1e300,2.5\n3,4,5\n",
        'a,"b\ufeff, c",label\n1,2,"caf\u00e9, red"\n3,4,\U0001f600\n',
        "1,2\n3,4\n",
    ],
    ids=["pixels", "unlabelled", "targets", "text", "bare"],
)
def test_a_copy_is_the_same_data_set(table, parsed, text) -> None:
    table.write_text(text, encoding="utf-8")
    first, second = load(table), load(str(table))
    assert len(parsed) == 1
    assert_same(first, load(table, cache=False))
    assert_same(second, first)
    assert all(isinstance(n, int) for n in second.image_shape or ())


def test_a_file_is_read_again_when_it_has_changed(table, parsed, folder) -> None:
    load(table)
    status = table.stat()
    table.write_text(TEXT.replace("255", "254"))  # as long as before
    os.utime(table, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert load(table).X[0, 1] == 254
    other = table.with_name("other.csv")
    other.write_text(TEXT)
    os.replace(other, table)
    assert load(table).X[0, 1] == 255
    os.utime(table, (1, 1))
    load(table)
    assert len(parsed) == 4 and len(list(folder.iterdir())) == 1


def test_a_file_that_was_just_written_is_not_copied(table, parsed, folder, monkeypatch) -> None:
    monkeypatch.setattr(copies, "SETTLED_SECONDS", 60.0)
    os.utime(table, (1, 1))  # its time of change is now all the same
    load(table), load(table)
    assert len(parsed) == 2 and not list(folder.iterdir())


def test_a_file_that_changes_while_it_is_read_is_not_copied(table, folder, monkeypatch) -> None:
    load_csv = csv_file.load_csv

    def and_change(path, label=None):
        data = load_csv(path, label)
        path.write_text(TEXT + "2,1,1,1,1\n")
        return data

    monkeypatch.setattr(csv_file, "load_csv", and_change)
    assert len(load(table).X) == 2
    assert not list(folder.iterdir())


def test_each_label_column_has_its_copy(table, parsed) -> None:
    for _ in range(2):
        assert load(table).y.tolist() == [7, 1]
        assert load(table, label="pixel3").y.tolist() == [4, 6]
        assert load(table, label="0").y.tolist() == [7, 1]
    assert len(parsed) == 3


def test_small_files_are_not_copied_and_nothing_is_without_cache(table, parsed, folder, monkeypatch) -> None:
    load(table, cache=False)
    assert not folder.exists()
    monkeypatch.setattr(copies, "LEAST_BYTES", len(TEXT) + 1)
    load(table)
    assert not folder.exists()
    with pytest.raises(TypeError, match="cache must be True or False, got 'no'"):
        load(table, cache="no")


def test_a_bad_file_is_refused_again_and_again(table, folder) -> None:
    table.write_text(TEXT + "2,1,,1,1\n")
    for _ in range(2):
        with pytest.raises(DataError, match=r"line 4 of .*column 'pixel1': the cell is missing"):
            load(table)
    with pytest.raises(DataError, match="there is no file"):
        load(table.with_name("none.csv"))
    assert not list(folder.iterdir())


def test_a_damaged_copy_is_a_miss(table, folder) -> None:
    rows = "".join(f"{i % 10},{i % 256},{i * 7 % 256},{i * 3 % 256},1\n" for i in range(200))
    table.write_text(TEXT + rows)
    expected = load(table)
    (copy,) = folder.iterdir()
    whole = copy.read_bytes()
    rng = np.random.default_rng(0)
    for k in range(300):
        damaged = bytearray(whole)
        damaged[rng.integers(0, len(whole))] ^= 1 << rng.integers(0, 8)
        copy.write_bytes(damaged if k % 3 else damaged[: rng.integers(0, len(whole))])
        assert_same(load(table), expected)


def test_a_foreign_copy_is_a_miss(table, folder, parsed) -> None:
    load(table)
    (copy,) = folder.iterdir()
    other = table.with_name("other.csv")
    other.write_text("a,label\n1,2\n")
    load(other)
    (foreign,) = set(folder.iterdir()) - {copy}
    os.replace(foreign, copy)
    assert load(table).X.shape == (2, 4)
    np.savez(copy, X=np.ones((2, 2)))
    assert load(table).X.shape == (2, 4)
    np.savez(copy, about=np.array([{}], object), X=np.ones((2, 2)))  # a pickle
    assert load(table).X.shape == (2, 4)
    assert len(parsed) == 5


def test_another_version_of_the_reader_reads_again(table, parsed, monkeypatch) -> None:
    load(table)
    monkeypatch.setattr(copies, "_reader", lambda: "another")
    load(table), load(table)
    assert len(parsed) == 2


def test_a_folder_that_cannot_be_made_or_written_is_silent(table, tmp_path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(tmp_path / "file"))
    assert load(table).X.shape == (2, 4)

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("FASTNN_CACHE_DIR", str(tmp_path / "full"))
    monkeypatch.setattr("os.replace", refuse)
    assert load(table).X.shape == (2, 4)
    assert not list((tmp_path / "full" / "tables").iterdir())


def test_without_a_home_folder_files_are_read_all_the_same(table, monkeypatch) -> None:
    def refuse(cls):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", classmethod(refuse))
    for name in ("FASTNN_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    assert load(table).X.shape == (2, 4)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_only_a_private_folder_is_trusted(table, parsed, folder, tmp_path) -> None:
    load(table)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    load(table)
    folder.chmod(0o700)
    assert len(parsed) == 2
    mine = tmp_path / "mine"
    folder.rename(mine)
    folder.symlink_to(mine)
    load(table)
    assert len(parsed) == 3


def test_the_copies_that_were_not_used_for_longest_make_room(table, folder, monkeypatch) -> None:
    made = []
    for k in range(4):
        path = table.with_name(f"{k}.csv")
        path.write_text(TEXT)
        load(path)
        (copy,) = set(folder.iterdir()) - set(made)
        os.utime(copy, (time.time() - 100 + k,) * 2)
        made.append(copy)
    (folder / "notes.npz").write_bytes(bytes(10_000))
    unfinished = [folder / f"{'0' * 32}.npz.{digit * 16}" for digit in "ab"]
    for path in unfinished:
        path.touch()
    os.utime(unfinished[0], (1, 1))
    load(table.with_name("0.csv"))  # used again: now the newest of the four
    monkeypatch.setattr(copies, "MOST_BYTES", 3 * made[0].stat().st_size + 100)
    load(table)
    assert [copy.exists() for copy in made] == [True, False, False, True]
    assert (folder / "notes.npz").exists()
    assert [path.exists() for path in unfinished] == [False, True]


def test_what_is_bigger_than_all_room_is_not_copied(table, folder, monkeypatch) -> None:
    monkeypatch.setattr(copies, "MOST_BYTES", 7)
    load(table)
    assert not list(folder.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_a_pipe_is_read_once(tmp_path, folder) -> None:
    descriptors = os.pipe()
    os.write(descriptors[1], TEXT.encode())
    os.close(descriptors[1])
    pipe = tmp_path / "pipe.csv"
    pipe.symlink_to(f"/dev/fd/{descriptors[0]}")
    assert load(pipe).X.shape == (2, 4)
    os.close(descriptors[0])
    assert not folder.exists()


@pytest.mark.slow
def test_a_file_of_the_size_of_kaggles_is_quick(tmp_path) -> None:
    """42,000 x 785 cells, most of them 0 as in digits: read in under 2 s, its copy in under 0.2 s."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (1000, 784)) * (rng.random((1000, 784)) < 0.2)
    rows = "".join(f"{i % 10}," + ",".join(map(str, row)) + "\n" for i, row in enumerate(X.tolist()))
    table = tmp_path / "train.csv"
    table.write_text("label," + ",".join(f"pixel{i}" for i in range(784)) + "\n" + 42 * rows)
    seconds = []
    for cache in (False, False, True, True, True):
        start = time.process_time()
        data = load(table, cache=cache)
        seconds.append(time.process_time() - start)
    assert data.X.shape == (42_000, 784) and np.array_equal(data.X[-1000:], X)
    assert min(seconds[:2]) < 2
    assert min(seconds[3:]) < 0.2


def test_gzipped_images_are_copied_too_but_not_their_labels(tmp_path, folder, monkeypatch) -> None:
    images, labels = tmp_path / "train-images-idx3-ubyte.gz", tmp_path / "train-labels-idx1-ubyte.gz"
    pixels = np.arange(3 * 2 * 4, dtype=np.uint8)
    images.write_bytes(gzip.compress(struct.pack(">4I", 2051, 3, 2, 4) + pixels.tobytes()))
    labels.write_bytes(gzip.compress(struct.pack(">2I", 2049, 3) + b"abc"))
    first = load(images)
    (copy,) = folder.iterdir()

    def of_labels(path):
        assert path == labels
        return read_bytes(path)

    monkeypatch.setattr(idx, "read_bytes", of_labels)
    again = load(images)
    for data in (first, again):
        np.testing.assert_array_equal(data.X, pixels.reshape(3, 8))
        np.testing.assert_array_equal(data.y, list(b"abc"))
        assert (data.name, data.image_shape) == (images.name, (2, 4))
    assert copy.exists()
