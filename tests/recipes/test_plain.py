"""The plain NumPy methods compute what fastnn computes, so that their times may be compared."""

from __future__ import annotations

import data
import numpy as np
import pytest
import randomness

import fastnn
from fastnn.recipes import plain
from fastnn.recipes.network import make_net
from fastnn.recipes.numpy_ann import draw_weights, summed_cross_entropy

RTOL = 1e-9


def make(activation="tanh", output="softmax", loss="cross_entropy", sizes=(13, 7, 6, 5), **settings):
    weights, biases = data.parameters(sizes)
    momentum = settings.pop("momentum", 0.0)
    net = fastnn.MLP(list(sizes), activation=activation, output=output, init=(weights, biases), dtype="float64")
    rule = fastnn.SGD(0.3, momentum=momentum)
    settings = {"batch_size": 8, "max_epochs": 3, "shuffle": False, "seed": 5, "n_threads": 1} | settings
    return fastnn.Trainer(net, loss=loss, optimizer=rule, verbose=0, **settings)


def same(trainer, other):
    for ours, theirs in zip((*trainer.net.weights, *trainer.net.biases), (*other.weights, *other.biases), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=RTOL, atol=RTOL)


def train_both(trainer, rates=(0.3, 0.3, 0.3), other=None):
    """fastnn and plain NumPy from the same weights on the same samples; 37 are no multiple of the mini-batch."""
    X, y = data.classification()
    other = other or plain.MiniBatchNetwork(trainer)
    other.train(X, plain.one_hot(y, 5), rates)
    before = trainer.net.weights[0]
    trainer.fit(X, y)
    assert abs(trainer.net.weights[0] - before).max() > 1e-3
    return other


@pytest.mark.parametrize("activation", plain.ACTIVATIONS)
@pytest.mark.parametrize(
    ("output", "loss"), [("softmax", "cross_entropy"), ("logistic", "cross_entropy"), ("logistic", "mse")]
)
def test_mini_batches_of_every_head(activation, output, loss):
    trainer = make(activation, output, loss)
    same(trainer, train_both(trainer))


@pytest.mark.parametrize(
    "settings",
    [{"momentum": 0.9}, {"l2": 0.01}, {"l1": 0.01}, {"max_norm": 0.8}, {"batch_size": 37}, {"batch_size": 1},
     {"momentum": 0.5, "l2": 0.01, "l1": 0.001, "max_norm": 1.2}],
)  # fmt: skip
def test_mini_batches_with_every_feature(settings):
    trainer = make(**settings)
    same(trainer, train_both(trainer))


def test_mini_batches_with_decay():
    trainer = make(schedule="decay(0.5)")
    same(trainer, train_both(trainer, (0.3, 0.3 / 1.5, 0.3 / 1.5 / 2)))


@pytest.mark.parametrize("activation", plain.ACTIVATIONS)
def test_mini_batches_with_dropout_of_the_same_units(activation, monkeypatch):
    trainer = make(activation, dropout=0.4, input_dropout=0.2, max_epochs=1)
    masks = []
    for start in range(0, 37, 8):
        n = min(8, 37 - start)
        first, rest = randomness.masks(trainer.net.sizes, trainer.dropout_of_levels(), n, trainer.seed, 0, start)
        masks += [first, *rest]
    other = plain.MiniBatchNetwork(trainer)
    monkeypatch.setattr(other, "_mask", lambda shape, p: masks.pop(0))
    same(trainer, train_both(trainer, (0.3,), other))
    assert masks == []


def test_masks_drop_the_part_they_should_and_keep_the_mean():
    other = plain.MiniBatchNetwork(make())
    assert other._mask((3, 4), 0.0) is None
    mask = other._mask((400, 300), 0.2)
    assert mask.dtype == np.float64
    assert set(np.unique(mask).tolist()) == {0.0, 1.25}
    assert abs(mask.mean() - 1) < 0.01


def test_shuffling_takes_every_sample_once():
    seen = []
    trainer = make(shuffle=True)
    other = plain.MiniBatchNetwork(trainer)
    other.step = lambda X, Y, rate: seen.append(X)
    X = np.arange(37.0)[:, None]
    other.train(X, X, [0.1])
    assert [len(part) for part in seen] == [8, 8, 8, 8, 5]
    order = np.concatenate(seen)[:, 0]
    assert sorted(order) == list(range(37)) and list(order) != list(range(37))


@pytest.mark.parametrize("sizes", [[13, 5], [13, 7, 5], [13, 7, 6, 5]])
def test_row_by_row(sizes):
    """The loop in NumPy vectors, the loop in Python numbers and fastnn."""
    X, y = data.classification()
    Y = plain.one_hot(y, 5)
    network = {"sizes": sizes, "activation": "logistic", "output": "logistic", "dtype": "float64"}
    net = make_net(network, init="standard_normal", bias_units=True, seed=3)
    trainer = fastnn.Trainer(
        net, loss="mse", optimizer=fastnn.SGD(0.1), batch_size=1, max_epochs=2, shuffle=False, verbose=0
    )
    vectors = [np.vstack([W, b]) for W, b in zip(net.weights, net.biases, strict=True)]
    numbers = [W.tolist() for W in vectors]
    costs = [plain.train_by_rows(vectors, X, Y, 0.1) for _ in range(2)]
    python_costs = [plain.train_by_numbers(numbers, X.tolist(), Y.tolist(), 0.1) for _ in range(2)]
    history = trainer.fit(X, y)
    np.testing.assert_allclose(costs, history["train_loss"], rtol=RTOL)
    np.testing.assert_allclose(python_costs, costs, rtol=RTOL)
    for W, b, ours, theirs in zip(net.weights, net.biases, vectors, numbers, strict=True):
        np.testing.assert_allclose(ours, np.vstack([W, b]), rtol=RTOL)
        np.testing.assert_allclose(theirs, ours, rtol=RTOL)


def test_scaled_is_what_the_network_sees():
    X = np.array([[0, 51], [255, 102]], np.uint8)
    assert plain.scaled(fastnn.MLP([2, 2], dtype="float64"), X).tolist() == [[0.0, 0.2], [1.0, 0.4]]
    net = fastnn.MLP([2, 2], input_scale=0.5, input_offset=1.0)
    assert plain.scaled(net, X.astype(float)).tolist() == [[-0.5, 25.0], [127.0, 50.5]]
    assert plain.scaled(net, X).dtype == np.float32


def test_summed_cross_entropy_is_the_formula():
    rng = np.random.default_rng(0)
    a, y = plain.softmax(rng.standard_normal((20, 5))), rng.integers(0, 5, 20)
    Y = plain.one_hot(y, 5)
    expected = -(Y * np.log(a) + (1 - Y) * np.log(1 - a)).sum(axis=1).mean()
    assert summed_cross_entropy(a, y) == pytest.approx(expected, rel=1e-14)


def test_summed_cross_entropy_of_a_certain_and_right_network_is_zero():
    assert summed_cross_entropy(np.eye(3), np.arange(3)) == 0.0


def test_first_weights_of_numpy_ann_are_of_the_legacy_generator():
    first, second = draw_weights([784, 5, 10], 42)
    assert first.shape == (784, 5) and second.shape == (5, 10)
    assert first[0, 0] == pytest.approx(0.004967141530112327, rel=1e-15)
