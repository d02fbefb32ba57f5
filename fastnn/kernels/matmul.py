"""FLOOR 2: rows x panels in the three orientations that training needs, made of register tiles.

m, n, k   rows and columns of the result, terms of each sum
I, O      inputs and outputs of a layer; its panels have I + 1 rows, the last one the biases (see panels.py)
A, D      activations and deltas, one row a sample; T: deltas transposed, one row a unit, one column a sample

Every sum is one chain of fma in index order, however the work is cut (see simd.microkernel); in some first layers it is
made of four (see quarters.py). So the bits depend neither on the tile, nor on which rank computes which rows, nor on
the CPU's vectors.

terms     int64, indices in ascending order: those of the terms that a sum has
"""

from __future__ import annotations

import numpy as np

from fastnn._jit import op, piece
from fastnn.kernels.bundles import GROUP
from fastnn.ops.updates import update_asking_tile, update_tile
from fastnn.simd import target
from fastnn.simd.memory import unit_of
from fastnn.simd.microkernel import tile, tile_of_rows
from fastnn.simd.vectors import multiply_turned

# 128 rows of a panel are 32 KiB: they stay in L1 while the rows of A pass by
ROWS_IN_L1 = 128
# So many rows ask for all of the next ROWS_IN_L1 rows of the panel meanwhile
ASKING_ROWS = 48
_TILE_UNITS = target.TILE_UNITS
_FULL_HEIGHT = target.WIDEST[0]
# whether a tile is as wide as a panel: then a loop over the tiles of a panel is none
_WHOLE_PANELS = target.TILE_UNITS == target.PANEL_UNITS
# an array, not a tuple: Numba writes a tuple to the stack before it indexes it
TILE_ROWS = np.array([target.TILE_ROWS.get(u, 0) for u in range(target.TILE_UNITS + 1)])
DESCENDS = np.array([[r in target.UPDATE_ROWS.get(u, ()) for r in range(9)] for u in range(target.TILE_UNITS + 1)])


@op
def panel_of(a):
    """Numbers of a's type in a row of a full panel."""
    return target.PANEL_UNITS * unit_of(a)


@op
def tile_rows(width, lanes):
    """Height of the tiles that cover a panel of this width."""
    return TILE_ROWS[min(width // lanes, _TILE_UNITS)]


@piece
def multiply(m, n, a, a0, a_row, a_col, b, b0, b_row, c, c0, c_row, terms, t0, k, accumulate, soon, s0, s_row):
    """C[m, n] (+)= A[m, terms] @ B[terms, n], n whole units; strides and contract as in simd.microkernel.

    soon, s0, s_row     what is asked for meanwhile: with row i of C from s0 + i * s_row on; -1, 0: nothing
    """
    lanes = unit_of(c)
    step = _TILE_UNITS * lanes
    for j in range(0, n, step):
        units = min(step, n - j) // lanes
        rows = m
        if m > TILE_ROWS[units]:
            # tiles of equal height: 10 rows as 5 + 5, for 8 + 2 would wait for the latency of the 2
            tiles = (m + TILE_ROWS[units] - 1) // TILE_ROWS[units]
            rows = (m + tiles - 1) // tiles
        for i in range(0, m, max(rows, 1)):
            tile(
                min(rows, m - i), units, a, a0 + i * a_row, a_row, a_col, b, b0 + j, b_row,
                c, c0 + i * c_row + j, c_row, terms, t0, k, accumulate, soon, s0 + i * s_row,
            )  # fmt: skip


@piece
def forward_panel(m, width, A, a0, a_row, W, w0, Z, z0, z_row, terms, start, stop):
    """Z[m, width] = A[m, terms] @ W[terms, width] for one panel; A has ones in the column of the biases.

    A, a0, a_row    activations, where the first row begins, distance of rows          read
    W, w0           the panel                                                          read
    Z, z0, z_row    pre-activations, at the panel's first column                       written
    terms           0, 1, 2 ...; those of the sums are start .. stop                   read
    """
    for t0 in range(start, stop, ROWS_IN_L1):
        n = min(ROWS_IN_L1, stop - t0)
        soon, a_row_asks_for = -1, 0
        if m >= ASKING_ROWS:
            soon, a_row_asks_for = w0 + (t0 + n) * width, n * width // m
        multiply(
            m, width, A, a0, a_row, 1, W, w0, width, Z, z0, z_row, terms, t0, n, t0 > start, W, soon, a_row_asks_for
        )


@op
def listed_rows(width, lanes):
    """Height of tiles that have a list of terms each: the lower, the fewer terms; narrow ones wait for their sums."""
    return 4 if width > 2 * lanes else 8


@piece
def forward_listed(m, width, height, A, a0, a_row, W, w0, Z, z0, z_row, lists, first, list_size):
    """As forward_panel, but every `height` rows have a list of terms (see sparse.py), the first one at `first`."""
    for i in range(0, m, height):
        multiply(
            min(height, m - i), width, A, a0 + i * a_row, a_row, 1, W, w0, width, Z, z0 + i * z_row, z_row,
            lists, first + 1, lists[first], False, W, -1, 0,
        )  # fmt: skip
        first += list_size


@piece
def forward_groups(m, width, A, a0, a_row, W, w0, Z, z0, z_row, lists, first, list_size, groups, g0):
    """As forward_listed, but a tile has the rows of a group (see alike.py), the first one at groups[g0]."""
    lanes = unit_of(Z)
    step = _TILE_UNITS * lanes
    for g in range(g0, g0 + m, GROUP):
        for j in range(0, width, step):
            tile_of_rows(
                min(step, width - j) // lanes, A, a0, a_row, W, w0 + j, width, Z, z0 + j, z_row,
                lists, first + 1, lists[first], groups, g,
            )  # fmt: skip
        first += list_size


@piece
def backward_layer(n, I, O, W, w0, T, t0, t_row, out, out0, terms):
    """out[I, n] = W[I, O] @ T[O, n]: deltas times transposed weights, without transposing weights.

    n               samples, whole units; rows of T and `out` are t_row apart
    W, w0           the panels of the layer                                            read
    T, t0           its deltas, transposed                                             read
    out, out0       what comes through to the layer's inputs, transposed               written
    terms           0, 1, 2 ...                                                        read
    """
    lanes, panel = unit_of(W), panel_of(W)
    for j in range(0, O, panel):
        k = min(panel, O - j)
        width = (k + lanes - 1) // lanes * lanes
        w, t = w0 + j * (I + 1), t0 + j * t_row
        soon = w + tile_rows(panel, lanes) * width
        multiply(I, n, W, w, width, 1, T, t, t_row, out, out0, t_row, terms, 0, k, j > 0, W, soon, width)


@piece
def backward_row(I, O, W, w0, D, d0, d_panel, out, out0):
    """out[I] = W[I, O] @ D[O] for a single sample, whose deltas need not be transposed; `out` has whole units.

    D, d0, d_panel  deltas, zero behind the last one to a whole unit; distance of those of a panel and of the next
    """
    lanes, panel = unit_of(W), panel_of(W)
    for i in range(0, I, lanes):
        for j in range(0, O, lanes):
            first = j // panel * panel
            width = min(panel, (O - first + lanes - 1) // lanes * lanes)
            w, d = w0 + first * (I + 1) + i * width + j - first, d0 + j // panel * d_panel + j - first
            multiply_turned(W, w, width, I - i, D, d, out, out0 + i, j > 0)


@op
def gradient_tile(rows, width, A, a0, a_input, a_sample, D, d0, d_row, G, g0, terms, t0, m, accumulate):
    """G[rows, width] (+)= A[m, rows]^T @ D[m, width] over m samples of a row block; G's rows lie together.

    a_input, a_sample   distance of inputs and of samples in A
    terms, t0           where the list of the samples begins
    """
    multiply(rows, width, A, a0, a_input, a_sample, D, d0, d_row, G, g0, width, terms, t0, m, accumulate, D, -1, 0)


@op
def can_descend(rows, width, lanes):
    """Whether descend_tile has a tile of so many rows."""
    return DESCENDS[min(width // lanes, _TILE_UNITS), rows]


@piece
def descend_tile(rows, width, A, a0, a_row, D, d0, d_row, terms, t0, m, rule, params, slots, at, rate, momentum):
    """As gradient_tile, but the gradient goes from the registers into a step of `rule` on params[at:] and slots[at:].

    rows is one that `can_descend` is true for.

    At mini-batches of 8 and 10, storing the gradient and updating afterwards took 1.12 times as long an epoch.
    """
    lanes = unit_of(params)
    step = _TILE_UNITS * lanes
    for j in range(0, 1 if _WHOLE_PANELS else width, step):
        units = min(step, width - j) // lanes
        update_tile(
            rows, units, A, a0, 1, a_row, D, d0 + j, d_row, terms, t0, m, params, slots, at + j, width,
            rule, rate, momentum, -1,
        )  # fmt: skip


@piece
def descend_wide_tile(A, a0, a_row, D, d0, d_row, terms, m, rule, params, slots, at, rate, momentum, s0):
    """As descend_tile, for a whole panel and the tile of full height; A is transposed, a row an input.

    s0      from where on parameters are asked for meanwhile
    """
    step, width = _TILE_UNITS * unit_of(params), panel_of(params)
    for j in range(0, width, step):
        update_asking_tile(
            _FULL_HEIGHT, _TILE_UNITS, A, a0, a_row, 1, D, d0 + j, d_row, terms, 0, m, params, slots, at + j, width,
            rule, rate, momentum, s0,
        )  # fmt: skip
