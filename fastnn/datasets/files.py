"""FLOOR 4: bytes of a data file, unpacked if it is gzip, with a sentence for everything that can fail.

Whether a file is gzip is read from its first bytes: browsers unpack downloads and keep the .gz in the name.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from fastnn.datasets.dataset import DataError


def read_bytes(path: Path) -> bytes:
    """Return the content of the file `path`, unpacked if it is gzip.

    Raises
    ------
    DataError
        If there is no such file, it cannot be read, it is empty, or its gzip data are damaged.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"there is no file {path}; check its name and folder") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; give the path of a file in it") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    if raw.startswith(b"\x1f\x8b"):
        try:
            raw = gzip.decompress(raw)
        except (EOFError, zlib.error, OSError) as error:
            raise DataError(f"{path} is truncated or damaged gzip ({error}); fetch it again") from error
    if not raw:
        raise DataError(f"{path} is empty")
    return raw
