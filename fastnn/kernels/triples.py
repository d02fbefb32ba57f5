"""FLOOR 2: products of wide layers on the CPU's matrix unit, which multiplies triples of bfloat16 (simd.matrix_unit).

They are formed in blocks of 32 x 32: of samples and units forward, of inputs and samples backward, of inputs and units
in phase B. One factor is split into triples beforehand, for all blocks. The other, which is weights forward and
backward, is split a step of 32 terms at a time, while the step before is multiplied; in phase B weights are updated
meanwhile. What of a sum is no whole step, the biases among it, comes first and by fma (see matmul.py); panels that are
not whole go that way too.

`work.triples` holds what a rank has split: at the beginning of its part the factor that stays.
"""

from __future__ import annotations

from fastnn._jit import op, piece
from fastnn.kernels.bundles import D_PANEL, D_ROW, DELTAS, LD, PARAMS, STRIP, UNITS, WIDTH
from fastnn.kernels.descent import has_penalties
from fastnn.kernels.matmul import forward_panel, gradient_tile, multiply, panel_of
from fastnn.ops.updates import add_penalties, multiply_and_descend, update
from fastnn.simd.matrix_unit import (
    close_matrix_unit,
    multiply_and_split_pairs,
    multiply_and_split_rows,
    open_matrix_unit,
)
from fastnn.simd.memory import view
from fastnn.simd.target import SIDE, STEP
from fastnn.simd.triples import split_pairs, split_rows


@op
def is_wide(net, l):
    """Whether layer l is one whose products are formed here."""
    return net.levels[l, D_ROW] < net.levels[l, WIDTH]


@op
def pace_of(items, blocks, steps):
    """Items that are done with each of the six products of a step, so that they end with the blocks."""
    products = 6 * blocks * steps
    return (items + products - 1) // products


@op
def copy_rows(source, s0, s_row, out, o0, o_row, n, columns):
    """out = n rows of so many columns."""
    for r in range(n):
        a, b = view(source, s0 + r * s_row, columns), view(out, o0 + r * o_row, columns)
        for i in range(columns):
            b[i] = a[i]


@piece
def forward_columns(m, triples, mine, steps, W, w0, w_next, Z, z0, z_row, private, spare, turn):
    """Z[m, SIDE] += A @ W, whole steps, for the columns of a whole panel that begin at w0.

    mine        A's triples, then two places for a step of W's, of which `turn` holds the first one
    w_next      what comes next, and is split meanwhile; -1: nothing
    spare       room for a block in `private`, for in Z nothing is written beyond row m

    Returns whose turn it is then.
    """
    width, whole, rest = panel_of(W), m // SIDE, m % SIDE
    weights = mine + (m + SIDE - 1) // SIDE * steps * STEP
    z_rest, distance = z0 + whole * SIDE * z_row, steps * STEP
    if rest > 0:
        copy_rows(Z, z_rest, z_row, private, spare, SIDE, rest, SIDE)
    for s in range(steps):
        here, there = weights + turn * STEP, weights + (1 - turn) * STEP
        follows = w0 + (s + 1) * SIDE * width if s + 1 < steps else w_next
        n = SIDE // 2 if follows >= 0 else 0
        if whole > 0:
            multiply_and_split_pairs(
                triples, mine + s * STEP, distance, here, 0, 1, whole, Z, z0, z_row, SIDE * z_row, True,
                n, pace_of(n, whole, 1), W, follows, width, SIDE * width, there,
            )  # fmt: skip
            n = 0
        if rest > 0:
            multiply_and_split_pairs(
                triples, mine + whole * distance + s * STEP, 0, here, 0, 1, 1, private, spare, SIDE, 0, True,
                n, pace_of(n, 1, 1), W, follows, width, SIDE * width, there,
            )  # fmt: skip
        turn = 1 - turn
    if rest > 0:
        copy_rows(private, spare, SIDE, Z, z_rest, z_row, rest, SIDE)
    return turn


@piece
def forward_triples(rank, net, work, triples, l, m, a0, z0, c0, c1):
    """Columns c0 .. c1 of held of level l, m rows from z0 on, from acts of level l - 1 from a0 on."""
    levels, rows, params = net.levels, work.rows, net.params
    I, a_row, z_row, panel = levels[l - 1, UNITS], levels[l - 1, LD], levels[l, LD], panel_of(rows)
    p0, steps = levels[l, PARAMS], I // SIDE
    mine, spare = rank * work.triples_size, rank * work.private_size + 2 * work.flipped
    for r in range(0, m, SIDE):
        split_rows(rows, a0 + r * a_row, a_row, min(SIDE, m - r), steps, triples, mine + r // SIDE * steps * STEP)
    whole = c0 + (c1 - c0) // panel * panel
    if whole > c0 and steps > 0:
        split_pairs(params, p0 + c0 * (I + 1), panel, 1, triples, mine + (m + SIDE - 1) // SIDE * steps * STEP)
    open_matrix_unit()
    turn = 0
    for j in range(c0, whole, panel):
        w0 = p0 + j * (I + 1)
        multiply(
            m, panel, rows, a0, a_row, 1, params, w0, panel, rows, z0 + j, z_row,
            work.every, steps * SIDE, I + 1 - steps * SIDE, False, params, -1, 0,
        )  # fmt: skip
        for i in range(0, panel, SIDE):
            w_next = w0 + i + SIDE
            if i + SIDE == panel:
                w_next = w0 + panel * (I + 1) if j + panel < whole else -1
            turn = forward_columns(
                m, triples, mine, steps, params, w0 + i, w_next, rows, z0 + j + i, z_row, work.private, spare, turn
            )
    close_matrix_unit()
    if whole < c1:
        w0 = p0 + whole * (I + 1)
        forward_panel(m, c1 - whole, rows, a0, a_row, params, w0, rows, z0 + whole, z_row, work.every, 0, I + 1)


@piece
def backward_inputs(triples, mine, steps, n_blocks, W, w0, w_next, n_next, I, out, o0, accumulate, turn):
    """out[SIDE, samples] (+)= W @ T for SIDE inputs, whole steps.

    mine        T's triples, SIDE samples after SIDE, then two places for a step of W's, of which `turn` holds the first
    w0, w_next  these inputs' weights in the first panel, and the next inputs', of which there are n_next

    Returns whose turn it is then.
    """
    panel = panel_of(W)
    weights = mine + n_blocks * steps * STEP
    for s in range(steps):
        column = (s + 1) * SIDE
        follows, n = w0 + column // panel * panel * (I + 1) + column % panel, SIDE
        if s + 1 == steps:
            follows, n = w_next, n_next
        multiply_and_split_rows(
            triples, weights + turn * STEP, 0, mine + s * STEP, steps * STEP, 1, n_blocks, out, o0, STRIP, SIDE,
            accumulate or s > 0, n, pace_of(n, n_blocks, 1), W, follows, panel, panel * (I + 1),
            weights + (1 - turn) * STEP,
        )  # fmt: skip
        turn = 1 - turn
    return turn


@piece
def backward_triples(rank, net, work, triples, l, m, here, below):
    """As matmul.backward_layer, for m samples of a strip: what comes through layer l, from its transposed deltas."""
    levels, private, params = net.levels, work.private, net.params
    I, O, p0, panel = levels[l - 1, UNITS], levels[l, UNITS], levels[l, PARAMS], panel_of(private)
    whole = O // panel * panel
    rest, steps = O - whole, whole // SIDE
    mine, spare = rank * work.triples_size, rank * work.private_size + 2 * work.flipped
    if rest > 0:
        multiply(
            I, STRIP, params, p0 + whole * (I + 1), levels[l, WIDTH] - whole, 1, private, here + whole * STRIP, STRIP,
            private, below, STRIP, work.every, 0, rest, False, params, -1, 0,
        )  # fmt: skip
    n_blocks = (m + SIDE - 1) // SIDE
    for b in range(n_blocks):
        split_pairs(private, here + b * SIDE, STRIP, steps, triples, mine + b * steps * STEP)
    split_rows(params, p0, panel, min(SIDE, I), 1, triples, mine + n_blocks * steps * STEP)
    turn = 0
    open_matrix_unit()
    for i in range(0, I, SIDE):
        height = min(SIDE, I - i)
        out = below + i * STRIP if height == SIDE else spare
        if height < SIDE and rest > 0:
            copy_rows(private, below + i * STRIP, STRIP, private, out, STRIP, height, STRIP)
        w_next, n_next = p0 + (i + SIDE) * panel, max(min(SIDE, I - i - SIDE), 0)
        turn = backward_inputs(
            triples, mine, steps, n_blocks, params, p0 + i * panel, w_next, n_next, I, private, out, rest > 0, turn
        )
        if height < SIDE:
            copy_rows(private, out, STRIP, private, below + i * STRIP, STRIP, height, STRIP)
    close_matrix_unit()


@op
def goes_in_triples(net, block, l):
    """Whether phase B of layer l is formed here: of a row block that has whole steps."""
    return is_wide(net, l) and block.m >= SIDE


@op
def inputs_at_once(work, block):
    """How many inputs' triples there is room for, beside those of a panel of deltas."""
    return (work.triples_size // (block.m // SIDE * STEP) - 2) * SIDE


@piece
def descend_panel(rank, net, rule, work, triples, block, l, turned, distance, j, start, stop):
    """Gradients of inputs start .. stop in the panel that begins at column j, and a step with them.

    The step with the gradients of SIDE inputs is taken while those of the next ones are formed. Of a mini-batch of
    several row blocks they are added up in `gradients`.

    turned, distance    where the inputs lie in `private`, each with its samples in a row, and how far apart
    """
    private, params, slots, panel = work.private, net.params, net.slots, panel_of(work.private)
    I, steps = net.levels[l - 1, UNITS], block.m // SIDE
    done, rest, size = steps * SIDE, block.m - steps * SIDE, SIDE * panel
    mine = rank * work.triples_size
    d0 = net.levels[l, DELTAS] + j // panel * net.levels[l, D_PANEL]
    p0 = net.levels[l, PARAMS] + j * (I + 1)
    for half in range(2):
        split_pairs(work.rows, d0 + half * SIDE, panel, steps, triples, mine + half * steps * STEP)
    at, n, finished, f0 = p0, 0, private, block.spare
    for i in range(start, stop, SIDE):
        b, height = (i - start) // SIDE, min(SIDE, stop - i)
        here = p0 + i * panel
        G, g0 = private, block.spare + b % 2 * size
        if not (block.first and block.last):
            if height == SIDE:
                G, g0 = work.gradients, here
            elif not block.first:
                copy_rows(work.gradients, here, panel, G, g0, panel, height, panel)
        if rest > 0:
            gradient_tile(
                height, panel, private, turned + (i - start) * distance + done, distance, 1,
                work.rows, d0 + done * panel, panel, G, g0, work.every, 0, rest, not block.first,
            )  # fmt: skip
        multiply_and_descend(
            triples, mine + (2 + b) * steps * STEP, 0, mine, steps * STEP, steps, 2, G, g0, panel, SIDE,
            rest > 0 or not block.first, n, pace_of(size // 16, 2, steps), rule.update, params, slots, at, finished, f0,
            block.rate, rule.momentum,
        )  # fmt: skip
        if not block.last:
            if height < SIDE:
                copy_rows(G, g0, panel, work.gradients, here, panel, height, panel)
            continue
        at, n, finished, f0 = here, height * panel, G, g0
        if has_penalties(rule):
            n_weights = (min(i + height, I) - i) * panel
            add_penalties(view(params, at, n_weights), view(G, g0, n_weights), rule.l1, rule.l2)
    if n > 0:
        update(rule.update, n, params, slots, at, finished, f0, block.rate, rule.momentum)


@piece
def descend_triples(rank, net, rule, work, triples, block, l, turned, distance, c0, c1, start, stop):
    """As descend_panel, for the whole panels of columns c0 .. c1; returns where they end."""
    steps, panel = block.m // SIDE, panel_of(work.private)
    whole = c0 + (c1 - c0) // panel * panel
    out = rank * work.triples_size + 2 * steps * STEP  # behind the triples of a panel of deltas
    for i in range(start, stop, SIDE):
        n, at = min(SIDE, stop - i), turned + (i - start) * distance
        split_rows(work.private, at, distance, n, steps, triples, out + (i - start) // SIDE * steps * STEP)
    open_matrix_unit()
    for j in range(c0, whole, panel):
        descend_panel(rank, net, rule, work, triples, block, l, turned, distance, j, start, stop)
    close_matrix_unit()
    return whole
