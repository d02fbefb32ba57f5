"""FLOOR 2: phase B of a step: gradients and updates, each tile of the weights by exactly one rank.

The gradient of a tile is formed over all samples of the mini-batch in registers and applied while the tile is in
L1; the gradient matrix is stored only when a mini-batch is larger than a row block.
"""

from __future__ import annotations

import math

from fastnn._jit import op, piece
from fastnn.kernels.bundles import ACTS, DELTAS, LD, PARAMS, UNITS, WIDTH
from fastnn.kernels.gang import share
from fastnn.kernels.matmul import gradient_tile, panel_of, tile_rows
from fastnn.ops.updates import add_penalties, update
from fastnn.simd.memory import prefetch, unit_of, view
from fastnn.simd.scalar import constant

_zero, _one = constant(0.0), constant(1.0)


@op
def apply_gradient(net, rule, g, at, n, n_weights, rate):
    """Update the n parameters from `at` on with gradients g; all but the first n_weights of them are biases."""
    w = view(net.params, at, n)
    if rule.l1 != _zero(rule.l1) or rule.l2 != _zero(rule.l2):
        add_penalties(view(net.params, at, n_weights), g, rule.l1, rule.l2)
    v = view(net.slots, at, n if net.slots.shape[0] > 0 else 0)
    update(rule.update, w, g, v, rate, rule.momentum)


@op
def any_used(work, I, start, stop):
    """Whether any sample of the row block has an input other than zero in columns start .. stop; biases always."""
    used = work.used
    if used.shape[0] == 0 or stop == I:
        return True
    for first in range(0, used.shape[0], I):
        for i in range(first + start, first + stop):
            if used[i] != _zero(used[i]):
                return True
    return False


@piece
def update_panel(net, rule, work, l, j, start, stop, m, spare, first, last, rate):
    """Rows start .. stop of the panel of layer l that begins at column j: gradient over m samples, and update.

    first, last     whether this row block is the first and the last of its mini-batch
    spare           a tile's worth of numbers in `private`
    """
    levels, rows = net.levels, work.rows
    I, a_row, d_row = levels[l - 1, UNITS], levels[l - 1, LD], levels[l, LD]
    width = min(panel_of(rows), levels[l, WIDTH] - j)
    p0 = levels[l, PARAMS] + j * (I + 1)
    d0 = levels[l, DELTAS] + j
    step = tile_rows(width, unit_of(rows))
    for i in range(start, stop, step):
        height = min(step, stop - i)
        at, n = p0 + i * width, height * width
        n_weights = (min(i + height, I) - i) * width
        a0 = levels[l - 1, ACTS] + i
        for line in range(at, at + n, unit_of(rows)):
            prefetch(net.params, line)
            if net.slots.shape[0] > 0:
                prefetch(net.slots, line)
        n_terms = m if l > 1 or any_used(work, I, i, min(i + height, I)) else 0
        if first and last:
            gradient_tile(
                height, width, n_terms, rows, a0, a_row, rows, d0, d_row, work.private, spare, work.every, False
            )
            apply_gradient(net, rule, view(work.private, spare, n), at, n, n_weights, rate)
        else:
            gradient_tile(
                height, width, n_terms, rows, a0, a_row, rows, d0, d_row, work.gradients, at, work.every, not first
            )
            if last:
                apply_gradient(net, rule, view(work.gradients, at, n), at, n, n_weights, rate)


@piece
def update_tiles(rank, n_ranks, net, rule, work, m, spare, first, last, rate):
    """This rank's share of every layer: a range of inputs in every panel, so that it reads only its own columns of A.

    Ranks       write disjoint rows of params, slots and gradients
    Assumes     a barrier before (deltas of all ranks are there) and after
    """
    levels = net.levels
    panel, lanes = panel_of(work.rows), unit_of(work.rows)
    for l in range(1, levels.shape[0]):
        width = levels[l, WIDTH]
        for j in range(0, width, panel):
            step = tile_rows(min(panel, width - j), lanes)
            start, stop = share(levels[l - 1, UNITS] + 1, rank, n_ranks, step)
            update_panel(net, rule, work, l, j, start, stop, m, spare, first, last, rate)


@piece
def limit_norms(rank, n_ranks, net, rule, work, spare):
    """Scale the weights into each unit down to norm max_norm if they exceed it (Srivastava et al. 2014, section 5.1).

    Ranks       own whole panels
    Assumes     a barrier before and after
    """
    levels, params = net.levels, net.params
    panel = panel_of(params)
    for l in range(1, levels.shape[0]):
        I, wide = levels[l - 1, UNITS], levels[l, WIDTH]
        for j in range(rank * panel, wide, n_ranks * panel):
            width = min(panel, wide - j)
            p0 = levels[l, PARAMS] + j * (I + 1)
            factor = view(work.private, spare, width)
            for c in range(width):
                factor[c] = _zero(factor[c])
            for i in range(I):
                w = view(params, p0 + i * width, width)
                for c in range(width):
                    factor[c] += w[c] * w[c]
            too_long = False
            for c in range(width):
                norm = math.sqrt(factor[c])
                too_long = too_long or norm > rule.max_norm
                factor[c] = rule.max_norm / norm if norm > rule.max_norm else _one(norm)
            if too_long:
                for i in range(I):
                    w = view(params, p0 + i * width, width)
                    for c in range(width):
                        w[c] *= factor[c]
