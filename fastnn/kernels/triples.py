"""FLOOR 2: the products of wide layers on the CPU's matrix unit, which multiplies triples of bfloat16 (simd.triples).

They are formed block by block: 32 rows of a strip and a panel forward, 32 inputs and a strip backward, 32 inputs and a
panel in phase B. What is multiplied is split into triples once for all blocks, or if it is weights, which no core
keeps, while the block before is multiplied. Of a sum, whole steps of 32 terms go this way; what is left, the biases
among it, comes first, by fma (see matmul.py). So do panels that are not whole.

`work.triples` holds a rank's factors: at first the one that stays, behind it two of the other, in turn.
"""

from __future__ import annotations

from fastnn._jit import op, piece
from fastnn.kernels.bundles import CHUNK, D_PANEL, D_ROW, DELTAS, LD, PARAMS, STRIP, UNITS, WIDTH
from fastnn.kernels.descent import has_penalties
from fastnn.kernels.matmul import forward_panel, gradient_tile, multiply
from fastnn.ops.updates import add_penalties, multiply_and_descend, update
from fastnn.simd.memory import view
from fastnn.simd.target import BLOCK_COLUMNS, BLOCK_ROWS, PAIRS_STEP, ROWS_STEP, STEP_TERMS
from fastnn.simd.triples import (
    close_matrix_unit,
    multiply_and_split_pairs,
    multiply_and_split_rows,
    open_matrix_unit,
    split_pairs,
    split_rows,
)

_BLOCK = BLOCK_ROWS * BLOCK_COLUMNS


@op
def is_wide(net, l):
    """Whether layer l is one whose products are formed here."""
    return net.levels[l, D_ROW] < net.levels[l, WIDTH]


@op
def copy_block(source, s0, s_row, out, o0, o_row, rows):
    """out = so many rows of a block."""
    for r in range(rows):
        a, b = view(source, s0 + r * s_row, BLOCK_COLUMNS), view(out, o0 + r * o_row, BLOCK_COLUMNS)
        for i in range(BLOCK_COLUMNS):
            b[i] = a[i]


@piece
def forward_steps(m, triples, t0, steps, W, w0, w_next, Z, z0, z_row, spare, s0, turn):
    """Z[m, columns of a panel] += A @ W, whole steps; returns which of the two places for weights has the next.

    triples, t0     A's, block after block of rows, then the two places for chunks of weights
    w0, turn        the panel, and which place has its first chunk
    w_next          the panel that is next; -1: none
    spare, s0       room for a block: of rows beyond m of Z nothing is written
    """
    n_blocks = (m + BLOCK_ROWS - 1) // BLOCK_ROWS
    chunks = t0 + n_blocks * steps * ROWS_STEP
    rest = m % BLOCK_ROWS
    z_rest = z0 + (m - rest) * z_row
    if rest > 0:
        copy_block(Z, z_rest, z_row, spare, s0, BLOCK_COLUMNS, rest)
    for s in range(0, steps, CHUNK):
        n = min(CHUNK, steps - s)
        follows, n_next = w0 + (s + n) * STEP_TERMS * BLOCK_COLUMNS, min(CHUNK, steps - s - n)
        if s + n == steps:
            follows, n_next = w_next, min(CHUNK, steps) if w_next >= 0 else 0
        here, there = chunks + turn * CHUNK * PAIRS_STEP, chunks + (1 - turn) * CHUNK * PAIRS_STEP
        pairs = n_next * (STEP_TERMS // 2)
        done = 0
        for b in range(n_blocks):
            a = t0 + (b * steps + s) * ROWS_STEP
            until = pairs * (b + 1) // n_blocks
            count, source, out = until - done, follows + done * 2 * BLOCK_COLUMNS, there + done * (6 * BLOCK_COLUMNS)
            if (b + 1) * BLOCK_ROWS <= m:
                c = z0 + b * BLOCK_ROWS * z_row
                multiply_and_split_pairs(triples, a, here, n, Z, c, z_row, True, count, 1, W, source, out)
            else:
                multiply_and_split_pairs(triples, a, here, n, spare, s0, BLOCK_COLUMNS, True, count, 1, W, source, out)
            done = until
        turn = 1 - turn
    if rest > 0:
        copy_block(spare, s0, BLOCK_COLUMNS, Z, z_rest, z_row, rest)
    return turn


@piece
def forward_triples(rank, net, work, triples, l, m, a0, z0, c0, c1):
    """Columns c0 .. c1 of held of level l, m rows from z0 on, from acts of level l - 1 from a0 on."""
    levels, rows, params = net.levels, work.rows, net.params
    I, a_row, z_row = levels[l - 1, UNITS], levels[l - 1, LD], levels[l, LD]
    steps = I // STEP_TERMS
    mine, spare = rank * work.triples_size, rank * work.private_size + 2 * work.flipped
    n_blocks = (m + BLOCK_ROWS - 1) // BLOCK_ROWS
    for b in range(n_blocks):
        n = min(BLOCK_ROWS, m - b * BLOCK_ROWS)
        split_rows(rows, a0 + b * BLOCK_ROWS * a_row, a_row, n, steps, triples, mine + b * steps * ROWS_STEP)
    whole = c0 + (c1 - c0) // BLOCK_COLUMNS * BLOCK_COLUMNS
    p0 = levels[l, PARAMS]
    if whole > c0:
        split_pairs(params, p0 + c0 * (I + 1), min(CHUNK, steps), triples, mine + n_blocks * steps * ROWS_STEP)
    open_matrix_unit()
    turn = 0
    for j in range(c0, whole, BLOCK_COLUMNS):
        w0 = p0 + j * (I + 1)
        w_next = w0 + BLOCK_COLUMNS * (I + 1) if j + BLOCK_COLUMNS < whole else -1
        multiply(
            m, BLOCK_COLUMNS, rows, a0, a_row, 1, params, w0, BLOCK_COLUMNS, rows, z0 + j, z_row,
            work.every, steps * STEP_TERMS, I + 1 - steps * STEP_TERMS, False, params, -1, 0,
        )  # fmt: skip
        turn = forward_steps(
            m, triples, mine, steps, params, w0, w_next, rows, z0 + j, z_row, work.private, spare, turn
        )
    close_matrix_unit()
    if whole < c1:
        w0 = p0 + whole * (I + 1)
        forward_panel(m, c1 - whole, rows, a0, a_row, params, w0, rows, z0 + whole, z_row, work.every, I + 1)


@piece
def backward_triples(rank, net, work, triples, l, here, below):
    """As matmul.backward_layer, for a whole strip: what comes through layer l, from its transposed deltas."""
    levels, private, params = net.levels, work.private, net.params
    I, O, p0 = levels[l - 1, UNITS], levels[l, UNITS], levels[l, PARAMS]
    panels = O // BLOCK_COLUMNS
    rest, steps = O - panels * BLOCK_COLUMNS, BLOCK_COLUMNS // STEP_TERMS
    mine, spare = rank * work.triples_size, rank * work.private_size + 2 * work.flipped
    if rest > 0:
        w0, width = p0 + panels * BLOCK_COLUMNS * (I + 1), levels[l, WIDTH] - panels * BLOCK_COLUMNS
        t = here + panels * BLOCK_COLUMNS * STRIP
        multiply(I, STRIP, params, w0, width, 1, private, t, STRIP, private, below, STRIP, work.every, 0, rest, False,
                 params, -1, 0)  # fmt: skip
    split_pairs(private, here, panels * steps, triples, mine)
    chunks = mine + panels * steps * PAIRS_STEP
    split_rows(params, p0, BLOCK_COLUMNS, BLOCK_ROWS, steps, triples, chunks)
    turn = 0
    open_matrix_unit()
    for i in range(0, I, BLOCK_ROWS):
        height = min(BLOCK_ROWS, I - i)
        out = below + i * STRIP if height == BLOCK_ROWS else spare
        if height < BLOCK_ROWS and rest > 0:
            copy_block(private, below + i * STRIP, STRIP, private, out, STRIP, height)
        for p in range(panels):
            follows, n_next = p0 + (p + 1) * BLOCK_COLUMNS * (I + 1) + i * BLOCK_COLUMNS, BLOCK_ROWS
            if p + 1 == panels:
                follows, n_next = p0 + (i + BLOCK_ROWS) * BLOCK_COLUMNS, min(BLOCK_ROWS, I - i - BLOCK_ROWS)
            a, next_a = chunks + turn * steps * ROWS_STEP, chunks + (1 - turn) * steps * ROWS_STEP
            multiply_and_split_rows(
                triples, a, mine + p * steps * PAIRS_STEP, steps, private, out, STRIP, p > 0 or rest > 0,
                n_next, 2, params, follows, next_a,
            )  # fmt: skip
            turn = 1 - turn
        if height < BLOCK_ROWS:
            copy_block(private, out, STRIP, private, below + i * STRIP, STRIP, height)
    close_matrix_unit()


@op
def goes_in_triples(net, block, l):
    """Whether phase B of layer l is formed here: of a mini-batch that is one row block, and has whole steps."""
    return is_wide(net, l) and block.first and block.last and block.m >= STEP_TERMS


@op
def inputs_at_once(work, block):
    """How many inputs' triples there is room for, beside those of a panel of deltas."""
    steps = block.m // STEP_TERMS
    return (work.triples_size - steps * PAIRS_STEP) // (steps * ROWS_STEP) * BLOCK_ROWS


@piece
def descend_panel(rank, net, rule, work, triples, block, l, turned, distance, j, start, stop):
    """Gradients of inputs start .. stop in the panel that begins at column j, and a step with them.

    The step with the gradients of a block is taken while those of the next one are formed.

    turned, distance    where the inputs lie in `private`, each with its samples in a row, and how far apart
    """
    private, params, slots = work.private, net.params, net.slots
    I, m = net.levels[l - 1, UNITS], block.m
    steps = m // STEP_TERMS
    rest = m - steps * STEP_TERMS
    mine = rank * work.triples_size
    d0 = net.levels[l, DELTAS] + j // BLOCK_COLUMNS * net.levels[l, D_PANEL]
    d_rest = d0 + steps * STEP_TERMS * BLOCK_COLUMNS
    p0 = net.levels[l, PARAMS] + j * (I + 1)
    split_pairs(work.rows, d0, steps, triples, mine)
    # at this pace a step with all numbers of a block ends with the products of the next
    pace = (_BLOCK // 16 + 12 * steps - 1) // (12 * steps)
    at, n, g0 = p0, 0, block.spare
    for i in range(start, stop, BLOCK_ROWS):
        b, height = (i - start) // BLOCK_ROWS, min(BLOCK_ROWS, stop - i)
        g1 = block.spare + b % 2 * _BLOCK
        if rest > 0:
            gradient_tile(
                height, BLOCK_COLUMNS, private, turned + (i - start) * distance + steps * STEP_TERMS, distance, 1,
                work.rows, d_rest, BLOCK_COLUMNS, private, g1, work.every, 0, rest, False,
            )  # fmt: skip
        multiply_and_descend(
            triples, mine + steps * (PAIRS_STEP + b * ROWS_STEP), mine, steps, private, g1, rest > 0,
            n, pace, rule.update, params, slots, at, g0, block.rate, rule.momentum,
        )  # fmt: skip
        at, n, g0 = p0 + i * BLOCK_COLUMNS, height * BLOCK_COLUMNS, g1
        if has_penalties(rule):
            n_weights = (min(i + height, I) - i) * BLOCK_COLUMNS
            add_penalties(view(params, at, n_weights), view(private, g0, n_weights), rule.l1, rule.l2)
    update(rule.update, n, params, slots, at, private, g0, block.rate, rule.momentum)


@piece
def descend_triples(rank, net, rule, work, triples, block, l, turned, distance, c0, c1, start, stop):
    """As descend_panel, for the whole panels of columns c0 .. c1; returns where they end."""
    steps = block.m // STEP_TERMS
    whole = c0 + (c1 - c0) // BLOCK_COLUMNS * BLOCK_COLUMNS
    out = rank * work.triples_size + steps * PAIRS_STEP  # behind the triples of a panel of deltas
    for i in range(start, stop, BLOCK_ROWS):
        n, at = min(BLOCK_ROWS, stop - i), turned + (i - start) * distance
        split_rows(work.private, at, distance, n, steps, triples, out + (i - start) // BLOCK_ROWS * steps * ROWS_STEP)
    open_matrix_unit()
    for j in range(c0, whole, BLOCK_COLUMNS):
        descend_panel(rank, net, rule, work, triples, block, l, turned, distance, j, start, stop)
    close_matrix_unit()
    return whole
