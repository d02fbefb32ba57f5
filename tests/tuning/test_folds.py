"""Folds and the test part: nobody twice, nobody missing, every class its share."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn.tuning.folds import hold_out, make_folds

Y = np.repeat([0, 1, 2], [60, 30, 10])


@pytest.mark.parametrize("split", ["stratified", "plain"])
def test_every_sample_validates_once(split):
    folds = make_folds(Y, 5, split, seed=1)
    assert sorted(np.concatenate([fold.validation for fold in folds])) == list(range(100))
    for training, validation in folds:
        assert sorted([*training, *validation]) == list(range(100))
        assert (np.diff(training) > 0).all() and (np.diff(validation) > 0).all()
    shares = [np.bincount(Y[fold.validation], minlength=3).tolist() for fold in folds]
    assert (shares == [[12, 6, 2]] * 5) == (split == "stratified")


def test_shuffled_folds_draw_from_all_samples():
    folds = make_folds(Y, 4, "shuffle", 0.1, seed=1)
    assert [len(fold.validation) for fold in folds] == [10] * 4
    assert len(np.unique(np.concatenate([fold.validation for fold in folds]))) > 20
    assert not set(folds[0].training) & set(folds[0].validation)
    assert len(make_folds(Y, 1, "shuffle")) == 1


@pytest.mark.parametrize("split", ["stratified", "plain", "shuffle"])
def test_the_seed_decides(split):
    first, again, other = (make_folds(Y, 3, split, seed=seed)[0].validation for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    make_folds(Y, 3, split, seed=2**62)  # more than scikit-learn takes


def test_the_test_part():
    rest, test = hold_out(Y, 0.1, stratify=True, seed=0)
    assert np.bincount(Y[test]).tolist() == [6, 3, 1]
    assert sorted([*rest, *test]) == list(range(100))
    rest, test = hold_out(np.linspace(0, 1, 50), 0.3, stratify=False, seed=0)
    assert len(test) == 15


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: make_folds(Y, 1), "folds must be at least 2, got 1"),
        (lambda: make_folds(Y, 0, "shuffle"), "folds must be at least 1, got 0"),
        (lambda: make_folds(Y, 11), "class 2 has 10 samples, too few to be in each of 11 folds"),
        (lambda: make_folds(Y, 101, "plain"), "folds must be at most 100, the number of samples, got 101"),
        (lambda: make_folds(Y, 2, "shuffle", 1.0), "validation_fraction must be below 1, got 1"),
        (lambda: make_folds(Y[:1], 2, "shuffle"), "1 sample cannot be divided"),
        (lambda: make_folds(Y, 2, "stratify"), "split must be one of .* did you mean 'stratified'"),
        (lambda: make_folds(np.eye(3), 2), r"only one class a sample .* shape \(3, 3\)"),
        (lambda: hold_out(Y, 0.0, True, 0), "test_fraction must be above 0, got 0"),
        (lambda: hold_out(np.array([0, 0, 1]), 0.5, True, 0), "class 1 has 1 sample, .* the rest; take split='plain'"),
        (lambda: hold_out(Y, 0.01, True, 0), "no test part of 0.01 can be held out of 100 samples"),
    ],
)
def test_divisions_that_cannot_be(make, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        make()
