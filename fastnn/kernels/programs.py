"""FLOOR 2: the programs that a gang runs, compiled for the types of their arguments."""

from __future__ import annotations

from typing import Any

from numba import typeof, types

from fastnn import _jit
from fastnn.kernels import epoch
from fastnn.simd.arguments import arguments_at

PROGRAMS = {"train": epoch.train, "predict": epoch.predict}


def machine_code(program: Any, arguments: tuple[Any, ...]) -> bytes:
    """Compile a piece that returns nothing so that it takes such arguments as words (see kernels.words)."""
    read = arguments_at(types.Tuple([typeof(argument) for argument in arguments]))

    def entry(address):
        program(*read(address))

    return _jit.machine_code(entry)
