"""FLOOR 4: the machine's own limits: multiply-adds and bytes a second, with 1 or more threads."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from llvmlite import binding

from fastnn.bench import programs
from fastnn.engine import launch
from fastnn.engine.parameters import aligned_zeros
from fastnn.kernels.matmul import ROWS_IN_L1
from fastnn.simd import target


class Effort(NamedTuple):
    """How much time the measurements may take; the best of all repetitions counts."""

    repeats: int
    seconds: float  # of one repetition of the machine's limits
    training_seconds: float  # of all epochs of one network with one number of threads
    operations: float  # floating-point operations of an epoch, which decide its number of samples
    array_bytes: int  # of each of the three arrays of the memory measurement
    predictions: int


FULL = Effort(5, 0.1, 1.0, 3e10, 2**27, 2000)
QUICK = Effort(2, 0.01, 0.05, 5e8, 2**24, 100)


def cpu_name() -> str:
    """What the CPU calls itself, or else what LLVM calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or binding.get_host_cpu_name()


def load_average() -> float | None:
    """Cores that were busy in the last minute; None where the system does not tell."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def thread_counts(most: int) -> list[int]:
    """1, 2, 3 and so on up to 4, then powers of two, and `most`."""
    return sorted({n for n in (1, 2, 3, 4, *(2**i for i in range(3, 11))) if n < most} | {most})


def best_seconds(run: Callable[[], Any], repeats: int) -> float:
    """The shortest of some runs, after one that does not count."""
    run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _seconds_a_time(gang: launch.Gang, program: launch.Program, arguments: tuple[Any, ...], effort: Effort) -> float:
    """Seconds that one of the `times` of a program takes, repeated so often that the launch no longer matters."""

    def seconds_of(times: int, repeats: int) -> float:
        call = gang.prepare(program, (*arguments, times))
        return best_seconds(lambda: gang.run(call, expected_seconds=1.0), repeats)

    times = 1
    while (seconds := seconds_of(times, 1)) < effort.seconds / 4:
        times *= 4
    times = max(1, round(times * effort.seconds / seconds))
    return seconds_of(times, effort.repeats) / times


def peak_gflops(n_threads: int, effort: Effort = FULL) -> float:
    """Float32 operations a second that the register tile reaches on operands in L1, in 1e9; an fma counts as 2."""
    units = target.TILE_UNITS
    rows, k, n = target.TILE_ROWS[units], ROWS_IN_L1, units * target.UNIT_BYTES // 4
    each = rows * k + k * n + rows * n
    each = -(-each // 1024) * 1024
    numbers = aligned_zeros(each * n_threads, np.float32)
    with launch.Gang(n_threads) as gang:
        seconds = _seconds_a_time(gang, programs.MULTIPLY_ADD, (numbers, each, rows, units, np.arange(k)), effort)
    return 2 * rows * n * k * n_threads / seconds / 1e9


def bandwidth_gbytes(n_threads: int, effort: Effort = FULL) -> float:
    """Bytes a second that a = b + factor * c moves between memory and cores, in 1e9.

    Counted as in McCalpin's STREAM: two arrays read, one written. Where the last cache holds more than the three
    arrays (`Effort.array_bytes` each), the figure is the cache's.
    """
    n = effort.array_bytes // 4
    a, b, c = (np.ones(n, np.float32) for _ in range(3))
    with launch.Gang(n_threads) as gang:
        seconds = _seconds_a_time(gang, programs.TRIAD, (a, b, c, np.float32(0.5)), effort)
    return 12 * n / seconds / 1e9


def barrier_and_launch_us(n_threads: int, effort: Effort = FULL) -> tuple[float, float]:
    """Microseconds of one barrier of the gang, and of waking the gang for a program that does nothing."""
    with launch.Gang(n_threads) as gang:
        barrier = _seconds_a_time(gang, programs.MEET, (), effort)
        call = gang.prepare(programs.MEET, (0,))
        nothing = best_seconds(lambda: gang.run(call, expected_seconds=1.0), 20 * effort.repeats)
    return 1e6 * barrier, 1e6 * nothing
