"""FLOOR 4: copies of big files as arrays, in the user's cache folder.

Kaggle's 77 MB of CSV take 0.02 s instead of 0.6, MNIST's 9.9 MB of gzipped images 0.03 s instead of 0.25.

A copy counts only while the file is the one that was read. Whatever is wrong with a copy or with the folder is a
miss and no error: the file itself is read. Copies are .npz archives: no pickles, and a checksum over every array.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastnn import _machine_code
from fastnn.datasets.dataset import Dataset

LEAST_BYTES = 5_000_000  # a smaller file is read in 40 ms
MOST_BYTES = 2_000_000_000  # of all copies together; the ones that were not used for longest make room
# A file that was written twice within a tick of its clock looks the same both times; FAT's clock has the longest.
SETTLED_SECONDS = 2.0
_STALE_SECONDS = 3600.0  # after which an unfinished copy belongs to a process that was killed
_NAME = re.compile(r"[0-9a-f]{32}\.npz(\.[0-9a-f]{16})?")


class _Stamp(NamedTuple):
    """What changes when a file does; the last also where its old time was restored after writing."""

    size: int
    inode: int
    modified_ns: int
    changed_ns: int


def load(path: Path, read: Callable[[], Dataset], variant: str = "") -> Dataset:
    """Return what `read()` makes of the file at `path`, and raise what it raises; from a copy if there is one.

    `variant` tells apart what may be read from the same file.
    """
    stamp, now = _stamp(path), time.time_ns()
    folder = _folder() if stamp is not None and stamp.size >= LEAST_BYTES else None
    if stamp is None or folder is None:
        return read()
    copy = folder / _file_name(path, variant)
    data = _read(copy, path.name, stamp)
    if data is None:
        data = read()
        is_settled = now - max(stamp.modified_ns, stamp.changed_ns) > SETTLED_SECONDS * 1e9
        if is_settled and _stamp(path) == stamp:
            _write(copy, data, stamp)
            _make_room(folder)
    return data


def _stamp(path: Path) -> _Stamp | None:
    """Return the stamp of a file; None if there is none, or something else."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return _Stamp(status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)


def _folder() -> Path | None:
    """Return the private folder of the copies, made if need be; None if there can be none.

    Who can write there decides what people train on, so a folder that others may write to, and a link that somebody
    else may have laid, are refused.
    """
    try:
        folder = _machine_code.cache_root() / "tables"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except (OSError, RuntimeError):  # RuntimeError: no home folder
        return None
    is_ours = not hasattr(os, "getuid") or (
        status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )
    return folder if stat.S_ISDIR(status.st_mode) and is_ours else None


def _file_name(path: Path, variant: str) -> str:
    """Return the name of the copy: one for each file and variant, so that a new copy replaces the old one."""
    key = f"{os.path.abspath(path)}\0{variant}"
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()[:32] + ".npz"


@functools.cache
def _reader() -> str:
    """Hash of what reads the files and writes the copies: another version of it may read them differently."""
    digest = hashlib.sha256(np.__version__.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:32]


def _read(copy: Path, name: str, stamp: _Stamp) -> Dataset | None:
    """Return the data set in a copy; None if there is none that is whole and of this stamp."""
    try:
        # Opened here: given a path, NumPy leaves the file open where the archive is bad.
        with copy.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            about = json.loads(archive["about"].item())
            if about["stamp"] != list(stamp) or about["reader"] != _reader():
                return None
            image_shape = about["image_shape"]
            data = Dataset(
                name,
                archive["X"],
                archive["y"] if about["has_labels"] else None,
                image_shape=image_shape and tuple(image_shape),
                feature_names=about["feature_names"],
            )
        os.utime(copy)  # used now: the last to be removed
    except Exception:  # damage can make zipfile, NumPy and json raise nearly everything
        return None
    return data


def _write(copy: Path, data: Dataset, stamp: _Stamp) -> None:
    """Write a copy, whole or not at all; not synced, since what a power cut leaves does not pass for one."""
    if data.X.nbytes > MOST_BYTES:
        return
    temporary = copy.with_name(f"{copy.name}.{secrets.token_hex(8)}")
    try:
        about = {
            "stamp": stamp,
            "reader": _reader(),
            "has_labels": data.y is not None,
            "image_shape": data.image_shape,
            "feature_names": data.feature_names,
        }
        arrays: dict[str, Any] = {"about": np.array(json.dumps(about)), "X": data.X}
        if data.y is not None:
            arrays["y"] = data.y
        with open(temporary, "xb") as file:
            np.savez(file, **arrays)
        os.replace(temporary, copy)
    except OSError:
        return
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _make_room(folder: Path) -> None:
    """Remove the copies that were not used for longest until the others fit, and unfinished ones."""
    now, found = time.time(), []
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if unfinished := _NAME.fullmatch(path.name):
                with contextlib.suppress(OSError):
                    status = path.stat()
                    if not unfinished[1]:
                        found.append((status.st_mtime, status.st_size, path))
                    elif now - status.st_mtime > _STALE_SECONDS:
                        path.unlink()
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= MOST_BYTES:
            return
        with contextlib.suppress(OSError):
            path.unlink()
            total -= size
