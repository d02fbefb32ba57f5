"""FLOOR 3: the watch on one logged quantity, shared by history, callbacks and schedules.

Says once what "better" means: which direction, by how much, and that NaN is never better.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any

from fastnn._checks import choice, number

MODES = ("auto", "min", "max")
_LARGER_IS_BETTER = ("accuracy", "f1", "precision", "recall", "auc", "r2", "samples_per_second")


class Monitor:
    """The best value so far of one key of the logs.

    Parameters
    ----------
    name : str
        The key to watch, such as ``"val_loss"``.
    mode : {"auto", "min", "max"}
        Which direction is better. "auto" takes "max" for scores (accuracy, f1 ...) and "min" for the rest.
    min_delta : float, >= 0
        A change must exceed this to count as better.

    Attributes
    ----------
    best : float
        The best value so far; infinitely bad before the first.

    Examples
    --------
    >>> accuracy = Monitor("val_accuracy")
    >>> [accuracy.improves({"val_accuracy": value}) for value in (0.8, 0.7, float("nan"), 0.9)]
    [True, False, False, True]
    """

    def __init__(self, name: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        if not isinstance(name, str):
            raise TypeError(f"monitor must be the name of a logged quantity, got {name!r}")
        mode = choice("mode", mode, MODES)
        if mode == "auto":
            mode = "max" if any(word in name for word in _LARGER_IS_BETTER) else "min"
        self.name = name
        self.mode = mode
        self.min_delta = number("min_delta", min_delta, 0.0)
        self.reset()

    def reset(self) -> None:
        """Forget the best value."""
        self.best = -math.inf if self.mode == "max" else math.inf

    def improves(self, logs: Mapping[str, Any]) -> bool:
        """Return whether `logs` holds a better value than all before; if so it becomes the best.

        Raises
        ------
        ValueError
            If `logs` has no such number; the sentence lists the keys there are.
        """
        value = logs.get(self.name)
        if not isinstance(value, numbers.Real):
            need = "; give fit a validation set (X_val, y_val)" if self.name.startswith("val_") else ""
            raise ValueError(f"monitor {self.name!r} is not logged; there is {', '.join(logs)}{need}")
        value = float(value)
        gain = value - self.best if self.mode == "max" else self.best - value
        if not gain > self.min_delta:  # written so that NaN is no gain
            return False
        self.best = value
        return True
