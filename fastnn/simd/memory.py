"""FLOOR 1: views of memory without an owner, and the transpose of a block that stays in registers."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.simd import target

I64 = ir.IntType(64)

# A matrix of numbers of any type, in any layout: a type that NumPy does not have, and for which Numba has no code
MATRIX = types.Array(types.voidptr, 2, "A")


@intrinsic
def address_of(typingctx, a):
    """Where an array begins, in bytes."""

    def codegen(context, builder, signature, args):
        return builder.ptrtoint(context.make_array(a)(context, builder, args[0]).data, I64)

    return types.int64(a), codegen


@intrinsic
def unit_of(typingctx, a):
    """Numbers of a's type in a unit: a constant of the type (a.itemsize would be read from memory and divided by)."""

    def codegen(context, builder, signature, args):
        return I64(target.UNIT_BYTES // context.get_abi_sizeof(context.get_value_type(a.dtype)))

    return types.int64(a), codegen


def emit_array(context, builder, kind, pointer, shape, strides=None):
    """An array struct over `pointer`, of one dimension without strides: no owner, so nothing is ever counted."""
    size = I64(context.get_abi_sizeof(context.get_value_type(kind.dtype)))
    array = context.make_array(kind)(context, builder)
    context.populate_array(
        array,
        data=builder.bitcast(pointer, array.data.type),
        shape=cgutils.pack_array(builder, shape),
        strides=cgutils.pack_array(builder, strides or [size]),
        itemsize=size,
        meminfo=None,
    )
    return array._getvalue()


@intrinsic
def view(typingctx, a, start, n):
    """a[start : start + n] of a flat array, without bounds checks, wrap-around or reference counting."""
    view_type = types.Array(a.dtype, 1, "C")

    def codegen(context, builder, signature, args):
        data = context.make_array(a)(context, builder, args[0]).data
        return emit_array(context, builder, view_type, builder.gep(data, [args[1]]), [args[2]])

    return view_type(a, types.int64, types.int64), codegen


def view_at(dtype):
    """Make an intrinsic f(address, n): the n numbers of type `dtype` at an address in bytes."""
    view_type = types.Array(dtype, 1, "C")

    @intrinsic
    def at(typingctx, address, n):
        def codegen(context, builder, signature, args):
            pointer = builder.inttoptr(args[0], ir.IntType(8).as_pointer())
            return emit_array(context, builder, view_type, pointer, [args[1]])

        return view_type(types.int64, types.int64), codegen

    return at


def emit_address(context, builder, array_type, array, offset) -> ir.Value:
    """A pointer to bytes: where number `offset` of an array begins."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [offset]), ir.IntType(8).as_pointer())


def emit_prefetch(builder: ir.IRBuilder, place: ir.Value, to_be_written: bool) -> None:
    """Ask for the cache line at a place: into L1 if it will be written, else into L2, for L1 may have no room."""
    byte_ptr, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
    fnty = ir.FunctionType(ir.VoidType(), [byte_ptr, i32, i32, i32])
    fn = cgutils.get_or_insert_function(builder.module, fnty, "llvm.prefetch.p0")
    how = [i32(1), i32(3)] if to_be_written else [i32(0), i32(2)]
    builder.call(fn, [builder.bitcast(place, byte_ptr), *how, i32(1)])


@intrinsic
def prefetch(typingctx, a, i):
    """Ask for the cache line of a[i], which will be read and written soon."""

    def codegen(context, builder, signature, args):
        data = context.make_array(a)(context, builder, args[0]).data
        emit_prefetch(builder, builder.gep(data, [args[1]]), True)
        return context.get_dummy_value()

    return types.void(a, types.int64), codegen


@intrinsic
def prefetch_at(typingctx, address):
    """Ask for the cache line at an address in bytes, to be read soon."""

    def codegen(context, builder, signature, args):
        emit_prefetch(builder, builder.inttoptr(args[0], ir.IntType(8).as_pointer()), False)
        return context.get_dummy_value()

    return types.void(types.int64), codegen


def emit_transpose(builder: ir.IRBuilder, rows: list[ir.Value]) -> list[ir.Value]:
    """The columns of a square block whose rows are vectors."""
    n, rows = len(rows), list(rows)
    # log2(n) rounds of exchanging the off-diagonal halves of ever smaller sub-blocks
    half = n // 2
    while half:
        for i in range(n):
            if not i & half:
                x, y = rows[i], rows[i + half]
                low = [j if not j & half else n + j - half for j in range(n)]
                high = [j + half if not j & half else n + j for j in range(n)]
                masks = [ir.Constant(ir.VectorType(ir.IntType(32), n), m) for m in (low, high)]
                rows[i], rows[i + half] = (builder.shuffle_vector(x, y, m) for m in masks)
        half //= 2
    return rows


def transpose_reference(source, s0, s_row, out, o0, o_row):
    """Do what `transpose_block` does, in plain NumPy."""
    n = target.UNIT_BYTES // source.itemsize
    rows = np.array([source[s0 + i * s_row : s0 + i * s_row + n] for i in range(n)])
    for i in range(n):
        out[o0 + i * o_row : o0 + i * o_row + n] = rows[:, i]


@intrinsic
def transpose_block(typingctx, source, s0, s_row, out, o0, o_row):
    """out[i, j] = source[j, i] for a square block of a unit a side (16 float32 or 8 float64), which may be the same.

    Rows are at s0 + i * s_row and o0 + i * o_row, counted in numbers.
    """
    n64 = types.int64
    sig = types.void(source, n64, n64, out, n64, n64)

    def codegen(context, builder, signature, args):
        source, s0, s_row, out, o0, o_row = args
        real = context.get_value_type(signature.args[0].dtype)
        size = context.get_abi_sizeof(real)
        n = target.UNIT_BYTES // size
        vector = ir.VectorType(real, n)

        def pointers(array_type, value, start, stride):
            data = context.make_array(array_type)(context, builder, value).data
            rows = [builder.gep(data, [builder.add(start, builder.mul(stride, I64(i)))]) for i in range(n)]
            return [builder.bitcast(row, vector.as_pointer()) for row in rows]

        rows = [builder.load(p, align=size) for p in pointers(signature.args[0], source, s0, s_row)]
        for row, p in zip(emit_transpose(builder, rows), pointers(signature.args[3], out, o0, o_row), strict=True):
            builder.store(row, p, align=size)
        return context.get_dummy_value()

    return sig, codegen


def turn_bytes_reference(source, s0, s_row, n, out, o0):
    """Do what `turn_bytes` does, in plain NumPy."""
    rows = np.array([source[s0 + i * s_row : s0 + i * s_row + 64] for i in range(n)])
    out[o0 : o0 + 64 * n] = rows.T.ravel()
    return sum(1 << c for c in range(64) if rows[:, c].any())


@intrinsic
def turn_bytes(typingctx, source, s0, s_row, like, out, o0):
    """out[c, i] = source[i, c] for 64 columns of as many rows as a unit has numbers of the type of `like`, 8 or 16.

    source, out   uint8, flat; rows are s_row bytes apart in `source`, and lie together in `out`

    Returns 64 bits, which of the columns have other bytes than zeros.
    """
    n64 = types.int64

    def codegen(context, builder, signature, args):
        source, s0, s_row, _, out, o0 = args
        n = target.UNIT_BYTES // context.get_abi_sizeof(context.get_value_type(like.dtype))
        row, chunk = ir.VectorType(ir.IntType(8), 64), ir.VectorType(ir.IntType(8), 16)
        data, out_data = (
            context.make_array(t)(context, builder, a).data for t, a in ((source_t, source), (out_t, out))
        )
        starts = [builder.add(s0, builder.mul(s_row, I64(i))) for i in range(n)]
        rows = [builder.load(builder.bitcast(builder.gep(data, [at]), row.as_pointer()), align=1) for at in starts]
        union = rows[0]
        for other in rows[1:]:
            union = builder.or_(union, other)
        bits = builder.icmp_unsigned("!=", union, ir.Constant(row, [0] * 64))
        # log2(n) rounds of interleaving rows i and i + n / 2, within pieces of 16 bytes as x86 does it
        low = [16 * (c // 16) + c % 16 // 2 + 64 * (c % 2) for c in range(64)]
        masks = [ir.Constant(ir.VectorType(ir.IntType(32), 64), [c + more for c in low]) for more in (0, 8)]
        for _ in range(n.bit_length() - 1):
            pairs = [(rows[i], rows[i + n // 2]) for i in range(n // 2)]
            rows = [builder.shuffle_vector(*pair, mask) for pair in pairs for mask in masks]
        for i, vector in enumerate(rows):
            for piece in range(4):
                places = ir.Constant(ir.VectorType(ir.IntType(32), 16), [*range(16 * piece, 16 * piece + 16)])
                at = builder.add(o0, I64(16 * (n * piece + i)))
                where = builder.bitcast(builder.gep(out_data, [at]), chunk.as_pointer())
                builder.store(builder.shuffle_vector(vector, vector, places), where, align=1)
        return builder.bitcast(bits, I64)

    source_t, out_t = source, out
    return n64(source, n64, n64, like, out, n64), codegen
