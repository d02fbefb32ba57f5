"""Predictions: one row has the bits of many, whatever is left out."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import MLP
from fastnn.engine import predictor
from fastnn.engine.workspace import Plan

FEATURES = 83


def images(n, share, dtype="uint8"):
    """Samples of whose numbers this share is not zero."""
    rng = np.random.default_rng(n)
    return (rng.integers(1, 256, (n, FEATURES)) * (rng.random((n, FEATURES)) < share)).astype(dtype)


def without_lists(monkeypatch):
    """From now on new networks leave out no zeros."""
    monkeypatch.setattr(predictor, "Plan", lambda *a, **k: Plan(*a, **k | {"skip_zeros": False}))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("source", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_row_alone_and_among_others_with_zeros_and_without_them(share, source, dtype, monkeypatch):
    X = images(70, share, source)
    settings = {"activation": "tanh", "dtype": dtype, "seed": 1}
    net = MLP([FEATURES, 210, 9, 3], **settings)
    outputs = net.outputs(X)
    for few in (1, 2, 3, 5, 8, 9, 33):
        np.testing.assert_array_equal(net.outputs(X[:few]), outputs[:few])
        np.testing.assert_array_equal(net.outputs(X[-few:]), outputs[-few:])
    np.testing.assert_array_equal(net.outputs(np.asfortranarray(X)[::-1]), outputs[::-1])
    without_lists(monkeypatch)
    np.testing.assert_array_equal(MLP([FEATURES, 210, 9, 3], **settings).outputs(X), outputs)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_strips_that_are_full_of_zeros_beside_strips_that_have_none(n_threads, monkeypatch):
    X = np.concatenate([images(64, share) for share in (0.05, 1.0, 0.0, 0.9, 0.05)] + [images(3, 1.0)])
    order = np.random.default_rng(0).permutation(64)
    mixed = np.concatenate([X, X[:128].reshape(2, 64, -1)[:, order].reshape(128, -1)])
    outputs = MLP([FEATURES, 70, 3], seed=1).outputs(mixed, n_threads=n_threads)
    without_lists(monkeypatch)
    np.testing.assert_array_equal(MLP([FEATURES, 70, 3], seed=1).outputs(mixed, n_threads=1), outputs)
