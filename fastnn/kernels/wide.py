"""FLOOR 2: phase B of a wide layer: the tile reads nothing that is far from what it read before.

In `rows` the inputs of a tile lie a whole row of the layer apart, sample by sample. So a rank turns its own inputs
first, a few tiles' worth at a time: each then has its samples in a row, and a panel of deltas lies together already
(see bundles.py). Of 784-1024-1024-10 at 128 the second layer's gradients took 0.80 of the time; those of
784-2048-2048-10 at 256, 0.75.
"""

from __future__ import annotations

from fastnn._jit import op, piece
from fastnn.kernels.bundles import ACTS, D_PANEL, D_ROW, DELTAS, LD, PARAMS, UNITS, WIDTH
from fastnn.kernels.descent import descend_by_gradient, has_penalties
from fastnn.kernels.first import own_columns
from fastnn.kernels.gang import share
from fastnn.kernels.matmul import descend_wide_tile, panel_of, tile_rows
from fastnn.kernels.triples import descend_triples, goes_in_triples, inputs_at_once, is_wide
from fastnn.simd.memory import transpose_block, unit_of
from fastnn.simd.microkernel import PACE
from fastnn.simd.target import SIDE

# Mini-batches of so many samples go this way. With fewer a tile would ask for too little of the next one's weights
SAMPLES = 24
# Tiles whose inputs are turned together
TILES = 32


@op
def goes_wide(net, block, l):
    """Whether layer l is one for update_wide: the deltas lie in panels."""
    return block.m >= SAMPLES and is_wide(net, l)


@piece
def update_inputs(net, rule, work, block, l, turned, distance, j, start, stop):
    """Weights of inputs start .. stop into the panel that begins at column j: gradient over the row block, and update.

    turned, distance    where these inputs lie in `private`, and how far apart
    """
    levels, rows, private = net.levels, work.rows, work.private
    panel, m = panel_of(rows), block.m
    I, d_row = levels[l - 1, UNITS], levels[l, D_ROW]
    width = min(panel, levels[l, WIDTH] - j)
    step = tile_rows(panel, unit_of(rows))
    p0, d0 = levels[l, PARAMS] + j * (I + 1), levels[l, DELTAS] + j // panel * levels[l, D_PANEL]
    last = p0 + stop * width - m * PACE // rows.itemsize  # what is asked for from here on ends with these weights
    asks = width == panel and last >= p0 + start * width
    descends = asks and block.first and block.last and not has_penalties(rule)
    for i in range(start, stop, step):
        height = min(step, stop - i)
        at = p0 + i * width
        a0 = turned + (i - start) * distance
        if descends and height == step:
            descend_wide_tile(
                private, a0, distance, rows, d0, d_row, work.every, m, rule.update, net.params, net.slots, at,
                block.rate, rule.momentum, min(at + step * width, last),
            )  # fmt: skip
        else:
            descend_by_gradient(
                net, rule, work, block, l, i, height, width, private, a0, distance, 1, d0, d_row, work.every, 0, m, at
            )


@piece
def update_wide(rank, n_ranks, net, rule, work, triples, block, l):
    """This rank's share of layer l: a range of inputs, or if it is the first and goes by units, its own columns.

    triples     as in first_layer
    """
    levels, rows = net.levels, work.rows
    panel, lanes, a_row = panel_of(rows), unit_of(rows), levels[l - 1, LD]
    in_triples = triples is not None and goes_in_triples(net, block, l)
    step = SIDE if in_triples else tile_rows(panel, lanes)
    acts, c0, c1 = levels[l - 1, ACTS], 0, levels[l, WIDTH]
    start, stop = share(levels[l - 1, UNITS] + 1, rank, n_ranks, step)
    if l == 1 and work.copy_rows > 0:
        acts += rank * work.copy_rows * a_row
        c0, c1 = own_columns(rank, n_ranks, net, work)
        start, stop = 0, levels[0, UNITS] + 1
    turned = block.spare - 2 * work.flipped  # the transposed deltas of phase A are no longer needed
    distance = (block.m + lanes - 1) // lanes * lanes
    most = inputs_at_once(work, block) if in_triples else TILES * step
    chunk = min((2 * work.flipped // distance - lanes) // step * step, most)
    for i0 in range(start, stop, chunk):
        i1 = min(i0 + chunk, stop)
        for i in range(i0, i1, lanes):  # whole blocks, so up to one more of inputs and of samples
            for r in range(0, block.m, lanes):
                out = turned + (i - i0) * distance + r
                transpose_block(rows, acts + r * a_row + i, a_row, work.private, out, distance)
        done = c0
        if triples is not None and in_triples:
            done = descend_triples(rank, net, rule, work, triples, block, l, turned, distance, c0, c1, i0, i1)
        for j in range(done, c1, panel):
            update_inputs(net, rule, work, block, l, turned, distance, j, i0, i1)
