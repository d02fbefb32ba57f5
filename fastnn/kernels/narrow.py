"""FLOOR 2: the first layer of a narrow network on bytes, which stay bytes until they are multiplied.

For a layer of one unit (`lanes` columns: 8 float64 or 16 float32) a sample costs more to convert, store and load again
than to multiply. So `work.bytes` holds row blocks as they came, LD of level 0 bytes a sample, and tiles convert. Their
rows are the layer's units, so that no column is padding: forward, columns are samples, whose bytes are turned for it;
in the gradient they are inputs. It is kept like that until the mini-batch is complete, as `turned`, behind the other
gradients: LD numbers a unit. The sums are those of first.py and tiles.py, bit by bit. At ACTS of level 0 is a one, for
the biases.

A rank keeps its samples in phase B: a tile of the gradient passes from rank to rank, each of which goes on with its
sums, so that no sample ever changes cores. A rank follows the one before at a distance of a few tiles. With ranges of
inputs instead, as in tiles.py, every rank read all samples: 784-5-10 in float64 took 1.1 times as long on two.
"""

from __future__ import annotations

import numpy as np
from numba import types

from fastnn._jit import op, piece
from fastnn.kernels.bundles import ACTS, D_ROW, DELTAS, HELD, LD, LISTS, PARAMS, UNITS
from fastnn.kernels.descent import apply_gradient
from fastnn.kernels.gang import share, wait_until
from fastnn.kernels.gather import ask_for_bytes
from fastnn.kernels.matmul import gradient_tile
from fastnn.kernels.sparse import list_samples, note_rows, padded_words
from fastnn.simd import target
from fastnn.simd.atomics import atomic_store
from fastnn.simd.bits import append_members
from fastnn.simd.memory import address_of, prefetch, transpose_block, turn_bytes, unit_of, view, view_at
from fastnn.simd.microkernel import tile_of_bytes

_MOST = target.BYTE_ROWS[-1]
# The height of the lowest tile with room for so many units
_ROWS = np.array([min(rows for rows in target.BYTE_ROWS if rows >= units) for units in range(_MOST + 1)])
_uint8_at, _int64_at = view_at(types.uint8), view_at(types.int64)


# A rank follows the one before at this distance, in tiles, so that it can ask for the sums of those to come
_DISTANCE = 4


@op
def finished_at(rank, work):
    """Where in `lists` this rank says how many tiles of the gradient it has done."""
    return (rank * LISTS + LISTS - 1) * work.list_size


@op
def begin_block(rank, work, raw):
    """Before phase A of a row block: no tile of it is done."""
    if raw is not None:
        atomic_store(work.lists, finished_at(rank, work), 0)


@op
def ask_for_following(net, samples, work, raw, place):
    """Have the sample at a place of the order brought to the cache, if there is one and bytes stay bytes."""
    if raw is not None and place < samples.X.shape[0]:
        ask_for_bytes(samples, work, place, 1, 0, net.levels[0, UNITS])


@piece
def copy_bytes(samples, sample, out):
    """out = the numbers of one sample; they lie together."""
    row = _uint8_at(address_of(samples.X) + sample * samples.X.strides[0], out.shape[0])
    for i in range(out.shape[0]):
        out[i] = row[i]


@piece
def gather_bytes(rank, net, samples, work, first, base, m, done):
    """The bytes of m samples, and which eights of them are not zero."""
    n, ld = net.levels[0, UNITS], net.levels[0, LD]
    at = base * ld
    for r in range(m):
        copy_bytes(samples, work.order[first + r], view(work.bytes, at + r * ld, n))
    eights = _int64_at(address_of(work.bytes), work.bytes.shape[0] // 8)
    words = rank * work.nonzero_part
    note_rows(eights, at // 8, ld // 8, ld // 8, m, done, work.nonzero, words, padded_words(ld // 8))


@piece
def turn_samples(rank, net, work, at, to):
    """The bytes of the samples of a tile, turned; returns where in `lists` the inputs are that are not zero in all.

    at, to      where in `bytes` the samples begin, and where they go, an input after the other
    """
    ld, lanes = net.levels[0, LD], unit_of(work.rows)
    first = rank * LISTS * work.list_size
    out = view(work.lists, first, work.list_size)
    k = 1
    for c in range(0, ld, 64):
        bits = turn_bytes(work.bytes, at + c, ld, work.rows, work.bytes, to + c * lanes)
        if bits != 0:
            for b in range(0, 64, 8):
                k = append_members((bits >> b) & 255, c + b, out, k)
    out[0] = k - 1
    return first


@piece
def forward_bytes(rank, net, samples, work, base, m):
    """held of level 1 of m samples."""
    levels, rows, private = net.levels, work.rows, work.private
    lanes = unit_of(rows)
    I, units, ld, z_row, w0 = levels[0, UNITS], levels[1, UNITS], levels[0, LD], levels[1, LD], levels[1, PARAMS]
    biases = view(net.params, w0 + I * lanes, lanes)
    sums = rank * work.private_size
    to = work.bytes.shape[0] - (rank + 1) * ld * lanes
    for i in range(0, m, lanes):
        # whole tiles: what lies behind the last sample is summed too, and left
        terms = turn_samples(rank, net, work, (base + i) * ld, to)
        for u in range(0, units, _MOST):
            tile_of_bytes(
                _ROWS[min(units - u, _MOST)], net.params, w0 + u, lanes, work.bytes, to, lanes,
                private, sums + u * lanes, lanes, work.lists, terms + 1, work.lists[terms], False, samples.scale[0],
            )  # fmt: skip
        transpose_block(private, sums, lanes, private, sums, lanes)
        for h in range(min(lanes, m - i)):
            z = view(rows, levels[1, HELD] + (base + i + h) * z_row, lanes)
            s = view(private, sums + h * lanes, lanes)
            for c in range(lanes):
                z[c] = s[c] + biases[c]


@op
def ask_for_sums(turned, units, ld, i):
    """Have the sums of the tile that begins at input i brought to this core, to be written."""
    if i < ld:
        for u in range(units):
            prefetch(turned, u * ld + i)


@piece
def descend_bytes(rank, n_ranks, net, rule, samples, work, block, control):
    """The first layer's gradient over this rank's samples, on top of that of the ranks before; the last one updates.

    Ranks       write a tile of `turned` one after the other
    """
    levels, rows, turned = net.levels, work.rows, view(work.gradients, net.params.shape[0], work.gradients.shape[0])
    lanes = unit_of(rows)
    I, units, ld, d_row = levels[0, UNITS], levels[1, UNITS], levels[0, LD], levels[1, D_ROW]
    r0, r1 = share(block.m, rank, n_ranks, 1)
    d0, b0, p0 = levels[1, DELTAS] + r0 * d_row, r0 * ld, levels[1, PARAMS]
    at, part, n_words = rank * LISTS * work.list_size, rank * work.nonzero_part, padded_words(ld // 8)
    words, out = view(work.nonzero, part, work.nonzero_part), view(work.lists, at, work.list_size)
    goes_on = rank > 0 or not block.first
    updates = block.last and rank == n_ranks - 1
    n_tiles = (I + lanes - 1) // lanes
    for t in range(n_tiles):
        i = t * lanes
        if rank > 0:
            wait_until(work.lists, finished_at(rank - 1, work), min(t + _DISTANCE, n_tiles), control)
        if n_ranks > 1:
            ask_for_sums(turned, units, ld, i + (_DISTANCE - 1) * lanes)
        list_samples(words, work.nonzero_part, n_words, i // 8, lanes // 8, r1 - r0, 1, out)
        for u in range(0, units, _MOST):
            tile_of_bytes(
                _ROWS[min(units - u, _MOST)], rows, d0 + u, d_row, work.bytes, b0 + i, ld,
                turned, u * ld + i, ld, work.lists, at + 1, work.lists[at], goes_on, samples.scale[0],
            )  # fmt: skip
        if updates:
            transpose_block(turned, i, ld, work.private, block.spare, lanes)
            n = min(lanes, I - i) * lanes
            apply_gradient(net, rule, work.private, block.spare, p0 + i * lanes, n, n, block.rate)
        atomic_store(work.lists, finished_at(rank, work), t + 1)
    if rank > 0:
        wait_until(work.lists, finished_at(rank - 1, work), n_tiles + 1, control)
    biases = lanes * ld
    gradient_tile(
        1, lanes, rows, levels[0, ACTS], 1, 0, rows, d0, d_row, turned, biases, work.every, 0, r1 - r0, goes_on
    )
    if updates:
        apply_gradient(net, rule, turned, biases, p0 + I * lanes, lanes, 0, block.rate)
    atomic_store(work.lists, finished_at(rank, work), n_tiles + 1)
