"""FLOOR 3: learning-rate schedules.

A schedule turns the optimizer's learning rate, which is the highest rate it gives, into one rate per step. It
is asked once per epoch, so that the compiled epoch only reads an array. Epochs and steps count from 0 here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn._checks import integer, number
from fastnn.engine import specs
from fastnn.engine.monitor import Monitor


class Schedule:
    """The base. A subclass overrides `rates`; the other two only if it checks settings or keeps state.

    The subclasses here are dataclasses: their settings may be changed between trainings, and their repr is
    text that `make` reads back.
    """

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Check the settings and forget any earlier training: called at construction and by every fit."""

    def rates(self, epoch: int, n_steps: int, base: float, max_epochs: int) -> np.ndarray:
        """Return the learning rates of the steps of one epoch.

        Parameters
        ----------
        epoch : int
            The epoch, from 0.
        n_steps : int
            Steps in each epoch.
        base : float
            The optimizer's learning rate.
        max_epochs : int
            Epochs that the training will have.

        Returns
        -------
        float64 array, (n_steps,)
        """
        raise NotImplementedError(f"{type(self).__name__} must define rates(epoch, n_steps, base, max_epochs)")

    def on_epoch_end(self, logs: dict[str, Any]) -> None:
        """See the logs of the finished epoch."""


@dataclass
class Constant(Schedule):
    """The same rate throughout."""

    def rates(self, epoch: int, n_steps: int, base: float, max_epochs: int) -> np.ndarray:
        return np.full(n_steps, base)


@dataclass
class Decay(Schedule):
    """At every epoch e = 1, 2 ... the rate is divided by ``1 + decay * e``, compounding.

    Examples
    --------
    >>> schedule = Decay(0.5)
    >>> [float(schedule.rates(epoch, 1, 6.0, 3)[0]) for epoch in range(3)]  # 6, / 1.5, / 2
    [6.0, 4.0, 2.0]
    """

    decay: float
    _divisors: list[float] = field(default_factory=list, init=False, repr=False, compare=False)

    def begin(self) -> None:
        self.decay = number("decay", self.decay, 0.0)
        self._divisors = [1.0]

    def rates(self, epoch: int, n_steps: int, base: float, max_epochs: int) -> np.ndarray:
        for e in range(len(self._divisors), epoch + 1):
            self._divisors.append(self._divisors[-1] * (1.0 + self.decay * e))
        return np.full(n_steps, base / self._divisors[epoch])


@dataclass
class InverseTime(Schedule):
    """At every step t the rate is ``base / (1 + decay * t)``; t counts the steps of the whole training."""

    decay: float

    def begin(self) -> None:
        self.decay = number("decay", self.decay, 0.0)

    def rates(self, epoch: int, n_steps: int, base: float, max_epochs: int) -> np.ndarray:
        return base / (1.0 + self.decay * (epoch * n_steps + np.arange(n_steps)))


@dataclass
class Exponential(Schedule):
    """In epoch e the rate is ``base * gamma**e``."""

    gamma: float

    def begin(self) -> None:
        self.gamma = number("gamma", self.gamma, 0.0, 1.0, above=True)

    def rates(self, epoch: int, n_steps: int, base: float, max_epochs: int) -> np.ndarray:
        return np.full(n_steps, base * self.gamma**epoch)


@dataclass
class Steps(Schedule):
    """The rate is multiplied by `factor` when each of the `epochs` begins.

    ``Steps([10, 20])`` gives the base in the first ten epochs, a tenth in the next ten, then a hundredth.
    """

    epochs: Sequence[int]
    factor: float = 0.1

    def begin(self) -> None:
        if isinstance(self.epochs, str) or not isinstance(self.epochs, Sequence):
            raise TypeError(f"epochs must be a list of whole numbers such as [10, 20], got {self.epochs!r}")
        self.epochs = [integer("each of epochs", e, 1) for e in self.epochs]
        if sorted(set(self.epochs)) != self.epochs:
            raise ValueError(f"epochs must rise from one to the next, got {self.epochs}")
        self.factor = number("factor", self.factor, 0.0, 1.0, above=True)

    def rates(self, epoch: int, n_steps: int, base: float, max_epochs: int) -> np.ndarray:
        return np.full(n_steps, base * self.factor ** sum(e <= epoch for e in self.epochs))


@dataclass
class Cosine(Schedule):
    """Half a cosine from the base down to ``final * base``, step by step over all epochs.

    Loshchilov and Hutter 2017 (SGDR), eq. 5, without restarts.

    Parameters
    ----------
    final : float in [0, 1]
        The end, reached after the last step, as a fraction of the base.
    """

    final: float = 0.0

    def begin(self) -> None:
        self.final = number("final", self.final, 0.0, 1.0)

    def rates(self, epoch: int, n_steps: int, base: float, max_epochs: int) -> np.ndarray:
        return base * _half_cosine(1.0, self.final, _progress(epoch, n_steps, max_epochs))


@dataclass
class OneCycle(Schedule):
    """A warm-up to the base, then down to almost nothing: half a cosine each, step by step.

    Smith and Topin 2018; the shape and the default warm-up and start are those of PyTorch's OneCycleLR.

    Parameters
    ----------
    warmup : float in [0, 1)
        The part of all steps that the rise takes.
    start, final : float in [0, 1]
        The rate of the first step and the end reached after the last, as fractions of the base.
    """

    warmup: float = 0.3
    start: float = 0.04
    final: float = 0.0

    def begin(self) -> None:
        self.warmup = number("warmup", self.warmup, 0.0, 1.0, below=True)
        self.start = number("start", self.start, 0.0, 1.0)
        self.final = number("final", self.final, 0.0, 1.0)

    def rates(self, epoch: int, n_steps: int, base: float, max_epochs: int) -> np.ndarray:
        progress = _progress(epoch, n_steps, max_epochs)
        falling = _half_cosine(1.0, self.final, (progress - self.warmup) / (1.0 - self.warmup))
        if self.warmup == 0.0:
            return base * falling
        rising = _half_cosine(self.start, 1.0, progress / self.warmup)
        return base * np.where(progress < self.warmup, rising, falling)


@dataclass
class Plateau(Schedule):
    """The rate is multiplied by `factor` whenever a logged quantity stops improving.

    Parameters
    ----------
    monitor : str
        The logged quantity to watch; the default needs a validation set.
    factor : float in (0, 1)
        What the rate is multiplied by.
    patience : int, >= 1
        After this many epochs in a row without improvement; then the count begins anew.
    min_delta : float, >= 0
        A change must exceed this to count as an improvement.
    min_rate : float, >= 0
        The rate is never lowered below this.
    mode : {"auto", "min", "max"}
        Which direction is better; "auto" takes "max" for scores such as accuracy.
    """

    monitor: str = "val_loss"
    factor: float = 0.5
    patience: int = 3
    min_delta: float = 1e-4
    min_rate: float = 0.0
    mode: str = "auto"

    def begin(self) -> None:
        self._watch = Monitor(self.monitor, self.mode, self.min_delta)
        self.factor = number("factor", self.factor, 0.0, 1.0, above=True, below=True)
        self.patience = integer("patience", self.patience, 1)
        self.min_rate = number("min_rate", self.min_rate, 0.0)
        self._scale = 1.0
        self._wait = 0

    def rates(self, epoch: int, n_steps: int, base: float, max_epochs: int) -> np.ndarray:
        return np.full(n_steps, max(base * self._scale, min(self.min_rate, base)))

    def on_epoch_end(self, logs: dict[str, Any]) -> None:
        self._wait = 0 if self._watch.improves(logs) else self._wait + 1
        if self._wait >= self.patience:
            self._scale *= self.factor
            self._wait = 0


@dataclass
class FromCallable(Schedule):
    """The rate of each epoch is ``function(epoch)``, epoch from 0; the optimizer's rate is not used.

    Examples
    --------
    >>> FromCallable(lambda epoch: 0.1 / (1 + epoch)).rates(1, 2, 0.05, 10)
    array([0.05, 0.05])
    """

    function: Callable[[int], float]

    def begin(self) -> None:
        if not callable(self.function):
            raise TypeError(f"function must be callable as function(epoch), got {self.function!r}")

    def rates(self, epoch: int, n_steps: int, base: float, max_epochs: int) -> np.ndarray:
        rate = self.function(epoch)
        return np.full(n_steps, number(f"the learning rate of the schedule for epoch {epoch}", rate, 0.0))


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "decay": Decay,
    "inverse_time": InverseTime,
    "exponential": Exponential,
    "steps": Steps,
    "cosine": Cosine,
    "one_cycle": OneCycle,
    "plateau": Plateau,
}


def make(spec: Schedule | Callable[[int], float] | str | None) -> Schedule:
    """Return the schedule that `spec` stands for.

    Parameters
    ----------
    spec : None, Schedule, callable or str
        None is constant; a callable maps the epoch (from 0) to its rate; text is one of the words in
        `SCHEDULES`, with arguments where needed.

    Raises
    ------
    TypeError, ValueError
        With a sentence, if it stands for none.

    Examples
    --------
    >>> make("cosine"), make("steps([10, 20], 0.1)")
    (Cosine(final=0.0), Steps(epochs=[10, 20], factor=0.1))
    """
    if spec is None:
        return Constant()
    if isinstance(spec, Schedule):
        return spec
    if isinstance(spec, str):
        return specs.build("schedule", spec, SCHEDULES)
    if isinstance(spec, type):
        name = spec.__name__
        raise TypeError(f"schedule must be an object, got the class {name}; write {name}(...)")
    if callable(spec):
        return FromCallable(spec)
    raise TypeError(f"schedule must be None, a schedule, text or a function of the epoch, got {spec!r}")


def _progress(epoch: int, n_steps: int, max_epochs: int) -> np.ndarray:
    """The part of the training that is done before each step of `epoch`: float64 (n_steps,) in [0, 1)."""
    return (epoch * n_steps + np.arange(n_steps)) / (max_epochs * n_steps)


def _half_cosine(first: float, last: float, progress: np.ndarray) -> np.ndarray:
    """From `first` at progress 0, level at both ends, to `last` at progress 1."""
    return last + (first - last) * 0.5 * (1.0 + np.cos(np.pi * progress))
