"""The one comparator of the tests: is an array the answer, up to the rounding of its precision?

Strict on purpose: NaN, infinity, another shape or another dtype always fail, and there is no absolute
tolerance that a small wrong answer could hide under. `test_compare.py` shows what it rejects.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# The largest of many rounding errors is about this many times their root mean square.
WORST_OVER_TYPICAL = 4.0


def tolerance(dtype: Any, terms: int = 1024) -> float:
    """Relative error, norm-wise, that correct code in this dtype may show.

    float64: 1e-10, far above its rounding and far below any mistake.
    float32: 2 eps sqrt(terms). The rounding errors of a sum of n terms are independent and grow like
    eps sqrt(n), with a factor near 0.1 for one sum; 2 leaves room for the layers that follow each other.

    `terms` is the number of rounded operations one after the other behind a number: the length of the
    longest sum, times the steps for weights after several steps. 1024 gives 7.6e-6.
    """
    dtype = np.dtype(dtype)
    if dtype == np.float64:
        return 1e-10
    if dtype == np.float32:
        return 2.0 * float(np.finfo(np.float32).eps) * float(np.sqrt(terms))
    raise TypeError(f"tolerance is known for float32 and float64, got {dtype}")


def assert_close(
    actual: Any, expected: Any, dtype_or_tol: Any, what: str = "", *, terms: int = 1024, scale: float = 0.0
) -> None:
    """Fail unless `actual` equals `expected` up to rounding.

    With r = max(root mean square of expected, scale), both must hold:
    root mean square of the errors <= tol * r, and every |error| <= 4 tol * max(|expected|, r).
    An error in one element is therefore seen when it exceeds 4 tol times the typical element.

    Parameters
    ----------
    actual : array or float under test; a list or tuple is compared item by item
    expected : the oracle's answer, of the same shape (and, for a list, length)
    dtype_or_tol : float32 or float64 (dtype, type or name): `actual` must have this dtype and
        tol = `tolerance(dtype, terms)`. Or tol itself, a number: `actual` must have the dtype of `expected`.
        A Python float claims no dtype, so only its value is compared.
    what : name for the failure message
    terms : see `tolerance`
    scale : typical size of the terms behind the numbers, where these may cancel to nearly nothing
    """
    what = what or "actual"
    if isinstance(expected, list | tuple):
        assert isinstance(actual, list | tuple), f"{what}: a list was expected, got {type(actual).__name__}"
        assert len(actual) == len(expected), f"{what}: {len(expected)} items were expected, got {len(actual)}"
        for i, (a, e) in enumerate(zip(actual, expected, strict=True)):
            assert_close(a, e, dtype_or_tol, f"{what}[{i}]", terms=terms, scale=scale)
        return

    if isinstance(dtype_or_tol, int | float):
        tol, dtype = float(dtype_or_tol), np.asarray(expected).dtype
    else:
        tol, dtype = tolerance(dtype_or_tol, terms), np.dtype(dtype_or_tol)
    if not isinstance(actual, float):
        got = np.asarray(actual).dtype
        assert got == dtype, f"{what}: dtype {dtype} was expected, got {got}"

    a = np.asarray(actual, dtype=np.float64)
    e = np.asarray(expected, dtype=np.float64)
    assert a.shape == e.shape, f"{what}: shape {e.shape} was expected, got {a.shape}"
    assert np.isfinite(e).all(), f"{what}: the expected values contain NaN or infinity"
    assert np.isfinite(a).all(), f"{what}: {np.count_nonzero(~np.isfinite(a))} of {a.size} values are NaN or infinite"
    if a.size == 0:
        return

    errors = np.abs(a - e)
    typical = max(_rms(e), scale)
    limits = WORST_OVER_TYPICAL * tol * np.maximum(np.abs(e), typical)
    wrong = errors > limits
    if wrong.any():
        worst = np.unravel_index(np.argmax(np.where(wrong, errors, -1.0)), e.shape)
        raise AssertionError(
            f"{what}: {np.count_nonzero(wrong)} of {a.size} values are wrong, "
            f"worst at {tuple(int(i) for i in worst)}: got {a[worst]}, expected {e[worst]}, "
            f"error {errors[worst]:.3g} is above {limits[worst]:.3g}"
        )
    error = _rms(errors)
    assert error <= tol * typical, (
        f"{what}: the values are off as a whole, relative error {error / typical:.3g} is above {tol:.3g}"
    )


def _rms(x: np.ndarray) -> float:
    # Scaled by the largest value: the squares of tiny or huge numbers would vanish or overflow.
    largest = float(np.abs(x).max())
    return largest * float(np.sqrt(np.mean((x / largest) ** 2))) if largest > 0 else 0.0
