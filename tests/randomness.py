"""The package's random numbers once more, in plain Python and NumPy: the order of the samples and what dropout drops.

Written from the documented formulas (splitmix64's finaliser for keys, murmur3's for units), it shares no code
with fastnn, so a changed formula shows, as does a number that is drawn for the wrong sample, step or layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_64 = 2**64 - 1
_32 = 2**32 - 1
# Samples that are worked through together; dropout counts rows from the beginning of such a block
ROW_BLOCK = 512


def key(seed: int, value: int) -> int:
    """Mix a key (or seed) and a whole number into a new 64-bit key."""
    x = (seed + (value + 1) * 0x9E3779B97F4A7C15) & _64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _64
    return x ^ (x >> 31)


def unit_hash(row_key: int, n_units: int) -> NDArray[np.uint64]:
    """A number in 0 .. 2^32 - 1 for each of n units; no product of two of them exceeds 64 bits."""
    low, high, mask = np.uint64(row_key & _32), np.uint64(row_key >> 32), np.uint64(_32)
    x = (np.arange(n_units, dtype=np.uint64) * np.uint64(0x9E3779B1) + low) & mask
    x = ((x ^ (x >> np.uint64(16)) ^ high) * np.uint64(0x85EBCA6B)) & mask
    x = ((x ^ (x >> np.uint64(13))) * np.uint64(0xC2B2AE35)) & mask
    return x ^ (x >> np.uint64(16))


def order(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order in which a shuffled epoch (from 0) takes the n samples."""
    shuffle_key = key(key(seed, epoch), 0)
    places = list(range(n))
    for i in range(n - 1, 0, -1):
        j = ((key(shuffle_key, i) >> 32) * (i + 1)) >> 32
        places[i], places[j] = places[j], places[i]
    return np.array(places)


def masks(
    sizes: Sequence[int], rates: Sequence[float], n: int, seed: int = 0, epoch: int = 0, start: int = 0
) -> tuple[Array | None, list[Array | None]]:
    """What dropout multiplies in the step on the n samples from place `start` of the epoch on.

    `rates` has one entry for the inputs and one for each hidden layer. Returns the mask of the inputs
    (n, inputs) and those of the hidden layers (n, units); None where nothing is dropped.
    """
    step_key = key(key(key(seed, epoch), 1), start)
    row_keys = [key(key(step_key, r - r % ROW_BLOCK), r % ROW_BLOCK) for r in range(n)]
    made: list[Array | None] = []
    for level, rate in enumerate(rates):
        if rate == 0.0:
            made.append(None)
            continue
        hashes = np.array([unit_hash(key(row_key, level), sizes[level]) for row_key in row_keys])
        made.append(np.where(hashes < round(rate * 2**32), 0.0, 1.0 / (1.0 - rate)))
    return made[0], made[1:]
