"""The layout of weights in memory: where each weight lies, there and back, and padding of zeros."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn.kernels import panels
from fastnn.simd import target

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
PANEL = {np.float32: 64, np.float64: 32}  # the same on every CPU
SHAPES = [(1, 1), (3, 5), (2, 8), (7, 16), (1, 17), (5, 31), (4, 32), (3, 33), (9, 64), (2, 65), (6, 127), (3, 200)]


def layer(inputs, outputs, dtype):
    rng = np.random.default_rng([inputs, outputs])
    W = rng.standard_normal((inputs, outputs)).astype(dtype)
    b = rng.standard_normal(outputs).astype(dtype)
    flat = np.zeros(panels.size(inputs, outputs, dtype), dtype)
    panels.pack(W, b, flat)
    return W, b, flat


@DTYPES
def test_units(dtype):
    lanes = panels.unit(dtype)
    assert lanes * np.dtype(dtype).itemsize == target.UNIT_BYTES == 64
    assert [panels.padded(n, dtype) for n in (0, 1, lanes, lanes + 1, 100 * lanes)] == [
        0, lanes, lanes, 2 * lanes, 100 * lanes,
    ]  # fmt: skip


@DTYPES
@pytest.mark.parametrize(("inputs", "outputs"), SHAPES)
def test_there_and_back(inputs, outputs, dtype):
    W, b, flat = layer(inputs, outputs, dtype)
    kept = flat.copy()
    again, biases = panels.unpack(flat, inputs, outputs)
    np.testing.assert_array_equal(again, W)
    np.testing.assert_array_equal(biases, b)
    assert again.flags.c_contiguous
    assert again.dtype == biases.dtype == dtype
    again += 1
    biases += 1
    np.testing.assert_array_equal(flat, kept)


@DTYPES
@pytest.mark.parametrize(("inputs", "outputs"), SHAPES)
def test_where_each_weight_lies(inputs, outputs, dtype):
    """By the picture in panels.py, written down a second time; everything else is zero."""
    W, b, flat = layer(inputs, outputs, dtype)
    expected = np.zeros_like(flat)
    for o in range(outputs):
        first = o // PANEL[dtype] * PANEL[dtype]
        width = min(PANEL[dtype], panels.padded(outputs - first, dtype))
        for i in range(inputs + 1):
            expected[first * (inputs + 1) + i * width + o - first] = W[i, o] if i < inputs else b[o]
    np.testing.assert_array_equal(flat, expected)


@DTYPES
@pytest.mark.parametrize(("inputs", "outputs"), SHAPES)
def test_blocks_are_views_that_cover_the_columns(inputs, outputs, dtype):
    W, _, flat = layer(inputs, outputs, dtype)
    covered = []
    for columns, block in panels.blocks(flat, inputs, outputs):
        assert np.shares_memory(block, flat)
        assert block.shape == (inputs + 1, columns.stop - columns.start)
        np.testing.assert_array_equal(block[:-1], W[:, columns])
        covered += range(outputs)[columns]
    assert covered == list(range(outputs))
