"""FLOOR 1: sets as words of bits, and the ascending list of their members.

A list is written eight places at a time, from a table with the members of every byte: no branch depends on the data.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnn._jit import op
from fastnn.simd.scalar import spread

I64 = ir.IntType(64)
WORD_BITS = 32
# Numbers past the end of a list that may be written
LIST_SLACK = 8

_MEMBERS = np.array([([b for b in range(8) if byte >> b & 1] + [0] * 8)[:8] for byte in range(256)], np.int8).ravel()
_COUNTS = np.array([byte.bit_count() for byte in range(256)], np.int8)


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
