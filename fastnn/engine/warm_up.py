"""FLOOR 3: compile everything before it is needed, for example while a container image is built."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastnn.engine import matrix_unit
from fastnn.engine.network import MLP
from fastnn.engine.trainer import Trainer
from fastnn.engine.workspace import BYTES_PAY
from fastnn.kernels.bundles import WIDE
from fastnn.ops.codes import MATMULS


def warm_up(dtype: Any = "float32", matmuls: Iterable[str] = MATMULS) -> float:
    """Compile, or load from the cache, all programs of one precision; returns the seconds it took.

    matmuls     those of `Trainer` that will be used; what this machine cannot do is left out
    """
    start = time.perf_counter()
    narrow, wide = (MLP([2, *hidden, 2], dtype=dtype) for hidden in ([], [WIDE]))
    numbers = np.eye(2, dtype=narrow.dtype)
    few_bytes = np.eye(BYTES_PAY, 2, dtype=np.uint8)
    # for a narrow network bytes are another program
    programs = {"fma": [(narrow, numbers), (narrow, few_bytes)], "bf16x3": [(wide, numbers)]}
    if narrow.dtype != np.float32 or not matrix_unit.is_allowed():
        del programs["bf16x3"]
    for matmul in matmuls:
        for net, X in programs.get(matmul, []):
            y = np.arange(len(X)) % 2
            # with a validation set, so that prediction is compiled meanwhile
            Trainer(net, max_epochs=1, verbose=0, n_threads=1, matmul=matmul).fit(X, y, X, y)
    return time.perf_counter() - start
