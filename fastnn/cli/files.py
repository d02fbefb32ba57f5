"""FLOOR 4: the arguments of the commands that name data and files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import datasets
from fastnn._files import is_device
from fastnn.cli.options import UsageError
from fastnn.datasets.idx import labels_beside

DATA_HELP = (
    "digits (embedded), mnist (from FASTNN_DATA, the cache or the network), a CSV file (Kaggle's form, or "
    "any with --label), an .npz file, or IDX images (their labels are found beside them, or IMAGES,LABELS)"
)


def add_data(parser: Any) -> None:
    """Add the positional argument DATA."""
    parser.add_argument("data", metavar="DATA", help=DATA_HELP)


def add_label(parser: Any) -> None:
    """Add the option --label."""
    parser.add_argument(
        "--label",
        metavar="COLUMN",
        help="label column of a CSV file: its name, or its number from 0 (default: label)",
    )


def add_part(parser: Any) -> None:
    """Add the options that choose what of the data is used: --label and --part."""
    add_label(parser)
    parser.add_argument(
        "--part",
        choices=("train", "test"),
        help="the part of the data to use (default: test if there is one, else all)",
    )


def load_data(source: str, label: str | None) -> datasets.Dataset:
    """Load what the argument DATA names."""
    pair = _pair(source)
    return datasets.load(source if pair is None else pair, label=label)


def _pair(source: str) -> tuple[str, str] | None:
    """Return IMAGES and LABELS where DATA names both."""
    images, comma, labels = source.partition(",")
    return (images, labels) if comma and not Path(source).exists() else None


def check_keeps(path: str, flag: str, *, data: str, model: str | None = None, config: str | None = None) -> None:
    """Raise UsageError if writing `path` would overwrite what is read: the data, the model, the settings."""
    inputs = [] if data in datasets.NAMES else [(name, "DATA") for name in _pair(data) or _files(data)]
    inputs += [(name, argument) for name, argument in ((model, "MODEL"), (config, "--config")) if name is not None]
    for name, argument in inputs:
        try:
            is_same = os.path.samefile(path, Path(name).expanduser())
        except OSError:  # one of them does not exist
            continue
        if is_same:
            raise UsageError(f"{flag} {path} is {argument} itself, which would be overwritten; choose another {flag}")


def check_makeable(path: Path) -> None:
    """Raise OSError with a sentence if `path` neither is a folder that can be written nor can become one.

    A file is tried, as in `check_writable`; nothing is made.
    """
    above = path
    while not above.exists():
        above = above.parent
    if not above.is_dir():
        raise OSError(f"{path} cannot be a folder: {above} is a file; choose another --out")
    try:
        tempfile.TemporaryFile(dir=above).close()
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror or error}; choose another --out") from None


def check_apart(outputs: Iterable[tuple[str, str]]) -> None:
    """Raise UsageError if two outputs, each an option and its path, are one file."""
    taken: dict[Path, str] = {}
    for flag, path in outputs:
        other = taken.setdefault(Path(path).resolve(), flag)
        if other != flag:
            raise UsageError(f"{flag} {path} is a file that {other} writes; choose another {flag}")


def _files(source: str) -> list[str]:
    """Return the files that a DATA which is a path is read from."""
    path = Path(source).expanduser()
    is_images = "idx" in path.name and "images" in path.name
    labels = labels_beside(path) if is_images else None
    return [source] if labels is None else [source, str(labels)]


def choose_part(data: datasets.Dataset, part: str | None) -> tuple[str, np.ndarray, np.ndarray | None]:
    """Return what --part means for this data: its name, samples and labels."""
    if part == "test" and data.X_test is None:
        raise UsageError(f"--part test: {data.name} has no test part")
    if part == "train" or data.X_test is None:
        return "training" if part else "all", data.X, data.y
    return "test", data.X_test, data.y_test


def default_model_path(source: str) -> str:
    """Return where the model of this DATA is saved: its name in the current folder."""
    name = Path(source.partition(",")[0]).name
    return f"{name.split('.')[0] or 'model'}.safetensors"


def check_writable(path: str, flag: str) -> None:
    """Raise OSError with a sentence if a file cannot be written at `path`: before the work, not after it.

    A file is tried: permissions alone do not tell (read-only mounts, quotas, superusers).
    """
    if Path(path).is_dir():
        raise OSError(f"{Path(path)} is a folder; give {flag} the path of a file in it")
    if is_device(path):
        raise OSError(f"{path} is a device or a pipe, not a file; choose another {flag}")
    folder = Path(path).parent
    if not folder.is_dir():
        raise OSError(f"{path} cannot be written: there is no folder {folder}; make it or choose another {flag}")
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"{path} cannot be written: {reason}; choose another {flag}") from None
