"""FLOOR 3: runs a network forward over samples: in the calling thread if that is short, else with a gang.

The scratch memory of short predictions is kept between calls: making it takes ten times as long as one row does.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.engine import launch
from fastnn.engine.labels import Encoded
from fastnn.engine.samples import bundle, check_finite
from fastnn.engine.workspace import Plan
from fastnn.kernels.bundles import Rule
from fastnn.kernels.gang import BAD

if TYPE_CHECKING:
    from fastnn.engine.network import MLP


class Predictor:
    """The forward runs of one network. Used by several threads at once, all but one make a plan of their own."""

    def __init__(self, network: MLP) -> None:
        self._network = network
        self._nothing = (np.empty(0, np.int32), np.empty(0, network.dtype))
        self._plan: Plan | None = None
        self._rules: dict[int, Rule] = {}  # by head; making one takes as long as 5% of a row
        self._gang = launch.Gang(1)
        self._lock = threading.Lock()

    def run(
        self, X: np.ndarray, encoded: Encoded | None, head: int, n_threads: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Outputs (n_samples, n_outputs) for X as a matrix, and with targets the losses (n_samples,), else none.

        Raises ValueError if an input is not finite, as it is or in the network's precision.
        """
        net = self._network
        no_labels, nothing = self._nothing
        labels, targets = (no_labels, nothing) if encoded is None else encoded[:2]
        samples = bundle(X, net.scaling, net.dtype, labels, targets, nothing)
        outputs = np.empty(len(X) * net.sizes[-1], net.dtype)
        losses = np.empty(0 if encoded is None else len(X))
        operations = 2 * net.n_parameters * len(X)
        n_ranks = launch.useful_ranks(min(operations, 2 * net.n_parameters * 4096), n_threads)
        seconds = launch.expected_seconds(operations, n_ranks)
        if n_ranks == 1 and seconds < launch.SHORT_SECONDS and self._lock.acquire(blocking=False):
            try:
                plan = self._plan = self._plan or Plan(net, n_ranks=1, skip_zeros=True)
                finite = self._launch(self._gang, plan, samples, head, outputs, losses, seconds)
            finally:
                self._lock.release()
        else:
            with launch.Gang(n_ranks) as gang:
                plan = Plan(net, n_ranks=n_ranks, skip_zeros=True)
                finite = self._launch(gang, plan, samples, head, outputs, losses, seconds)
        if not finite:
            check_finite(X, "X")
            raise ValueError(f"X must be within the range of {net.dtype} once it is scaled; its values are too large")
        return outputs.reshape(len(X), -1), losses

    def _launch(
        self,
        gang: launch.Gang,
        plan: Plan,
        samples: Any,
        head: int,
        outputs: np.ndarray,
        losses: np.ndarray,
        seconds: float,
    ) -> bool:
        """Run the program; returns whether all inputs were finite."""
        if head not in self._rules:
            self._rules[head] = plan.rule(head)
        arguments = (plan.net, self._rules[head], samples, plan.work, outputs, losses)
        gang.run(launch.PREDICT, arguments, expected_seconds=seconds)
        return not gang.control[BAD]
