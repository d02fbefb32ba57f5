"""Networks, made-up samples and trainers that the benchmarks share. Only the public API, so that old commits run.

asv drops old results when the source of a benchmark changes, but it does not look here: whoever changes what is
measured gives the benchmarks that use it a new `version`, or old and new figures are compared.
"""

import os

import numpy as np

import fastnn

# Sizes, activation of the hidden layers, samples of an epoch: a few hundredths to tenths of a second
NETWORKS = {
    "784-30-10 logistic": ([784, 30, 10], "logistic", 30_000),
    "784-32-16-10": ([784, 32, 16, 10], "relu", 30_000),
    "784-256-64-10": ([784, 256, 64, 10], "relu", 8_192),
    "784-1024-1024-10": ([784, 1024, 1024, 10], "relu", 1_024),
}


def cores():
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def skip_beyond_cores(n_threads):
    """Let asv leave out this combination if there are fewer cores."""
    if n_threads > cores():
        raise NotImplementedError(f"needs {n_threads} cores")


def images(n, seed=0):
    """Samples uint8 (n, 784) with 19% of non-zeros in the middle, as in MNIST, and labels of 10 learnable classes."""
    rng = np.random.default_rng(seed)
    squares = ((np.arange(28) - 13.5) / 13) ** 2
    density = 0.57 * np.maximum(1 - squares[:, None] - squares, 0).ravel()
    y = rng.integers(0, 10, n)
    # each class prefers some pixels
    preference = 2 * np.random.default_rng(1).random((10, 784), np.float32)
    X = rng.integers(1, 256, (n, 784), np.uint8)
    for first in range(0, n, 4096):
        part = slice(first, first + 4096)
        X[part][rng.random(X[part].shape, np.float32) >= density * preference[y[part]]] = 0
    return X, y


def network(name, dtype="float32"):
    sizes, activation, _ = NETWORKS[name]
    return fastnn.MLP(sizes, activation=activation, dtype=dtype)


def trainer(net, batch_size, n_threads, max_epochs=1, **choices):
    choices = {"optimizer": fastnn.SGD(0.02, momentum=0.9), "verbose": 0} | choices
    return fastnn.Trainer(net, batch_size=batch_size, n_threads=n_threads, max_epochs=max_epochs, **choices)
