"""FLOOR 4: one run of `fastnn bench`: the record of a machine, a version and a date."""

from __future__ import annotations

import datetime
import platform
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np

from fastnn import _machine_code
from fastnn._version import __version__
from fastnn.bench import machine, workloads
from fastnn.bench.machine import FULL, QUICK, Effort
from fastnn.engine import launch
from fastnn.engine.network import MLP

LATENCY_SIZES = (784, 128, 64, 10)


def latency_us(effort: Effort) -> dict[str, Any]:
    """Microseconds of `predict` for one row, everything from the check of X to the label included."""
    net = MLP(LATENCY_SIZES)
    row = workloads.images(1)[0]
    seconds = []
    for _ in range(effort.predictions):
        start = time.perf_counter()
        net.predict(row)
        seconds.append(time.perf_counter() - start)
    median, slow = np.percentile(seconds[effort.predictions // 10 :], [50, 99])
    return {"name": "-".join(map(str, LATENCY_SIZES)), "median": 1e6 * median, "percentile_99": 1e6 * slow}


def _limits(n_threads: int, effort: Effort) -> tuple[float, float]:
    return machine.peak_gflops(n_threads, effort), machine.bandwidth_gbytes(n_threads, effort)


def run(
    n_threads: int | None = None, *, quick: bool = False, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Measure this machine and what training makes of it.

    Parameters
    ----------
    n_threads : int, optional
        The most threads; default as for a training.
    quick : bool
        A few seconds instead of about a minute; only to see that everything works.
    say : callable
        Gets a sentence before each measurement.

    Returns
    -------
    dict
        One line of the history, see `fastnn.bench.history`: strings, numbers, lists and dicts only.
    """
    effort = QUICK if quick else FULL
    load = machine.load_average()
    if load is not None and load > 0.5:
        say(f"other processes keep {load:.1f} cores busy, so the figures will be too low")
    counts = machine.thread_counts(launch.most_ranks(n_threads))
    say(f"measuring multiply-adds and memory with {' or '.join(map(str, counts))} threads")
    before = [_limits(n, effort) for n in counts]
    networks = []
    for workload in workloads.WORKLOADS:
        say(f"training {workload.name}")
        networks.append(workloads.measure(workload, counts, effort))
    say("predicting single rows")
    latency = latency_us(effort)
    # twice, so that a disturbance at one end does not lower the roof
    say("measuring multiply-adds and memory again")
    limits = {n: np.maximum(old, _limits(n, effort)).tolist() for n, old in zip(counts, before, strict=True)}
    for workload, net in zip(workloads.WORKLOADS, networks, strict=True):
        net["roofline_share"] = net["samples_per_second"] / workload.ceiling(*limits[net["threads"]])
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "kernels": _machine_code.kernel_hash(),
        "cpu": machine.cpu_name(),
        "cores": launch.available_cores(),
        "threads": counts[-1],
        "load_average": load,
        "quick": quick,
        "versions": {"python": platform.python_version(), "numba": metadata.version("numba"), "numpy": np.__version__},
        "peak_gflops": {str(n): peak for n, (peak, _) in limits.items()},
        "bandwidth_gbytes": {str(n): gbytes for n, (_, gbytes) in limits.items()},
        "networks": networks,
        "latency_us": latency,
    }
