"""FLOOR 1: sets as words of bits, and the ascending list of their members.

A list is written eight places at a time, from a table with the members of every byte: no branch depends on the data.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnn._jit import op

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
        one = builder.insert_element(ir.Constant(vector, ir.Undefined), chosen, ir.IntType(32)(0))
        every = builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), ir.Constant(vector, [0] * 16))
        common = builder.and_(builder.load(where, align=4), every)
        bits = builder.icmp_unsigned("!=", common, ir.Constant(vector, [0] * 16))
        return builder.zext(builder.bitcast(bits, ir.IntType(16)), I64)

    return types.int64(words, types.int64, types.int64), codegen


@op
def append_members(byte, base, out, k):
    """Write base + b for every bit b that is set in `byte` to out[k:], ascending; returns k + their number.

    All of out[k : k + 8] is written.
    """
    for i in range(8):
        out[k + i] = base + _MEMBERS[byte * 8 + i]
    return k + _COUNTS[byte]
