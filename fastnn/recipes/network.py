"""FLOOR 4: from a recipe's tables to data, network and trainer."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

import fastnn
from fastnn import datasets
from fastnn.engine import specs
from fastnn.engine.initializers import INITIALIZERS
from fastnn.recipes.recipe import Recipe


class Data(NamedTuple):
    """Labelled images: a training and a test part; samples (n, features), labels (n,)."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    image_shape: tuple[int, ...]


def load_data(recipe: Recipe) -> Data:
    """Return the data that the table [data] describes."""
    data: Any = datasets.load(recipe.data["name"])
    found = Data(data.X, data.y, data.X_test, data.y_test, data.image_shape)
    if (fraction := recipe.data.get("test_fraction")) is not None:
        found = split_anew(found, fraction)
    rows, test_rows = recipe.data.get("rows"), recipe.data.get("test_rows")
    return Data(found.X[:rows], found.y[:rows], found.X_test[:test_rows], found.y_test[:test_rows], found.image_shape)


def split_anew(data: Data, test_fraction: float) -> Data:
    """Put training and test part together and divide them anew, stratified by class; always the same."""
    from sklearn.model_selection import train_test_split

    X, y = np.concatenate([data.X, data.X_test]), np.concatenate([data.y, data.y_test])
    X, X_test, y, y_test = train_test_split(X, y, test_size=test_fraction, stratify=y, random_state=0)
    return Data(X, y, X_test, y_test, data.image_shape)


def make_net(network: Mapping[str, Any], **changes: Any) -> fastnn.MLP:
    """Return the network that the table [network] describes, with changes."""
    choices = {**network, **changes}
    if choices.pop("bias_units", False):
        choices["init"] = draw_with_bias_units(choices["sizes"], choices["init"], choices.get("seed", 0))
    return fastnn.MLP(**choices)


def draw_with_bias_units(sizes: list[int], init: str, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return weights and biases drawn alike: a bias is the weight of a unit that is always 1.

    Each layer is one draw of (inputs + 1, outputs), of which the last row becomes the biases.
    """
    draw, rng = specs.build("init", init, INITIALIZERS), np.random.default_rng(seed)
    matrices = [draw(rng, (n_inputs + 1, n_outputs)) for n_inputs, n_outputs in pairwise(sizes)]
    return [W[:-1] for W in matrices], [W[-1] for W in matrices]


def make_trainer(
    training: Mapping[str, Any], net: fastnn.MLP, n_threads: int | None = None, **changes: Any
) -> fastnn.Trainer:
    """Return the trainer that the table [training] describes, with changes; it is silent."""
    settings = {**training, **changes}
    rule = {key: settings.pop(key) for key in ("learning_rate", "momentum", "nesterov") if key in settings}
    return fastnn.Trainer(net, optimizer=fastnn.SGD(**rule), n_threads=n_threads, verbose=0, **settings)
