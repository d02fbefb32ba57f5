"""FLOOR 2: samples are gathered: asked for, converted to rows of level 0, noted where they are not zero.

first       place of the first sample in the order
base, m     their first row in the row block, and their number
done        samples that this rank has gathered before of this row block
"""

from __future__ import annotations

from numba import types

from fastnn._jit import op, piece
from fastnn.kernels.bundles import ACTS, LD, UNITS, Ahead
from fastnn.kernels.gang import share
from fastnn.kernels.sparse import note_rows, padded_words
from fastnn.simd.bits import NOTED
from fastnn.simd.memory import address_of, prefetch_at, view, view_at
from fastnn.simd.scalar import constant, magnitude_bits

_infinity = constant(float("inf"))
_uint8_at, _float32_at, _float64_at = (view_at(t) for t in (types.uint8, types.float32, types.float64))

# Samples are asked for so long before they are gathered: they come in random order from memory that no cache holds
AHEAD = 16


@op
def convert(source, offset, scale, out):
    """out = (source - offset) * scale in the precision of out; all (n,)."""
    for i in range(out.shape[0]):
        out[i] = (out.dtype.type(source[i]) - offset[i]) * scale[i]


@piece
def gather(samples, sample, start, out):
    """out = (value - offset) * scale for inputs of a sample, from `start` on: all that knows their type and layout."""
    n = out.shape[0]
    real = out.dtype.type
    row_bytes, step = samples.X.strides
    at = address_of(samples.X) + sample * row_bytes + start * step
    scale, offset = view(samples.scale, start, n), view(samples.offset, start, n)
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


@op
def plan_ahead(rank, n_ranks, net, samples, work, m, following, start, by_rows):
    """Which samples this rank will gather first after this row block of m, and asks for meanwhile.

    By units and by inputs: of each sample the bytes of the inputs whose weights it updates. By rows: all of them.
    """
    step = samples.X.strides[1]
    r0, r1, origin = 0, m, 0
    if by_rows:
        r0, r1 = share(m, rank, n_ranks, 1)
        origin, step = start, step * n_ranks
    place = following + r0
    n = min(r1 - r0, AHEAD, samples.X.shape[0] - place) if asked_bytes(net, samples, work) > 0 else 0
    return Ahead(place, max(n, 0), origin, step)


@piece
def gather_rows(rank, net, samples, work, first, base, m, done, start, stop):
    """acts of level 0, inputs start .. stop, for the m samples that follow place `first` of the order; notes zeros."""
    at = rank * work.copy_rows + base
    ld, n_words = net.levels[0, LD], padded_words(net.levels[0, UNITS])
    x0, words = net.levels[0, ACTS] + at * ld + start, rank * work.nonzero_part + start
    step = samples.X.strides[1] if asked_bytes(net, samples, work) > 0 else 0
    for r in range(m):
        if r + AHEAD < m:
            ask_for_bytes(samples, work, first + r + AHEAD, 1, start * step, stop * step)
        sample = work.order[first + r] if work.order.shape[0] > 0 else first + r
        x = x0 + r * ld
        gather(samples, sample, start, view(work.rows, x, stop - start))
        if work.nonzero.shape[0] > 0 and (r % NOTED == NOTED - 1 or r == m - 1):
            # while they are in L1
            r0 = r // NOTED * NOTED
            note_rows(work.rows, x0 + r0 * ld, ld, stop - start, r + 1 - r0, done + r0, work.nonzero, words, n_words)


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
