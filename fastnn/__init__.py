"""Multilayer perceptrons on CPUs: fast at every size, the same bits with any number of threads."""

from __future__ import annotations

import importlib
from typing import Any

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

# Modules of floor 4, imported when they are first asked for: `import fastnn; fastnn.metrics.report(...)`.
_LAZY = ("datasets", "metrics", "plots", "recipes", "runs", "tuning")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"fastnn.{name}")
    raise AttributeError(f"module 'fastnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
