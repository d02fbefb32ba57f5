"""FLOOR 3: runs a network forward over samples: in the calling thread if that is short, else with a gang.

The scratch memory of short predictions is kept between calls: making it takes ten times as long as one row does. So
is the whole call for a few rows, which are copied to where it expects them: telling it where they are takes longer.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn.engine import launch
from fastnn.engine.labels import Encoded
from fastnn.engine.samples import Scaling, bundle, check_finite
from fastnn.engine.workspace import Plan
from fastnn.kernels.control import BAD

if TYPE_CHECKING:
    from fastnn.engine.network import MLP


# Inputs of so many bytes are copied for a call that is ready
_FEW_BYTES = 2**15


class _Prepared(NamedTuple):
    """A call with its inputs and where it writes its results."""

    X: np.ndarray
    scaling: Scaling
    outputs: np.ndarray  # (n_samples, n_outputs)
    losses: np.ndarray  # (n_samples,), or none without targets
    call: launch.Call


class Predictor:
    """The forward runs of one network. Used by several threads at once, all but one make a plan of their own."""

    def __init__(self, network: MLP) -> None:
        self._network = network
        self._operations = 2 * network.n_parameters  # floating-point ones of a sample
        self._no_labels, self._nothing = np.empty(0, np.int32), np.empty(0, network.dtype)
        self._plan: Plan | None = None
        self._few: _Prepared | None = None
        self._gang = launch.Gang(1)
        self._lock = threading.Lock()

    def run(
        self, X: np.ndarray, encoded: Encoded | None, head: int, n_threads: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Outputs (n_samples, n_outputs) for X as a matrix, and with targets the losses (n_samples,), else none.

        Raises ValueError if an input is not finite, as it is or in the network's precision.
        """
        net = self._network
        operations = self._operations * len(X)
        n_ranks = launch.useful_ranks(operations, n_threads)
        seconds = launch.expected_seconds(operations, n_ranks)
        if n_ranks == 1 and seconds < launch.SHORT_SECONDS and self._lock.acquire(False):
            try:
                plan = self._plan = self._plan or Plan(net, n_ranks=1, skip_zeros=True)
                few = encoded is None and X.nbytes <= _FEW_BYTES
                prepared = self._few_rows(plan, X, head) if few else self._prepare(self._gang, plan, X, encoded, head)
                self._gang.run(prepared.call, expected_seconds=seconds)
                is_finite = not self._gang.control[BAD]
                outputs = prepared.outputs.copy() if few else prepared.outputs
            finally:
                self._lock.release()
        else:
            with launch.borrowed_gang(n_ranks) as gang:
                plan = Plan(net, n_ranks=n_ranks, skip_zeros=True)
                prepared = self._prepare(gang, plan, X, encoded, head)
                gang.run(prepared.call, expected_seconds=seconds)
                is_finite = not gang.control[BAD]
                outputs = prepared.outputs
        if not is_finite:
            check_finite(X, "X")
            raise ValueError(f"X must be within the range of {net.dtype} once it is scaled; its values are too large")
        return outputs, prepared.losses

    def _few_rows(self, plan: Plan, X: np.ndarray, head: int) -> _Prepared:
        """The call of last time, if it was for such inputs, with those of X."""
        few = self._few
        scaling = self._network.scaling
        if few is None or few.X.shape != X.shape or few.X.dtype != X.dtype or few.scaling is not scaling:
            few = self._few = self._prepare(self._gang, plan, X.copy(), None, head)
        np.copyto(few.X, X)
        return few

    def _prepare(self, gang: launch.Gang, plan: Plan, X: np.ndarray, encoded: Encoded | None, head: int) -> _Prepared:
        scaling = self._network.scaling
        arguments = self._arguments(plan, X, scaling, encoded, head)
        *_, outputs, losses = arguments
        return _Prepared(X, scaling, outputs, losses, gang.prepare(launch.PREDICT, arguments))

    def _arguments(
        self, plan: Plan, X: np.ndarray, scaling: Scaling, encoded: Encoded | None, head: int
    ) -> tuple[Any, ...]:
        """Of the program kernels.epoch.predict, after the ranks and control."""
        net = self._network
        outputs = np.empty((len(X), net.sizes[-1]), net.dtype)
        losses = np.empty(0 if encoded is None else len(X))
        labels, targets = (self._no_labels, self._nothing) if encoded is None else (encoded.labels, encoded.targets)
        samples = bundle(X, scaling, labels, targets, self._nothing)
        return plan.net, plan.rule(head), samples, plan.work, outputs, losses

    def loading(self) -> contextlib.AbstractContextManager[None]:
        """Have the program compiled meanwhile if it must be, as what is done now will ask for predictions."""
        net = self._network
        X = np.empty((1, net.sizes[0]), np.float32)
        arguments = self._arguments(Plan(net, n_ranks=1), X, net.scaling, None, 0)
        return launch.loading(launch.PREDICT, (self._gang.control, *arguments))
