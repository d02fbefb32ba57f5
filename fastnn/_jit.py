"""FLOOR 0: the only file that says njit: the decorators and their flags.

`op` is mathematics inlined into its callers, `piece` a part of a kernel, `program` an entry that Python calls with
arrays and numbers, for measurements of pieces. The programs of the engine are pieces too, given all arguments as words
(see kernels.programs): `machine_code` compiles them.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Any

import numba
from llvmlite import binding
from numba import types
from numba.core import compiler, compiler_machinery, typed_passes, untyped_passes
from numba.core.codegen import JITCodeLibrary

from fastnn._machine_code import setting

# No flag that reorders or contracts floating-point arithmetic, anywhere: equal bits for any number of threads,
# any vector length. numpy's error model: a division without a branch for ZeroDivisionError can be vectorised.
# Without NRT nothing can be allocated, and no reference is counted: views have no owner, and Python holds the arrays.
_FLAGS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}


class _ProgramLibrary(JITCodeLibrary):
    """Code that is vectorised with the CPU's widest registers: for AVX-512 LLVM prefers half of them."""

    def add_ir_module(self, ir_module):
        for function in ir_module.functions:
            if function.blocks:
                # past the check of known names, which has only LLVM's enumerated attributes
                set.add(function.attributes, '"prefer-vector-width"="512"')
        super().add_ir_module(ir_module)

    def _optimize_functions(self, ll_module):
        """Not before they are all together: that took 0.9 s of a cold start and saved 0.1 s afterwards."""
        ll_module.data_layout = self._codegen._data_layout

    def finalize(self):
        self._linking_libraries = list(self._below())
        super().finalize()

    def _below(self):
        """The libraries of everything that this one calls, each once."""
        found = dict.fromkeys(self._linking_libraries)
        for library in self._linking_libraries:
            if isinstance(library, _ProgramLibrary):
                found.update(dict.fromkeys(library._below()))
        return found

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


class _EntryLibrary(_ProgramLibrary):
    """Code that is optimised, and not loaded here."""

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name):
        self._ensure_finalized()
        return 0

    @property
    def codegen(self):
        return _NoEnvironment(self._codegen)

    def machine_code(self, name: str, symbol: str) -> bytes:
        """The object file, in which the function of this name is called `symbol`."""
        self._final_module.get_function(name).name = symbol
        return self._codegen._tm.emit_object(self._final_module)


class _PieceLibrary(_EntryLibrary):
    """Code that is only ever linked into a program: kept as unoptimised IR, with no machine code of its own.

    Numba links every function into each of its callers, and optimises and assembles it there again; with calls six
    deep that made a cold start of 17.6 s. Now each is linked once, into the program, which is optimised once.
    """

    def finalize(self):
        self._finalize_final_module()


class _NoEnvironment:
    """A code generator for what raises nothing: the environment that Numba would set is never read."""

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


# Numba's own, but for closures, `with`, literals, inlining of IR, fused array expressions and parallel loops
_PASSES = (
    untyped_passes.TranslateByteCode,
    untyped_passes.FixupArgs,
    untyped_passes.IRProcessing,
    untyped_passes.DeadBranchPrune,
    untyped_passes.GenericRewrites,
    untyped_passes.ReconstructSSA,
    typed_passes.NopythonTypeInference,
    typed_passes.PreLowerStripPhis,
    typed_passes.NoPythonSupportedFeatureValidation,
    typed_passes.IRLegalization,
    typed_passes.AnnotateTypes,
    typed_passes.NativeLowering,
    typed_passes.NoPythonBackend,
)


class _ProgramCompiler(compiler.CompilerBase):
    library_class: type[JITCodeLibrary] = _ProgramLibrary

    def __init__(self, typingctx, targetctx, library, args, return_type, flags, locals):
        if library is None:
            library = self.library_class(targetctx.codegen(), "fastnn")
        super().__init__(typingctx, targetctx, library, args, return_type, flags, locals)

    def define_pipelines(self):
        manager = compiler_machinery.PassManager("fastnn")
        for each in _PASSES:
            manager.add_pass(each, each.__name__)
        manager.finalize()
        return [manager]

    def compile_extra(self, func):
        with _without_collections():
            return super().compile_extra(func)


class _PieceCompiler(_ProgramCompiler):
    library_class = _PieceLibrary


class _EntryCompiler(_ProgramCompiler):
    library_class = _EntryLibrary


# Not called by way of Python's objects
_INNER = _FLAGS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


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


piece = _compile_once(**_INNER, pipeline_class=_PieceCompiler)
op = _compile_once(**_INNER, pipeline_class=_PieceCompiler, forceinline=True)
program = numba.njit(**_FLAGS, pipeline_class=_ProgramCompiler)


def machine_code(entry: Any, kinds: tuple[types.Type, ...], symbol: str) -> bytes:
    """Compile a function of these types, which returns nothing, into an object file with it as `symbol`."""
    for name, default in (("CPU_NAME", None), ("CPU_FEATURES", None), ("OPT", 3), ("BOUNDSCHECK", None)):
        found = getattr(numba.config, name)
        if setting(name) is None and found != default and found != "":
            raise RuntimeError(
                f"numba.config.{name} is {found!r}, but not by the environment, which names what is kept; "
                f"set NUMBA_{name} there instead"
            )
    dispatcher = numba.njit(**_INNER, pipeline_class=_EntryCompiler)(entry)
    dispatcher.compile(kinds)
    (compiled,) = dispatcher.overloads.values()
    return compiled.library.machine_code(compiled.fndesc.mangled_name, symbol)
