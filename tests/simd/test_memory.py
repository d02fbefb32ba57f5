"""Views without an owner, and the transpose of a block."""

from __future__ import annotations

import numpy as np
import pytest
from numba import types

from fastnn._jit import program
from fastnn.simd import target
from fastnn.simd.memory import (
    MATRIX,
    address_of,
    transpose_block,
    transpose_reference,
    turn_bytes,
    turn_bytes_reference,
    view,
    view_at,
)

_uint8_at, _float32_at, _float64_at = (view_at(t) for t in (types.uint8, types.float32, types.float64))


@program
def add_to_view(a, start, n):
    part = view(a, start, n)
    for i in range(part.shape[0]):
        part[i] += 1
    return part.size * part.itemsize


@program
def read_at(kind, address, n, out):
    for i in range(n):
        if kind == 0:
            out[i] = _uint8_at(address, n)[i]
        elif kind == 1:
            out[i] = _float32_at(address, n)[i]
        else:
            out[i] = _float64_at(address, n)[i]


@program
def run_transpose(source, s0, s_row, out, o0, o_row):
    transpose_block(source, s0, s_row, out, o0, o_row)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("start", "n"), [(0, 20), (3, 5), (7, 1), (4, 0), (20, 0)])
def test_a_view_is_the_memory_itself(dtype, start, n):
    a = np.arange(20, dtype=dtype)
    expected = a.copy()
    expected[start : start + n] += 1
    assert add_to_view(a, start, n) == n * a.itemsize
    np.testing.assert_array_equal(a, expected)


@pytest.mark.parametrize(("kind", "dtype"), list(enumerate([np.uint8, np.float32, np.float64])))
@pytest.mark.parametrize("offset", [0, 1, 3])
def test_a_view_at_an_address_reads_its_type_wherever_it_lies(kind, dtype, offset):
    values = np.arange(200, 231).astype(dtype)
    memory = np.zeros(values.nbytes + 8, np.uint8)
    memory[offset : offset + values.nbytes] = values.view(np.uint8)
    out = np.full(33, -1.0)
    read_at(kind, memory.ctypes.data + offset, 31, out)
    np.testing.assert_array_equal(out, [*values, -1, -1])


@program
def where(X):
    return address_of(X), X.shape, X.strides


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_a_matrix_of_any_numbers_is_found_where_it_lies(dtype):
    """By the entry that is compiled for MATRIX: called by its name, the program would be compiled for each type."""
    where.compile((MATRIX,))
    (entry,) = (compiled.entry_point for kind, compiled in where.overloads.items() if kind == (MATRIX,))
    X = np.zeros((6, 10), dtype)
    for part in (X, X[1:], X[::-2, 3:], X.T, X[:, ::-1], np.broadcast_to(X[0], (4, 10))):
        assert entry(part) == (part.__array_interface__["data"][0], part.shape, part.strides)


def block(dtype):
    n = target.UNIT_BYTES // np.dtype(dtype).itemsize
    return n, np.arange(1, 40 * n + 1, dtype=dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("s_more", "o_more"), [(0, 0), (3, 0), (0, 5), (16, 17)])
def test_transpose(dtype, s_more, o_more):
    n, source = block(dtype)
    out = -source
    expected = out.copy()
    expected_block = np.lib.stride_tricks.as_strided(expected[2:], (n, n), ((n + o_more) * out.itemsize, out.itemsize))
    s_row = n + s_more
    expected_block[...] = np.array([source[5 + i * s_row : 5 + i * s_row + n] for i in range(n)]).T
    before = source.copy()
    run_transpose(source, 5, s_row, out, 2, n + o_more)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(source, before)

    by_reference = -source
    transpose_reference(source, 5, s_row, by_reference, 2, n + o_more)
    np.testing.assert_array_equal(by_reference, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transpose_in_place(dtype):
    n, memory = block(dtype)
    expected = memory.copy()
    transpose_reference(memory, 4, n + 1, expected, 4, n + 1)
    run_transpose(memory, 4, n + 1, memory, 4, n + 1)
    np.testing.assert_array_equal(memory, expected)
    assert memory[4 + 1] == 4 + n + 1 + 1  # element (0, 1) is now what (1, 0) was


def test_transpose_moves_bits_not_numbers():
    """NaN payloads and negative zeros survive."""
    n, _ = block(np.float32)
    bits = np.random.default_rng(0).integers(0, 2**32, (n, n), np.uint32)
    bits[0, 1], bits[1, 0] = 0x7FC01234, 0x80000000
    out = np.zeros((n, n), np.float32)
    run_transpose(bits.view(np.float32).ravel(), 0, n, out.reshape(-1), 0, n)
    np.testing.assert_array_equal(out.view(np.uint32), bits.T)


@program
def run_turn_bytes(source, s0, s_row, like, out, o0):
    return turn_bytes(source, s0, s_row, like, out, o0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.2, 1.0])
def test_turn_bytes(dtype, share):
    n = target.UNIT_BYTES // np.dtype(dtype).itemsize
    rng = np.random.default_rng(1)
    source = rng.integers(1, 256, 32 * 100, np.uint8) * (rng.random(32 * 100) < share)
    source = source.astype(np.uint8)
    out = np.full(64 * n + 20, 7, np.uint8)
    expected = out.copy()
    before = source.copy()
    bits = turn_bytes_reference(source, 3, 97, n, expected, 9)
    assert run_turn_bytes(source, 3, 97, np.zeros(1, dtype), out, 9) % 2**64 == bits
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(source, before)
    assert out[9 + 5 * n + 2] == source[3 + 2 * 97 + 5]
    assert (bits == 2**64 - 1) == (share == 1.0)
    assert (bits == 0) == (share == 0.0)
