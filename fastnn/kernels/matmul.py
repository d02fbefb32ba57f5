"""FLOOR 2: rows x panels in the three orientations that training needs, made of register tiles.

m, n, k   rows and columns of the result, terms of each sum
I, O      inputs and outputs of a layer; its panels have I + 1 rows, the last one the biases (see panels.py)
A, D      activations and deltas, one row a sample; T: deltas transposed, one row a unit, one column a sample

Every sum is cut into groups of terms whose borders depend on the shapes alone (SUM_GROUP inputs, or the width of
a panel); a group is one chain of fma in index order, and groups are added in order. So the bits depend neither
on the tile, nor on which rank computes which rows, nor on the CPU's vectors.
"""

from __future__ import annotations

import numpy as np

from fastnn._jit import op, piece
from fastnn.simd import target
from fastnn.simd.memory import unit_of
from fastnn.simd.microkernel import tile

# 128 rows of a panel are 32 KiB: they stay in L1 while the rows of A pass by
SUM_GROUP = 128
_TILE_UNITS = target.TILE_UNITS
# an array, not a tuple: Numba writes a tuple to the stack before it indexes it
TILE_ROWS = np.array([target.TILE_ROWS.get(u, 0) for u in range(target.TILE_UNITS + 1)])


@op
def panel_of(a):
    """Numbers of a's type in a row of a full panel."""
    return target.PANEL_UNITS * unit_of(a)


@op
def tile_rows(width, lanes):
    """Height of the tiles that cover a panel of this width."""
    return TILE_ROWS[min(width // lanes, _TILE_UNITS)]


@piece
def multiply(m, n, a, a0, a_row, a_col, b, b0, b_row, c, c0, c_row, k, accumulate):
    """C[m, n] (+)= A[m, k] @ B[k, n], n whole units; strides and contract as in simd.microkernel."""
    lanes = unit_of(c)
    step = _TILE_UNITS * lanes
    for j in range(0, n, step):
        units = min(step, n - j) // lanes
        # tiles of equal height: 10 rows as 5 + 5, for 8 + 2 would wait for the latency of the 2
        tiles = (m + TILE_ROWS[units] - 1) // TILE_ROWS[units]
        rows = (m + tiles - 1) // max(tiles, 1)
        for i in range(0, m, rows):
            tile(min(rows, m - i), units, a, a0 + i * a_row, a_row, a_col,
                 b, b0 + j, b_row, c, c0 + i * c_row + j, c_row, k, accumulate)  # fmt: skip


@piece
def forward_panel(m, I, width, A, a0, a_row, W, w0, Z, z0, z_row):
    """Z[m, width] = A[m, I + 1] @ W[I + 1, width] for one panel; A's column I holds ones.

    A, a0, a_row    activations, where the first row begins, distance of rows          read
    W, w0           the panel                                                          read
    Z, z0, z_row    pre-activations, at the panel's first column                       written
    """
    for k0 in range(0, I + 1, SUM_GROUP):
        k = min(SUM_GROUP, I + 1 - k0)
        multiply(m, width, A, a0 + k0, a_row, 1, W, w0 + k0 * width, width, Z, z0, z_row, k, k0 > 0)


@piece
def backward_layer(n, I, O, W, w0, T, t0, t_row, out, out0):
    """out[I, n] = W[I, O] @ T[O, n]: deltas times transposed weights, without transposing weights.

    n               samples, whole units; rows of T and `out` are t_row apart
    W, w0           the panels of the layer                                            read
    T, t0           its deltas, transposed                                             read
    out, out0       what comes through to the layer's inputs, transposed               written
    """
    lanes, panel = unit_of(W), panel_of(W)
    for j in range(0, O, panel):
        k = min(panel, O - j)
        width = (k + lanes - 1) // lanes * lanes
        multiply(I, n, W, w0 + j * (I + 1), width, 1, T, t0 + j * t_row, t_row, out, out0, t_row, k, j > 0)


@piece
def gradient_tile(rows, width, m, A, a0, a_row, D, d0, d_row, G, g0, accumulate):
    """G[rows, width] (+)= A[m, rows]^T @ D[m, width] over the m samples of a row block; G's rows lie together.

    rows is at most tile_rows: `multiply`, which would divide them up, took as long as a tile of 10 samples.
    """
    lanes = unit_of(G)
    step = _TILE_UNITS * lanes
    for j in range(0, width, step):
        tile(
            rows,
            min(step, width - j) // lanes,
            A,
            a0,
            1,
            a_row,
            D,
            d0 + j,
            d_row,
            G,
            g0 + j,
            width,
            m,
            accumulate,
        )
