"""A first layer whose sums are made of quarters: the same training by inputs, by rows and on one rank.

That it is the right one says test_training.py.
"""

from __future__ import annotations

import os
import signal

import commands
import numpy as np
import pytest
from compare import assert_close
from data import problem, sample_weights

from fastnn import MLP, SGD, DivergenceError, LambdaCallback, Trainer
from fastnn.engine import launch, workspace
from fastnn.engine.workspace import BY_INPUTS_BATCH, QUARTERED_INPUTS, Plan, quarters
from fastnn.kernels.bundles import QUARTERS

SIZES = (391, 37, 9, 5)
EVERYTHING = {"l1": 1e-4, "l2": 1e-3, "dropout": 0.2, "input_dropout": 0.1}


def goes_by_inputs(sizes, n_ranks, batch_size, dtype="float32", **settings):
    return bool(Plan(MLP(sizes, dtype=dtype), n_ranks=n_ranks, batch_size=batch_size, **settings).work.by_inputs)


def sparse_problem(n, share=0.2, output="softmax"):
    X, Y = problem(output, n, SIZES[0], SIZES[-1])
    return X * (np.random.default_rng(4).random(X.shape) < share), Y


def trained(n_threads, X, Y, *, sizes=SIZES, dtype="float32", output="softmax", weights=None, **settings):
    net = MLP(sizes, activation="gelu", output=output, dtype=dtype, seed=1)
    settings = {"optimizer": SGD(0.01, momentum=0.9), "max_epochs": 3} | settings
    trainer = Trainer(net, n_threads=n_threads, seed=2, verbose=0, **settings)
    history = trainer.fit(X, Y, sample_weight=weights)
    return net.fingerprint(), history["train_loss"]


@pytest.mark.parametrize("n", [1, 15, 16, 17, 64, 65, 391, 784, 3072])
def test_quarters_are_whole_vectors_of_inputs(n):
    starts = quarters(n)
    assert len(starts) == QUARTERS + 1
    assert starts[0] == 0
    assert starts[-1] == n
    assert all(start % 16 == 0 or start == n for start in starts)
    lengths = np.diff(starts)
    assert (lengths >= 0).all()
    assert lengths.max() - lengths.min() < 32


def test_which_networks_go_by_inputs():
    assert goes_by_inputs((784, 30, 10), 2, 10)
    assert goes_by_inputs((784, 30, 10), 4, 10)
    assert goes_by_inputs((784, 128, 10), 2, 32)
    assert goes_by_inputs((784, 62), 2, 10)
    assert goes_by_inputs((784, 60, 10), 2, 10, "float64")
    assert not goes_by_inputs((784, 30, 10), 1, 10)
    assert not goes_by_inputs((784, 30, 10), 3, 10)
    assert not goes_by_inputs((784, 16, 10), 2, 10)
    assert not goes_by_inputs((784, 129, 10), 2, 10)
    assert not goes_by_inputs((784, 65, 10), 2, 10, "float64")
    assert not goes_by_inputs((QUARTERED_INPUTS - 1, 30, 10), 2, 10)
    assert not goes_by_inputs((784, 30, 10), 2, BY_INPUTS_BATCH + 1)
    assert not goes_by_inputs((784, 64, 500, 500, 10), 2, 32)  # too much that both would do
    assert not goes_by_inputs((3072, 128, 384, 10), 2, 32)  # wide layers are shared out
    assert not goes_by_inputs((784, 30, 10), 2, 10, limits_norms=True)


@pytest.mark.parametrize("share", [0.1, 1.0])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_a_few_samples_without_velocities(batch_size, share, monkeypatch):
    """Weights are updated row by row, by ranks with inputs or with samples of their own."""
    X, Y = sparse_problem(61, share)
    settings = {"batch_size": batch_size, "optimizer": SGD(0.1)}
    found = {repr(trained(n_threads, X, Y, **settings)) for n_threads in (1, 2, 3, 4, 9)}
    monkeypatch.setattr("fastnn.engine.workspace.goes_by_inputs", lambda *_: False)
    assert found == {repr(trained(n_threads, X, Y, **settings)) for n_threads in (2, 4)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("share", [0.2, 1.0])
@pytest.mark.parametrize("batch_size", [1, 10, 33, 100])
def test_by_inputs_and_by_rows_are_the_same_to_the_bit(batch_size, share, dtype, monkeypatch):
    """Mini-batches of one strip and of two, the last one smaller; many inputs of zero, or none."""
    n = 41 if batch_size == 1 else 230
    X, Y = sparse_problem(n, share)
    settings = {"batch_size": batch_size, "dtype": dtype, "weights": sample_weights(n)} | EVERYTHING
    assert goes_by_inputs(SIZES, 2, batch_size, dtype)
    assert goes_by_inputs(SIZES, 4, batch_size, dtype)
    by_inputs = [trained(n_threads, X, Y, **settings) for n_threads in (2, 4)]
    monkeypatch.setattr(workspace, "goes_by_inputs", lambda *_: False)
    assert [*by_inputs, trained(2, X, Y, **settings), trained(3, X, Y, **settings)] == [
        trained(1, X, Y, **settings)
    ] * 4


@pytest.mark.parametrize("width", [17, 64, 100, 128])
def test_panels_of_every_width(width):
    X, Y = sparse_problem(90)
    sizes = (SIZES[0], width, 5)
    settings = {"batch_size": 10, "sizes": sizes, "optimizer": SGD(0.1)}
    assert goes_by_inputs(sizes, 2, 10)
    assert trained(1, X, Y, **settings) == trained(2, X, Y, **settings) == trained(4, X, Y, **settings)


@pytest.mark.parametrize("settings", [{"max_norm": 0.5}, {"batch_size": 100, "sizes": (784, 125, 60, 5)}], ids=str)
def test_quarters_by_units(settings):
    """Where the first layer has two panels and does not go by inputs, it goes by units."""
    X, Y = problem("softmax", 230, 784, 5)
    settings = {"sizes": (784, 125, 5), "batch_size": 60} | settings
    limits_norms = "max_norm" in settings
    plan = Plan(MLP(settings["sizes"]), n_ranks=2, batch_size=settings["batch_size"], limits_norms=limits_norms)
    assert plan.work.copy_rows > 0
    assert plan.work.quarters.size > 0
    alone = trained(1, X, Y, **settings)
    assert [trained(n_threads, X, Y, **settings) for n_threads in (2, 2, 3, 4)] == [alone] * 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [20, 60])
def test_predictions(width, dtype, monkeypatch):
    """One row, a strip and several, on any number of ranks; with zeros and without."""
    monkeypatch.setattr(launch, "OPERATIONS_A_RANK", 1)
    net = MLP((SIZES[0], width, 5), activation="tanh", dtype=dtype, seed=1)
    for share in (0.2, 1.0):
        X, _ = sparse_problem(333, share)
        W, b = net.weights, net.biases
        logits = np.tanh(X @ W[0].astype(float) + b[0]) @ W[1].astype(float) + b[1]
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        found = []
        for n_threads in (1, 2, 3):
            monkeypatch.setenv("FASTNN_NUM_THREADS", str(n_threads))
            found.append(net.predict_proba(X))
        assert_close(found[0], expected, dtype, "probabilities", terms=SIZES[0])
        assert (found[0] == found[1]).all()
        assert (found[0] == found[2]).all()
        assert (found[0][:1] == net.predict_proba(X[:1])).all()


def test_bytes_and_columns_that_lie_apart():
    rng = np.random.default_rng(5)
    X = rng.integers(0, 256, (77, 800), dtype=np.uint8) * (rng.random((77, 800)) < 0.2).astype(np.uint8)
    y = rng.integers(0, 5, 77)
    assert goes_by_inputs((400, 30, 5), 2, 10)
    for columns in (X[:, :400], X[:, ::2], X[:, ::-2], np.asfortranarray(X[:, :400])):
        settings = {"sizes": (400, 30, 5), "batch_size": 10}
        assert trained(1, columns, y, **settings) == trained(2, columns, y, **settings)


@pytest.mark.parametrize("n_threads", [2, 4])
def test_weights_that_a_callback_changes_reach_every_rank(n_threads):
    X, Y = sparse_problem(60)

    def train(n_threads):
        net = MLP(SIZES, seed=1)

        def halve(epoch, logs):
            net.weights = [W / 2 for W in net.weights]

        callbacks = [LambdaCallback(on_epoch_end=halve)]
        settings = {"optimizer": SGD(0.1, momentum=0.9), "batch_size": 10, "max_epochs": 4, "verbose": 0}
        Trainer(net, n_threads=n_threads, callbacks=callbacks, **settings).fit(X, Y)
        return net.fingerprint()

    assert train(n_threads) == train(1)


@pytest.mark.parametrize("n_threads", [2, 4])
def test_divergence_leaves_all_weights_of_the_step_before(n_threads):
    X, Y = problem("identity", 60, SIZES[0], SIZES[-1])
    rates = [1e-3, 1e-3, 1e25, 1e-3]

    def train(n_threads):
        net = MLP(SIZES, output="identity", seed=1)
        settings = {"loss": "mse", "batch_size": 10, "max_epochs": 4, "schedule": lambda e: rates[e], "verbose": 0}
        with pytest.raises(DivergenceError, match="epoch 3, step 2"):
            Trainer(net, n_threads=n_threads, **settings).fit(X, Y)
        return net.fingerprint()

    assert train(n_threads) == train(1)


@pytest.mark.slow
def test_many_short_epochs_in_one_call_meet_every_time():
    """A rank that is a step ahead must not touch what the other one still reads."""
    X, Y = sparse_problem(23)
    settings = {"batch_size": 3, "max_epochs": 2000, "optimizer": SGD(1e-3, momentum=0.9)}
    assert trained(1, X, Y, **settings) == trained(2, X, Y, **settings) == trained(4, X, Y, **settings)


# Many steps a call, so that a rank may be a step ahead when the gang is told to leave
INTERRUPTED = """
import sys
from data import classification
from fastnn import MLP, SGD, LambdaCallback, Trainer

n_threads, sizes = int(sys.argv[1]), (400, 30, 5)
X, y = classification(20_000, sizes[0])
callbacks = [LambdaCallback(on_epoch_end=lambda epoch, logs: print("ready", flush=True))]
settings = {"optimizer": SGD(1e-3), "batch_size": 10, "shuffle": False, "verbose": 0}
net, twin = MLP(sizes, seed=1), MLP(sizes, seed=1)
trainer = Trainer(net, max_epochs=10**6, n_threads=n_threads, callbacks=callbacks, **settings)
try:
    trainer.fit(X, y)
except KeyboardInterrupt:
    Trainer(twin, max_epochs=len(trainer.history), **settings).fit(X, y)
    step = 0
    while twin.fingerprint() != net.fingerprint() and step < len(X) // 10:
        Trainer(twin, max_epochs=1, **settings).fit(X[10 * step : 10 * (step + 1)], y[10 * step : 10 * (step + 1)])
        step += 1
    print("found" if twin.fingerprint() == net.fingerprint() else "not found", "after", step)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one process")
@pytest.mark.parametrize("n_threads", [2, 4])
def test_ctrl_c_leaves_the_weights_of_one_step_on_all_ranks(n_threads):
    with commands.run_python(INTERRUPTED, str(n_threads)) as process:
        for _ in range(3):
            assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert out.splitlines()[-1].startswith("found")
