"""The comparator rejects wrong answers, also subtle ones, and accepts rounding."""

from __future__ import annotations

import numpy as np
import pytest
from compare import assert_close, tolerance

DTYPES = ["float32", "float64"]


def square(n: int = 24) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, n))


def change(index, value):
    def apply(a):
        a = a.copy()
        a[index] = value(a[index])
        return a

    return apply


WRONG = {
    "one element 1% off": change((3, 5), lambda x: 1.01 * x),
    "one element 0.1% off": change((3, 5), lambda x: 1.001 * x),
    "one sign": change((7, 2), lambda x: -x),
    "one row zero": change(-1, lambda row: 0 * row),
    "one element NaN": change((0, 0), lambda x: np.nan),
    "one element infinite": change((0, 0), lambda x: np.inf),
    "two rows exchanged": change([0, 1], lambda rows: rows[::-1]),
    "rows shifted by one": lambda a: np.roll(a, 1, axis=0),
    "transposed": lambda a: a.T,
    "zeros": np.zeros_like,
    "negated": lambda a: -a,
    "doubled": lambda a: 2 * a,
    "all 0.01% off": lambda a: (a * (1 + 1e-4)).astype(a.dtype),
    "a constant added": lambda a: a + a.dtype.type(1e-3),
    "a row missing": lambda a: a[:-1],
    "another shape": lambda a: a.reshape(2, -1),
    "an axis more": lambda a: a[None],
    "integers": lambda a: np.rint(a).astype(np.int64),
    "half precision": lambda a: a.astype(np.float16),
    "half precision inside": lambda a: a.astype(np.float16).astype(a.dtype),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mistake", WRONG)
def test_wrong_answers_are_rejected(mistake, dtype):
    expected = square()
    right = expected.astype(dtype)
    assert_close(right, expected, dtype)
    with pytest.raises(AssertionError):
        assert_close(WRONG[mistake](right), expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_percent_is_seen_in_every_element(dtype):
    expected = square()
    seen = np.abs(expected) > 0.01  # the typical element is 1
    for i in zip(*np.nonzero(seen), strict=True):
        wrong = change(i, lambda x: 1.01 * x)(expected.astype(dtype))
        with pytest.raises(AssertionError, match="1 of 576 values are wrong"):
            assert_close(wrong, expected, dtype)


@pytest.mark.parametrize("n", [1, 10, 784, 4096])
def test_float32_rounding_is_accepted_and_little_more(n):
    rng = np.random.default_rng(n)
    A = rng.standard_normal((20, n)).astype(np.float32)
    B = rng.random((n, 30)).astype(np.float32)
    exact = A.astype(np.float64) @ B.astype(np.float64)
    in_order = np.zeros((20, 30), np.float32)  # the summation order with the largest rounding errors
    for k in range(n):
        in_order += A[:, k, None] * B[k]
    assert_close(in_order, exact, "float32", terms=n)
    with pytest.raises(AssertionError):
        assert_close(in_order + np.float32(1e-4 * exact.std()), exact, "float32", terms=min(n, 784))


def test_float32_arithmetic_does_not_pass_as_float64():
    expected = square()
    with pytest.raises(AssertionError, match="dtype float64 was expected, got float32"):
        assert_close(expected.astype(np.float32), expected, "float64")
    with pytest.raises(AssertionError):
        assert_close(expected.astype(np.float32).astype(np.float64), expected, "float64")
    with pytest.raises(AssertionError, match="dtype float32 was expected, got float64"):
        assert_close(expected, expected, "float32")


def test_a_systematic_error_is_seen_below_the_limit_of_one_element():
    expected = np.ones(1000)
    assert_close(change(0, lambda x: x + 3e-10)(expected), expected, "float64")
    with pytest.raises(AssertionError, match="off as a whole"):
        assert_close(expected + 3e-10, expected, "float64")


def test_a_tolerance_may_be_given_as_a_number():
    assert_close(np.array([1.001]), np.array([1.0]), 1e-2)
    with pytest.raises(AssertionError):
        assert_close(np.array([1.001]), np.array([1.0]), 1e-4)
    with pytest.raises(AssertionError):
        assert_close(np.array([1.0 + 1e-15]), np.array([1.0]), 0)
    with pytest.raises(AssertionError, match="dtype"):
        assert_close(np.array([1.0], np.float32), np.array([1.0]), 1e-2)


def test_nan_is_not_nan():
    both = np.array([1.0, np.nan])
    with pytest.raises(AssertionError, match="the expected values contain NaN"):
        assert_close(both, both, "float64")


def test_zero_is_exactly_zero_unless_a_scale_is_given():
    zeros = np.zeros(3)
    assert_close(zeros, zeros, "float64")
    with pytest.raises(AssertionError):
        assert_close(zeros + 1e-300, zeros, "float64")
    assert_close(zeros + 1e-12, zeros, "float64", scale=1.0)
    with pytest.raises(AssertionError):
        assert_close(zeros + 1e-9, zeros, "float64", scale=1.0)


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e30, 1e300])
def test_the_size_of_the_numbers_does_not_matter(size):
    expected = size * square()
    assert_close(expected * (1 + 1e-14), expected, "float64")
    with pytest.raises(AssertionError):
        assert_close(change((3, 5), lambda x: 1.01 * x)(expected), expected, "float64")


def test_floats():
    assert_close(0.5, 0.5, "float32")  # a Python float claims no dtype
    assert_close(np.float32(0.5), 0.5, "float32")
    with pytest.raises(AssertionError):
        assert_close(0.501, 0.5, "float32")
    with pytest.raises(AssertionError, match="dtype"):
        assert_close(np.float32(0.5), 0.5, "float64")


def test_lists_are_compared_item_by_item():
    # A small array is not judged by the size of its large neighbour.
    expected = [np.array([1e6]), np.array([1.0, 2.0])]
    assert_close([e.copy() for e in expected], expected, "float64")
    with pytest.raises(AssertionError, match=r"^weights\[1\]: 1 of 2 values are wrong, worst at \(1,\)"):
        assert_close([expected[0], np.array([1.0, 2.001])], expected, "float64", "weights")
    with pytest.raises(AssertionError, match="2 items were expected, got 1"):
        assert_close(expected[:1], expected, "float64")
    with pytest.raises(AssertionError, match="a list was expected, got ndarray"):
        assert_close(np.ones(2), expected, "float64")


def test_empty_arrays_must_agree_in_shape():
    assert_close(np.empty((0, 3)), np.empty((0, 3)), "float64")
    with pytest.raises(AssertionError, match="shape"):
        assert_close(np.empty((0, 3)), np.empty((3, 0)), "float64")


def test_tolerances():
    assert tolerance("float64") == 1e-10
    assert tolerance(np.float32, terms=1024) == pytest.approx(7.63e-6, rel=1e-3)
    with pytest.raises(TypeError, match="float16"):
        tolerance("float16")
