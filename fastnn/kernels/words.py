"""FLOOR 2: the arguments of a program as words of 64 bits, which is all that machine code is given.

An array is its address, its lengths and its strides in bytes; a number is itself, or its bits; tuples are what they
hold, one after another; None is nothing. `simd.arguments` reads them.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from fastnn.kernels.bundles import Samples

# The signature of inputs, which may be of every type and layout
MATRIX = "matrix"


def signature(value: Any) -> Hashable:
    """What decides how machine code takes a value: values of one signature have one program (see kernels.programs).

    (class, signature of each field ...) for a tuple, (dtype, dimensions, layout) for an array, else the name of a type.
    """
    if isinstance(value, tuple):
        fields = tuple(map(signature, value))
        if isinstance(value, Samples):
            fields = (MATRIX, *fields[1:])
        return (type(value), *fields)
    if isinstance(value, np.ndarray):
        flags = value.flags
        return value.dtype.str, value.ndim, "C" if flags.c_contiguous else "F" if flags.f_contiguous else "A"
    return value.dtype.str if isinstance(value, np.generic) else type(value).__name__


def words(value: Any) -> list[int]:
    """The words of a value. An array has to be kept as long as they are used."""
    if isinstance(value, tuple):
        return [word for field in value for word in words(field)]
    if isinstance(value, np.ndarray):
        return [value.ctypes.data, *value.shape, *value.strides]
    if isinstance(value, (float, np.floating)):
        bits = np.asarray(value)
        return [int(bits.view(f"i{bits.itemsize}"))]
    return [] if value is None else [int(value)]
