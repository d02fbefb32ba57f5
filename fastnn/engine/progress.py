"""FLOOR 3: what a training shows while it runs: a live bar on a terminal, else one line an epoch.

Called from Python's thread while the gang computes. Drawing is limited to ten times a second, so thousands of
short epochs cost nothing; rich is imported when a bar is first needed.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

REFRESH_SECONDS = 0.1


class Progress:
    """The progress of one training, on a stream.

    Parameters
    ----------
    verbose : {0, 1, 2}
        0 silent; 1 a live bar if `stream` is a terminal, else one line an epoch; 2 one line an epoch.
    max_epochs : int
        Epochs that the training will have at most.
    n_samples : int
        Samples in each epoch.
    stream : text file, optional
        Where to write; standard error by default.

    Examples
    --------
    >>> progress = Progress(2, max_epochs=20, n_samples=60_000, stream=sys.stdout)
    >>> progress.on_epoch_end({"epoch": 3, "train_loss": 0.25, "samples_per_second": 1.5e6, "seconds": 0.04})
    epoch  3/20  train_loss 0.2500  1.50M samples/s  0.040 s
    """

    def __init__(self, verbose: int, max_epochs: int, n_samples: int, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._max_epochs = max_epochs
        # sys.stderr is None in a process without a console.
        silent = verbose == 0 or self._stream is None
        live = not silent and verbose == 1 and _can_redraw(self._stream)
        self._bar = _Bar(max_epochs, n_samples, self._stream) if live else None
        self._prints_lines = not silent and not live

    def on_step(self, epoch: int, done: float) -> None:
        """Show that the part `done`, 0 to 1, of `epoch`, from 1, is through; cheap enough to be polled."""
        if self._bar is not None:
            self._bar.on_step(epoch, done)

    def on_epoch_end(self, logs: Mapping[str, Any]) -> None:
        """Show the logs of a finished epoch; ``logs["epoch"]`` counts from 1."""
        if self._bar is not None:
            self._bar.on_epoch_end(logs)
        elif self._prints_lines:
            # A reader that went away (`| head`) must not cost the training.
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(_line(logs, self._max_epochs) + "\n")
                self._stream.flush()

    def close(self) -> None:
        """Draw the last state and give the terminal back; may be called again."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class _Bar:
    """The live bar; rich draws it, but only when told to, so there is no second thread."""

    def __init__(self, max_epochs: int, n_samples: int, stream: TextIO) -> None:
        from rich.console import Console, RenderableType
        from rich.constrain import Constrain
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        console = Console(file=stream)

        class Narrower(RichProgress):
            """Leaves room for the terminal's ^C, which would wrap a full line and leave half a bar behind."""

            def get_renderable(self) -> RenderableType:
                return Constrain(super().get_renderable(), console.width - 3)

        self._rich = Narrower(
            TextColumn("epoch {task.fields[epoch]}", style="bold"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[scores]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=console,
            auto_refresh=False,
            expand=True,
        )
        self._max_epochs = max_epochs
        self._n_samples = n_samples
        self._logs: Mapping[str, Any] = {}
        self._first: tuple[float, float] | None = None  # when and how far the first poll of a training was
        self._drawn = time.perf_counter()
        self._task = self._rich.add_task("", total=max_epochs, epoch=self._count(1), scores="")
        self._rich.start()

    def on_step(self, epoch: int, done: float) -> None:
        now = time.perf_counter()
        logs = self._logs
        if not logs:
            # The first epoch may last minutes; nothing else can tell its speed.
            if self._first is None:
                self._first = now, done
            started, before = self._first
            if now > started and done > before:
                logs = {"samples_per_second": (done - before) * self._n_samples / (now - started)}
        self._draw(now, epoch - 1 + done, epoch, logs)

    def on_epoch_end(self, logs: Mapping[str, Any]) -> None:
        self._logs = logs
        self._draw(time.perf_counter(), logs["epoch"], logs["epoch"], logs)

    def close(self) -> None:
        if self._logs:
            epoch = self._logs["epoch"]
            self._draw(float("inf"), epoch, epoch, self._logs)
        self._rich.stop()

    def _draw(self, now: float, completed: float, epoch: int, logs: Mapping[str, Any]) -> None:
        if now - self._drawn < REFRESH_SECONDS:
            return
        self._drawn = now
        scores = _scores(logs, short=True)
        self._rich.update(self._task, completed=completed, epoch=self._count(epoch), scores=scores)
        self._rich.refresh()

    def _count(self, epoch: int) -> str:
        return _count(epoch, self._max_epochs)


def _can_redraw(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def _line(logs: Mapping[str, Any], max_epochs: int) -> str:
    parts = [f"epoch {_count(logs['epoch'], max_epochs)}", _scores(logs, short=False)]
    if "seconds" in logs:
        parts.append(f"{logs['seconds']:.3f} s")
    return "  ".join(parts)


def _count(epoch: int, max_epochs: int) -> str:
    return f"{epoch:{len(str(max_epochs))}}/{max_epochs}"


def _scores(logs: Mapping[str, Any], short: bool) -> str:
    """The numbers that people watch; the `short` form fits beside a bar in 80 columns."""
    parts = []
    if "train_loss" in logs:
        parts.append(f"{'loss' if short else 'train_loss'} {logs['train_loss']:.4f}")
    if "val_loss" in logs and not (short and "val_accuracy" in logs):
        parts.append(f"val_loss {logs['val_loss']:.4f}")
    if "val_accuracy" in logs:
        parts.append(f"{'accuracy' if short else 'val_accuracy'} {logs['val_accuracy']:.2%}")
    if "samples_per_second" in logs:
        parts.append(f"{_thousands(logs['samples_per_second'])} samples/s")
    return "  ".join(parts)


def _thousands(value: float) -> str:
    """Three digits and a unit: 950, 12.3k, 1.50M."""
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= 0.9995 * scale:
            digits = value / scale
            return f"{digits:.{2 if digits < 9.995 else 1 if digits < 99.95 else 0}f}{unit}"
    return f"{value:.0f}"
