"""Output, loss and delta of every head on one row, against the reference and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from compare import assert_close

from fastnn._jit import program
from fastnn.ops.codes import HEADS, OUTPUTS
from fastnn.ops.heads import link, loss_and_delta
from fastnn.simd import target

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
HEAD = pytest.mark.parametrize("head", HEADS)
N = pytest.mark.parametrize("n", [1, 2, 10, 16, 17, 33])


@program
def run(output, head, n, z, a, y, delta):
    log_sum = link(output, n, z, a)
    return log_sum, loss_and_delta(head, n, z, a, log_sum, y, delta)


def call(head, z, y, dtype):
    """(outputs, delta, loss, log_sum) of logits z (n,), in rows padded as in training."""
    n = len(z)
    width = -(-n // 16) * 16
    row = np.zeros(width, dtype)
    row[:n] = z
    a = np.full(width, np.nan, dtype)
    delta = np.full(n + 3, 55, dtype)
    log_sum, loss = run(OUTPUTS[head[0]], HEADS[head], n, row, a, np.asarray(y, dtype), delta)
    assert np.isfinite(a[n:]).all() or not np.isfinite(z).all(), "the padding is overwritten"
    np.testing.assert_array_equal(delta[n:], 55, "numbers behind the deltas")
    np.testing.assert_array_equal(row[:n], np.asarray(z, dtype), "the logits")
    return a[:n], delta[:n], loss, log_sum


def problem(head, n, scale=2.0, seed=0):
    rng = np.random.default_rng([seed, n])
    z = (scale * rng.standard_normal(n)).astype(np.float32).astype(np.float64)
    if head[0] == "softmax":
        y = np.eye(n)[rng.integers(n)]
    elif head[0] == "logistic":
        y = rng.integers(0, 2, n).astype(np.float64)
    else:
        y = rng.standard_normal(n).astype(np.float32).astype(np.float64)
    return z, y


def test_every_head_has_a_reference():
    assert set(HEADS) == set(reference.HEADS)
    assert set(OUTPUTS) == set(reference.OUTPUTS)
    assert len(set(HEADS.values())) == len(HEADS)


def test_every_code_has_a_branch_of_its_own():
    """One without would end in the branch of another, silently."""
    rng = np.random.default_rng(0)
    z, y = rng.standard_normal(16), rng.random(16)

    def outcome(output, head):
        a, delta = np.zeros(16), np.zeros(16)
        log_sum, loss = run(output, head, 16, z, a, y, delta)
        return a.tobytes(), delta.tobytes(), log_sum, loss

    assert len({outcome(code, HEADS["identity", "mse"])[0] for code in OUTPUTS.values()}) == len(OUTPUTS)
    assert len({outcome(OUTPUTS["identity"], code)[1:] for code in HEADS.values()}) == len(HEADS)


@DTYPES
@HEAD
@N
@pytest.mark.parametrize("scale", [1e-3, 2.0, 20.0])
def test_against_the_reference(head, n, dtype, scale):
    z, y = problem(head, n, scale)
    a, delta, loss, _ = call(head, z, y, dtype)
    losses, deltas = reference.HEADS[head](z[None], y[None])
    assert_close(a, reference.OUTPUTS[head[0]](z[None])[0], dtype, "outputs", terms=64)
    assert_close(delta, deltas[0], dtype, "delta", terms=64, scale=1.0)
    assert_close(float(loss), float(losses[0]), 4 * np.finfo(dtype).eps, "loss", scale=1.0 + np.abs(z).max())


@DTYPES
@N
def test_softmax_sums_to_one_and_returns_the_log_of_its_sum(n, dtype):
    z, y = problem(("softmax", "mse"), n)
    a, _, _, log_sum = call(("softmax", "mse"), z, y, dtype)
    assert abs(float(a.astype(np.float64).sum()) - 1) <= 4 * np.finfo(dtype).eps
    assert abs(log_sum - np.logaddexp.reduce(z)) <= 8 * np.finfo(dtype).eps * np.abs(z).max()


@HEAD
@N
def test_delta_is_the_slope_of_the_loss(head, n):
    z, y = problem(head, n)
    _, delta, _, _ = call(head, z, y, np.float64)
    step = 1e-5
    for i in range(n):
        up, down = (call(head, z + s * np.eye(n)[i], y, np.float64)[2] for s in (step, -step))
        assert abs((up - down) / (2 * step) - delta[i]) < 1e-8


@DTYPES
@HEAD
@pytest.mark.parametrize("size", [100.0, 1000.0])
def test_large_logits_neither_overflow_nor_vanish(head, size, dtype):
    """The right answer costs nothing, the wrong one a loss that grows with z."""
    z = np.array([size, -size, 0.0])
    for y in np.eye(3):
        a, delta, loss, _ = call(head, z, y, dtype)
        losses, deltas = reference.HEADS[head](z[None], y[None])
        assert_close(a, reference.OUTPUTS[head[0]](z[None])[0], dtype, "outputs")
        assert_close(delta, deltas[0], dtype, "delta", scale=1.0)
        assert abs(loss - losses[0]) <= 8 * np.finfo(dtype).eps * max(losses[0], 1)


@DTYPES
@HEAD
def test_nan_among_the_logits_gives_a_loss_of_nan(head, dtype):
    z, y = problem(head, 5)
    for i in range(5):
        broken = z.copy()
        broken[i] = np.nan
        assert np.isnan(call(head, broken, y, dtype)[2])


@DTYPES
@pytest.mark.parametrize("head", [h for h in HEADS if h[1] == "cross_entropy" or h[0] == "identity"])
def test_an_infinite_logit_never_gives_a_finite_loss(head, dtype):
    for y in np.eye(3):
        for bad in (np.inf, -np.inf):
            for i in range(3):
                z = np.array([0.5, -1.0, 2.0])
                z[i] = bad
                assert not np.isfinite(call(head, z, y, dtype)[2])


@DTYPES
@HEAD
def test_padding_does_not_count(head, dtype):
    """Logits of the padding may be anything finite."""
    z, y = problem(head, 3)
    expected = call(head, z, y, dtype)
    row = np.full(target.UNIT_BYTES // np.dtype(dtype).itemsize, 5, dtype)
    row[:3] = z
    a, delta = np.empty_like(row), np.empty_like(row)
    log_sum, loss = run(OUTPUTS[head[0]], HEADS[head], 3, row, a, y.astype(dtype), delta)
    assert (loss, log_sum) == expected[2:]
    np.testing.assert_array_equal(a[:3], expected[0])
    np.testing.assert_array_equal(delta[:3], expected[1])
