"""FLOOR 1: loops over runs of numbers, whole vectors at a time, whose mathematics is an expression of vectors.

Numba's own loops test at every entry which arrays overlap and what is left for a tail: a tile is too short for that.
With these 784-30-10 at 10 took 0.078 s an epoch instead of 0.084.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.simd import target
from fastnn.simd.memory import emit_address, emit_transpose
from fastnn.simd.scalar import emit_fma, function_apart, spread

I64 = ir.IntType(64)


class Vector(NamedTuple):
    """A vector in a register: what a step computes with."""

    builder: ir.IRBuilder
    value: ir.Value

    def __add__(self, other: Vector) -> Vector:  # type: ignore[override]
        return Vector(self.builder, self.builder.fadd(self.value, other.value))

    def __mul__(self, other: Vector) -> Vector:  # type: ignore[override]
        return Vector(self.builder, self.builder.fmul(self.value, other.value))

    def fma(self, factor: Vector, term: Vector) -> Vector:
        """self * factor + term, with one rounding where the CPU can."""
        return Vector(self.builder, emit_fma(self.builder, self.value, factor.value, term.value))


def _add_units(context, builder, signature, args, expression):
    """Write expression(vectors, one from each place of the source) to a place: (out, o, source, place, place ...)."""
    real = context.get_value_type(signature.args[0].dtype)
    size = context.get_abi_sizeof(real)
    whole = ir.VectorType(real, target.UNIT_BYTES // size).as_pointer()

    def at(k, place):
        return builder.bitcast(emit_address(context, builder, signature.args[k], args[k], place), whole)

    terms = [Vector(builder, builder.load(at(2, place), align=size)) for place in args[3:]]
    builder.store(expression(*terms).value, at(0, args[1]), align=size)
    return context.get_dummy_value()


@intrinsic
def add_two(typingctx, out, o, x, a, b):
    """out[o:] = x[a:] + x[b:], a unit of numbers."""

    def codegen(*context_and_arguments):
        return _add_units(*context_and_arguments, lambda a, b: a + b)

    return types.void(out, types.int64, x, types.int64, types.int64), codegen


@intrinsic
def add_four(typingctx, out, o, x, a, b, c, d):
    """out[o:] = (x[a:] + x[b:]) + (x[c:] + x[d:]), a unit of numbers."""

    def codegen(*context_and_arguments):
        return _add_units(*context_and_arguments, lambda a, b, c, d: (a + b) + (c + d))

    return types.void(out, types.int64, x, *[types.int64] * 4), codegen


@intrinsic
def multiply_turned(typingctx, w, w0, row, n_rows, d, d0, out, o0, accumulate):
    """out[o0 + i] (+)= the sum over a unit of numbers j of w[w0 + i * row + j] * d[d0 + j], for a unit of rows i.

    One chain of fma in the order of j, from zero or from `out`. Rows beyond n_rows, at least one, are read as the last.
    """
    n64 = types.int64
    sig = types.void(w, n64, n64, n64, d, n64, out, n64, types.boolean)

    def codegen(context, builder, signature, args):
        w, w0, row, n_rows, d, d0, out, o0, accumulate = args
        real = context.get_value_type(signature.args[0].dtype)
        size = context.get_abi_sizeof(real)
        lanes = target.UNIT_BYTES // size
        unit = ir.VectorType(real, lanes)
        last, rows = builder.sub(n_rows, I64(1)), []
        for i in range(lanes):
            inside = builder.select(builder.icmp_signed("<", I64(i), last), I64(i), last)
            start = emit_address(context, builder, signature.args[0], w, builder.add(w0, builder.mul(inside, row)))
            rows.append(builder.load(builder.bitcast(start, unit.as_pointer()), align=size))
        place = builder.bitcast(emit_address(context, builder, signature.args[6], out, o0), unit.as_pointer())
        numbers = context.make_array(signature.args[4])(context, builder, d).data
        going_on = builder.icmp_unsigned("!=", accumulate, ir.Constant(accumulate.type, 0))
        total = builder.select(going_on, builder.load(place, align=size), ir.Constant(unit, [0.0] * lanes))
        for j, column in enumerate(emit_transpose(builder, rows)):
            number = builder.load(builder.gep(numbers, [builder.add(d0, I64(j))]))
            total = emit_fma(builder, column, spread(builder, number, lanes), total)
        builder.store(total, place, align=size)
        return context.get_dummy_value()

    return sig, codegen


# (w, g, v, -rate, momentum) -> new w and v
Step = Callable[[Vector, Vector, Vector, Vector, Vector], tuple[Vector, Vector]]
Rule = tuple[int, Step, bool]


def emit_step(rule: Rule, gradient: Vector, w: ir.Value, v: ir.Value, factors: list[Vector], size: int) -> None:
    """Take a step with a vector of gradients on the weights at w and, if the rule has a slot, the velocities at v.

    factors     -rate and momentum
    size        bytes of a number
    """
    _, step, has_slot = rule
    builder = gradient.builder
    old_w = Vector(builder, builder.load(w, align=size))
    old_v = Vector(builder, builder.load(v, align=size)) if has_slot else old_w
    new_w, new_v = step(old_w, gradient, old_v, *factors)
    builder.store(new_w.value, w, align=size)
    if has_slot:
        builder.store(new_v.value, v, align=size)


def update_loop(rules: list[Rule]):
    """Make an intrinsic update(rule, n, w, v, at, g, g0, rate, momentum) of (code, step, whether it has a slot).

    It takes a step of `rule` on n weights, a positive number of whole units, from w[at] on, with their velocities
    from v[at] on and gradients from g[g0] on; all flat, w and v written. Rules without a slot do not touch v. A code
    that no rule has does nothing.
    """

    @intrinsic
    def update(typingctx, rule, n, w, v, at, g, g0, rate, momentum):
        n64 = types.int64
        sig = types.void(n64, n64, w, v, n64, g, n64, w.dtype, w.dtype)

        def codegen(context, builder, signature, args):
            rule, n, w, v, at, g, g0, rate, momentum = args
            array_type = signature.args[2]
            real = context.get_value_type(array_type.dtype)
            size = context.get_abi_sizeof(real)

            starts = [emit_address(context, builder, array_type, x, x0) for x, x0 in ((w, at), (v, at), (g, g0))]
            call_args = [rule, builder.mul(n, I64(size)), *starts, rate, momentum]
            builder.call(_update_function(builder.module, rules, real, size), call_args)
            return context.get_dummy_value()

        return sig, codegen

    return update


def _update_function(module: ir.Module, rules: list[Rule], real: ir.Type, size: int) -> ir.Function:
    """One loop a rule on runs of `n_bytes`, as a function of its own in `module`."""
    byte_ptr = ir.IntType(8).as_pointer()
    fnty = ir.FunctionType(ir.VoidType(), [I64, I64, byte_ptr, byte_ptr, byte_ptr, real, real])
    fn = function_apart(module, fnty, f"fastnn_update_f{8 * size}")
    if fn.blocks:
        return fn
    code, n_bytes, *starts, rate, momentum = fn.args
    kind = ir.VectorType(real, target.VECTOR_BYTES // size)
    entry, out = fn.append_basic_block("entry"), fn.append_basic_block("out")
    builder = ir.IRBuilder(entry)
    factors = [Vector(builder, spread(builder, x, kind.count)) for x in (builder.fneg(rate), momentum)]
    switch = builder.switch(code, out)
    for rule in rules:
        loop = fn.append_basic_block(f"rule{rule[0]}")
        switch.add_case(I64(rule[0]), loop)
        builder.position_at_end(loop)
        at = builder.phi(I64)
        w, v, g = (builder.bitcast(builder.gep(start, [at]), kind.as_pointer()) for start in starts)
        emit_step(rule, Vector(builder, builder.load(g, align=size)), w, v, factors, size)
        following = builder.add(at, I64(target.VECTOR_BYTES))
        at.add_incoming(I64(0), entry)
        at.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", following, n_bytes), loop, out)
    builder.position_at_end(out)
    builder.ret_void()
    return fn


def updating_rows(rules: list[Rule]):
    """Make an intrinsic update_rows: a step of `rule`, one without a slot, on rows of weights with their gradients.

    Row p has the n numbers from w[at + p * n] on, whole units and at most a panel; its gradient is the sum over m
    samples s, at least one, of a[a0 + s * a_row + p] * d[d0 + s * d_row :], one chain of fma from zero. The rows are
    terms[t0], terms[t0 + 1] .. terms[t0 + k - 1]. All flat, w written.
    """
    rules = [rule for rule in rules if not rule[2]]

    @intrinsic
    def update_rows(typingctx, rule, n, w, at, a, a0, a_row, d, d0, d_row, m, terms, t0, k, rate, momentum):
        n64 = types.int64
        product = a, n64, n64, d, n64, n64, n64, terms, n64, n64
        sig = types.void(n64, n64, w, n64, *product, w.dtype, w.dtype)

        def codegen(context, builder, signature, args):
            rule, n, w, at, a, a0, a_row, d, d0, d_row, m, terms, t0, k, rate, momentum = args
            kinds = signature.args
            real = context.get_value_type(kinds[2].dtype)
            size = context.get_abi_sizeof(real)
            places = [(2, w, at), (4, a, a0), (7, d, d0), (11, terms, t0)]
            starts = [emit_address(context, builder, kinds[i], x, x0) for i, x, x0 in places]
            strides = [builder.mul(x, I64(size)) for x in (n, a_row, d_row)]
            function = _rows_function(builder.module, rules, real, size)
            builder.call(function, [rule, *strides, m, *starts, k, rate, momentum])
            return context.get_dummy_value()

        return sig, codegen

    return update_rows


def _rows_function(module: ir.Module, rules: list[Rule], real: ir.Type, size: int) -> ir.Function:
    """Loops over rows and samples for each rule and number of units, as a function of its own in `module`."""
    byte_ptr, kind = ir.IntType(8).as_pointer(), ir.VectorType(real, target.VECTOR_BYTES // size)
    fnty = ir.FunctionType(ir.VoidType(), [*[I64] * 5, *[byte_ptr] * 4, I64, real, real])
    fn = function_apart(module, fnty, f"fastnn_rows_f{8 * size}")
    if fn.blocks:
        return fn
    code, n_bytes, a_row, d_row, m, w, a, d, terms, k, rate, momentum = fn.args
    entry, out = fn.append_basic_block("entry"), fn.append_basic_block("out")
    builder = ir.IRBuilder(entry)
    factors = [Vector(builder, spread(builder, x, kind.count)) for x in (builder.fneg(rate), momentum)]
    zero = ir.Constant(kind, [0.0] * kind.count)
    switch = builder.switch(builder.add(builder.mul(code, I64(4096)), n_bytes), out)

    def place(start, offset, kind):
        return builder.bitcast(builder.gep(start, [offset]), kind.as_pointer())

    def add_sample(s, column, totals, before):
        """The sums of a row after sample s, from those before."""
        scalar = builder.load(place(a, builder.add(builder.mul(s, a_row), column), real), align=size)
        delta = builder.gep(d, [builder.mul(s, d_row)])
        for v, total in enumerate(totals):
            vector = builder.load(place(delta, I64(v * target.VECTOR_BYTES), kind), align=size)
            builder.store(emit_fma(builder, spread(builder, scalar, kind.count), vector, before[v]), total)

    for rule, units in itertools.product(rules, range(1, target.PANEL_UNITS + 1)):
        row_bytes = units * target.UNIT_BYTES
        block = fn.append_basic_block(f"rule{rule[0]}x{units}")
        switch.add_case(I64(4096 * rule[0] + row_bytes), block)
        builder.position_at_end(block)
        totals = [cgutils.alloca_once_value(builder, zero) for _ in range(row_bytes // target.VECTOR_BYTES)]
        with cgutils.for_range(builder, k, intp=I64) as rows:
            p = builder.load(place(terms, builder.mul(rows.index, I64(8)), I64))
            column, row = builder.mul(p, I64(size)), builder.gep(w, [builder.mul(p, I64(row_bytes))])
            add_sample(I64(0), column, totals, [zero] * len(totals))
            with cgutils.for_range(builder, m, start=I64(1), intp=I64) as samples:
                add_sample(samples.index, column, totals, [builder.load(total) for total in totals])
            for v, total in enumerate(totals):
                weights = place(row, I64(v * target.VECTOR_BYTES), kind)
                emit_step(rule, Vector(builder, builder.load(total)), weights, weights, factors, size)
        builder.branch(out)
    builder.position_at_end(out)
    builder.ret_void()
    return fn
