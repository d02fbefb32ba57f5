"""FLOOR 3: starts programs: how many ranks, the gang of threads, stop flag, progress, Ctrl-C.

The calling thread does not compute while a gang does: it waits, so that Python stays responsive. A short
run of one rank is made in the calling thread: waking a gang takes about 0.1 ms.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import threading
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastnn import _checks, _machine_code
from fastnn.engine import compiling
from fastnn.kernels.control import ABORT, CONTROL_WORDS, PROGRESS, SPIN, STOP
from fastnn.kernels.words import signature, words


class Program(NamedTuple):
    """What a gang can run."""

    name: str  # of kernels.programs, if there is no piece
    piece: Any = None  # of elsewhere: never kept on disk, for the cache's key does not cover its source


TRAIN, PREDICT = Program("train"), Program("predict")

# Below this many floating-point operations another rank costs a prediction more than it saves: its thread and its
# scratch memory take some 0.4 ms. 784-256-64-10 on one rank and on two: 256 samples 0.41 and 0.79 ms, 1,024 1.6 and 1.4
OPERATIONS_A_RANK = 100_000_000
# Runs expected to be shorter stay in the calling thread, where Ctrl-C has to wait for them
SHORT_SECONDS = 0.02
# For such estimates only; a floor of what one core does
_OPERATIONS_A_SECOND = 3e10
_POLL_SECONDS = 0.05


def available_cores() -> int:
    """Cores that this process may use: its affinity, limited by the quota of its control group (Linux)."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    return max(1, min(cores, _quota_of_control_group()))


def _cores_of_ranks(n_ranks: int) -> list[int]:
    """A core for each rank if they take all that this process may use (Linux), else none: others may be busy.

    Threads that move about made an epoch of 784-256-64-10 at 128 on two cores take 0.138 s instead of 0.128 (means).
    """
    try:
        cores = sorted(os.sched_getaffinity(0))
    except AttributeError:
        return []
    return cores if len(cores) == n_ranks > 1 else []


def _quota_of_control_group(root: Path = Path("/sys/fs/cgroup")) -> int:
    """CPU quota in whole cores, rounded up; a large number without one."""
    try:
        if (root / "cpu.max").exists():
            quota, period = (root / "cpu.max").read_text().split()
        else:
            quota = (root / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu/cpu.cfs_period_us").read_text().strip()
        return max(1, -(-int(quota) // int(period))) if quota not in ("max", "-1") else 2**30
    except (OSError, ValueError):
        return 2**30


def most_ranks(n_threads: int | None = None) -> int:
    """`n_threads` if given, else FASTNN_NUM_THREADS, else the available cores."""
    if n_threads is not None:
        return _checks.integer("n_threads", n_threads, 1, 1024)
    text = os.environ.get("FASTNN_NUM_THREADS", "").strip()
    if not text:
        return available_cores()
    try:
        return _checks.integer("FASTNN_NUM_THREADS", int(text), 1, 1024)
    except ValueError:
        raise ValueError(f"FASTNN_NUM_THREADS must be a whole number from 1 to 1024, got {text!r}") from None


def useful_ranks(operations: float, n_threads: int | None = None) -> int:
    """Ranks for a prediction of this many floating-point operations; a given `n_threads` is taken at its word."""
    if n_threads is None and operations < 2 * OPERATIONS_A_RANK:
        return 1  # without asking the system for its cores, which takes longer than a row does
    most = most_ranks(n_threads)
    return most if n_threads is not None else max(1, min(most, int(operations // OPERATIONS_A_RANK)))


def expected_seconds(operations: float, n_ranks: int) -> float:
    """A rough guess at the time of a run, to decide how to start it."""
    return operations / (_OPERATIONS_A_SECOND * n_ranks)


_busy: weakref.WeakSet[Gang] = weakref.WeakSet()


@atexit.register
def _drain() -> None:
    """Stop gangs that still run when Python ends (started by a daemon thread), before their arrays are freed."""
    gangs = list(_busy)
    for each in gangs:
        each.control[STOP] = 1
    for each in gangs:
        each._done.wait(10)


# Gangs that nobody uses just now, by ranks: starting one takes some 0.4 ms
_kept: dict[int, Gang] = {}

if hasattr(os, "register_at_fork"):
    for each in (_busy, _kept):
        os.register_at_fork(after_in_child=each.clear)  # the threads of these gangs stay with the parent


@contextlib.contextmanager
def borrowed_gang(n_ranks: int) -> Iterator[Gang]:
    """A gang that was kept, or a new one; kept afterwards, unless one is or it ended by an exception."""
    gang = _kept.pop(n_ranks, None) or Gang(n_ranks)
    with contextlib.ExitStack() as stack:
        stack.enter_context(gang)
        yield gang
        if _kept.setdefault(n_ranks, gang) is gang:
            stack.pop_all()


# Machine code that was loaded, by program and signature of the arguments
_loaded: dict[Hashable, _machine_code.Function] = {}
_loading = threading.Lock()


def _new_lock() -> None:
    global _loading
    _loading = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)  # whoever held it stays with the parent


def _load(program: Program, arguments: tuple[Any, ...]) -> _machine_code.Function:
    """The machine code of a program for such arguments: loaded before, kept on disk, or compiled now."""
    key = program, signature(arguments)
    if key in _loaded:  # without waiting for what another thread compiles
        return _loaded[key]
    with _loading:
        if key in _loaded:
            return _loaded[key]
        if program.piece:
            from fastnn.kernels import programs  # Numba: not before something has to be compiled

            codes = [programs.whole(program.piece, key[1])]
        else:
            codes = compiling.machine_codes(program.name, key[1], _has_help)
        _loaded[key] = _machine_code.Function(codes)
        return _loaded[key]


def _has_help() -> bool:
    """Whether other cores may compile: not if the user allows for one thread."""
    try:
        return most_ranks() > 1
    except ValueError:  # said where threads are asked for
        return available_cores() > 1


@contextlib.contextmanager
def loading(program: Program, arguments: tuple[Any, ...]) -> Iterator[None]:
    """Have a program compiled meanwhile for (control, ...), as what is done now will need it, if another core can."""
    kind = signature((0, 1, *arguments))
    if (program, kind) in _loaded or not _has_help() or not _loading.acquire(blocking=False):
        yield
        return
    try:
        compiling.begin(program.name, kind)
    finally:
        _loading.release()
    try:
        yield
    finally:
        compiling.end(program.name, kind)


class Call:
    """A program with its arguments, to be run by all ranks of a gang; it may be run again.

    `after` is what the last rank to leave does, before anybody knows that they have.
    """

    def __init__(self, program: Program, arguments: Sequence[tuple[Any, ...]], after: Callable[[], None]) -> None:
        self._kept = arguments  # the words are addresses of them
        self.after = after
        ranks = list(enumerate(arguments))
        self._function = _load(program, (0, len(ranks), *arguments[0]))  # must live as long as it may run
        self._words = np.array([words((rank, len(ranks), *each)) for rank, each in ranks], np.int64)
        self._runs = [self._function.on(row.ctypes.data) for row in self._words]

    def run(self, rank: int) -> None:
        """Run the part of one rank, without the GIL; returns when it has left."""
        if self._runs[rank]():
            raise RuntimeError("a compiled kernel ended by an exception, which is a bug of fastnn")


class Gang:
    """Threads that run programs together.

    Attributes
    ----------
    control : int64 array
        The words by which ranks and caller communicate (kernels.control).
    """

    def __init__(self, n_ranks: int) -> None:
        self.n_ranks = n_ranks
        self.control = np.zeros(CONTROL_WORDS, np.int64)
        self._words_of_a_run = self.control[:SPIN]  # all that is before it begins with zeros
        self.control[SPIN] = n_ranks == 1 or n_ranks <= available_cores()  # one rank waits for nobody
        self._cores = _cores_of_ranks(n_ranks)
        self._jobs: list[queue.SimpleQueue] = []
        self._threads: list[threading.Thread] = []
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._running = 0
        self._serial = 0
        self._error: BaseException | None = None

    def __enter__(self) -> Gang:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for jobs in self._jobs:
            jobs.put(None)
        self._jobs.clear()

    def prepare(self, program: Program, *arguments: tuple[Any, ...], after: Callable[[], None] = lambda: None) -> Call:
        """The program with these arguments, compiled or loaded if need be: no rank waits for a compiler.

        Parameters
        ----------
        program : Program
        *arguments : tuple
            One for all ranks, or one for each.
        after : callable
            What is done once all ranks have left, by the last one: there no Ctrl-C can come between.
        """
        of_ranks = arguments if len(arguments) > 1 else arguments * self.n_ranks
        return Call(program, [(self.control, *each) for each in of_ranks], after)

    def run(
        self,
        call: Call,
        *,
        expected_seconds: float,
        tick: Callable[[int], None] | None = None,
    ) -> None:
        """Run what was prepared on every rank and wait for all.

        Parameters
        ----------
        call : Call
            What `prepare` of this gang returned.
        expected_seconds : float
            Decides whether a single rank runs in the calling thread.
        tick : callable, optional
            Called about 20 times a second with the PROGRESS word.

        Raises
        ------
        KeyboardInterrupt
            After all ranks have left at the end of a step; the weights are consistent.
        """
        self._words_of_a_run.fill(0)
        if self.n_ranks == 1 and expected_seconds < SHORT_SECONDS:
            call.run(0)
            call.after()
            return
        self._start_threads()
        self._done.clear()
        self._error = None
        self._running = self.n_ranks
        self._serial += 1
        _busy.add(self)
        interrupted = self._start_and_wait((self._serial, call), tick)
        _busy.discard(self)
        if self._error is not None:
            raise self._error
        if interrupted is not None:
            raise interrupted

    def _start_threads(self) -> None:
        for rank in range(len(self._threads), self.n_ranks):
            jobs: queue.SimpleQueue = queue.SimpleQueue()
            thread = threading.Thread(target=self._work, args=(rank, jobs), name=f"fastnn-{rank}", daemon=True)
            thread.start()
            self._jobs.append(jobs)
            self._threads.append(thread)

    def _work(self, rank: int, jobs: queue.SimpleQueue) -> None:
        done = 0
        if self._cores:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, {self._cores[rank]})  # of this thread alone
        while (job := jobs.get()) is not None:
            serial, call = job
            if serial == done:
                continue
            done = serial
            if rank == 0:
                for others in self._jobs[1:]:
                    others.put(job)
            try:
                call.run(rank)
            except BaseException as error:
                self._error = error
                self.control[ABORT] = 1
            with self._lock:
                self._running -= 1
                last = self._running == 0
            try:
                if last:
                    call.after()
            except BaseException as error:
                self._error = error
            del job, call
            if last:
                self._done.set()

    def _start_and_wait(self, job: tuple[Any, ...], tick: Callable[[int], None] | None) -> BaseException | None:
        """Hand out a job and wait until every rank has left it; an exception meanwhile (Ctrl-C) stops them.

        It is returned afterwards. Only rank 0 is given the job, and passes it on where no Ctrl-C can come between;
        if one comes just here, it is given the job twice and drops the second. The wait is never by Thread.join or
        is_alive: after Ctrl-C they may say that a thread is gone while its kernel runs.
        """
        raised: BaseException | None = None
        given = False
        while not self._done.is_set():
            try:
                if not given:
                    self._jobs[0].put(job)
                    given = True
                if not self._done.wait(_POLL_SECONDS) and tick is not None and raised is None:
                    tick(int(self.control[PROGRESS]))
            except BaseException as error:
                raised = error
                self.control[STOP] = 1
        return raised
