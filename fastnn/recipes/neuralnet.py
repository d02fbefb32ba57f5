"""FLOOR 4: the method of neuralnet-digits and neuralnet-mnist: logistic layers, trained one row at a time."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

import fastnn
from fastnn import plots
from fastnn.recipes.network import Data, load_data, make_net, make_trainer
from fastnn.recipes.plain import one_hot, scaled, train_by_numbers, train_by_rows
from fastnn.recipes.recipe import Recipe
from fastnn.recipes.result import Options, Result, Timing
from fastnn.recipes.standard import announce, scored
from fastnn.recipes.timing import race


def run(recipe: Recipe, options: Options) -> Result:
    """Train row by row, score the test part; draw every misclassified digit and the cost of each epoch."""
    data, settings = load_data(recipe), recipe.settings
    net = make_net(recipe.network)
    trainer = make_trainer(recipe.training, net, options.n_threads)
    timings = time_rows(trainer, data, settings)
    trainer.callbacks = [announce(options, settings["say_every"], trainer.max_epochs)]
    history = trainer.fit(data.X, data.y)
    result = scored(net, history, data, settings["most_mistakes"])
    result.timings = timings
    del result.pictures["learning_curves"]
    result.pictures["costs"] = lambda: _draw_costs(history)
    return result


def _draw_costs(history: fastnn.History) -> Any:
    ax = plots.costs(history["epoch"], {"training": history["train_loss"]})
    ax.set(xlabel="epoch")
    return ax


def time_rows(trainer: fastnn.Trainer, data: Data, settings: Mapping[str, Any]) -> list[Timing]:
    """Time a row against the same loop in NumPy vectors and in Python numbers, from the same first weights.

    These two are in float64, as people have it who do not choose, and get a part of the rows: all would take minutes.
    The times are those of one row. `settings` has `timed_epochs` (of all rows, a block of fastnn's) and `timed_rows`
    (a block of NumPy's; Python numbers get a tenth of it).
    """
    ours = copy.copy(trainer)
    ours.net = net = copy.deepcopy(trainer.net)
    ours.max_epochs, ours.callbacks = settings["timed_epochs"], []
    n = settings["timed_rows"]
    few = max(1, n // 10)  # rows for Python numbers
    X, Y = scaled(net, data.X[:n]).astype(float), one_hot(data.y[:n], net.sizes[-1])
    alpha = ours.optimizer.learning_rate
    weights = [np.vstack([W, b]).astype(float) for W, b in zip(net.weights, net.biases, strict=True)]
    numbers = [W.tolist() for W in weights]
    rows, targets = X[:few].tolist(), Y[:few].tolist()
    seconds = race(
        {
            "fastnn": lambda: ours.fit(data.X, data.y),
            "NumPy": lambda: train_by_rows(weights, X, Y, alpha),
            "Python": lambda: train_by_numbers(numbers, rows, targets, alpha),
        }
    )
    ours_a_row = seconds["fastnn"] / (len(data.X) * ours.max_epochs)
    wanted = settings.get("wanted")
    return [
        Timing("a row", "NumPy vectors", ours_a_row, seconds["NumPy"] / n, wanted),
        Timing("a row", "Python numbers", ours_a_row, seconds["Python"] / few, wanted),
    ]
