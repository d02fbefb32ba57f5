"""FLOOR 1: a float32 as three bfloat16: its first 8 significant bits, the next 8 and the last 8; their sum is exact.

Factors of products on the CPU's matrix unit (see simd.matrix_unit) are made of such triples, uint16, flat, a step of 32
terms after the other, STEP numbers each; a step begins on a whole line of 64 bytes. Of a product A @ B
    A       row after row, of each the first, second and last parts of its 32 terms
    B       two terms after two, of each the first, second and last parts of 32 columns, in which the two terms of a
            column are neighbours
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.simd.memory import emit_address
from fastnn.simd.target import SIDE, STEP

_I64 = ir.IntType(64)
LANES = 16
VECTOR, _INTEGERS = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(ir.IntType(32), LANES)
_WORDS = ir.VectorType(ir.IntType(16), 2 * LANES)

# Bytes from row to row of A, from pair to pair of B, and from part to part
A_ROW, A_PART, B_ROW, B_PART = 192, 64, 384, 128


def as_parts(x):
    """The three parts of numbers, as float32 numbers that are bfloat16 too, largest first."""
    parts = []
    for _ in range(3):
        parts.append((x.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32))
        x = x - parts[-1]
    return parts


def vector_at(builder: ir.IRBuilder, place: ir.Value, kind: ir.Type = VECTOR) -> ir.Value:
    return builder.bitcast(place, kind.as_pointer())


def past(builder: ir.IRBuilder, place: ir.Value, n_bytes: int) -> ir.Value:
    return builder.gep(place, [_I64(n_bytes)])


def _parts(builder: ir.IRBuilder, x: ir.Value) -> list[ir.Value]:
    """Three vectors of integers whose upper halves are the parts of a vector of numbers."""
    upper = ir.Constant(_INTEGERS, [0xFFFF0000] * LANES)
    found = []
    for part in range(3):
        bits = builder.bitcast(x, _INTEGERS)
        found.append(bits)
        if part < 2:
            x = builder.fsub(x, builder.bitcast(builder.and_(bits, upper), VECTOR))
    return found


def emit_row(builder: ir.IRBuilder, source: ir.Value, out: ir.Value) -> None:
    """32 terms of a row of A."""
    halves = [_parts(builder, builder.load(vector_at(builder, past(builder, source, b)), align=4)) for b in (0, 64)]
    odd = ir.Constant(ir.VectorType(ir.IntType(32), 32), [2 * i + 1 for i in range(32)])
    for part, (low, high) in enumerate(zip(*halves, strict=True)):
        words = builder.shuffle_vector(builder.bitcast(low, _WORDS), builder.bitcast(high, _WORDS), odd)
        builder.store(words, vector_at(builder, past(builder, out, A_PART * part), _WORDS), align=64)


def emit_pair(builder: ir.IRBuilder, source: ir.Value, s_row: ir.Value, out: ir.Value) -> None:
    """Two terms of B, s_row bytes apart."""
    upper = ir.Constant(_INTEGERS, [0xFFFF0000] * LANES)
    for column in (0, 64):
        even, odd = (
            _parts(builder, builder.load(vector_at(builder, past(builder, row, column)), align=4))
            for row in (source, builder.gep(source, [s_row]))
        )
        for part, (low, high) in enumerate(zip(even, odd, strict=True)):
            shifted = builder.lshr(low, ir.Constant(_INTEGERS, [16] * LANES))
            place = vector_at(builder, past(builder, out, B_PART * part + column), _INTEGERS)
            builder.store(builder.or_(shifted, builder.and_(high, upper)), place, align=64)


@intrinsic
def split_rows(typingctx, source, s0, s_row, n, steps, out, o0):
    """Triples of n rows of A, at most SIDE, of so many steps; rows are s_row apart in `source`."""
    n64 = types.int64

    def codegen(context, builder, signature, args):
        source, s0, s_row, n, steps, out, o0 = args
        first = emit_address(context, builder, signature.args[0], source, s0)
        out = emit_address(context, builder, signature.args[5], out, o0)
        s_row = builder.mul(s_row, _I64(4))
        with cgutils.for_range(builder, n) as row:
            begin = builder.gep(first, [builder.mul(row.index, s_row)])
            to = builder.gep(out, [builder.mul(row.index, _I64(A_ROW))])
            with cgutils.for_range(builder, steps) as step:
                terms = builder.gep(begin, [builder.mul(step.index, _I64(4 * SIDE))])
                emit_row(builder, terms, builder.gep(to, [builder.mul(step.index, _I64(2 * STEP))]))
        return context.get_dummy_value()

    return types.void(source, n64, n64, n64, n64, out, n64), codegen


@intrinsic
def split_pairs(typingctx, source, s0, s_row, steps, out, o0):
    """Triples of so many steps of B, SIDE columns; rows are s_row apart in `source`."""
    n64 = types.int64

    def codegen(context, builder, signature, args):
        source, s0, s_row, steps, out, o0 = args
        source = emit_address(context, builder, signature.args[0], source, s0)
        out = emit_address(context, builder, signature.args[4], out, o0)
        s_row = builder.mul(s_row, _I64(4))
        with cgutils.for_range(builder, builder.mul(steps, _I64(SIDE // 2))) as pair:
            row = builder.gep(source, [builder.mul(pair.index, builder.mul(s_row, _I64(2)))])
            emit_pair(builder, row, s_row, builder.gep(out, [builder.mul(pair.index, _I64(B_ROW))]))
        return context.get_dummy_value()

    return types.void(source, n64, n64, n64, out, n64), codegen
