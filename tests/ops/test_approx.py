"""The elementary functions against higher precision: the errors that approx.py promises, and the hard points."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastnn._jit import program
from fastnn.ops import approx
from fastnn.simd import target

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
NAMES = ("exp", "log", "logistic", "expm1_negative", "tanh", "normal_cdf")
POINTS = 200_000

# Ulp to add where long double is no wider than double, so that the expected values have an error of their own,
# and where the CPU has no fma.
SLACK = 0.0 if np.finfo(np.longdouble).nmant > 52 and target.HAS_FMA else 2.0


@program
def run(which, x, out):
    for i in range(x.shape[0]):
        if which == 0:
            out[i] = approx.exp(x[i])
        elif which == 1:
            out[i] = approx.log(x[i])
        elif which == 2:
            out[i] = approx.logistic(x[i])
        elif which == 3:
            out[i] = approx.expm1_negative(x[i])
        elif which == 4:
            out[i] = approx.tanh(x[i])
        else:
            out[i] = approx.normal_cdf(x[i])


def call(name, x, dtype):
    x = np.asarray(x, dtype)
    out = np.empty_like(x)
    run(NAMES.index(name), x, out)
    return out


def exactly(name, x):
    """The function in long double; x is one array of float32 or float64."""
    wide = x.astype(np.longdouble)
    if name == "logistic":
        return 1 / (1 + np.exp(-wide))
    if name == "normal_cdf":
        # erfc has no long double in NumPy: at the rounded argument, and along its slope to the exact one
        z = -wide / np.sqrt(np.longdouble(2))
        rounded = z.astype(np.float64)
        erfc = np.array([math.erfc(v) for v in rounded], np.longdouble)
        return (erfc - 2 / np.sqrt(np.longdouble(np.pi)) * np.exp(-z * z) * (z - rounded)) / 2
    function = {"exp": np.exp, "log": np.log, "expm1_negative": np.expm1, "tanh": np.tanh}[name]
    return function(wide)


def worst_ulp(name, x, dtype):
    x = np.asarray(x, dtype)
    expected = exactly(name, x)
    error = np.abs(call(name, x, dtype).astype(np.longdouble) - expected)
    return float(np.max(error / np.spacing(np.abs(expected).astype(dtype))))


def points(low, high, dtype, seed=0):
    """Evenly spread over the range, dense around zero and at its ends."""
    rng = np.random.default_rng(seed)
    even = rng.uniform(low, high, POINTS // 2)
    small = np.exp(rng.uniform(np.log(1e-30), 0, POINTS // 4)) * rng.choice([-1.0, 1.0], POINTS // 4)
    x = np.concatenate([even, small, rng.uniform(-2, 2, POINTS // 4), [low, high]]).astype(dtype)
    return x[(x >= dtype(low)) & (x <= dtype(high))]


@DTYPES
@pytest.mark.parametrize(
    ("name", "ulp", "range32", "range64"),
    [
        ("exp", 1.1, (-87, 88), (-708, 709)),
        ("logistic", 2.2, (-87, 100), (-708, 800)),
        ("expm1_negative", 1.3, (-100, 0), (-800, 0)),
        ("tanh", 1.4, (-20, 20), (-40, 40)),
    ],
)
def test_error_in_ulp(name, ulp, range32, range64, dtype):
    x = points(*(range32 if dtype == np.float32 else range64), dtype)
    assert worst_ulp(name, x, dtype) <= ulp + SLACK


@DTYPES
def test_error_of_log(dtype):
    rng = np.random.default_rng(0)
    info = np.finfo(dtype)
    spread = 2.0 ** rng.uniform(info.minexp, info.maxexp - 1e-6, POINTS // 2)
    x = np.concatenate([spread, rng.uniform(0.5, 2, POINTS // 4), 1 + rng.uniform(-1e-3, 1e-3, POINTS // 4)])
    x = np.append(x, [info.tiny, info.max]).astype(dtype)
    x = x[x != 1]
    assert worst_ulp("log", x, dtype) <= 2.9 + SLACK
    assert call("log", [1.0], dtype)[0] == 0


@DTYPES
def test_error_of_normal_cdf(dtype):
    x = points(-8, 8, dtype) if dtype == np.float32 else points(-36, 36, dtype)
    value, expected = call("normal_cdf", x, dtype).astype(np.longdouble), exactly("normal_cdf", x)
    assert np.abs(value - expected).max() <= (2 + SLACK) * np.finfo(dtype).eps
    relative = float(np.max(np.abs(value - expected) / expected))
    # exp(-z^2) multiplies the rounding of z^2 by z^2, up to 32 here in float32 and 650 in float64
    assert relative <= (5e-6 if dtype == np.float32 else 3e-13)


@DTYPES
@pytest.mark.parametrize("name", NAMES)
def test_nan_stays_nan(name, dtype):
    x = np.array([np.nan, 0.5, -np.nan, 0.25, *[np.nan] * 30], dtype)
    np.testing.assert_array_equal(np.isnan(call(name, x, dtype)), np.isnan(x))


@DTYPES
@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("exp", 0.0, 1.0),
        ("exp", -0.0, 1.0),
        ("logistic", 0.0, 0.5),
        ("logistic", -0.0, 0.5),
        ("logistic", 1000.0, 1.0),
        ("logistic", np.inf, 1.0),
        ("expm1_negative", 0.0, 0.0),
        ("expm1_negative", -0.0, -0.0),
        ("expm1_negative", -1000.0, -1.0),
        ("expm1_negative", -np.inf, -1.0),
        ("tanh", 0.0, 0.0),
        ("tanh", -0.0, -0.0),
        ("tanh", 30.0, 1.0),
        ("tanh", -1e30, -1.0),
        ("tanh", np.inf, 1.0),
        ("tanh", -np.inf, -1.0),
        ("log", 1.0, 0.0),
        ("log", np.inf, np.nan),
        ("normal_cdf", 40.0, 1.0),
        ("normal_cdf", np.inf, 1.0),
    ],
)
def test_hard_points(name, x, expected, dtype):
    value = call(name, [x], dtype)[0]
    np.testing.assert_array_equal(value, dtype(expected))
    assert np.isnan(expected) or np.signbit(value) == np.signbit(expected)


@DTYPES
def test_small_and_large_arguments(dtype):
    info = np.finfo(dtype)
    tiny = np.array([info.smallest_subnormal, info.tiny / 2, info.tiny], dtype)
    for x in (tiny, -tiny):
        np.testing.assert_array_equal(call("tanh", x, dtype), x)
        np.testing.assert_array_equal(call("expm1_negative", -np.abs(x), dtype), -np.abs(x))
        np.testing.assert_array_equal(call("exp", x, dtype), 1)
        np.testing.assert_array_equal(call("logistic", x, dtype), 0.5)
        assert np.abs(call("normal_cdf", x, dtype) - 0.5).max() <= info.eps

    # clipped: never 0, never infinite
    low, high = (-87, 88) if dtype == np.float32 else (-708, 709)
    np.testing.assert_array_equal(
        call("exp", [-np.inf, -1e30, low - 1, high + 1, 1e30, np.inf], dtype),
        np.repeat(call("exp", [low, high], dtype), 3),
    )
    for name in ("logistic", "normal_cdf"):
        deep = call(name, [-1e30, -np.inf], dtype)
        assert (deep >= 0).all()
        assert (deep < 1e-30).all()


@DTYPES
@pytest.mark.parametrize("name", ["logistic", "tanh", "normal_cdf", "expm1_negative"])
def test_values_stay_in_range(name, dtype):
    x = np.linspace(-50, 0 if name == "expm1_negative" else 50, 100_001)
    value = call(name, x, dtype)
    low, high = {"tanh": (-1, 1), "expm1_negative": (-1, 0)}.get(name, (0, 1))
    assert value.min() >= low
    assert value.max() <= high


@DTYPES
def test_no_step_where_two_formulas_meet(dtype):
    for name, border in [("tanh", 0.625), ("tanh", -0.625), ("expm1_negative", -0.5), ("logistic", 0.0)]:
        x = [dtype(border)]
        for _ in range(20):
            x = [np.nextafter(x[0], dtype(-9)), *x, np.nextafter(x[-1], dtype(9))]
        x = [v for v in x if name != "expm1_negative" or v <= 0]
        assert worst_ulp(name, x, dtype) <= 2.2 + SLACK
