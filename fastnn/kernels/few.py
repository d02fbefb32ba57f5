"""FLOOR 2: phase B of a step on a few samples, without velocities: weights are updated row by row, not by tiles.

A row of weights belongs to an input, and stays if that input is zero in all samples: with 784 inputs most are. An epoch
on one thread takes, of its time by tiles: 784-30-10 on MNIST at mini-batches of 1 0.44, of 2 0.64, of 8 0.84, of 16
1.0; 784-100-10 of 8 0.87, of 16 1.15. Velocities move in every step: with them of 1 1.03, of 4 1.07.
"""

from __future__ import annotations

from fastnn._jit import op, piece
from fastnn.kernels.bundles import ACTS, D_PANEL, D_ROW, DELTAS, LD, LISTS, PARAMS, UNITS, WIDTH
from fastnn.kernels.descent import has_penalties
from fastnn.kernels.first import goes_by_rows, own_columns, own_inputs
from fastnn.kernels.gang import share
from fastnn.kernels.gather import ask_for_bytes, plan_ahead
from fastnn.kernels.matmul import panel_of
from fastnn.kernels.sparse import list_inputs, padded_words, unite
from fastnn.ops.updates import update_rows
from fastnn.simd.memory import view

FEW = 8


@op
def are_few(net, rule, block):
    """Whether a step has so few samples, all in one row block, and neither velocities nor penalties."""
    whole = block.first and block.last
    return whole and block.m <= FEW and net.slots.shape[0] == 0 and not has_penalties(rule)


@piece
def update_by_rows(net, rule, work, block, l, copy, c0, c1, terms, t0, k):
    """The rows terms[t0 : t0 + k] of layer l in the columns c0 .. c1; `copy` as in update_panel of tiles.py."""
    levels = net.levels
    a_row, panel = levels[l - 1, LD], panel_of(net.params)
    for j in range(c0, c1, panel):
        width, d0 = min(panel, levels[l, WIDTH] - j), levels[l, DELTAS] + j // panel * levels[l, D_PANEL]
        update_rows(
            rule.update, width, net.params, levels[l, PARAMS] + j * (levels[l - 1, UNITS] + 1),
            work.rows, levels[l - 1, ACTS] + copy * a_row, a_row, work.rows, d0, levels[l, D_ROW], block.m,
            terms, t0, k, block.rate, rule.momentum,
        )  # fmt: skip


@piece
def update_first_by_rows(rank, n_ranks, net, rule, samples, work, block, following):
    """As update_first of tiles.py. Whatever the number of ranks, the same rows stay."""
    n, by_rows = net.levels[0, UNITS], goes_by_rows(work)
    c0, c1 = own_columns(rank, n_ranks, net, work)
    start, stop = share(n, rank, n_ranks, 16) if by_rows else own_inputs(work)
    ahead = plan_ahead(rank, n_ranks, net, samples, work, block.m, following, start, by_rows)
    first = (start - ahead.origin) * ahead.step
    ask_for_bytes(samples, work, ahead.place, ahead.m, first, first + (stop - start) * ahead.step)
    has_biases = work.copy_rows > 0 or rank == n_ranks - 1
    terms, t0, k = work.every, start, stop - start + has_biases
    if work.nonzero.shape[0] > 0:
        n_words, lists = padded_words(n), rank * LISTS * work.list_size
        words = view(work.nonzero, rank * work.nonzero_part, n_words)
        if by_rows and n_ranks > 1:
            words = view(work.nonzero, (rank + 1) * work.nonzero_part - n_words, n_words)
            unite(work.nonzero, work.nonzero_part, start, stop, block.m, n_ranks, words)
        out = view(work.lists, lists, work.list_size)
        list_inputs(words, 0, start, stop, n if has_biases else -1, (1 << block.m) - 1, out)
        terms, t0, k = work.lists, lists + 1, out[0]
    update_by_rows(net, rule, work, block, 1, rank * work.copy_rows, c0, c1, terms, t0, k)
