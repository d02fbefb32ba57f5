"""Seconds of predictions: one row, where calls cost, and many, where arithmetic does."""

import numpy as np

import fastnn

from .common import images


class Predict:
    param_names = ("rows", "dtype of X")
    params = ([1, 10_000], ["uint8", "float32"])

    def setup(self, n_rows, dtype):
        self.X = images(n_rows)[0].astype(dtype)
        self.net = fastnn.MLP([784, 128, 64, 10] if n_rows == 1 else [784, 256, 64, 10])
        self.net.predict(self.X)

    def time_predict(self, n_rows, dtype):
        self.net.predict(self.X)


class Evaluate:
    def setup(self):
        self.X, self.y = images(10_000)
        self.trainer = fastnn.Trainer(fastnn.MLP([784, 256, 64, 10]), max_epochs=1, verbose=0)
        self.trainer.fit(self.X[:128], np.arange(128) % 10)
        self.trainer.evaluate(self.X, self.y)

    def time_evaluate(self):
        self.trainer.evaluate(self.X, self.y)
