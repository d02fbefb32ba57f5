"""The order in which fastnn takes the samples, from fastnn's own compiled code."""

from __future__ import annotations

import numpy as np

from fastnn._jit import program
from fastnn.ops.random import key, shuffle


@program
def _shuffle(order, seed, epoch):
    shuffle(order, key(key(seed, epoch), 0))


def shuffled(n: int, seed: int, epoch: int) -> np.ndarray:
    """The order of n samples in an epoch (from 0) of a training with this seed, int64 (n,)."""
    order = np.empty(n, np.int32)
    _shuffle(order, seed, epoch)
    return order.astype(np.int64)
