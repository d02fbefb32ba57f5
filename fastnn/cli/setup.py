"""FLOOR 4: from settings and data to a trainer that is ready to fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

import fastnn
from fastnn._checks import choice, number
from fastnn.cli.options import UsageError, usage
from fastnn.datasets import Dataset
from fastnn.tuning.folds import check_classes, is_classes
from fastnn.tuning.hyperparameters import default_loss, n_outputs

Settings = Mapping[str, Any]


class Part(NamedTuple):
    """Samples (n, n_features) with their labels, and what people call them."""

    name: str
    X: np.ndarray
    y: Any


class Parts(NamedTuple):
    """What is trained on, what is evaluated after every epoch, and what the final scores are taken from."""

    training: Part
    watched: Part | None
    scored: Part


def split(data: Dataset, settings: Settings) -> Parts:
    """Return the parts of `data`; a validation part is held out of the training samples.

    Raises
    ------
    DataError, UsageError, ValueError
        If there are no labels, they do not fit the output, or no part can be held out.
    """
    training = Part("training", data.X, data.require_labels().y)
    check_labels(data, settings["output"])
    test = validation = None
    if data.X_test is not None and data.y_test is not None:
        test = Part("test", data.X_test, data.y_test)
    fraction = settings["validation"]
    if fraction is None:
        # The part that a model is chosen by scores it too well: that must not be the test part.
        fraction = 0.1 if test is None or _chooses(settings) else 0.0
    with usage():
        fraction = number("validation", fraction, 0.0, 1.0, below=True)
    if fraction > 0.0:
        training, validation = _hold_out(training, fraction, settings)
    return Parts(training, validation or test, test or validation or training)


def make_trainer(data: Dataset, parts: Parts, settings: Settings) -> fastnn.Trainer:
    """Return the trainer, with its network, that the settings describe.

    Raises
    ------
    UsageError
        If a setting cannot be, by itself or for this data.
    """
    with usage():
        choice("optimizer", settings["optimizer"], ["sgd"])
        choice("scaling", settings["scaling"], ["auto", "minmax", "standard", "none"])
        scale, offset = _scaling(data, parts.training.X, settings["scaling"])
        net = fastnn.MLP(
            [data.X.shape[1], *settings["hidden"], n_outputs(parts.training.y, settings["output"])],
            activation=settings["activation"],
            output=settings["output"],
            init=settings["init"],
            dtype=settings["dtype"],
            seed=settings["seed"],
            input_scale=scale,
            input_offset=offset,
        )
        return fastnn.Trainer(
            net,
            loss=settings["loss"] or default_loss(settings["output"]),
            optimizer=fastnn.SGD(settings["learning_rate"], settings["momentum"], settings["nesterov"]),
            schedule=settings["schedule"],
            batch_size=settings["batch_size"],
            max_epochs=settings["epochs"],
            shuffle=settings["shuffle"],
            l1=settings["l1"],
            l2=settings["l2"],
            dropout=settings["dropout"],
            input_dropout=settings["input_dropout"],
            max_norm=settings["max_norm"],
            seed=settings["seed"],
            matmul=settings["matmul"],
            n_threads=settings["threads"],
            verbose=settings["verbose"],
            callbacks=_callbacks(settings, "train_loss" if parts.watched is None else "val_loss"),
        )


def _chooses(settings: Settings) -> bool:
    """Whether anything about the model is decided by the validation loss."""
    plateau = settings["schedule"].lower().startswith("plateau")
    return plateau or settings["patience"] is not None or settings["checkpoint"] is not None


def check_labels(data: Dataset, output: str) -> None:
    """Raise UsageError if the labels of `data` are no classes where the output is one for classes."""
    y: Any = data.y
    if output == "identity" or y.ndim == 2:
        return
    if y.dtype.kind == "f" and (y % 1 != 0).any():
        example = y[y % 1 != 0][0]
        raise UsageError(f"the labels of {data.name} are numbers such as {example:g}; give --output identity")
    if (y == y[0]).all():
        raise UsageError(f"the labels of {data.name} are all {y[0]}; at least 2 classes are needed")


def _hold_out(samples: Part, fraction: float, settings: Settings) -> tuple[Part, Part]:
    from sklearn.model_selection import train_test_split

    classes = samples.y if is_classes(samples.y, settings["output"]) else None
    if classes is not None:
        check_classes(classes, 2, "be divided into a training and a validation part", "choose --validation 0")
    seed = settings["seed"] % 2**32  # scikit-learn's have 32 bits
    try:
        X, X_val, y, y_val = train_test_split(
            samples.X, samples.y, test_size=fraction, stratify=classes, random_state=seed
        )
    except ValueError as error:
        reason = str(error).rstrip(".")
        raise ValueError(
            f"no part of {fraction:g} can be held out for validation ({reason}); "
            "choose another --validation, or 0 for none"
        ) from None
    return Part("training", X, y), Part("validation", X_val, y_val)


def _scaling(data: Dataset, X: np.ndarray, scaling: str) -> tuple[Any, Any]:
    """Return input_scale and input_offset, never None for both: samples to predict may have another dtype."""
    if scaling == "none":
        return 1.0, None
    if scaling == "auto" and (data.input_scale is not None or X.dtype == np.uint8):
        return data.input_scale or 1 / 255, None
    if scaling == "minmax":
        low = X.min(axis=0).astype(np.float64)
        span = X.max(axis=0) - low
        # A feature that does not vary becomes 0, also in samples where it does; so does one whose scale is no float32.
        varies = span > np.finfo(np.float32).tiny
        return np.divide(1.0, span, out=np.zeros_like(span), where=varies), low
    from sklearn.preprocessing import StandardScaler

    with np.errstate(over="ignore", invalid="ignore"):
        scaler = StandardScaler().fit(X)
    if not np.isfinite(scaler.scale_).all():
        raise ValueError(
            f"{data.name} has values as large as {abs(X).max():.3g}, too large for --scaling standard; "
            "divide them by something, or choose --scaling minmax"
        )
    return 1 / scaler.scale_, scaler.mean_


def _callbacks(settings: Settings, monitor: str) -> list[fastnn.Callback]:
    callbacks: list[fastnn.Callback] = []
    if settings["csv_log"] is not None:
        callbacks.append(fastnn.CSVLogger(settings["csv_log"]))
    if settings["checkpoint"] is not None:
        callbacks.append(fastnn.ModelCheckpoint(settings["checkpoint"], monitor))
    if settings["patience"] is not None:
        callbacks.append(fastnn.EarlyStopping(monitor, patience=settings["patience"]))
    return callbacks
