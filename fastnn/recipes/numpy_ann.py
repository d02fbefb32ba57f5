"""FLOOR 4: the method of numpy-ann: full-batch gradient descent whose cost is another than the one it descends."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

import fastnn
from fastnn import plots
from fastnn.recipes.network import Data, load_data, make_net, make_trainer
from fastnn.recipes.recipe import Recipe
from fastnn.recipes.result import Options, Result
from fastnn.recipes.standard import scored
from fastnn.recipes.timing import race_with_numpy


def run(recipe: Recipe, options: Options) -> Result:
    """Train iteration by iteration and take the costs of training and test part at every `settings.every`-th.

    The source takes the training cost of an iteration before its update and the validation cost after it.
    """
    data, settings = load_data(recipe), recipe.settings
    net = make_net(recipe.network, init=draw_weights(recipe.network["sizes"], settings["numpy_seed"]))
    trainer = make_trainer(recipe.training, net, options.n_threads)
    wanted, n = settings["wanted"], len(data.X)
    timing = race_with_numpy(trainer, data.X, data.y, f"an iteration on {n:,} rows", n_epochs=20, wanted=wanted)

    costs = Costs(net, data, settings["every"], trainer.max_epochs, options)
    trainer.callbacks = [costs]
    history = trainer.fit(data.X, data.y)

    result = scored(net, history, data)
    result.timings = [timing]
    result.logs["costs"] = costs.rows
    for row in costs.rows:
        for part in ("training", "validation"):
            result.figures[f"{part} cost {row['iteration']}"] = row[part]
    iterations = [row["iteration"] for row in costs.rows]
    curves = {part: [row[part] for row in costs.rows] for part in ("training", "validation")}
    marks = {"published": _published(recipe)}
    result.pictures["costs"] = lambda: plots.costs(iterations, curves, marks=marks)
    X, y = data.X_test[:9], data.y_test[:9]
    result.pictures["predictions"] = lambda: plots.predictions(X, y, net.predict(X), data.image_shape)
    del result.pictures["learning_curves"]  # of the cross-entropy, which the source does not look at
    return result


def _published(recipe: Recipe) -> tuple[list[int], list[float]]:
    """Iterations and costs of the points that the source prints and this form of the recipe reaches."""
    costs = [(int(f.name.split()[-1]), f.value) for f in recipe.published if " cost " in f.name]
    reached = [(at, cost) for at, cost in costs if at < recipe.training["max_epochs"]]
    return [at for at, _ in reached], [cost for _, cost in reached]


def draw_weights(sizes: list[int], seed: int) -> list[np.ndarray]:
    """0.01 times standard normal weights, layer by layer, of NumPy's legacy generator."""
    rng = np.random.RandomState(seed)
    return [0.01 * rng.randn(n_inputs, n_outputs) for n_inputs, n_outputs in pairwise(sizes)]


def summed_cross_entropy(outputs: np.ndarray, y: np.ndarray) -> float:
    """-(y log a + (1 - y) log(1 - a)), summed over the outputs (n, classes), mean over the samples."""
    rows, others = np.arange(len(y)), outputs.copy()
    others[rows, y] = 0.0
    return float(-(np.log(outputs[rows, y]) + np.log1p(-others).sum(axis=1)).mean())


class Costs(fastnn.Callback):
    """Takes the costs while the network is trained; `rows` has iteration, training and validation."""

    def __init__(self, net: fastnn.MLP, data: Data, every: int, n_iterations: int, options: Options) -> None:
        self.net, self.data, self.every, self.n_iterations, self.options = net, data, every, n_iterations, options
        self.rows: list[dict[str, Any]] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self._begin_row(0)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        if epoch % self.every == 0:
            row = self.rows[-1]
            row["validation"] = summed_cross_entropy(self.net.predict_proba(self.data.X_test), self.data.y_test)
            if epoch % 100 == 0:
                self.options.say(
                    "iteration {iteration}  training {training!r}  validation {validation!r}".format(**row)
                )
        if (epoch + 1) % self.every == 0 and epoch + 1 < self.n_iterations:
            self._begin_row(epoch + 1)

    def _begin_row(self, iteration: int) -> None:
        cost = summed_cross_entropy(self.net.predict_proba(self.data.X), self.data.y)
        self.rows.append({"iteration": iteration, "training": cost})
