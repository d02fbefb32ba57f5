"""FLOOR 1: the register tile, the one loop where nearly all of the time goes.

    C[mr, n] (+)= A[mr, k] @ B[k, n]        n = units * 64 bytes

Contract
    A   element (i, p) at a0 + i * a_row + p * a_col: any strides, one scalar broadcast a multiplication
    B   row p at b0 + p * b_row, n numbers in a row
    C   row i at c0 + i * c_row, n numbers in a row; overwritten, or added to if `accumulate`
    sum every element is one chain of fma over p = 0 .. k-1, starting from zero; only then is it added to C.
        So the bits depend neither on mr, on n, on the CPU's vector length, nor on where the tile lies.
    k may be 0 (C becomes 0 or stays). mr is 1 .. TILE_ROWS[units], units 1 .. TILE_UNITS. C overlaps neither A nor B.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.simd import target
from fastnn.simd.scalar import emit_fma

I64 = ir.IntType(64)


def tile_reference(mr, units, a, a0, a_row, a_col, b, b0, b_row, c, c0, c_row, k, accumulate):
    """Do what `tile` does, in plain Python and one rounding a multiplication and addition (see the contract)."""
    n = units * target.UNIT_BYTES // c.itemsize
    for i in range(mr):
        total = np.zeros(n, np.longdouble)
        for p in range(k):
            row = b[b0 + p * b_row : b0 + p * b_row + n].astype(np.longdouble)
            total = (total + np.longdouble(a[a0 + i * a_row + p * a_col]) * row).astype(c.dtype)
        out = c[c0 + i * c_row : c0 + i * c_row + n]
        out[:] = out + total.astype(c.dtype) if accumulate else total


def _tile_function(module: ir.Module, real: ir.Type, size: int, mr: int, units: int) -> ir.Function:
    """The tile of mr rows and `units` units as a function of its own in `module`; strides in bytes."""
    lanes = target.VECTOR_BYTES // size
    nv = units * target.UNIT_BYTES // target.VECTOR_BYTES
    vector = ir.VectorType(real, lanes)
    byte_ptr = ir.IntType(8).as_pointer()
    fnty = ir.FunctionType(
        ir.VoidType(), [byte_ptr, I64, I64, I64, I64, I64, byte_ptr, I64, byte_ptr, I64, I64, ir.IntType(1)]
    )
    name = f"fastnn_tile_{mr}x{units}_f{8 * size}"
    fn = cgutils.get_or_insert_function(module, fnty, name)
    if fn.blocks:
        return fn
    fn.linkage = "linkonce_odr"
    fn.attributes.add("noinline")
    fn.attributes.add("nounwind")
    a, a_col, *a_rows, b, b_row, c, c_row, k, accumulate = fn.args

    entry, loop, done, add, store, end = (
        fn.append_basic_block(n) for n in ("entry", "loop", "done", "add", "store", "end")
    )
    builder = ir.IRBuilder(entry)
    zero = ir.Constant(vector, [0.0] * lanes)
    row_offsets = {0: I64(0)}
    for i in range(1, mr):
        odd, shift = i, 0
        while odd % 2 == 0:
            odd, shift = odd // 2, shift + 1
        row_offsets[i] = builder.shl(a_rows[odd // 2], I64(shift)) if shift else a_rows[odd // 2]
    builder.cbranch(builder.icmp_signed(">", k, I64(0)), loop, done)

    builder.position_at_end(loop)
    p = builder.phi(I64)
    a_at = builder.phi(byte_ptr)
    b_at = builder.phi(byte_ptr)
    sums = [builder.phi(vector) for _ in range(mr * nv)]
    b_vectors = [
        builder.load(
            builder.bitcast(builder.gep(b_at, [I64(v * target.VECTOR_BYTES)]), vector.as_pointer()),
            align=size,
        )
        for v in range(nv)
    ]
    new = []
    for i in range(mr):
        scalar = builder.load(builder.bitcast(builder.gep(a_at, [row_offsets[i]]), real.as_pointer()), align=size)
        first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.IntType(32)(0))
        broadcast = builder.shuffle_vector(
            first,
            ir.Constant(vector, ir.Undefined),
            ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes),
        )
        for v in range(nv):
            new.append(emit_fma(builder, broadcast, b_vectors[v], sums[i * nv + v]))
    p_next = builder.add(p, I64(1))
    a_next = builder.gep(a_at, [a_col])
    b_next = builder.gep(b_at, [b_row])
    for phi, start, following in [(p, I64(0), p_next), (a_at, a, a_next), (b_at, b, b_next)]:
        phi.add_incoming(start, entry)
        phi.add_incoming(following, loop)
    for phi, value in zip(sums, new, strict=True):
        phi.add_incoming(zero, entry)
        phi.add_incoming(value, loop)
    builder.cbranch(builder.icmp_signed("<", p_next, k), loop, done)

    builder.position_at_end(done)
    totals = []
    for value in new:
        total = builder.phi(vector)
        total.add_incoming(zero, entry)
        total.add_incoming(value, loop)
        totals.append(total)
    builder.cbranch(accumulate, add, store)
    for block in (add, store):
        builder.position_at_end(block)
        row = c
        for i in range(mr):
            for v in range(nv):
                where = builder.bitcast(builder.gep(row, [I64(v * target.VECTOR_BYTES)]), vector.as_pointer())
                total = totals[i * nv + v]
                if block is add:
                    total = builder.fadd(builder.load(where, align=size), total)
                builder.store(total, where, align=size)
            row = builder.gep(row, [c_row])
        builder.branch(end)
    builder.position_at_end(end)
    builder.ret_void()
    return fn


@intrinsic
def tile(typingctx, mr, units, a, a0, a_row, a_col, b, b0, b_row, c, c0, c_row, k, accumulate):
    """C[mr, n] (+)= A[mr, k] @ B[k, n] by the contract above; flat arrays, offsets and strides in numbers."""
    n64 = types.int64
    sig = types.void(n64, n64, a, n64, n64, n64, b, n64, n64, c, n64, n64, n64, types.boolean)

    def codegen(context, builder, signature, args):
        mr, units, a, a0, a_row, a_col, b, b0, b_row, c, c0, c_row, k, accumulate = args
        array_types = (signature.args[2], signature.args[6], signature.args[9])
        real = context.get_value_type(array_types[0].dtype)
        size = context.get_abi_sizeof(real)
        flag = builder.icmp_unsigned("!=", accumulate, ir.Constant(accumulate.type, 0))

        def start(array_type, value, offset):
            data = context.make_array(array_type)(context, builder, value).data
            return builder.bitcast(builder.gep(data, [offset]), ir.IntType(8).as_pointer())

        def in_bytes(stride):
            return builder.mul(stride, I64(size))

        # rows 1, 3, 5 and 7 as distances of their own: x86 addresses the others by scaling these. With a
        # running sum instead, LLVM made a chain of additions that halved the speed of narrow tiles
        odd_rows = [in_bytes(builder.mul(a_row, I64(odd))) for odd in (1, 3, 5, 7)]
        call_args = [
            start(array_types[0], a, a0), in_bytes(a_col), *odd_rows,
            start(array_types[1], b, b0), in_bytes(b_row),
            start(array_types[2], c, c0), in_bytes(c_row), k, flag,
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
