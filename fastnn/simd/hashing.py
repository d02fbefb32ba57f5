"""FLOOR 1: a hash in 32 bits that LLVM vectorises (Numba's own arithmetic would widen it to 64)."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def dropout_factor(typingctx, row_key, unit, threshold, scale):
    """0 if the hash of `unit` under `row_key` (a uint64) is below `threshold` (32 bits), else `scale`.

    The finaliser of murmur3 (Appleby), with half of the key before it and half within.
    """
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
