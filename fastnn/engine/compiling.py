"""FLOOR 3: the machine code of a program: kept on disk, or compiled now, its parts at the same time.

Numba compiles on one core. So each part is compiled by a process of its own: a first fit takes 0.6 of the time, and
this process does not import Numba. Where no other process can help, all is compiled here, one part after the other.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Hashable
from pathlib import Path

from fastnn import _machine_code

# What is compiled apart
PARTS = {"train": ("train", "learn"), "predict": ("predict",)}
# Much longer than it takes: then something is wrong with the other process, and this one does its work
_PATIENCE_SECONDS = 120
# Numba would import SciPy, which no kernel needs, for a quarter of a second
_HELPER = """\
import pickle, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.modules["scipy"] = None
sys.path[:] = pickle.load(sys.stdin.buffer)
from fastnn.engine.compiling import answer
answer()
"""


def begin(name: str, signature: Hashable) -> None:
    """Have a program compiled meanwhile, if it is not on disk, for it will be needed soon."""
    for part, file in _files(name, signature).items():
        if file not in _begun and _machine_code.read(file) is None:
            _begun[file] = _Helper(part, signature)


def end(name: str, signature: Hashable) -> None:
    """Stop what was begun, if nobody has needed it."""
    for file in _files(name, signature).values():
        if helper := _begun.pop(file, None):
            helper.end()


def machine_codes(name: str, signature: Hashable, has_help: Callable[[], bool]) -> list[bytes]:
    """The machine code of each part of a program for arguments of a signature (see kernels.words).

    `has_help` says whether other cores may compile too.
    """
    files = _files(name, signature)
    codes = {part: _machine_code.read(file) for part, file in files.items()}
    missing = [part for part, code in codes.items() if code is None]
    helpers = [_begun.pop(files[part], None) for part in missing]
    if missing and has_help():
        helpers = [helper or _Helper(part, signature) for part, helper in zip(missing, helpers, strict=True)]
    try:
        for part, helper in zip(missing, helpers, strict=True):
            codes[part] = code = (helper and helper.result()) or _compile(part, signature)
            _machine_code.keep(files[part], code)
    finally:
        for helper in helpers:
            if helper:
                helper.end()
    return [code for code in codes.values() if code is not None]


def _files(name: str, signature: Hashable) -> dict[str, str]:
    """The name of what is kept of each part."""
    digest = hashlib.sha256(repr(signature).encode()).hexdigest()[:16]
    return {part: f"{part}-{digest}" for part in PARTS[name]}


def _compile(part: str, signature: Hashable) -> bytes:
    if _machine_code.kernel_hash.__wrapped__() != _machine_code.kernel_hash():
        raise RuntimeError(
            "fastnn's sources or Numba's settings are not those of this process any more: restart Python"
        )

    from fastnn.kernels import programs  # Numba: not before something has to be compiled

    return programs.PARTS[part](signature)


def answer() -> None:
    """What a helper does: read which part is wanted, and write its machine code if it is of the same sources."""
    kernel_hash, part, signature = pickle.load(sys.stdin.buffer)
    if kernel_hash == _machine_code.kernel_hash():
        sys.stdout.buffer.write(_machine_code.sealed(_compile(part, signature)))


class _Helper:
    """A process that compiles a part. Whatever goes wrong with it, there is no result, and that is all."""

    def __init__(self, part: str, signature: Hashable) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        python = sys.executable or ""
        if not Path(python).name.lower().startswith("python"):  # Python within another program
            return
        request = _machine_code.kernel_hash(), part, signature
        try:
            self._process = subprocess.Popen(
                [python, "-P", "-c", _HELPER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if name != "NUMBA_DISABLE_JIT"},
            )
            assert self._process.stdin is not None
            self._process.stdin.write(pickle.dumps(sys.path) + pickle.dumps(request))
            self._process.stdin.close()
            self._process.stdin = None  # or communicate would write to it
        except OSError:
            self.end()

    def result(self) -> bytes | None:
        """The machine code, once it is there."""
        if self._process is None:
            return None
        try:
            output, _ = self._process.communicate(timeout=_PATIENCE_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return _machine_code.unsealed(output)

    def end(self) -> None:
        """Stop the process if it still runs, and leave nothing of it."""
        if self._process is not None:
            self._process.kill()
            with self._process:  # waits, and closes the pipe
                pass


# Those that nobody has waited for yet, by the name of what they make
_begun: dict[str, _Helper] = {}

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begun.clear)  # they are the parent's


@atexit.register
def _end_all() -> None:
    for helper in list(_begun.values()):
        helper.end()
