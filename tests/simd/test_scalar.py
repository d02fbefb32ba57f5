"""Arithmetic of one number: one rounding, the argument's precision, powers of two."""

from __future__ import annotations

from fractions import Fraction

import numba
import numpy as np
import pytest

from fastnn._jit import program
from fastnn.simd import target
from fastnn.simd.scalar import (
    constant,
    divided_by_power_of_two,
    exponent_above,
    fma,
    magnitude_bits,
    polynomial,
    times_power_of_two,
)

# A third and a seventh have other digits in each precision; the cubic is for its value.
_third, _two_constants = constant(1 / 3), constant(0.25, 0.75)
_cubic = polynomial([1.0, -2.0, 0.5, 1 / 7], [1.0, -2.0, 0.5, 1 / 7])

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@program
def run_fma(x, y, z, out):
    for i in range(out.shape[0]):
        out[i] = fma(x[i], y[i], z[i])


@program
def run_polynomials(x, third, two, cubic):
    for i in range(x.shape[0]):
        third[i], two[i], cubic[i] = _third(x[i]), _two_constants(x[i]), _cubic(x[i])


@program
def cubic_of(x):
    return _cubic(x)


@program
def run_powers(x, low, exponent, mantissa):
    for i in range(x.shape[0]):
        exponent[i] = exponent_above(x[i], low[0])
        mantissa[i] = divided_by_power_of_two(x[i], exponent[i])


@program
def run_times_power(x, shifted, out):
    for i in range(x.shape[0]):
        out[i] = times_power_of_two(x[i], shifted[i])


@pytest.mark.skipif(not target.HAS_FMA, reason="this CPU rounds twice")
@DTYPES
def test_fma_rounds_once(dtype):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 500)).astype(dtype)
    z = -x * y  # what is left is the rounding error of the product: nothing, if it is rounded twice
    z[:100] = rng.standard_normal(100)
    out = np.empty_like(x)
    run_fma(x, y, z, out)
    for i in range(len(x)):
        exact = Fraction(float(x[i])) * Fraction(float(y[i])) + Fraction(float(z[i]))
        step = Fraction(float(np.spacing(np.abs(out[i])))) if out[i] else Fraction(0)
        assert abs(Fraction(float(out[i])) - exact) <= step / 2
    assert np.count_nonzero(out[100:]) > 300


@DTYPES
def test_constants_and_coefficients_have_the_precision_of_the_argument(dtype):
    x = np.linspace(-2, 2, 37).astype(dtype)
    third, two, cubic = np.zeros((3, 37))  # wider than float32: a constant rounded too late would show
    run_polynomials(x, third, two, cubic)
    assert (third == float(dtype(1 / 3))).all()
    assert (two == (0.25 if dtype == np.float32 else 0.75)).all()
    if dtype == np.float32:
        assert (cubic == cubic.astype(np.float32)).all()
    wide = x.astype(np.float64)
    expected = 1 - 2 * wide + 0.5 * wide**2 + wide**3 / 7
    np.testing.assert_allclose(cubic, expected, atol=8 * np.finfo(dtype).eps, rtol=0)


@DTYPES
def test_nothing_is_widened(dtype):
    cubic_of(dtype(0.5))
    kind = numba.from_dtype(np.dtype(dtype))
    assert cubic_of.overloads[(kind,)].signature.return_type == kind


@DTYPES
@pytest.mark.parametrize("low", [1.0, 0.7071067811865476])
def test_exponent_and_mantissa(dtype, low):
    info = np.finfo(dtype)
    powers = 2.0 ** np.arange(info.minexp, info.maxexp)
    x = np.concatenate([powers, 1.25 * powers, 1.4 * powers, 1.5 * powers, [info.tiny, info.max]]).astype(dtype)
    low = np.array([low], dtype)
    exponent, mantissa = np.empty((2, len(x)), dtype)
    run_powers(x, low, exponent, mantissa)
    assert (mantissa >= low).all()
    assert (mantissa.astype(np.float64) < 2 * float(low[0])).all()
    np.testing.assert_array_equal(np.ldexp(mantissa, exponent.astype(np.int64)), x)


@DTYPES
def test_times_power_of_two(dtype):
    bits = np.finfo(dtype).nmant
    n = np.arange(-100, 101)
    shifted = (n + 1.5 * 2.0**bits).astype(dtype)
    x = np.full(len(n), 1.3, dtype)
    out = np.empty_like(x)
    run_times_power(x, shifted, out)
    np.testing.assert_array_equal(out, np.ldexp(x, n))


@program
def run_magnitude_bits(x, out):
    for i in range(x.shape[0]):
        out[i] = magnitude_bits(x[i])


@DTYPES
def test_magnitude_bits_order_numbers_by_magnitude(dtype):
    info = np.finfo(dtype)
    rising = [0.0, info.smallest_subnormal, info.tiny, 0.1, 1.0, info.max, np.inf, np.nan]
    for sign in (1, -1):
        x = np.array(rising, dtype) * dtype(sign)
        bits = np.zeros(len(x), np.int32 if dtype == np.float32 else np.int64)
        run_magnitude_bits(x, bits)
        assert (np.diff(bits) > 0).all()
        np.testing.assert_array_equal(bits, np.abs(x).view(bits.dtype))
