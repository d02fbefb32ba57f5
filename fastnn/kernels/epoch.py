"""FLOOR 2: the programs that a gang runs. Every rank calls the same one; one rank is the gang of size one.

A program has no exceptions and allocates nothing; it ends early on STOP, BAD or ABORT (see control.py).

start, stop   places of the mini-batch in the order of the samples
first         place of a strip's first sample
base, m       the strip's first row in the matrices of `rows`, and its samples
block_size    samples in a row block, at most
*_key         identify (seed, epoch), (.., step) and (.., row block), see ops.random
"""

from __future__ import annotations

import numpy as np
from numba import types

from fastnn._jit import piece
from fastnn.kernels.bundles import ACTS, LD, STRIP, UNITS, WIDTH, Block
from fastnn.kernels.control import ABORT, BAD, DEALT, GENERATION, LEAVE, PROGRESS, STOP
from fastnn.kernels.descent import limit_norms
from fastnn.kernels.first import first_layer, goes_by_rows
from fastnn.kernels.gang import barrier, share
from fastnn.kernels.gather import all_finite
from fastnn.kernels.narrow import ask_for_following, begin_block
from fastnn.kernels.quarters import add_quarters
from fastnn.kernels.rows import backward_rows, forward_rows, head_row, output_row
from fastnn.kernels.tiles import update_tiles
from fastnn.ops.random import key, shuffle
from fastnn.simd.arguments import part_of_program
from fastnn.simd.atomics import atomic_add, atomic_load, atomic_store, set_flush_to_zero
from fastnn.simd.memory import view


@piece
def learn_rows(rank, net, rule, samples, work, raw, first, base, m, following, row_key, factor, control):
    """Phase A of a strip after the first layer; the losses of its rows, and BAD if one is not finite.

    raw         work.bytes, as in first_layer
    following   the place of the first sample that this rank gathers next
    factor      1 / (total weight of the mini-batch)

    Ranks       write their own rows of `rows` and `losses`, and their own parts of private
    """
    mine = rank * work.private_size
    forward_rows(rank, net, work, work.triples, base, m, row_key)
    spare = mine + 2 * work.flipped
    for r in range(base, base + m):
        ask_for_following(net, samples, work, raw, following + r - base)
        sample = np.int64(work.order[first + r - base])
        weight = samples.weights[sample] if samples.weights.shape[0] > 0 else net.keep.dtype.type(1)
        loss = head_row(net, rule, samples, work, r, sample, spare, weight * factor)
        loss = np.float64(loss) * weight
        work.losses[r] = loss
        if not (loss - loss == 0):
            atomic_store(control, BAD, 1)
    backward_rows(rank, net, work, work.triples, base, m, row_key)


@piece
def learn_block(b0, n, row_key, factor, rank, n_ranks, control, net, rule, samples, work):
    """Phase A of a row block: the n samples from place b0 of the order on; `factor` as in learn_rows.

    A part of `train` that is compiled apart (see programs.py).

    Ranks       write their own rows of the row block; with a first layer by units or by inputs they meet in between
    """
    factor = net.params.dtype.type(factor)
    r0, r1 = (0, n) if work.by_inputs else share(n, rank, n_ranks, 1)
    turn = atomic_load(control, GENERATION) & 1 if work.by_inputs else 0
    begin_block(rank, work, work.bytes)
    if not goes_by_rows(work):
        for r in range(0, n, STRIP):
            first_layer(
                rank, n_ranks, net, samples, work, work.bytes, work.triples, b0 + r, r, min(STRIP, n - r), r, row_key,
                turn,
            )  # fmt: skip
        barrier(n_ranks, control)
    for r in range(r0, r1, STRIP):
        m = min(STRIP, r1 - r)
        if goes_by_rows(work):
            first_layer(
                rank, n_ranks, net, samples, work, work.bytes, work.triples, b0 + r, r, m, r - r0, row_key, turn
            )  # fmt: skip
        elif work.by_inputs:
            add_quarters(net, work, r, m, 0, net.levels[1, WIDTH], turn)
        following = b0 + (r + m if r + m < r1 else n + r0)
        learn_rows(rank, net, rule, samples, work, work.bytes, b0 + r, r, m, following, row_key, factor, control)


LEARN, LEARN_KINDS = "fastnn_learn", (types.int64, types.int64, types.int64, types.uint64, types.float64)
_learn_block = part_of_program(LEARN, LEARN_KINDS)


@piece
def total_weight(samples, work, start, stop):
    """Sum of the sample weights of places start .. stop of the order (their number without weights)."""
    if samples.weights.shape[0] == 0:
        return float(stop - start)
    total = 0.0
    for place in range(start, stop):
        total += samples.weights[work.order[place]]
    return total


@piece
def learn_step(
    address, rank, n_ranks, control, net, rule, samples, work, start, stop, block_size, step_key, rate, number,
):  # fmt: skip
    """One step on the samples at places start .. stop of the order, by row blocks of `block_size` samples.

    address     of the words of the program's arguments
    number      of the step, counted from 1

    Returns the summed loss on rank 0 (elsewhere 0), and whether the gang must leave without an update.

    Ranks       rows, then after a barrier tiles of their own; rank 0 answers STOP before, and sums the losses after.
                By inputs they meet in learn_block only: each has all losses, and weights of its own
    Assumes     a barrier before, and by rows and by units makes one after
    """
    mine = rank * work.private_size
    total = total_weight(samples, work, start, stop)
    factor = 1.0 / total if total > 0.0 else 0.0
    loss = 0.0
    for b0 in range(start, stop, block_size):
        n = min(block_size, stop - b0)
        if rank == 0 and atomic_load(control, STOP) != 0:
            atomic_store(control, LEAVE, number)
        _learn_block((address, b0, n, key(step_key, b0 - start), factor))
        if not work.by_inputs:
            barrier(n_ranks, control)
        if atomic_load(control, BAD) != 0 or atomic_load(control, ABORT) != 0:
            return loss, True
        block = Block(n, b0 == start, b0 + n == stop, net.params.dtype.type(rate), mine + 2 * work.flipped)
        update_tiles(rank, n_ranks, net, rule, samples, work, work.bytes, work.triples, block, b0 + n, control)
        if rank == 0:
            for r in range(n):
                loss += work.losses[r]
        if not work.by_inputs:
            barrier(n_ranks, control)
    if rule.max_norm > 0:
        limit_norms(rank, n_ranks, net, rule, work, mine)
        barrier(n_ranks, control)
    return loss, False


@piece
def train(
    address, rank, n_ranks, control, net, rule, samples, work, epochs, batch_size, block_size, shuffled, seed, rates,
    losses,
):  # fmt: skip
    """Run the epochs epochs[0] .. epochs[1] - 1.

    address     of the words of the other arguments
    batch_size  samples of a mini-batch; the last one of an epoch may be smaller
    shuffled    whether `order` is made anew in every epoch                                     written by rank 0
    rates       float64, the learning rate of every step of these epochs                        read
    losses      float64, one an epoch: the sum over its samples of loss times sample weight     written by rank 0
    control     see control.py; PROGRESS counts the finished steps
    """
    former = set_flush_to_zero(-1)
    n = samples.X.shape[0]
    step = 0
    leave = False
    for e in range(epochs[1] - epochs[0]):
        epoch_key = key(seed, epochs[0] + e)
        if work.by_inputs:
            barrier(n_ranks, control)  # nobody needs the last order any more
        if rank == 0:
            losses[e] = 0.0
            if shuffled:
                shuffle(work.order, key(epoch_key, 0))
        barrier(n_ranks, control)
        for start in range(0, n, batch_size):
            stop = min(start + batch_size, n)
            step_key, rate = key(key(epoch_key, 1), start), rates[step]
            loss, leave = learn_step(
                address, rank, n_ranks, control, net, rule, samples, work, start, stop, block_size, step_key, rate,
                step + 1,
            )  # fmt: skip
            if leave:
                break
            step += 1
            if rank == 0:
                losses[e] += loss
                atomic_store(control, PROGRESS, step)
            if 0 < atomic_load(control, LEAVE) <= step:
                leave = True
                break
        if leave:
            break
    set_flush_to_zero(former)


@piece
def predict(rank, n_ranks, control, net, rule, samples, work, outputs, losses):
    """Outputs of all samples, and, if they have targets, their losses; each rank takes a strip after the other.

    BAD is set if an input is NaN or infinite: what comes out may then be finite all the same.

    outputs     real (n, units of the last level)               written
    losses      float64 (n,), or empty                          written
    """
    former = set_flush_to_zero(-1)
    last = net.levels.shape[0] - 1
    ld, units = net.levels[last, LD], net.levels[last, UNITS]
    base = rank * STRIP
    spare = rank * work.private_size
    one = net.keep.dtype.type(1)
    while atomic_load(control, STOP) == 0:
        first = atomic_add(control, DEALT, STRIP)
        if first >= samples.X.shape[0]:
            break
        m = min(STRIP, samples.X.shape[0] - first)
        first_layer(rank, n_ranks, net, samples, work, work.bytes, work.triples, first, base, m, 0, key(0, 0), 0)
        if samples.kind > 0 and not all_finite(net, work, base, m):
            atomic_store(control, BAD, 1)
        forward_rows(rank, net, work, work.triples, base, m, key(0, 0))
        for r in range(m):
            if losses.shape[0] > 0:
                losses[first + r] = head_row(net, rule, samples, work, base + r, first + r, spare, one)
            else:
                output_row(net, rule, work, base + r)
            a = view(work.rows, net.levels[last, ACTS] + (base + r) * ld, units)
            out = view(outputs, (first + r) * units, units)
            for i in range(units):
                out[i] = a[i]
    set_flush_to_zero(former)
