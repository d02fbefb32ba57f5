"""Value and slope of every activation against the reference and finite differences, tails and kinks included."""

from __future__ import annotations

import numpy as np
import pytest
from compare import assert_close
from reference import ACTIVATIONS, LEAKY_SLOPE

from fastnn._jit import program
from fastnn.ops.activations import LEAK, activate, multiply_slope, slope_needs_z
from fastnn.ops.codes import ACTIVATIONS as CODES
from fastnn.ops.codes import NEEDS_Z

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
NAMES = pytest.mark.parametrize("name", CODES)


@program
def run_activate(code, a):
    activate(code, a)


@program
def run_slope(code, h, d):
    multiply_slope(code, h, d)


@program
def needs_z(code):
    return slope_needs_z(code)


def value(name, z):
    a = z.copy()
    run_activate(CODES[name], a)
    return a


def slope(name, z):
    """f'(z) as backward computes it: from z, or from the value at z."""
    d = np.ones_like(z)
    run_slope(CODES[name], z if name in NEEDS_Z else value(name, z), d)
    return d


def inputs(dtype, scale=3.0, n=1003):
    z = scale * np.random.default_rng(0).standard_normal(n)
    return z[np.abs(z) > 1e-3].astype(dtype)


def test_every_activation_has_a_reference_and_a_code_of_its_own():
    assert list(CODES) == list(ACTIVATIONS)
    assert len(set(CODES.values())) == len(CODES)
    assert LEAK == LEAKY_SLOPE


@NAMES
def test_what_the_slope_is_computed_from(name):
    assert needs_z(CODES[name]) == (name in NEEDS_Z)


@DTYPES
@NAMES
@pytest.mark.parametrize("scale", [0.05, 3.0, 30.0])
def test_value_and_slope_against_the_reference(name, dtype, scale):
    z = inputs(dtype, scale)
    f, df = ACTIVATIONS[name]
    wide = z.astype(np.float64)
    assert_close(value(name, z), f(wide), dtype, f"{name}({scale})", terms=16)
    assert_close(slope(name, z), df(wide), dtype, f"slope of {name}({scale})", terms=16, scale=1.0)


@NAMES
def test_slope_against_finite_differences(name):
    z = inputs(np.float64)
    step = 1e-5
    difference = (value(name, z + step) - value(name, z - step)) / (2 * step)
    assert_close(slope(name, z), difference, 1e-8, name)


@DTYPES
@NAMES
def test_slope_multiplies(name, dtype):
    z = inputs(dtype)
    delta = np.random.default_rng(1).standard_normal(len(z)).astype(dtype)
    d = delta.copy()
    h = z if name in NEEDS_Z else value(name, z)
    before = h.copy()
    run_slope(CODES[name], h, d)
    assert_close(d, delta.astype(np.float64) * slope(name, z), dtype, name, terms=16)
    np.testing.assert_array_equal(h, before)


@DTYPES
@pytest.mark.parametrize(
    ("name", "at_zero", "slope_at_zero"),
    [
        ("identity", 0, 1),
        ("logistic", 0.5, 0.25),
        ("tanh", 0, 1),
        ("relu", 0, 0),
        ("leaky_relu", 0, LEAK),
        ("elu", 0, 1),
        ("gelu", 0, 0.5),
        ("silu", 0, 0.5),
    ],
)
def test_at_zero(name, at_zero, slope_at_zero, dtype):
    """At a kink the left slope counts."""
    zeros = np.array([0.0, -0.0] * 20, dtype)
    np.testing.assert_array_equal(value(name, zeros), dtype(at_zero))
    np.testing.assert_allclose(slope(name, zeros), dtype(slope_at_zero), rtol=2 * np.finfo(dtype).eps)


@DTYPES
@NAMES
def test_large_inputs(name, dtype):
    f, df = ACTIVATIONS[name]
    z = np.array([-1e4, -300, -100, 100, 300, 1e4], np.float64)
    assert_close(value(name, z.astype(dtype)), f(z), dtype, name)
    assert_close(slope(name, z.astype(dtype)), df(z), dtype, f"slope of {name}", scale=1.0)


@DTYPES
@NAMES
def test_nan_stays_nan_and_alone(name, dtype):
    z = inputs(dtype, n=40)
    z[[0, 7, 21]] = np.nan
    np.testing.assert_array_equal(np.isnan(value(name, z)), np.isnan(z))


@DTYPES
@NAMES
def test_bits_depend_on_the_number_alone(name, dtype):
    """Whatever the length: a loop's tail gives what its vectors give."""
    z = inputs(dtype)[:67]
    whole, slopes = value(name, z), slope(name, z)
    for n in [*range(36), 67]:
        np.testing.assert_array_equal(value(name, z[:n]), whole[:n])
        np.testing.assert_array_equal(slope(name, z[:n].copy()), slopes[:n])
