"""FLOOR 4: candidates: which values are tried, in an order that depends on the space and the seed alone.

A space gives each hyperparameter a list of values, a range to draw from, or a function that gives one value after
another. A candidate is a dict of one value each.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._checks import choice, integer, number
from fastnn.engine import specs

Values = dict[str, Any]
SEARCHES = ("grid", "random")
# A function that has given so many values without an end has none
_ENDLESS = 10_000
# Draws in a row that may all have come before until a random search is taken to have tried everything
_REPEATS = 1_000


class Range:
    """Something to draw values from: the base of Uniform, Log and Int."""

    def draw(self, rng: np.random.Generator) -> Any:
        """Return the next value."""
        raise NotImplementedError(f"{type(self).__name__} must define draw(rng)")


@dataclass(frozen=True)
class Uniform(Range):
    """Numbers from `low` to `high`, all equally likely."""

    low: float
    high: float

    def __post_init__(self) -> None:
        number("high", self.high, number("low", self.low), above=True)

    def draw(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(self.low, self.high))


@dataclass(frozen=True)
class Log(Range):
    """Numbers from `low` to `high` whose logarithms are equally likely: as many from 1e-5 to 1e-4 as to 1e-3.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> [f"{Log(1e-6, 1e-2).draw(rng):.1e}" for _ in range(3)]
    ['3.5e-04', '1.2e-05', '1.5e-06']
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        number("high", self.high, number("low", self.low, 0.0, above=True), above=True)

    def draw(self, rng: np.random.Generator) -> float:
        return math.exp(rng.uniform(math.log(self.low), math.log(self.high)))


@dataclass(frozen=True)
class Int(Range):
    """Whole numbers from `low` to `high`, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            integer(name, getattr(self, name), -(2**53), 2**53)
        number("high", self.high, self.low, above=True)

    def draw(self, rng: np.random.Generator) -> int:
        return int(rng.integers(self.low, self.high, endpoint=True))


RANGES: dict[str, Callable[..., Range]] = {"uniform": Uniform, "log": Log, "int": Int}


def make_candidates(
    space: Mapping[str, Any], search: str | None = None, n_trials: int | None = None, seed: int = 0
) -> list[Values]:
    """Return the candidates of a space.

    Parameters
    ----------
    space : mapping of str to list, Range, str or callable
        For each hyperparameter its values; a Range, or its text such as ``"log(1e-6, 1e-3)"``; or a function that
        gets the previous value (None first) and returns the next one (None: no more).
    search : {None, "grid", "random"}
        Every combination, the last hyperparameter changing fastest; or `n_trials` random ones, each different. By
        default random if there is a Range, or `n_trials` without a function; else grid.
    n_trials : int, optional
        Most candidates. A random search needs it, and a function that has no end.
    seed : int
        For the random draws.

    Returns
    -------
    list of dict

    Raises
    ------
    TypeError, ValueError
        With a sentence, for a space that gives no candidates.

    Examples
    --------
    >>> make_candidates({"l2": [0, 1e-4], "hidden": [[30], [256, 64]]})[1]
    {'l2': 0, 'hidden': [256, 64]}
    >>> make_candidates({"l2": lambda previous: 1e-5 if previous is None else 10 * previous}, n_trials=2)
    [{'l2': 1e-05}, {'l2': 0.0001}]
    """
    if not isinstance(space, Mapping) or not space:
        raise TypeError(f"space must be a dict with a list of values for each hyperparameter to tune, got {space!r}")
    if n_trials is not None:
        n_trials = integer("n_trials", n_trials, 1)
    sources = {name: _source(name, values, n_trials) for name, values in space.items()}
    ranges = [name for name, source in sources.items() if isinstance(source, Range)]
    steps = any(callable(values) for values in space.values())
    usual = "random" if ranges or (n_trials is not None and not steps) else "grid"
    search = choice("search", search or usual, SEARCHES)
    if search == "random":
        if n_trials is None:
            raise ValueError("a random search needs n_trials, the number of candidates to draw")
        return _draw(sources, n_trials, seed)
    if ranges:
        raise ValueError(
            f"{ranges[0]} has a range, which a grid cannot cover; take search='random', or list its values"
        )
    every = itertools.product(*(source for source in sources.values() if isinstance(source, list)))
    return [dict(zip(sources, values, strict=True)) for values in itertools.islice(every, n_trials)]


def _source(name: str, values: Any, n_trials: int | None) -> Range | list[Any]:
    if isinstance(values, Range):
        return values
    if isinstance(values, str):
        return specs.build(name, values, RANGES)
    if callable(values):
        return _call(name, values, n_trials)
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if not isinstance(values, list | tuple) or not values:
        raise TypeError(f"{name} must have a list of values to try, a range or a function, got {values!r}")
    return list(values)


def _call(name: str, function: Callable[[Any], Any], n_trials: int | None) -> list[Any]:
    """All values that a function gives, each from the one before."""
    found: list[Any] = []
    value = None
    while n_trials is None or len(found) < n_trials:
        value = function(value)
        if value is None:
            break
        found.append(value)
        if len(found) > _ENDLESS:
            raise ValueError(
                f"the function of {name} gave {_ENDLESS} values without an end; let it return None, or give n_trials"
            )
    if not found:
        raise ValueError(f"the function of {name} gave no value: it returned None at once")
    return found


def _draw(sources: Mapping[str, Range | list[Any]], n_trials: int, seed: int) -> list[Values]:
    rng = np.random.default_rng(seed)
    found: dict[str, Values] = {}
    repeats = 0
    while len(found) < n_trials and repeats < _REPEATS:
        values = {
            name: source.draw(rng) if isinstance(source, Range) else source[int(rng.integers(len(source)))]
            for name, source in sources.items()
        }
        repeats = repeats + 1 if str(values) in found else 0
        found.setdefault(str(values), values)
    return list(found.values())


def describe(name: str, value: Any) -> Any:
    """Return what JSON can hold of a value, the same for equal values in every process.

    Raises
    ------
    TypeError
        If there is no such text: a function, or an object whose repr is its address.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, list | tuple):
        return [describe(name, item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): describe(str(key), item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return f"array {value.shape} {value.dtype} {digest(value)}"
    text = repr(value)
    if callable(value) or " at 0x" in text:
        raise TypeError(
            f"{name} is {text}, which cannot be written down, so that the result could not be reproduced; "
            "take text, numbers, or an object whose repr says all"
        )
    return text


def digest(*arrays: np.ndarray) -> str:
    """SHA-256 of the shapes, types and numbers of arrays."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.shape}{array.dtype.str}".encode())
        total.update(np.ascontiguousarray(array).data if array.dtype.kind != "U" else array.tobytes())
    return total.hexdigest()


def show(value: Any) -> str:
    """Return the value as it is written on the command line: ``256,64`` for a list."""
    if isinstance(value, list | tuple):
        return ",".join(map(show, value)) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
