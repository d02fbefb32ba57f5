"""FLOOR 0: machine code of programs: kept on disk, never stale, and loaded, all without Numba.

Numba is imported only to compile: that takes longer than all else of a start from the cache. A file's folder is named
after a hash of every kernel source, version and setting, so what is found there is what would be compiled.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import os
import platform
import stat
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import llvmlite
from llvmlite import binding

from fastnn._files import replace_file
from fastnn._version import __version__

# What every program is called in its machine code: int32 f(result, exception, words), of Numba's calling convention
SYMBOL = "fastnn_program"
_PROTOTYPE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)

_SOURCES = ("_jit.py", "_machine_code.py", "simd", "ops", "kernels")
_SETTINGS = ("BOUNDSCHECK", "CPU_FEATURES", "CPU_NAME", "ENABLE_AVX", "LOOP_VECTORIZE", "OPT", "SLP_VECTORIZE")
_ENDING = ".o"
_DIGEST_BYTES = hashlib.sha256().digest_size


def setting(name: str) -> str | None:
    """The environment's word on a setting of Numba, for example CPU_NAME."""
    return os.environ.get(f"NUMBA_{name}")


def _numba_version() -> bytes:
    """What identifies the installed Numba, without importing it."""
    found = importlib.util.find_spec("numba")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).with_name("_version.py").read_bytes()


@functools.cache
def kernel_hash() -> str:
    """Hash of everything that decides the machine code: all kernel sources, versions, CPU and environment."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for name in _SOURCES:
        path = root / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{file.relative_to(root).as_posix()}\0".encode())
            digest.update(file.read_bytes())
    digest.update(_numba_version())
    versions = __version__, llvmlite.__version__, sys.version, platform.machine(), sys.platform
    cpu = binding.get_process_triple(), binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()
    digest.update(repr((versions, cpu, [setting(name) for name in _SETTINGS])).encode())
    return digest.hexdigest()[:24]


def cache_root() -> Path:
    """`FASTNN_CACHE_DIR`, or the platform's folder for a user's caches."""
    if chosen := os.environ.get("FASTNN_CACHE_DIR"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "fastnn"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "fastnn"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastnn"


@functools.cache
def cache_folder() -> Path | None:
    """The private folder of this version's programs, made if need be; None, after one warning, if there is none.

    The cached files are run, so a folder that others may write to is refused.
    """
    try:
        folder = cache_root() / f"kernels-{kernel_hash()}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
        if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
            raise OSError(f"{folder} is writable by other users")
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except (OSError, RuntimeError) as error:
        warnings.warn(
            f"compiled kernels cannot be kept on disk ({error}), so every process compiles them again; "
            "set FASTNN_CACHE_DIR to a private folder that can be written",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return folder


def kept() -> list[str]:
    """The names of what is kept."""
    folder = cache_folder()
    return sorted(file.stem for file in folder.glob(f"*{_ENDING}")) if folder else []


def sealed(code: bytes) -> bytes:
    """Machine code behind its digest, by which damage is noticed."""
    return hashlib.sha256(code).digest() + code


def unsealed(content: bytes) -> bytes | None:
    """The machine code in what `sealed` returned; None if it is damaged."""
    code = content[_DIGEST_BYTES:]
    return code if code and sealed(code) == content else None


def read(name: str) -> bytes | None:
    """The machine code that is kept under a name; None if there is none, or if the file is damaged."""
    folder = cache_folder()
    try:
        return unsealed((folder / (name + _ENDING)).read_bytes()) if folder else None
    except OSError:
        return None


def keep(name: str, code: bytes) -> None:
    """Write machine code under a name, if it can be written."""
    if (folder := cache_folder()) is not None:
        with contextlib.suppress(OSError):
            replace_file(folder / (name + _ENDING), sealed(code))


class Function:
    """Machine code of a program, all its parts, that can be run without the GIL."""

    def __init__(self, codes: Iterable[bytes]) -> None:
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        machine = binding.Target.from_default_triple().create_target_machine(jit=True)
        self._engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)  # owns the code
        for code in codes:
            self._engine.add_object_file(binding.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self._run = _PROTOTYPE(self._engine.get_function_address(SYMBOL))

    def on(self, address: int) -> Callable[[], int]:
        """A call with words that are there; what it returns is not 0 if the program ended by an exception."""
        unused = ctypes.byref(ctypes.c_void_p())
        return functools.partial(self._run, unused, unused, address)
