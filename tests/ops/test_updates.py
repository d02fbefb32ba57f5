"""The update rules and the slopes of the penalties, against the reference."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from compare import assert_close
from reference import sgd_step

from fastnn._jit import program
from fastnn.ops.codes import RULES, SLOTS
from fastnn.ops.updates import add_penalties, update, update_asking_tile, update_rows, update_tile
from fastnn.simd import target
from fastnn.simd.memory import unit_of
from fastnn.simd.microkernel import tile

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
# whole units of either precision
N = pytest.mark.parametrize("n", [16, 48, 384])


@program
def run_update(rule, n, w, g, v, at, g0, rate, momentum):
    update(rule, n, w, v, at, g, g0, rate, momentum)


@program
def run_penalties(w, g, l1, l2):
    add_penalties(w, g, l1, l2)


def numbers(n, dtype, count):
    return np.random.default_rng(n).standard_normal((count, n)).astype(dtype)


@DTYPES
@N
@pytest.mark.parametrize("rule", RULES)
def test_three_steps_of_a_rule(rule, n, dtype):
    w, *gradients = numbers(n, dtype, 4)
    v = np.zeros(n if SLOTS[rule] else 0, dtype)
    rate, momentum = dtype(0.1), dtype(0.9 if SLOTS[rule] else 0.0)
    expected, velocity = w.astype(np.float64), np.zeros(n)
    for g in gradients:
        before = g.copy()
        run_update(RULES[rule], n, w, g, v, 0, 0, rate, momentum)
        np.testing.assert_array_equal(g, before)
        sgd_step([expected], [g.astype(np.float64)], [velocity], float(rate), float(momentum), rule == "nesterov")
    assert_close(w, expected, dtype, rule, terms=16)
    if SLOTS[rule]:
        assert_close(v, velocity, dtype, f"velocity of {rule}", terms=16)


def test_rules_have_codes_and_steps_of_their_own_and_slots():
    """A code without a step would leave the weights as they are, silently."""
    assert set(SLOTS) == set(RULES)
    start, g, v = numbers(16, np.float64, 3)
    ends = {start.tobytes()}
    for code in RULES.values():
        w = start.copy()
        run_update(code, 16, w, g, v.copy(), 0, 0, 0.1, 0.9)
        ends.add(w.tobytes())
    assert len(ends) == 1 + len(RULES)


@DTYPES
@pytest.mark.parametrize("n", [0, 1, 7, 16, 67, 384])
@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.0, 0.3), (0.2, 0.0), (0.2, 0.3)])
def test_penalties(n, dtype, l1, l2):
    w, g = numbers(n, dtype, 2)
    w[::5], w[1::5] = 0.0, -0.0
    kept, wide, before = w.copy(), w.astype(np.float64), g.astype(np.float64)
    run_penalties(w, g, dtype(l1), dtype(l2))
    assert_close(g, before + float(dtype(l2)) * wide + float(dtype(l1)) * np.sign(wide), dtype, terms=4)
    np.testing.assert_array_equal(w, kept)


@DTYPES
def test_a_weight_of_zero_is_not_penalised(dtype):
    w, g = np.array([0.0, -0.0], dtype), np.array([0.5, 0.5], dtype)
    run_penalties(w, g, dtype(3), dtype(7))
    np.testing.assert_array_equal(g, dtype(0.5))


@DTYPES
def test_padding_of_zeros_stays_zero(dtype):
    """Gradients of padding are zero: no rule and no penalty may make something of it."""
    for rule in RULES:
        w, g, v = np.zeros((3, 48), dtype)
        run_penalties(w, g, dtype(0.2), dtype(0.3))
        for _ in range(2):
            run_update(RULES[rule], 48, w, g, v, 0, 0, dtype(0.1), dtype(0.9))
        assert not np.any([w, g, v])


@DTYPES
@pytest.mark.parametrize("rule", RULES)
def test_a_run_may_lie_anywhere_and_be_cut_anywhere(rule, dtype):
    """Weights at `at`, gradients at `g0`; what lies around them stays, and the bits are those of one run."""
    whole, parts = (numbers(96, dtype, 3) for _ in range(2))
    gradients = np.concatenate([np.ones(5, dtype), whole[1]])
    run_update(RULES[rule], 96, *whole, 0, 0, dtype(0.1), dtype(0.9))
    w, _, v = parts
    for start, stop in [(0, 16), (16, 64), (64, 96)]:
        before = w.copy(), v.copy()
        run_update(RULES[rule], stop - start, w, gradients, v, start, start + 5, dtype(0.1), dtype(0.9))
        for now, then in zip((w, v), before, strict=True):
            np.testing.assert_array_equal(now[:start], then[:start])
            np.testing.assert_array_equal(now[stop:], then[stop:])
    np.testing.assert_array_equal(w, whole[0])
    np.testing.assert_array_equal(v, whole[2])


@DTYPES
def test_an_unknown_rule_does_nothing(dtype):
    w, g, v = numbers(16, dtype, 3)
    before = w.copy(), v.copy()
    run_update(len(RULES), 16, w, g, v, 0, 0, dtype(0.1), dtype(0.9))
    np.testing.assert_array_equal((w, v), before)


@program
def run_tile(mr, units, a, a_row, a_col, d, d_row, g, terms, t0, k):
    tile(mr, units, a, 0, a_row, a_col, d, 0, d_row, g, 0, units * unit_of(g), terms, t0, k, False, a, 0)


@program
def run_update_tile(mr, units, a, a_row, a_col, d, d_row, terms, t0, k, w, v, at, row, rule, rate, momentum):
    update_tile(mr, units, a, 0, a_row, a_col, d, 0, d_row, terms, t0, k, w, v, at, row, rule, rate, momentum, -1)


@program
def run_asking_tile(mr, units, a, a_row, a_col, d, d_row, terms, t0, k, w, v, at, row, rule, rate, momentum):
    s0 = at + row
    update_asking_tile(
        mr, units, a, 0, a_row, a_col, d, 0, d_row, terms, t0, k, w, v, at, row, rule, rate, momentum, s0
    )


@DTYPES
@pytest.mark.parametrize("rule", [*RULES.values(), len(RULES)])
@pytest.mark.parametrize("asks", [False, True])
def test_a_tile_of_sums_is_a_gradient(asks, rule, dtype):
    """The bits of the tile's sums followed by the rule, on rows that may lie apart; what is around them stays."""
    lanes = target.UNIT_BYTES // np.dtype(dtype).itemsize
    rate, momentum = dtype(0.1), dtype(0.9)
    for units, heights in target.UPDATE_ROWS.items():
        for mr, k, gap in product(sorted(heights), (0, 1, 9), (0, 3)):
            n = units * lanes
            a, d, w, v = numbers(2000, dtype, 4)
            terms = np.array([99, 98, 0, 1, 3, 4, 6, 7, 8, 10, 11])
            gradient = np.zeros(mr * n, dtype)
            run_tile(mr, units, a, 1, 40, d, n + 5, gradient, terms, 2, k)
            expected_w, expected_v = w.copy(), v.copy()
            for i in range(mr):
                run_update(rule, n, expected_w, gradient, expected_v, 7 + i * (n + gap), i * n, rate, momentum)
            run = run_asking_tile if asks and (mr, units) == target.WIDEST else run_update_tile
            run(mr, units, a, 1, 40, d, n + 5, terms, 2, k, w, v, 7, n + gap, rule, rate, momentum)
            what = f"tile {mr} x {units}, k = {k}"
            np.testing.assert_array_equal(w, expected_w, what)
            np.testing.assert_array_equal(v, expected_v, what)


@DTYPES
def test_rules_without_velocities_need_none(dtype):
    a, d, w = numbers(512, dtype, 3)
    before = w.copy()
    rows = max(target.UPDATE_ROWS[1])
    run_update_tile(rows, 1, a, 1, 8, d, 16, np.arange(3), 0, 3, w, w[:0], 0, 16, RULES["sgd"], dtype(0.1), dtype(0))
    assert not np.array_equal(w, before)


@program
def run_update_rows(rule, n, w, at, a, a0, a_row, d, d0, d_row, m, terms, t0, k, rate, momentum):
    update_rows(rule, n, w, at, a, a0, a_row, d, d0, d_row, m, terms, t0, k, rate, momentum)


@DTYPES
@pytest.mark.parametrize("m", [1, 2, 8])
def test_rows_with_the_gradients_of_a_few_samples(m, dtype):
    """The bits of a tile's sums, a row at a time; rows that are not named stay, and with a slot all do."""
    lanes = target.UNIT_BYTES // np.dtype(dtype).itemsize
    rate, sgd = dtype(0.1), RULES["sgd"]
    rows = np.array([99, 0, 3, 4, 11, 98])
    for units in range(1, target.PANEL_UNITS + 1):
        n = units * lanes
        a, d, w = numbers(2000, dtype, 3)
        expected = w.copy()
        for row in rows[1:5]:
            for unit in range(units):
                gradient = np.zeros(lanes, dtype)
                run_tile(1, 1, a[2 + row :], 0, 40, d[5 + unit * lanes :], n + 5, gradient, np.arange(m), 0, m)
                run_update(sgd, lanes, expected, gradient, w[:0], 7 + row * n + unit * lanes, 0, rate, dtype(0))
        for k, at_start in ((0, True), (4, False)):
            run_update_rows(sgd, n, w, 7, a, 2, 40, d, 5, n + 5, m, rows, 1, k, rate, dtype(0))
            assert np.array_equal(w, expected) is not at_start
        np.testing.assert_array_equal(w, expected, f"{units} units, m = {m}")
        for rule in RULES.values():
            if rule != sgd:
                run_update_rows(rule, n, w, 7, a, 2, 40, d, 5, n + 5, m, rows, 1, 4, rate, dtype(0))
        np.testing.assert_array_equal(w, expected)
