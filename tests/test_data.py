"""The problems of the tests are what they say: shapes, seeds, exact float32 numbers."""

from __future__ import annotations

import data
import numpy as np
import pytest


@pytest.mark.parametrize("output", ["softmax", "logistic", "identity"])
def test_problems(output):
    X, Y = data.problem(output, 11, 3, 4, seed=5)
    assert X.shape == (11, 3)
    assert Y.shape == (11, 4)
    for array in (X, Y):
        assert array.dtype == np.float64
        assert (array.astype(np.float32) == array).all()
    X2, Y2 = data.problem(output, 11, 3, 4, seed=5)
    assert (X == X2).all()
    assert (Y == Y2).all()
    assert (data.problem(output, 11, 3, 4, seed=6)[0] != X).any()
    if output == "softmax":
        assert (Y.sum(axis=1) == 1).all()
    if output != "identity":
        assert set(np.unique(Y)) == {0.0, 1.0}


def test_every_class_is_present():
    _, y = data.classification(7, 2, 7)
    assert sorted(y) == list(range(7))


def test_parameters_have_no_zero():
    weights, biases = data.parameters([5, 3, 1])
    assert [W.shape for W in weights] == [(5, 3), (3, 1)]
    assert [b.shape for b in biases] == [(3,), (1,)]
    assert all((w != 0).all() for w in [*weights, *biases])


def test_dropout_mask_keeps_the_mean():
    mask = data.dropout_mask((200, 50), 0.25)
    assert set(np.unique(mask)) == {0.0, float(np.float32(4 / 3))}
    assert abs(mask.mean() - 1) < 0.02


def test_one_sample_weight_is_zero():
    w = data.sample_weights(9)
    assert w.shape == (9,)
    assert (w == 0).sum() == 1
    assert (w >= 0).all()
