"""Random numbers as pure functions: right values, right rates, independent of each other."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from fastnn._jit import program
from fastnn.kernels.bundles import drop_threshold
from fastnn.ops.random import below, key, shuffle
from fastnn.simd.hashing import dropout_factor

# Standard errors that a right generator may be off; the seeds are fixed, so a test passes always or never.
SIGMAS = 5.0
TWO = np.float32(2)


@program
def make_keys(seed, values, out):
    for i in range(values.shape[0]):
        out[i] = key(seed, values[i])


@program
def make_masks(row_keys, threshold, scale, out):
    for r in range(row_keys.shape[0]):
        for u in range(out.shape[1]):
            out[r, u] = dropout_factor(row_keys[r], u, threshold, scale)


@program
def draw(seed, n, out):
    for i in range(out.shape[0]):
        out[i] = below(seed, i, n)


@program
def make_orders(seeds, orders):
    for i in range(seeds.shape[0]):
        shuffle(orders[i], seeds[i])


def keys(seed, values):
    values = np.asarray(values, np.int64)
    out = np.empty(len(values), np.uint64)
    make_keys(seed, values, out)
    return out


def masks(row_keys, n_units, p, scale=TWO):
    out = np.empty((len(row_keys), n_units), type(scale))
    make_masks(row_keys, drop_threshold(p), scale, out)
    return out


def orders(n, n_seeds, dtype=np.int32):
    out = np.full((n_seeds, n), -1, dtype)
    make_orders(keys(3, np.arange(n_seeds)), out)
    return out


def test_keys_are_splitmix64():
    """The published stream of seed 0, and all 64 bits of a seed count."""
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]
    np.testing.assert_array_equal(keys(0, range(4)), np.array(expected, np.uint64))
    seeds = [0, 1, -1, 2**63 - 1, -(2**63), 2**32]
    assert len({int(keys(seed, [0])[0]) for seed in seeds}) == len(seeds)


def test_keys_of_keys_differ():
    """(epoch, step, row, level), a few of each: no key comes twice."""
    found = keys(42, range(20))
    for _ in range(3):
        found = np.concatenate([keys(k, range(12)) for k in found])
    assert len(np.unique(found)) == 20 * 12**3
    bits = (found[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < SIGMAS * 0.5 / np.sqrt(len(found))


@pytest.mark.parametrize("n", [1, 2, 3, 10, 1000, 2**31 - 1, 2**32 - 1])
def test_below_is_in_range_and_even(n):
    out = np.empty(40_000, np.int64)
    draw(7, n, out)
    assert out.min() >= 0
    assert out.max() < n
    # against the mean and spread of an even distribution
    spread = np.sqrt((float(n) ** 2 - 1) / 12)
    assert abs(out.mean() - (n - 1) / 2) <= SIGMAS * spread / np.sqrt(len(out))
    if 1 < n <= 1000:
        counts = np.bincount(out, minlength=n)
        chi_square = ((counts - len(out) / n) ** 2).sum() / (len(out) / n)
        assert chi_square < n - 1 + SIGMAS * np.sqrt(2 * (n - 1))


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.8, 0.999])
def test_rate_of_dropped_units(p):
    dropped = masks(keys(1, range(1000)), 301, p) == 0
    error = np.sqrt(p * (1 - p) / dropped.size)
    assert abs(dropped.mean() - p) < SIGMAS * error
    for axis in 0, 1:
        means = dropped.mean(axis=axis)
        worst = np.sqrt(p * (1 - p) / dropped.shape[axis])
        # the largest of a thousand is about 3.3 standard errors off
        assert np.abs(means - p).max() < 1.4 * SIGMAS * worst + 1 / dropped.shape[axis]
        assert 0.8 < means.std() / worst < 1.2


@pytest.mark.parametrize("scale", [np.float32(1.25), np.float64(1.25)])
def test_a_factor_is_zero_or_the_scale(scale):
    found = masks(keys(1, range(50)), 37, 0.2, scale)
    assert set(np.unique(found)) == {0.0, 1.25}


def test_ends_of_the_rate():
    rows = keys(1, range(300))
    assert (masks(rows, 100, 0.0) == 2).all()
    assert (masks(rows, 100, 1 - 1e-6) == 0).mean() > 0.999
    assert (masks(rows, 100, np.nextafter(1.0, 0.0)) == 0).all()
    assert drop_threshold(0.25) == 2**30


def correlation(x, y):
    """In standard errors."""
    x, y = x - x.mean(), y - y.mean()
    return (x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()) * np.sqrt(x.size)


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_neighbours_are_independent(p):
    """Rows, units, and the same place one level, step or epoch on."""
    levels = keys(11, range(2))
    first, second = (masks(keys(level, range(400)), 400, p) for level in levels)
    pairs = [(first, second)]
    for lag in (1, 2, 3, 8, 16, 32, 64):
        pairs += [(first[lag:], first[:-lag]), (first[:, lag:], first[:, :-lag])]
        pairs += [(first[lag:, lag:], first[:-lag, :-lag])]
    for x, y in pairs:
        assert abs(correlation(x, y)) < SIGMAS


def test_a_mask_depends_on_its_place_alone():
    rows = keys(5, range(20))
    whole = masks(rows, 67, 0.5)
    np.testing.assert_array_equal(masks(rows, 67, 0.5), whole)
    np.testing.assert_array_equal(masks(rows[3:5], 33, 0.5), whole[3:5, :33])


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 100, 1001])
def test_shuffle_is_a_permutation(n, dtype):
    found = orders(n, 20, dtype)
    np.testing.assert_array_equal(np.sort(found, axis=1), np.tile(np.arange(n), (20, 1)))
    np.testing.assert_array_equal(found, orders(n, 20, dtype))
    if n >= 100:
        assert len(np.unique(found, axis=0)) == 20


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_every_permutation_is_as_likely(n):
    found = orders(n, 60_000)
    code = found @ (10 ** np.arange(n))
    _, counts = np.unique(code, return_counts=True)
    cells = len(list(permutations(range(n))))
    assert len(counts) == cells
    chi_square = ((counts - len(code) / cells) ** 2).sum() / (len(code) / cells)
    assert chi_square < cells - 1 + SIGMAS * np.sqrt(2 * (cells - 1))


def test_every_place_of_a_long_shuffle_is_as_likely():
    n, n_seeds = 60, 20_000
    found = orders(n, n_seeds)
    counts = np.array([np.bincount(column, minlength=n) for column in found.T])
    expected = n_seeds / n
    chi_square = ((counts - expected) ** 2).sum() / expected
    freedom = (n - 1) ** 2
    assert abs(chi_square - freedom) < SIGMAS * np.sqrt(2 * freedom)
