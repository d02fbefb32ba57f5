"""FLOOR 1: arguments that are read from words of 64 bits (kernels.words writes them), and calls with such words."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.simd.memory import emit_array

_WORD = ir.IntType(64)


class _Reader:
    """Emits the code that reads one argument after the other."""

    def __init__(self, context: Any, builder: ir.IRBuilder, address: ir.Value) -> None:
        self.context = context
        self.builder = builder
        self.place = builder.inttoptr(address, _WORD.as_pointer())
        self.n_read = 0

    def word(self) -> ir.Value:
        place = self.builder.gep(self.place, [_WORD(self.n_read)])
        self.n_read += 1
        return self.builder.load(place)

    def read(self, kind: types.Type) -> ir.Value:
        builder, context = self.builder, self.context
        as_llvm = context.get_value_type(kind)
        if isinstance(kind, types.BaseTuple):
            return context.make_tuple(builder, kind, [self.read(field) for field in kind])
        if isinstance(kind, types.Array):
            address, *numbers = (self.word() for _ in range(1 + 2 * kind.ndim))
            pointer = builder.inttoptr(address, ir.IntType(8).as_pointer())
            return emit_array(context, builder, kind, pointer, numbers[: kind.ndim], numbers[kind.ndim :])
        if isinstance(kind, types.NoneType):
            return context.get_dummy_value()
        number = self.word()
        if isinstance(kind, types.Float):
            bits = ir.IntType(kind.bitwidth)
            return builder.bitcast(number if bits == _WORD else builder.trunc(number, bits), as_llvm)
        return number if as_llvm == _WORD else builder.trunc(number, as_llvm)


def arguments_at(kinds: types.BaseTuple):
    """Make an intrinsic f(address): the tuple of arguments of these types whose words begin at an address."""

    @intrinsic
    def read(typingctx, address):
        def codegen(context, builder, signature, args):
            return _Reader(context, builder, args[0]).read(kinds)

        return kinds(types.int64), codegen

    return read


def part_of_program(symbol: str, kinds: tuple[types.Type, ...]):
    """Make an intrinsic f(numbers) that calls a function of these types, which is compiled apart.

    numbers     a tuple
    """
    together = types.Tuple(kinds)

    @intrinsic
    def call(typingctx, numbers):
        def codegen(context, builder, signature, args):
            convention = context.call_conv
            kind = convention.get_function_type(types.none, kinds)
            function = cgutils.get_or_insert_function(builder.module, kind, symbol)
            unpacked = cgutils.unpack_tuple(builder, args[0])
            status, _ = convention.call_function(builder, function, types.none, kinds, unpacked)
            with cgutils.if_unlikely(builder, status.is_error):
                convention.return_status_propagate(builder, status)
            return context.get_dummy_value()

        return types.void(together), codegen

    return call
