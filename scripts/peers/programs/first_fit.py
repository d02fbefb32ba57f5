"""The first fit of a process: 784-256-64-10 on 2,000 rows, with the library that the argument names."""

from __future__ import annotations

import importlib
import sys

import numpy as np

from peers import data
from peers.contestants import CONTESTANTS
from peers.jobs import Training


def main() -> None:
    """Import the library, train once and end."""
    entry = CONTESTANTS[sys.argv[1]]
    n_rows = 2_000
    job = Training("first fit", (784, 256, 64, 10), 128, n_rows=n_rows, shuffle=False)
    rng = np.random.default_rng(0)
    samples = data.Samples(
        rng.random((n_rows, 784), np.float32),
        rng.integers(0, 10, n_rows),
        data.order(n_rows, 1, shuffle=False),
    )
    module = importlib.import_module(f"peers.contestants.{entry.module}")
    contestant = getattr(module, entry.trains)(job, 1)
    contestant.begin(samples, data.first_parameters(job.sizes, job.activation, job.dtype))
    contestant.run()


if __name__ == "__main__":
    main()
