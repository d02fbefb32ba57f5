"""FLOOR 1: value and slope of each activation on one row, and the code by which kernels choose it.

To add an activation: a name in ops.codes and its constant here, a branch in `activate`, a branch in `multiply_slope`;
if the slope needs z, the name in NEEDS_Z and the code in `slope_needs_z`.
The slope is computed from the stored number h: the activation a itself, or, where a does not determine it,
the pre-activation z (NEEDS_Z).
"""

from __future__ import annotations

from fastnn._jit import op, piece
from fastnn.ops.approx import exp, expm1_negative, logistic, normal_cdf, tanh
from fastnn.ops.codes import ACTIVATIONS
from fastnn.simd.scalar import constant, fma

LEAK = 0.01

_IDENTITY, _LOGISTIC, _TANH, _RELU, _LEAKY_RELU, _ELU, _GELU, _SILU = ACTIVATIONS.values()
_zero, _half, _one, _leak = constant(0.0), constant(0.5), constant(1.0), constant(LEAK)
_inverse_sqrt_2pi = constant(0.3989422804014327)


@op
def slope_needs_z(code):
    """Whether the slope is computed from z (then z must be kept apart from a)."""
    return code == _GELU or code == _SILU


@piece
def activate(code, a):
    """a = f(a) for a row (n,). NaN stays NaN.

    Of two arrays that are the same memory LLVM's loop goes number by number: 100 ns for 32 logistic units, not 9.
    """
    n = a.shape[0]
    if code == _LOGISTIC:
        for i in range(n):
            a[i] = logistic(a[i])
    elif code == _TANH:
        for i in range(n):
            a[i] = tanh(a[i])
    elif code == _RELU:
        for i in range(n):
            a[i] = _zero(a[i]) if a[i] < _zero(a[i]) else a[i]
    elif code == _LEAKY_RELU:
        for i in range(n):
            a[i] = _leak(a[i]) * a[i] if a[i] < _zero(a[i]) else a[i]
    elif code == _ELU:
        for i in range(n):
            a[i] = expm1_negative(a[i]) if a[i] < _zero(a[i]) else a[i]
    elif code == _GELU:
        for i in range(n):
            a[i] = a[i] * normal_cdf(a[i])
    elif code == _SILU:
        for i in range(n):
            a[i] = a[i] * logistic(a[i])


@piece
def multiply_slope(code, h, d):
    """d *= f'(z) for a row; h holds a, or z for the activations in NEEDS_Z. At a kink the left slope counts."""
    n = h.shape[0]
    if code == _LOGISTIC:
        for i in range(n):
            d[i] *= h[i] * (_one(h[i]) - h[i])
    elif code == _TANH:
        for i in range(n):
            d[i] *= fma(-h[i], h[i], _one(h[i]))
    elif code == _RELU:
        for i in range(n):
            d[i] = d[i] if h[i] > _zero(h[i]) else _zero(h[i])
    elif code == _LEAKY_RELU:
        for i in range(n):
            d[i] *= _one(h[i]) if h[i] > _zero(h[i]) else _leak(h[i])
    elif code == _ELU:
        for i in range(n):
            d[i] *= _one(h[i]) if h[i] > _zero(h[i]) else h[i] + _one(h[i])
    elif code == _GELU:
        for i in range(n):
            density = _inverse_sqrt_2pi(h[i]) * exp(-_half(h[i]) * h[i] * h[i])
            d[i] *= fma(h[i], density, normal_cdf(h[i]))
    elif code == _SILU:
        for i in range(n):
            s = logistic(h[i])
            d[i] *= fma(h[i] * s, _one(h[i]) - s, s)
