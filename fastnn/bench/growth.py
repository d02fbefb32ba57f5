"""FLOOR 4: how the cost of training grows: one quantity at a time is changed, from a network of ordinary size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn.bench.machine import Effort, thread_counts
from fastnn.bench.workloads import Workload, images, training_seconds

_BASE = Workload((784, 256, 64, 10), "relu", 128)

# What grows, and the workloads along it; the samples are as many as the effort allows, or as given
AXES: dict[str, list[tuple[int, Workload]]] = {
    "samples": [(n, _BASE) for n in (1_000, 10_000, 100_000, 1_000_000)],
    "width": [(w, Workload((784, w, w, 10), "relu", 128)) for w in (16, 64, 256, 1024, 4096)],
    "depth": [(d, Workload((784, *(128,) * d, 10), "relu", 128)) for d in (1, 2, 5, 10, 20)],
    "mini-batch": [(b, Workload(_BASE.sizes, "relu", b)) for b in (1, 4, 16, 64, 256, 1024, 4096)],
    "threads": [],
}


def run(n_threads: int, effort: Effort, say: Callable[[str], None] = lambda _: None) -> list[dict[str, Any]]:
    """Measure along every axis.

    Parameters
    ----------
    n_threads : int
        The most threads; along every axis but theirs the trainer chooses.

    Returns
    -------
    list of dict
        ``axis``, ``value``, ``network``, ``n_samples``, ``threads``, ``us_a_sample`` (microseconds), ``gflops``.
    """
    points: list[tuple[str, int, Workload, int | None]]
    points = [(axis, value, load, None) for axis, loads in AXES.items() for value, load in loads]
    wide = Workload((784, 1024, 1024, 10), "relu", 128)
    points += [("threads", n, wide, n) for n in thread_counts(n_threads)]
    return [_measure(axis, value, load, threads, n_threads, effort, say) for axis, value, load, threads in points]


def _measure(
    axis: str,
    value: int,
    workload: Workload,
    threads: int | None,
    most: int,
    effort: Effort,
    say: Callable[[str], None],
) -> dict[str, Any]:
    say(f"{axis} {value:,}")
    X, y = images(min(value, effort.array_bytes // 128) if axis == "samples" else workload.n_samples(effort))
    chosen = threads or workload.default_threads(most)
    seconds = training_seconds(workload, X, y, chosen, effort)
    return {
        "axis": axis,
        "value": value,
        "network": _name(workload),
        "n_samples": len(X),
        "threads": chosen,
        "us_a_sample": 1e6 * seconds / len(X),
        "gflops": workload.operations * len(X) / seconds / 1e9,
    }


def _name(workload: Workload) -> str:
    """784-20x128-10 for twenty layers of 128."""
    inputs, *hidden, outputs = workload.sizes
    if len(hidden) <= 2 or len(set(hidden)) > 1:
        return workload.name
    return f"{inputs}-{len(hidden)}x{hidden[0]}-{outputs} {workload.activation}, {workload.batch_size}"
