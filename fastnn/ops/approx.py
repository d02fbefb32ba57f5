"""FLOOR 1: exp, log, tanh, logistic, erfc without a branch or a library call, so that loops over them vectorise.

Polynomials are Chebyshev interpolants, computed with 40 digits (mpmath.chebyfit). The errors below were measured
against NumPy in higher precision on 200,000 points of the range (the tests repeat it), in ulp of the result.
NaN goes in, NaN comes out: that of arithmetic. One with a payload may become a number, but checked data has none.
"""

from __future__ import annotations

from fastnn._jit import op
from fastnn.simd.scalar import (
    constant,
    divided_by_power_of_two,
    exponent_above,
    fma,
    polynomial,
    times_power_of_two,
)

# exp(r) on |r| <= ln(2)/2
_exp = polynomial(
    [1.0, 1.0000000377388714, 0.5000000047146057, 0.16666415414041177,
     0.04166635277111221, 0.008375134774624326, 0.0013941118895837],
    [1.0, 1.0, 0.5, 0.16666666666666702, 0.04166666666666669, 0.008333333333309509,
     0.0013888888888871874, 0.00019841269909257902, 2.480158735013993e-05, 2.755722492065214e-06,
     2.7557251877225084e-07, 2.511488209588034e-08, 2.092158893897149e-09],
)  # fmt: skip
# 2 atanh(s) / s as a polynomial in s^2, |s| <= (sqrt(2) - 1) / (sqrt(2) + 1)
_log = polynomial(
    [2.0000000000084017, 0.6666666524171239, 0.40000385850873993, 0.28534976254583677, 0.23617811359024635],
    [2.0, 0.6666666666666666, 0.39999999999999925, 0.28571428571462415, 0.22222222214772283,
     0.1818181912281116, 0.15384543141899507, 0.1333675687131782, 0.11667174168257421, 0.12044757403953578],
)  # fmt: skip
# tanh(x) / x as a polynomial in x^2, |x| < 0.625
_tanh = polynomial(
    [0.9999999954609966, -0.3333325144731387, 0.13330917169420492, -0.05370427743882311,
     0.02053697199790436, -0.005599785037277397],
    [1.0, -0.3333333333333329, 0.13333333333327674, -0.053968253965126674, 0.02186948844619192,
     -0.00886323398561219, 0.0035921109616488494, -0.0014557072622750924, 0.0005893748963627303,
     -0.00023680231457096643, 9.119643340060077e-05, -2.982764016290132e-05, 5.886181017158868e-06],
)  # fmt: skip
# (exp(x) - 1) / x on -0.5 <= x <= 0
_expm1 = polynomial(
    [0.9999999999815682, 0.49999999592329186, 0.1666665349947041, 0.0416650909681536,
     0.008324357541973113, 0.0013624759292284365, 0.00015911650203837325],
    [1.0, 0.5, 0.16666666666666666, 0.04166666666666654, 0.008333333333330422, 0.001388888888849468,
     0.00019841269807127488, 2.480158532359367e-05, 2.7557240823197173e-06, 2.755518371749794e-07,
     2.5012715394403176e-08, 2.0404412371707443e-09, 1.2693666813637274e-10],
)  # fmt: skip
# (1 + 2x) exp(x^2) erfc(x) as a polynomial in u = (x - 2) / (x + 2), 0 <= x <= 28
_erfcx = polynomial(
    [1.2769784102822366, -0.09276347486203519, -0.16603240134413536, 0.1640430024769737,
     -0.05419778862276425, -0.007977165406766238, 0.008635916148676448, 0.0011035588053700852,
     -0.0013146705467540298, -0.00021862504618555596, 0.00011786627526171028],
    [1.2769783815525289, -0.09276382658574667, -0.16603039761530095, 0.16405128003363467,
     -0.054220000991358965, -0.00803401509201969, 0.008722653857780776, 0.001271339153088072,
     -0.0014568136804520208, -0.0004543427015584676, 0.00020636479482609744, 0.00015105003185469636,
     -1.495915034111296e-06, -3.6462181566725865e-05, -1.3545216974072635e-05, 3.797851028636509e-06,
     5.353204041209364e-06, 1.3851193254996685e-06, -9.039142399479259e-07, -7.492308090095889e-07,
     -5.140266204149671e-08, 1.2718495537895572e-07, 3.890903199678858e-08],
)  # fmt: skip

_log2_e = constant(1.4426950408889634)
_ln2_high = constant(0.693145751953125, 0.6931471803691238)  # a few zero bits at the end: n * ln2_high is exact
_ln2_low = constant(1.4286068203094172e-06, 1.9082149292705877e-10)
_ln2 = constant(0.6931471805599453)
_round = constant(12582912.0, 6755399441055744.0)  # 1.5 * 2^fraction bits: adding it rounds to a whole number
_exp_low = constant(-87.0, -708.0)
_exp_high = constant(88.0, 709.0)
_sqrt_half = constant(0.7071067811865476)
_zero, _half, _one, _two = constant(0.0), constant(0.5), constant(1.0), constant(2.0)
_tanh_small = constant(0.625)
_tanh_high = constant(10.0, 20.0)
_erfc_high = constant(9.0, 26.0)


@op
def exp(x):
    """e^x, within 1.1 ulp; x is clipped to [-87, 88] (float32) or [-708, 709] (float64), so never 0 or infinite."""
    x = _exp_low(x) if x < _exp_low(x) else x
    x = _exp_high(x) if x > _exp_high(x) else x
    shifted = fma(x, _log2_e(x), _round(x))
    n = shifted - _round(x)
    r = fma(n, -_ln2_low(x), fma(n, -_ln2_high(x), x))
    return times_power_of_two(_exp(r), shifted)


@op
def log(x):
    """ln(x) within 2.9 ulp, for positive normal x; infinity gives NaN."""
    e = exponent_above(x, _sqrt_half(x))
    m = divided_by_power_of_two(x, e)
    s = (m - _one(x)) / (m + _one(x))
    return fma(e, _ln2(x), s * _log(s * s)) + (x - x)


@op
def logistic(x):
    """1 / (1 + e^-x), within 2.2 ulp above the smallest normal number."""
    negative = x < _zero(x)
    t = exp(x if negative else -x)
    return (t if negative else _one(x)) / (_one(x) + t)


@op
def expm1_negative(x):
    """e^x - 1 for x <= 0, within 1.3 ulp."""
    near = x * _expm1(x)
    far = exp(x) - _one(x)
    return near if x > -_half(x) else far


@op
def tanh(x):
    """tanh(x), within 1.4 ulp."""
    magnitude = abs(x)
    near = x * _tanh(x * x)
    clipped = _tanh_high(x) if magnitude > _tanh_high(x) else magnitude
    far = _one(x) - _two(x) / (exp(clipped + clipped) + _one(x))
    far = -far if x < _zero(x) else far
    return near if magnitude < _tanh_small(x) else far


@op
def normal_cdf(x):
    """Phi(x) = erfc(-x / sqrt(2)) / 2; absolute error within 2 ulp of 1, relative 5e-6 (float32), 3e-13 (float64).

    Below x = -12.7 (float32) or -36.7 (float64) it stays at 2e-37 or 3e-296.
    """
    z = abs(x) * _sqrt_half(x)
    z = _erfc_high(x) if z > _erfc_high(x) else z
    u = (z - _two(x)) / (z + _two(x))
    tail = _half(x) * exp(-z * z) * _erfcx(u) / fma(_two(x), z, _one(x))
    return tail if x < _zero(x) else _one(x) - tail
