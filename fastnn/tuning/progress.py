"""FLOOR 4: what a tuning shows while it runs: a live bar on a terminal, else one line a fit.

Rests are expected from the fits of this call, whatever an earlier one has already done.
"""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any, TextIO

from fastnn.tuning.results import Trial, ranking
from fastnn.tuning.space import Values, show


class Progress:
    """The progress of a tuning, on a stream.

    Parameters
    ----------
    verbose : {0, 1, 2}
        0 silent; 1 a live bar if `stream` is a terminal, else a line a fit; 2 a line a fit.
    score : str
        The score that decides.
    stream : text file, optional
        Default: standard error.
    """

    def __init__(self, verbose: int, score: str, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._score = score
        self._n_fits = self._n_done = self._n_new = 0
        self._start = time.perf_counter()
        self._best: Trial | None = None
        self._lines = verbose > 0 and self._stream is not None
        self._has_end = True
        self._bar: Any = None
        self._task: Any = None
        if verbose == 1 and self._stream is not None and self._stream.isatty():
            self._open_bar()

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        console = Console(file=self._stream)
        if console.is_dumb_terminal:
            return
        self._lines = False
        self._bar = RichProgress(
            TextColumn("fit {task.completed}/{task.total}", style="bold"),
            BarColumn(bar_width=20),
            TextColumn("{task.description}"),
            console=console,
            auto_refresh=False,
        )

    def expect(self, n_fits: int, more: bool = False) -> None:
        """So many more fits are to come; `more` if nobody knows how many after them."""
        self._n_fits += n_fits
        self._has_end = not more
        if self._bar is not None and self._task is None:
            self._task = self._bar.add_task("", total=n_fits)
            self._bar.start()
        self._show()

    def on_known(self) -> None:
        """A fit was found in the journal."""
        self._n_done += 1
        self._show()

    def on_fit(self, candidate: int, fold: int, values: Values, record: dict[str, Any]) -> None:
        """A fit is finished."""
        self._n_done += 1
        self._n_new += 1
        self._show()
        if self._lines:
            score = "diverged" if record["diverged"] else f"{self._score} {record['scores'][self._score]:.4f}"
            self._write(
                f"fit {self._n_done}/{self._n_fits}  candidate {candidate} ({name_values(values)})  fold {fold}  "
                f"{score}  {record['seconds']:.2f} s{self._so_far()}{self._rest()}"
            )

    def on_trial(self, trial: Trial) -> None:
        """A candidate is finished on all its folds."""
        if self._best is None or ranking([self._best, trial], self._score)[0] is trial:
            self._best = trial
        self._show()

    def say(self, sentence: str) -> None:
        """Close the bar and show a line."""
        self.close()
        if self._lines:
            self._write(sentence)

    def close(self) -> None:
        """Draw the last state and give the terminal back; may be called again."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
            self._lines = True

    def _so_far(self) -> str:
        if self._best is None or self._best.diverged:
            return ""
        return f"  best {self._best.mean(self._score):.4f} with {name_values(self._best.values)}"

    def _rest(self) -> str:
        left = self._n_fits - self._n_done
        if not left or not self._n_new or not self._has_end:
            return ""
        seconds = (time.perf_counter() - self._start) / self._n_new * left
        return f"  about {_duration(seconds)} left"

    def _show(self) -> None:
        if self._bar is not None:
            description = (self._so_far() + self._rest()).strip()
            self._bar.update(self._task, total=self._n_fits, completed=self._n_done, description=description)
            self._bar.refresh()

    def _write(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a reader that went away must not cost the tuning
            self._stream.write(line + "\n")
            self._stream.flush()


def name_values(values: Values) -> str:
    """Return ``learning_rate=0.1, hidden=256,64``."""
    return ", ".join(f"{name}={show(value)}" for name, value in values.items())


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
