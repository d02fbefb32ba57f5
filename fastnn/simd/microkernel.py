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
    soon    what is read after this tile, from number s0 on: every term asks the cache for PACE bytes of it. Only the
            widest tile does so at its full height. No address is wrong: what is not there is not fetched. s0 < 0: none
    k may be 0 (C becomes 0 or stays). mr is 1 .. TILE_ROWS[units], units 1 .. TILE_UNITS. C overlaps neither A nor B.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnn.simd import target
from fastnn.simd.memory import emit_address, emit_prefetch
from fastnn.simd.scalar import emit_fma, function_apart, spread
from fastnn.simd.vectors import Rule, Vector, emit_step

I64 = ir.IntType(64)
_BYTES = ir.IntType(8).as_pointer()

# Bytes that are asked for with a term: half a line. Given as a number it costs no register; with another one for the
# distance the widest tile lost its sums to the stack
PACE = 32


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


class _Tile:
    """Emits the tile of mr rows and `units` units as a function of its own; strides in bytes.

    Its arguments are A, its strides, B, its stride, terms, k, then those of `extra_types`,
    and if it asks for what is read next, the places where that begins.
    """

    kind = "tile"
    to_be_written = False  # whether what is read next will also be written

    def __init__(
        self,
        module: ir.Module,
        real: ir.Type,
        size: int,
        mr: int,
        units: int,
        n_soon: int,
        extra_types: list[ir.Type],
    ) -> None:
        self.size, self.mr = size, mr
        self.lanes = target.VECTOR_BYTES // size
        self.nv = units * target.UNIT_BYTES // target.VECTOR_BYTES
        self.vector = ir.VectorType(real, self.lanes)
        self.real = real
        own_types = [_BYTES, *[I64] * 5, _BYTES, I64, _BYTES, I64]
        fnty = ir.FunctionType(ir.VoidType(), own_types + extra_types + [_BYTES] * n_soon)
        kind = self.kind + "_asking" * (n_soon > 0)
        self.fn = function_apart(module, fnty, f"fastnn_{kind}_{mr}x{units}_f{8 * size}")
        self.exists = bool(self.fn.blocks)
        if not self.exists:
            n, m = len(own_types), len(own_types + extra_types)
            self.args, self.extra, self.soon = self.fn.args[:n], self.fn.args[n:m], self.fn.args[m:]
            self.entry = self.fn.append_basic_block("entry")
            self.builder = ir.IRBuilder(self.entry)

    def vectors_at(self, row: ir.Value, count: int) -> list[ir.Value]:
        """Pointers to the vectors of a row of numbers."""
        starts = (self.builder.gep(row, [I64(v * target.VECTOR_BYTES)]) for v in range(count))
        return [self.builder.bitcast(start, self.vector.as_pointer()) for start in starts]

    def rows_at(self, first: ir.Value, distance: ir.Value) -> list[ir.Value]:
        """Pointers to the vectors of all rows of a result."""
        pointers: list[ir.Value] = []
        for i in range(self.mr):
            pointers += self.vectors_at(first, self.nv)
            if i + 1 < self.mr:
                first = self.builder.gep(first, [distance])
        return pointers

    def row_offsets(self, odd_rows: Sequence[ir.Value]) -> list[ir.Value]:
        """Distance of each row of A from the first: an odd multiple of a_row, shifted, which x86 addresses for nothing.

        With a running sum instead, LLVM made a chain of additions that halved the speed of narrow tiles.
        """
        offsets = [I64(0)]
        for i in range(1, self.mr):
            shift = (i & -i).bit_length() - 1
            odd = odd_rows[(i >> shift) // 2]
            offsets.append(self.builder.shl(odd, I64(shift)) if shift else odd)
        return offsets

    def row_of_b(self, row: ir.Value) -> list[ir.Value]:
        """The vectors of a row of B."""
        return [self.builder.load(v, align=self.size) for v in self.vectors_at(row, self.nv)]

    def ask(self, t: ir.Value) -> None:
        """Ask for this term's part of what is read next."""
        distance = self.builder.mul(t, I64(PACE))
        for place in self.soon:
            emit_prefetch(self.builder, self.builder.gep(place, [distance]), self.to_be_written)

    def sums(self, starts: list[ir.Value]) -> list[ir.Value]:
        """The sums of all elements, gone on from `starts`, row after row; the builder goes on behind the loop."""
        builder, size, mr, nv = self.builder, self.size, self.mr, self.nv
        a, a_col, *odd_rows, b, b_row, terms, k = self.args
        offsets = self.row_offsets(odd_rows)
        terms_as_numbers = builder.bitcast(terms, I64.as_pointer())
        check, loop, done = builder.block, self.fn.append_basic_block("loop"), self.fn.append_basic_block("done")
        builder.cbranch(builder.icmp_signed(">", k, I64(0)), loop, done)
        builder.position_at_end(loop)
        t = builder.phi(I64)
        sums = [builder.phi(self.vector) for _ in starts]
        p = builder.load(builder.gep(terms_as_numbers, [t]))
        a_at = builder.gep(a, [builder.mul(p, a_col)])
        b_vectors = self.row_of_b(builder.gep(b, [builder.mul(p, b_row)]))
        if self.soon:
            self.ask(t)
        new = []
        for i in range(mr):
            scalar = builder.load(builder.bitcast(builder.gep(a_at, [offsets[i]]), self.real.as_pointer()), align=size)
            broadcast = spread(builder, scalar, self.lanes)
            for v in range(nv):
                new.append(emit_fma(builder, broadcast, b_vectors[v], sums[i * nv + v]))
        t_next = builder.add(t, I64(1))
        for phi, first, following in [(t, I64(0), t_next), *zip(sums, starts, new, strict=True)]:
            phi.add_incoming(first, check)
            phi.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", t_next, k), loop, done)
        builder.position_at_end(done)
        totals = []
        for value, start in zip(new, starts, strict=True):
            total = builder.phi(self.vector)
            total.add_incoming(start, check)
            total.add_incoming(value, loop)
            totals.append(total)
        return totals


class _DescendingTile(_Tile):
    """A tile whose sums go into an update."""

    kind = "descent"
    to_be_written = True


class _ByteTile(_Tile):
    """A tile whose B are bytes, each of which stands for itself times the scale, and whose A has its rows together."""

    kind = "tile_of_bytes"

    def row_offsets(self, odd_rows: Sequence[ir.Value]) -> list[ir.Value]:
        return [I64(i * self.size) for i in range(self.mr)]

    def row_of_b(self, row: ir.Value) -> list[ir.Value]:
        builder, lanes = self.builder, self.lanes
        scale = self.extra[3]
        bytes_type, integers = (ir.VectorType(ir.IntType(bits), lanes) for bits in (8, 8 * self.size))
        # high + byte has the byte in its last bits, and the fma takes high * scale away without another rounding: an
        # instruction less than a conversion
        high = 2.0 ** (52 if self.size == 8 else 23)
        high_bits = builder.bitcast(ir.Constant(self.vector, [high] * lanes), integers)
        away = spread(builder, builder.fmul(scale, ir.Constant(self.real, -high)), lanes)
        scale = spread(builder, scale, lanes)
        vectors = []
        for v in range(self.nv):
            place = builder.bitcast(builder.gep(row, [I64(v * lanes)]), bytes_type.as_pointer())
            byte = builder.load(place, align=1)
            if target.HAS_FMA:
                number = builder.bitcast(builder.or_(builder.zext(byte, integers), high_bits), self.vector)
                vectors.append(emit_fma(builder, number, scale, away))
            else:
                vectors.append(builder.fmul(builder.uitofp(byte, self.vector), scale))
        return vectors


class _RowsTile(_Tile):
    """A tile whose rows lie anywhere: its distances of A are theirs, from the first address."""

    kind = "tile_of_rows"

    def row_offsets(self, odd_rows: Sequence[ir.Value]) -> list[ir.Value]:
        return list(odd_rows)


def _rows_tile(module, real: ir.Type, size: int, mr: int, units: int) -> ir.Function:
    """The tile of rows that lie anywhere: arguments are the rows of C."""
    tile = _RowsTile(module, real, size, mr, units, 0, [_BYTES] * mr)
    if tile.exists:
        return tile.fn
    c_vectors = [vector for row in tile.extra for vector in tile.vectors_at(row, tile.nv)]
    totals = tile.sums([ir.Constant(tile.vector, [0.0] * tile.lanes)] * len(c_vectors))
    for total, where in zip(totals, c_vectors, strict=True):
        tile.builder.store(total, where, align=size)
    tile.builder.ret_void()
    return tile.fn


def _storing_tile(module, real: ir.Type, size: int, mr: int, units: int, n_soon: int, make=_Tile) -> ir.Function:
    """The tile that stores its sums: arguments C, the distance of its rows, whether to accumulate; of bytes a scale."""
    more_types = [_BYTES, I64, ir.IntType(1), *[real] * (make is _ByteTile)]
    tile = make(module, real, size, mr, units, n_soon, more_types)
    if tile.exists:
        return tile.fn
    builder = tile.builder
    c, c_row, accumulate = tile.extra[:3]
    c_vectors = tile.rows_at(c, c_row)
    old, begin = tile.fn.append_basic_block("old"), tile.fn.append_basic_block("begin")
    builder.cbranch(accumulate, old, begin)
    builder.position_at_end(old)
    before = [builder.load(where, align=size) for where in c_vectors]
    builder.branch(begin)
    builder.position_at_end(begin)
    starts = []
    for value in before:
        start = builder.phi(tile.vector)
        start.add_incoming(ir.Constant(tile.vector, [0.0] * tile.lanes), tile.entry)
        start.add_incoming(value, old)
        starts.append(start)
    for total, where in zip(tile.sums(starts), c_vectors, strict=True):
        builder.store(total, where, align=size)
    builder.ret_void()
    return tile.fn


def _updating_tile(
    module, real: ir.Type, size: int, mr: int, units: int, n_soon: int, rules: list[Rule]
) -> ir.Function:
    """The tile whose sums are gradients: arguments w, v, the distance of their rows, rule, rate, momentum."""
    tile = _DescendingTile(module, real, size, mr, units, n_soon, [_BYTES, _BYTES, I64, I64, real, real])
    if tile.exists:
        return tile.fn
    builder = tile.builder
    w, v, distance, code, rate, momentum = tile.extra
    totals = tile.sums([ir.Constant(tile.vector, [0.0] * tile.lanes)] * (mr * tile.nv))
    factors = [Vector(builder, spread(builder, x, tile.lanes)) for x in (builder.fneg(rate), momentum)]
    places = list(zip(tile.rows_at(w, distance), tile.rows_at(v, distance), strict=True))
    end = tile.fn.append_basic_block("end")
    switch = builder.switch(code, end)
    for rule in rules:
        block = tile.fn.append_basic_block(f"rule{rule[0]}")
        switch.add_case(I64(rule[0]), block)
        builder.position_at_end(block)
        for total, (w_place, v_place) in zip(totals, places, strict=True):
            emit_step(rule, Vector(builder, total), w_place, v_place, factors, size)
        builder.branch(end)
    builder.position_at_end(end)
    builder.ret_void()
    return tile.fn


def _choose_tile(builder: ir.IRBuilder, sizes, units, mr, call: Callable[[int, int], None]) -> None:
    """Have `call` emit the call of each tile of `sizes` (heights by units), and go to that of this size."""
    after = builder.append_basic_block("after")
    switch = builder.switch(builder.add(builder.mul(units, I64(16)), mr), after)
    for u, heights in sizes.items():
        for m in sorted(heights):
            block = builder.append_basic_block(f"tile{m}x{u}")
            switch.add_case(I64(16 * u + m), block)
            with builder.goto_block(block):
                call(m, u)
                builder.branch(after)
    builder.position_at_end(after)


def _in_bytes(builder, stride, size):
    return builder.mul(stride, I64(size))


def _factors(context, builder, signature, args):
    """A and B of an intrinsic with the arguments mr, units, a, a0, a_row, a_col, b, b0, b_row as those of a tile."""
    a, a0, a_row, a_col, b, b0, b_row = args
    a_size, b_size = (context.get_abi_sizeof(context.get_value_type(signature.args[i].dtype)) for i in (2, 6))
    odd_rows = [_in_bytes(builder, builder.mul(a_row, I64(odd)), a_size) for odd in (1, 3, 5, 7)]
    return [
        emit_address(context, builder, signature.args[2], a, a0), _in_bytes(builder, a_col, a_size), *odd_rows,
        emit_address(context, builder, signature.args[6], b, b0), _in_bytes(builder, b_row, b_size),
    ]  # fmt: skip


def _emit_product(context, builder, signature, args, make, sizes, *more):
    """Call the storing tile that `make` begins, one of `sizes`, with the signature and arguments of `tile`."""
    mr, units, *factors, c, c0, c_row, terms, t0, k, accumulate, soon, s0 = args
    real = context.get_value_type(signature.args[9].dtype)
    size = context.get_abi_sizeof(real)
    call_args = [
        *_factors(context, builder, signature, factors),
        emit_address(context, builder, signature.args[12], terms, t0), k,
        emit_address(context, builder, signature.args[9], c, c0), _in_bytes(builder, c_row, size),
        builder.icmp_unsigned("!=", accumulate, ir.Constant(accumulate.type, 0)), *more,
    ]  # fmt: skip
    soon = [emit_address(context, builder, signature.args[16], soon, s0)] if make is _Tile else []

    def call(m, u):
        silent = _storing_tile(builder.module, real, size, m, u, 0, make)
        if not soon or (m, u) != target.WIDEST:
            builder.call(silent, call_args)
            return
        with builder.if_else(builder.icmp_signed(">=", s0, I64(0))) as (asks, does_not):
            with asks:
                builder.call(_storing_tile(builder.module, real, size, m, u, len(soon), make), call_args + soon)
            with does_not:
                builder.call(silent, call_args)

    _choose_tile(builder, sizes, units, mr, call)
    return context.get_dummy_value()


@intrinsic
def tile(typingctx, mr, units, a, a0, a_row, a_col, b, b0, b_row, c, c0, c_row, terms, t0, k, accumulate, soon, s0):
    """C[mr, n] (+)= A[mr, terms] @ B[terms, n] by the contract above; flat arrays, strides in numbers."""
    n64 = types.int64
    product = n64, n64, a, n64, n64, n64, b, n64, n64, c, n64, n64, terms, n64, n64
    sig = types.void(*product, types.boolean, soon, n64)

    def codegen(context, builder, signature, args):
        sizes = {u: range(1, rows + 1) for u, rows in target.TILE_ROWS.items()}
        return _emit_product(context, builder, signature, args, _Tile, sizes)

    return sig, codegen


@intrinsic
def tile_of_rows(typingctx, units, a, a0, a_row, b, b0, b_row, c, c0, c_row, terms, t0, k, rows, r0):
    """As `tile`, of the rows rows[r0], rows[r0 + 1] .. of A and C, int64, target.ANY_ROWS of them.

    The columns of A are 1 apart, and C is overwritten.
    """
    n64 = types.int64
    sig = types.void(n64, a, n64, n64, b, n64, n64, c, n64, n64, terms, n64, n64, rows, n64)

    def codegen(context, builder, signature, args):
        units, a, a0, a_row, b, b0, b_row, c, c0, c_row, terms, t0, k, rows, r0 = args
        kinds = signature.args
        real = context.get_value_type(kinds[7].dtype)
        size = context.get_abi_sizeof(real)
        numbers = context.make_array(kinds[13])(context, builder, rows).data
        places = [builder.load(builder.gep(numbers, [builder.add(r0, I64(i))])) for i in range(target.ANY_ROWS)]
        c_starts = [builder.add(c0, builder.mul(place, c_row)) for place in places]
        call_args = [
            emit_address(context, builder, kinds[1], a, a0), I64(size),
            *[_in_bytes(builder, builder.mul(place, a_row), size) for place in places],
            emit_address(context, builder, kinds[4], b, b0), _in_bytes(builder, b_row, size),
            emit_address(context, builder, kinds[10], terms, t0), k,
            *[emit_address(context, builder, kinds[7], c, start) for start in c_starts],
        ]  # fmt: skip

        def call(m, u):
            builder.call(_rows_tile(builder.module, real, size, m, u), call_args)

        sizes = dict.fromkeys(target.TILE_ROWS, (target.ANY_ROWS,))
        _choose_tile(builder, sizes, units, I64(target.ANY_ROWS), call)
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def tile_of_bytes(typingctx, mr, a, a0, a_col, b, b0, b_row, c, c0, c_row, terms, t0, k, accumulate, scale):
    """As `tile`, of one unit, but B are bytes (uint8): each stands for byte * scale, rounded to a number of C's type.

    The rows of A are 1 apart; mr is one of target.BYTE_ROWS.
    """
    n64 = types.int64
    sig = types.void(n64, a, n64, n64, b, n64, n64, c, n64, n64, terms, n64, n64, types.boolean, c.dtype)

    def codegen(context, builder, signature, args):
        mr, a, a0, a_col, *rest, scale = args
        args = [mr, I64(1), a, a0, I64(1), a_col, *rest, a, I64(-1)]
        kinds = signature.args
        like_tile = types.void(n64, n64, kinds[1], n64, n64, *kinds[3:-1], kinds[1], n64)
        return _emit_product(context, builder, like_tile, args, _ByteTile, {1: target.BYTE_ROWS}, scale)

    return sig, codegen


def updating_tile(rules: list[Rule], asks: bool = False):
    """Make an intrinsic update_tile: the sums are gradients, and `rule`, one of (code, step, whether it has a slot),
    takes a step with them on the weights at w[at:] with velocities v[at:], rows `row` apart, in place.

    mr is one of target.UPDATE_ROWS[units]. The sums start from zero, and are otherwise those of `tile`. If it `asks`,
    for both w and v from s0 on, there is only the widest tile at its full height; else s0 means nothing.
    """
    rows, units = target.WIDEST
    sizes = {units: {rows}} if asks else target.UPDATE_ROWS

    @intrinsic
    def update_tile(
        typingctx, mr, units, a, a0, a_row, a_col, b, b0, b_row, terms, t0, k, w, v, at, row, rule, rate, momentum,
        s0,
    ):  # fmt: skip
        n64 = types.int64
        product = n64, n64, a, n64, n64, n64, b, n64, n64, terms, n64, n64
        sig = types.void(*product, w, v, n64, n64, n64, w.dtype, w.dtype, n64)

        def codegen(context, builder, signature, args):
            mr, units, *factors, terms, t0, k, w, v, at, row, rule, rate, momentum, s0 = args
            real = context.get_value_type(signature.args[2].dtype)
            size = context.get_abi_sizeof(real)
            call_args = [
                *_factors(context, builder, signature, factors),
                emit_address(context, builder, signature.args[9], terms, t0), k,
                emit_address(context, builder, signature.args[12], w, at),
                emit_address(context, builder, signature.args[13], v, at), _in_bytes(builder, row, size),
                rule, rate, momentum,
            ]  # fmt: skip

            if asks:
                call_args += [emit_address(context, builder, signature.args[i], x, s0) for i, x in ((12, w), (13, v))]

            def call(m, u):
                builder.call(_updating_tile(builder.module, real, size, m, u, 2 * asks, rules), call_args)

            _choose_tile(builder, sizes, units, mr, call)
            return context.get_dummy_value()

        return sig, codegen

    return update_tile
