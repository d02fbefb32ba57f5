"""FLOOR 4: where the time of a step goes: phase A and phase B in parts, barrier and launch apart."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fastnn.bench import programs
from fastnn.bench.machine import FULL, Effort, barrier_and_launch_us, best_seconds
from fastnn.bench.workloads import WORKLOADS, Workload, images, training_seconds
from fastnn.engine.launch import Gang
from fastnn.engine.samples import bundle, has_idle_inputs
from fastnn.engine.workspace import Plan
from fastnn.ops.codes import HEADS


def _operations(workload: Workload) -> dict[str, int]:
    """Floating-point operations of a step in the parts that are products."""
    first, *others = (2 * i * o * workload.batch_size for i, o in zip(workload.sizes, workload.sizes[1:], strict=False))
    every = first + sum(others)
    return {
        "forward": every, "backward": sum(others), "phase_a": every + sum(others), "phase_b": every,
    }  # fmt: skip


def measure(workload: Workload, effort: Effort) -> dict[str, Any]:
    """Microseconds of every part of a step on one thread, and 1e9 operations a second where a part is a product.

    The parts are timed one after the other on the same mini-batch buffers, so they find them in the cache; that is
    why they need not add up to the whole.
    """
    X, y = images(workload.n_samples(effort))
    net = workload.network()
    plan = Plan(
        net,
        n_ranks=1,
        batch_size=workload.batch_size,
        n_samples=len(X),
        update="momentum",
        skip_zeros=has_idle_inputs(X, None),
    )
    rule = plan.rule(HEADS["softmax", "cross_entropy"], workload.optimizer().momentum)
    nothing = np.empty(0, net.dtype)
    samples = bundle(X, net.scaling, y.astype(np.int32), nothing, nothing)
    plan.work.order[:] = np.random.default_rng(0).permutation(len(X))
    n_steps = len(X) // workload.batch_size
    us = {}
    gang = Gang(1)
    for part, name in enumerate(programs.PARTS):
        arguments = (part, plan.net, rule, samples, plan.work, workload.batch_size)
        run = partial(gang.run, gang.prepare(programs.STEP_PART, arguments), expected_seconds=0.0)
        us[name] = 1e6 * best_seconds(run, effort.repeats) / n_steps
    us["step"] = 1e6 * training_seconds(workload, X, y, 1, effort) / n_steps
    return {
        "name": workload.name,
        "n_steps": n_steps,
        "us": us,
        "gflops": {name: count / us[name] / 1e3 for name, count in _operations(workload).items() if count},
    }


def run(n_threads: int, effort: Effort = FULL, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Measure all workloads.

    Parameters
    ----------
    n_threads : int
        Ranks of the gang whose barrier and launch are timed; the parts run on one.
    say : callable
        Gets a sentence before each measurement.
    """
    say("compiling the parts of a step and timing barrier and launch")
    barrier, launch = barrier_and_launch_us(n_threads, effort)
    networks = []
    for workload in WORKLOADS:
        say(f"timing the parts of {workload.name}")
        networks.append(measure(workload, effort))
    return {"threads": n_threads, "barrier_us": barrier, "launch_us": launch, "networks": networks}
