"""FLOOR 3: how many ranks a training should have: a model of what a step costs, with constants of this machine.

The constants are measured in some 50 ms, by the first few processes, since the machine may be busy just then; the least
are kept beside the compiled kernels. The trained bits depend neither on the number of ranks nor on a measurement.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastnn import _machine_code
from fastnn._files import replace_file
from fastnn.engine import launch
from fastnn.engine.network import MLP
from fastnn.engine.samples import bundle
from fastnn.engine.workspace import Plan, goes_by_inputs, goes_by_units
from fastnn.ops.codes import HEADS

# Seconds for a floating-point operation, for a parameter that is updated, for a sample and for an input that is
# gathered, on one rank of a Xeon with AVX-512; and for a barrier of two, with the wait for the slower one. Fitted to
# the steps of 14 networks from 64-16-12-10 at 8 (2.4 us, two ranks 4.1) to 784-1024-1024-10 at 128 (6250, 3550)
_OPERATION, _UPDATE, _SAMPLE, _INPUT = 2.9e-12, 2.2e-10, 1.6e-7, 1.9e-10
_BARRIER = 1.6e-6
# What `measure` finds where the constants above were fitted: its samples are dense, its network is very small
_PACE_THERE, _EXCHANGE_THERE = 1.2, 8.7e-10
# Processes that measure
_TRIES = 5
# More ranks must be expected to need no more than this part of the time of one: the model is right to some 20%
_WORTH = 0.8


class Costs(NamedTuple):
    """What differs between machines."""

    pace: float = 1.0  # seconds of arithmetic here, to those of the machine above
    exchange: float = 4.7e-10  # seconds to fetch a number that another core has written
    tries: int = 0  # how many measurements these are the least of


def operations(sizes: Sequence[int], batch_size: int = 1) -> int:
    """Floating-point operations of a training step: those of its products, to which all others are few.

    A weight has 6 for each sample: 2 forward, 2 in its gradient and 2 in the delta below it, which the first layer does
    not need. Terms that are left out because an input is zero count all the same.
    """
    weights = [n_inputs * n_outputs for n_inputs, n_outputs in pairwise(sizes)]
    return (6 * sum(weights) - 2 * weights[0]) * batch_size


def step_seconds(network: MLP, batch_size: int, n_ranks: int, costs: Costs, limits_norms: bool = False) -> float:
    """Expected time of a step with momentum."""
    sizes = network.sizes
    samples = batch_size * (_SAMPLE + _INPUT * sizes[0])
    alone = costs.pace * (_OPERATION * operations(sizes, batch_size) + _UPDATE * network.n_parameters + samples)
    if n_ranks == 1:
        return alone
    if goes_by_inputs(network, n_ranks, batch_size, limits_norms):
        # the first layer is shared, and its sums exchanged; every rank does the rest
        first = _OPERATION * 4 * sizes[0] * sizes[1] * batch_size + _UPDATE * (sizes[0] + 1) * sizes[1]
        shared = costs.pace * (first + _INPUT * sizes[0] * batch_size)
        sums = costs.exchange * 2 * batch_size * sizes[1]
        return shared / n_ranks + (alone - shared) + sums + _BARRIER * math.log2(n_ranks)
    # activations and deltas; by rows all weights and the inputs too
    exchanged, gathered, barriers = 2 * batch_size * sum(sizes[1:]) + network.n_parameters, 0, 2
    if goes_by_units(network, n_ranks, batch_size):
        exchanged, gathered, barriers = exchanged - sizes[0] * sizes[1], batch_size * sizes[0], 3
    else:
        exchanged += batch_size * sizes[0] // 2
    away = 1 - 1 / n_ranks
    moves = away * (costs.exchange * exchanged + costs.pace * _INPUT * gathered)
    return alone / n_ranks + moves + barriers * _BARRIER * math.log2(n_ranks)


def useful_ranks(
    network: MLP,
    batch_size: int,
    n_threads: int | None = None,
    *,
    at_most: int | None = None,
    limits_norms: bool = False,
    measures: bool = True,
) -> int:
    """Ranks for a training; a given `n_threads`, or FASTNN_NUM_THREADS as the most, is taken at its word.

    `at_most` is another limit, `limits_norms` as in Plan. `measures` is False where measuring would compile a program
    that nobody needs.
    """
    most = launch.most_ranks(n_threads)
    if at_most is not None:
        most = min(most, at_most)
    if n_threads is not None or most == 1:
        return most
    costs = current(network.dtype.name, measures)
    every = range(1, most + 1)
    seconds = {n_ranks: step_seconds(network, batch_size, n_ranks, costs, limits_norms) for n_ranks in every}
    best = min(seconds, key=lambda n_ranks: seconds[n_ranks])
    return best if seconds[best] < _WORTH * seconds[1] else 1


@functools.cache
def current(dtype: str, measures: bool = True) -> Costs:
    """The constants of this machine: the least that was measured so far, from their file or, if it measures, just now.

    Those of `dtype`, so that a measurement compiles nothing but what the training needs anyway.
    """
    folder = _machine_code.cache_folder()
    path = folder / f"costs-{launch.available_cores()}-{dtype}.json" if folder else None
    known = _read(path)
    if not measures:
        return known or Costs()
    if known is not None and known.tries >= _TRIES:
        return known
    costs = measure(dtype)
    if known is not None:
        costs = Costs(min(known.pace, costs.pace), min(known.exchange, costs.exchange), known.tries + 1)
    if path is not None:
        with contextlib.suppress(OSError):  # then the next process measures again
            replace_file(path, json.dumps(costs._asdict()).encode())
    return costs


def _read(path: Path | None) -> Costs | None:
    """What the file holds; None if there is none, or none that can be used."""
    try:
        costs = Costs(**json.loads(path.read_bytes())) if path else None
    except (OSError, ValueError, TypeError):
        return None
    if costs is None or not isinstance(costs.tries, int):
        return None
    return costs if all(isinstance(c, float) and 0 < c < 1e3 for c in costs[:2]) else None


def measure(dtype: str) -> Costs:
    """Train a small network with one rank and with two."""
    if launch.available_cores() == 1:
        return Costs(tries=1)
    network, batch_size = MLP([256, 48, 10], dtype=dtype), 32
    runs = [_timed_steps(network, batch_size, n_ranks) for n_ranks in (1, 2)]
    alone, both = (min(times) for times in zip(*([run() for run in runs] for _ in range(3)), strict=True))
    pace = alone / step_seconds(network, batch_size, 1, Costs())
    arithmetic = step_seconds(network, batch_size, 2, Costs(pace, 0.0))
    exchange = (both - arithmetic) / step_seconds(network, batch_size, 2, Costs(0.0, 1.0))
    # on a machine that is busy just now these are too large, up to any size
    pace, exchange = np.clip([pace / _PACE_THERE, exchange / _EXCHANGE_THERE], 0.25, 2)
    return Costs(float(pace), float(exchange) * Costs().exchange, 1)


def _timed_steps(network: MLP, batch_size: int, n_ranks: int) -> Callable[[], float]:
    """A function that makes some hundred steps and returns the seconds for one."""
    n, epochs = 32 * batch_size, 10
    rng = np.random.default_rng(0)
    X, y = rng.random((n, network.sizes[0]), np.float32), rng.integers(0, network.sizes[-1], n, np.int32)
    nothing = np.empty(0, network.dtype)
    samples = bundle(X, network.scaling, y, nothing, nothing)
    plan = Plan(network, n_ranks=n_ranks, batch_size=batch_size, n_samples=n, update="momentum")
    rule = plan.rule(HEADS["softmax", "cross_entropy"], momentum=0.9)
    rates, losses = np.zeros(epochs * n // batch_size), np.zeros(epochs)
    arguments = (plan.net, rule, samples, plan.work, (0, epochs), batch_size, plan.block, True, 0, rates, losses)

    def run() -> float:
        with launch.Gang(n_ranks) as gang:
            call = gang.prepare(launch.TRAIN, arguments)
            start = time.perf_counter()
            gang.run(call, expected_seconds=1.0)
            return (time.perf_counter() - start) / rates.size

    return run
