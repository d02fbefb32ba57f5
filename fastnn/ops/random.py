"""FLOOR 1: random numbers as a pure function of what they are for: no state, no order, so threads cannot matter.

`key` mixes (seed, epoch, step, row, level) into 64 bits by splitmix64's finaliser (Steele et al. 2014);
`dropout_factor` hashes a unit under a key in 32 bits (murmur3's finaliser), which LLVM vectorises.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnn._jit import op

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


@op
def key(seed, value):
    """A 64-bit key from another key (or seed) and one more whole number."""
    x = np.uint64(seed) + (np.uint64(value) + np.uint64(1)) * _GOLDEN
    x = (x ^ (x >> _30)) * _MIX1
    x = (x ^ (x >> _27)) * _MIX2
    return x ^ (x >> _31)


@op
def below(seed, i, n):
    """A whole number in 0 .. n-1 for draw i; n below 2^32."""
    return np.int64(((key(seed, i) >> _32) * np.uint64(n)) >> _32)


def drop_threshold(p: float) -> int:
    """The 32-bit threshold for dropping with probability p in [0, 1)."""
    return round(p * 2**32)


@intrinsic
def dropout_factor(typingctx, row_key, unit, threshold, scale):
    """0 if `unit` is dropped under `row_key` (a uint64), else `scale`; threshold as from `drop_threshold`."""
    i32 = ir.IntType(32)

    def codegen(context, builder, signature, args):
        row_key, unit, threshold, scale = args

        def xor_shift(x, n):
            return builder.xor(x, builder.lshr(x, i32(n)))

        low = builder.trunc(row_key, i32)
        high = builder.trunc(builder.lshr(row_key, ir.Constant(row_key.type, 32)), i32)
        x = builder.add(builder.mul(builder.trunc(unit, i32), i32(0x9E3779B1)), low)
        x = builder.mul(builder.xor(xor_shift(x, 16), high), i32(0x85EBCA6B))
        x = builder.mul(xor_shift(x, 13), i32(0xC2B2AE35))
        dropped = builder.icmp_unsigned("<", xor_shift(x, 16), builder.trunc(threshold, i32))
        return builder.select(dropped, ir.Constant(scale.type, 0.0), scale)

    return scale(types.uint64, types.int64, types.int64, scale), codegen


@op
def shuffle(order, seed):
    """Fill `order` (n,) with a permutation of 0 .. n-1 that depends on `seed` and n alone (Fisher and Yates)."""
    n = order.shape[0]
    for i in range(n):
        order[i] = i
    for i in range(n - 1, 0, -1):
        j = below(seed, i, i + 1)
        order[i], order[j] = order[j], order[i]
