"""Whole trainings against the oracle: update rules, schedules, order, masks, mini-batches and shapes of every kind."""

from __future__ import annotations

import numpy as np
import pytest
import randomness
from compare import assert_close
from data import parameters, problem, sample_weights
from marks import needs_matrix_unit
from reference import HEADS
from replay import reference_of, replay

from fastnn import MLP, SGD, Trainer, schedules
from fastnn.engine.workspace import ROW_BLOCK, Plan

RULES = {
    "sgd": SGD(0.1),
    "momentum": SGD(0.05, momentum=0.9),
    "nesterov": SGD(0.05, momentum=0.9, nesterov=True),
}


def check_training(
    net, loss, X, Y, *, n_epochs=2, schedule=None, optimizer=RULES["momentum"], l1=0.0, l2=0.0, **settings
):
    """Train `net` and the oracle on the same problem; parameters, losses and reported rates must agree."""
    settings = {"shuffle": True, "seed": 3} | settings
    weights = settings.pop("sample_weight", None)
    reference = reference_of(net, loss, l1, l2)
    trainer = Trainer(
        net, loss=loss, optimizer=optimizer, schedule=schedule, max_epochs=n_epochs, l1=l1, l2=l2, verbose=0, **settings
    )
    history = trainer.fit(X, Y, sample_weight=weights)

    n_steps = -(-len(X) // settings["batch_size"])
    plan = schedules.make(schedule)
    rates = [plan.rates(e, n_steps, optimizer.learning_rate, n_epochs) for e in range(n_epochs)]
    for name in ("n_threads", "matmul"):
        settings.pop(name, None)
    losses = replay(
        reference,
        X,
        Y,
        rates,
        momentum=optimizer.momentum,
        nesterov=optimizer.nesterov,
        sample_weight=weights,
        **settings,
    )
    assert history["learning_rate"] == [r[-1] for r in rates]
    terms = max(1024, max(net.sizes)) * n_steps * n_epochs
    assert_close(np.array(history["train_loss"]), np.array(losses), 1e-10 if net.dtype == np.float64 else 1e-4, "loss")
    assert_close(net.weights, reference.weights, net.dtype, "weights", terms=terms)
    scale = float(np.sqrt(np.mean(reference.weights[-1] ** 2)))
    assert_close(net.biases, reference.biases, net.dtype, "biases", terms=terms, scale=scale)
    return history


def make_net(sizes, output="softmax", activation="tanh", dtype="float64"):
    return MLP(sizes, activation=activation, output=output, init=parameters(sizes, seed=2), dtype=dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("head", HEADS, ids="+".join)
@pytest.mark.parametrize("rule", RULES)
def test_update_rules(rule, head, dtype):
    """Twelve steps: three epochs of three mini-batches of 10 and one of 7."""
    output, loss = head
    X, Y = problem(output)
    check_training(
        make_net([13, 11, 5], output, dtype=dtype), loss, X, Y, n_epochs=3, batch_size=10, optimizer=RULES[rule]
    )


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "schedule",
    [
        "decay(0.5)",
        "inverse_time(0.1)",
        "exponential(0.5)",
        "steps([1, 2], 0.25)",
        "cosine(0.1)",
        "one_cycle",
        lambda epoch: 0.1 / (1 + epoch),
    ],
)
def test_schedules(schedule, rule):
    X, Y = problem("softmax")
    check_training(
        make_net([13, 11, 5]),
        "cross_entropy",
        X,
        Y,
        n_epochs=3,
        batch_size=10,
        schedule=schedule,
        optimizer=RULES[rule],
    )


@needs_matrix_unit
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("sizes", "batch_size", "settings"),
    [
        ([13, 384, 5], 32, {}),
        ([70, 400, 391, 5], 77, {"l1": 1e-4, "l2": 1e-3, "max_norm": 1.5}),
        ([64, 448, 30, 512, 5], 64, {"dropout": 0.3, "input_dropout": 0.1, "n_threads": 2}),
        ([1, 401, 384, 2], 600, {}),
        ([40, 400, 391, 5], 640, {}),  # a whole row block, and one of whole steps
    ],
)
def test_the_matrix_unit(sizes, batch_size, settings, rule):
    X, Y = problem("softmax", 2 * batch_size + 37, sizes[0], sizes[-1])
    net = make_net(sizes, dtype="float32")
    check_training(
        net, "cross_entropy", X, Y, batch_size=batch_size, optimizer=RULES[rule], matmul="bf16x3", **settings
    )


@pytest.mark.parametrize("n_threads", [2, 4])
@pytest.mark.parametrize("sizes", [(391, 37, 5), (784, 128, 20, 5), (400, 70)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_by_inputs_against_the_oracle(dtype, sizes, n_threads):
    if dtype == "float64":
        sizes = (*sizes[:1], 60, *sizes[2:])
    X, Y = problem("softmax", 77, sizes[0], sizes[-1])
    X[:, ::3] = 0  # inputs that are left out
    assert Plan(MLP(sizes, dtype=dtype), n_ranks=n_threads, batch_size=10).work.by_inputs
    check_training(
        make_net(sizes, dtype=dtype),
        "cross_entropy",
        X,
        Y,
        batch_size=10,
        n_threads=n_threads,
        l1=1e-4,
        l2=1e-3,
        dropout=0.2,
        input_dropout=0.1,
    )


def test_plateau_follows_the_validation_loss():
    X, Y = problem("softmax")
    schedule = schedules.Plateau(patience=1, factor=0.5, min_delta=0.05)
    net = make_net([13, 11, 5])
    reference = reference_of(net, "cross_entropy")
    trainer = Trainer(
        net, optimizer=SGD(1.5), schedule=schedule, batch_size=37, max_epochs=12, shuffle=False, verbose=0
    )
    history = trainer.fit(X[:25], Y[:25], X[25:], Y[25:])
    rates = history["learning_rate"]
    assert len(set(rates)) > 2, "the validation loss never stalled; the test tests nothing"
    twin = schedules.Plateau(patience=1, factor=0.5, min_delta=0.05)
    for epoch, logs in enumerate(history.epochs):
        rate = twin.rates(epoch, 1, 1.5, 12)
        assert rates[epoch] == rate[0]
        replay(reference, X[:25], Y[:25], [rate], batch_size=37)
        val_loss, _, _ = reference.loss_and_gradients(X[25:], Y[25:])
        assert logs["val_loss"] == pytest.approx(val_loss, rel=1e-10)
        twin.on_epoch_end({"val_loss": val_loss})
    assert_close(net.weights, reference.weights, "float64", "weights")


# sizes, samples, batch_size; together with everything that can be switched on
SHAPES = {
    "mini-batch of 1": ([13, 11, 5], 23, 1),
    "mini-batch of 2, the last of 1": ([13, 11, 5], 37, 2),
    "mini-batch of 10": ([13, 11, 5], 101, 10),
    "mini-batch of 128": ([13, 40, 5], 300, 128),
    "one row block and one more": ([9, 11, 5], ROW_BLOCK + 1, ROW_BLOCK + 1),
    "three row blocks, full batch": ([9, 20, 5], 2 * ROW_BLOCK + 276, 10**6),
    "row blocks, last mini-batch within one": ([9, 20, 5], 1500, 700),
    "no hidden layer": ([13, 5], 101, 32),
    "no hidden layer, one input": ([1, 3], 101, 32),
    "layers 1 wide": ([13, 1, 1, 1, 5], 101, 32),
    "1 input": ([1, 7, 3], 101, 32),
    "20 hidden layers": ([13, *range(4, 24), 5], 101, 32),
    "panels with edges": ([65, 130, 65, 3], 101, 32),
    "several panels of outputs": ([7, 130, 129], 150, 50),
    "more inputs than a group of sums": ([301, 9, 5], 101, 32),
    "whole units and panels": ([64, 128, 64, 16], 128, 64),
    "sums in quarters": ([391, 37, 5], 101, 32),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_with_everything_switched_on(shape, dtype):
    sizes, n, batch_size = SHAPES[shape]
    X, Y = problem("softmax", n, sizes[0], sizes[-1])
    check_training(
        make_net(sizes, activation="silu", dtype=dtype),
        "cross_entropy",
        X,
        Y,
        batch_size=min(batch_size, n),
        optimizer=SGD(0.02, momentum=0.9, nesterov=True),
        l1=1e-4,
        l2=1e-3,
        dropout=0.2,
        input_dropout=0.1,
        max_norm=1.1,
        sample_weight=sample_weights(n),
        schedule="inverse_time(0.05)",
        n_threads=1,
    )


@pytest.mark.parametrize("head", HEADS, ids="+".join)
@pytest.mark.parametrize("shape", ["layers 1 wide", "several panels of outputs", "three row blocks, full batch"])
def test_shapes_with_every_head(shape, head):
    output, loss = head
    sizes, n, batch_size = SHAPES[shape]
    X, Y = problem(output, n, sizes[0], sizes[-1])
    check_training(
        make_net(sizes, output), loss, X, Y, batch_size=min(batch_size, n), optimizer=SGD(0.01, momentum=0.9)
    )


def test_one_output():
    for output, loss in [("logistic", "cross_entropy"), ("logistic", "mse"), ("identity", "mse")]:
        X, Y = problem(output, 101, n_outputs=1)
        check_training(make_net([13, 11, 1], output), loss, X, Y, batch_size=10)


def test_a_mini_batch_of_more_samples_than_there_are_takes_them_all():
    X, Y = problem("softmax")
    nets = [make_net([13, 11, 5]) for _ in range(2)]
    for net, batch_size in zip(nets, (37, 10**6), strict=True):
        Trainer(net, batch_size=batch_size, max_epochs=2, verbose=0).fit(X, Y)
    assert nets[0].fingerprint() == nets[1].fingerprint()


@pytest.mark.parametrize("max_norm", [0.3, 1.0])
def test_max_norm_holds_and_leaves_shorter_weights_alone(max_norm):
    X, Y = problem("softmax", 101)
    net = make_net([13, 70, 5])
    check_training(net, "cross_entropy", X, Y, batch_size=10, max_norm=max_norm)
    norms = np.concatenate([np.linalg.norm(W, axis=0) for W in net.weights])
    assert norms.max() <= max_norm * (1 + 1e-12)
    assert (norms > max_norm * (1 - 1e-9)).any()
    assert max_norm < 0.5 or (norms < 0.99 * max_norm).any()


def test_dropout_of_each_layer_has_its_own_rate():
    X, Y = problem("softmax")
    net = make_net([13, 11, 9, 7, 5])
    reference = reference_of(net, "cross_entropy")
    input_mask, masks = randomness.masks(net.sizes, [0.0, 0.5, 0.0, 0.9], 37, seed=4)
    _, dWs, _ = reference.loss_and_gradients(X, Y, None, masks, input_mask)
    trainer = Trainer(net, optimizer=SGD(1.0), dropout=[0.5, 0.0, 0.9], seed=4, shuffle=False, max_epochs=1, verbose=0)
    trainer.fit(X, Y)
    moved = [before - after for before, after in zip(reference.weights, net.weights, strict=True)]
    assert_close(moved, dWs, "float64", "dW")


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_oracles_masks_drop_the_rate_and_keep_the_mean(rate):
    """What the tests above take for granted: the masks are fair, and no two of them are alike."""
    mask, (hidden,) = randomness.masks([50, 50], [rate, rate], 400, seed=1)
    n = mask.size
    for m in (mask, hidden):
        assert abs((m == 0).mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / n)
        assert abs(m.mean() - 1) < 4 * np.sqrt(rate / (1 - rate) / n)
    other_epoch, _ = randomness.masks([50, 50], [rate, rate], 400, seed=1, epoch=1)
    other_step, _ = randomness.masks([50, 50], [rate, rate], 400, seed=1, start=400)
    both = [m.ravel() == 0 for m in (mask, hidden, other_epoch, other_step, np.roll(mask, 1, 0), np.roll(mask, 1, 1))]
    correlations = np.corrcoef(both)[np.triu_indices(len(both), 1)]
    assert abs(correlations).max() < 4.5 / np.sqrt(n)


def test_the_order_is_a_permutation_that_depends_on_seed_and_epoch():
    orders = [randomness.order(50, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert all(sorted(o) == list(range(50)) for o in orders)
    assert len({tuple(o) for o in orders}) == 4


@pytest.mark.parametrize(
    "settings", [{"shuffle": True}, {"shuffle": False, "dropout": 0.5}], ids=["shuffle", "dropout"]
)
def test_the_seed_decides(settings):
    X, Y = problem("softmax", 101)
    prints = []
    for seed in (0, 0, 1, 2**63 - 1):
        net = make_net([13, 11, 5])
        Trainer(net, seed=seed, batch_size=10, max_epochs=2, verbose=0, **settings).fit(X, Y)
        prints.append(net.fingerprint())
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_samples_of_weight_zero_teach_nothing():
    """A whole mini-batch of them has no mean; it must not end in NaN, nor move anything."""
    X, Y = problem("softmax", 40)
    w = np.ones(40)
    w[10:20] = 0
    whole, part = make_net([13, 11, 5]), make_net([13, 11, 5])
    settings = {"batch_size": 10, "max_epochs": 1, "shuffle": False, "verbose": 0}
    history = Trainer(whole, **settings).fit(X, Y, sample_weight=w)
    kept = Trainer(part, **settings).fit(X[w > 0], Y[w > 0])
    assert whole.fingerprint() == part.fingerprint()
    assert history["train_loss"] == kept["train_loss"]


def test_equal_sample_weights_of_any_size_change_nothing_but_rounding():
    X, Y = problem("softmax")
    plain, weighted = make_net([13, 11, 5]), make_net([13, 11, 5])
    Trainer(plain, batch_size=10, max_epochs=3, verbose=0).fit(X, Y)
    Trainer(weighted, batch_size=10, max_epochs=3, verbose=0).fit(X, Y, sample_weight=np.full(37, 1e-3))
    assert_close(weighted.weights, plain.weights, "float64", "weights")


def test_predictions_are_the_oracles():
    for output in ("softmax", "logistic", "identity"):
        for dtype in ("float32", "float64"):
            X, _ = problem(output, 301)
            net = make_net([13, 70, 9, 5], output, "gelu", dtype)
            expected = reference_of(net, "mse").forward(X)
            assert_close(net.outputs(X), expected, dtype, f"outputs of {output}")


@pytest.mark.parametrize("head", HEADS, ids="+".join)
def test_evaluate_gives_the_oracles_loss(head):
    output, loss = head
    X, Y = problem(output, 301)
    net = make_net([13, 70, 5], output)
    trainer = Trainer(net, loss=loss, verbose=0, l2=0.1, dropout=0.5)  # neither belongs to the reported loss
    expected, _, _ = reference_of(net, loss).loss_and_gradients(X, Y)
    assert trainer.evaluate(X, Y)["loss"] == pytest.approx(expected, rel=1e-12)


def test_a_second_fit_goes_on_from_the_weights_with_fresh_velocities():
    X, Y = problem("softmax")
    net = make_net([13, 11, 5])
    check_training(net, "cross_entropy", X, Y, batch_size=10)
    check_training(net, "cross_entropy", X, Y, batch_size=10)
