"""Seconds of an epoch, and of fits so small that everything around the epochs counts."""

import numpy as np

from .common import NETWORKS, images, network, skip_beyond_cores, trainer


class Epoch:
    """One epoch of a new fit, its plan and its gang of threads included."""

    param_names = ("network, mini-batch", "threads", "dtype")
    params = (
        ["784-30-10 logistic, 10", "784-32-16-10, 16", "784-256-64-10, 32", "784-256-64-10, 128",
         "784-1024-1024-10, 128"],
        [1, 2, 8],
        ["float32", "float64"],
    )  # fmt: skip
    repeat = (3, 20, 3.0)

    def setup(self, job, n_threads, dtype):
        skip_beyond_cores(n_threads)
        name, _, batch_size = job.rpartition(", ")
        self.X, self.y = images(NETWORKS[name][2])
        self.trainer = trainer(network(name, dtype), int(batch_size), n_threads)
        self.trainer.fit(self.X[:256], self.y[:256])

    def time_epoch(self, job, n_threads, dtype):
        self.trainer.fit(self.X, self.y)


class MatrixUnit:
    """As Epoch, products of wide layers on the CPU's matrix unit, where it has one."""

    param_names = ("threads",)
    params = ([1, 2, 8],)
    repeat = (3, 20, 3.0)

    def setup(self, n_threads):
        skip_beyond_cores(n_threads)
        name = "784-1024-1024-10"
        self.X, self.y = images(NETWORKS[name][2])
        try:
            self.trainer = trainer(network(name), 128, n_threads, matmul="bf16x3")
        except (TypeError, ValueError) as error:  # a commit without the choice, or a machine without the unit
            raise NotImplementedError(str(error)) from None
        self.trainer.fit(self.X[:256], self.y[:256])

    def time_epoch(self, n_threads):
        self.trainer.fit(self.X, self.y)


class MiniBatch:
    """How the size of the mini-batch matters: an epoch of the same samples."""

    param_names = ("mini-batch",)
    params = ([1, 8, 128, 1024],)
    repeat = (3, 20, 3.0)

    def setup(self, batch_size):
        self.X, self.y = images(4096)
        self.trainer = trainer(network("784-256-64-10"), batch_size, None)
        self.trainer.fit(self.X, self.y)

    def time_epoch(self, batch_size):
        self.trainer.fit(self.X, self.y)


class SmallData:
    """The digits of scikit-learn, 64-16-12-10, 5 epochs; and a fit of 100 rows."""

    def setup(self):
        from sklearn.datasets import load_digits

        import fastnn

        self.X, self.y = load_digits(return_X_y=True)
        self.X = self.X.astype(np.float32)
        self.net = fastnn.MLP([64, 16, 12, 10], activation="logistic", input_scale=1 / 16)
        self.row_by_row = trainer(self.net, 1, None, 5)
        self.few = trainer(self.net, 10, None, 1)
        self.few.fit(self.X[:100], self.y[:100])

    def time_digits_row_by_row(self):
        self.row_by_row.fit(self.X, self.y)

    def time_hundred_rows(self):
        self.few.fit(self.X[:100], self.y[:100])
