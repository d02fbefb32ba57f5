"""FLOOR 0: sentences for bad arguments, said once.

Every check returns the value in its canonical type or raises ValueError or TypeError with a sentence that
names the argument, its value and the way out.
"""

from __future__ import annotations

import difflib
import math
import numbers
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np


def choice(name: str, value: Any, allowed: Iterable[str]) -> str:
    """Return `value` if it is one of the `allowed` names; otherwise name the nearest one."""
    names = list(allowed)
    if isinstance(value, str) and value in names:
        return value
    near = difflib.get_close_matches(str(value).lower(), names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name} must be one of {', '.join(names)}, got {value!r}{hint}")


def boolean(name: str, value: Any) -> bool:
    """Return `value` as bool if it is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def integer(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Return `value` as int if it is a whole number in [low, high]."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    value = int(value)
    if value < low:
        raise ValueError(f"{name} must be at least {low}, got {value}")
    if high is not None and value > high:
        raise ValueError(f"{name} must be at most {high}, got {value}")
    return value


def unmasked(name: str, value: Any) -> None:
    """Refuse a masked array with masked entries: what lies under the mask would be used."""
    # whoever has a masked array has imported its module, which takes 15 ms
    if "numpy.ma" in sys.modules and isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(
            f"{name} has {np.ma.count_masked(value)} masked entries; fill them, for example with {name}.filled(0), "
            "or remove such samples"
        )


def number(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: bool = False,
    below: bool = False,
) -> float:
    """Return `value` as float if it is finite and in [low, high]; `above`/`below` exclude that end."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        value = float(value)
    except OverflowError:  # a whole number of 309 digits
        value = math.inf
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")
    if value < low or (above and value == low):
        raise ValueError(f"{name} must be {'above' if above else 'at least'} {low:g}, got {value:g}")
    if value > high or (below and value == high):
        raise ValueError(f"{name} must be {'below' if below else 'at most'} {high:g}, got {value:g}")
    return value
