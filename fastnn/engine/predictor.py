"""FLOOR 3: runs a network forward over samples: in the calling thread if that is short, else with a gang.

The scratch memory of short predictions is kept between calls: making it takes ten times as long as one row does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.engine import launch
from fastnn.engine.labels import Encoded
from fastnn.engine.samples import bundle, check_finite
from fastnn.engine.workspace import Plan
from fastnn.kernels.bundles import Rule, Samples
from fastnn.kernels.gang import BAD

if TYPE_CHECKING:
    from fastnn.engine.network import MLP


class Predictor:
    """The forward runs of one network. Used by several threads at once, all but one make a plan of their own."""

    def __init__(self, network: MLP) -> None:
        self._network = network
        self._operations = 2 * network.n_parameters  # floating-point ones of a sample
        self._no_labels, self._nothing = np.empty(0, np.int32), np.empty(0, network.dtype)
        self._no_losses = np.empty(0)
        self._plan: Plan | None = None
        self._entry: Callable[..., Any] | None = None
        self._rules: dict[int, Rule] = {}  # by head; making one takes half as long as a row
        self._gang = launch.Gang(1)
        self._lock = threading.Lock()

    def run(
        self, X: np.ndarray, encoded: Encoded | None, head: int, n_threads: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Outputs (n_samples, n_outputs) for X as a matrix, and with targets the losses (n_samples,), else none.

        Raises ValueError if an input is not finite, as it is or in the network's precision.
        """
        net, n = self._network, len(X)
        outputs = np.empty((n, net.sizes[-1]), net.dtype)
        if encoded is None:
            losses = self._no_losses
            samples = bundle(X, net.scaling, self._no_labels, self._nothing, self._nothing)
        else:
            losses = np.empty(n)
            samples = bundle(X, net.scaling, encoded.labels, encoded.targets, self._nothing)
        operations = self._operations * n
        n_ranks = launch.useful_ranks(operations, n_threads)
        seconds = launch.expected_seconds(operations, n_ranks)
        if n_ranks == 1 and seconds < launch.SHORT_SECONDS and self._lock.acquire(False):
            try:
                plan = self._plan = self._plan or Plan(net, n_ranks=1, skip_zeros=True)
                is_finite = self._launch(self._gang, plan, head, samples, outputs, losses, seconds)
            finally:
                self._lock.release()
        else:
            with launch.borrowed_gang(n_ranks) as gang:
                is_finite = self._launch(
                    gang, Plan(net, n_ranks=n_ranks, skip_zeros=True), head, samples, outputs, losses, seconds
                )
        if not is_finite:
            check_finite(X, "X")
            raise ValueError(f"X must be within the range of {net.dtype} once it is scaled; its values are too large")
        return outputs, losses

    def _launch(
        self,
        gang: launch.Gang,
        plan: Plan,
        head: int,
        samples: Samples,
        outputs: np.ndarray,
        losses: np.ndarray,
        seconds: float,
    ) -> bool:
        """Run the program; returns whether all inputs were finite."""
        if head not in self._rules:
            self._rules[head] = plan.rule(head)
        arguments = (plan.net, self._rules[head], samples, plan.work, outputs, losses)
        if self._entry is None:
            self._entry = gang.prepare(launch.PREDICT, arguments)
        gang.run(self._entry, arguments, expected_seconds=seconds)
        return not gang.control[BAD]
