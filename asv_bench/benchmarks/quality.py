"""Speed without parity is nothing: the loss after a fixed run, seconds to a score, and the ratio to plain NumPy."""

import os
import time

import numpy as np

import fastnn

from .common import NETWORKS, images, network, trainer


class Loss:
    """Training loss after three epochs: the same on every commit, unless the mathematics changed."""

    param_names = ("network", "dtype")
    params = (list(NETWORKS)[:3], ["float32", "float64"])
    unit = "loss"

    def track_loss(self, name, dtype):
        X, y = images(4096)
        return trainer(network(name, dtype), 32, None, 3).fit(X, y)["train_loss"][-1]


class Race:
    """Seconds of training until 97% of the test set are right; MNIST where FASTNN_DATA names it."""

    param_names = ("data",)
    params = (["digits", "mnist"],)
    unit = "s"
    number = 1
    timeout = 120

    def setup(self, name):
        if name == "mnist" and not os.environ.get("FASTNN_DATA"):
            raise NotImplementedError("FASTNN_DATA is not set")
        from fastnn.datasets import load

        self.data = load(name)
        trainer(self._network(), 64, None).fit(self.data.X[:64], self.data.y[:64])

    def _network(self):
        return fastnn.MLP([self.data.X.shape[1], 128, 10], input_scale=self.data.input_scale)

    def track_seconds_to_97(self, name):
        seconds = []
        for _ in range(3):
            race = trainer(self._network(), 64, None, 30, optimizer=fastnn.SGD(0.1, momentum=0.5))
            start = time.perf_counter()
            arrival = fastnn.LambdaCallback(on_epoch_end=lambda epoch, logs, race=race: self._stop_at_97(race, logs))
            race.callbacks = [arrival]
            race.fit(self.data.X, self.data.y, self.data.X_test, self.data.y_test)
            seconds.append(time.perf_counter() - start)
            if race.history["val_accuracy"][-1] < 0.97:
                return float("nan")
        return min(seconds)

    @staticmethod
    def _stop_at_97(race, logs):
        race.stop_training = logs["val_accuracy"] >= 0.97


class RatioToNumPy:
    """Seconds of an epoch over those of plain NumPy doing the same, in turn, on one thread each."""

    param_names = ("network, mini-batch",)
    params = (["784-30-10 logistic, 10", "784-256-64-10, 128"],)
    unit = "ratio"

    def setup(self, job):
        name, _, batch_size = job.rpartition(", ")
        self.batch_size = int(batch_size)
        self.X, self.y = images(2560)
        self.activation = NETWORKS[name][1]
        self.net = network(name)
        self.trainer = trainer(self.net, self.batch_size, 1)
        self.trainer.fit(self.X, self.y)

    def track_ratio(self, job):
        from threadpoolctl import threadpool_limits

        ours, theirs = [], []
        with threadpool_limits(1):
            for _ in range(5):
                ours.append(_seconds(lambda: self.trainer.fit(self.X, self.y)))
                theirs.append(_seconds(self._numpy_epoch))
        return min(ours) / min(theirs)

    def _numpy_epoch(self):
        """Momentum SGD with softmax and cross-entropy, as one writes it."""
        weights, biases = ([a.copy() for a in arrays] for arrays in (self.net.weights, self.net.biases))
        velocities = [np.zeros_like(a) for a in weights + biases]
        order = np.random.default_rng(0).permutation(len(self.X))
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            acts = [self.X[rows].astype(np.float32) / np.float32(255)]
            for W, b in zip(weights[:-1], biases[:-1], strict=True):
                z = acts[-1] @ W + b
                acts.append(1 / (1 + np.exp(-z)) if self.activation == "logistic" else np.maximum(z, 0))
            z = acts[-1] @ weights[-1] + biases[-1]
            p = np.exp(z - z.max(axis=1, keepdims=True))
            delta = p / p.sum(axis=1, keepdims=True)
            delta[np.arange(len(rows)), self.y[rows]] -= 1
            delta /= len(rows)
            gradients = []
            for l in reversed(range(len(weights))):
                gradients.append((acts[l].T @ delta, delta.sum(axis=0)))
                if l:
                    slope = acts[l] * (1 - acts[l]) if self.activation == "logistic" else acts[l] > 0
                    delta = delta @ weights[l].T * slope
            dW, db = zip(*reversed(gradients), strict=True)
            for p, v, g in zip(weights + biases, velocities, dW + db, strict=True):
                v *= 0.9
                v -= 0.02 * g
                p += v


def _seconds(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
