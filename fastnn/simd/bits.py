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
# Words of the sets that least_new chooses from
SET_WORDS = 4

_MEMBERS = np.array([([b for b in range(8) if byte >> b & 1] + [0] * 8)[:8] for byte in range(256)], np.int8).ravel()


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

        def note(rows):
            with cgutils.for_range_slice(builder, I64(0), n, I64(lanes), intp=I64) as (i, _):
                where = builder.bitcast(builder.gep(words_data, [builder.add(w0, i)]), kind.as_pointer())
                word = builder.and_(builder.load(where, align=4), below)
                for start, one in zip(starts[:rows], ones, strict=False):
                    vector = builder.load(builder.bitcast(builder.gep(start, [i]), numbers.as_pointer()), align=size)
                    if isinstance(number, ir.IntType):
                        differs = builder.icmp_unsigned("!=", vector, zero)
                    else:
                        differs = builder.fcmp_unordered("!=", vector, zero)
                    word = builder.or_(word, builder.select(differs, one, ir.Constant(kind, [0] * lanes)))
                left = spread(builder, builder.trunc(builder.sub(n, i), i32), lanes)
                inside = builder.icmp_signed("<", places, left)
                builder.store(builder.select(inside, word, ir.Constant(kind, [0] * lanes)), where, align=4)

        with builder.if_else(builder.icmp_signed("==", m, I64(1))) as (single, several):
            with single:
                note(1)
            with several:
                note(NOTED)
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def meeting(typingctx, words, start, further, chosen):
    """16 bits: which of words[start : start + 16], int32, with those `further` on as their high halves, meet `chosen`.

    That is, have a bit in common with it; further is 0 if there are no high halves, and `chosen` less than 2^32.
    """

    def codegen(context, builder, signature, args):
        i32 = ir.IntType(32)
        vector = ir.VectorType(i32, 16)
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        common = []
        for at, half in ((args[1], args[3]), (builder.add(args[1], args[2]), builder.lshr(args[3], I64(32)))):
            word = builder.load(builder.bitcast(builder.gep(data, [at]), vector.as_pointer()), align=4)
            common.append(builder.and_(word, spread(builder, builder.trunc(half, i32), 16)))
        bits = builder.icmp_unsigned("!=", builder.or_(*common), ir.Constant(vector, [0] * 16))
        return builder.zext(builder.bitcast(bits, ir.IntType(16)), I64)

    return types.int64(words, types.int64, types.int64, types.int64), codegen


@intrinsic
def turn_bits(typingctx, words, start, out, o0):
    """Bit i of out[o0 + s] = bit s of words[start + i]: 64 words, int32, turned into 32, int64."""
    n64 = types.int64

    def codegen(context, builder, signature, args):
        data, out_data = (context.make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 2))
        i32 = ir.IntType(32)
        whole, bytes_type = (ir.VectorType(ir.IntType(bits), 64) for bits in (32, 8))
        word = builder.load(builder.bitcast(builder.gep(data, [args[1]]), whole.as_pointer()), align=4)
        first = builder.gep(out_data, [args[3]])
        with cgutils.for_range_slice(builder, I64(0), I64(32), I64(8), intp=I64) as (s, _):
            shifted = builder.lshr(word, spread(builder, builder.trunc(s, i32), 64))
            byte = builder.trunc(shifted, bytes_type)
            for bit in range(8):
                one = builder.and_(byte, ir.Constant(bytes_type, [1 << bit] * 64))
                bits = builder.icmp_unsigned("!=", one, ir.Constant(bytes_type, [0] * 64))
                place = builder.gep(first, [builder.add(s, I64(bit))])
                builder.store(builder.bitcast(bits, I64), place, align=8)
        return context.get_dummy_value()

    return types.void(words, n64, out, n64), codegen


def _emit_count(builder: ir.IRBuilder, value):
    """The number of bits that are set in an integer, or in each of a vector."""
    kind = value.type
    suffix = f"v{kind.count}i{kind.element.width}" if isinstance(kind, ir.VectorType) else f"i{kind.width}"
    fn = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), f"llvm.ctpop.{suffix}")
    return builder.call(fn, [value])


@intrinsic
def count_bits(typingctx, word):
    """The number of bits that are set in an integer."""

    def codegen(context, builder, signature, args):
        return _emit_count(builder, args[0])

    return word(word), codegen


def least_new_reference(sets, lacks, l0, among, bias, b0):
    """Do what `least_new` does, in plain Python."""
    keys = {}
    for s in range(64):
        if among >> s & 1:
            new = sum((int(sets[64 * w + s]) & int(lacks[l0 + w]) & 2**64 - 1).bit_count() for w in range(SET_WORDS))
            keys[s] = 256 * new + bias[b0 + s]
    return min(keys, key=keys.__getitem__)


@intrinsic
def least_new(typingctx, sets, lacks, l0, among, bias, b0):
    """Which of 64 sets s has the least 256 * (its bits that are in `lacks`) + bias[b0 + s], of those of `among`.

    sets        int64: word w of set s at sets[64 * w + s], SET_WORDS words
    lacks       int64: as many words from lacks[l0] on
    among       a bit for every set that may be chosen, at least one
    bias        int64: of each set a multiple of 64, plus s
    """
    n64 = types.int64

    def codegen(context, builder, signature, args):
        _, _, l0, among, _, b0 = args
        data, lacks, bias = (context.make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 1, 4))
        vector = ir.VectorType(I64, 64)

        def row(array, at):
            return builder.load(builder.bitcast(builder.gep(array, [at]), vector.as_pointer()), align=8)

        new = ir.Constant(vector, [0] * 64)
        for w in range(SET_WORDS):
            wanted = spread(builder, builder.load(builder.gep(lacks, [builder.add(l0, I64(w))])), 64)
            new = builder.add(new, _emit_count(builder, builder.and_(row(data, I64(64 * w)), wanted)))
        keys = builder.add(builder.shl(new, ir.Constant(vector, [8] * 64)), row(bias, b0))
        chosen = builder.bitcast(among, ir.VectorType(ir.IntType(1), 64))
        keys = builder.select(chosen, keys, ir.Constant(vector, [2**63 - 1] * 64))
        kind = ir.FunctionType(I64, [vector])
        least = cgutils.get_or_insert_function(builder.module, kind, "llvm.vector.reduce.smin.v64i64")
        return builder.and_(builder.call(least, [keys]), I64(63))

    return n64(sets, lacks, n64, n64, bias, n64), codegen


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
    return k + count_bits(byte)
