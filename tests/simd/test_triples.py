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
from fastnn.simd.target import BLOCK_COLUMNS, BLOCK_ROWS, PAIRS_STEP, ROWS_STEP, STEP_TERMS
from fastnn.simd.triples import (
    close_matrix_unit,
    multiply_and_split_pairs,
    multiply_and_split_rows,
    open_matrix_unit,
    product_reference,
    split_pairs,
    split_rows,
)

pytestmark = needs_matrix_unit


@program
def run_split_rows(source, s0, s_row, n, steps, out, o0):
    split_rows(source, s0, s_row, n, steps, out, o0)


@program
def run_split_pairs(source, s0, steps, out, o0):
    split_pairs(source, s0, steps, out, o0)


@program
def run_block(kind, triples, a0, b0, steps, c, c0, c_row, accumulate, n, pace, source, s0, o0):
    open_matrix_unit()
    if kind == 0:
        multiply_and_split_pairs(triples, a0, b0, steps, c, c0, c_row, accumulate, n, pace, source, s0, o0)
    else:
        multiply_and_split_rows(triples, a0, b0, steps, c, c0, c_row, accumulate, n, pace, source, s0, o0)
    close_matrix_unit()


@program
def run_descent(triples, a0, b0, steps, g, c0, accumulate, n, pace, rule, w, v, at, g0, rate, momentum):
    open_matrix_unit()
    multiply_and_descend(triples, a0, b0, steps, g, c0, accumulate, n, pace, rule, w, v, at, g0, rate, momentum)
    close_matrix_unit()


@program
def run_update(rule, n, w, v, at, g, g0, rate, momentum):
    update(rule, n, w, v, at, g, g0, rate, momentum)


class Case:
    """Factors as matrices and as triples in one buffer, behind them room for more."""

    def __init__(self, steps, seed=0):
        rng = np.random.default_rng([seed, steps])
        self.steps, k = steps, steps * STEP_TERMS
        self.A = rng.standard_normal((BLOCK_ROWS, k)).astype("float32")
        self.B = rng.standard_normal((k, BLOCK_COLUMNS)).astype("float32")
        self.C = rng.standard_normal((BLOCK_ROWS, BLOCK_COLUMNS)).astype("float32")
        self.b0 = steps * ROWS_STEP
        self.end = self.b0 + steps * PAIRS_STEP
        self.triples = aligned_zeros(self.end + 4 * PAIRS_STEP, "uint16")
        run_split_rows(self.A.ravel(), 0, k, BLOCK_ROWS, steps, self.triples, 0)
        run_split_pairs(self.B.ravel(), 0, steps, self.triples, self.b0)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 2, 5])
@pytest.mark.parametrize("kind", [0, 1])
def test_products_are_those_of_the_reference_bit_by_bit(kind, steps, accumulate):
    case = Case(steps)
    c = np.full((BLOCK_ROWS + 2, BLOCK_COLUMNS + 7), 7, "float32")
    c[1:-1, 3:-4] = case.C
    expected = c.copy()
    expected[1:-1, 3:-4] = product_reference(case.A, case.B, case.C if accumulate else None)
    run_block(
        kind, case.triples, 0, case.b0, steps, c.reshape(-1), c.shape[1] + 3, c.shape[1], accumulate,
        0, 1, case.A.reshape(-1), 0, case.end,
    )  # fmt: skip
    np.testing.assert_array_equal(c, expected)


@pytest.mark.parametrize("size", [1.0, 1e-20, 1e18])
def test_products_are_as_exact_as_float32(size):
    case = Case(32)
    A, B = case.A * np.float32(size), case.B.astype("float64")
    run_split_rows(A.ravel(), 0, A.shape[1], BLOCK_ROWS, 32, case.triples, 0)
    c = np.zeros(BLOCK_ROWS * BLOCK_COLUMNS, "float32")
    run_block(0, case.triples, 0, case.b0, 32, c, 0, BLOCK_COLUMNS, False, 0, 1, c, 0, case.end)
    assert_close(c.reshape(BLOCK_ROWS, -1), A @ B, "float32", terms=32)  # a chain of fma has 1024 roundings


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_does_not_become_finite(number):
    case = Case(1)
    case.A[5, 7] = number
    run_split_rows(case.A.ravel(), 0, STEP_TERMS, BLOCK_ROWS, 1, case.triples, 0)
    c = np.zeros((BLOCK_ROWS, BLOCK_COLUMNS), "float32")
    run_block(0, case.triples, 0, case.b0, 1, c.reshape(-1), 0, BLOCK_COLUMNS, False, 0, 1, case.A.ravel(), 0, case.end)
    assert not np.isfinite(c[5]).any()
    assert np.isfinite(np.delete(c, 5, axis=0)).all()


@pytest.mark.parametrize("pace", [1, 2, 50])
@pytest.mark.parametrize("n", [0, 1, 31, 32])
@pytest.mark.parametrize("kind", [0, 1])
def test_what_is_split_meanwhile_is_what_is_split_alone(kind, n, pace):
    case = Case(1)
    source = np.random.default_rng(1).standard_normal(2 + 64 * BLOCK_COLUMNS).astype("float32")
    expected = case.triples.copy()
    if kind == 0:
        whole = aligned_zeros(2 * PAIRS_STEP, "uint16")
        run_split_pairs(source, 2, 2, whole, 0)
        size = n * (6 * BLOCK_COLUMNS)
        expected[case.end : case.end + size] = whole[:size]
    else:
        run_split_rows(source, 2, BLOCK_COLUMNS, n, 2, expected, case.end)
    c = np.zeros(BLOCK_ROWS * BLOCK_COLUMNS, "float32")
    run_block(kind, case.triples, 0, case.b0, 1, c, 0, BLOCK_COLUMNS, False, n, pace, source, 2, case.end)
    np.testing.assert_array_equal(case.triples, expected)
    np.testing.assert_array_equal(c.reshape(BLOCK_ROWS, -1), product_reference(case.A, case.B))


@pytest.mark.parametrize("pace", [1, 11])
@pytest.mark.parametrize("n", [0, 16, 2048])
@pytest.mark.parametrize("rule", RULES)
def test_a_step_that_is_taken_meanwhile_is_one_that_is_taken_alone(rule, n, pace):
    case = Case(2)
    rng = np.random.default_rng(2)
    w, v, g = (rng.standard_normal(5000).astype("float32") for _ in range(3))
    expected = w.copy(), v.copy(), g.copy()
    if n > 0:
        run_update(RULES[rule], n, *expected[:2], 40, g, 2900, np.float32(0.1), np.float32(0.9))
    expected[2][11 : 11 + 2048] = product_reference(case.A, case.B).ravel()
    numbers = np.float32(0.1), np.float32(0.9)
    run_descent(case.triples, 0, case.b0, 2, g, 11, False, n, pace, RULES[rule], w, v, 40, 2900, *numbers)
    for found, wanted in zip((w, v, g), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_the_parts_of_a_number_are_exact():
    """Row by row against the identity, each number comes back as the sum of its parts."""
    case = Case(1)
    eye = np.zeros((STEP_TERMS, BLOCK_COLUMNS), "float32")
    eye[np.arange(32), np.arange(32)] = 1
    run_split_pairs(eye.ravel(), 0, 1, case.triples, case.b0)
    c = np.zeros((BLOCK_ROWS, BLOCK_COLUMNS), "float32")
    run_block(0, case.triples, 0, case.b0, 1, c.reshape(-1), 0, BLOCK_COLUMNS, False, 0, 1, case.A.ravel(), 0, case.end)
    np.testing.assert_array_equal(c[:, :32], case.A)
