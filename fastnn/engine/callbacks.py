"""FLOOR 3: hooks between epochs, with Keras's names.

A callback sees the trainer and the logs of each finished epoch; it may stop the training, keep weights or
write files. There is no hook per mini-batch: Python is not in that loop.
"""

from __future__ import annotations

import csv
import os
import string
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastnn._checks import integer
from fastnn.engine.monitor import Monitor

Logs = dict[str, Any]


class Callback:
    """The base: every hook does nothing. Override those you need.

    Attributes
    ----------
    trainer : Trainer
        Set before the first hook. ``trainer.net`` is the network with the weights of this moment;
        ``trainer.stop_training = True`` ends the training after this epoch.
    """

    trainer: Any = None

    def set_trainer(self, trainer: Any) -> None:
        """Remember the trainer that will call the hooks."""
        self.trainer = trainer

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Run before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Run after the last epoch, however the training ended."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Run before an epoch; `epoch` counts from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Run after an epoch; `epoch` counts from 0, ``logs["epoch"]`` from 1."""


class _Watching(Callback):
    """A callback that watches one logged quantity."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        self._watch = Monitor(monitor, mode, min_delta)

    @property
    def monitor(self) -> str:
        return self._watch.name

    @property
    def mode(self) -> str:
        return self._watch.mode

    @property
    def best(self) -> float:
        return self._watch.best


class EarlyStopping(_Watching):
    """Stop when a monitored quantity no longer improves, and keep the best weights.

    Parameters
    ----------
    monitor : str
        The logged quantity to watch.
    min_delta : float, >= 0
        A change must exceed this to count as an improvement.
    patience : int, >= 1
        Stop after this many epochs in a row without improvement.
    mode : {"auto", "min", "max"}
        Which direction is better; "auto" takes "max" for scores such as accuracy.
    restore_best_weights : bool
        At the end, however it came about, put back the weights of the best epoch. (Keras's default is False;
        here the weights that were watched are the ones you get.)

    Attributes
    ----------
    best : float
        The best value.
    best_epoch : int
        Its epoch, from 1; 0 if there was none.

    Examples
    --------
    >>> EarlyStopping("val_accuracy", patience=10).mode
    'max'
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 5,
        mode: str = "auto",
        restore_best_weights: bool = True,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = integer("patience", patience, 1)
        self.restore_best_weights = restore_best_weights
        self.on_train_begin()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._watch.reset()
        self._wait = 0
        self._kept: tuple[list[np.ndarray], list[np.ndarray]] | None = None
        self.best_epoch = 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self._watch.improves(logs):
            self._wait = 0
            self.best_epoch = logs["epoch"]
            if self.restore_best_weights:
                net = self.trainer.net
                self._kept = [W.copy() for W in net.weights], [b.copy() for b in net.biases]
            return
        self._wait += 1
        if self._wait >= self.patience:
            self.trainer.stop_training = True
            self.trainer.history.stop_reason = "early_stopping"

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._kept is not None:
            self.trainer.net.weights, self.trainer.net.biases = self._kept
            self._kept = None


class CSVLogger(Callback):
    """Write the logs to a CSV file, one line per epoch, readable while the training runs.

    Parameters
    ----------
    path : str or path-like
        The file. It is opened before the first epoch, so that a bad path costs no training.
    append : bool
        Continue a file that has the same columns; otherwise it is written anew.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        At the end of the first epoch, if `append` and the file's columns are others.
    """

    def __init__(self, path: str | os.PathLike[str], append: bool = False) -> None:
        self.path = os.fspath(path)
        self.append = append
        self._columns: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        with open(self.path, "a+" if self.append else "w+", newline="", encoding="utf-8") as file:
            file.seek(0)
            self._columns = next(csv.reader(file), None)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        rows: list[Iterable[Any]] = [logs.values()]
        if self._columns is None:
            self._columns = list(logs)
            rows.insert(0, self._columns)
        if self._columns != list(logs):
            raise ValueError(
                f"{self.path!r} has the columns {', '.join(self._columns)}, this training logs "
                f"{', '.join(logs)}; choose another path or append=False"
            )
        try:
            # Opened for each line: it is on its way to the disk, and no handle is left if the training dies.
            with open(self.path, "a", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows(rows)
        except OSError as error:
            error.filename = self.path  # a full disk does not name the file
            raise


class ModelCheckpoint(_Watching):
    """Save the network after an epoch: each one, or each that is the best so far.

    The best value is remembered when the same trainer is fitted again: a worse model never replaces a better.

    Parameters
    ----------
    path : str or path-like
        The model file. It may name logged quantities in braces:
        ``"digits-{epoch:02d}-{val_loss:.3f}.safetensors"``.
    monitor : str
        The logged quantity to watch; not used with ``save_best_only=False``.
    save_best_only : bool
        Save only when `monitor` improves.
    mode : {"auto", "min", "max"}
        Which direction is better; "auto" takes "max" for scores such as accuracy.

    Attributes
    ----------
    saved : str or None
        The file written last.

    Raises
    ------
    ValueError
        If the braces of `path` do not match (at construction), or their names or formats what is logged.
    ModelFileError
        If the file cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "val_loss",
        save_best_only: bool = True,
        mode: str = "auto",
    ) -> None:
        super().__init__(monitor, mode)
        self.path = os.fspath(path)
        self.save_best_only = save_best_only
        self.saved: str | None = None
        try:
            parsed = list(string.Formatter().parse(self.path))
        except ValueError as error:
            raise ValueError(f"path {self.path!r} has a brace without its partner: {error}") from None
        self._fields = [name for _, name, _, _ in parsed if name is not None]

    def set_trainer(self, trainer: Any) -> None:
        if trainer is not self.trainer:
            self._watch.reset()
        super().set_trainer(trainer)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        for field in self._fields:
            if field not in logs:
                raise ValueError(f"path {self.path!r} names {field!r}, which is not logged; there is {', '.join(logs)}")
        if self.save_best_only and not self._watch.improves(logs):
            return
        try:
            path = self.path.format(**logs)
        except (LookupError, ValueError) as error:
            raise ValueError(f"path {self.path!r} has a format that does not fit what is logged: {error}") from None
        self.trainer.net.save(path)
        self.saved = path


class LambdaCallback(Callback):
    """A callback from plain functions, each taking the arguments of the hook that it is given for.

    Examples
    --------
    >>> callback = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["train_loss"]))
    >>> callback.on_epoch_end(0, {"epoch": 1, "train_loss": 0.25})
    0 0.25
    """

    def __init__(
        self,
        *,
        on_train_begin: Callable[[Logs | None], Any] | None = None,
        on_train_end: Callable[[Logs | None], Any] | None = None,
        on_epoch_begin: Callable[[int, Logs | None], Any] | None = None,
        on_epoch_end: Callable[[int, Logs], Any] | None = None,
    ) -> None:
        hooks: dict[str, Callable[..., Any] | None] = {
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
        }
        self._hooks = {name: hook for name, hook in hooks.items() if hook is not None}
        for name, hook in self._hooks.items():
            if not callable(hook):
                raise TypeError(f"{name} must be a function, got {hook!r}")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._call("on_train_begin", logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._call("on_train_end", logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_begin", epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._call("on_epoch_end", epoch, logs)

    def _call(self, name: str, *arguments: Any) -> None:
        if name in self._hooks:
            self._hooks[name](*arguments)
