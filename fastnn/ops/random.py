"""FLOOR 1: random numbers as a pure function of what they are for: no state, no order, so threads cannot matter.

`key` mixes (seed, epoch, step, row, level) into 64 bits by splitmix64's finaliser (Steele et al. 2014);
simd.hashing.dropout_factor hashes a unit under such a key.
"""

from __future__ import annotations

import numpy as np

from fastnn._jit import op

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)


@op
def key(seed, value):
    """A 64-bit key from another key (or seed) and one more whole number."""
    x = np.uint64(seed) + (np.uint64(value) + np.uint64(1)) * _GOLDEN
    x = (x ^ (x >> _30)) * _MIX1
    x = (x ^ (x >> _27)) * _MIX2
    return x ^ (x >> _31)


@op
def below(seed, i, n):
    """A whole number in 0 .. n-1 for draw i; n below 2^32."""
    return np.int64(((key(seed, i) >> _32) * np.uint64(n)) >> _32)


@op
def shuffle(order, seed):
    """Fill `order` (n,) with a permutation of 0 .. n-1 that depends on `seed` and n alone (Fisher and Yates)."""
    n = order.shape[0]
    for i in range(n):
        order[i] = i
    for i in range(n - 1, 0, -1):
        j = below(seed, i, i + 1)
        order[i], order[j] = order[j], order[i]
