"""FLOOR 4: the arguments of the commands that name data and files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import datasets
from fastnn.cli.options import UsageError
from fastnn.engine.files import is_device

DATA_HELP = (
    "digits (embedded), mnist (from FASTNN_DATA, the cache or the network), a CSV file (Kaggle's form, or "
    "any with --label), an .npz file, or IDX images (their labels are found beside them, or IMAGES,LABELS)"
)


def add_data(parser: Any) -> None:
    """Add the positional argument DATA."""
    parser.add_argument("data", metavar="DATA", help=DATA_HELP)


def add_part(parser: Any) -> None:
    """Add the options that choose what of the data is used: --label and --part."""
    parser.add_argument(
        "--label",
        metavar="COLUMN",
        help="label column of a CSV file: its name, or its number from 0 (default: label)",
    )
    parser.add_argument(
        "--part",
        choices=("train", "test"),
        help="the part of the data to use (default: test if there is one, else all)",
    )


def load_data(source: str, label: str | None) -> datasets.Dataset:
    """Load what the argument DATA names."""
    images, comma, labels = source.partition(",")
    if comma and not Path(source).exists():
        return datasets.load((images, labels), label=label)
    return datasets.load(source, label=label)


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
        raise OSError(f"{path} is a folder; give {flag} the path of a file in it")
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
