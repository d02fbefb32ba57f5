"""Initializers: the distributions by their moments and limits, given arrays, and sentences for bad ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastnn.engine.initializers import make_weights

SIZES = [300, 200, 10]
I, O = 300, 200  # the layer whose moments are checked


def draw(spec, dtype="float64", seed=0, sizes=SIZES):
    return make_weights(spec, sizes, np.random.default_rng(seed), dtype)


@pytest.mark.parametrize(
    ("spec", "std"),
    [
        ("he", math.sqrt(2 / I)),
        ("glorot", math.sqrt(2 / (I + O))),
        ("lecun", math.sqrt(1 / I)),
        ("inverse_sqrt", math.sqrt(1 / I / 3)),
        ("standard_normal", 1.0),
        ("normal(0.01)", 0.01),
        ("uniform(-1, 1)", math.sqrt(1 / 3)),
    ],
)
def test_each_has_mean_0_and_its_standard_deviation(spec, std):
    W = draw(spec)[0][0]
    # 60,000 draws: the standard error of the mean is std / 245, that of the standard deviation std / 346
    # for a normal and less for a uniform distribution.
    assert abs(W.mean()) < 4 * std / 245
    assert abs(W.std() / std - 1) < 4 / 346


@pytest.mark.parametrize(
    ("spec", "limit"),
    [("glorot", math.sqrt(6 / (I + O))), ("inverse_sqrt", math.sqrt(1 / I)), ("uniform(-0.5, 0.5)", 0.5)],
)
def test_the_uniform_ones_fill_their_interval(spec, limit):
    W = draw(spec)[0][0]
    assert limit * 0.99 < W.max() < limit
    assert -limit <= W.min() < -limit * 0.99


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shapes_dtype_order_and_zero_biases(dtype):
    weights, biases = draw("he", dtype)
    assert [W.shape for W in weights] == [(300, 200), (200, 10)]
    assert [b.shape for b in biases] == [(200,), (10,)]
    assert all(a.dtype == dtype and a.flags.c_contiguous for a in weights + biases)
    assert not any(b.any() for b in biases)


def test_float32_is_float64_rounded_and_the_seed_decides():
    single, double, other = draw("he", "float32")[0], draw("he")[0], draw("he", seed=1)[0]
    assert all(np.array_equal(s, d.astype("float32")) for s, d in zip(single, double, strict=True))
    assert not np.array_equal(double[0], other[0])


def test_given_arrays_are_copied_and_leave_the_generator_alone():
    weights, biases = draw("normal(1.0)", sizes=[3, 4, 2])
    rng = np.random.default_rng(5)
    got_weights, got_biases = make_weights((weights, [b + 1 for b in biases]), [3, 4, 2], rng, "float64")
    assert all(np.array_equal(a, b) and a is not b for a, b in zip(got_weights, weights, strict=True))
    assert all((b == 1).all() for b in got_biases)
    assert rng.random() == np.random.default_rng(5).random()


def test_given_weights_alone_may_be_lists_of_any_order_and_get_zero_biases():
    W = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    weights, biases = draw([W, [[1], [2], [3]]], "float32", sizes=[2, 3, 1])
    assert np.array_equal(weights[0], W)
    assert weights[0].flags.c_contiguous
    assert weights[1].dtype == np.float32
    assert not biases[0].any()


@pytest.mark.parametrize(
    ("spec", "error", "sentence"),
    [
        ("hee", ValueError, r"init must be one of he, .*, got 'hee'; did you mean 'he'\?"),
        ("he(2)", ValueError, r"init 'he\(2\)' does not fit he\(\): too many"),
        ("normal", ValueError, r"init 'normal' does not fit normal\(std\): missing"),
        ("normal(-1)", ValueError, "std of normal must be at least 0, got -1"),
        ("uniform(1, 1)", ValueError, "high of uniform must be above 1, got 1"),
        (None, TypeError, "init must be a name such as 'he', .* got NoneType"),
        (np.zeros((2, 3)), TypeError, "init must be a name .* got ndarray"),
        ([np.zeros((2, 3))], ValueError, "init's weights must be 2 arrays, one per layer, got 1"),
        (
            (np.zeros((2, 3)), np.zeros((3, 1))),
            TypeError,
            "init's weights must be a list of one array per layer",
        ),
        (
            [np.zeros((3, 2)), np.zeros((3, 1))],
            ValueError,
            r"weights\[0\] must have the shape \(2, 3\), got \(3, 2\)",
        ),
        (
            [np.zeros((2, 3)), [[1], [2, 3], [4]]],
            ValueError,
            r"weights\[1\] has rows of different length; .* \(3, 1\)",
        ),
        ([np.zeros((2, 3)), np.full((3, 1), np.nan)], ValueError, r"weights\[1\] must be finite in float32"),
        ([np.zeros((2, 3)), np.full((3, 1), 1e300)], ValueError, r"weights\[1\] must be finite in float32"),
        (
            [np.zeros((2, 3)), np.zeros((3, 1), complex)],
            TypeError,
            "must hold real numbers, got an array of complex128",
        ),
        (
            [np.zeros((2, 3)), np.zeros((3, 1), object)],
            TypeError,
            "must hold real numbers, got an array of object",
        ),
        (
            ([np.zeros((2, 3)), np.zeros((3, 1))], [np.zeros(3), np.zeros((1, 1))]),
            ValueError,
            r"init's biases\[1\] must have the shape \(1,\), got \(1, 1\)",
        ),
    ],
)
def test_bad_specs_get_a_sentence(spec, error, sentence):
    with pytest.raises(error, match=sentence):
        draw(spec, "float32", sizes=[2, 3, 1])
