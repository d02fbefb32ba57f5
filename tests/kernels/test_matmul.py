"""Rows x panels in the three orientations, at every edge, against float64; and the bits of parts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from compare import assert_close
from programs import program

from fastnn.kernels import panels
from fastnn.kernels.matmul import SUM_GROUP, TILE_ROWS, backward_layer, forward_panel, gradient_tile, panel_of
from fastnn.simd import target

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
MARK = 77.0


@program
def forward(m, I, O_padded, A, a0, a_row, W, Z, z0, z_row):
    panel = panel_of(W)
    for j in range(0, O_padded, panel):
        forward_panel(m, I, min(panel, O_padded - j), A, a0, a_row, W, j * (I + 1), Z, z0 + j, z_row)


@program
def backward(n, I, O, W, w0, T, t0, t_row, out, out0):
    backward_layer(n, I, O, W, w0, T, t0, t_row, out, out0)


@program
def gradient(rows, width, m, A, a0, a_row, D, d0, d_row, G, g0, accumulate):
    gradient_tile(rows, width, m, A, a0, a_row, D, d0, d_row, G, g0, accumulate)


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


def run_forward(A, flat, I, O, dtype, rows=None):
    """Z with a marked border; `rows` cuts the work into calls of their own."""
    m = len(A)
    width = panels.padded(O, dtype)
    Z = np.full((m + 1, width + 3), MARK, dtype)
    for start, stop in rows or [(0, m)]:
        forward(
            stop - start, I, width, A.ravel(), start * A.shape[1], A.shape[1],
            flat, Z.reshape(-1), start * Z.shape[1], Z.shape[1],
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
@pytest.mark.parametrize("I", [1, 2, *(k * SUM_GROUP + d for k in (1, 2, 3) for d in (-2, -1, 0, 1))])
def test_forward_around_the_groups_of_a_sum(I, dtype):
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
def test_forward_sums_groups_in_order(dtype):
    """Group after group of SUM_GROUP terms, each a chain of its own: what the bits are promised to depend on."""
    I, O = 3 * SUM_GROUP - 1, 20
    A, W, b, flat = case(3, I, O, dtype)
    whole = np.vstack([W, b])
    expected = np.zeros((3, O), dtype)
    for start in range(0, I + 1, SUM_GROUP):
        part = whole[start : start + SUM_GROUP]
        # the last row of the panel is the biases' place: a group alone is a layer of SUM_GROUP - 1 inputs
        group = np.zeros(panels.size(SUM_GROUP - 1, O, dtype), dtype)
        panels.pack(part[:-1], part[-1], group)
        expected = expected + run_forward(
            np.ascontiguousarray(A[:, start : start + SUM_GROUP]), group, SUM_GROUP - 1, O, dtype
        )
    np.testing.assert_array_equal(run_forward(A, flat, I, O, dtype), expected)


def run_backward(W_flat, I, O, T, dtype, samples=None):
    """out with a marked border; T is (padded outputs, n)."""
    n = T.shape[1]
    out = np.full((I + 1, n), MARK, dtype)
    for start, stop in samples or [(0, n)]:
        backward(stop - start, I, O, W_flat, 0, T.ravel(), start, n, out.reshape(-1), start)
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
                gradient(rows, width, m, A.ravel(), 4, 21, D.ravel(), 5, D.shape[1], G, 3, accumulate)
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
    gradient(rows, width, m, A.ravel(), 0, 40, D.ravel(), 0, width, whole.reshape(-1), 0, False)
    for i in range(rows):
        gradient(1, width, m, A.ravel(), i, 40, D.ravel(), 0, width, single.reshape(-1), i * width, False)
    np.testing.assert_array_equal(whole, single)
