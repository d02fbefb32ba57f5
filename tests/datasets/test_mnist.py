"""MNIST: the real files from FASTNN_DATA; cache, mirrors and hashes with a stand-in for the network."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from fastnn.datasets import DataError, load
from fastnn.datasets.mnist import MIRRORS, SHA256

TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.fixture
def real() -> Path:
    """The folder of the real files; a missing one fails, so that no run is green without them."""
    folder = os.environ.get("FASTNN_DATA")
    if not folder:
        pytest.fail("set FASTNN_DATA to a folder with the MNIST files (scripts/test does)")
    found = [place for place in (Path(folder, "mnist"), Path(folder)) if (place / next(iter(SHA256))).is_file()]
    if not found:
        pytest.fail(f"there are no MNIST files in FASTNN_DATA ({folder})")
    return found[0]


@pytest.fixture
def no_data(real, monkeypatch, tmp_path) -> Path:
    """No FASTNN_DATA, and an empty folder for the user's cache, which is returned."""
    import pooch

    monkeypatch.delenv("FASTNN_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    return tmp_path / "cache" / "fastnn" / "mnist"


@pytest.fixture
def network(monkeypatch, real):
    """Stand-in for the mirrors: `network[mirror]` is called with the name and returns bytes or raises."""
    import pooch

    def original(name: str) -> bytes:
        return (real / name).read_bytes()

    network = dict.fromkeys(MIRRORS, original)
    asked: list[str] = []

    class Downloader:
        def __init__(self, **options) -> None:
            assert options["timeout"] > 0

        def __call__(self, url, output_file, pooch) -> None:
            asked.append(url)
            mirror, _, name = url.rpartition("/")
            Path(output_file).write_bytes(network[mirror + "/"](name))

    monkeypatch.setattr(pooch, "HTTPDownloader", Downloader)
    network["asked"] = asked
    return network


def broken(name: str) -> bytes:
    raise ConnectionError("no route")


def test_real_mnist(real, monkeypatch) -> None:
    import pooch

    monkeypatch.setattr(pooch, "retrieve", lambda *args, **options: pytest.fail("nothing may be downloaded"))
    data = load("mnist")
    assert data.name == "mnist" and data.image_shape == (28, 28) and data.input_scale is None
    assert data.X.shape == (60_000, 784) and data.X.dtype == np.uint8 and data.X_test.shape == (10_000, 784)
    assert np.bincount(data.y).tolist() == TRAIN_COUNTS and np.bincount(data.y_test).tolist() == TEST_COUNTS
    assert round(1 - np.count_nonzero(data.X) / data.X.size, 3) == 0.809


def test_unpacked_files_of_the_other_spelling_in_the_folder_itself(real, tmp_path, monkeypatch) -> None:
    for name in SHA256:
        other = name.replace("-idx", ".idx").removesuffix(".gz")
        (tmp_path / other).write_bytes(gzip.decompress((real / name).read_bytes()))
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path))
    assert load("mnist").X.shape == (60_000, 784)


def test_another_file_in_the_folder_is_refused(real, tmp_path, monkeypatch) -> None:
    for name in SHA256:
        shutil.copyfile(real / name, tmp_path / name)
    bad = tmp_path / "t10k-labels-idx1-ubyte.gz"
    bad.write_bytes(gzip.compress(b"\0\0\x08\x01" + b"\0" * 10_004))
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"t10k-labels.* is not the published MNIST file: its SHA-256 begins"):
        load("mnist")


def test_download_then_cache(no_data, network) -> None:
    assert len(load("mnist").X) == 60_000
    assert network["asked"] == [MIRRORS[0] + name for name in SHA256]
    network["asked"].clear()
    assert len(load("mnist").X) == 60_000
    assert network["asked"] == []


def test_a_damaged_cache_is_fetched_again(no_data, network) -> None:
    load("mnist")
    network["asked"].clear()
    (no_data / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    load("mnist")
    assert network["asked"] == [MIRRORS[0] + "t10k-labels-idx1-ubyte.gz"]


@pytest.mark.parametrize("first", [broken, lambda name: b"<html>403</html>"])
def test_the_second_mirror_follows_the_first(no_data, network, first) -> None:
    network[MIRRORS[0]] = first
    assert len(load("mnist").X) == 60_000
    assert len(network["asked"]) == 8


def test_offline_says_what_to_do(no_data, network) -> None:
    network.update(dict.fromkeys(MIRRORS, broken))
    with pytest.raises(DataError, match=r"FASTNN_DATA \(not set\).*Run once where there is a network") as caught:
        load("mnist")
    assert all(name in str(caught.value) for name in (*SHA256, *MIRRORS, str(no_data), "no route"))


def test_a_false_download_is_not_kept(no_data, network) -> None:
    network.update(dict.fromkeys(MIRRORS, lambda name: b"<html>captive portal</html>"))
    with pytest.raises(DataError, match="SHA256 hash"):
        load("mnist")
    assert list(no_data.glob("*")) == []


def test_a_cache_that_cannot_be_written_gets_a_sentence(no_data, network) -> None:
    no_data.parent.parent.write_text("a file where the folder should be")
    with pytest.raises(DataError, match="could not be downloaded"):
        load("mnist")
