"""FLOOR 4: the networks that are timed, on made-up images as dense as MNIST's, and their part of the roofline."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastnn.bench.machine import Effort
from fastnn.engine import costs
from fastnn.engine.network import MLP
from fastnn.engine.optimizers import SGD
from fastnn.engine.trainer import Trainer

SIDE = 28
MOST_SAMPLES = 60_000


class Workload(NamedTuple):
    """A network and the mini-batch that it is trained with."""

    sizes: tuple[int, ...]
    activation: str
    batch_size: int

    @property
    def name(self) -> str:
        return f"{'-'.join(map(str, self.sizes))} {self.activation}, {self.batch_size}"

    @property
    def operations(self) -> int:
        """Floating-point operations of a sample."""
        return costs.operations(self.sizes)

    def n_samples(self, effort: Effort) -> int:
        """Samples of an epoch, whole mini-batches: about as many operations as the effort says."""
        wanted = min(MOST_SAMPLES, effort.operations / self.operations)
        return max(2, round(wanted / self.batch_size)) * self.batch_size

    def network(self) -> MLP:
        return MLP(self.sizes, activation=self.activation)

    def optimizer(self) -> SGD:
        return SGD(0.01, momentum=0.9)

    def default_threads(self, most: int) -> int:
        """What the trainer would choose of at most this many."""
        return costs.useful_ranks(self.network(), self.batch_size, at_most=most)

    def ceiling(self, gflops: float, gbytes: float) -> float:
        """Samples a second at this arithmetic peak (1e9/s) and bandwidth (1e9 bytes/s), whichever is less.

        The only bytes counted are those of the uint8 samples: parameters are taken to stay in the caches.
        """
        return min(1e9 * gflops / self.operations, 1e9 * gbytes / self.sizes[0])


WORKLOADS = (
    Workload((784, 30, 10), "logistic", 10),
    Workload((784, 32, 16, 10), "relu", 16),
    Workload((784, 256, 64, 10), "relu", 32),
    Workload((784, 256, 64, 10), "relu", 128),
    Workload((784, 1024, 1024, 10), "relu", 128),
)


def images(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Made-up samples, uint8 (n, 784), and labels, int64 (n,), of 10 classes.

    As in MNIST 19% of the pixels are not zero, most of them in the middle, and in a mini-batch of 128 a third of the
    columns is zero throughout. The classes cannot be learned.
    """
    rng = np.random.default_rng(seed)
    squares = ((np.arange(SIDE) - (SIDE - 1) / 2) / 13) ** 2
    density = 0.57 * np.maximum(1 - squares[:, None] - squares, 0).ravel()
    X = rng.integers(1, 256, (n, SIDE * SIDE), np.uint8)
    for first in range(0, n, 4096):
        chunk = X[first : first + 4096]
        chunk[rng.random(chunk.shape, np.float32) >= density] = 0
    return X, rng.integers(0, 10, n)


def training_seconds(workload: Workload, X: np.ndarray, y: np.ndarray, n_threads: int, effort: Effort) -> float:
    """Seconds of the best epoch over these samples."""

    def fit(max_epochs: int) -> float:
        trainer = Trainer(
            workload.network(), optimizer=workload.optimizer(), batch_size=workload.batch_size, max_epochs=max_epochs,
            n_threads=n_threads, verbose=0,
        )  # fmt: skip
        return min(trainer.fit(X, y)["seconds"])

    first = fit(1)
    return min(first, fit(max(3, min(1000, int(effort.training_seconds / first)))))


def measure(workload: Workload, counts: list[int], effort: Effort) -> dict[str, Any]:
    """Samples a second with each of these numbers of threads, in ascending order, and with the default one."""
    X, y = images(workload.n_samples(effort))
    speeds = {n: len(X) / training_seconds(workload, X, y, n, effort) for n in counts}
    default = max(n for n in counts if n <= workload.default_threads(counts[-1]))
    speed = speeds[default]
    return {
        "name": workload.name,
        "sizes": list(workload.sizes),
        "activation": workload.activation,
        "batch_size": workload.batch_size,
        "n_samples": len(X),
        "threads": default,
        "samples_per_second": speed,
        "gflops": speed * workload.operations / 1e9,
        "scaling": {str(n): speeds[n] for n in counts},
    }
