"""FLOOR 4: the method of softmax-tanh: one network with every feature, and the same with each on and off."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import fastnn
from fastnn.engine import launch
from fastnn.recipes.network import Data, load_data, make_net, make_trainer
from fastnn.recipes.recipe import Recipe
from fastnn.recipes.result import Options, Result, Table
from fastnn.recipes.standard import scored
from fastnn.recipes.timing import race_with_numpy


def run(recipe: Recipe, options: Options) -> Result:
    """Train the network with all features; without any; with each alone; and with all but each.

    The networks share first weights and order of samples. They are trained side by side, one a core, which changes no
    bit of them. [settings.features] has for each feature the arguments of the trainer that switch it on.
    """
    data, features = load_data(recipe), recipe.settings["features"]
    full = _trainer(recipe, features)
    full.n_threads = options.n_threads
    n = recipe.settings["timed_rows"]
    timing = race_with_numpy(full, data.X[:n], data.y[:n], f"an epoch of {n:,} rows, all features")

    chosen = {"all": features, "none": {}}
    chosen |= {f"{name} alone": {name: features[name]} for name in features}
    chosen |= {f"all but {name}": {k: v for k, v in features.items() if k != name} for name in features}
    trainers = {name: _trainer(recipe, some) for name, some in chosen.items()}
    trainers["all"].callbacks = [Progress(data, recipe.settings["say_every"], options)]
    with ThreadPoolExecutor(launch.most_ranks(options.n_threads)) as pool:
        jobs = [pool.submit(trainer.fit, data.X, data.y) for trainer in trainers.values()]
        try:
            for job in jobs:
                job.result()
        except BaseException:  # Ctrl-C, above all
            pool.shutdown(wait=False, cancel_futures=True)
            for trainer in trainers.values():
                trainer.stop()
            raise
    full = trainers["all"]
    result = scored(full.net, full.history, data)
    result.timings = [timing]
    result.tables = [_table(chosen, trainers, data)]
    return result


def _trainer(recipe: Recipe, features: Mapping[str, Mapping[str, Any]]) -> fastnn.Trainer:
    changes = {key: value for arguments in features.values() for key, value in arguments.items()}
    return make_trainer(recipe.training, make_net(recipe.network), 1, **changes)


def _table(chosen: Mapping[str, Mapping[str, Any]], trainers: Mapping[str, fastnn.Trainer], data: Data) -> Table:
    """Scores of all networks, and what is on in each."""
    features = list(chosen["all"])
    rows = []
    for name, trainer in trainers.items():
        test = trainer.evaluate(data.X_test, data.y_test)
        rows.append(
            [
                name,
                *("on" if feature in chosen[name] else "-" for feature in features),
                f"{trainer.evaluate(data.X, data.y)['accuracy']:.2%}",
                f"{test['accuracy']:.2%}",
                f"{test['loss']:.4f}",
            ]
        )
    header = ["features", *features, "training accuracy", "test accuracy", "test loss"]
    return Table("each feature on and off", header, rows)


class Progress(fastnn.Callback):
    """Says epoch, loss and accuracy on the training part, as the source does."""

    def __init__(self, data: Data, every: int, options: Options) -> None:
        self.data, self.every, self.options = data, every, options

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        if (epoch + 1) % self.every == 0 or epoch == 0:
            accuracy = self.trainer.evaluate(self.data.X, self.data.y)["accuracy"]
            self.options.say(f"epoch {epoch + 1}  loss {logs['train_loss']:.4f}  training accuracy {accuracy:.2%}")
