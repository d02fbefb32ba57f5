"""FLOOR 3: all weights and biases of a network in one aligned buffer, in the panels that the kernels read."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.kernels import panels


def aligned_zeros(n: int, dtype) -> np.ndarray:
    """A flat array of n zeros that begins at a multiple of 64 bytes (NumPy promises 16)."""
    dtype = np.dtype(dtype)
    raw = np.zeros(n * dtype.itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + n * dtype.itemsize].view(dtype)


class Parameters:
    """The parameters of layers of the given sizes.

    Attributes
    ----------
    flat : array of dtype, (total,)
        The panels of all layers, aligned to 64 bytes; padding is zero.
    count : int
        Weights and biases, without padding.
    offsets : list of int
        Where each layer's panels begin in `flat`.
    """

    def __init__(self, sizes: Sequence[int], dtype) -> None:
        self.shapes = list(itertools.pairwise(sizes))
        lengths = [panels.size(inputs, outputs, dtype) for inputs, outputs in self.shapes]
        self.count = sum((inputs + 1) * outputs for inputs, outputs in self.shapes)
        *self.offsets, total = itertools.accumulate(lengths, initial=0)
        self.flat = aligned_zeros(total, dtype)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Of a copy or from a pickle, which align to 16 bytes only."""
        self.__dict__.update(state)
        self.flat = aligned_zeros(state["flat"].size, state["flat"].dtype)
        self.flat[:] = state["flat"]

    def _layer(self, i: int) -> np.ndarray:
        inputs, outputs = self.shapes[i]
        return self.flat[self.offsets[i] : self.offsets[i] + panels.size(inputs, outputs, self.flat.dtype)]

    def get(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Copies: weights (inputs, outputs) and biases (outputs,) of every layer."""
        pairs = [panels.unpack(self._layer(i), *shape) for i, shape in enumerate(self.shapes)]
        return [w for w, _ in pairs], [b for _, b in pairs]

    def set(self, weights: Sequence[np.ndarray], biases: Sequence[np.ndarray]) -> None:
        """Take over arrays of the shapes that `get` returns; checked by the caller."""
        for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
            panels.pack(w, b, self._layer(i))
