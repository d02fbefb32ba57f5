"""FLOOR 2: what is done with weights whose gradient is complete: a step of the rule, and the limit of their norms."""

from __future__ import annotations

import math

from fastnn._jit import op, piece
from fastnn.kernels.bundles import PARAMS, UNITS, WIDTH
from fastnn.kernels.matmul import gradient_tile, panel_of
from fastnn.ops.updates import add_penalties, update
from fastnn.simd.memory import view
from fastnn.simd.scalar import constant

_zero, _one = constant(0.0), constant(1.0)


@op
def has_penalties(rule):
    """Whether the weights themselves add to the gradient."""
    return rule.l1 != _zero(rule.l1) or rule.l2 != _zero(rule.l2)


@op
def apply_gradient(net, rule, G, g0, at, n, n_weights, rate):
    """Update the n parameters from `at` on with gradients G[g0:]; all but the first n_weights of them are biases."""
    if has_penalties(rule):
        add_penalties(view(net.params, at, n_weights), view(G, g0, n_weights), rule.l1, rule.l2)
    update(rule.update, n, net.params, net.slots, at, G, g0, rate, rule.momentum)


@op
def descend_by_gradient(
    net, rule, work, block, l, i, height, width, A, a0, a_input, a_sample, d0, d_row, terms, t0, k, at
):
    """Store the gradient of a tile of layer l, `height` inputs from i on, and if it is complete take a step with it.

    A, a0, a_input, a_sample    acts of these inputs, and the distance of inputs and of samples
    d0, d_row                   deltas of these units, and the distance of samples
    terms, t0, k                the samples
    at                          where in `params` the tile begins
    """
    I, n = net.levels[l - 1, UNITS], height * width
    n_weights = (min(i + height, I) - i) * width
    whole = block.first and block.last
    G, g0 = (work.private, block.spare) if whole else (work.gradients, at)
    gradient_tile(height, width, A, a0, a_input, a_sample, work.rows, d0, d_row, G, g0, terms, t0, k, not block.first)
    if block.last:
        apply_gradient(net, rule, G, g0, at, n, n_weights, block.rate)


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
