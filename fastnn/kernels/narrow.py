"""FLOOR 2: the first layer of a narrow network on bytes, which stay bytes until they are multiplied.

For a layer of one unit (`lanes` columns: 8 float64 or 16 float32) a sample costs more to convert, store and load again
than to multiply. So `work.bytes` holds row blocks as they came, LD of level 0 bytes a sample, and tiles convert. Their
rows are the layer's units, so that no column is padding: forward, columns are samples, whose bytes are turned for it;
in the gradient they are inputs. It is kept like that until the mini-batch is complete, as `turned`, behind the other
gradients: LD numbers a unit. The sums are those of first.py and tiles.py, bit by bit. At ACTS of level 0 is a one, for
the biases.

Each rank has a row block of its own and copies to it what it needs: its samples for phase A, its inputs of all others
for phase B. With one for all, each line of it changed cores twice: 784-5-10 took 1.12 times as long.
"""

from __future__ import annotations

import numpy as np
from numba import types

from fastnn._jit import op, piece
from fastnn.kernels.bundles import ACTS, DELTAS, HELD, LD, LISTS, PARAMS, UNITS
from fastnn.kernels.descent import apply_gradient
from fastnn.kernels.gang import share
from fastnn.kernels.gather import ask_for_bytes
from fastnn.kernels.matmul import gradient_tile
from fastnn.kernels.sparse import list_samples, note_rows, padded_words
from fastnn.simd import target
from fastnn.simd.bits import append_members
from fastnn.simd.memory import address_of, transpose_block, turn_bytes, unit_of, view, view_at
from fastnn.simd.microkernel import tile_of_bytes

_MOST = target.BYTE_ROWS[-1]
# The height of the lowest tile with room for so many units
_ROWS = np.array([min(rows for rows in target.BYTE_ROWS if rows >= units) for units in range(_MOST + 1)])
_uint8_at, _int64_at = view_at(types.uint8), view_at(types.int64)


@op
def own_bytes(rank, net, work):
    """Where in `bytes` the row block of this rank begins."""
    return rank * work.losses.shape[0] * net.levels[0, LD]


@op
def ask_for_following(net, samples, work, raw, place):
    """Have the sample at a place of the order brought to the cache, if there is one and bytes stay bytes."""
    if raw is not None and place < samples.X.shape[0]:
        ask_for_bytes(samples, work, place, 1, 0, net.levels[0, UNITS])


@piece
def copy_bytes(samples, sample, start, out):
    """out = the numbers of one sample from `start` on; they lie together."""
    row = _uint8_at(address_of(samples.X) + sample * samples.X.strides[0] + start, out.shape[0])
    for i in range(out.shape[0]):
        out[i] = row[i]


@piece
def gather_bytes(rank, net, samples, work, first, base, m, done):
    """The bytes of m samples, and which eights of them are not zero."""
    n, ld = net.levels[0, UNITS], net.levels[0, LD]
    at = own_bytes(rank, net, work) + base * ld
    for r in range(m):
        copy_bytes(samples, work.order[first + r], 0, view(work.bytes, at + r * ld, n))
    eights = _int64_at(address_of(work.bytes), work.bytes.shape[0] // 8)
    note_rows(eights, at // 8, ld // 8, ld // 8, m, done, work.nonzero, rank * work.nonzero_part)


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
        terms = turn_samples(rank, net, work, own_bytes(rank, net, work) + (base + i) * ld, to)
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


@piece
def descend_bytes(rank, n_ranks, net, rule, samples, work, block, first):
    """This rank's share of the first layer's gradient and update: a range of inputs.

    first       place of the row block's first sample in the order
    """
    levels, rows, turned = net.levels, work.rows, view(work.gradients, net.params.shape[0], work.gradients.shape[0])
    lanes = unit_of(rows)
    I, units, ld, d_row = levels[0, UNITS], levels[1, UNITS], levels[0, LD], levels[1, LD]
    d0, p0 = levels[1, DELTAS], levels[1, PARAMS]
    n_words = padded_words(ld // 8)
    at = rank * LISTS * work.list_size
    start, stop = share(I, rank, n_ranks, lanes)
    copy = own_bytes(rank, net, work)
    r0, r1 = share(block.m, rank, n_ranks, 1)
    for r in range(block.m):
        if r < r0 or r >= r1:
            out = view(work.bytes, copy + r * ld + start, stop - start)
            copy_bytes(samples, work.order[first + r], start, out)
    for i in range(start, stop, lanes):
        out = view(work.lists, at, work.list_size)
        list_samples(work.nonzero, work.nonzero_part, n_words, i // 8, lanes // 8, block.m, n_ranks, out)
        for u in range(0, units, _MOST):
            tile_of_bytes(
                _ROWS[min(units - u, _MOST)], rows, d0 + u, d_row, work.bytes, copy + i, ld,
                turned, u * ld + i, ld, work.lists, at + 1, work.lists[at], not block.first, samples.scale[0],
            )  # fmt: skip
        if block.last:
            transpose_block(turned, i, ld, work.private, block.spare, lanes)
            n = min(lanes, stop - i) * lanes
            apply_gradient(net, rule, work.private, block.spare, p0 + i * lanes, n, n, block.rate)
    if rank == n_ranks - 1:
        biases = lanes * ld
        gradient_tile(
            1, lanes, rows, levels[0, ACTS], 0, rows, d0, d_row, turned, biases, work.every, 0, block.m, not block.first
        )
        if block.last:
            apply_gradient(net, rule, turned, biases, p0 + I * lanes, lanes, 0, block.rate)
