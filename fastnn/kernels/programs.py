"""FLOOR 2: the programs that a gang runs, compiled for the types of their arguments, in parts.

A part is machine code of its own, so that another process can compile it meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import from_dtype, types

from fastnn import _jit
from fastnn._machine_code import SYMBOL
from fastnn.kernels import epoch
from fastnn.kernels.words import MATRIX
from fastnn.simd import memory
from fastnn.simd.arguments import arguments_at

_NUMBERS = {
    "int": types.int64,
    "float": types.float64,
    "bool": types.boolean,
    "NoneType": types.none,
    MATRIX: memory.MATRIX,
}
# rank, n_ranks, control, net, rule, samples and work, with which the arguments of every training begin
_SHARED = 7


def kind_of(signature: Any) -> types.Type:
    """The type of the values of a signature (see kernels.words)."""
    if isinstance(signature, str):
        return _NUMBERS.get(signature) or from_dtype(np.dtype(signature))
    if isinstance(signature[0], str):
        dtype, ndim, layout = signature
        return types.Array(from_dtype(np.dtype(dtype)), ndim, layout)
    cls, *fields = signature
    kinds = [kind_of(field) for field in fields]
    return types.Tuple(kinds) if cls is tuple else types.NamedTuple(kinds, cls)


def whole(piece: Any, signature: Any) -> bytes:
    """Compile a piece that returns nothing so that it takes arguments of this signature as words."""
    read = arguments_at(kind_of(signature))

    def entry(address):
        piece(*read(address))

    return _jit.machine_code(entry, (types.int64,), SYMBOL)


def _train(signature: Any) -> bytes:
    read, train = arguments_at(kind_of(signature)), epoch.train

    def entry(address):
        train(address, *read(address))

    return _jit.machine_code(entry, (types.int64,), SYMBOL)


def _learn(signature: Any) -> bytes:
    read, learn_block = arguments_at(kind_of(signature[: 1 + _SHARED])), epoch.learn_block

    def entry(address, b0, n, row_key, factor):
        learn_block(b0, n, row_key, factor, *read(address))

    return _jit.machine_code(entry, epoch.LEARN_KINDS, epoch.LEARN)


def _predict(signature: Any) -> bytes:
    return whole(epoch.predict, signature)


PARTS: dict[str, Callable[[Any], bytes]] = {"train": _train, "learn": _learn, "predict": _predict}
