"""FLOOR 2: the first layer of phase A: samples are gathered, and their sums formed, without the inputs that are zero.

By rows: a rank gathers its own samples, for all units. By units: every rank gathers all samples of the row block, each
into a copy of its own, and forms the sums of its own units, so that no weight is ever read by two ranks.

first       place of the first sample in the order
base, m     their first row in the row block, and their number, at most STRIP
done        samples that this rank has gathered before of this row block
"""

from __future__ import annotations

from numba import types

from fastnn._jit import op, piece
from fastnn.kernels.bundles import ACTS, HELD, LD, LISTS, PARAMS, UNITS, WIDTH
from fastnn.kernels.gang import share
from fastnn.kernels.matmul import forward_listed, forward_panel, listed_rows, panel_of
from fastnn.kernels.rows import activate_rows
from fastnn.kernels.sparse import list_inputs, note_nonzero, padded_words
from fastnn.simd.bits import WORD_BITS
from fastnn.simd.memory import address_of, prefetch_at, unit_of, view, view_at
from fastnn.simd.scalar import constant, magnitude_bits

_infinity = constant(float("inf"))
_uint8_at, _float32_at, _float64_at = (view_at(t) for t in (types.uint8, types.float32, types.float64))

# Samples are asked for so long before they are gathered: they come in random order from memory that no cache holds
AHEAD = 16

# Lists pay if they leave out one input in so many. In MNIST 61% of the inputs are zero in a whole tile of four samples.
# An epoch of 784-256-10 took 0.5 of the time where 66% of them are, 0.9 at 32%, 0.95 at 24%, and 1.1 at 13%
IDLE_PART = 4


@op
def own_columns(rank, n_ranks, net, work):
    """[start, stop): the columns of the first layer that this rank computes and updates."""
    width = net.levels[1, WIDTH]
    if work.copy_rows == 0:
        return 0, width
    return share(width, rank, n_ranks, panel_of(work.rows))


@op
def convert(source, offset, scale, out):
    """out = (source - offset) * scale in the precision of out; all (n,)."""
    for i in range(out.shape[0]):
        out[i] = (out.dtype.type(source[i]) - offset[i]) * scale[i]


@piece
def gather(samples, sample, out):
    """out = (value - offset) * scale for one sample: the only code that knows the inputs' type and layout."""
    n = out.shape[0]
    real = out.dtype.type
    row_bytes, step = samples.X.strides
    at = address_of(samples.X) + sample * row_bytes
    scale, offset = samples.scale, samples.offset
    if samples.kind == 0 and step == 1:
        convert(_uint8_at(at, n), offset, scale, out)
    elif samples.kind == 1 and step == 4:
        convert(_float32_at(at, n), offset, scale, out)
    elif samples.kind == 2 and step == 8:
        convert(_float64_at(at, n), offset, scale, out)
    else:
        for i in range(n):
            where = at + i * step
            if samples.kind == 0:
                value = real(_uint8_at(where, 1)[0])
            elif samples.kind == 1:
                value = real(_float32_at(where, 1)[0])
            else:
                value = real(_float64_at(where, 1)[0])
            out[i] = (value - offset[i]) * scale[i]


@op
def asked_bytes(net, samples, work):
    """Bytes of a sample, if asking for them in advance is of use: not if they come in order or lie apart."""
    row_bytes, step = samples.X.strides
    size = net.levels[0, UNITS] * step
    return 0 if work.order.shape[0] == 0 or size > row_bytes else size


@op
def ask_for_bytes(samples, work, place, m, start, stop):
    """Have the bytes start .. stop of the m samples that follow `place` of the order brought to the cache."""
    for line in range((start + 63) // 64 * 64, stop, 64):
        for p in range(place, place + m):
            prefetch_at(address_of(samples.X) + work.order[p] * samples.X.strides[0] + line)


@piece
def gather_rows(rank, net, samples, work, first, base, m, done):
    """acts of level 0 for the m samples that follow place `first` of the order, and which of them are not zero."""
    at = rank * work.copy_rows + base
    ld, features = net.levels[0, LD], net.levels[0, UNITS]
    n_words = padded_words(features)
    size = asked_bytes(net, samples, work)
    for r in range(m):
        if r + AHEAD < m:
            ask_for_bytes(samples, work, first + r + AHEAD, 1, 0, size)
        sample = work.order[first + r] if work.order.shape[0] > 0 else first + r
        x = view(work.rows, net.levels[0, ACTS] + (at + r) * ld, features)
        gather(samples, sample, x)
        if work.nonzero.shape[0] > 0:
            words = rank * work.nonzero_part + (done + r) // WORD_BITS * n_words
            note_nonzero(x, (done + r) % WORD_BITS, view(work.nonzero, words, features))


@piece
def all_finite(net, work, base, m):
    """Whether the acts of level 0 of m samples are finite; in whole vectors, while they are in the cache."""
    ld, features = net.levels[0, LD], net.levels[0, UNITS]
    for r in range(m):
        x = view(work.rows, net.levels[0, ACTS] + (base + r) * ld, features)
        top = magnitude_bits(x[0])
        for i in range(features):
            bits = magnitude_bits(x[i])
            top = bits if bits > top else top
        if top >= magnitude_bits(_infinity(x[0])):
            return False
    return True


@piece
def list_terms(rank, net, work, m, done, n_columns):
    """A list of terms for every tile of the m rows and n_columns columns; returns the height of the tiles.

    Or 0 without lists, if that of the first tile has nearly all terms.
    """
    n = net.levels[0, UNITS]
    height = listed_rows(n_columns, unit_of(work.rows))
    if m <= WORD_BITS:  # tiles of equal height
        tiles = (m + height - 1) // height
        height = (m + tiles - 1) // tiles
    at = rank * LISTS * work.list_size
    for i in range(0, m, height):
        r = done + i
        words = view(work.nonzero, rank * work.nonzero_part + r // WORD_BITS * padded_words(n), padded_words(n))
        samples = ((1 << min(height, m - i)) - 1) << (r % WORD_BITS)
        list_inputs(words, n, samples, view(work.lists, at, work.list_size))
        if i == 0 and work.lists[at] > n - n // IDLE_PART:
            return 0
        at += work.list_size
    return height


@piece
def forward_first(rank, n_ranks, net, work, base, m, done):
    """held of level 1, in this rank's columns, from acts of level 0."""
    levels, rows = net.levels, work.rows
    panel = panel_of(rows)
    at = rank * work.copy_rows + base
    c0, c1 = own_columns(rank, n_ranks, net, work)
    height = list_terms(rank, net, work, m, done, c1 - c0) if work.nonzero.shape[0] > 0 else 0
    lists = rank * LISTS * work.list_size
    I, a_row, z_row = levels[0, UNITS], levels[0, LD], levels[1, LD]
    a0, z0 = levels[0, ACTS] + at * a_row, levels[1, HELD] + base * z_row
    for j in range(c0, c1, panel):
        w0, width = levels[1, PARAMS] + j * (I + 1), min(panel, c1 - j)
        if height > 0:
            forward_listed(
                m, width, height, rows, a0, a_row, net.params, w0, rows, z0 + j, z_row,
                work.lists, lists, work.list_size,
            )  # fmt: skip
        else:
            forward_panel(m, width, rows, a0, a_row, net.params, w0, rows, z0 + j, z_row, work.every, I + 1)


@piece
def first_layer(rank, n_ranks, net, samples, work, first, base, m, done, row_key):
    """All of it for m samples of the row block: gathered, their acts of level 0, held of level 1."""
    gather_rows(rank, net, samples, work, first, base, m, done)
    activate_rows(net, work, 0, rank * work.copy_rows + base, m, base, row_key)
    forward_first(rank, n_ranks, net, work, base, m, done)
