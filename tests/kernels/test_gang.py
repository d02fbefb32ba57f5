"""Shares cover everything exactly once; ranks meet, however many there are; and no wait is for ever."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from threads import in_threads

from fastnn._jit import program
from fastnn.kernels.control import ABORT, ARRIVED, CONTROL_WORDS, GENERATION, SPIN
from fastnn.kernels.gang import barrier, share
from fastnn.simd.atomics import atomic_load


@program
def shares(n, n_ranks, multiple, out):
    for rank in range(n_ranks):
        out[rank, 0], out[rank, 1] = share(n, rank, n_ranks, multiple)


@program
def meet(rank, n_ranks, rounds, places, control):
    """Everyone writes the round, meets, and looks at the others; returns how often one of them was not there."""
    wrong = 0
    n = places.shape[0] // 2
    for i in range(rounds):
        half = i % 2 * n
        places[half + rank] = i
        barrier(n_ranks, control)
        if atomic_load(control, ABORT) != 0:
            return -1
        for other in range(n_ranks):
            wrong += places[half + other] != i
    return wrong


@program
def meet_once(n_ranks, control):
    barrier(n_ranks, control)


def new_control(spin):
    control = np.zeros(CONTROL_WORDS, np.int64)
    control[SPIN] = spin
    return control


@pytest.mark.parametrize("multiple", [1, 2, 6, 8, 16, 64])
def test_shares_cover_everything_once(multiple):
    for n_ranks in (1, 2, 3, 5, 7, 8, 16, 100):
        for n in (0, 1, 2, 5, 7, 16, 63, 64, 65, 128, 785, 1000):
            out = np.full((n_ranks, 2), -1)
            shares(n, n_ranks, multiple, out)
            assert out[0, 0] == 0
            assert out[-1, 1] == n
            np.testing.assert_array_equal(out[1:, 0], out[:-1, 1])
            sizes = np.diff(out, axis=1)[:, 0]
            assert (sizes >= 0).all()
            borders = out[:, 1][out[:, 1] < n]
            assert (borders % multiple == 0).all()
            groups = -(-sizes // multiple)
            assert groups.max() - groups.min() <= 1, "work is dealt out evenly"


@pytest.mark.parametrize(
    ("n_ranks", "spin", "rounds"),
    [(1, 1, 20_000), (2, 1, 20_000), (2, 0, 5_000), (3, 0, 3_000), (8, 0, 3_000), (8, 1, 500)],
)
def test_ranks_meet(n_ranks, spin, rounds):
    """More ranks than cores too. One barrier a round is enough: places alternate between two halves."""
    control = new_control(spin)
    places = np.full(2 * n_ranks, -1, np.int64)
    meet(0, 1, 1, np.zeros(2, np.int64), new_control(1))  # compiled before ranks wait for each other
    wrong = in_threads(n_ranks, lambda rank: meet(rank, n_ranks, rounds, places, control))
    assert wrong == [0] * n_ranks
    assert control[ARRIVED] == 0
    assert control[GENERATION] == (rounds if n_ranks > 1 else 0)


@pytest.mark.parametrize("spin", [0, 1])
def test_no_rank_passes_before_the_last_has_come(spin):
    control = new_control(spin)
    meet_once(1, control)
    passed = []
    threads = [threading.Thread(target=lambda: (meet_once(3, control), passed.append(1))) for _ in range(3)]
    for thread in threads[:2]:
        thread.start()
    time.sleep(0.05)
    assert not passed
    assert control[ARRIVED] == 2
    threads[2].start()
    for thread in threads:
        thread.join(10)
    assert len(passed) == 3


@pytest.mark.parametrize("spin", [0, 1])
def test_abort_ends_the_wait_for_a_rank_that_never_comes(spin):
    control = new_control(spin)
    meet_once(1, control)
    waiting = threading.Thread(target=meet_once, args=(2, control), daemon=True)
    waiting.start()
    time.sleep(0.02)
    assert waiting.is_alive()
    control[ABORT] = 1
    waiting.join(10)
    assert not waiting.is_alive()


def test_control_words_lie_on_lines_of_their_own():
    words = np.sort([ARRIVED, GENERATION, ABORT, SPIN])
    assert np.diff(words).min() * 8 >= 64
    assert words.max() < CONTROL_WORDS
