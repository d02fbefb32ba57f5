"""Multilayer perceptrons on CPUs: fast at every size, the same bits with any number of threads."""

from __future__ import annotations

from fastnn._version import __version__
from fastnn.engine import schedules
from fastnn.engine.callbacks import Callback, CSVLogger, EarlyStopping, LambdaCallback, ModelCheckpoint
from fastnn.engine.history import History
from fastnn.engine.model_file import ModelFileError
from fastnn.engine.network import MLP, load
from fastnn.engine.optimizers import SGD
from fastnn.engine.trainer import Trainer
from fastnn.engine.training import DivergenceError

__all__ = [
    "MLP",
    "SGD",
    "CSVLogger",
    "Callback",
    "DivergenceError",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "ModelCheckpoint",
    "ModelFileError",
    "Trainer",
    "__version__",
    "load",
    "schedules",
]
