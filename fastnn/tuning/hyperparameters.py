"""FLOOR 4: one flat dict of hyperparameters, and the network and trainer that it stands for.

The names are those of MLP, Trainer and SGD; only the layer sizes are called by their hidden part.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fastnn.engine.network import MLP
from fastnn.engine.optimizers import SGD
from fastnn.engine.trainer import Trainer

# What is not tuned: who computes and what is shown does not change the result
_OURS = ("self", "net", "sizes", "optimizer", "n_threads", "verbose", "callbacks")


def _names(kind: type) -> tuple[str, ...]:
    return tuple(name for name in inspect.signature(kind).parameters if name not in _OURS)


_MLP, _TRAINER, _SGD = _names(MLP), _names(Trainer), _names(SGD)
NAMES = tuple(dict.fromkeys(["hidden", *_MLP, *_TRAINER, *_SGD]))


def check_names(names: Iterable[str]) -> None:
    """Raise ValueError for a name that is no hyperparameter."""
    for name in names:
        if name not in NAMES:
            near = difflib.get_close_matches(str(name), NAMES, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(NAMES)}"
            raise ValueError(f"{name!r} is no hyperparameter; {hint}")


def make_trainer(values: Mapping[str, Any], X: np.ndarray, y: np.ndarray) -> Trainer:
    """Return a trainer with a new network.

    Parameters
    ----------
    values : mapping
        Any of `NAMES`. ``hidden``: sizes of the hidden layers, a list or one number; by default [100]. ``loss`` is by
        default what fits the output.
    X : array, (n_samples, n_features)
        The samples of the training.
    y : array, (n_samples,) or (n_samples, n_outputs)
        Labels of all samples, not only of those that are trained on: they tell how many outputs are needed.

    Returns
    -------
    Trainer
        With one thread, and silent.

    Raises
    ------
    TypeError, ValueError
        With a sentence, for a value that cannot be.

    Examples
    --------
    >>> trainer = make_trainer({"hidden": 30, "l2": 1e-4, "momentum": 0.9}, np.zeros((4, 64)), np.array([0, 1, 2, 1]))
    >>> trainer.net, trainer.l2, trainer.optimizer.momentum
    (MLP([64, 30, 3], activation='relu', output='softmax', dtype='float32'), 0.0001, 0.9)
    """
    check_names(values)
    hidden = values.get("hidden", 100)
    if isinstance(hidden, str) or not np.iterable(hidden):
        hidden = [hidden]

    def of(names: Iterable[str]) -> dict[str, Any]:
        return {name: values[name] for name in names if name in values}

    output = values.get("output", "softmax")
    net = MLP([X.shape[1], *hidden, n_outputs(y, output)], **of(_MLP))
    choices = {"loss": default_loss(output)} | of(_TRAINER)
    return Trainer(net, optimizer=SGD(**of(_SGD)), n_threads=1, verbose=0, **choices)


def default_loss(output: str) -> str:
    """Return the loss that goes with an output."""
    return "mse" if output == "identity" else "cross_entropy"


def n_outputs(y: np.ndarray, output: str) -> int:
    """Return how many outputs a network needs for labels y."""
    if y.ndim == 2:
        return y.shape[1]
    if output == "identity":
        return 1
    n_classes = len(np.unique(y))
    return 1 if output == "logistic" and n_classes == 2 else n_classes
