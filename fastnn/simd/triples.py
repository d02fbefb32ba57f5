"""FLOOR 1: float32 products on the CPU's matrix unit (Intel AMX), which multiplies bfloat16.

A float32 is the sum of three bfloat16: its first 8 significant bits, the next 8 and the last 8. Of the nine products of
two such triples the six largest make up what one rounding leaves of the exact product (Henry, Tang, Heinecke 2019,
"Leveraging the bfloat16 artificial intelligence datatype for higher-precision computations"). The unit does 16 times
the multiplications of an FMA unit, so six of them take 0.4 of the time.

    C[32, 64] (+)= A[32, k] @ B[k, 64]        k whole steps of 32 terms

Layout, uint16, flat; all of it begins on whole lines of 64 bytes
    A       step by step ROWS_STEP numbers: row after row, of each the first, second and last parts of its 32 terms
    B       step by step PAIRS_STEP numbers: two terms after two, of each the first, second and last parts of 64
            columns, in which the two terms of a column are neighbours
Contract
    sum     of every element from zero or from C: step after step the six products in one order, the smallest first;
            in each the unit adds even terms, odd terms, and both to the sum. So the bits depend neither on where the
            block lies nor on what else is computed. Numbers below the smallest normal count as zero.
    company what the core does meanwhile, for the unit leaves it idle: it makes triples of what is multiplied next, or
            takes a step with finished gradients. It is all done when the block is
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.simd.scalar import spread
from fastnn.simd.target import BLOCK_COLUMNS, PAIRS_STEP, ROWS_STEP, STEP_TERMS
from fastnn.simd.vectors import Rule, Vector

I8, I64 = ir.IntType(8), ir.IntType(64)
_BYTES = I8.as_pointer()
_LANES = 16
_REAL = ir.FloatType()
_VECTOR, _INTEGERS = ir.VectorType(_REAL, _LANES), ir.VectorType(ir.IntType(32), _LANES)
_WORDS = ir.VectorType(ir.IntType(16), 2 * _LANES)

# Bytes from row to row of a tile of A and of B, and from part to part
_A_ROW, _A_PART, _B_ROW, _B_PART = 192, 64, 768, 256
# Which parts of A and of B are multiplied, so that each product needs only one of them anew
_PRODUCTS = ((0, 2), (0, 1), (1, 1), (1, 0), (2, 0), (0, 0))


def _as_parts(x):
    """The three parts of numbers, as float32 numbers that are bfloat16 too, largest first."""
    parts = []
    for _ in range(3):
        parts.append((x.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32))
        x = x - parts[-1]
    return parts


def product_reference(A, B, C=None):
    """C (+)= A @ B as the contract says, in plain NumPy, (m, k) @ (k, n) with k whole steps."""
    total = np.zeros((A.shape[0], B.shape[1]), np.float32) if C is None else C.copy()
    a_parts, b_parts = _as_parts(A), _as_parts(B)
    for step in range(0, A.shape[1], STEP_TERMS):
        for i, j in _PRODUCTS:
            sums = np.zeros((2, *total.shape), np.float32)  # of the even and of the odd terms
            for k in range(step, step + STEP_TERMS):
                product = np.multiply.outer(a_parts[i][:, k], b_parts[j][k].astype(np.longdouble))
                sums[k % 2] = (sums[k % 2] + product).astype(np.float32)
            total += sums[0] + sums[1]
    return total


def _call(builder: ir.IRBuilder, name: str, *args: ir.Value) -> None:
    fnty = ir.FunctionType(ir.VoidType(), [a.type for a in args])
    builder.call(cgutils.get_or_insert_function(builder.module, fnty, f"llvm.x86.{name}"), args)


def _vector_at(builder: ir.IRBuilder, place: ir.Value, kind: ir.Type = _VECTOR) -> ir.Value:
    return builder.bitcast(place, kind.as_pointer())


def _past(builder: ir.IRBuilder, place: ir.Value, n_bytes: int) -> ir.Value:
    return builder.gep(place, [I64(n_bytes)])


def _parts(builder: ir.IRBuilder, x: ir.Value) -> list[ir.Value]:
    """Three vectors of integers whose upper halves are the parts of a vector of numbers."""
    upper = ir.Constant(_INTEGERS, [0xFFFF0000] * _LANES)
    found = []
    for part in range(3):
        bits = builder.bitcast(x, _INTEGERS)
        found.append(bits)
        if part < 2:
            x = builder.fsub(x, builder.bitcast(builder.and_(bits, upper), _VECTOR))
    return found


def _emit_row(builder: ir.IRBuilder, source: ir.Value, out: ir.Value) -> None:
    """32 terms of a row of A."""
    halves = [_parts(builder, builder.load(_vector_at(builder, _past(builder, source, b)), align=4)) for b in (0, 64)]
    odd = ir.Constant(ir.VectorType(ir.IntType(32), 32), [2 * i + 1 for i in range(32)])
    for part, (low, high) in enumerate(zip(*halves, strict=True)):
        words = builder.shuffle_vector(builder.bitcast(low, _WORDS), builder.bitcast(high, _WORDS), odd)
        builder.store(words, _vector_at(builder, _past(builder, out, _A_PART * part), _WORDS), align=64)


def _emit_pair(builder: ir.IRBuilder, source: ir.Value, out: ir.Value) -> None:
    """Two terms of B, whose rows lie together."""
    upper = ir.Constant(_INTEGERS, [0xFFFF0000] * _LANES)
    for column in range(0, 256, 64):
        even, odd = (
            _parts(builder, builder.load(_vector_at(builder, _past(builder, source, column + row)), align=4))
            for row in (0, 256)
        )
        for part, (low, high) in enumerate(zip(even, odd, strict=True)):
            shifted = builder.lshr(low, ir.Constant(_INTEGERS, [16] * _LANES))
            place = _vector_at(builder, _past(builder, out, _B_PART * part + column), _INTEGERS)
            builder.store(builder.or_(shifted, builder.and_(high, upper)), place, align=64)


class _Company:
    """What a core does while its matrix unit multiplies: items, one after another, `pace` of them at a time."""

    name = "alone"
    arg_types: tuple[ir.Type, ...] = ()

    def begin(self, builder: ir.IRBuilder, args: list[ir.Value]) -> None:
        """Keep what changes from item to item; args begin with the number of items and the pace."""
        self.left, self.pace, *rest = args
        self.state = [cgutils.alloca_once_value(builder, value) for value in (self.left, *rest)]

    def item(self, builder: ir.IRBuilder, places: list[ir.Value]) -> tuple[int, ...]:
        """Emit an item; returns by how many bytes each place moves on."""
        raise NotImplementedError

    def emit(self, builder: ir.IRBuilder, all_of_them: bool = False) -> None:
        if not self.arg_types:
            return
        left = builder.load(self.state[0])
        stop = I64(0) if all_of_them else builder.sub(left, self.pace)
        stop = builder.select(builder.icmp_signed("<", stop, I64(0)), I64(0), stop)
        test, body, after = (builder.append_basic_block(name) for name in ("test", "item", "go_on"))
        builder.branch(test)
        builder.position_at_end(test)
        left = builder.load(self.state[0])
        builder.cbranch(builder.icmp_signed(">", left, stop), body, after)
        builder.position_at_end(body)
        places = [builder.load(place) for place in self.state[1:]]
        moves = self.item(builder, places)
        for variable, place, move in zip(self.state[1:], places, moves, strict=True):
            builder.store(_past(builder, place, move), variable)
        builder.store(builder.sub(left, I64(1)), self.state[0])
        builder.branch(test)
        builder.position_at_end(after)


class _SplitPairs(_Company):
    """Makes the next of B: places source, out."""

    name = "pairs"
    arg_types = (I64, I64, _BYTES, _BYTES)

    def item(self, builder, places):
        _emit_pair(builder, *places)
        return 512, _B_ROW


class _SplitRows(_Company):
    """Makes the next of A, rows of two steps that lie together: places source, out."""

    name = "rows"
    arg_types = (I64, I64, _BYTES, _BYTES)

    def item(self, builder, places):
        source, out = places
        _emit_row(builder, source, out)
        _emit_row(builder, _past(builder, source, 128), _past(builder, out, 2 * ROWS_STEP))
        return 256, _A_ROW


class _Descend(_Company):
    """Takes a step with a vector of gradients: places w, v, g; then rate, momentum."""

    arg_types = (I64, I64, _BYTES, _BYTES, _BYTES, _REAL, _REAL)

    def __init__(self, rule: Rule) -> None:
        self.code, self.step, self.has_slot = rule
        self.name = f"rule{self.code}"

    def begin(self, builder, args):
        *others, rate, momentum = args
        super().begin(builder, others)
        self.factors = [Vector(builder, spread(builder, x, _LANES)) for x in (builder.fneg(rate), momentum)]

    def item(self, builder, places):
        w, v, g = (_vector_at(builder, place) for place in places)
        old_w, gradient = (Vector(builder, builder.load(place, align=4)) for place in (w, g))
        old_v = Vector(builder, builder.load(v, align=4)) if self.has_slot else old_w
        new_w, new_v = self.step(old_w, gradient, old_v, *self.factors)
        builder.store(new_w.value, w, align=4)
        if self.has_slot:
            builder.store(new_v.value, v, align=4)
        return 64, 64 if self.has_slot else 0, 64


def _tile_function(module: ir.Module, company: _Company) -> ir.Function:
    """The block and its company: arguments A, B, steps, C, the distance of C's rows in bytes, accumulate; company's."""
    own = [_BYTES, _BYTES, I64, _BYTES, I64, ir.IntType(1)]
    fnty = ir.FunctionType(ir.VoidType(), [*own, *company.arg_types])
    fn = cgutils.get_or_insert_function(module, fnty, f"fastnn_tile_of_triples_{company.name}")
    if fn.blocks:
        return fn
    fn.linkage = "linkonce_odr"
    fn.attributes.add("noinline")
    fn.attributes.add("nounwind")
    a, b, steps, c, c_row, accumulate = fn.args[: len(own)]
    builder = ir.IRBuilder(fn.append_basic_block("entry"))
    if company.arg_types:
        company.begin(builder, list(fn.args[len(own) :]))
    with cgutils.for_range(builder, I64(2)) as half:
        columns = builder.mul(half.index, I64(128))
        sums = builder.gep(c, [columns])
        low = builder.gep(sums, [builder.mul(c_row, I64(16))])
        quarters = [sums, _past(builder, sums, 64), low, _past(builder, low, 64)]
        with builder.if_else(accumulate) as (goes_on, begins):
            with goes_on:
                for t, place in enumerate(quarters):
                    _call(builder, "tileloadd64", I8(t), place, c_row)
            with begins:
                for t in range(4):
                    _call(builder, "tilezero", I8(t))
        with cgutils.for_range(builder, steps) as step:
            a_at = builder.gep(a, [builder.mul(step.index, I64(2 * ROWS_STEP))])
            b_at = builder.gep(b, [builder.add(columns, builder.mul(step.index, I64(2 * PAIRS_STEP)))])
            loaded: tuple[int | None, int | None] = (None, None)
            for product in _PRODUCTS:
                if product[0] != loaded[0]:
                    for t in (0, 1):
                        place = _past(builder, a_at, _A_PART * product[0] + 16 * _A_ROW * t)
                        _call(builder, "tileloadd64", I8(4 + t), place, I64(_A_ROW))
                if product[1] != loaded[1]:
                    for t in (0, 1):
                        place = _past(builder, b_at, _B_PART * product[1] + 64 * t)
                        _call(builder, "tileloadd64", I8(6 + t), place, I64(_B_ROW))
                loaded = product
                for t in range(4):
                    _call(builder, "tdpbf16ps", I8(t), I8(4 + t // 2), I8(6 + t % 2))
                company.emit(builder)
        for t, place in enumerate(quarters):
            _call(builder, "tilestored64", I8(t), place, c_row)
    company.emit(builder, all_of_them=True)
    builder.ret_void()
    return fn


def _address(context, builder, array_type, array, offset):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [offset]), _BYTES)


@intrinsic
def open_matrix_unit(typingctx):
    """Before any block on this thread: eight tiles of 16 rows of 64 bytes. The process must have been allowed to."""

    def codegen(context, builder, signature, args):
        kind = ir.ArrayType(I8, 64)
        table = [1, *[0] * 15, *[64, 0] * 8, *[0] * 16, *[16] * 8, *[0] * 8]
        held = cgutils.global_constant(builder, "fastnn_tiles", ir.Constant(kind, table))
        _call(builder, "ldtilecfg", builder.bitcast(held, _BYTES))
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def close_matrix_unit(typingctx):
    """After the last block: the tiles are free, and a switch of threads need not keep them."""

    def codegen(context, builder, signature, args):
        _call(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def split_rows(typingctx, source, s0, s_row, n, steps, out, o0):
    """Triples of n rows of A, at most BLOCK_ROWS, of so many steps; rows are s_row apart in `source`."""
    n64 = types.int64

    def codegen(context, builder, signature, args):
        source, s0, s_row, n, steps, out, o0 = args
        first = _address(context, builder, signature.args[0], source, s0)
        out = _address(context, builder, signature.args[5], out, o0)
        with cgutils.for_range(builder, n) as row:
            begin = builder.gep(first, [builder.mul(row.index, builder.mul(s_row, I64(4)))])
            to = builder.gep(out, [builder.mul(row.index, I64(_A_ROW))])
            with cgutils.for_range(builder, steps) as step:
                terms = builder.gep(begin, [builder.mul(step.index, I64(4 * STEP_TERMS))])
                _emit_row(builder, terms, builder.gep(to, [builder.mul(step.index, I64(2 * ROWS_STEP))]))
        return context.get_dummy_value()

    return types.void(source, n64, n64, n64, n64, out, n64), codegen


@intrinsic
def split_pairs(typingctx, source, s0, steps, out, o0):
    """Triples of so many steps of B, whose rows of BLOCK_COLUMNS numbers lie together in `source`."""
    n64 = types.int64

    def codegen(context, builder, signature, args):
        source, s0, steps, out, o0 = args
        source = _address(context, builder, signature.args[0], source, s0)
        out = _address(context, builder, signature.args[3], out, o0)
        with cgutils.for_range(builder, builder.mul(steps, I64(STEP_TERMS // 2))) as pair:
            places = [builder.gep(p, [builder.mul(pair.index, I64(n))]) for p, n in ((source, 512), (out, _B_ROW))]
            _emit_pair(builder, *places)
        return context.get_dummy_value()

    return types.void(source, n64, n64, out, n64), codegen


def _splitting_tile(company: Callable[[], _Company]):
    """Make an intrinsic: a block, meanwhile `n` items of `source` from s0 on become triples in `triples` from o0 on."""

    @intrinsic
    def multiply(typingctx, triples, a0, b0, steps, c, c0, c_row, accumulate, n, pace, source, s0, o0):
        n64 = types.int64
        sig = types.void(triples, n64, n64, n64, c, n64, n64, types.boolean, n64, n64, source, n64, n64)

        def codegen(context, builder, signature, args):
            triples, a0, b0, steps, c, c0, c_row, accumulate, n, pace, source, s0, o0 = args
            kinds = signature.args
            builder.call(
                _tile_function(builder.module, company()),
                [
                    *(_address(context, builder, kinds[0], triples, at) for at in (a0, b0)), steps,
                    _address(context, builder, kinds[4], c, c0), builder.mul(c_row, I64(4)),
                    builder.icmp_unsigned("!=", accumulate, ir.Constant(accumulate.type, 0)),
                    n, pace, _address(context, builder, kinds[10], source, s0),
                    _address(context, builder, kinds[0], triples, o0),
                ],
            )  # fmt: skip
            return context.get_dummy_value()

        return sig, codegen

    return multiply


multiply_and_split_pairs = _splitting_tile(_SplitPairs)
multiply_and_split_rows = _splitting_tile(_SplitRows)


def descending_tile(rules: list[Rule]):
    """Make an intrinsic: a block of gradients, meanwhile a step of `rule` with n finished ones (whole vectors of 16).

    The block goes to g[c0:], its rows BLOCK_COLUMNS apart; the finished ones are g[g0:], their weights w[at:], with
    velocities v[at:]; vectors of them are done at `pace`.
    """

    @intrinsic
    def multiply(typingctx, triples, a0, b0, steps, g, c0, accumulate, n, pace, rule, w, v, at, g0, rate, momentum):
        n64, real = types.int64, types.float32
        sig = types.void(triples, n64, n64, n64, g, n64, types.boolean, n64, n64, n64, w, v, n64, n64, real, real)

        def codegen(context, builder, signature, args):
            triples, a0, b0, steps, g, c0, accumulate, n, pace, rule, w, v, at, g0, rate, momentum = args
            kinds = signature.args
            call_args = [
                *(_address(context, builder, kinds[0], triples, at) for at in (a0, b0)), steps,
                _address(context, builder, kinds[4], g, c0), I64(4 * BLOCK_COLUMNS),
                builder.icmp_unsigned("!=", accumulate, ir.Constant(accumulate.type, 0)),
                builder.sdiv(n, I64(_LANES)), pace,
                *(_address(context, builder, kinds[i], x, x0) for i, x, x0 in ((10, w, at), (11, v, at), (4, g, g0))),
                rate, momentum,
            ]  # fmt: skip
            after = builder.append_basic_block("after")
            switch = builder.switch(rule, after)
            for each in rules:
                block = builder.append_basic_block(f"rule{each[0]}")
                switch.add_case(I64(each[0]), block)
                with builder.goto_block(block):
                    builder.call(_tile_function(builder.module, _Descend(each)), call_args)
                    builder.branch(after)
            builder.position_at_end(after)
            return context.get_dummy_value()

        return sig, codegen

    return multiply
