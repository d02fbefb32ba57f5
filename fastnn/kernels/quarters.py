"""FLOOR 2: sums of the first layer by quarters of the inputs.

Where a first layer has many inputs and few units, every sum is made of four, (q0 + q1) + (q2 + q3), each a chain over
a quarter of the inputs: by shape alone, whatever the mini-batch and the number of ranks. So two or four ranks can go by
inputs: each gathers its own inputs, keeps and updates their weights, and gives its sums to the others. That is all they
exchange, and a step needs one barrier: the layers that follow are small, and every rank takes all rows through them,
with parameters, rows and losses of its own (see engine.replicas). 784-30-10 at 10 takes two cores 0.70 of the time of
one; by rows, where they exchange weights, 1.25 of it.

turn    0 or 1, in alternate steps: a rank may write the sums of the next step while another one reads the last
"""

from __future__ import annotations

from fastnn._jit import op, piece
from fastnn.kernels.bundles import HELD, LD, QUARTERS, WIDTH
from fastnn.simd.memory import unit_of
from fastnn.simd.vectors import add_four, add_two


@op
def sums_at(net, work, base, turn, q):
    """Where in `quarters` the sums over quarter q are, of the row `base` of the row block and those that follow."""
    return (turn * QUARTERS + q) * work.quarter_size + base * net.levels[1, LD]


@op
def has_two(work):
    """Whether a rank has two quarters, which it adds up before another one reads them."""
    return work.own_parts[1] - work.own_parts[0] == 2


@piece
def add_own_quarters(net, work, base, m, turn):
    """What one of two ranks gives to the other, for m rows: the sums over its first quarter become those over both."""
    ld, width = net.levels[1, LD], net.levels[1, WIDTH]
    a0 = sums_at(net, work, base, turn, work.own_parts[0])
    for r in range(m):
        for a in range(a0 + r * ld, a0 + r * ld + width, unit_of(work.rows)):
            add_two(work.quarters, a, work.quarters, a, a + work.quarter_size)


@piece
def add_quarters(net, work, base, m, c0, c1, turn):
    """held of level 1, in m rows and the columns c0 .. c1; by inputs after all ranks have formed their sums."""
    ld, size = net.levels[1, LD], work.quarter_size
    z0, q0 = net.levels[1, HELD] + base * ld, sums_at(net, work, base, turn, 0)
    for r in range(m):
        for j in range(r * ld + c0, r * ld + c1, unit_of(work.rows)):
            if has_two(work):
                add_two(work.rows, z0 + j, work.quarters, q0 + j, q0 + j + 2 * size)
            else:
                add_four(
                    work.rows, z0 + j, work.quarters, q0 + j, q0 + j + size, q0 + j + 2 * size, q0 + j + 3 * size
                )  # fmt: skip
