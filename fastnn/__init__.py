"""Multilayer perceptrons on CPUs: fast at every size, the same bits with any number of threads."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fastnn._version import __version__

if TYPE_CHECKING:
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

# Where the names are defined. They are imported when they are first asked for: the process of the command `fastnn`
# comes here before it can answer Ctrl-C, and NumPy and LLVM take a sixth of a second.
_HOMES = {
    "MLP": "engine.network",
    "SGD": "engine.optimizers",
    "CSVLogger": "engine.callbacks",
    "Callback": "engine.callbacks",
    "DivergenceError": "engine.training",
    "EarlyStopping": "engine.callbacks",
    "History": "engine.history",
    "LambdaCallback": "engine.callbacks",
    "ModelCheckpoint": "engine.callbacks",
    "ModelFileError": "engine.model_file",
    "Trainer": "engine.trainer",
    "load": "engine.network",
}
_MODULES = {"schedules": "engine.schedules"}
_MODULES |= {name: name for name in ("datasets", "metrics", "plots", "recipes", "runs", "tuning")}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"fastnn.{_MODULES[name]}")
    if name in _HOMES:
        globals()[name] = found = getattr(importlib.import_module(f"fastnn.{_HOMES[name]}"), name)
        return found
    raise AttributeError(f"module 'fastnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})
