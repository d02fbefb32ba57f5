"""FLOOR 4: what a recipe is: a TOML file that says how somebody trained a network, and what it reached.

The file's name is the recipe's. `method` names the function that carries it out (fastnn.recipes.METHODS); the
tables [data], [network], [training] and [settings] are that function's, [quick] replaces parts of them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from fastnn._checks import choice

RULES = ("at least", "at most", "equal")


@dataclass(frozen=True)
class Published:
    """A figure that the source states.

    Attributes
    ----------
    name : str
        What it is; the method answers under this name.
    value : float
        As published; fractions, not percent.
    rule : {"at least", "at most", "equal"}
        When ours is as good.
    tolerance : float
        Relative difference to `value` that still counts as equal or as good.
    percent : bool
        Whether to show it in percent.
    quick : float, optional
        What the quick form must reach instead; without it the quick form is held to `value` if it has the figure.
    """

    name: str
    value: float
    rule: str = "at least"
    tolerance: float = 0.0
    percent: bool = False
    quick: float | None = None

    def __post_init__(self) -> None:
        choice(f"the rule of {self.name!r}", self.rule, RULES)

    def is_met(self, ours: float, quick: bool = False) -> bool:
        """Whether `ours` is as good as published, or as the quick form must be.

        Examples
        --------
        >>> Published("accuracy", 0.95, quick=0.9).is_met(0.93), Published("cost", 2.0, "equal", 1e-9).is_met(2.0)
        (False, True)
        """
        wanted = self.value if not quick or self.quick is None else self.quick
        slack = self.tolerance * abs(wanted)
        if self.rule == "equal":
            return abs(ours - wanted) <= slack
        return ours >= wanted - slack if self.rule == "at least" else ours <= wanted + slack

    def show(self, value: float) -> str:
        """Write a value of this figure: all digits where they count, else four."""
        if self.percent:
            return f"{value:.2%}"
        return repr(value) if self.rule == "equal" else f"{value:.4g}"


@dataclass(frozen=True)
class Recipe:
    """How a published network is trained, and what it reached.

    Attributes
    ----------
    name, title : str
    source : str
        What its author did, in words.
    seconds, quick_seconds : float
        Expected on two cores.
    published : tuple of Published
    method : str
        A key of fastnn.recipes.METHODS.
    data : mapping
        `name` of the data set; `test_fraction` divides it anew; `rows` and `test_rows` take only the first ones.
    network : mapping
        Arguments of `fastnn.MLP`; and `bias_units`, true where the source draws the biases as it draws weights.
    training : mapping
        Arguments of `fastnn.Trainer` and `fastnn.SGD`.
    settings : mapping
        What else the method needs.
    quick : mapping
        For each of the four tables what the quick form changes.
    """

    name: str
    title: str
    source: str
    seconds: float
    quick_seconds: float
    published: tuple[Published, ...] = ()
    method: str = "standard"
    data: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    quick: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def quickened(self) -> Recipe:
        """Return the quick form: the same, with the changes of `quick`."""
        tables = ("data", "network", "training", "settings")
        for table in self.quick:
            choice(f"a table under quick in {self.name}", table, tables)
        merged: dict[str, Any] = {table: {**getattr(self, table), **changes} for table, changes in self.quick.items()}
        return replace(self, **merged)


def names() -> list[str]:
    """Return the names of all recipes, sorted."""
    files = (Path(entry.name) for entry in resources.files("fastnn.recipes").iterdir())
    return sorted(file.stem for file in files if file.suffix == ".toml")


def load(name: str) -> Recipe:
    """Return the recipe of this name.

    Raises
    ------
    ValueError
        If there is none; with the nearest name.

    Examples
    --------
    >>> load("numpy-ann").network["sizes"]
    [784, 5, 10]
    """
    choice("recipe", name, names())
    table = tomllib.loads(resources.files("fastnn.recipes").joinpath(f"{name}.toml").read_text(encoding="utf-8"))
    published = tuple(Published(**figure) for figure in table.pop("published", ()))
    return Recipe(name=name, published=published, **table)
