"""FLOOR 1: float32 products on the CPU's matrix unit (Intel AMX), which multiplies bfloat16, and their company.

    C[32, 32] (+)= A[32, k] @ B[k, 32]        k whole steps of 32 terms; A and B as triples (see simd.triples)

Of the nine products of two triples the six largest make up nearly what one rounding leaves of the exact product (Henry,
Tang, Heinecke 2019, "Leveraging the bfloat16 artificial intelligence datatype for higher-precision computations"). The
unit does 16 times the multiplications of the vector units, so six of them take 0.4 of the time.

Contract
    sum     of every element from zero or from C: step after step the six products in one order, the largest last; in
            each the unit adds up the even terms and the odd ones, in order, and then both to the sum. So the bits
            depend neither on where the block lies nor on what else is computed. Subnormal numbers count as zero.
    company what the core does meanwhile, for the unit leaves it idle: it makes triples of what is multiplied next, or
            takes a step with finished gradients. It is all done when the blocks are
    blocks  a call forms several, one after another; A, B and C of the next are some way on from those of the one before
Forward and backward a call has one step, so that both factors, what is made of the next, and C stay in L1 together.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.simd.memory import emit_address, emit_prefetch
from fastnn.simd.scalar import function_apart, spread
from fastnn.simd.target import SIDE, STEP
from fastnn.simd.triples import (
    A_PART,
    A_ROW,
    B_PART,
    B_ROW,
    LANES,
    as_parts,
    emit_pair,
    emit_row,
    past,
    vector_at,
)
from fastnn.simd.vectors import Rule, Vector, emit_step

I8, I64 = ir.IntType(8), ir.IntType(64)
_BYTES = I8.as_pointer()
_REAL = ir.FloatType()

# Bytes between weights that are updated and those that are asked for
_SOON = 4096
# Which parts of A and of B are multiplied, in an order in which each product needs only one of them anew
_PRODUCTS = ((0, 2), (0, 1), (1, 1), (1, 0), (2, 0), (0, 0))


def product_reference(A, B, C=None):
    """C (+)= A @ B as the contract says, in plain NumPy, (m, k) @ (k, n) with k whole steps."""
    total = np.zeros((A.shape[0], B.shape[1]), np.float32) if C is None else C.copy()
    a_parts, b_parts = as_parts(A), as_parts(B)
    for step in range(0, A.shape[1], SIDE):
        for i, j in _PRODUCTS:
            sums = np.zeros((2, *total.shape), np.float32)  # of the even and of the odd terms
            for k in range(step, step + SIDE):
                product = np.multiply.outer(a_parts[i][:, k], b_parts[j][k].astype(np.longdouble))
                sums[k % 2] = (sums[k % 2] + product).astype(np.float32)
            total += sums[0] + sums[1]
    return total


def _call(builder: ir.IRBuilder, name: str, *args: ir.Value) -> None:
    fnty = ir.FunctionType(ir.VoidType(), [a.type for a in args])
    builder.call(cgutils.get_or_insert_function(builder.module, fnty, f"llvm.x86.{name}"), args)


class _Company:
    """What a core does while its matrix unit multiplies: items, one after another, `pace` of them at a time."""

    name: str
    arg_types: tuple[ir.Type, ...]

    def begin(self, builder: ir.IRBuilder, args: list[ir.Value]) -> None:
        """Keep what changes from item to item; args begin with the number of items and the pace."""
        left, self.pace, *places = args
        self.state = [cgutils.alloca_once_value(builder, value) for value in (left, *places)]

    def item(self, builder: ir.IRBuilder, places: list[ir.Value]) -> tuple[ir.Value, ...]:
        """Emit an item; returns by how many bytes each place moves on."""
        raise NotImplementedError

    def emit(self, builder: ir.IRBuilder, all_of_them: bool = False) -> None:
        """Emit `pace` items, or all that are left."""
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
            builder.store(builder.gep(place, [move]), variable)
        builder.store(builder.sub(left, I64(1)), self.state[0])
        builder.branch(test)
        builder.position_at_end(after)


class _Split(_Company):
    """Makes triples: places source, out; then the distance of rows in `source`, and from a row to what is asked for."""

    arg_types = (I64, I64, _BYTES, _BYTES, I64, I64)

    def begin(self, builder, args):
        *others, self.s_row, self.ahead = args
        super().begin(builder, others)

    def ask(self, builder, row):
        """Ask for 32 numbers that are split some steps later."""
        soon = builder.gep(row, [self.ahead])
        for line in (0, 64):
            emit_prefetch(builder, past(builder, soon, line), False)


class _SplitPairs(_Split):
    """Makes the next of B, two terms an item."""

    name = "pairs"

    def item(self, builder, places):
        source, out = places
        for row in (source, builder.gep(source, [self.s_row])):
            self.ask(builder, row)
        emit_pair(builder, source, self.s_row, out)
        return builder.mul(self.s_row, I64(2)), I64(B_ROW)


class _SplitRows(_Split):
    """Makes the next of A, a row of a step an item."""

    name = "rows"

    def item(self, builder, places):
        self.ask(builder, places[0])
        emit_row(builder, *places)
        return self.s_row, I64(A_ROW)


class _Descend(_Company):
    """Takes a step with a vector of gradients: places w, v, g; then rate, momentum."""

    arg_types = (I64, I64, _BYTES, _BYTES, _BYTES, _REAL, _REAL)

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        code, _, self.has_slot = rule
        self.name = f"rule{code}"

    def begin(self, builder, args):
        *others, rate, momentum = args
        super().begin(builder, others)
        self.factors = [Vector(builder, spread(builder, x, LANES)) for x in (builder.fneg(rate), momentum)]

    def item(self, builder, places):
        for place in places[: 1 + self.has_slot]:
            emit_prefetch(builder, past(builder, place, _SOON), True)
        w, v, g = (vector_at(builder, place) for place in places)
        emit_step(self.rule, Vector(builder, builder.load(g, align=4)), w, v, self.factors, 4)
        return I64(64), I64(64 if self.has_slot else 0), I64(64)


def _tile_function(module: ir.Module, company: _Company) -> ir.Function:
    """The blocks and their company.

    Arguments: A, B, C, by how many bytes each moves on from block to block, blocks, steps, the distance of C's rows in
    bytes, accumulate; then those of the company.
    """
    own = [*[_BYTES] * 3, *[I64] * 6, ir.IntType(1)]
    fnty = ir.FunctionType(ir.VoidType(), [*own, *company.arg_types])
    fn = function_apart(module, fnty, f"fastnn_tile_of_triples_{company.name}")
    if fn.blocks:
        return fn
    *factors_and_sums, a_more, b_more, c_more, blocks, steps, c_row, accumulate = fn.args[: len(own)]
    builder = ir.IRBuilder(fn.append_basic_block("entry"))
    company.begin(builder, list(fn.args[len(own) :]))
    with cgutils.for_range(builder, blocks) as block:
        a, b, c = (
            builder.gep(start, [builder.mul(block.index, more)])
            for start, more in zip(factors_and_sums, (a_more, b_more, c_more), strict=True)
        )
        low = builder.gep(c, [builder.mul(c_row, I64(16))])
        quarters = [c, past(builder, c, 64), low, past(builder, low, 64)]
        with builder.if_else(accumulate) as (goes_on, begins):
            with goes_on:
                for t, place in enumerate(quarters):
                    _call(builder, "tileloadd64", I8(t), place, c_row)
            with begins:
                for t in range(4):
                    _call(builder, "tilezero", I8(t))
        with cgutils.for_range(builder, steps) as step:
            distance = builder.mul(step.index, I64(2 * STEP))
            _emit_products(builder, builder.gep(a, [distance]), builder.gep(b, [distance]), company)
        for t, place in enumerate(quarters):
            _call(builder, "tilestored64", I8(t), place, c_row)
    company.emit(builder, all_of_them=True)
    builder.ret_void()
    return fn


def _emit_products(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, company: _Company) -> None:
    """A step of the sums, which are in the tiles 0 to 3: the six products, each with some company."""
    loaded: tuple[int | None, int | None] = (None, None)
    for product in _PRODUCTS:
        for t in (0, 1):
            if product[0] != loaded[0]:
                place = past(builder, a, A_PART * product[0] + 16 * A_ROW * t)
                _call(builder, "tileloadd64", I8(4 + t), place, I64(A_ROW))
        for t in (0, 1):
            if product[1] != loaded[1]:
                place = past(builder, b, B_PART * product[1] + 64 * t)
                _call(builder, "tileloadd64", I8(6 + t), place, I64(B_ROW))
        loaded = product
        for t in range(4):
            _call(builder, "tdpbf16ps", I8(t), I8(4 + t // 2), I8(6 + t % 2))
        company.emit(builder)


@intrinsic
def open_matrix_unit(typingctx):
    """Before any block on this thread: eight tiles of 16 rows of 64 bytes. The process must have been allowed to."""

    def codegen(context, builder, signature, args):
        kind = ir.ArrayType(I8, 64)
        table = [1, *[0] * 15, *[64, 0] * 8, *[0] * 16, *[16] * 8, *[0] * 8]
        held = cgutils.global_constant(builder, "fastnn_tile_shapes", ir.Constant(kind, table))
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


def _block_args(context, builder, kinds, args) -> list[ir.Value]:
    """The arguments of an intrinsic that begins with triples, as the first ones of its function."""
    triples, a0, a_more, b0, b_more, steps, blocks, c, c0, c_row, c_more, accumulate = args
    return [
        *(emit_address(context, builder, kinds[0], triples, at) for at in (a0, b0)),
        emit_address(context, builder, kinds[7], c, c0),
        builder.mul(a_more, I64(2)), builder.mul(b_more, I64(2)), builder.mul(c_more, I64(4)), blocks, steps,
        builder.mul(c_row, I64(4)), builder.icmp_unsigned("!=", accumulate, ir.Constant(accumulate.type, 0)),
    ]  # fmt: skip


_N64 = types.int64
_N_BLOCK_ARGS = 12


def _block_types(triples, c):
    return triples, *[_N64] * 6, c, *[_N64] * 3, types.boolean


def _splitting_tile(company: Callable[[], _Split]):
    """Make an intrinsic: blocks; meanwhile n items, from source[s0] on, become triples in `triples` from o0 on.

    Each asks the cache for what is `ahead` numbers behind it.
    """

    @intrinsic
    def multiply(
        typingctx, triples, a0, a_more, b0, b_more, steps, blocks, c, c0, c_row, c_more, accumulate,
        n, pace, source, s0, s_row, ahead, o0,
    ):  # fmt: skip
        sig = types.void(*_block_types(triples, c), _N64, _N64, source, *[_N64] * 4)

        def codegen(context, builder, signature, args):
            n, pace, source, s0, s_row, ahead, o0 = args[_N_BLOCK_ARGS:]
            kinds = signature.args
            places = [
                emit_address(context, builder, kinds[i], x, at)
                for i, x, at in ((_N_BLOCK_ARGS + 2, source, s0), (0, args[0], o0))
            ]
            builder.call(
                _tile_function(builder.module, company()),
                [
                    *_block_args(context, builder, kinds, args[:_N_BLOCK_ARGS]),
                    n, pace, *places, builder.mul(s_row, I64(4)), builder.mul(ahead, I64(4)),
                ],
            )  # fmt: skip
            return context.get_dummy_value()

        return sig, codegen

    return multiply


multiply_and_split_pairs = _splitting_tile(_SplitPairs)
multiply_and_split_rows = _splitting_tile(_SplitRows)


def descending_tile(rules: list[Rule]):
    """Make an intrinsic: blocks of gradients; meanwhile a step of `rule` with n that are finished.

    n are whole vectors of 16, finished[f0:], of the weights w[at:] with velocities v[at:]; `pace` vectors at a time.
    """

    @intrinsic
    def multiply(
        typingctx, triples, a0, a_more, b0, b_more, steps, blocks, g, c0, c_row, c_more, accumulate,
        n, pace, rule, w, v, at, finished, f0, rate, momentum,
    ):  # fmt: skip
        real = types.float32
        sig = types.void(*_block_types(triples, g), _N64, _N64, _N64, w, v, _N64, finished, _N64, real, real)

        def codegen(context, builder, signature, args):
            n, pace, rule, w, v, at, finished, f0, rate, momentum = args[_N_BLOCK_ARGS:]
            kinds = signature.args
            places = [
                emit_address(context, builder, kinds[_N_BLOCK_ARGS + i], x, x0)
                for i, x, x0 in ((3, w, at), (4, v, at), (6, finished, f0))
            ]
            call_args = [
                *_block_args(context, builder, kinds, args[:_N_BLOCK_ARGS]),
                builder.sdiv(n, I64(LANES)), pace, *places, rate, momentum,
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
