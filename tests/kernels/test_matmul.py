"""Rows x panels in the three orientations, at every edge, against float64; and the bits of parts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from compare import assert_close

from fastnn._jit import program
from fastnn.kernels import panels
from fastnn.kernels.matmul import (
    ROWS_IN_L1,
    TILE_ROWS,
    backward_layer,
    backward_row,
    forward_panel,
    gradient_tile,
    panel_of,
)
from fastnn.simd import target

EVERY = np.arange(1000)
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
MARK = 77.0


@program
def forward(m, I, O_padded, A, a0, a_row, W, Z, z0, z_row, terms):
    panel = panel_of(W)
    for j in range(0, O_padded, panel):
        k = terms.shape[0]
        forward_panel(m, min(panel, O_padded - j), A, a0, a_row, W, j * (I + 1), Z, z0 + j, z_row, terms, 0, k)


@program
def backward(n, I, O, W, w0, T, t0, t_row, out, out0, terms):
    backward_layer(n, I, O, W, w0, T, t0, t_row, out, out0, terms)


@program
def backward_single(I, O, W, D, d0, d_panel, out, out0):
    backward_row(I, O, W, 0, D, d0, d_panel, out, out0)


@program
def gradient(rows, width, m, A, a0, a_row, D, d0, d_row, G, g0, terms, accumulate):
    gradient_tile(rows, width, A, a0, 1, a_row, D, d0, d_row, G, g0, terms, 0, m, accumulate)


def widths(dtype):
    """Columns around one and two panels, and around units within them."""
    unit = panels.unit(dtype)
    panel = target.PANEL_UNITS * unit
    return sorted({1, unit - 1, unit, unit + 1, 3 * unit, *(k * panel + d for k in (1, 2) for d in (-1, 0, 1))})


def case(m, I, O, dtype, seed=0):
    """A (m, I + 1) with its column of ones in rows of odd length, W with biases as matrix and as panels."""
    rng = np.random.default_rng([m, I, O, seed])
    A = np.full((m, I + 6), np.nan, dtype)
    A[:, :I] = rng.standard_normal((m, I))
    A[:, I] = 1
    W = rng.standard_normal((I, O)).astype(dtype)
    b = rng.standard_normal(O).astype(dtype)
    flat = np.zeros(panels.size(I, O, dtype), dtype)
    panels.pack(W, b, flat)
    return A, W, b, flat


def run_forward(A, flat, I, O, dtype, rows=None, terms=None):
    """Z with a marked border; `rows` cuts the work into calls of their own, `terms` leaves inputs out."""
    terms = np.arange(I + 1) if terms is None else terms
    m = len(A)
    width = panels.padded(O, dtype)
    Z = np.full((m + 1, width + 3), MARK, dtype)
    for start, stop in rows or [(0, m)]:
        forward(
            stop - start, I, width, A.ravel(), start * A.shape[1], A.shape[1],
            flat, Z.reshape(-1), start * Z.shape[1], Z.shape[1], terms,
        )  # fmt: skip
    assert (Z[m:] == MARK).all()
    assert (Z[:, width:] == MARK).all()
    assert (Z[:m, O:width] == 0).all(), "the padding of the panels is zero, so the padding of Z is"
    return Z[:m, :O]


def wide(*arrays):
    return [a.astype(np.float64) for a in arrays]


@DTYPES
@pytest.mark.parametrize("m", range(1, 18))
def test_forward_at_every_width(m, dtype):
    for O in widths(dtype):
        I = 7
        A, W, b, flat = case(m, I, O, dtype)
        x, W, b = wide(A[:, :I], W, b)
        assert_close(run_forward(A, flat, I, O, dtype), x @ W + b, dtype, f"{O} outputs", terms=I, scale=1.0)


@DTYPES
@pytest.mark.parametrize("I", [1, 2, *(k * ROWS_IN_L1 + d for k in (1, 2, 3) for d in (-2, -1, 0, 1))])
def test_forward_around_the_cuts_of_a_sum(I, dtype):
    for m, O in [(1, 3), (8, 70), (13, 16)]:
        A, W, b, flat = case(m, I, O, dtype)
        x, W, b = wide(A[:, :I], W, b)
        assert_close(run_forward(A, flat, I, O, dtype), x @ W + b, dtype, f"{I} inputs", terms=I, scale=1.0)


@DTYPES
@pytest.mark.parametrize(("I", "O"), [(7, 10), (300, 70), (128, 33)])
def test_forward_gives_the_same_bits_for_any_cut_of_the_rows(I, O, dtype):
    m = 17
    A, _, _, flat = case(m, I, O, dtype)
    whole = run_forward(A, flat, I, O, dtype)
    for cuts in ([0, 1, 17], [0, 5, 11, 17], [0, 8, 17], range(18)):
        rows = list(pairwise(cuts))
        np.testing.assert_array_equal(run_forward(A, flat, I, O, dtype, rows), whole)


@DTYPES
def test_forward_without_the_inputs_that_are_zero_gives_the_same_bits(dtype):
    for m, I, O in [(1, 5, 3), (8, 300, 70), (13, 128, 16)]:
        A, _, _, flat = case(m, I, O, dtype)
        idle = np.random.default_rng(I).random(I) < 0.6
        A[:, :I][:, idle] = 0
        used = np.append(np.flatnonzero(~idle), I)
        whole = run_forward(A, flat, I, O, dtype)
        np.testing.assert_array_equal(run_forward(A, flat, I, O, dtype, terms=used), whole)
        assert (run_forward(A, flat, I, O, dtype, terms=used[1:]) != whole).any()


@pytest.mark.skipif(not target.HAS_FMA, reason="without fma a term is rounded twice")
def test_forward_is_one_chain_in_index_order():
    """What the bits are promised to depend on: a sum rounded once a term, whatever cuts the work has."""
    dtype = np.float32  # long double holds every product of two of them exactly
    I, O = 2 * ROWS_IN_L1 + 3, 5
    A, W, b, flat = case(2, I, O, dtype)
    total = np.zeros((2, O), dtype)
    for column, row in zip(A[:, : I + 1].T, np.vstack([W, b]), strict=True):
        total = (total + np.multiply.outer(column.astype(np.longdouble), row.astype(np.longdouble))).astype(dtype)
    np.testing.assert_array_equal(run_forward(A, flat, I, O, dtype), total)


def run_backward(W_flat, I, O, T, dtype, samples=None):
    """out with a marked border; T is (padded outputs, n)."""
    n = T.shape[1]
    out = np.full((I + 1, n), MARK, dtype)
    for start, stop in samples or [(0, n)]:
        backward(stop - start, I, O, W_flat, 0, T.ravel(), start, n, out.reshape(-1), start, EVERY)
    assert (out[I:] == MARK).all()
    return out[:I]


def deltas(O, n, dtype):
    """Transposed deltas; behind the outputs NaN, which no sum may reach."""
    T = np.full((O + 3, n), np.nan, dtype)
    T[:O] = np.random.default_rng([O, n]).standard_normal((O, n))
    return T


@DTYPES
@pytest.mark.parametrize("I", [*range(1, 18), 64, 65])
def test_backward_at_every_height(I, dtype):
    unit = panels.unit(dtype)
    for O in widths(dtype):
        _, W, _, flat = case(1, I, O, dtype)
        for n in (unit, 3 * unit):
            T = deltas(O, n, dtype)
            W64, T64 = wide(W, T[:O])
            assert_close(run_backward(flat, I, O, T, dtype), W64 @ T64, dtype, f"{O} outputs", terms=O, scale=1.0)


@DTYPES
def test_backward_gives_the_same_bits_for_any_cut_of_the_samples(dtype):
    unit = panels.unit(dtype)
    n, I, O = 5 * unit, 19, 150
    _, _, _, flat = case(1, I, O, dtype)
    T = deltas(O, n, dtype)
    whole = run_backward(flat, I, O, T, dtype)
    for cuts in ([0, 1, 5], [0, 2, 3, 5], [0, 1, 2, 3, 4, 5]):
        samples = [(unit * a, unit * b) for a, b in pairwise(cuts)]
        np.testing.assert_array_equal(run_backward(flat, I, O, T, dtype, samples), whole)


@DTYPES
@pytest.mark.parametrize("I", [1, 7, 8, 19, 32])
def test_backward_of_a_single_sample_gives_the_same_bits(I, dtype):
    """Deltas in panels that lie apart, with zeros to the end of the last unit; behind the last row of W is nothing."""
    unit, d_panel = panels.unit(dtype), 4 * panels.unit(dtype) + 40
    for O in (1, 10, unit, 4 * unit, 4 * unit + 3, 150):
        _, _, _, flat = case(1, I, O, dtype)
        d = deltas(O, 1, dtype)[:O]
        D = np.full(3 + 20 * d_panel, np.nan, dtype)
        for j in range(0, -(-O // unit) * unit, unit):
            at = 3 + j // (4 * unit) * d_panel + j % (4 * unit)
            D[at : at + unit] = 0
            D[at : at + min(unit, O - j)] = d[j : j + unit, 0]
        out = np.full(5 + -(-I // unit) * unit + 1, MARK, dtype)
        backward_single(I, O, flat, D, 3, d_panel, out, 5)
        expected = run_backward(flat, I, O, np.repeat(d, unit, axis=1), dtype)[:, 0]
        np.testing.assert_array_equal(out[5 : 5 + I], expected, f"{O} outputs")
        assert (out[:5] == MARK).all() and out[-1] == MARK


@DTYPES
@pytest.mark.parametrize("m", [1, 2, 3, 10, 17, 127, 128, 300])
def test_gradient_of_every_tile(m, dtype):
    unit = panels.unit(dtype)
    rng = np.random.default_rng(m)
    A = rng.standard_normal((m, 21)).astype(dtype)
    D = rng.standard_normal((m, 4 * unit + 5)).astype(dtype)
    for units in range(1, target.PANEL_UNITS + 1):
        width = units * unit
        highest = int(TILE_ROWS[min(units, target.TILE_UNITS)])
        for rows in range(1, highest + 1):
            for accumulate in (False, True):
                G = rng.standard_normal(rows * width + 9).astype(dtype)
                before = G.copy()
                gradient(rows, width, m, A.ravel(), 4, 21, D.ravel(), 5, D.shape[1], G, 3, EVERY, accumulate)
                tile = G[3 : 3 + rows * width].reshape(rows, width)
                a, d, old = wide(A[:, 4 : 4 + rows], D[:, 5 : 5 + width], before[3 : 3 + rows * width])
                expected = a.T @ d + accumulate * old.reshape(rows, width)
                assert_close(tile, expected, dtype, f"{rows} x {width}", terms=m, scale=1.0)
                G[3 : 3 + rows * width] = before[3 : 3 + rows * width]
                np.testing.assert_array_equal(G, before)


@DTYPES
def test_a_gradient_does_not_depend_on_its_tile(dtype):
    unit = panels.unit(dtype)
    rng = np.random.default_rng(0)
    m, width = 130, target.PANEL_UNITS * unit
    A = rng.standard_normal((m, 40)).astype(dtype)
    D = rng.standard_normal((m, width)).astype(dtype)
    rows = int(TILE_ROWS[target.TILE_UNITS])
    whole, single = np.zeros((2, rows, width), dtype)
    gradient(rows, width, m, A.ravel(), 0, 40, D.ravel(), 0, width, whole.reshape(-1), 0, EVERY, False)
    for i in range(rows):
        gradient(1, width, m, A.ravel(), i, 40, D.ravel(), 0, width, single.reshape(-1), i * width, EVERY, False)
    np.testing.assert_array_equal(whole, single)
