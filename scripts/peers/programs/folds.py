"""10-fold cross-validation with fastnn, 784-256-64-10: one fold after the other, then one a core; prints seconds.

Every network is trained by one thread, both times; the fingerprints of the networks must be the same.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import fastnn
from fastnn import datasets
from fastnn.engine.launch import available_cores

N_FOLDS = 10


def main() -> None:
    """Print {"one after the other": seconds, "in parallel": seconds} as JSON."""
    n_rows = 500 if "--quick" in sys.argv else 20_000
    mnist = datasets.load("mnist")
    assert mnist.y is not None
    X, y = mnist.X[:n_rows], mnist.y[:n_rows]
    kept = [np.arange(n_rows) % N_FOLDS != fold for fold in range(N_FOLDS)]
    parts = [(X[rows], y[rows]) for rows in kept]

    def fit(fold: int) -> str:
        net = fastnn.MLP([784, 256, 64, 10], seed=fold)
        fastnn.Trainer(net, optimizer=fastnn.SGD(0.05, 0.9), max_epochs=2, n_threads=1, verbose=0).fit(*parts[fold])
        return net.fingerprint()

    fit(0)
    start = time.perf_counter()
    alone = [fit(fold) for fold in range(N_FOLDS)]
    middle = time.perf_counter()
    with ThreadPoolExecutor(available_cores()) as pool:
        together = list(pool.map(fit, range(N_FOLDS)))
    end = time.perf_counter()
    if alone != together:
        sys.exit("folds that were trained in parallel are not the same networks")
    print(json.dumps({"one after the other": middle - start, "in parallel": end - middle}))


if __name__ == "__main__":
    main()
