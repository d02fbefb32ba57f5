"""FLOOR 3: compile everything before it is needed, for example while a container image is built."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from fastnn.engine.network import MLP
from fastnn.engine.trainer import Trainer
from fastnn.engine.workspace import BYTES_PAY


def warm_up(dtype: Any = "float32") -> float:
    """Compile, or load from the cache, all programs of one precision; returns the seconds it took."""
    start = time.perf_counter()
    net = MLP([2, 2], dtype=dtype)
    numbers = np.eye(2, dtype=net.dtype)
    few_bytes = np.eye(BYTES_PAY, 2, dtype=np.uint8)
    for X in (numbers, few_bytes):  # for a narrow network the latter is another program
        y = np.arange(len(X)) % 2
        Trainer(net, max_epochs=1, verbose=0, n_threads=1).fit(X, y, X, y)  # prediction is compiled meanwhile
    return time.perf_counter() - start
