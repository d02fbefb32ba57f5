"""Trainer: what it refuses, what it keeps when a training ends early, callbacks, and what surrounds a fit."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time

import commands
import numpy as np
import pytest
from data import classification, multilabel, regression

import fastnn
from fastnn import MLP, SGD, CSVLogger, DivergenceError, EarlyStopping, LambdaCallback, ModelCheckpoint, Trainer
from fastnn.engine import launch, matrix_unit
from fastnn.engine import training as training_module

X, y = classification(67)
X_VAL, Y_VAL = classification(23, seed=0)


def make_net(**choices):
    return MLP([13, 11, 5], **({"seed": 1} | choices))


def make_trainer(net=None, **settings):
    return Trainer(net or make_net(), **({"batch_size": 10, "max_epochs": 3, "verbose": 0} | settings))


# Bad arguments: a sentence, and nothing changed


HYPERPARAMETERS = [
    ("net", "a net", TypeError, "net must be a fastnn.MLP, got str"),
    ("loss", "crossentropy", ValueError, "loss must be one of .*got 'crossentropy'; did you mean 'cross_entropy'"),
    ("optimizer", "sgd", TypeError, r"optimizer must be a fastnn.SGD\(...\), got 'sgd'"),
    ("schedule", "cosin", ValueError, "schedule.*'cosin'.*did you mean 'cosine'"),
    ("schedule", 0.1, TypeError, "schedule must be None, a schedule, text or a function of the epoch, got 0.1"),
    ("batch_size", 0, ValueError, "batch_size must be at least 1, got 0"),
    ("batch_size", 1.5, TypeError, "batch_size must be a whole number, got 1.5"),
    ("max_epochs", 0, ValueError, "max_epochs must be at least 1, got 0"),
    ("max_epochs", True, TypeError, "max_epochs must be a whole number, got True"),
    ("l1", -0.1, ValueError, "l1 must be at least 0, got -0.1"),
    ("l2", -1, ValueError, "l2 must be at least 0, got -1"),
    ("l2", float("inf"), ValueError, "l2 must be finite, got inf"),
    ("dropout", 1, ValueError, "dropout must be below 1, got 1"),
    ("dropout", -0.5, ValueError, "dropout must be at least 0, got -0.5"),
    ("dropout", [0.5, 0.5], ValueError, r"dropout must be one number or one a hidden layer \(1\), got 2"),
    ("dropout", [1.0], ValueError, "dropout must be below 1, got 1"),
    ("dropout", "half", TypeError, "dropout must be a number, got 'half'"),
    ("dropout", None, TypeError, "dropout must be a number, got None"),
    ("input_dropout", 1.0, ValueError, "input_dropout must be below 1, got 1"),
    ("input_dropout", np.nan, ValueError, "input_dropout must be finite, got nan"),
    ("matmul", "bf16", ValueError, "matmul must be one of fma, bf16x3, got 'bf16'; did you mean 'bf16x3'"),
    ("max_norm", 0.0, ValueError, "max_norm must be above 0, got 0"),
    ("max_norm", "3", TypeError, "max_norm must be a number, got '3'"),
    ("seed", -1, ValueError, "seed must be at least 0, got -1"),
    ("seed", 2**63, ValueError, "seed must be at most"),
    ("n_threads", 0, ValueError, "n_threads must be at least 1, got 0"),
    ("n_threads", 2.0, TypeError, "n_threads must be a whole number, got 2.0"),
    ("n_threads", 10**6, ValueError, "n_threads must be at most 1024, got 1000000"),
    ("verbose", 3, ValueError, "verbose must be at most 2, got 3"),
    ("shuffle", "no", TypeError, "shuffle must be True or False, got 'no'"),
    ("callbacks", [print], TypeError, "callbacks must be fastnn.Callback objects, got <built-in function print>"),
]


@pytest.mark.parametrize(("name", "value", "error", "sentence"), HYPERPARAMETERS)
def test_bad_hyperparameters(name, value, error, sentence):
    net = make_net()
    with pytest.raises(error, match=sentence):
        Trainer(**({"net": net} | {name: value}))
    trainer = make_trainer(net)
    before = net.fingerprint()
    setattr(trainer, name, value)
    for call in (trainer.fit, trainer.evaluate):
        with pytest.raises(error, match=sentence):
            call(X, y)
    assert net.fingerprint() == before
    assert net.classes is None


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"learning_rate": 0}, "learning_rate must be above 0, got 0"),
        ({"learning_rate": -0.1}, "learning_rate must be above 0, got -0.1"),
        ({"learning_rate": float("nan")}, "learning_rate must be finite, got nan"),
        ({"momentum": 1}, "momentum must be below 1, got 1"),
        ({"nesterov": True}, "nesterov=True needs a momentum above 0"),
    ],
)
def test_a_bad_optimizer_is_found_after_construction_too(settings, sentence):
    trainer = make_trainer()
    for name, value in settings.items():
        setattr(trainer.optimizer, name, value)
    with pytest.raises(ValueError, match=sentence):
        trainer.fit(X, y)


def test_a_loss_that_does_not_fit_the_output():
    with pytest.raises(ValueError, match="loss 'cross_entropy' makes no sense with output 'identity'; use loss='mse'"):
        Trainer(make_net(output="identity"))


def test_a_matrix_unit_that_is_not_there_or_not_for_the_network(monkeypatch):
    monkeypatch.setattr(matrix_unit, "is_allowed", lambda: True)
    with pytest.raises(ValueError, match="'bf16x3' is for float32 networks, this one is float64; use matmul='fma'"):
        make_trainer(make_net(dtype="float64"), matmul="bf16x3")
    trainer = make_trainer(matmul="bf16x3")
    monkeypatch.setattr(matrix_unit, "is_allowed", lambda: False)
    with pytest.raises(ValueError, match=r"needs a CPU with a matrix unit .* offers none .*, so use matmul='fma'"):
        trainer.fit(X, y)


def test_a_network_without_wide_layers_has_the_same_bits_with_either_matmul(monkeypatch):
    monkeypatch.setattr(matrix_unit, "is_allowed", lambda: True)
    nets = [make_net(), make_net()]
    for net, matmul in zip(nets, ("fma", "bf16x3"), strict=True):
        make_trainer(net, matmul=matmul).fit(X, y)
    assert nets[0].fingerprint() == nets[1].fingerprint()


@pytest.mark.parametrize("text", ["0", "many", "1.5", "-2"])
def test_a_bad_number_of_threads_in_the_environment(text, monkeypatch):
    monkeypatch.setenv("FASTNN_NUM_THREADS", text)
    with pytest.raises(ValueError, match=f"FASTNN_NUM_THREADS must be .*{text}"):
        make_trainer()


def spoiled(value, row=3):
    bad = X.copy()
    bad[row, 2] = value
    return bad


DATA = {
    "NaN in X": ({"X": spoiled(np.nan)}, ValueError, "X must be finite, got nan at row 3, column 2"),
    "infinity in X": ({"X": spoiled(np.inf)}, ValueError, "X must be finite, got inf at row 3, column 2"),
    "complex X": ({"X": X + 1j}, TypeError, "X must hold real numbers, got dtype complex128"),
    "object X": ({"X": X.astype(object)}, TypeError, "X must hold real numbers, got dtype object"),
    "empty X": ({"X": X[:0], "y": y[:0]}, ValueError, "X must have at least one sample"),
    "flat X": ({"X": X[0]}, ValueError, "X must have one row a sample"),
    "features": ({"X": X[:, :12]}, ValueError, "X must have 13 features a sample, as the network has inputs, got 12"),
    "short y": ({"y": y[:-1]}, ValueError, "X and y must be equally long, got 67 samples and 66 entries of y"),
    "NaN in y": ({"y": np.where(y == 2, np.nan, y)}, ValueError, "y must be finite, got nan at row"),
    "infinity in y": ({"y": np.where(y == 2, np.inf, y)}, ValueError, "y must be finite, got inf at row"),
    "complex y": ({"y": y + 1j}, TypeError, "y must hold numbers or strings, got dtype complex128"),
    "object y": ({"y": np.array([None] * 67)}, TypeError, "y must hold numbers or strings of one kind, got .*NoneType"),
    "too many classes": ({"y": np.arange(67)}, ValueError, "y has 67 different labels|y has the label 5 at row 5"),
    "y alone": ({"y_val": Y_VAL}, ValueError, "X_val and y_val must be given together"),
    "X alone": ({"X_val": X_VAL}, ValueError, "X_val and y_val must be given together"),
    "features of X_val": ({"X_val": X_VAL[:, :5], "y_val": Y_VAL}, ValueError, "X_val must have 13 features"),
    "NaN in X_val": ({"X_val": spoiled(np.nan), "y_val": y}, ValueError, "X_val must be finite"),
    "short y_val": ({"X_val": X_VAL, "y_val": Y_VAL[1:]}, ValueError, "X_val and y_val must be equally long, got 23"),
    "unseen label": ({"X_val": X_VAL, "y_val": Y_VAL + 1}, ValueError, "y_val has the label 5 at row"),
    "short weights": ({"sample_weight": np.ones(66)}, ValueError, r"sample_weight must have shape \(67,\)"),
    "negative weight": ({"sample_weight": -np.ones(67)}, ValueError, "sample_weight must be finite, not negative"),
    "zero weights": ({"sample_weight": np.zeros(67)}, ValueError, "sample_weight must be .*not all 0"),
    "NaN weight": ({"sample_weight": np.full(67, np.nan)}, ValueError, "sample_weight must be finite"),
    "text weight": ({"sample_weight": ["1"] * 67}, TypeError, "sample_weight must hold numbers, got dtype"),
}


@pytest.mark.parametrize("case", DATA)
def test_bad_data(case):
    arguments, error, sentence = DATA[case]
    fresh, trained = make_net(), make_net()
    make_trainer(trained).fit(X, y)
    for net in (fresh, trained):
        before, classes = net.fingerprint(), net.classes
        trainer = make_trainer(net)
        with pytest.raises(error, match=sentence):
            trainer.fit(**({"X": X, "y": y} | arguments))
        assert net.fingerprint() == before
        np.testing.assert_array_equal(net.classes, classes)
        assert len(trainer.history) == 0


def test_an_unseen_label_at_evaluate():
    trainer = make_trainer()
    trainer.fit(X, np.array(list("abcde"))[y])
    with pytest.raises(ValueError, match="y has the label 'f' at row 0, which is none of the classes 'a', 'b', 'c'"):
        trainer.evaluate(X[:2], ["f", "a"])
    with pytest.raises(ValueError, match="X and y must be equally long"):
        trainer.evaluate(X[:2], ["a"])


# Divergence


@pytest.mark.parametrize("n_threads", [1, 3])
def test_divergence_names_epoch_and_step_and_keeps_the_weights_before(n_threads):
    X, Y = regression(40)
    rates = [0.01, 0.01, 1e25, 0.01]
    net = MLP([13, 11, 5], output="identity", seed=1)
    sentence = r"epoch 3, step 2, at learning rate 1e\+25; the weights are those before that step. Try learning_rate="
    settings = {"loss": "mse", "shuffle": False}
    trainer = make_trainer(net, schedule=lambda e: rates[e], max_epochs=4, n_threads=n_threads, **settings)
    with pytest.raises(DivergenceError, match=sentence):
        trainer.fit(X, Y)
    twin = MLP([13, 11, 5], output="identity", seed=1)
    make_trainer(twin, schedule=lambda e: 0.01, max_epochs=2, **settings).fit(X, Y)
    make_trainer(twin, schedule=lambda e: 1e25, max_epochs=1, **settings).fit(X[:10], Y[:10])
    assert net.fingerprint() == twin.fingerprint()
    assert trainer.history.stop_reason == "diverged"


@pytest.mark.parametrize("listens", [True, False], ids=["an epoch a call", "several epochs a call"])
def test_weights_that_overflowed_are_not_kept(listens, monkeypatch):
    """Rates of 1e38 make infinite weights in the last step, of which no later loss could tell."""
    monkeypatch.setattr(training_module, "ENTRY_SECONDS", 1e9)
    X, Y = regression(40)
    net = MLP([13, 11, 5], output="identity", seed=1)
    callbacks = [LambdaCallback()] if listens else []
    rates = [1e-9, 1e-9, 3e38]
    trainer = make_trainer(
        net, loss="mse", schedule=lambda e: rates[e], batch_size=40, callbacks=callbacks, shuffle=False
    )
    with pytest.raises(DivergenceError, match=r"a weight became .* in epoch 3, step 1, at learning rate 3e") as caught:
        trainer.fit(100 * X, 100 * Y)
    assert caught.value.epoch == 3
    assert caught.value.step == 1
    assert all(np.isfinite(a).all() for a in [*net.weights, *net.biases])
    assert np.isfinite(net.predict(X)).all()
    assert trainer.history.stop_reason == "diverged"


def test_divergence_can_be_repaired_and_trained_on():
    X, Y = regression(40)
    net = MLP([13, 11, 5], output="identity", seed=1)
    trainer = make_trainer(net, loss="mse", optimizer=SGD(1e4))
    with pytest.raises(DivergenceError):
        trainer.fit(X, Y)
    net.weights = MLP([13, 11, 5], seed=1).weights
    net.biases = [np.zeros(11), np.zeros(5)]
    trainer.optimizer.learning_rate = 0.01
    history = trainer.fit(X, Y)
    assert history.stop_reason == "max_epochs"
    assert np.isfinite(history["train_loss"]).all()


# Callbacks and history


def test_history_and_its_keys():
    trainer = make_trainer()
    history = trainer.fit(X, y, X_VAL, Y_VAL)
    assert history is trainer.history
    assert len(history) == 3
    assert list(history.epochs[0]) == [
        "epoch", "train_loss", "val_loss", "val_accuracy", "learning_rate", "seconds", "samples_per_second"
    ]  # fmt: skip
    assert history["epoch"] == [1, 2, 3]
    assert history.stop_reason == "max_epochs"
    assert history["train_loss"][0] > history["train_loss"][-1]
    scores = trainer.evaluate(X_VAL, Y_VAL)
    assert history["val_loss"][-1] == pytest.approx(scores["loss"], rel=1e-12)
    assert history["val_accuracy"][-1] == scores["accuracy"]
    assert list(trainer.fit(X, y).epochs[0]) == [
        "epoch",
        "train_loss",
        "learning_rate",
        "seconds",
        "samples_per_second",
    ]


def test_accuracy_of_validation_for_every_output():
    X, Y = multilabel(67)
    net = MLP([13, 11, 5], output="logistic", seed=1)
    history = make_trainer(net).fit(X, Y, X, Y)
    assert history["val_accuracy"][-1] == pytest.approx((net.predict(X) == Y).all(axis=1).mean())
    net = MLP([13, 11, 5], output="identity", seed=1)
    assert "val_accuracy" not in make_trainer(net, loss="mse").fit(X, Y, X, Y).epochs[0]


class Recorder(fastnn.Callback):
    def __init__(self, name, events):
        self.name, self.events = name, events

    def on_train_begin(self, logs=None):
        self.events.append((self.name, "train begins", len(self.trainer.history)))

    def on_epoch_begin(self, epoch, logs=None):
        self.events.append((self.name, "epoch begins", epoch))

    def on_epoch_end(self, epoch, logs=None):
        assert self.trainer.history.epochs[-1] == logs
        assert logs["epoch"] == epoch + 1
        self.events.append((self.name, "epoch ends", epoch))

    def on_train_end(self, logs=None):
        self.events.append((self.name, "train ends", len(self.trainer.history)))


def test_callbacks_are_called_in_order():
    events = []
    make_trainer(max_epochs=2, callbacks=[Recorder("a", events), Recorder("b", events)]).fit(X, y)
    expected = [("train begins", 0)]
    for epoch in (0, 1):
        expected += [("epoch begins", epoch), ("epoch ends", epoch)]
    expected += [("train ends", 2)]
    assert events == [(name, *event) for event in expected for name in "ab"]


def test_a_callback_stops_the_training():
    def stop(epoch, logs):
        trainer.stop_training = epoch == 1

    trainer = make_trainer(max_epochs=50, callbacks=[LambdaCallback(on_epoch_end=stop)])
    history = trainer.fit(X, y)
    assert len(history) == 2
    assert history.stop_reason == "stopped"
    assert len(trainer.fit(X, y)) == 2, "the flag of an earlier training must not count"


@pytest.mark.parametrize("n_threads", [1, 2])
def test_another_thread_stops_the_training_within_an_epoch(n_threads):
    rng = np.random.default_rng(0)
    many, labels = rng.random((300_000, 40), "float32"), rng.integers(0, 5, 300_000)  # an epoch takes seconds
    trainer = make_trainer(MLP([40, 800, 5]), max_epochs=9, batch_size=1, n_threads=n_threads)
    done = []
    thread = threading.Thread(target=lambda: done.append(trainer.fit(many, labels)), daemon=True)
    before = trainer.net.fingerprint()
    thread.start()
    while trainer.net.fingerprint() == before:
        time.sleep(0.01)
    trainer.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert done[0].stop_reason == "stopped"
    assert len(done[0]) == 0
    trainer.max_epochs = 2
    assert len(trainer.fit(many[:50], labels[:50])) == 2, "stop must not count for a later fit"


def test_a_stop_while_the_samples_are_checked_counts(monkeypatch):
    trainer = make_trainer(max_epochs=50)
    encode = Trainer._encode

    def stop(self, *arguments):
        self.stop()
        return encode(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_encode", stop)
        assert trainer.fit(X, y).stop_reason == "stopped"
    assert len(trainer.history) == 0
    assert len(trainer.fit(X, y)) == 50


def test_a_callback_that_fails_ends_the_training_in_order():
    def fail(epoch, logs):
        raise OSError("the disk is full")

    events = []
    trainer = make_trainer(callbacks=[Recorder("a", events), LambdaCallback(on_epoch_end=fail)])
    with pytest.raises(OSError, match="the disk is full"):
        trainer.fit(X, y)
    assert events[-1] == ("a", "train ends", 1)
    twin = make_net()
    make_trainer(twin, max_epochs=1).fit(X, y)
    assert trainer.net.fingerprint() == twin.fingerprint()


def test_early_stopping_restores_the_best_weights():
    stopper = EarlyStopping(patience=3)
    noise = np.random.default_rng(0).permutation(Y_VAL)  # nothing can be learned of these but their frequency
    trainer = make_trainer(max_epochs=200, optimizer=SGD(0.5), callbacks=[stopper])
    history = trainer.fit(X, y, X_VAL, noise)
    losses = history["val_loss"]
    best = int(np.argmin(losses))
    assert history.stop_reason == "early_stopping"
    assert len(losses) == best + 1 + 3
    assert trainer.evaluate(X_VAL, noise)["loss"] == losses[best]
    twin = make_net()
    make_trainer(twin, max_epochs=best + 1, optimizer=SGD(0.5)).fit(X, y)
    assert trainer.net.fingerprint() == twin.fingerprint()


def test_checkpoint_and_log_files(tmp_path):
    callbacks = [ModelCheckpoint(tmp_path / "best.safetensors", monitor="train_loss"), CSVLogger(tmp_path / "log.csv")]
    trainer = make_trainer(callbacks=callbacks)
    history = trainer.fit(X, y)
    assert fastnn.load(tmp_path / "best.safetensors").fingerprint() == trainer.net.fingerprint()
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert len(lines) == 1 + len(history)
    assert lines[0].startswith("epoch,train_loss")


def test_verbose(capsys):
    for verbose, n_lines in ((0, 0), (1, 3), (2, 3)):
        make_trainer(verbose=verbose).fit(X, y)
        captured = capsys.readouterr()
        assert captured.out == ""
        assert len(captured.err.splitlines()) == n_lines


# What surrounds a fit


def test_every_hyperparameter_can_be_changed_after_construction():
    settings = {
        "loss": "mse", "optimizer": SGD(0.1, momentum=0.5), "schedule": "cosine", "batch_size": 7, "max_epochs": 4,
        "shuffle": False, "l1": 1e-3, "l2": 1e-2, "dropout": [0.2], "input_dropout": 0.1, "max_norm": 0.8, "seed": 5,
        "n_threads": 2, "verbose": 0,
    }  # fmt: skip
    nets = [make_net(), make_net()]
    Trainer(nets[0], **settings).fit(X, y)
    trainer = Trainer(nets[1])
    for name, value in settings.items():
        setattr(trainer, name, value)
    trainer.fit(X, y)
    assert nets[0].fingerprint() == nets[1].fingerprint()


def test_fit_again_is_the_same_training_from_other_weights():
    nets = [make_net(), make_net()]
    trainer = make_trainer(nets[0], optimizer=SGD(0.05, momentum=0.9))
    trainer.fit(X, y)
    trainer.fit(X, y)
    for _ in range(2):
        make_trainer(nets[1], optimizer=SGD(0.05, momentum=0.9)).fit(X, y)
    assert nets[0].fingerprint() == nets[1].fingerprint()
    assert len(trainer.history) == 3


def test_two_trainings_at_once_do_not_disturb_each_other():
    def train(seed, found):
        net = make_net(seed=seed)
        history = make_trainer(net, n_threads=2, max_epochs=20, dropout=0.3).fit(X, y)
        found[seed] = net.fingerprint(), history["train_loss"]

    alone, together = {}, {}
    for seed in range(4):
        train(seed, alone)
    threads = [threading.Thread(target=train, args=(seed, together)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_training_leaves_no_threads_behind():
    before = set(threading.enumerate())  # a gang may be kept for predictions
    make_trainer(n_threads=3).fit(X, y)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()


def test_floating_point_in_the_callers_thread_is_as_before():
    """The kernels flush denormal numbers to zero; NumPy must not."""
    tiny = np.full(3, np.finfo("float32").tiny)
    make_trainer(n_threads=1).fit(X, y)
    assert (tiny / 2 > 0).all()


FORK = """
import multiprocessing, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12: a fork while there are threads
from data import classification
from fastnn import MLP, Trainer

def train(seed):
    net = MLP([13, 11, 5], seed=seed)
    Trainer(net, batch_size=10, max_epochs=20, dropout=0.3, n_threads=2, verbose=0).fit(*classification(67))
    return net.fingerprint()

if __name__ == "__main__":
    here = [train(seed) for seed in range(3)]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        there = pool.map_async(train, range(3)).get(60)
    print(here == there == [train(seed) for seed in range(3)])
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
def test_a_forked_child_trains_after_its_parent_did():
    with commands.run_python(FORK) as process:
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert out.strip() == "True"


FORK_MEANWHILE = """
import os, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from data import classification
from fastnn import MLP, Trainer
from fastnn.engine import launch

trainer = Trainer(MLP([13, 11, 5]), max_epochs=10**9, n_threads=2, verbose=0)
threading.Thread(target=trainer.fit, args=classification(67), daemon=True).start()
while not (len(trainer.history) and launch._busy):
    pass
child = os.fork()
if not child:
    sys.exit(0)
start = time.perf_counter()
os.waitpid(child, 0)
print(time.perf_counter() - start)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_does_not_wait_for_the_training_of_its_parent():
    with commands.run_python(FORK_MEANWHILE) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert float(out) < 5


# One step an epoch, so that whatever is finished can be trained again and compared.
INTERRUPTED = """
import json, sys
import numpy as np
from data import classification
from fastnn import MLP, SGD, LambdaCallback, Trainer

n_threads, n, *sizes = (int(number) for number in sys.argv[1:])
X, y = classification(n, sizes[0])

def train(max_epochs, callbacks=()):
    net = MLP(sizes, seed=1)
    trainer = Trainer(net, optimizer=SGD(1e-3, momentum=0.9), batch_size=n, max_epochs=max_epochs, verbose=0,
                      n_threads=n_threads, callbacks=callbacks)
    return net, trainer

def ready(epoch, logs):
    if epoch == 2:
        print("ready", flush=True)

net, trainer = train(10**6, [LambdaCallback(on_epoch_end=ready)])
try:
    trainer.fit(X, y)
except KeyboardInterrupt:
    done = len(trainer.history)
    twins = []
    for n_epochs in (done, done + 1):
        twin, again = train(n_epochs)
        again.fit(X, y)
        twins.append(twin.fingerprint())
    print(json.dumps({"reason": trainer.history.stop_reason, "done": done, "whole": net.fingerprint() in twins}))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one process")
@pytest.mark.parametrize(
    ("n_threads", "n", "sizes"),
    [(1, 2000, (200, 300, 5)), (2, 2000, (200, 300, 5)), (3, 2000, (200, 300, 5)), (2, 200, (400, 90, 5))],
)
def test_ctrl_c_leaves_whole_steps_and_the_history(n_threads, n, sizes):
    with commands.run_python(INTERRUPTED, *map(str, (n_threads, n, *sizes))) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    found = json.loads(out)
    assert found["reason"] == "interrupted"
    assert found["done"] >= 3
    assert found["whole"], "the weights are those of no whole step"


SHORT_EPOCHS = """
import json, threading
import numpy as np
from data import classification
from fastnn import MLP, Trainer

X, y = classification(50)
net = MLP([13, 11, 5], seed=1)
Trainer(MLP([13, 11, 5]), max_epochs=1, verbose=0).fit(X, y)  # so that nothing is left to compile
trainer = Trainer(net, max_epochs=10**7, verbose=0)
threading.Timer(0.5, lambda: print("ready", flush=True)).start()
try:
    trainer.fit(X, y)
except KeyboardInterrupt:
    print(json.dumps({"reason": trainer.history.stop_reason, "done": len(trainer.history),
                      "finite": bool(np.isfinite(net.outputs(X)).all())}))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one process")
def test_ctrl_c_while_many_short_epochs_run_in_one_call():
    with commands.run_python(SHORT_EPOCHS) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    found = json.loads(out)
    assert found["reason"] == "interrupted"
    assert found["done"] > 0
    assert found["finite"]


@pytest.mark.parametrize("type_", [np.int32, np.uint8, np.uint64])
def test_numpys_whole_numbers_compile_nothing_again(type_):
    X, y = np.eye(4), [0, 1, 0, 1]
    bits = []
    for number in (int, type_):
        net = MLP([4, 3, 2], seed=number(1))
        settings = {"batch_size": number(3), "max_epochs": number(2), "seed": number(5), "n_threads": number(1)}
        Trainer(net, **settings, schedule="cosine", verbose=0).fit(X, y)
        bits.append(net.fingerprint())
        programs = len(launch._loaded)
    assert bits[0] == bits[1]
    assert len(launch._loaded) == programs


@pytest.mark.parametrize("callbacks", [None, EarlyStopping("train_loss")])
def test_callbacks_that_are_no_list(callbacks):
    with pytest.raises(TypeError, match=r"callbacks must be a list of fastnn.Callback objects, got .*; write"):
        Trainer(MLP([2, 2]), callbacks=callbacks)


def test_a_fit_that_fails_before_its_first_step_sets_no_classes(tmp_path):
    X = np.eye(2)
    net = MLP([2, 2])
    for settings in ({"schedule": lambda epoch: -1.0}, {"callbacks": [CSVLogger(tmp_path / "no" / "log.csv")]}):
        with pytest.raises((ValueError, OSError)):
            Trainer(net, verbose=0, **settings).fit(X, [0, 1])
        assert net.classes is None
    Trainer(net, verbose=0, max_epochs=1).fit(X, ["a", "b"])
    assert net.classes.tolist() == ["a", "b"]


@pytest.mark.parametrize("settings", [{"callbacks": [EarlyStopping()]}, {"schedule": "plateau"}])
def test_watching_a_validation_set_that_is_not_there_is_refused_before_training(settings):
    X, y = classification(50)
    net = MLP([13, 5], seed=1)
    before = net.fingerprint()
    trainer = Trainer(net, max_epochs=2, verbose=0, **settings)
    with pytest.raises(ValueError, match="watches 'val_loss', which needs a validation set; pass X_val and y_val"):
        trainer.fit(X, y)
    assert net.fingerprint() == before and net.classes is None
    trainer.fit(X, y, X, y)
