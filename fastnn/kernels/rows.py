"""FLOOR 2: phase A of a step: what one rank does with its own samples, a strip of rows at a time.

base    first row of the strip in the matrices of `rows`
m       samples in the strip, at most STRIP
"""

from __future__ import annotations

from fastnn._jit import op, piece
from fastnn.kernels.bundles import ACTIVATION, ACTS, D_PANEL, D_ROW, DELTAS, DROP, HELD, LD, PARAMS, STRIP, UNITS, WIDTH
from fastnn.kernels.matmul import backward_layer, backward_row, forward_panel, panel_of
from fastnn.kernels.triples import backward_triples, forward_triples, is_wide
from fastnn.ops.activations import activate, multiply_slope, slope_needs_z
from fastnn.ops.codes import HEADS
from fastnn.ops.heads import link, loss_and_delta
from fastnn.ops.random import key
from fastnn.simd.hashing import dropout_factor
from fastnn.simd.memory import transpose_block, unit_of, view
from fastnn.simd.scalar import constant

_zero, _one = constant(0.0), constant(1.0)
# Strips of so few rows go back row by row. 64-16-12-10 took 0.71 of the time at mini-batches of 1, 0.91 at 2, 1.0 at 4
SINGLY = 2
SOFTMAX_CE = HEADS["softmax", "cross_entropy"]


@piece
def drop_units(row, first, threshold, scale, row_key):
    """Inverted dropout (Srivastava et al. 2014): each number is zeroed or scaled, by a hash of its place.

    first       the place of row[0]
    """
    for i in range(row.shape[0]):
        row[i] *= dropout_factor(row_key, first + i, threshold, scale)


@piece
def finish_inputs(net, work, at, m, base, row_key, start, stop):
    """acts of level 0, inputs start .. stop, as gathered: dropout, and behind the last one the column of ones.

    at          the first of the m rows in the matrix of level 0
    base        its place in the row block: by that dropout knows it
    """
    rows, ld, n, threshold = work.rows, net.levels[0, LD], net.levels[0, UNITS], net.levels[0, DROP]
    for r in range(m):
        x = net.levels[0, ACTS] + (at + r) * ld
        if threshold > 0:
            drop_units(
                view(rows, x + start, stop - start), start, threshold, net.keep[0], key(key(row_key, base + r), 0)
            )
        if stop == n:
            rows[x + n] = _one(rows[0])


@piece
def activate_rows(net, work, l, base, m, row_key):
    """acts of level l > 0 from its held, with dropout and the column of ones."""
    levels, rows = net.levels, work.rows
    ld, width, code, threshold = levels[l, LD], levels[l, WIDTH], levels[l, ACTIVATION], levels[l, DROP]
    held, acts = levels[l, HELD] + base * ld, levels[l, ACTS] + base * ld
    for r in range(m):
        a = view(rows, acts + r * ld, width)
        h = view(rows, held + r * ld, width)
        needs_z = slope_needs_z(code)
        if not needs_z:
            activate(code, h)
        if held != acts:
            for i in range(width):
                a[i] = h[i]
        if needs_z:
            activate(code, a)
        if threshold > 0:
            drop_units(a, 0, threshold, net.keep[l], key(key(row_key, base + r), l))
        rows[acts + r * ld + levels[l, UNITS]] = _one(rows[0])


@piece
def forward_rows(rank, net, work, triples, base, m, row_key):
    """held of levels 2, 3 ... from held of level 1, and acts of all but the last, whose held are the logits.

    triples     work.triples, as `raw` in first_layer
    row_key     identifies (seed, epoch, step, row block): what dropout draws from
    """
    levels, rows = net.levels, work.rows
    panel = panel_of(rows)
    for l in range(2, levels.shape[0]):
        activate_rows(net, work, l - 1, base, m, row_key)
        I, a_row = levels[l - 1, UNITS], levels[l - 1, LD]
        width, z_row = levels[l, WIDTH], levels[l, LD]
        a0, z0 = levels[l - 1, ACTS] + base * a_row, levels[l, HELD] + base * z_row
        if triples is not None and is_wide(net, l):
            forward_triples(rank, net, work, triples, l, m, a0, z0, 0, width)
            continue
        for j in range(0, width, panel):
            w0, w = levels[l, PARAMS] + j * (I + 1), min(panel, width - j)
            forward_panel(m, w, rows, a0, a_row, net.params, w0, rows, z0 + j, z_row, work.every, 0, I + 1)


@piece
def output_row(net, rule, work, r):
    """acts of the last level from its logits, for row r; returns what `link` returns."""
    levels, rows = net.levels, work.rows
    last = levels.shape[0] - 1
    ld, width = levels[last, LD], levels[last, WIDTH]
    z = view(rows, levels[last, HELD] + r * ld, width)
    a = view(rows, levels[last, ACTS] + r * ld, width)
    return link(rule.output, levels[last, UNITS], z, a)


@piece
def head_row(net, rule, samples, work, r, sample, spare, factor):
    """Outputs, loss and delta (times `factor`) of row r, which holds `sample`; returns the loss.

    spare       where in `private` a one-hot row may be written
    """
    levels, rows = net.levels, work.rows
    last = levels.shape[0] - 1
    n, ld, width = levels[last, UNITS], levels[last, LD], levels[last, WIDTH]
    log_sum = output_row(net, rule, work, r)
    z = view(rows, levels[last, HELD] + r * ld, width)
    a = view(rows, levels[last, ACTS] + r * ld, width)
    delta = view(rows, levels[last, DELTAS] + r * levels[last, D_ROW], n)
    if samples.labels.shape[0] > 0 and rule.head == SOFTMAX_CE:
        # what loss_and_delta says for a one-hot row, in half its time
        label = samples.labels[sample]
        for i in range(n):
            delta[i] = a[i] * factor
        delta[label] = (a[label] - _one(a[0])) * factor
        return log_sum - z[label]
    if samples.labels.shape[0] > 0:
        y = view(work.private, spare, n)
        for i in range(n):
            y[i] = _zero(a[0])
        y[samples.labels[sample]] = _one(a[0])
    else:
        y = view(samples.targets, sample * n, n)
    loss = loss_and_delta(rule.head, n, z, a, log_sum, y, delta)
    for i in range(n):
        delta[i] *= factor
    return loss


@piece
def flip_block(work, block, t0, width, to_deltas):
    """Transpose the square block of rows at `block` into t0 (one row a unit), or back if `to_deltas`.

    A whole block, though a strip may have fewer rows: in `rows` those that follow belong to another rank.
    """
    lanes = unit_of(work.rows)
    private = work.private
    for j in range(0, width, lanes):
        if to_deltas:
            transpose_block(private, t0 + j * STRIP, STRIP, private, block + j, work.block_ld)
        else:
            transpose_block(private, block + j, work.block_ld, private, t0 + j * STRIP, STRIP)


@piece
def flip_output_deltas(net, work, base, m, t0, block):
    """The deltas of the last level, transposed, into t0."""
    levels, rows, private = net.levels, work.rows, work.private
    last = levels.shape[0] - 1
    row, width, lanes = levels[last, D_ROW], levels[last, WIDTH], unit_of(rows)
    for r0 in range(0, m, lanes):
        for r in range(min(lanes, m - r0)):
            delta = view(rows, levels[last, DELTAS] + (base + r0 + r) * row, width)
            copy = view(private, block + r * work.block_ld, width)
            for i in range(width):
                copy[i] = delta[i]
        flip_block(work, block, t0 + r0, width, False)


@op
def finish_delta(net, work, l, r, d, row_key):
    """deltas of level l in row r from what came through to it, d: times slope and dropout."""
    levels, rows = net.levels, work.rows
    units, width = levels[l, UNITS], levels[l, WIDTH]
    piece = min(levels[l, D_ROW], width)  # a whole row, or a panel of it
    multiply_slope(levels[l, ACTIVATION], view(rows, levels[l, HELD] + r * levels[l, LD], width), d)
    if levels[l, DROP] > 0:
        drop_units(d, 0, levels[l, DROP], net.keep[l], key(key(row_key, r), l))
    for i in range(units, width):
        d[i] = _zero(d[0])
    to = levels[l, DELTAS] + r * levels[l, D_ROW]
    for p in range((width + piece - 1) // piece):
        j = p * piece
        n = min(piece, width - j)
        delta = view(rows, to + p * levels[l, D_PANEL], n)
        for i in range(n):
            delta[i] = d[j + i]


@piece
def finish_deltas(net, work, l, base, m, t0, block, row_key):
    """deltas of level l from what came through to it (transposed, at t0).

    If another layer lies below, t0 becomes the transposed deltas too.
    """
    width, lanes = net.levels[l, WIDTH], unit_of(work.rows)
    for r0 in range(0, m, lanes):
        flip_block(work, block, t0 + r0, width, True)
        for r in range(min(lanes, m - r0)):
            finish_delta(net, work, l, base + r0 + r, view(work.private, block + r * work.block_ld, width), row_key)
        if l > 1:
            flip_block(work, block, t0 + r0, width, False)


@piece
def backward_single(net, work, r, d0, row_key):
    """As backward_rows, for row r alone: nothing is transposed but weights, in registers.

    d0      where in `private` there is room for a row
    """
    levels = net.levels
    for l in range(levels.shape[0] - 1, 1, -1):
        delta = levels[l, DELTAS] + r * levels[l, D_ROW]
        backward_row(
            levels[l - 1, UNITS], levels[l, UNITS], net.params, levels[l, PARAMS], work.rows, delta,
            levels[l, D_PANEL], work.private, d0,
        )  # fmt: skip
        finish_delta(net, work, l - 1, r, view(work.private, d0, levels[l - 1, WIDTH]), row_key)


@piece
def backward_rows(rank, net, work, triples, base, m, row_key):
    """deltas of all levels from those of the last one.

    triples     as in forward_rows
    """
    mine = rank * work.private_size
    if m <= SINGLY and triples is None:
        for r in range(base, base + m):
            backward_single(net, work, r, mine, row_key)
        return
    levels = net.levels
    lanes = unit_of(work.rows)
    here, below, block = mine, mine + work.flipped, mine + 2 * work.flipped
    n = (m + lanes - 1) // lanes * lanes
    last = levels.shape[0] - 1
    if last > 1:
        flip_output_deltas(net, work, base, m, here, block)
    for l in range(last, 1, -1):
        if triples is not None and is_wide(net, l):
            backward_triples(rank, net, work, triples, l, m, here, below)
        else:
            backward_layer(
                n, levels[l - 1, UNITS], levels[l, UNITS], net.params, levels[l, PARAMS], work.private, here, STRIP,
                work.private, below, work.every,
            )  # fmt: skip
        finish_deltas(net, work, l - 1, base, m, below, block, row_key)
        here, below = below, here
