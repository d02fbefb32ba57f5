"""FLOOR 4: fits: one network on one fold, and several of them at once on threads of this process.

The kernels release the GIL, so one thread a network is all it takes; Ctrl-C stops them at the end of a step.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.engine import costs
from fastnn.engine.callbacks import Callback, Logs
from fastnn.engine.trainer import Trainer
from fastnn.engine.training import DivergenceError
from fastnn.tuning.data import Data
from fastnn.tuning.folds import Fold
from fastnn.tuning.space import Values

MakeTrainer = Callable[[Values, np.ndarray, np.ndarray], Trainer]
CLASS_SCORES = ("f1_macro", "accuracy", "loss")
NUMBER_SCORES = ("r2", "loss")
# Names of the scores in the columns of epochs.csv
SHORT = {"loss": "loss", "accuracy": "accuracy", "f1_macro": "f1", "r2": "r2"}


@dataclass(frozen=True)
class Fit:
    """What is to be done: a network with these values, on this fold.

    `candidate` and `fold` count from 1.
    """

    candidate: int
    fold: int
    values: Values
    key: str


class Samples:
    """The samples of a tuning and what is made of them: trainers, and records of fits.

    Parameters
    ----------
    data : Data
    folds : list of Fold
        Rows of ``data.X``.
    make_trainer : callable
        As `hyperparameters.make_trainer`.
    train_scores : bool
        Evaluate the training part too after every epoch.
    """

    def __init__(self, data: Data, folds: list[Fold], make_trainer: MakeTrainer, train_scores: bool) -> None:
        self.data = data
        self.folds = folds
        self._known = data.y[data.rows]
        self._make_trainer = make_trainer
        self._train_scores = train_scores

    def make_trainer(self, values: Values, X: np.ndarray) -> Trainer:
        """Return a trainer whose network knows all classes, also those that a fold may lack."""
        trainer = self._make_trainer(values, X, self._known)
        if self._known.ndim == 1 and trainer.net.output != "identity":
            classes = np.unique(self._known)
            whole = classes.dtype.kind in "iu" and classes[0] >= 0 and classes[-1] < trainer.net.sizes[-1]
            trainer.net.classes = np.arange(trainer.net.sizes[-1]) if whole else classes
        return trainer

    def fit(self, fit: Fit, n_threads: int, running: Running) -> dict[str, Any] | None:
        """Train and evaluate on one fold; returns its record, or None if it was stopped."""
        if running.stopping:
            return None
        start = time.perf_counter()
        fold = self.folds[fit.fold - 1]
        X, y = self.data.X[fold.training], self.data.y[fold.training]  # the only copy that a fit makes
        validation = self.data.X[fold.validation], self.data.y[fold.validation]
        trainer = self.make_trainer(fit.values, X)
        trainer.n_threads = useful_threads(trainer, n_threads)
        recorder = _Recorder((X, y) if self._train_scores else None, validation, running)
        trainer.callbacks.append(recorder)
        names = NUMBER_SCORES if trainer.net.output == "identity" else CLASS_SCORES
        diverged = ""
        with running.includes(trainer):
            try:
                trainer.fit(X, y)
                scores = trainer.evaluate(*validation)
                if not math.isfinite(scores["loss"]):  # the very last step may be the one that did it
                    diverged = f"the validation loss became {scores['loss']}"
            except DivergenceError as error:
                diverged = str(error)
        if running.stopping and trainer.history.stop_reason == "stopped":
            return None
        return {
            "candidate": fit.candidate,
            "fold": fit.fold,
            "scores": {name: math.nan if diverged else scores[name] for name in names},
            "diverged": diverged,
            "seconds": time.perf_counter() - start,
            "epochs": recorder.rows,
        }


class _Recorder(Callback):
    """Scores both parts after every epoch, and heeds a stop that came before the fit had begun."""

    def __init__(self, training: Any, validation: Any, running: Running) -> None:
        self.rows: list[dict[str, Any]] = []
        self._training = training
        self._validation = validation
        self._running = running

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._heed()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self._heed():
            return
        row = {"epoch": logs["epoch"], "learning_rate": logs["learning_rate"]}
        training = self.trainer.evaluate(*self._training) if self._training else {"loss": logs["train_loss"]}
        row |= {f"train_{SHORT[name]}": score for name, score in training.items()}
        row |= {f"val_{SHORT[name]}": score for name, score in self.trainer.evaluate(*self._validation).items()}
        self.rows.append(row | {"seconds": logs["seconds"]})

    def _heed(self) -> bool:
        if self._running.stopping:
            self.trainer.stop_training = True
        return self._running.stopping


class Running:
    """The trainers that are at work, so that all of them can be stopped."""

    def __init__(self) -> None:
        self.stopping = False
        self._trainers: list[Trainer] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def includes(self, trainer: Trainer) -> Iterator[None]:
        with self._lock:
            self._trainers.append(trainer)
        try:
            yield
        finally:
            with self._lock:
                self._trainers.remove(trainer)

    def stop(self) -> None:
        """Stop every fit that runs, and those that are about to begin."""
        self.stopping = True
        with self._lock:
            for trainer in self._trainers:
                trainer.stop()


def useful_threads(trainer: Trainer, n_threads: int) -> int:
    """Return how many of `n_threads` a training can use; which number it is changes no bit of its result."""
    limits_norms = trainer.max_norm is not None
    return costs.useful_ranks(trainer.net, trainer.batch_size, at_most=n_threads, limits_norms=limits_norms)


def run_fits(samples: Samples, fits: Iterable[Fit], n_jobs: int, done: Callable[[Fit, dict[str, Any]], None]) -> None:
    """Carry out fits, at most `n_jobs` at once; `done` is called in this thread as each of them ends.

    Whatever ends this early (Ctrl-C, an error of a fit), what was finished by then is handed to `done` first.
    """
    fits = list(fits)
    if not fits:
        return
    n_workers = min(n_jobs, len(fits))
    # fewer networks than cores: each may use several
    n_threads = n_jobs // n_workers
    running = Running()
    futures: dict[Future, Fit] = {}
    with ThreadPoolExecutor(n_workers, thread_name_prefix="fastnn-fit") as pool:
        try:
            for fit in fits:
                futures[pool.submit(samples.fit, fit, n_threads, running)] = fit
            for future in as_completed(list(futures)):
                if (record := future.result()) is not None:  # it is None for what was stopped, in another place
                    done(futures[future], record)
                del futures[future]
        except BaseException:
            running.stop()
            pool.shutdown(cancel_futures=True)
            for future, fit in futures.items():
                if not future.cancelled() and future.exception() is None and (record := future.result()) is not None:
                    done(fit, record)
            raise
