"""FLOOR 4: compiled entries that measure the machine, and the pieces of a step one by one.

A gang calls them, so all take rank, n_ranks and control first; `times` says how often to repeat what is measured.
"""

from __future__ import annotations

import numpy as np

from fastnn._jit import piece
from fastnn.engine.launch import Program
from fastnn.kernels.bundles import STRIP, UNITS, Block
from fastnn.kernels.epoch import learn_rows
from fastnn.kernels.first import first_layer, forward_first
from fastnn.kernels.gang import barrier, share
from fastnn.kernels.gather import gather_rows
from fastnn.kernels.rows import backward_rows, forward_rows, head_row
from fastnn.kernels.tiles import update_tiles
from fastnn.ops.random import key
from fastnn.simd.atomics import set_flush_to_zero
from fastnn.simd.memory import unit_of, view
from fastnn.simd.microkernel import tile

# update is phase B on no samples: what is left of it are the weights and velocities that are read and written
PARTS = ("gather", "forward", "head", "backward", "phase_a", "update", "phase_b")
_GATHER, _FORWARD, _HEAD, _BACKWARD, _PHASE_A, _UPDATE, _PHASE_B = range(7)


@piece
def multiply_add(rank, n_ranks, control, numbers, each, rows, units, terms, times):
    """The register tile alone, its operands in L1: 2 * rows * (units of 64 bytes) * k operations a time and rank.

    numbers     flat; `each` of them belong to a rank: A, then B, then C    read, C written
    """
    barrier(n_ranks, control)
    k = terms.shape[0]
    n = units * unit_of(numbers)
    a0 = rank * each
    b0 = a0 + rows * k
    c0 = b0 + k * n
    for _ in range(times):
        tile(rows, units, numbers, a0, k, 1, numbers, b0, n, numbers, c0, n, terms, 0, k, False, numbers, -1)


@piece
def triad(rank, n_ranks, control, a, b, c, factor, times):
    """a = b + factor * c on flat arrays that no cache holds (McCalpin's STREAM): 3 numbers moved an element."""
    start, stop = share(a.shape[0], rank, n_ranks, unit_of(a))
    x, y, z = view(a, start, stop - start), view(b, start, stop - start), view(c, start, stop - start)
    barrier(n_ranks, control)
    for _ in range(times):
        for i in range(stop - start):
            x[i] = y[i] + factor * z[i]


@piece
def meet(rank, n_ranks, control, times):
    """Barriers and nothing else; with times = 0 not even those, so that only the launch is left."""
    for _ in range(times):
        barrier(n_ranks, control)


@piece
def strip_part(part, net, rule, samples, work, first, base, m, control):
    """One part of phase A for a strip of m samples."""
    factor = net.keep.dtype.type(0.01)
    if part == _GATHER:
        gather_rows(0, net, samples, work, first, base, m, base, 0, net.levels[0, UNITS])
    elif part == _FORWARD:
        forward_first(0, 1, net, work, work.triples, base, m, base, 0)
        forward_rows(0, net, work, work.triples, base, m, key(0, 0))
    elif part == _HEAD:
        for r in range(m):
            sample = np.int64(work.order[first + r])
            work.losses[base + r] = head_row(net, rule, samples, work, base + r, sample, 2 * work.flipped, factor)
    elif part == _BACKWARD:
        backward_rows(0, net, work, work.triples, base, m, key(0, 0))
    else:
        first_layer(0, 1, net, samples, work, work.bytes, work.triples, first, base, m, base, key(0, 0), 0)
        learn_rows(0, net, rule, samples, work, work.bytes, first, base, m, first + m, key(0, 0), factor, control)


@piece
def step_part(rank, n_ranks, control, part, net, rule, samples, work, batch_size):
    """One part (index in PARTS) of every whole step of an epoch, on one rank; the rate is 0, so that nothing moves."""
    former = set_flush_to_zero(-1)
    spare = 2 * work.flipped
    rate = net.keep.dtype.type(0)
    for start in range(0, samples.X.shape[0] - batch_size + 1, batch_size):
        if part > _PHASE_A:
            block = Block(batch_size if part == _PHASE_B else 0, True, True, rate, spare)
            update_tiles(0, 1, net, rule, samples, work, work.bytes, work.triples, block, start + batch_size, control)
        else:
            for base in range(0, batch_size, STRIP):
                m = min(STRIP, batch_size - base)
                strip_part(part, net, rule, samples, work, start + base, base, m, control)
    set_flush_to_zero(former)


MULTIPLY_ADD, TRIAD, MEET = Program("multiply_add", multiply_add), Program("triad", triad), Program("meet", meet)
STEP_PART = Program("step_part", step_part)
