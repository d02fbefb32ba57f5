"""Interleaves the contestants: round after round, every one takes its turn, so that a slow minute hits all alike."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from peers import data, referee, worker
from peers.contestants import CONTESTANTS, with_numpy
from peers.jobs import PEAK, Prediction, Processes, Training
from peers.results import Entry, Outcome

# Threads of the one before, which wait for work by spinning, have gone to sleep by then
PAUSE_SECONDS = 0.25
LIMIT_SECONDS = 900.0

Say = Callable[[str], None]


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Worker:
    """The near end of a contestant's process."""

    def __init__(self, name: str, n_threads: int, logs: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, far = context.Pipe()
        log = logs / f"{name}-{n_threads}.log"
        with _environment(worker.environment(n_threads)):
            self.process = context.Process(
                target=worker.serve, args=(CONTESTANTS[name], n_threads, far, log), daemon=True
            )
            self.process.start()
        far.close()

    def ask(self, *request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer; a process that is gone or hangs has failed."""
        try:
            self.connection.send(request)
            if self.connection.poll(LIMIT_SECONDS):
                return self.connection.recv()
            self.close()
            return {"status": "failed", "note": f"no answer within {LIMIT_SECONDS:.0f} s"}
        except (EOFError, OSError):
            self.process.join(10)
            return {"status": "failed", "note": f"its process ended with code {self.process.exitcode}"}

    def is_alive(self) -> bool:
        return self.process.is_alive()

    def close(self) -> None:
        """End the process."""
        self.connection.close()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class Team:
    """The processes of a run, started when they are first needed."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.workers: dict[tuple[str, int], Worker] = {}

    def __enter__(self) -> Team:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for each in self.workers.values():
            each.close()

    def __getitem__(self, key: tuple[str, int]) -> Worker:
        if key not in self.workers or not self.workers[key].is_alive():
            self.workers[key] = Worker(*key, self.logs)
        return self.workers[key]


def thread_counts(available: int) -> tuple[int, ...]:
    """1, 2, 4 ... and all that are available."""
    powers = [2**i for i in range(available.bit_length()) if 2**i < available]
    return (*powers, available)


def compete(
    job: Training | Prediction,
    team: Team,
    threads: tuple[int, ...],
    n_rounds: int,
    say: Say,
    pause: float = PAUSE_SECONDS,
) -> Outcome:
    """Check the contestants at a training or prediction, then time them in turns."""
    outcome = Outcome(job, "fastnn")
    with tempfile.TemporaryDirectory(prefix="compare-peers-") as scratch:
        folder = Path(scratch)
        data.write(job, folder)
        judge = _judge(job, folder)
        for name in job.contestants:
            for n_threads in job.threads or threads:
                say(f"{job.name}: {name}, {n_threads} threads: check")
                entry = Entry(name, n_threads)
                _answer(entry, team[name, n_threads].ask("open", job, folder), judge.check)
                outcome.entries.append(entry)
        for i in range(n_rounds):
            for entry in outcome.entries:
                if entry.status == "ok":
                    say(f"{job.name}: {entry.contestant}, {entry.threads} threads: round {i + 1} of {n_rounds}")
                    time.sleep(pause)
                    _answer(entry, team[entry.contestant, entry.threads].ask("round"), judge.after_round)
    for name, n_threads in {(e.contestant, e.threads) for e in outcome.entries}:
        if team[name, n_threads].is_alive():
            team[name, n_threads].ask("close")
    judge.compare(outcome.entries)
    return outcome


def _answer(entry: Entry, answer: dict[str, Any], judge: Callable[[Entry, dict[str, Any]], None]) -> None:
    """Note what a worker answered, and what the referee thinks of it."""
    if answer["status"] != "ok":
        entry.status, entry.note = answer["status"], answer["note"]
        return
    if "seconds" in answer:
        entry.values.append(answer["seconds"])
    entry.operations = answer.get("operations")
    judge(entry, answer)


def _refuse(entry: Entry, objection: str) -> None:
    if objection:
        entry.status, entry.note = "refused", objection


class _TrainingJudge:
    def __init__(self, job: Training, folder: Path) -> None:
        order = data.order(referee.check_samples(job), job.epochs, job.shuffle)
        np.save(folder / "check.npy", order)
        self.referee = referee.Referee(job, data.read(folder), order, data.read_parameters(folder))

    def check(self, entry: Entry, answer: dict[str, Any]) -> None:
        if entry.contestant != PEAK:
            _refuse(entry, self.referee.objection(answer["parameters"]))

    def after_round(self, entry: Entry, answer: dict[str, Any]) -> None:
        if entry.contestant != PEAK:
            entry.loss = self.referee.loss(answer["parameters"])

    def compare(self, entries: list[Entry]) -> None:
        losses = [e.loss for e in entries if e.counts and e.loss is not None]
        for entry in entries:
            if entry.counts and entry.loss is not None:
                _refuse(entry, referee.final_objection(entry.loss, losses))


class _PredictionJudge:
    def __init__(self, job: Prediction, folder: Path) -> None:
        X = data.read(folder).X.astype(np.float64)
        weights, biases = ([a.astype(np.float64) for a in arrays] for arrays in data.read_parameters(folder))
        self.expected = with_numpy.forward(X, weights, biases, job.activation, job.output)[-1]

    def check(self, entry: Entry, answer: dict[str, Any]) -> None:
        _refuse(entry, referee.output_objection(answer["outputs"], self.expected))

    def after_round(self, entry: Entry, answer: dict[str, Any]) -> None:
        """The outputs were checked before."""

    def compare(self, entries: list[Entry]) -> None:
        """The outputs were checked before."""


def _judge(job: Training | Prediction, folder: Path) -> _TrainingJudge | _PredictionJudge:
    return _TrainingJudge(job, folder) if isinstance(job, Training) else _PredictionJudge(job, folder)


def run_processes(job: Processes, n_rounds: int, say: Say, pause: float = PAUSE_SECONDS) -> Outcome:
    """Time whole processes in turns; before several, one that does not count fills the caches of compiled kernels."""
    outcome = Outcome(job, job.base)
    entries: dict[str, Entry] = {}
    failed: set[str] = set()
    for i in range(-1 if n_rounds > 1 else 0, n_rounds):
        for name, command in job.commands.items():
            if name in failed or (i < 0 and name in job.cold):
                continue
            say(f"{job.name}: {name}: " + (f"round {i + 1} of {n_rounds}" if i >= 0 else "warm-up"))
            time.sleep(pause)
            figures = _run_process(name, command, name in job.cold)
            if isinstance(figures, Entry):
                failed.add(name)
                entries[name] = figures
            elif i >= 0:
                for label, value in figures.items():
                    entries.setdefault(label, Entry(label)).values.append(value)
    outcome.entries = list(entries.values())
    return outcome


def _run_process(name: str, command: tuple[str, ...], cold: bool) -> dict[str, float] | Entry:
    """Figures of one process by name, or an entry that says why there are none."""
    with tempfile.TemporaryDirectory(prefix="compare-peers-") as scratch:
        caches = ("FASTNN_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR") if cold else ()
        environment = os.environ | dict.fromkeys(caches, scratch) | {"JAX_PLATFORMS": "cpu"}
        command = (sys.executable, "-P", *command)
        start = time.perf_counter()
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            return Entry(name, status="failed", note=f"not done within {LIMIT_SECONDS:.0f} s")
        seconds = time.perf_counter() - start
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        missing = last.startswith("ModuleNotFoundError")
        return Entry(name, status="missing" if missing else "failed", note=f"{'not installed: ' * missing}{last}")
    lines = done.stdout.strip().splitlines()
    return json.loads(lines[-1]) if lines else {name: seconds}
