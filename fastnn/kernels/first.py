"""FLOOR 2: the first layer of phase A: samples are gathered, and their sums formed, without the inputs that are zero.

By rows: a rank gathers its own samples, for all units. By units: every rank gathers all samples of the row block, each
into a copy of its own, and forms the sums of its own units. By inputs: every rank gathers its own inputs of all
samples, and forms the sums over these (see quarters.py). By units and by inputs no weight is ever read by two ranks.

first       place of the first sample in the order
base, m     their first row in the row block, and their number, at most STRIP
done        samples that this rank has gathered before of this row block
turn        see quarters.py
"""

from __future__ import annotations

from fastnn._jit import op, piece
from fastnn.kernels.alike import choose_group, grouped, take_sets
from fastnn.kernels.bundles import ACTS, ALIKE, GROUP, HELD, IDLE_PART, LD, LISTS, PARAMS, STRIP, UNITS, WIDTH
from fastnn.kernels.gang import share
from fastnn.kernels.gather import gather_rows
from fastnn.kernels.matmul import forward_groups, forward_listed, forward_panel, listed_rows, panel_of
from fastnn.kernels.narrow import forward_bytes, gather_bytes
from fastnn.kernels.quarters import add_own_quarters, add_quarters, has_two, sums_at
from fastnn.kernels.rows import finish_inputs
from fastnn.kernels.sparse import list_inputs, padded_words
from fastnn.kernels.triples import forward_triples, is_wide
from fastnn.simd.memory import unit_of, view
from fastnn.simd.target import WORD_BITS


@op
def own_columns(rank, n_ranks, net, work):
    """[start, stop): the columns of the first layer that this rank computes and updates."""
    width = net.levels[1, WIDTH]
    if work.copy_rows == 0:
        return 0, width
    return share(width, rank, n_ranks, panel_of(work.rows))


@op
def goes_by_rows(work):
    """Whether ranks take their own samples through the first layer, rather than all samples."""
    return work.copy_rows == 0 and not work.by_inputs


@op
def own_inputs(work):
    """[start, stop): the inputs that this rank gathers and, unless it goes by rows, those whose weights it updates."""
    return work.parts[work.own_parts[0]], work.parts[work.own_parts[1]]


@piece
def list_terms(rank, net, work, m, done, n_columns, start, stop):
    """A list of terms, of the inputs start .. stop, for every tile of m rows and n_columns columns; returns its height.

    First those of groups, if there are any. Or 0 without lists, if that of the first tile, or of the group with the
    fewest, has nearly all terms.
    """
    n, n_words, in_groups = net.levels[0, UNITS], padded_words(net.levels[0, UNITS]), grouped(work, m)
    height = GROUP if in_groups > 0 else listed_rows(n_columns, unit_of(work.rows))
    if m <= WORD_BITS and in_groups == 0:  # tiles of equal height
        tiles = (m + height - 1) // height
        height = (m + tiles - 1) // tiles
    further = n_words if m > WORD_BITS else 0
    words = view(work.nonzero, rank * work.nonzero_part + done // WORD_BITS * n_words, n_words + further)
    alike, groups = view(work.alike, rank * ALIKE, ALIKE), view(work.groups, rank * STRIP, STRIP)
    if in_groups > 0:
        take_sets(words, n_words, m, alike)
    left = -1 if in_groups == STRIP else (1 << in_groups) - 1
    at = rank * LISTS * work.list_size
    for i in range(0, m, height):
        samples = ((1 << min(height, m - i)) - 1) << i
        if i < in_groups:
            samples = choose_group(alike, left, groups, i)
            left ^= samples
        list_inputs(words, further, start, stop, n, samples, view(work.lists, at, work.list_size))
        if i == 0 and work.lists[at] > (stop - start) - (stop - start) // IDLE_PART:
            return 0
        at += work.list_size
    return height


@piece
def forward_first(rank, n_ranks, net, work, triples, base, m, done, turn):
    """held of level 1, in this rank's columns (by inputs its sums over quarters), from acts of level 0."""
    levels, rows, Z = net.levels, work.rows, work.rows
    panel = panel_of(rows)
    at = rank * work.copy_rows + base
    c0, c1 = own_columns(rank, n_ranks, net, work)
    in_groups = grouped(work, m)
    lists = rank * LISTS * work.list_size
    rest = lists + in_groups // GROUP * work.list_size
    I, a_row, z_row = levels[0, UNITS], levels[0, LD], levels[1, LD]
    a0, z0 = levels[0, ACTS] + at * a_row, levels[1, HELD] + base * z_row
    if triples is not None and is_wide(net, 1) and work.nonzero.shape[0] == 0:
        forward_triples(rank, net, work, triples, 1, m, a0, z0, c0, c1)
        return
    has_quarters = work.quarters.shape[0] > 0
    for part in range(work.own_parts[0], work.own_parts[1]):
        if has_quarters:
            Z, z0 = work.quarters, sums_at(net, work, base, turn, part)
        start, stop = work.parts[part], work.parts[part + 1]
        height = list_terms(rank, net, work, m, done, c1 - c0, start, stop) if work.nonzero.shape[0] > 0 else 0
        for j in range(c0, c1, panel):
            w0, width = levels[1, PARAMS] + j * (I + 1), min(panel, c1 - j)
            if height > 0:
                forward_groups(
                    in_groups, width, rows, a0, a_row, net.params, w0, Z, z0 + j, z_row,
                    work.lists, lists, work.list_size, work.groups, rank * STRIP,
                )  # fmt: skip
                forward_listed(
                    m - in_groups, width, height, rows, a0 + in_groups * a_row, a_row, net.params, w0,
                    Z, z0 + j + in_groups * z_row, z_row, work.lists, rest, work.list_size,
                )  # fmt: skip
            else:
                terms = stop + (1 if stop == I else 0)  # the biases are the last one
                forward_panel(
                    m, width, rows, a0, a_row, net.params, w0, Z, z0 + j, z_row, work.every, start, terms
                )  # fmt: skip
    if has_two(work):
        add_own_quarters(net, work, base, m, turn)
    elif has_quarters and not work.by_inputs:
        add_quarters(net, work, base, m, c0, c1, turn)


@piece
def first_layer(rank, n_ranks, net, samples, work, raw, triples, first, base, m, done, row_key, turn):
    """All of it for m samples of the row block: gathered, their acts of level 0, held of level 1 (by inputs its sums).

    raw, triples    work.bytes and work.triples: of an argument that is None, what it leads to is not compiled
    """
    if raw is None:
        start, stop = own_inputs(work)
        gather_rows(rank, net, samples, work, first, base, m, done, start, stop)
        finish_inputs(net, work, rank * work.copy_rows + base, m, base, row_key, start, stop)
        forward_first(rank, n_ranks, net, work, triples, base, m, done, turn)
    else:
        gather_bytes(rank, net, samples, work, first, base, m, done)
        forward_bytes(rank, net, samples, work, base, m)
