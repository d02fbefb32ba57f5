"""FLOOR 4: what a tuning found: trials, their means over folds, the best, and all of it as files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastnn._files import replace_file
from fastnn.engine.history import History
from fastnn.engine.network import MLP
from fastnn.metrics import Report
from fastnn.runs import csv_text
from fastnn.tuning.space import Values, show

SMALLER_IS_BETTER = ("loss",)
CANDIDATES, EPOCHS = "candidates.csv", "epochs.csv"


@dataclass(frozen=True)
class Trial:
    """One candidate and its fits.

    Attributes
    ----------
    number : int
        From 1, in the order of the candidates.
    values : dict
        The hyperparameters that were tuned.
    fits : list of dict
        One a fold, in their order: ``fold`` (from 1), ``scores`` of the validation part after the last epoch,
        ``diverged`` ("" or a sentence), ``seconds``, ``epochs`` (a dict for each).
    """

    number: int
    values: Values
    fits: list[dict[str, Any]] = field(repr=False)

    @property
    def diverged(self) -> bool:
        """Whether the loss of any fit became NaN or infinite; such a trial never is the best."""
        return any(fit["diverged"] for fit in self.fits)

    @property
    def seconds(self) -> float:
        """Of all fits together."""
        return sum(fit["seconds"] for fit in self.fits)

    def scores(self, name: str) -> np.ndarray:
        """One score of every fold, float64 (n_folds,); NaN where the loss diverged."""
        return np.array([fit["scores"][name] for fit in self.fits], np.float64)

    def mean(self, name: str) -> float:
        """Mean of a score over the folds; NaN if any of them diverged."""
        return float(self.scores(name).mean())

    def std(self, name: str) -> float:
        """Standard deviation of a score over the folds (divided by their number)."""
        return float(self.scores(name).std())


@dataclass
class TuningResult:
    """What `tune` returns.

    Attributes
    ----------
    best : dict
        The chosen values.
    best_trial : Trial
    trials : list of Trial
        In the order of the candidates.
    score : str
        What they were compared by.
    test : dict
        Scores of the final network on the test part.
    net : MLP
        The final network: trained on everything but the test part, with the chosen values.
    history : History
        Of that training.
    report : Report or None
        Per-class scores on the test part; None for numbers and for several labels a sample.
    details : dict
        All that reproduces this, as result.json has it.
    """

    best: Values
    best_trial: Trial
    trials: list[Trial]
    score: str
    test: dict[str, float]
    net: MLP
    history: History
    report: Report | None
    details: dict[str, Any] = field(repr=False)

    def __repr__(self) -> str:
        mean = self.best_trial.mean(self.score)
        return f"<TuningResult: {len(self.trials)} candidates, best {self.best}, {self.score} {mean:.6g}>"

    def text(self, n: int = 10) -> str:
        """Return a table of the best `n` candidates, for people."""
        ranked = ranking(self.trials, self.score)[:n]
        names = list(ranked[0].fits[0]["scores"])
        header = ["", *columns(ranked), *names, "seconds"]
        rows = [[_rank(place), *_cells(trial, names), f"{trial.seconds:.2f}"] for place, trial in enumerate(ranked, 1)]
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        lines = ("  ".join(map(str.rjust, row, widths)).rstrip() for row in [header, *rows])
        rest = len(self.trials) - len(ranked)
        return "\n".join([*lines, *([f"and {rest} more"] if rest else [])])


def _rank(place: int) -> str:
    return "best" if place == 1 else str(place)


def _cells(trial: Trial, names: Sequence[str]) -> list[str]:
    values = [show(value) for value in trial.values.values()]
    if trial.diverged:
        return [*values, *(["diverged"] + [""] * (len(names) - 1))]
    return [*values, *(f"{trial.mean(name):.4f} +- {trial.std(name):.4f}" for name in names)]


def columns(trials: Iterable[Trial]) -> list[str]:
    """Names of the tuned hyperparameters, in order of appearance."""
    return list(dict.fromkeys(name for trial in trials for name in trial.values))


def ranking(trials: Iterable[Trial], score: str) -> list[Trial]:
    """Trials from the best to the worst, the earlier first where they are equal; diverged ones at the end."""
    sign = 1 if score in SMALLER_IS_BETTER else -1

    def place(trial: Trial) -> tuple[bool, float]:
        mean = trial.mean(score)
        return math.isnan(mean), 0.0 if math.isnan(mean) else sign * mean

    return sorted(trials, key=place)


def write_tables(folder: Path, trials: Sequence[Trial], score: str) -> None:
    """Write candidates.csv, a line a candidate, and epochs.csv, a line an epoch of every fit."""
    places = {trial.number: place for place, trial in enumerate(ranking(trials, score), 1)}
    candidates: list[dict[str, Any]] = []
    epochs: list[dict[str, Any]] = []
    for trial in trials:
        row: dict[str, Any] = {"candidate": trial.number, "rank": places[trial.number]}
        row |= {name: show_exactly(trial.values[name]) if name in trial.values else "" for name in columns(trials)}
        for name in trial.fits[0]["scores"]:
            row |= {f"mean_{name}": trial.mean(name), f"std_{name}": trial.std(name)}
        diverged = sum(bool(fit["diverged"]) for fit in trial.fits)
        candidates.append(row | {"folds": len(trial.fits), "diverged": diverged, "seconds": trial.seconds})
        epochs += [
            {"candidate": trial.number, "fold": fit["fold"], **epoch} for fit in trial.fits for epoch in fit["epochs"]
        ]
    replace_file(folder / CANDIDATES, csv_text(candidates).encode())
    replace_file(folder / EPOCHS, csv_text(epochs).encode())


def show_exactly(value: Any) -> str:
    """As `show`, with all digits of a number."""
    return repr(value) if isinstance(value, float) else show(value)
