"""FLOOR 4: what carrying out a recipe gives: figures, times, tables, pictures; compared with what was published."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fastnn
from fastnn.metrics import Report
from fastnn.recipes.recipe import Published, Recipe


@dataclass(frozen=True)
class Options:
    """How a recipe is carried out.

    Attributes
    ----------
    quick : bool
        Whether the recipe is in its quick form.
    n_threads : int or None
        As for `fastnn.Trainer`.
    say : callable
        Takes a line about the progress.
    folder : Path or None
        Where a method may keep what lets it go on after an interruption.
    """

    quick: bool = False
    n_threads: int | None = None
    say: Callable[[str], None] = print
    folder: Path | None = None


@dataclass(frozen=True)
class Timing:
    """Seconds that fastnn and another way of computing the same take for the same work.

    Attributes
    ----------
    work : str
        What was timed: "one iteration on 60,000 rows".
    other : str
        What fastnn is compared with: "NumPy".
    fastnn_seconds, other_seconds : float
    wanted : float or None
        The ratio that is aimed at.
    """

    work: str
    other: str
    fastnn_seconds: float
    other_seconds: float
    wanted: float | None = None

    @property
    def ratio(self) -> float:
        """How many times as long the other one takes."""
        return self.other_seconds / self.fastnn_seconds


@dataclass(frozen=True)
class Table:
    """A table that belongs to the result; every cell is text."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass
class Result:
    """What a method returns.

    Attributes
    ----------
    figures : dict
        Ours, by the names of the published ones; others may be among them.
    net, history, report, image_shape
        Of the network that stands for the recipe and of its samples, where there is one.
    timings, tables, notes
        To be shown, in this order.
    logs : dict
        Rows (mappings of column to value) by the name of the CSV file that they become, without ".csv"; "costs" has the
        column ``iteration``.
    pictures : dict
        By the name of the file, without ".png": functions that draw and return Axes or a Figure.
    """

    figures: dict[str, float]
    net: fastnn.MLP | None = None
    history: fastnn.History | None = None
    report: Report | None = None
    image_shape: tuple[int, ...] | None = None
    timings: list[Timing] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    logs: dict[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    pictures: dict[str, Callable[[], Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """A published figure beside ours; `met` is None where the quick form has none."""

    published: Published
    ours: float | None
    met: bool | None


@dataclass(frozen=True)
class Reproduction:
    """A recipe that was carried out.

    Attributes
    ----------
    recipe : Recipe
        In the form that was carried out.
    options : Options
    result : Result
    seconds : float
        In all, with reading the data and taking the times.
    """

    recipe: Recipe
    options: Options
    result: Result
    seconds: float

    @property
    def comparisons(self) -> list[Comparison]:
        """Every published figure beside ours."""
        found = []
        for published in self.recipe.published:
            ours = self.result.figures.get(published.name)
            met = None if self.options.quick else False
            if ours is not None:
                met = published.is_met(ours, self.options.quick)
            found.append(Comparison(published, ours, met))
        return found

    @property
    def succeeded(self) -> bool:
        """Whether every published figure is met that could be."""
        return all(comparison.met is not False for comparison in self.comparisons)

    def as_dict(self) -> dict[str, Any]:
        """Return figures, times, tables, notes and the form that was carried out, ready for `runs.save_run`."""
        recipe, result = self.recipe, self.result
        document = {
            "command": "reproduce",
            "recipe": recipe.name,
            "title": recipe.title,
            "quick": self.options.quick,
            "succeeded": self.succeeded,
            "published": [
                {"name": c.published.name, "published": c.published.value, "ours": c.ours, "met": c.met}
                for c in self.comparisons
            ],
            "figures": result.figures,
            "timings": [vars(timing) | {"ratio": timing.ratio} for timing in result.timings],
            "tables": [vars(table) for table in result.tables],
            "notes": result.notes,
            "form": {table: dict(getattr(recipe, table)) for table in ("data", "network", "training", "settings")},
            "image_shape": result.image_shape,
            "watched": "test",
            "seconds": self.seconds,
        }
        if result.report is not None and set(recipe.data) <= {"name", "rows"}:
            # the part that was scored is one that the data set has by itself: `fastnn plot` can find it again
            document |= {"data": recipe.data["name"], "part": "test", "n_samples": result.report.n_samples}
        return document
