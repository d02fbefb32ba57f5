"""FLOOR 2: phase B of a step: gradients and updates, each tile of the weights by one rank (see also quarters.py).

The gradient of a tile is formed over all samples of the mini-batch in registers and goes from there into the update;
it is stored for penalties and at the edges, and all of it only when a mini-batch is larger than a row block.
"""

from __future__ import annotations

from fastnn._jit import op, piece
from fastnn.kernels.bundles import ACTS, D_PANEL, D_ROW, DELTAS, LD, LISTS, PARAMS, UNITS, WIDTH, Ahead
from fastnn.kernels.descent import descend_by_gradient, has_penalties
from fastnn.kernels.few import are_few, update_by_rows, update_first_by_rows
from fastnn.kernels.first import goes_by_rows, own_columns, own_inputs
from fastnn.kernels.gang import share
from fastnn.kernels.gather import ask_for_bytes, plan_ahead
from fastnn.kernels.matmul import can_descend, descend_tile, listed_rows, panel_of, tile_rows
from fastnn.kernels.narrow import descend_bytes
from fastnn.kernels.sparse import list_samples, padded_words
from fastnn.kernels.wide import goes_wide, update_wide
from fastnn.simd.memory import prefetch, unit_of, view

# Lists of samples are made for at least so many products of samples and units of outputs, or to pass over tiles: with
# them 784-30-10 took 1.05 times as long an epoch at 10 (20 such products), 784-32-16-10 0.94 at 16 (32)
LISTING_PAYS = 24


@op
def ask_for_tile(net, at, n, stop):
    """Have n parameters from `at` on and their velocities brought to this core, to be written; none beyond `stop`."""
    for line in range(at, min(at + n, stop), unit_of(net.params)):
        prefetch(net.params, line)
        if net.slots.shape[0] > 0:
            prefetch(net.slots, line)


@piece
def update_panel(net, rule, samples, work, block, ahead, l, copy, j, start, stop, step, lists, shared):
    """Rows start .. stop of the panel of layer l that begins at column j: gradient over the row block, and update.

    copy            first row of this rank's acts of level l - 1
    step            rows of a tile
    lists           where in work.lists every tile has its list of samples; -1: all of them count
    shared          whether other ranks read these weights: then each tile is asked for while the one before is formed
    """
    levels, rows = net.levels, work.rows
    I, a_row, d_row = levels[l - 1, UNITS], levels[l - 1, LD], levels[l, D_ROW]
    width = min(panel_of(rows), levels[l, WIDTH] - j)
    p0, d0 = levels[l, PARAMS] + j * (I + 1), levels[l, DELTAS] + j // panel_of(rows) * levels[l, D_PANEL]
    end = p0 + stop * width
    terms, t0, k = work.every, 0, block.m
    descends = block.first and block.last and not has_penalties(rule) and can_descend(step, width, unit_of(rows))
    if shared:
        ask_for_tile(net, p0 + start * width, step * width, end)
    for i in range(start, stop, step):
        height = min(step, stop - i)
        at, n = p0 + i * width, height * width
        a0 = levels[l - 1, ACTS] + copy * a_row + i
        if shared:
            ask_for_tile(net, at + n, n, end)
        if ahead.m > 0:
            first = (i - ahead.origin) * ahead.step
            ask_for_bytes(samples, work, ahead.place, ahead.m, first, first + height * ahead.step)
        if lists >= 0:
            terms, t0, k = work.lists, lists + 1, work.lists[lists]
            lists += work.list_size
            if k == 0 and descends and net.slots.shape[0] == 0:
                continue  # no gradient and no velocity: the weights stay
        if descends and height == step:
            descend_tile(
                height, width, rows, a0, a_row, rows, d0, d_row, terms, t0, k, rule.update, net.params, net.slots, at,
                block.rate, rule.momentum,
            )  # fmt: skip
        else:
            descend_by_gradient(
                net, rule, work, block, l, i, height, width, rows, a0, 1, a_row, d0, d_row, terms, t0, k, at
            )


@piece
def update_columns(net, rule, samples, work, block, ahead, l, copy, c0, c1, start, stop, step, lists, shared):
    """As update_panel, for the panels of columns c0 .. c1."""
    for j in range(c0, c1, panel_of(work.rows)):
        update_panel(net, rule, samples, work, block, ahead, l, copy, j, start, stop, step, lists, shared)
        ahead = Ahead(0, 0, 0, 0)


@piece
def update_first(rank, n_ranks, net, rule, samples, work, block, following):
    """This rank's share of the first layer: its own columns, or a range of inputs."""
    lanes = unit_of(work.rows)
    n = net.levels[0, UNITS]
    c0, c1 = own_columns(rank, n_ranks, net, work)
    by_rows = goes_by_rows(work)
    copy = rank * work.copy_rows
    shared = n_ranks > 1 and by_rows
    listed = work.nonzero.shape[0] > 0 and (block.m * (c1 - c0) >= LISTING_PAYS * lanes or net.slots.shape[0] == 0)
    step = tile_rows(min(c1 - c0, panel_of(work.rows)), lanes)
    if listed:
        step = min(step, listed_rows(c1 - c0, lanes))
    start, stop = share(n, rank, n_ranks, step) if by_rows else own_inputs(work)
    ahead = plan_ahead(rank, n_ranks, net, samples, work, block.m, following, start, by_rows)
    words = view(work.nonzero, 0 if by_rows else rank * work.nonzero_part, work.nonzero_part * n_ranks)
    lists = rank * LISTS * work.list_size if listed else -1
    chunk = LISTS * step if listed else max(stop - start, 1)
    for i0 in range(start, stop, chunk):
        i1 = min(i0 + chunk, stop)
        if listed:
            for i in range(i0, i1, step):
                out = view(work.lists, lists + (i - i0) // step * work.list_size, work.list_size)
                height, readers = min(step, i1 - i), n_ranks if by_rows else 1
                list_samples(words, work.nonzero_part, padded_words(n), i, height, block.m, readers, out)
        update_columns(net, rule, samples, work, block, ahead, 1, copy, c0, c1, i0, i1, step, lists, shared)
    if work.copy_rows > 0 or rank == n_ranks - 1:
        none = Ahead(0, 0, 0, 0)
        update_columns(net, rule, samples, work, block, none, 1, copy, c0, c1, n, n + 1, 1, -1, shared)


@piece
def update_tiles(rank, n_ranks, net, rule, samples, work, raw, triples, block, following, control):
    """This rank's share of every layer: a range of inputs in every panel, so that it reads only its own columns of A.

    raw, triples    as in first_layer
    following   the place in the order after the row block

    Ranks       write disjoint parts of params, slots and gradients; by inputs all of theirs but for the first layer
    Assumes     a barrier before (deltas of all ranks are there) and after; none by inputs
    """
    levels = net.levels
    panel, lanes = panel_of(work.rows), unit_of(work.rows)
    none = Ahead(0, 0, 0, 0)
    few = are_few(net, rule, block)
    done = 1  # levels
    if raw is not None:
        descend_bytes(rank, n_ranks, net, rule, samples, work, block, control)
    elif few:
        update_first_by_rows(rank, n_ranks, net, rule, samples, work, block, following)
    elif work.nonzero.shape[0] > 0 or not goes_wide(net, block, 1):
        update_first(rank, n_ranks, net, rule, samples, work, block, following)
    else:
        done = 0
    for l in range(done + 1, levels.shape[0]):
        if goes_wide(net, block, l):
            update_wide(rank, n_ranks, net, rule, work, triples, block, l)
        else:
            width = levels[l, WIDTH]
            step = tile_rows(min(panel, width), lanes)
            start, stop = 0, levels[l - 1, UNITS] + 1
            shared = n_ranks > 1 and not work.by_inputs
            if shared:
                start, stop = share(stop, rank, n_ranks, step)
            if few:
                update_by_rows(net, rule, work, block, l, 0, 0, width, work.every, start, stop - start)
            else:
                update_columns(net, rule, samples, work, block, none, l, 0, 0, width, start, stop, step, -1, shared)
