"""One contestant with a number of threads in a process of its own, which serves one job after another.

It answers each request with a dict, whose "status" is "ok", "missing" (the library is not installed), "unsupported"
or "failed"; the latter three come with a "note".
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from peers import data
from peers.contestants import Contestant
from peers.jobs import Prediction, Training


def environment(n_threads: int) -> dict[str, str]:
    """What must be set before a process starts so that the libraries in it use `n_threads` threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    settings = dict.fromkeys(names, str(n_threads)) | {"JAX_PLATFORMS": "cpu"}
    if n_threads == 1:
        settings["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    return settings


def serve(entry: Contestant, n_threads: int, connection: Connection, log: Path) -> None:
    """Answer requests until the connection closes. Runs in the new process; what it prints goes to `log`."""
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    session: _Session | None = None
    while True:
        try:
            command, *arguments = connection.recv()
        except EOFError:
            return
        try:
            if command == "open":
                session = None
                gc.collect()
                session = _Session(entry, n_threads, *arguments)
                answer = session.check()
            elif command == "round":
                assert session is not None
                answer = session.round()
            else:
                session, answer = None, {}
            connection.send({"status": "ok"} | answer)
        except ModuleNotFoundError as error:
            connection.send({"status": "missing", "note": f"not installed: {error}"})
        except NotImplementedError as error:
            connection.send({"status": "unsupported", "note": str(error)})
        except Exception as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            text = " ".join(str(error).split())[:200]
            connection.send({"status": "failed", "note": f"{type(error).__name__}: {text}"})


class _Session:
    """A contestant at one job."""

    def __init__(self, entry: Contestant, n_threads: int, job: Training | Prediction, folder: Path) -> None:
        # XLA takes as many threads as the process has cores
        if entry.package == "jax" and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n_threads])
        module = importlib.import_module(f"peers.contestants.{entry.module}")
        self.job, self.folder = job, folder
        self.training = isinstance(job, Training)
        self.contestant = getattr(module, entry.trains if self.training else entry.predicts)(job, n_threads)
        self.samples = data.read(folder, entry.pixels)
        self.first = data.read_parameters(folder)

    def check(self) -> dict[str, Any]:
        """Do the work that the referee judges: a few steps, or one call."""
        if not self.training:
            self.contestant.begin(self.samples.X, self.first)
            return {"outputs": np.array(self.contestant.run())}
        if not hasattr(self.contestant, "parameters"):
            return {}
        self._train(self.samples.first(np.load(self.folder / "check.npy")))
        return {"parameters": self.contestant.parameters()}

    def round(self) -> dict[str, Any]:
        """Do the timed work: seconds for all of it."""
        if self.training:
            answer: dict[str, Any] = {"seconds": self._train(self.samples)}
            if hasattr(self.contestant, "operations"):
                return answer | {"operations": self.contestant.operations}
            return answer | {"parameters": self.contestant.parameters()}
        run = self.contestant.run
        start = time.perf_counter()
        for _ in range(self.job.calls):
            run()
        return {"seconds": time.perf_counter() - start}

    def _train(self, samples: data.Samples) -> float:
        self.contestant.begin(samples, self.first)
        start = time.perf_counter()
        self.contestant.run()
        seconds = time.perf_counter() - start
        return getattr(self.contestant, "seconds", seconds)
