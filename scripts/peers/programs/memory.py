"""Peak memory of a process that trains on MNIST, with the library that the argument names; prints megabytes.

fastnn trains from the uint8 pixels. The others need float32, made before: they read it as such, and nothing else.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np

from peers import data
from peers.contestants import CONTESTANTS
from peers.jobs import Training


def peak_megabytes() -> float:
    """Largest resident set of this process so far, 10^6 bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the process that started this one, up to the start
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def main() -> None:
    """Train for an epoch and print the peak as JSON."""
    name = sys.argv[1]
    entry = CONTESTANTS[name]
    n_rows = 2_000 if "--quick" in sys.argv else 60_000
    job = Training("memory", (784, 256, 64, 10), 128, n_rows=n_rows, shuffle=False)
    X = np.zeros((n_rows, 784), np.uint8 if entry.pixels else np.float32)
    X += 1  # touches every page
    samples = data.Samples(X, np.arange(n_rows) % 10, data.order(n_rows, 1, shuffle=False))
    module = importlib.import_module(f"peers.contestants.{entry.module}")
    contestant = getattr(module, entry.trains)(job, 1)
    contestant.begin(samples, data.first_parameters(job.sizes, job.activation, job.dtype))
    contestant.run()
    print(json.dumps({name: peak_megabytes()}))


if __name__ == "__main__":
    main()
