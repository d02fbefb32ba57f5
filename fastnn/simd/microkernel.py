"""FLOOR 1: the register tile, the one loop where nearly all of the time goes.

    C[mr, n] (+)= A[mr, terms] @ B[terms, n]        n = units * 64 bytes

Contract
    terms   int64; the terms of the sums are terms[t0], terms[t0 + 1] .. terms[t0 + k - 1]: all of them in order,
            or only those that are not zero. Two instructions a term, hidden behind the multiplications.
    A       element (i, p) at a0 + i * a_row + p * a_col: any strides, one scalar broadcast a multiplication
    B       row p at b0 + p * b_row, n numbers in a row
    C       row i at c0 + i * c_row, n numbers in a row; overwritten, or gone on from if `accumulate`
    sum     every element is one chain of fma in the order of the terms, from zero or from C. So the bits depend
            neither on mr, on n, on the CPU's vector length, on where the tile lies, on where the terms are divided
            among calls, nor on whether terms are left out that are zero (where B is finite; a sum that
            underflows to -0 may become +0 by them). Without fma in the CPU: a multiplication, then an addition.
    k may be 0 (C becomes 0 or stays). mr is 1 .. TILE_ROWS[units], units 1 .. TILE_UNITS. C overlaps neither A nor B.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.simd import target
from fastnn.simd.scalar import emit_fma, spread

I64 = ir.IntType(64)


def tile_reference(mr, units, a, a0, a_row, a_col, b, b0, b_row, c, c0, c_row, terms, t0, k, accumulate):
    """Do what `tile` does, in plain Python and one rounding a multiplication and addition (see the contract)."""
    n = units * target.UNIT_BYTES // c.itemsize
    for i in range(mr):
        out = c[c0 + i * c_row : c0 + i * c_row + n]
        total = out.copy() if accumulate else np.zeros(n, c.dtype)
        for p in terms[t0 : t0 + k]:
            row = b[b0 + p * b_row : b0 + p * b_row + n].astype(np.longdouble)
            total = (total + np.longdouble(a[a0 + i * a_row + p * a_col]) * row).astype(c.dtype)
        out[:] = total


def _row_offsets(builder: ir.IRBuilder, odd_rows: Sequence[ir.Value], mr: int) -> list[ir.Value]:
    """Distance of each row of A from the first: an odd multiple of a_row, shifted, which x86 addresses for nothing.

    With a running sum instead, LLVM made a chain of additions that halved the speed of narrow tiles.
    """
    offsets = [I64(0)]
    for i in range(1, mr):
        shift = (i & -i).bit_length() - 1
        odd = odd_rows[(i >> shift) // 2]
        offsets.append(builder.shl(odd, I64(shift)) if shift else odd)
    return offsets


def _tile_function(module: ir.Module, real: ir.Type, size: int, mr: int, units: int) -> ir.Function:
    """The tile of mr rows and `units` units as a function of its own in `module`; strides in bytes."""
    lanes = target.VECTOR_BYTES // size
    nv = units * target.UNIT_BYTES // target.VECTOR_BYTES
    vector = ir.VectorType(real, lanes)
    byte_ptr = ir.IntType(8).as_pointer()
    a_types = [byte_ptr, I64, I64, I64, I64, I64]
    fnty = ir.FunctionType(
        ir.VoidType(),
        [*a_types, byte_ptr, I64, byte_ptr, I64, I64.as_pointer(), I64, ir.IntType(1)],
    )
    fn = cgutils.get_or_insert_function(module, fnty, f"fastnn_tile_{mr}x{units}_f{8 * size}")
    if fn.blocks:
        return fn
    fn.linkage = "linkonce_odr"
    fn.attributes.add("noinline")
    fn.attributes.add("nounwind")
    a, a_col, *odd_rows, b, b_row, c, c_row, terms, k, accumulate = fn.args
    entry, old, check, loop, store = (fn.append_basic_block(n) for n in ("entry", "old", "check", "loop", "store"))
    builder = ir.IRBuilder(entry)
    offsets = _row_offsets(builder, odd_rows, mr)

    def vectors_at(row, count):
        """Pointers to the vectors of a row of numbers."""
        starts = (builder.gep(row, [I64(v * target.VECTOR_BYTES)]) for v in range(count))
        return [builder.bitcast(start, vector.as_pointer()) for start in starts]

    c_vectors, row = [], c
    for _ in range(mr):
        c_vectors += vectors_at(row, nv)
        row = builder.gep(row, [c_row])
    builder.cbranch(accumulate, old, check)

    builder.position_at_end(old)
    before = [builder.load(where, align=size) for where in c_vectors]
    builder.branch(check)

    builder.position_at_end(check)
    zero = ir.Constant(vector, [0.0] * lanes)
    starts = []
    for value in before:
        start = builder.phi(vector)
        start.add_incoming(zero, entry)
        start.add_incoming(value, old)
        starts.append(start)
    builder.cbranch(builder.icmp_signed(">", k, I64(0)), loop, store)

    builder.position_at_end(loop)
    t = builder.phi(I64)
    sums = [builder.phi(vector) for _ in c_vectors]
    p = builder.load(builder.gep(terms, [t]))
    a_at = builder.gep(a, [builder.mul(p, a_col)])
    b_vectors = [builder.load(v, align=size) for v in vectors_at(builder.gep(b, [builder.mul(p, b_row)]), nv)]
    new = []
    for i in range(mr):
        scalar = builder.load(builder.bitcast(builder.gep(a_at, [offsets[i]]), real.as_pointer()), align=size)
        broadcast = spread(builder, scalar, lanes)
        for v in range(nv):
            new.append(emit_fma(builder, broadcast, b_vectors[v], sums[i * nv + v]))
    t_next = builder.add(t, I64(1))
    for phi, first, following in [(t, I64(0), t_next), *zip(sums, starts, new, strict=True)]:
        phi.add_incoming(first, check)
        phi.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", t_next, k), loop, store)

    builder.position_at_end(store)
    totals = []
    for value, start in zip(new, starts, strict=True):
        total = builder.phi(vector)
        total.add_incoming(start, check)
        total.add_incoming(value, loop)
        totals.append(total)
    for total, where in zip(totals, c_vectors, strict=True):
        builder.store(total, where, align=size)
    builder.ret_void()
    return fn


@intrinsic
def tile(typingctx, mr, units, a, a0, a_row, a_col, b, b0, b_row, c, c0, c_row, terms, t0, k, accumulate):
    """C[mr, n] (+)= A[mr, terms] @ B[terms, n] by the contract above; flat arrays, strides in numbers."""
    n64 = types.int64
    sig = types.void(n64, n64, a, n64, n64, n64, b, n64, n64, c, n64, n64, terms, n64, n64, types.boolean)

    def codegen(context, builder, signature, args):
        mr, units, a, a0, a_row, a_col, b, b0, b_row, c, c0, c_row, terms, t0, k, accumulate = args
        array_types = (signature.args[2], signature.args[6], signature.args[9])
        real = context.get_value_type(array_types[0].dtype)
        size = context.get_abi_sizeof(real)
        flag = builder.icmp_unsigned("!=", accumulate, ir.Constant(accumulate.type, 0))

        def start(array_type, value, offset):
            data = context.make_array(array_type)(context, builder, value).data
            return builder.bitcast(builder.gep(data, [offset]), ir.IntType(8).as_pointer())

        def in_bytes(stride):
            return builder.mul(stride, I64(size))

        odd_rows = [in_bytes(builder.mul(a_row, I64(odd))) for odd in (1, 3, 5, 7)]
        first_term = context.make_array(signature.args[12])(context, builder, terms).data
        call_args = [
            start(array_types[0], a, a0), in_bytes(a_col), *odd_rows,
            start(array_types[1], b, b0), in_bytes(b_row),
            start(array_types[2], c, c0), in_bytes(c_row), builder.gep(first_term, [t0]), k, flag,
        ]  # fmt: skip
        after = builder.append_basic_block("after")
        switch = builder.switch(builder.add(builder.mul(units, I64(16)), mr), after)
        for u, rows in target.TILE_ROWS.items():
            for m in range(1, rows + 1):
                block = builder.append_basic_block(f"tile{m}x{u}")
                switch.add_case(I64(16 * u + m), block)
                with builder.goto_block(block):
                    builder.call(_tile_function(builder.module, real, size, m, u), call_args)
                    builder.branch(after)
        builder.position_at_end(after)
        return context.get_dummy_value()

    return sig, codegen
