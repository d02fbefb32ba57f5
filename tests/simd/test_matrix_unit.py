"""Products of triples against their reference, bit by bit, and what the core does meanwhile."""

from __future__ import annotations

import numpy as np
import pytest
from compare import assert_close
from marks import needs_matrix_unit

from fastnn._jit import program
from fastnn.engine.parameters import aligned_zeros
from fastnn.ops.codes import RULES
from fastnn.ops.updates import multiply_and_descend, update
from fastnn.simd.matrix_unit import (
    close_matrix_unit,
    multiply_and_split_pairs,
    multiply_and_split_rows,
    open_matrix_unit,
    product_reference,
)
from fastnn.simd.target import SIDE, STEP
from fastnn.simd.triples import split_pairs, split_rows

pytestmark = needs_matrix_unit


@program
def run_split_rows(source, s0, s_row, n, steps, out, o0):
    split_rows(source, s0, s_row, n, steps, out, o0)


@program
def run_split_pairs(source, s0, s_row, steps, out, o0):
    split_pairs(source, s0, s_row, steps, out, o0)


@program
def run_blocks(
    kind, triples, a0, a_more, b0, b_more, steps, blocks, c, c0, c_row, c_more, accumulate,
    n, pace, source, s0, s_row, ahead, o0,
):  # fmt: skip
    open_matrix_unit()
    if kind == 0:
        multiply_and_split_pairs(
            triples, a0, a_more, b0, b_more, steps, blocks, c, c0, c_row, c_more, accumulate,
            n, pace, source, s0, s_row, ahead, o0,
        )  # fmt: skip
    else:
        multiply_and_split_rows(
            triples, a0, a_more, b0, b_more, steps, blocks, c, c0, c_row, c_more, accumulate,
            n, pace, source, s0, s_row, ahead, o0,
        )  # fmt: skip
    close_matrix_unit()


@program
def run_descent(triples, b0, steps, g, c0, n, pace, rule, w, v, at, g0, rate, momentum):
    open_matrix_unit()
    multiply_and_descend(
        triples, 0, 0, b0, 0, steps, 1, g, c0, SIDE, 0, False, n, pace, rule, w, v, at, g, g0, rate, momentum
    )
    close_matrix_unit()


@program
def run_update(rule, n, w, v, at, g, g0, rate, momentum):
    update(rule, n, w, v, at, g, g0, rate, momentum)


class Case:
    """Factors as matrices, of two blocks each, and as triples in one buffer; behind them room for more."""

    def __init__(self, steps, seed=0):
        rng = np.random.default_rng([seed, steps])
        self.steps, k = steps, steps * SIDE
        self.A, self.B = rng.standard_normal((2 * SIDE, k)), rng.standard_normal((k, 2 * SIDE))
        self.A, self.B = self.A.astype("float32"), self.B.astype("float32")
        self.C = rng.standard_normal((2 * SIDE, 2 * SIDE)).astype("float32")
        self.size = steps * STEP  # of a factor's triples
        self.b0, self.end = 2 * self.size, 4 * self.size
        self.triples = aligned_zeros(self.end + 4 * STEP, "uint16")
        self.split()

    def split(self):
        k, steps = self.steps * SIDE, self.steps
        for i in range(2):
            run_split_rows(self.A.ravel(), i * SIDE * k, k, SIDE, steps, self.triples, i * self.size)
            run_split_pairs(self.B.ravel(), i * SIDE, 2 * SIDE, steps, self.triples, self.b0 + i * self.size)

    def product(self, kind=0, *, n=0, pace=1, source=None, s0=0, s_row=SIDE):
        """The first block of the product by the unit."""
        c = np.full(SIDE * SIDE, 7, "float32")
        source = self.A.ravel() if source is None else source
        run_blocks(
            kind, self.triples, 0, 0, self.b0, 0, self.steps, 1, c, 0, SIDE, 0, False,
            n, pace, source, s0, s_row, 64, self.end,
        )  # fmt: skip
        return c.reshape(SIDE, SIDE)


# How far A, B and C of the second block are from the first, in blocks: rows forward, columns backward and in phase B
WAYS = {"rows": (1, 0), "columns": (0, 1)}


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 2, 5])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [0, 1])
def test_products_are_those_of_the_reference_bit_by_bit(kind, way, steps, accumulate):
    case, (down, right) = Case(steps), WAYS[way]
    c = np.full((2 * SIDE + 2, 2 * SIDE + 7), 7, "float32")
    c[1:-1, 3:-4] = case.C
    expected = c.copy()
    for i in range(2):
        rows, columns = (slice(i * where * SIDE, (i * where + 1) * SIDE) for where in (down, right))
        block = expected[1:-1, 3:-4][rows, columns]
        block[...] = product_reference(case.A[rows], case.B[:, columns], block if accumulate else None)
    run_blocks(
        kind, case.triples, 0, down * case.size, case.b0, right * case.size, steps, 2,
        c.reshape(-1), c.shape[1] + 3, c.shape[1], SIDE * (down * c.shape[1] + right), accumulate,
        0, 1, case.A.reshape(-1), 0, SIDE, 64, case.end,
    )  # fmt: skip
    np.testing.assert_array_equal(c, expected)


@pytest.mark.parametrize("size", [1.0, 1e-20, 1e18])
def test_products_are_as_exact_as_float32(size):
    case = Case(32)
    case.A *= np.float32(size)
    case.split()
    expected = case.A[:SIDE] @ case.B[:, :SIDE].astype("float64")
    assert_close(case.product(), expected, "float32", terms=32)  # a chain of fma has 1024 roundings


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_does_not_become_finite(number):
    case = Case(1)
    case.A[5, 7] = number
    case.split()
    c = case.product()
    assert not np.isfinite(c[5]).any()
    assert np.isfinite(np.delete(c, 5, axis=0)).all()


def test_the_parts_of_a_number_are_exact():
    """Row by row against the identity, each number comes back as the sum of its parts."""
    case = Case(1)
    case.B[:, :SIDE] = np.eye(SIDE)
    case.split()
    np.testing.assert_array_equal(case.product(), case.A[:SIDE])


@pytest.mark.parametrize("pace", [1, 2, 50])
@pytest.mark.parametrize("n", [0, 1, 15, 16])
@pytest.mark.parametrize("kind", [0, 1])
def test_what_is_split_meanwhile_is_what_is_split_alone(kind, n, pace):
    case, s_row = Case(1), 37
    source = np.random.default_rng(1).standard_normal(2 + 32 * s_row).astype("float32")
    whole = aligned_zeros(STEP, "uint16")
    if kind == 0:
        run_split_pairs(source, 2, s_row, 1, whole, 0)
    else:
        run_split_rows(source, 2, s_row, SIDE, 1, whole, 0)
    expected = case.triples.copy()
    size = n * STEP // (16 if kind == 0 else 32)
    expected[case.end : case.end + size] = whole[:size]
    c = case.product(kind, n=n, pace=pace, source=source, s0=2, s_row=s_row)
    np.testing.assert_array_equal(case.triples, expected)
    np.testing.assert_array_equal(c, product_reference(case.A[:SIDE], case.B[:, :SIDE]))


@pytest.mark.parametrize("pace", [1, 11])
@pytest.mark.parametrize("n", [0, 16, 2048])
@pytest.mark.parametrize("rule", RULES)
def test_a_step_that_is_taken_meanwhile_is_one_that_is_taken_alone(rule, n, pace):
    case = Case(2)
    rng = np.random.default_rng(2)
    w, v, g = (rng.standard_normal(5000).astype("float32") for _ in range(3))
    expected = w.copy(), v.copy(), g.copy()
    numbers = np.float32(0.1), np.float32(0.9)
    if n > 0:
        run_update(RULES[rule], n, *expected[:2], 40, g, 2900, *numbers)
    expected[2][11 : 11 + SIDE * SIDE] = product_reference(case.A[:SIDE], case.B[:, :SIDE]).ravel()
    run_descent(case.triples, case.b0, 2, g, 11, n, pace, RULES[rule], w, v, 40, 2900, *numbers)
    for found, wanted in zip((w, v, g), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
