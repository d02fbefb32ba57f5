"""fastnn by its public face: Trainer.fit and MLP.predict_proba."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import fastnn
from fastnn.engine import matrix_unit
from peers.data import SEED, Parameters, Samples
from peers.jobs import Prediction, Training


def _network(job: Training | Prediction, X: np.ndarray, parameters: Parameters) -> fastnn.MLP:
    scale = 1 / 16 if job.data == "digits" and X.dtype == np.uint8 else None
    return fastnn.MLP(
        job.sizes,
        activation=job.activation,
        output=job.output,
        init=parameters,
        dtype=job.dtype,
        input_scale=scale,
    )


class _Clock(fastnn.Callback):
    start = end = 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.end = time.perf_counter()


class Trains:
    """Makes its own order of the samples, on the clock; it must be the one that the others got ready-made.

    The clock is ours, from the beginning of the first epoch to the end of the last: the checks of X and y, made once
    a fit, are left out, as are the preparations of the others.
    """

    matmul = "fma"

    def __init__(self, job: Training, n_threads: int) -> None:
        self.job, self.n_threads = job, n_threads

    def begin(self, samples: Samples, parameters: Parameters) -> None:
        job = self.job
        shuffles = job.shuffle
        expected = np.arange(len(samples.X))
        if shuffles:
            from peers.order import shuffled

            expected = shuffled(len(samples.X), SEED, 0)
        if not np.array_equal(expected, samples.order[0]):
            raise ValueError("the order of the samples is not the one that fastnn takes")
        self.net = _network(job, samples.X, parameters)
        self.X, self.y = samples.X, samples.y
        self.clock = _Clock()
        self.trainer = fastnn.Trainer(
            self.net,
            loss=job.loss,
            optimizer=fastnn.SGD(job.rate, job.momentum),
            batch_size=job.batch_size,
            max_epochs=len(samples.order),
            shuffle=shuffles,
            seed=SEED,
            matmul=self.matmul,
            n_threads=self.n_threads,
            verbose=0,
            callbacks=[self.clock],
        )

    def run(self) -> None:
        self.trainer.fit(self.X, self.y)
        self.seconds = self.clock.end - self.clock.start

    def parameters(self) -> Parameters:
        return self.net.weights, self.net.biases


class TrainsOnMatrixUnit(Trains):
    """The same with `matmul="bf16x3"`."""

    matmul = "bf16x3"

    def begin(self, samples: Samples, parameters: Parameters) -> None:
        if not matrix_unit.is_allowed():
            raise NotImplementedError("this machine has no matrix unit for bfloat16")
        super().begin(samples, parameters)


class Predicts:
    """`predict_proba` as everyone calls it."""

    def __init__(self, job: Prediction, n_threads: int) -> None:
        self.job = job

    def begin(self, X: np.ndarray, parameters: Parameters) -> None:
        self.net, self.X = _network(self.job, X, parameters), X

    def run(self) -> np.ndarray:
        return self.net.predict_proba(self.X)


class PredictsUnchecked(Predicts):
    """All of `predict_proba` but the validation of X."""

    def run(self) -> np.ndarray:
        return self.net._predictor.run(self.X, None, 0)[0]


class Peak:
    """The register tile on numbers in L1; it trains nothing. `seconds` is what `operations` take at that speed."""

    operations = 1e11

    def __init__(self, job: Training, n_threads: int) -> None:
        self.n_threads = n_threads

    def begin(self, samples: Samples, parameters: Parameters) -> None:
        """There is nothing to prepare."""

    def run(self) -> None:
        from fastnn.bench.machine import peak_gflops  # and Numba with it, which a first fit does without

        self.seconds = self.operations / (1e9 * peak_gflops(self.n_threads))
