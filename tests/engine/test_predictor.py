"""Predictions: one row has the bits of many, whatever is left out; the kept plan serves threads, changes and errors."""

from __future__ import annotations

import copy
import pickle
import sys
import time
import weakref

import numpy as np
import pytest
from data import problem
from threads import in_threads

from fastnn import MLP, SGD, Trainer
from fastnn.engine import launch, predictor
from fastnn.engine.labels import encode
from fastnn.engine.samples import bundle
from fastnn.engine.workspace import Plan
from fastnn.kernels.words import signature

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


@pytest.mark.parametrize(("output", "loss"), [("softmax", "cross_entropy"), ("logistic", "mse"), ("identity", "mse")])
def test_losses_of_a_row_are_those_among_others(output, loss):
    X, Y = problem(output, 37)
    net = MLP([13, 67, 5], output=output, seed=1)

    def scored(rows):
        return net.outputs(X[rows], encode(Y[rows], len(X[rows]), output, 5, net.dtype, None), loss)

    outputs, losses = scored(slice(None))
    assert losses.shape == (37,) and (losses > 0).all()
    for r in range(37):
        one, its_loss = scored(slice(r, r + 1))
        np.testing.assert_array_equal(one, outputs[r : r + 1])
        assert its_loss == losses[r]
        np.testing.assert_array_equal(net.outputs(X[r : r + 1]), one)


@pytest.mark.parametrize("n_rows", [1, 100])
def test_several_threads_at_once(n_rows):
    net = MLP([FEATURES, 130, 60, 3], seed=1)
    parts = [images(n_rows + i, 0.3, source) for i in range(6) for source in ("uint8", "float32")]
    expected = [net.outputs(X) for X in parts]

    def predict(rank):
        return [np.array_equal(net.outputs(parts[i]), expected[i]) for i in np.arange(1200 // n_rows) * (rank + 1) % 12]

    assert all(map(all, in_threads(4, predict)))


def test_the_weights_and_the_scale_of_the_moment_count():
    X, Y = problem("softmax", 60)
    net = MLP([13, 20, 5], seed=1)
    for change in (
        lambda: Trainer(net, optimizer=SGD(0.1), max_epochs=1, verbose=0).fit(X, Y),
        lambda: setattr(net, "weights", [2 * W for W in net.weights]),
        lambda: setattr(net, "input_scale", 0.5),
        lambda: setattr(net, "input_offset", np.arange(13.0)),
    ):
        before = net.outputs(X[:1])
        change()
        after = net.outputs(X[:1])
        assert not np.array_equal(after, before)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(net)).outputs(X[:1]), after)


def test_copies_after_a_prediction_have_memory_of_their_own():
    X = images(1, 0.5)
    net = MLP([FEATURES, 7, 3], seed=1)
    expected = net.outputs(X)
    for copied in (copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(copied.outputs(X), expected)
        assert copied._predictor._plan is not net._predictor._plan
    twin = copy.deepcopy(net)
    net.biases = [np.ones(7), np.ones(3)]
    np.testing.assert_array_equal(twin.outputs(X), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
def test_after_a_row_that_is_refused_the_next_is_not(bad):
    net = MLP([FEATURES, 7, 3], activation="logistic", seed=1)
    X = images(2, 0.2, "float64")
    expected = net.outputs(X[1:])
    plan = net._predictor._plan
    X[0, 5] = bad
    for _ in range(2):
        with pytest.raises(ValueError, match="X must be"):
            net.predict(X[:1])
        np.testing.assert_array_equal(net.outputs(X[1:]), expected)
    assert net._predictor._plan is plan
    assert not net._predictor._lock.locked()


def test_while_the_kept_plan_is_in_use_another_is_made():
    net, X = MLP([FEATURES, 7, 3], seed=1), images(3, 0.5)
    expected = net.outputs(X)
    with net._predictor._lock:
        np.testing.assert_array_equal(net.outputs(X), expected)


def test_the_samples_are_alive_as_long_as_they_are_read_and_no_longer(monkeypatch):
    """By a gang as well as by the calling thread."""

    class Matrix(np.ndarray):
        """An array that can be weakly referenced."""

    net = MLP([FEATURES, 7, 3], seed=1)
    for seconds in (launch.SHORT_SECONDS, -1.0):
        monkeypatch.setattr(launch, "SHORT_SECONDS", seconds)
        X = images(40, 0.5).view(Matrix)
        expected = np.array(net.outputs(X))
        reference, count = weakref.ref(X), sys.getrefcount(X)
        net.outputs(X)
        for _ in range(500):  # a rank lets go of them a moment later
            if sys.getrefcount(X) == count:
                break
            time.sleep(0.01)
        del X
        assert reference() is None
        np.testing.assert_array_equal(net.outputs(images(40, 0.5)), expected)


def test_outputs_belong_to_the_caller():
    net, X = MLP([FEATURES, 7, 3], seed=1), images(2, 0.5)
    first = net.outputs(X[:1])
    kept = first.copy()
    assert first.flags.writeable and first.flags.c_contiguous and first.dtype == np.float32
    second = net.outputs(X[1:])
    np.testing.assert_array_equal(first, kept)
    assert not np.shares_memory(first, second)


def test_one_compiled_program_reads_every_type_and_layout():
    """Their signature is the same, read-only or strided, and so is the machine code that `prepare` finds."""
    net = MLP([FEATURES, 7, 3], seed=1)
    nothing, no_labels = np.empty(0, np.float32), np.empty(0, np.int32)
    read_only = images(4, 0.5)
    read_only.flags.writeable = False
    kinds = [read_only, *(images(4, 0.5, source) for source in ("uint8", "float32", "float64"))]
    kinds += [np.asfortranarray(kinds[2]), kinds[3][::-2], np.broadcast_to(kinds[1][0], (4, FEATURES))]
    bundles = [bundle(X, net.scaling, no_labels, nothing, nothing) for X in kinds]
    assert len({signature(samples) for samples in bundles}) == 1

    plan, gang = Plan(net, n_ranks=1), launch.Gang(1)
    functions = {
        gang.prepare(
            launch.PREDICT, (plan.net, plan.rule(0), samples, plan.work, np.empty((4, 3), "f"), np.empty(0))
        )._function
        for samples in bundles
    }
    assert len(functions) == 1


def test_few_rows_one_after_another():
    """They are copied for a call that is kept; each has its own results, whatever was asked for before."""
    net = MLP([FEATURES, 7, 3], seed=1)
    X = images(6, 0.5)
    expected = net.predict_proba(X)
    kept = [net.predict_proba(X[i : i + 1]) for i in range(6)]
    np.testing.assert_array_equal(np.concatenate(kept), expected)
    for asked in (X[::-2], np.asfortranarray(X), X.astype(np.float64), X[:, ::-1][:, ::-1], X[:2], X):
        np.testing.assert_array_equal(net.predict_proba(asked), MLP.predict_proba(copy.copy(net), asked))
    net.input_scale = 0.25
    np.testing.assert_array_equal(net.predict_proba(X), net.predict_proba(np.tile(X, (100, 1)))[:6])
    assert np.abs(net.predict_proba(X) - expected).max() > 1e-3


@pytest.mark.parametrize(("n_rows", "n_ranks"), [(1, 1), (500, 1), (1300, 2), (1700, 3), (100_000, 4)])
def test_a_prediction_has_more_ranks_where_they_pay_for_their_threads(n_rows, n_ranks, monkeypatch):
    monkeypatch.setattr(launch, "most_ranks", lambda n_threads: n_threads or 4)
    operations = 2 * MLP([784, 128, 10]).n_parameters * n_rows
    assert launch.useful_ranks(operations) == n_ranks
    assert launch.useful_ranks(operations, 3) == 3


def test_a_gang_is_kept_for_the_next_prediction_but_not_after_an_exception():
    launch._kept.clear()
    with launch.borrowed_gang(2) as first, launch.borrowed_gang(2) as second:
        assert first is not second
    with launch.borrowed_gang(2) as again:
        assert again is second
        assert not launch._kept
    with pytest.raises(KeyError), launch.borrowed_gang(2) as failing:
        raise KeyError
    assert failing is again
    assert not launch._kept
