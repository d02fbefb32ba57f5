"""FLOOR 0: files that are either the old or the new one.

Whatever interrupts the writing (an error, a kill, a full disk, a power cut), the path never holds a part.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat


def is_device(path: str | os.PathLike[str]) -> bool:
    """Whether there is something else than a file or a folder: renaming a file to /dev/null would remove that."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def replace_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path` so that the file there is the old one until the new one is safely on the disk.

    The data goes to a temporary file in the same folder, which is synced, renamed over `path`, and made to
    last by syncing the folder. The temporary file is removed if that fails. A symbolic link stays one.

    Parameters
    ----------
    path : str or path-like
        The file to write; its folder must exist.
    data : bytes
        The whole content.

    Raises
    ------
    OSError
        If it cannot be written; the file that was there is unchanged. It names `path`.
    """
    given, path = os.fspath(path), os.path.realpath(path)
    folder = os.path.dirname(path)
    if is_device(given):
        raise OSError(errno.EINVAL, "it is a device or a pipe, not a file", given)
    temporary = os.path.join(folder, f".{secrets.token_hex(8)}.tmp")
    try:
        # "x" and not the tempfile module: the file gets the user's usual permissions, not 0600.
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            error.filename = given  # not the temporary file's
        raise
    if os.name == "posix":  # Windows cannot open a folder
        # Some network file systems refuse to sync a folder; the file itself is complete.
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
