"""FLOOR 4: published networks, trained as their authors describe it, beside what they reached.

A recipe is a TOML file here; `METHODS` has the functions that carry recipes out.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from fastnn._checks import choice
from fastnn.recipes import bigsnarf, neuralnet, numpy_ann, raerek, softmax_tanh, standard
from fastnn.recipes.folder import write
from fastnn.recipes.recipe import Published, Recipe, load, names
from fastnn.recipes.result import Comparison, Options, Reproduction, Result, Table, Timing

__all__ = [
    "METHODS",
    "Comparison",
    "Options",
    "Published",
    "Recipe",
    "Reproduction",
    "Result",
    "Table",
    "Timing",
    "load",
    "names",
    "reproduce",
    "write",
]

METHODS: dict[str, Callable[[Recipe, Options], Result]] = {
    "standard": standard.run,
    "bigsnarf": bigsnarf.run,
    "neuralnet": neuralnet.run,
    "numpy_ann": numpy_ann.run,
    "raerek": raerek.run,
    "softmax_tanh": softmax_tanh.run,
}


def reproduce(recipe: Recipe | str, options: Options | None = None) -> Reproduction:
    """Carry out a recipe, or with ``options.quick`` its quick form.

    Parameters
    ----------
    recipe : Recipe or str
        Or its name.
    options : Options, optional

    Raises
    ------
    ValueError
        If there is no such recipe or method.
    """
    options = options or Options()
    recipe = load(recipe) if isinstance(recipe, str) else recipe
    run = METHODS[choice(f"the method of {recipe.name}", recipe.method, METHODS)]
    if options.quick:
        recipe = recipe.quickened()
    start = time.perf_counter()
    result = run(recipe, options)
    return Reproduction(recipe, options, result, time.perf_counter() - start)
