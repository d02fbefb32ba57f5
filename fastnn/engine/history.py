"""FLOOR 3: what a training logged, epoch by epoch.

Plain Python numbers, ready for JSON, CSV and plots.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn.engine.monitor import Monitor


class History:
    """The logs of a training, one row per epoch.

    Attributes
    ----------
    epochs : list of dict
        One row per epoch, with ``epoch`` (from 1), ``train_loss``, ``val_loss``, ``val_accuracy`` (these two
        only with a validation set), ``learning_rate``, ``seconds`` and ``samples_per_second``.
    stop_reason : str
        Why the training ended: "max_epochs", "early_stopping", "interrupted", "diverged" or "stopped" (by a
        callback); "" while it runs.

    Examples
    --------
    >>> history = History()
    >>> history.append({"epoch": 1, "train_loss": 0.9, "val_loss": 0.7})
    >>> history.append({"epoch": 2, "train_loss": 0.5, "val_loss": 0.8})
    >>> history["train_loss"]
    [0.9, 0.5]
    >>> history.best("val_loss")["epoch"]
    1
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, Any]] = []
        self.stop_reason = ""

    def append(self, logs: Mapping[str, Any]) -> None:
        """Add the row of an epoch; NumPy scalars become Python numbers, the row is a copy."""
        row = {key: value.item() if isinstance(value, np.generic) else value for key, value in logs.items()}
        self.epochs.append(row)

    def __len__(self) -> int:
        return len(self.epochs)

    @property
    def columns(self) -> list[str]:
        """The keys that occur in any row, in order of appearance."""
        return list(dict.fromkeys(key for row in self.epochs for key in row))

    def __getitem__(self, column: str) -> list[Any]:
        """Return one value per epoch: NaN where the epoch did not log this column."""
        if column not in self.columns:
            there_is = ", ".join(self.columns) or "none yet"
            raise KeyError(f"history has no column {column!r}; there is {there_is}")
        return [row.get(column, math.nan) for row in self.epochs]

    def best(self, monitor: str = "val_loss", mode: str = "auto") -> dict[str, Any]:
        """Return the row of the first epoch with the best value of `monitor`.

        Parameters
        ----------
        monitor : str
            The column to compare.
        mode : {"auto", "min", "max"}
            Which direction is better; "auto" takes "max" for scores such as accuracy.

        Raises
        ------
        ValueError
            If there is no epoch, no such column, or no finite value in it.
        """
        watch = Monitor(monitor, mode)
        best = None
        for row in self.epochs:
            if watch.improves(row):
                best = row
        if best is None:
            raise ValueError(f"no epoch of {len(self)} has a finite {monitor!r} to compare")
        return best

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a header and one line per epoch, in full precision; absent values are empty cells."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.epochs)

    def __repr__(self) -> str:
        parts = [f"{len(self)} epoch{'' if len(self) == 1 else 's'}"]
        if self.stop_reason:
            parts.append(f"stop_reason={self.stop_reason!r}")
        if self.epochs:
            last = self.epochs[-1]
            shown = (key for key in ("train_loss", "val_loss", "val_accuracy") if key in last)
            parts += [f"{key}={last[key]:.6g}" for key in shown]
        return f"<History: {', '.join(parts)}>"
