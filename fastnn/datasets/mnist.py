"""FLOOR 4: MNIST, from FASTNN_DATA, else the user's cache, else two mirrors; every file checked by SHA-256.

Source: Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits, 1998 (CC BY-SA 3.0).
Nothing is fetched at import, and nothing at all when FASTNN_DATA has the four files.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from fastnn.datasets.dataset import DataError, Dataset
from fastnn.datasets.idx import load_pair, spellings

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

# File: SHA-256 as published (gzip), SHA-256 unpacked.
SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte.gz": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k-images-idx3-ubyte.gz": (
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}

_TIMEOUT = 30  # seconds without an answer before the next mirror is tried


def load_mnist(cache: bool = True) -> Dataset:
    """Return MNIST: 60,000 training and 10,000 test samples of 784 uint8 features, labels 0 to 9.

    Each of the four files is taken from the folder that the environment variable FASTNN_DATA names (or its
    subfolder mnist), in either spelling, gzipped or not; else from the user's cache; else it is downloaded
    there from the first of `MIRRORS` that has it.

    Raises
    ------
    DataError
        If a file in FASTNN_DATA is not the published one, or a file can neither be found nor downloaded.
    """
    train_images, train_labels, test_images, test_labels = map(_locate, SHA256)
    train, test = load_pair(train_images, train_labels, cache), load_pair(test_images, test_labels, cache)
    return replace(train, name="mnist", X_test=test.X, y_test=test.y)


def _locate(name: str) -> Path:
    """Return the path of a file that has the published content."""
    folder = os.environ.get("FASTNN_DATA")
    if folder:
        root = Path(folder).expanduser()
        candidates = (place / spelling for place in (root / "mnist", root) for spelling in spellings(name))
        path = next((path for path in candidates if path.is_file()), None)
        if path is not None:
            return _verified(path, SHA256[name])
    return _fetch(name)


def _verified(path: Path, hashes: tuple[str, ...]) -> Path:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    if found not in hashes:
        raise DataError(
            f"{path} is not the published MNIST file: its SHA-256 begins with {found[:12]}, not "
            f"{hashes[0][:12]}; replace or remove it"
        )
    return path


def _fetch(name: str) -> Path:
    """Return the file from the user's cache; pooch checks its hash there and downloads it if need be."""
    import pooch

    cache = Path(pooch.os_cache("fastnn")) / "mnist"
    failures = []
    for mirror in MIRRORS:
        try:
            downloader = pooch.HTTPDownloader(timeout=_TIMEOUT)
            return Path(pooch.retrieve(mirror + name, SHA256[name][0], name, cache, downloader=downloader))
        # OSError: no network, no answer, an HTTP error, no place to write. ValueError: another content.
        except (OSError, ValueError) as error:
            failures.append(f"{mirror}: {error}")
    folder = os.environ.get("FASTNN_DATA") or "not set"
    raise DataError(
        f"{name} of MNIST is neither in FASTNN_DATA ({folder}) nor in the cache {cache}, and could not be "
        "downloaded. Run once where there is a network, or set FASTNN_DATA to a folder with the files "
        f"{', '.join(SHA256)}. Tried: {'; '.join(failures)}"
    )
