"""FLOOR 3: compile everything before it is needed, for example while a container image is built."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from fastnn.engine.network import MLP
from fastnn.engine.trainer import Trainer


def warm_up(dtype: Any = "float32") -> float:
    """Compile, or load from the cache, all programs of one precision; returns the seconds it took."""
    start = time.perf_counter()
    net = MLP([2, 2], dtype=dtype)
    X = np.eye(2, dtype=net.dtype)
    Trainer(net, max_epochs=1, verbose=0, n_threads=1).fit(X, [0, 1])
    net.predict(X)
    return time.perf_counter() - start
