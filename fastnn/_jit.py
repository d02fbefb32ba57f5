"""FLOOR 0: the only file that says njit: the decorators, their flags, and the cache of compiled programs.

`op` is mathematics inlined into its callers, `piece` a part of a kernel, `program` an entry that Python calls.
Only programs are cached on disk, and never stale: the folder's name is a hash of every kernel source and version.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import os
import platform
import stat
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llvmlite
import numba
from llvmlite import binding
from numba import types
from numba.core import compiler
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.codegen import JITCodeLibrary
from numba.core.registry import cpu_target

from fastnn._version import __version__

# No flag that reorders or contracts floating-point arithmetic, anywhere: equal bits for any number of threads,
# any vector length. numpy's error model: a division without a branch for ZeroDivisionError can be vectorised.
# Without NRT nothing can be allocated, and no reference is counted: views have no owner, and Python holds the arrays.
_FLAGS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
_SOURCES = ("_jit.py", "simd", "ops", "kernels")


class _ProgramLibrary(JITCodeLibrary):
    """Code that is vectorised with the CPU's widest registers: for AVX-512 LLVM prefers half of them."""

    def add_ir_module(self, ir_module):
        for function in ir_module.functions:
            if function.blocks:
                # past the check of known names, which has only LLVM's enumerated attributes
                set.add(function.attributes, '"prefer-vector-width"="512"')
        super().add_ir_module(ir_module)

    def _optimize_final_module(self):
        self._make_pieces_internal()
        super()._optimize_final_module()

    def _make_pieces_internal(self):
        """Tell LLVM that nobody else calls the pieces: what is called once is inlined, unused arguments disappear.

        The bundles are some 70 numbers, pushed at every call: 64-16-12-10 row by row took 1.3 times as long.
        """
        for function in self._final_module.functions:
            if function.linkage == binding.Linkage.linkonce_odr and not function.name.startswith("fastnn_tile"):
                function.linkage = binding.Linkage.internal


class _PieceLibrary(_ProgramLibrary):
    """Code that is only ever linked into a caller: kept as unoptimised IR, with no machine code of its own.

    Numba optimises and assembles every function again in each of its callers; with calls six deep that made a
    cold start of 17.6 s. Now the program that contains all pieces is optimised once.
    """

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name):
        self._ensure_finalized()
        return 0

    @property
    def codegen(self):
        return _NoEnvironment(self._codegen)


class _NoEnvironment:
    """A code generator for pieces: they raise nothing, so the environment that Numba would set is never read."""

    def __init__(self, codegen):
        self._codegen = codegen

    def __getattr__(self, name):
        return getattr(self._codegen, name)

    def set_env(self, env_name, env):
        pass


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Look for no garbage: what Numba makes lives as long as the program, and searching it is 6% of a cold start."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if gc.get_freeze_count() == 0:  # make all of it old, so that it is not searched at once
            gc.freeze()
            gc.unfreeze()
        gc.enable()


class _ProgramCompiler(compiler.Compiler):
    library_class: type[JITCodeLibrary] = _ProgramLibrary

    def __init__(self, typingctx, targetctx, library, args, return_type, flags, locals):
        if library is None:
            library = self.library_class(targetctx.codegen(), "fastnn")
            library.enable_object_caching()
        super().__init__(typingctx, targetctx, library, args, return_type, flags, locals)

    def compile_extra(self, func):
        with _without_collections():
            return super().compile_extra(func)


class _PieceCompiler(_ProgramCompiler):
    library_class = _PieceLibrary


# Pieces are called from compiled code only
_INNER = _FLAGS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": _PieceCompiler}


def _compile_once(**flags):
    """A decorator like numba.njit, but literal arguments (True, 64) do not make a copy of the function each."""

    def decorate(function):
        dispatcher = numba.njit(**flags)(function)
        template_for = dispatcher.get_call_template

        def get_call_template(args, kws):
            return template_for(tuple(map(types.unliteral, args)), {k: types.unliteral(t) for k, t in kws.items()})

        dispatcher.get_call_template = get_call_template
        return dispatcher

    return decorate


piece = _compile_once(**_INNER)
op = _compile_once(**_INNER, forceinline=True)
_programs: list[Any] = []


def program(function):
    """Compile `function` as an entry that Python calls; `use_cache` gives it its place on disk."""
    dispatcher = numba.njit(**_FLAGS, pipeline_class=_ProgramCompiler)(function)
    _programs.append(dispatcher)
    return dispatcher


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
    settings = (numba.config.BOUNDSCHECK, numba.config.OPT, numba.config.DISABLE_JIT)
    versions = (
        __version__,
        numba.__version__,
        llvmlite.__version__,
        sys.version,
        platform.machine(),
        sys.platform,
    )
    digest.update(repr((versions, settings, cpu_target.target_context.codegen().magic_tuple())).encode())
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

    The cached files are pickles, so a folder that others may write to is refused.
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


class _Locator(_CacheLocator):
    def __init__(self, py_func):
        self._py_func = py_func

    def get_cache_path(self):
        return str(cache_folder())

    def get_source_stamp(self):
        return kernel_hash()

    def get_disambiguator(self):
        return ""

    @classmethod
    def from_function(cls, py_func, py_file):
        return cls(py_func)


class _CacheImpl(CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012 (Numba's name and form)


class _ProgramCache(FunctionCache):
    """Numba's cache in our folder; a file that cannot be read or written is a miss, not an error."""

    _impl_class = _CacheImpl

    def load_overload(self, sig, target_context):
        # not super().load_overload, which first has the target import all of Numba's own functions, SciPy among them:
        # a program that was compiled needs none of them, and they take longer than all else of a first fit
        try:
            with self._guard_against_spurious_io_errors():
                return self._load_overload(sig, target_context)
        except Exception:
            return None

    def save_overload(self, sig, data):
        try:
            super().save_overload(sig, data)
        except OSError:
            return
        except Exception:  # the index is damaged, and is read before it is written: begin a new one
            with contextlib.suppress(Exception):
                self.flush()
                super().save_overload(sig, data)


@functools.cache
def use_cache() -> None:
    """Give every program its place on disk; called once, before the first program is compiled."""
    if cache_folder() is not None:
        for dispatcher in _programs:
            dispatcher._cache = _ProgramCache(dispatcher.py_func)
