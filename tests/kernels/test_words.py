"""Arguments as words: whatever a program is given, machine code reads the same."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from fastnn._jit import piece
from fastnn.engine.launch import Gang, Program
from fastnn.kernels.words import signature, words


class Pair(NamedTuple):
    numbers: np.ndarray
    factor: object


@piece
def copy_all(rank, n_ranks, control, pair, matrix, nothing, truth, whole, real, wide, out):
    """Everything that was read, one number after another, for each rank."""
    k = 0
    for i in range(pair.numbers.shape[0]):
        out[rank, k] = pair.numbers[i] * pair.factor
        k += 1
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            out[rank, k] = matrix[i, j]
            k += 1
    if nothing is None and truth:
        out[rank, k] = whole[0] - whole[1]
    out[rank, k + 1] = real
    out[rank, k + 2] = wide
    out[rank, k + 3] = rank * 10 + n_ranks


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("n_ranks", [1, 3])
def test_what_is_written_is_read(dtype, n_ranks):
    numbers = np.arange(1, 4).astype(dtype)
    whole = np.arange(24).reshape(4, 6).astype(dtype)
    for matrix in (whole, np.asfortranarray(whole), whole[::-2, 1::3], whole[:0]):
        out = np.full((n_ranks, 40), np.nan)
        gang = Gang(n_ranks)
        arguments = (
            Pair(numbers, np.dtype(dtype).type(2)), matrix, None, True, (2**62, -(2**40)), np.float32(-0.1), 1e300, out,
        )  # fmt: skip
        gang.run(gang.prepare(Program("copy_all", copy_all), arguments), expected_seconds=1.0)
        shared = [*(2 * numbers), *matrix.ravel(), 2**62 + 2**40, np.float32(-0.1), 1e300]
        for rank in range(n_ranks):
            expected = [*shared, rank * 10 + n_ranks]
            np.testing.assert_array_equal(out[rank, : len(expected)], np.array(expected, np.float64))
            assert np.isnan(out[rank, len(expected) :]).all()


DIFFERENT = [
    1, 1.0, True, None, np.float32(1), np.float64(1), np.zeros(3), np.zeros(3, "f"), np.zeros((3, 2)),
    np.zeros((3, 2)).T, np.zeros(6)[::2], (1, 2), (1, 2.0), (1, 2, 3), Pair(np.zeros(3), 1), Pair(np.zeros(3, "f"), 1),
    Pair(np.zeros(3), None),
]  # fmt: skip


def test_signatures_tell_types_and_layouts_apart_but_not_values():
    assert len(set(map(signature, DIFFERENT))) == len(DIFFERENT)
    for one, other in [(1, 2), (1.0, -2.5), (np.zeros(3), np.ones(7)), (Pair(np.zeros(3), 1), Pair(np.ones(2), 5))]:
        assert signature(one) == signature(other)


def test_numbers_beyond_a_word_are_refused():
    with pytest.raises(OverflowError):
        np.array(words((2**63,)), np.int64)
