"""FLOOR 1: arithmetic of one number that Numba does not offer, in a form that LLVM vectorises.

Everything works on float32 and float64 alike and keeps the type of its argument.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.simd import target

# per type: bits of the fraction, bias of the exponent, and the integer of the same size
_FORMAT = {types.float32: (23, 127, ir.IntType(32)), types.float64: (52, 1023, ir.IntType(64))}


def emit_fma(builder: ir.IRBuilder, x, y, z):
    """x * y + z on scalars or vectors, rounded once where the CPU can (llvmlite's own fma refuses vectors)."""
    if not target.HAS_FMA:
        return builder.fadd(builder.fmul(x, y), z)
    kind = x.type
    element = kind.element if isinstance(kind, ir.VectorType) else kind
    suffix = f"f{32 if isinstance(element, ir.FloatType) else 64}"
    if element is not kind:
        suffix = f"v{kind.count}{suffix}"
    fn = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), f"llvm.fma.{suffix}")
    return builder.call(fn, [x, y, z])


def function_apart(module: ir.Module, kind: ir.FunctionType, name: str) -> ir.Function:
    """The function of this name in a module, never inlined; new, without a block, unless it is there already."""
    fn = cgutils.get_or_insert_function(module, kind, name)
    if not fn.blocks:
        fn.linkage = "linkonce_odr"
        fn.attributes.add("noinline")
        fn.attributes.add("nounwind")
    return fn


def spread(builder: ir.IRBuilder, number, lanes: int):
    """A vector with the same number in all lanes."""
    undefined = ir.Constant(ir.VectorType(number.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))


@intrinsic
def fma(typingctx, x, y, z):
    """x * y + z, with one rounding where the CPU has fma."""

    def codegen(context, builder, signature, args):
        return emit_fma(builder, *args)

    return x(x, x, x), codegen


def polynomial(coefficients32: list[float], coefficients64: list[float]):
    """Make an intrinsic p(x) = c[0] + c[1] x + ... by Horner's rule, with the coefficients of x's own precision."""
    tables = {types.float32: coefficients32, types.float64: coefficients64}

    @intrinsic
    def evaluate(typingctx, x):
        coefficients = tables[x]

        def codegen(context, builder, signature, args):
            real = args[0].type
            total = ir.Constant(real, float(np.dtype(x.name).type(coefficients[-1])))
            for c in reversed(coefficients[:-1]):
                total = emit_fma(builder, total, args[0], ir.Constant(real, float(np.dtype(x.name).type(c))))
            return total

        return x(x), codegen

    return evaluate


def constant(value32: float, value64: float | None = None):
    """Make an intrinsic c(x): a constant in the precision of x, so that float32 never widens."""
    return polynomial([value32], [value32 if value64 is None else value64])


@intrinsic
def times_power_of_two(typingctx, x, shifted):
    """x * 2^n for the whole number n in the low bits of `shifted` = n + 1.5 * 2^(fraction bits)."""
    fraction_bits, _, integer = _FORMAT[x]

    def codegen(context, builder, signature, args):
        bits = builder.bitcast(args[0], integer)
        n = builder.shl(builder.bitcast(args[1], integer), ir.Constant(integer, fraction_bits))
        return builder.bitcast(builder.add(bits, n), args[0].type)

    return x(x, x), codegen


@intrinsic
def exponent_above(typingctx, x, low):
    """The whole number e, as a float, with x * 2^-e in [low, 2 low); x positive and normal, low in (0.5, 1]."""
    fraction_bits, _, integer = _FORMAT[x]

    def codegen(context, builder, signature, args):
        value, base = (builder.bitcast(a, integer) for a in args)
        e = builder.ashr(builder.sub(value, base), ir.Constant(integer, fraction_bits))
        return builder.sitofp(e, args[0].type)

    return x(x, x), codegen


@intrinsic
def divided_by_power_of_two(typingctx, x, e):
    """x * 2^-e for a whole number e given as a float; the result must be normal."""
    fraction_bits, _, integer = _FORMAT[x]

    def codegen(context, builder, signature, args):
        n = builder.shl(builder.fptosi(args[1], integer), ir.Constant(integer, fraction_bits))
        return builder.bitcast(builder.sub(builder.bitcast(args[0], integer), n), args[0].type)

    return x(x, x), codegen


@intrinsic
def magnitude_bits(typingctx, x):
    """The bits of |x| as an integer of the same size: ordered as |x| is, infinity and then NaN above all numbers."""
    _, _, integer = _FORMAT[x]
    size = integer.width

    def codegen(context, builder, signature, args):
        bits = builder.bitcast(args[0], integer)
        return builder.and_(bits, ir.Constant(integer, 2 ** (size - 1) - 1))

    return {32: types.int32, 64: types.int64}[size](x), codegen
