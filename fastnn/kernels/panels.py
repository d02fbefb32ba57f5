"""FLOOR 2: the layout of weights in memory, and to and from (inputs, outputs).

A layer with I inputs and O outputs is a matrix of I + 1 rows, the last row its biases, cut into panels of
PANEL columns; each panel lies row after row, so that forward streams it and the update writes whole tiles.

    W[:, 0:P] | W[:, P:2P] | ... | the last panel: as many units as it needs, padded with zeros
    row 0     | row 0      |
    ...       | ...        |
    biases    | biases     |
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastnn.simd import target


def unit(dtype) -> int:
    """Numbers in a unit of 64 bytes: 16 float32 or 8 float64."""
    return target.UNIT_BYTES // np.dtype(dtype).itemsize


def padded(n: int, dtype) -> int:
    """n rounded up to whole units."""
    lanes = unit(dtype)
    return -(-n // lanes) * lanes


def size(inputs: int, outputs: int, dtype) -> int:
    """Numbers that the panels of a layer take."""
    return (inputs + 1) * padded(outputs, dtype)


def blocks(flat: np.ndarray, inputs: int, outputs: int) -> Iterator[tuple[slice, np.ndarray]]:
    """The panels of a layer as (columns of W, view (inputs + 1, columns)) pairs; `flat` is (size,)."""
    panel = target.PANEL_UNITS * unit(flat.dtype)
    start = 0
    for first in range(0, outputs, panel):
        columns = min(panel, outputs - first)
        width = padded(columns, flat.dtype)
        stop = start + (inputs + 1) * width
        yield slice(first, first + columns), flat[start:stop].reshape(inputs + 1, width)[:, :columns]
        start = stop


def pack(weights: np.ndarray, biases: np.ndarray, flat: np.ndarray) -> None:
    """Write W (inputs, outputs) and b (outputs,) into `flat` (size,), whose padding must be zero."""
    for columns, block in blocks(flat, *weights.shape):
        block[:-1] = weights[:, columns]
        block[-1] = biases[columns]


def unpack(flat: np.ndarray, inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Copies W (inputs, outputs) and b (outputs,) of the panels in `flat` (size,)."""
    whole = np.empty((inputs + 1, outputs), flat.dtype)
    for columns, block in blocks(flat, inputs, outputs):
        whole[:, columns] = block
    return np.ascontiguousarray(whole[:-1]), whole[-1].copy()
