"""Threads are only a speed knob: the trained bits, losses and predictions are the same with any number of them.

Sizes are odd throughout, so shares are uneven, some ranks are idle, and tiles, panels and mini-batches have edges.
"""

from __future__ import annotations

import numpy as np
import pytest
from data import problem, sample_weights
from marks import needs_matrix_unit
from reference import HEADS

from fastnn import MLP, SGD, Trainer
from fastnn.engine import costs, launch, samples, workspace
from fastnn.engine import training as training_module
from fastnn.engine.workspace import Plan
from fastnn.kernels import bundles

THREADS = (1, 2, 3, 5, 8)


def trained(
    n_threads, output="softmax", loss="cross_entropy", *, sizes=(13, 67, 9, 5), n=133, dtype="float32", **settings
):
    """Fingerprint and training losses of a short training."""
    X, Y = problem(output, n, sizes[0], sizes[-1])
    net = MLP(sizes, activation="gelu", output=output, dtype=dtype, seed=1)
    weights = settings.pop("sample_weight", None)
    settings = {"batch_size": 31, "max_epochs": 2, "optimizer": SGD(0.05, momentum=0.9), "dropout": 0.3} | settings
    trainer = Trainer(net, loss=loss, n_threads=n_threads, seed=2, verbose=0, **settings)
    history = trainer.fit(X, Y, sample_weight=weights)
    return net.fingerprint(), history["train_loss"]


def check(**settings):
    alone = trained(1, **settings)
    for n_threads in THREADS[1:]:
        assert trained(n_threads, **settings) == alone, f"{n_threads} threads"
    return alone


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("head", HEADS, ids="+".join)
def test_every_head(head, dtype):
    output, loss = head
    check(output=output, loss=loss, dtype=dtype)


@pytest.mark.parametrize("batch_size", [1, 7, 130, 1000])
def test_every_size_of_mini_batch(batch_size):
    # 1000 samples in one mini-batch are two row blocks
    check(batch_size=batch_size, n={1: 41, 7: 133, 130: 301, 1000: 1100}[batch_size])


def test_everything_switched_on():
    check(
        sizes=(29, 131, 65, 3),
        n=1200,
        batch_size=700,
        optimizer=SGD(0.05, momentum=0.9, nesterov=True),
        l1=1e-4,
        l2=1e-3,
        input_dropout=0.2,
        max_norm=0.9,
        sample_weight=sample_weights(1200),
        schedule="cosine",
    )


@pytest.mark.parametrize("sizes", [(1, 1, 1, 2), (3, 2), (200, 300, 2), (13, *[6] * 20, 5)], ids=str)
def test_every_shape(sizes):
    check(sizes=sizes, max_norm=1.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("batch_size", "settings"),
    [
        (31, {}),
        (100, {"optimizer": SGD(0.05), "dropout": 0.0}),
        (20, {}),  # too few samples: deltas lie in panels, but inputs are not turned
        (96, {"optimizer": SGD(0.05, momentum=0.9, nesterov=True), "l2": 1e-3, "max_norm": 1.0}),
        (700, {"n": 1000, "sample_weight": sample_weights(1000), "max_epochs": 1}),
    ],
    ids=lambda value: value if isinstance(value, int) else "+".join(value),
)
def test_wide_layers_have_the_bits_of_others(batch_size, settings, dtype, monkeypatch):
    # the inputs of a tile are turned a few tiles at a time; widths and inputs leave parts of tiles and panels over
    settings = {"sizes": (37, 400, 391, 5), "batch_size": batch_size, "dtype": dtype} | settings
    found = check(**settings)
    levels = Plan(MLP(settings["sizes"], dtype=dtype), n_ranks=1, batch_size=batch_size).net.levels
    assert (levels[1:, bundles.D_ROW] < levels[1:, bundles.WIDTH]).tolist() == [True, True, False]
    monkeypatch.setattr(bundles, "WIDE", 10**9)
    assert trained(2, **settings) == found


@needs_matrix_unit
@pytest.mark.parametrize(
    ("batch_size", "settings"),
    [
        (20, {}),  # too few samples for a step of a sum: gradients by fma
        (31, {}),
        (100, {"optimizer": SGD(0.05), "dropout": 0.0}),
        (128, {"n": 260, "sizes": (784, 512, 448, 384, 10), "dropout": 0.0}),
        (96, {"optimizer": SGD(0.05, momentum=0.9, nesterov=True), "l1": 1e-4, "l2": 1e-3, "max_norm": 1.0}),
        (700, {"n": 1000, "sample_weight": sample_weights(1000), "max_epochs": 1}),  # several row blocks
    ],
    ids=lambda value: value if isinstance(value, int) else "+".join(value),
)
def test_the_matrix_unit(batch_size, settings):
    # sizes leave parts of steps, blocks and panels over
    settings = {"sizes": (37, 400, 391, 5), "batch_size": batch_size} | settings
    assert check(**settings, matmul="bf16x3") != trained(1, **settings)


@pytest.mark.parametrize("matmul", ["fma", pytest.param("bf16x3", marks=needs_matrix_unit)])
@pytest.mark.parametrize(
    ("sizes", "batch_size"),
    [
        ((40, 400, 391, 5), 100),  # the first layer leaves zeros out
        ((40, 16, 384, 5), 512),
        ((40, 16, 384, 5), 3500),  # a narrow first layer on bytes would have row blocks of 256 samples a rank
    ],
)
def test_wide_layers_of_networks_on_bytes(sizes, batch_size, matmul):
    rng = np.random.default_rng(3)
    X = (rng.integers(1, 256, (3500, sizes[0])) * (rng.random((3500, sizes[0])) < 0.2)).astype(np.uint8)
    y = rng.integers(0, sizes[-1], len(X))
    assert samples.has_idle_inputs(X, None)
    found = set()
    for n_threads in (1, 2, 3, 13):
        net = MLP(sizes, seed=1)
        settings = {"batch_size": batch_size, "max_epochs": 1, "verbose": 0, "matmul": matmul}
        Trainer(net, optimizer=SGD(0.02, momentum=0.9), n_threads=n_threads, **settings).fit(X, y)
        found.add(net.fingerprint())
    assert len(found) == 1


def test_default_and_environment_are_as_good_as_any(monkeypatch):
    alone = trained(1)
    assert trained(None) == alone
    monkeypatch.setattr(costs, "step_seconds", lambda network, batch_size, n_ranks, *_: 1 / n_ranks)
    monkeypatch.setenv("FASTNN_NUM_THREADS", "3")
    assert costs.useful_ranks(MLP([2, 2]), 1) == 3
    assert trained(None) == alone


@pytest.mark.parametrize("output", ["softmax", "logistic", "identity"])
def test_outputs(output, monkeypatch):
    X, _ = problem(output, 1001)
    net = MLP([13, 67, 5], activation="gelu", output=output, seed=1)
    monkeypatch.setattr(launch, "OPERATIONS_A_RANK", 1)
    found = []
    for n_threads in THREADS:
        monkeypatch.setenv("FASTNN_NUM_THREADS", str(n_threads))
        found.append(net.outputs(X))
    for outputs in found[1:]:
        np.testing.assert_array_equal(outputs, found[0])


@pytest.mark.parametrize("n_rows", [1, 2, 63, 64, 65, 300])
def test_outputs_of_a_sample_do_not_depend_on_its_neighbours(n_rows):
    X, _ = problem("softmax", 301)
    net = MLP([13, 67, 5], activation="tanh", seed=1)
    whole = net.predict_proba(X)
    np.testing.assert_array_equal(net.predict_proba(X[:n_rows]), whole[:n_rows])
    np.testing.assert_array_equal(net.predict_proba(X[-n_rows:]), whole[-n_rows:])


def test_scores_do_not_depend_on_threads(monkeypatch):
    X, Y = problem("softmax", 1001)
    monkeypatch.setattr(launch, "OPERATIONS_A_RANK", 1)
    found = []
    for n_threads in THREADS:
        monkeypatch.setenv("FASTNN_NUM_THREADS", str(n_threads))
        found.append(Trainer(MLP([13, 67, 5], seed=1), verbose=0).evaluate(X, Y))
    assert all(f == found[0] for f in found)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_several_epochs_in_one_call_are_those_one_by_one(n_threads, monkeypatch):
    calls = []
    run = launch.Gang.run
    monkeypatch.setattr(launch.Gang, "run", lambda self, *a, **k: (calls.append(1), run(self, *a, **k)))
    found = []
    for seconds, n_calls in ((0.0, 7), (1e9, 1)):
        calls.clear()
        monkeypatch.setattr(training_module, "ENTRY_SECONDS", seconds)
        found.append(trained(n_threads, max_epochs=7, schedule="exponential(0.8)", input_dropout=0.1))
        assert len(calls) == n_calls
    assert found[0] == found[1]
    assert len(found[0][1]) == 7


def test_a_gang_of_one_gives_the_same_in_a_thread_as_in_the_caller(monkeypatch):
    alone = trained(1)
    monkeypatch.setattr(launch, "SHORT_SECONDS", -1.0)
    assert trained(1) == alone


def test_different_trainings_differ():
    """Without this, equal fingerprints might mean nothing."""
    prints = [trained(1)[0], trained(1, dropout=0.2)[0], trained(1, dtype="float64")[0], trained(1, l2=1e-6)[0]]
    assert len(set(prints)) == 4


@pytest.mark.parametrize(("momentum", "l2"), [(0.9, 1e-3), (0.9, 0.0), (0.0, 0.0), (0.0, 1e-3)])
@pytest.mark.parametrize("batch_size", [7, 130, 1000])
def test_leaving_out_inputs_that_are_zero_changes_no_bit(batch_size, momentum, l2, monkeypatch):
    """Idle inputs are looked for or not, by ranks that see different rows: the weights are the same.

    Whole tiles are idle in a mini-batch and not in the next: what velocities and penalties do to them is not left out.
    """
    rng = np.random.default_rng(5)
    X = rng.integers(0, 255, (1100, 83), dtype=np.uint8) * (rng.random((1100, 83)) < np.linspace(0, 0.05, 83) ** 2)
    y = rng.integers(0, 3, 1100)

    def train(n_threads):
        net = MLP([83, 210, 3], seed=1)
        optimizer = SGD(0.1, momentum=momentum)
        settings = {"batch_size": batch_size, "max_epochs": 2, "l2": l2, "input_dropout": 0.1, "verbose": 0}
        Trainer(net, optimizer=optimizer, n_threads=n_threads, **settings).fit(X, y)
        return net.fingerprint(), net.predict_proba(X).tobytes()

    assert samples.has_idle_inputs(X, None)
    skipping = {train(n_threads) for n_threads in (1, 2, 3, 8)}
    monkeypatch.setattr(samples, "IDLE_SHARE", 2.0)
    assert not samples.has_idle_inputs(X, None)
    assert skipping == {train(1)}


@pytest.mark.parametrize("n_threads", [2, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("share", [0.1, 1.0])
def test_the_first_layer_by_rows_and_by_units(share, dtype, n_threads, monkeypatch):
    """Its panels belong to ranks, or its samples do: the same weights, with many inputs of zero or with none."""
    rng = np.random.default_rng(7)
    X = rng.standard_normal((150, 37)) * (rng.random((150, 37)) < share)
    y = rng.integers(0, 3, 150)

    def train(n_threads):
        net = MLP([37, 230, 20, 3], dtype=dtype, seed=1)
        settings = {"batch_size": 40, "max_epochs": 2, "l1": 1e-4, "dropout": 0.2, "input_dropout": 0.1, "max_norm": 2}
        Trainer(net, optimizer=SGD(0.1, 0.9), n_threads=n_threads, verbose=0, **settings).fit(X, y)
        return net.fingerprint()

    assert Plan(MLP([37, 230, 3], dtype=dtype), n_ranks=n_threads, batch_size=40).work.copy_rows == 40
    by_units = train(n_threads)
    monkeypatch.setattr(workspace, "goes_by_units", lambda *_: False)
    assert by_units == train(n_threads) == train(1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(83, 1, 3), (83, 5, 3), (64, 8), (200, 13, 4)], ids=str)
@pytest.mark.parametrize("batch_size", [33, 549, 1100])
def test_bytes_that_stay_bytes_change_no_bit(batch_size, sizes, dtype, monkeypatch):
    """A narrow first layer multiplies them as they are, or numbers that were made of them before: the same weights.

    The last mini-batch of 549 has two samples, fewer than some of the gangs have ranks.
    """
    if dtype == "float64" and sizes[1] > 8:
        sizes = (sizes[0], 7, sizes[-1])
    rng = np.random.default_rng(9)
    X = rng.integers(0, 256, (1100, sizes[0] + 2), dtype=np.uint8) * (rng.random((1100, sizes[0] + 2)) < 0.1)
    X = X[:, 1:-1].astype(np.uint8)
    X[:, 7] = 0
    X[40:90] = 0
    y = rng.integers(0, sizes[-1], 1100)
    weights = sample_weights(1100)

    def train(n_threads, momentum=0.9, l2=1e-3, **settings):
        net = MLP(sizes, dtype=dtype, seed=1)
        settings = {"batch_size": batch_size, "max_epochs": 2, "max_norm": 3, "l2": l2, "verbose": 0} | settings
        trainer = Trainer(net, optimizer=SGD(0.1, momentum), n_threads=n_threads, **settings)
        trainer.fit(X, y, sample_weight=weights)
        return net.fingerprint(), trainer.history["train_loss"]

    net = MLP(sizes, dtype=dtype)
    assert workspace.stay_bytes(net, X, batch_size, [])
    plain = {"momentum": 0.0, "l2": 0.0, "max_norm": None, "shuffle": False}
    bytewise = [train(n_threads) for n_threads in (1, 2, 3, 8)], train(2, **plain)
    monkeypatch.setattr(training_module, "stay_bytes", lambda *_: False)
    converted = train(2), train(1, **plain)
    assert bytewise == ([converted[0]] * 4, converted[1])


def test_what_stays_bytes():
    X = np.zeros((100, 20), np.uint8)
    narrow = MLP([20, 16, 3])
    assert workspace.stay_bytes(narrow, X, 50, [0.0, 0.0])
    assert workspace.stay_bytes(MLP([20, 16, 3], input_scale=2.0, input_offset=0.0), X, 50, [])
    assert workspace.stay_bytes(narrow, X[::2], 50, [])
    for net in (MLP([20, 17, 3]), MLP([20, 9, 3], dtype="float64"), MLP([20, 5, 3], input_scale=np.ones(20))):
        assert not workspace.stay_bytes(net, X, 50, [])
    for net in (
        MLP([20, 5, 3], input_offset=1.0),
        MLP([20, 5, 3], input_scale=1e35),
        MLP([20, 5, 3], input_offset=np.arange(20.0)),
    ):
        assert not workspace.stay_bytes(net, X, 50, [])
    for other in (X.astype(np.float32), np.asfortranarray(X), X[:, ::-1], X.astype(np.int8)):
        assert not workspace.stay_bytes(narrow, other, 50, [])
    assert not workspace.stay_bytes(narrow, X, 8, [])
    assert not workspace.stay_bytes(narrow, X, 50, [0.0, 0.5])


def test_idle_inputs_are_judged_by_what_the_network_sees():
    X = np.full((200, 4), 7.0)
    assert not samples.has_idle_inputs(X, None)
    assert samples.has_idle_inputs(X, 7.0)
    assert samples.has_idle_inputs(X, np.array([7.0, 7.0, 0, 0]))
    assert not samples.has_idle_inputs(X, np.array([7.0, 0, 0, 0]))
    one_hot = np.eye(4)[np.arange(200) % 4]
    assert samples.has_idle_inputs(one_hot, None)
    assert not samples.has_idle_inputs(1 - one_hot, None)
