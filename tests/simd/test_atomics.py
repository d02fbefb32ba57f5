"""Words that threads share, and the flush-to-zero of one thread."""

from __future__ import annotations

import time

import numpy as np
import pytest
from threads import in_threads

from fastnn._jit import program
from fastnn.simd import target
from fastnn.simd.atomics import (
    atomic_add,
    atomic_load,
    atomic_store,
    give_up_core,
    pause,
    set_flush_to_zero,
    sleep_a_little,
)


@program
def add_often(words, index, times, n_threads):
    """Returns the least value found; begins when all threads are there, so that they do get in each other's way."""
    atomic_add(words, 0, 1)
    for _ in range(100_000):
        if atomic_load(words, 0) >= n_threads:
            break
        give_up_core()
    least = np.int64(1 << 62)
    for _ in range(times):
        before = atomic_add(words, index, 3)
        least = min(least, before)
        if atomic_load(words, 0) < 0:  # so that a sum that is not atomic could not stay in a register
            break
    return least


@program
def wait_for(words, index, value, patience):
    """Number of looks until words[index] became `value`, or -1."""
    for i in range(patience):
        if atomic_load(words, index) == value:
            return i
        if i % 3 == 0:
            pause()
        elif i % 3 == 1:
            give_up_core()
        else:
            sleep_a_little()
    return -1


@program
def spin_for(words, index, value, patience):
    """The same with nothing in the loop but the load: a plain one would be hoisted out of it."""
    looks = 0
    while atomic_load(words, index) != value:
        looks += 1
        if looks == patience:
            return -1
    return looks


@program
def store_and_load(words, index, value):
    atomic_store(words, index, value)
    return atomic_load(words, index)


@program
def switch(on):
    return set_flush_to_zero(on)


@program
def multiply(a, factor, out):
    for i in range(a.shape[0]):
        out[i] = a[i] * factor[0]


def test_store_then_load():
    words = np.zeros(5, np.int64)
    for value in (7, -1, 2**62, -(2**63)):
        assert store_and_load(words, 3, value) == value
    np.testing.assert_array_equal(words, [0, 0, 0, -(2**63), 0])


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
def test_no_addition_is_lost(n_threads):
    words = np.array([0, 5, 5])
    add_often(words.copy(), 1, 1, 1)  # and is compiled now
    least = in_threads(n_threads, lambda _: add_often(words, 1, 200_000, n_threads))
    np.testing.assert_array_equal(words, [n_threads, 5 + 3 * 200_000 * n_threads, 5])
    assert min(least) == 5  # the value before, and only one came first
    assert len(set(least)) == n_threads


@pytest.mark.parametrize(("wait", "patience"), [(wait_for, 100_000), (spin_for, 4_000_000_000)])
def test_a_waiting_loop_sees_the_store_of_another_thread(wait, patience):
    words = np.zeros(4, np.int64)
    assert wait(words, 2, 1, 5) == -1  # and is compiled now

    def work(rank):
        if rank == 0:
            return wait(words, 2, 1, patience)
        time.sleep(0.03)
        return store_and_load(words, 2, 1)

    looks, _ = in_threads(2, work)
    assert looks > 0


@pytest.mark.skipif(not target.IS_X86, reason="flush-to-zero is set on x86 only")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_flush_to_zero_is_switched_on_and_restored(dtype):
    info = np.finfo(dtype)
    numbers = np.array([info.tiny, info.smallest_subnormal * 8, 1.0], dtype)
    half, huge = np.array([0.5], dtype), np.array([1 / info.tiny], dtype)
    halves, multiples = np.empty((2, 3), dtype)

    former = switch(-1)
    multiply(numbers, half, halves)
    multiply(numbers, huge, multiples)
    again = switch(-1)
    switch(former)
    np.testing.assert_array_equal(halves, np.array([0, 0, 0.5], dtype))  # a result is flushed
    np.testing.assert_array_equal(multiples, [1, 0, huge[0]])  # and an operand is
    assert again != former

    multiply(numbers, half, halves)
    multiply(numbers, huge, multiples)
    assert (halves > 0).all()
    assert (multiples > 0).all()
    assert switch(former) == former


@pytest.mark.skipif(not target.IS_X86, reason="flush-to-zero is set on x86 only")
def test_flush_to_zero_is_of_one_thread():
    tiny = np.array([np.finfo(np.float32).tiny], np.float32)
    out = np.zeros_like(tiny)
    in_threads(2, lambda _: switch(-1))
    multiply(tiny, np.array([0.5], np.float32), out)
    assert out[0] > 0
