"""FLOOR 1: sets as words of bits, and the ascending list of their members.

A list is written eight places at a time, from a table with the members of every byte: no branch depends on the data.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn._jit import op
from fastnn.simd.scalar import spread

I64 = ir.IntType(64)
# Rows that note_nonzero takes at most; 32 are a multiple of it
NOTED = 8

_MEMBERS = np.array([([b for b in range(8) if byte >> b & 1] + [0] * 8)[:8] for byte in range(256)], np.int8).ravel()
_COUNTS = np.array([byte.bit_count() for byte in range(256)], np.int8)


@intrinsic
def note_nonzero(typingctx, x, x0, row, m, n, bit, words, w0):
    """Bits bit .. bit + m of words[w0 + i] = whether x[x0 + r * row + i] is not zero, for NOTED rows r < m at most.

    x           flat, of any type; read to the end of the last 16 numbers that n begins; NaN is not zero
    n           columns; words of those that follow, to a multiple of 16, become 0
    words       int32, flat: bits below `bit` stay, those above `bit + m` become 0

    All rows of 16 columns at once: when each row read and wrote all words, 784-256-64-10 at 32 took 1.03 times as long.
    """
    n64 = types.int64
    sig = types.void(x, n64, n64, n64, n64, n64, words, n64)

    def codegen(context, builder, signature, args):
        _, x0, row, m, n, bit, _, w0 = args
        number = context.get_value_type(signature.args[0].dtype)
        size = context.get_abi_sizeof(number)
        lanes, i32 = 16, ir.IntType(32)
        numbers, kind = ir.VectorType(number, lanes), ir.VectorType(i32, lanes)
        data, words_data = (context.make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 6))
        zero = ir.Constant(numbers, [0] * lanes)
        first = builder.gep(data, [x0])
        starts, ones = [], []
        for r in range(NOTED):
            # a row that is not there is the first one, without a bit
            there = builder.icmp_signed("<", I64(r), m)
            starts.append(builder.gep(first, [builder.select(there, builder.mul(row, I64(r)), I64(0))]))
            one = builder.shl(builder.zext(there, I64), builder.add(bit, I64(r)))
            ones.append(spread(builder, builder.trunc(one, i32), lanes))
        below = spread(builder, builder.trunc(builder.sub(builder.shl(I64(1), bit), I64(1)), i32), lanes)
        places = ir.Constant(kind, [*range(lanes)])
        with cgutils.for_range_slice(builder, I64(0), n, I64(lanes), intp=I64) as (i, _):
            where = builder.bitcast(builder.gep(words_data, [builder.add(w0, i)]), kind.as_pointer())
            word = builder.and_(builder.load(where, align=4), below)
            for start, one in zip(starts, ones, strict=True):
                vector = builder.load(builder.bitcast(builder.gep(start, [i]), numbers.as_pointer()), align=size)
                if isinstance(number, ir.IntType):
                    differs = builder.icmp_unsigned("!=", vector, zero)
                else:
                    differs = builder.fcmp_unordered("!=", vector, zero)
                word = builder.or_(word, builder.select(differs, one, ir.Constant(kind, [0] * lanes)))
            left = spread(builder, builder.trunc(builder.sub(n, i), i32), lanes)
            inside = builder.icmp_signed("<", places, left)
            builder.store(builder.select(inside, word, ir.Constant(kind, [0] * lanes)), where, align=4)
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def meeting(typingctx, words, start, chosen):
    """16 bits: which of the words words[start : start + 16], int32, have a bit in common with `chosen`."""

    def codegen(context, builder, signature, args):
        vector = ir.VectorType(ir.IntType(32), 16)
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        where = builder.bitcast(builder.gep(data, [args[1]]), vector.as_pointer())
        chosen = builder.trunc(args[2], ir.IntType(32))
        common = builder.and_(builder.load(where, align=4), spread(builder, chosen, 16))
        bits = builder.icmp_unsigned("!=", common, ir.Constant(vector, [0] * 16))
        return builder.zext(builder.bitcast(bits, ir.IntType(16)), I64)

    return types.int64(words, types.int64, types.int64), codegen


@intrinsic
def place_eight(typingctx, source, start, base, out, k):
    """out[k : k + 8] = base + source[start : start + 8]; source int8, out int64.

    Of the loop in Python that says the same LLVM makes vectors or single numbers, as it pleases: an epoch took 1.15
    times as long when it did the latter.
    """

    def codegen(context, builder, signature, args):
        source, start, base, out, k = args

        def eight_at(array_type, array, i, kind):
            data = context.make_array(array_type)(context, builder, array).data
            return builder.bitcast(builder.gep(data, [i]), ir.VectorType(kind, 8).as_pointer())

        small = builder.load(eight_at(signature.args[0], source, start, ir.IntType(8)), align=1)
        numbers = builder.sext(small, ir.VectorType(I64, 8))
        sums = builder.add(numbers, spread(builder, base, 8))
        builder.store(sums, eight_at(signature.args[3], out, k, I64), align=8)
        return context.get_dummy_value()

    return types.void(source, types.int64, types.int64, out, types.int64), codegen


@op
def append_members(byte, base, out, k):
    """Write base + b for every bit b that is set in `byte` to out[k:], ascending; returns k + their number.

    All of out[k : k + 8] is written.
    """
    place_eight(_MEMBERS, byte * 8, base, out, k)
    return k + _COUNTS[byte]
