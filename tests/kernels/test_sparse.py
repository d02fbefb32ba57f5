"""Which inputs are zero, and the lists of terms that leave them out, against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn._jit import program
from fastnn.kernels.gang import share
from fastnn.kernels.sparse import list_inputs, list_samples, note_rows, padded_words
from fastnn.simd.bits import NOTED
from fastnn.simd.target import LIST_SLACK, WORD_BITS


@program
def run_padded(n):
    return padded_words(n)


@program
def run_note(x, x0, row, n, m, done, words, w0):
    note_rows(x, x0, row, n, m, done, words, w0, padded_words(n))


@program
def run_list_inputs(words, further, start, stop, n, samples, out):
    list_inputs(words, further, start, stop, n, samples, out)


@program
def run_list_samples(words, part, n_words, i, height, m, n_ranks, out):
    list_samples(words, part, n_words, i, height, m, n_ranks, out)


@program
def run_share(n, rank, n_ranks):
    return share(n, rank, n_ranks, 1)


def noted(X, n_ranks=1):
    """The words of all ranks, each of which has noted its share of the samples; rubbish lies there before.

    In two runs, as strips are; what lies between the samples is not zero.
    """
    n = X.shape[1]
    n_words = run_padded(n)
    part = (len(X) // n_ranks // WORD_BITS + 1) * n_words
    words = np.full(n_ranks * part + 3, -1, np.int32)
    memory = np.ones((len(X), n + 19), X.dtype)
    memory[:, 2 : 2 + n] = X
    for rank in range(n_ranks):
        r0, r1 = run_share(len(X), rank, n_ranks)
        middle = min(r0 + 2 * NOTED, r1)
        for start, stop in [(r0, middle), (middle, r1)]:
            first = start * memory.shape[1] + 2
            run_note(memory.ravel(), first, memory.shape[1], n, stop - start, start - r0, words, rank * part)
    assert (words[-3:] == -1).all()
    return words, part, n_words


def sparse(m, n, dtype=np.float32):
    rng = np.random.default_rng(m + n)
    X = (rng.standard_normal((m, n)) * (rng.random((m, n)) < 0.15)).astype(dtype)
    X.flat[:: m * n // 3 + 1] = np.nan  # NaN is not zero
    X[-1, ::3] = -0.0  # and this is
    return X


@pytest.mark.parametrize("n", [1, 16, 21])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_a_bit_for_every_number_that_is_not_zero(dtype, n):
    X = (sparse(45, n, np.float64) > 0).astype(dtype) * dtype(2**20 + 3)
    words, _, n_words = noted(X)
    words = words[:-3].reshape(-1, n_words)
    for r, row in enumerate(X):
        np.testing.assert_array_equal(words[r // WORD_BITS, :n] >> r % WORD_BITS & 1, row != 0)
    assert (words[:, n:] == 0).all()
    assert (words[1] >> 45 - WORD_BITS == 0).all()


def entries(out):
    return out[1 : 1 + out[0]].tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 15, 16, 17, 83, 784])
def test_inputs_of_a_tile_and_the_biases(n, dtype):
    X = sparse(WORD_BITS, n, dtype)
    words, _, _ = noted(X)
    for first, height in [(0, 1), (0, 8), (28, 4), (31, 1), (0, 32)]:
        out = np.zeros(n + 2 + LIST_SLACK, np.int64)
        run_list_inputs(words, 0, 0, n, n, (2**height - 1) << first, out)
        expected = np.flatnonzero((X[first : first + height] != 0).any(axis=0))
        assert entries(out) == [*expected, n]
        for start in range(16, n, 32):  # a range of inputs that does not end with the last has no biases
            stop = min(start + 48, n)
            run_list_inputs(words, 0, start, stop, n, (2**height - 1) << first, out)
            within = expected[(expected >= start) & (expected < stop)]
            assert entries(out) == [*within, *([n] if stop == n else [])]


def test_inputs_of_samples_of_two_words():
    X = sparse(2 * WORD_BITS, 83)
    words, _, n_words = noted(X)
    for samples in ([0], [63], [31, 32], [5, 20, 40, 60]):
        out = np.zeros(83 + 2 + LIST_SLACK, np.int64)
        bits = np.uint64(sum(1 << s for s in samples)).astype(np.int64)
        run_list_inputs(words, n_words, 0, 83, 83, bits, out)
        assert entries(out) == [*np.flatnonzero((X[samples] != 0).any(axis=0)), 83]


@pytest.mark.parametrize("n_ranks", [1, 2, 3, 5])
@pytest.mark.parametrize("m", [1, 4, 31, 32, 33, 64, 65, 130])
def test_samples_of_a_tile(m, n_ranks):
    X = sparse(m, 21)
    words, part, n_words = noted(X, n_ranks)
    for i, height in [(0, 1), (3, 4), (13, 8), (20, 1)]:
        out = np.zeros(m + 1 + LIST_SLACK, np.int64)
        run_list_samples(words, part, n_words, i, height, m, n_ranks, out)
        assert entries(out) == np.flatnonzero((X[:, i : i + height] != 0).any(axis=1)).tolist()
