"""tune: the same numbers however many fits run at once and however often it is interrupted; what it writes."""

from __future__ import annotations

import csv
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import commands
import numpy as np
import pytest
from data import classification, multilabel, regression
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score

import fastnn
from fastnn import MLP, SGD, Trainer, datasets
from fastnn.engine import costs, launch
from fastnn.runs import Run
from fastnn.tuning import Log, fits, make_trainer, tune
from fastnn.tuning.folds import hold_out, make_folds

X, Y = load_digits(return_X_y=True)
X, Y = X[:600].astype(np.uint8), Y[:600]
BASE = {"hidden": [16], "max_epochs": 4, "batch_size": 20, "momentum": 0.9, "input_scale": 1 / 16}
SPACE = {"learning_rate": [0.01, 0.1], "hidden": [[8], [12, 9]]}
QUICK = {"base": BASE, "folds": 3, "verbose": 0}


def without_seconds(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def numbers(result) -> list:
    """All that must not depend on the number of jobs or on interruptions."""
    return [
        result.best,
        result.test,
        result.net.fingerprint(),
        [
            (trial.number, trial.values, fit["fold"], fit["scores"], [{**e, "seconds": 0} for e in fit["epochs"]])
            for trial in result.trials
            for fit in trial.fits
        ],
    ]


def test_the_numbers_are_those_of_fits_by_hand():
    result = tune(X, Y, SPACE, **QUICK, seed=5, train_scores=True)
    assert [trial.values for trial in result.trials][1] == {"learning_rate": 0.01, "hidden": [12, 9]}
    rest, test = hold_out(Y, 0.1, True, 5)
    fold = make_folds(Y[rest], 3, seed=5)[1]
    training, validation = rest[fold.training], rest[fold.validation]

    def train(rows, seed, sizes, rate):
        net = MLP([64, *sizes, 10], seed=seed, input_scale=1 / 16)
        trainer = Trainer(net, optimizer=SGD(rate, 0.9), batch_size=20, max_epochs=4, seed=seed, verbose=0)
        trainer.fit(X[rows], Y[rows])
        return trainer

    trainer = train(training, 5 + 1, [12, 9], 0.1)
    trial = result.trials[3]
    assert trial.fits[1]["scores"] == trainer.evaluate(X[validation], Y[validation])
    last = trial.fits[1]["epochs"][-1]
    assert last["epoch"] == 4
    assert last["train_f1"] == f1_score(Y[training], trainer.net.predict(X[training]), average="macro")
    assert last["val_f1"] == trial.fits[1]["scores"]["f1_macro"]
    means = [np.mean([fit["scores"]["f1_macro"] for fit in trial.fits]) for trial in result.trials]
    assert result.best_trial is result.trials[int(np.argmax(means))]
    final = train(rest, 5, result.best["hidden"], result.best["learning_rate"])
    assert result.net.fingerprint() == final.net.fingerprint()
    assert result.test == final.evaluate(X[test], Y[test])
    assert result.report.accuracy == result.test["accuracy"]


@pytest.mark.parametrize("score", ["f1_macro", "accuracy", "loss"])
def test_the_result_does_not_depend_on_the_number_of_jobs(score):
    one, two, three, many = (tune(X, Y, SPACE, **QUICK, score=score, n_jobs=n) for n in (1, 2, 3, 64))
    assert numbers(one) == numbers(two) == numbers(three) == numbers(many)
    order = [trial.mean(score) for trial in one.trials]
    assert one.best_trial.mean(score) == (min(order) if score == "loss" else max(order))


def test_the_test_part_is_never_seen(monkeypatch):
    seen = []
    original = Trainer.fit

    def fit(self, X, y, *others):
        if X.shape[1] == 3:  # none of those that only compile
            seen.append(np.asarray(X))
        return original(self, X, y, *others)

    monkeypatch.setattr(Trainer, "fit", fit)
    marked = np.arange(600)[:, None] + np.zeros((600, 3))
    result = tune(marked, Y, {"l2": [0, 1e-3]}, base={"max_epochs": 1, "input_scale": 1e-3}, folds=3, verbose=0)
    test = set(result.details["rows"].tolist())
    assert len(test) == 60 == result.details["n_samples"]
    assert len(seen) > 2 * 3
    for rows in seen:
        assert not test & set(rows[:, 0].astype(int).tolist())


def test_files(tmp_path):
    result = tune(X, Y, SPACE, **QUICK, out=tmp_path / "run", train_scores=True, details={"data": "some digits"})
    epochs = without_seconds(tmp_path / "run/epochs.csv")
    assert list(epochs[0]) == [
        *("candidate", "fold", "epoch", "learning_rate", "train_loss", "train_accuracy", "train_f1"),
        *("val_loss", "val_accuracy", "val_f1"),
    ]
    assert len(epochs) == 4 * 3 * 4
    assert [epochs[i]["candidate"] for i in (0, 12, 24, 36)] == ["1", "2", "3", "4"]
    candidates = without_seconds(tmp_path / "run/candidates.csv")
    assert [row["hidden"] for row in candidates] == ["8", "12,9"] * 2
    assert [float(row["mean_accuracy"]) for row in candidates] == [t.mean("accuracy") for t in result.trials]
    assert candidates[result.best_trial.number - 1]["rank"] == "1"
    run = Run(tmp_path / "run")
    assert run.result["data"] == "some digits" and run.result["command"] == "tune"
    assert run.result["best"] == result.best
    assert run.result["accuracy"] == result.test["accuracy"]
    assert run.result["fingerprint"] == run.net.fingerprint() == result.net.fingerprint()
    assert run.result["tuning"]["base"]["momentum"] == 0.9
    assert run.report.accuracy == result.test["accuracy"]
    assert len(run.history) == 4
    assert "best" in result.text() and "and 2 more" in result.text(2)
    assert repr(result).startswith("<TuningResult: 4 candidates, best {")


def test_without_train_scores_the_training_part_has_its_running_loss_only(tmp_path):
    tune(X, Y, {"l2": [0, 1e-3]}, **QUICK, out=tmp_path / "run")
    assert "train_f1" not in without_seconds(tmp_path / "run/epochs.csv")[0]


class StoppedError(Exception):
    """Takes the place of Ctrl-C after some fits."""


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("n_before", [0, 1, 4, 11])
def test_resumed_is_the_same_as_never_interrupted(tmp_path, monkeypatch, n_before, n_jobs):
    whole = tune(X, Y, SPACE, **QUICK, out=tmp_path / "whole", train_scores=True)
    begun, done = iter(range(100)), []
    original = fits.Samples.fit

    def fit(self, *arguments):
        if next(begun) >= n_before:
            raise StoppedError
        record = original(self, *arguments)
        if record is not None:  # it was stopped by the end of the other
            done.append(record)
        return record

    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr(fits.Samples, "fit", fit)
        tune(X, Y, SPACE, **QUICK, out=tmp_path / "torn", train_scores=True, n_jobs=n_jobs)
    assert len((tmp_path / "torn/journal.jsonl").read_text().splitlines()) == 1 + len(done)
    assert (tmp_path / "torn/epochs.csv").exists() == (len(done) > 0)
    counted = []
    with monkeypatch.context() as patch:
        patch.setattr(fits.Samples, "fit", lambda *a: counted.append(1) or original(*a))
        resumed = tune(X, Y, SPACE, **QUICK, out=tmp_path / "torn", train_scores=True)
    assert len(counted) == 12 - len(done)
    assert numbers(resumed) == numbers(whole)
    for name in ("epochs.csv", "candidates.csv"):
        assert without_seconds(tmp_path / "torn" / name) == without_seconds(tmp_path / "whole" / name)
    again = tune(X, Y, SPACE, **QUICK, out=tmp_path / "torn", train_scores=True)
    assert numbers(again) == numbers(whole)


CTRL_C = """
import sys, numpy as np
from fastnn.tuning import tune
rng = np.random.default_rng(0)
X, y = rng.random((4000, 200), "float32"), rng.integers(0, 5, 4000)
base = {"hidden": [300], "batch_size": 1, "max_epochs": 10_000}
space = {"max_epochs": [1, 2, 10_000], "l2": [0, 1e-4]}
try:
    tune(X, y, space, base=base, folds=2, n_jobs=2, verbose=2, out=sys.argv[1])
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one process")
def test_ctrl_c_stops_running_fits_and_keeps_the_finished_ones(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(fastnn.__file__).parents[1])}
    command = [sys.executable, "-c", CTRL_C, str(tmp_path / "run")]
    with commands.process(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        for _ in range(8):  # the short fits; the others would take hours
            assert process.stderr.readline().startswith("fit ")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        start = time.perf_counter()
        out, _ = process.communicate(timeout=60)
    assert out == "stopped\n"
    assert time.perf_counter() - start < 10
    assert len((tmp_path / "run/journal.jsonl").read_text().splitlines()) == 1 + 8
    assert len(without_seconds(tmp_path / "run/candidates.csv")) == 4
    assert not (tmp_path / "run/result.json").exists()


def test_a_fit_that_diverges_never_wins(tmp_path):
    space = {"learning_rate": [1e35, 0.1, 1e36]}
    result = tune(X, Y, space, **QUICK, score="loss", out=tmp_path / "run")
    assert result.best == {"learning_rate": 0.1}
    assert [trial.diverged for trial in result.trials] == [True, False, True]
    assert math.isnan(result.trials[0].mean("loss"))
    rows = without_seconds(tmp_path / "run/candidates.csv")
    assert [row["diverged"] for row in rows] == ["3", "0", "3"]
    assert rows[0]["mean_loss"] == "nan"
    assert result.text().count("diverged") == 2
    resumed = tune(X, Y, space, **QUICK, score="loss", out=tmp_path / "run")
    assert resumed.trials[0].diverged and resumed.test == result.test
    with pytest.raises(RuntimeError, match="every candidate diverged, the first one so: the loss became NaN"):
        tune(X, Y, {"learning_rate": [1e35, 1e36]}, **QUICK)


def test_a_fit_that_diverges_in_its_last_step_never_wins():
    result = tune(X, Y, {"learning_rate": [1e35, 0.1]}, base={"hidden": 8, "batch_size": 600, "max_epochs": 1},
                  folds=3, verbose=0)  # fmt: skip
    assert result.best == {"learning_rate": 0.1}
    assert "the validation loss became nan" in result.trials[0].fits[0]["diverged"]
    assert math.isnan(result.trials[0].mean("accuracy"))


def test_the_first_of_equal_candidates_wins():
    result = tune(X, Y, {"verbatim": [2, 1, 3]}, **QUICK, make_trainer=lambda values, X, y: make_trainer(
        {name: value for name, value in values.items() if name != "verbatim"}, X, y
    ))  # fmt: skip
    assert result.best == {"verbatim": 2}


def test_a_candidate_for_each_fold():
    result = tune(
        X, Y, {"l2": lambda previous: 1e-6 if previous is None else 10 * previous},
        base=BASE, folds=4, split="shuffle", candidate_per_fold=True, verbose=0,
    )  # fmt: skip
    assert [trial.values["l2"] for trial in result.trials] == pytest.approx([1e-6, 1e-5, 1e-4, 1e-3])
    assert [[fit["fold"] for fit in trial.fits] for trial in result.trials] == [[1], [2], [3], [4]]
    result = tune(X, Y, SPACE, **QUICK, candidate_per_fold=True)
    assert [trial.fits[0]["fold"] for trial in result.trials] == [1, 2, 3, 1]


def test_a_function_that_sees_the_trials(tmp_path):
    calls = []

    def propose(trials):
        calls.append([trial.mean("accuracy") for trial in trials])
        return {"learning_rate": 0.01 * 2 ** len(trials)} if len(trials) < 3 else None

    result = tune(X, Y, search=propose, **QUICK, out=tmp_path / "run")
    assert [trial.values["learning_rate"] for trial in result.trials] == [0.01, 0.02, 0.04]
    assert calls == [[t.mean("accuracy") for t in result.trials[:n]] for n in range(4)]
    assert numbers(tune(X, Y, search=propose, **QUICK, n_jobs=3)) == numbers(result)
    assert len(tune(X, Y, search=propose, **QUICK, n_trials=2).trials) == 2
    with pytest.raises(TypeError, match=r"search must return a dict .* or None, got 0.1"):
        tune(X, Y, search=lambda trials: 0.1, **QUICK)
    with pytest.raises(ValueError, match="leave out space"):
        tune(X, Y, SPACE, search=propose, **QUICK)
    with pytest.raises(ValueError, match="no candidate"):
        tune(X, Y, search=lambda trials: None, **QUICK)


def test_every_hyperparameter_can_be_tuned():
    space = {
        "hidden": [[9], 7], "activation": ["tanh", "logistic"], "init": ["glorot", "normal(0.1)"],
        "dtype": ["float32", "float64"], "loss": ["cross_entropy", "mse"], "schedule": [None, "cosine"],
        "batch_size": [10, 50], "max_epochs": [1, 2], "shuffle": [True, False], "l1": [0, 1e-5], "l2": [0, 1e-5],
        "dropout": [0, 0.1], "input_dropout": [0, 0.1], "max_norm": [None, 3.0], "learning_rate": Log(0.01, 0.1),
        "momentum": [0.5, 0.9], "nesterov": [True, False], "seed": [1, 2], "input_scale": [1 / 16, 1 / 255],
        "input_offset": [None, 1.0], "output": ["softmax", "logistic"],
    }  # fmt: skip
    result = tune(X[:200], Y[:200], space, n_trials=6, folds=2, verbose=0)
    assert len(result.trials) == 6
    assert all(set(trial.values) == set(space) for trial in result.trials)


def test_regression_several_labels_and_text():
    numbers_X, numbers_y = regression(80)
    result = tune(
        numbers_X, numbers_y, {"l2": [0, 10.0]}, base={"output": "identity", "max_epochs": 20}, folds=3, verbose=0
    )
    assert result.score == "r2" and set(result.test) == {"loss", "r2"} and result.report is None
    assert "val_r2" in result.trials[0].fits[0]["epochs"][0]
    labels_X, labels_y = multilabel(80)
    result = tune(
        labels_X, labels_y, {"l2": [0, 0.1]}, base={"output": "logistic", "max_epochs": 2}, folds=3, verbose=0
    )
    assert result.report is None and "f1_macro" in result.test
    points, classes = classification(100)
    names = np.array(["ant", "bee", "cat", "dog", "elk"], object)[classes]
    result = tune(points, names, {"l2": [0, 0.1]}, base={"max_epochs": 2}, folds=3, verbose=0)
    assert result.net.classes.tolist() == ["ant", "bee", "cat", "dog", "elk"]


def test_a_class_that_a_fold_lacks():
    """Plain folds of sorted labels: the networks have an output for each class all the same."""
    points, classes = classification(60)
    names = np.array(["ant", "bee", "cat", "dog", "elk"])[classes]
    rare = np.flatnonzero(names == "elk")[1:]
    points, names = np.delete(points, rare, 0), np.delete(names, rare)
    only = np.flatnonzero(names == "elk")
    quick = {"base": {"max_epochs": 1}, "folds": 2, "verbose": 0}
    result = tune(points, names, {"l2": [0, 1]}, split="plain", X_test=points[:5], y_test=names[:5], **quick)
    assert result.net.sizes[-1] == 5
    with pytest.raises(ValueError, match="class 'elk' has 1 sample, too few to be in each of 2 folds"):
        tune(points, names, {"l2": [0, 1]}, X_test=points[only], y_test=names[only], **quick)


def test_fewer_fits_than_cores_get_more_threads_but_no_more_than_pay(monkeypatch):
    monkeypatch.setattr(launch, "available_cores", lambda: 8)
    monkeypatch.delenv("FASTNN_NUM_THREADS", raising=False)
    monkeypatch.setattr(
        costs, "step_seconds", lambda network, batch_size, n_ranks, *_: 1 / min(n_ranks, network.sizes[1])
    )
    wide = make_trainer({"hidden": 1000}, X, Y)
    small = make_trainer({"hidden": 1}, X, Y)
    assert fits.useful_threads(wide, 4) == 4
    assert fits.useful_threads(wide, 1) == fits.useful_threads(small, 4) == 1


def test_at_most_so_many_fits_run_at_once(monkeypatch):
    running, most = [], []
    original = fits.Samples.fit

    def fit(self, *arguments):
        running.append(1)
        most.append(len(running))
        try:
            time.sleep(0.01)
            return original(self, *arguments)
        finally:
            running.pop()

    monkeypatch.setattr(fits.Samples, "fit", fit)
    before = threading.active_count()
    tune(X, Y, SPACE, **QUICK, n_jobs=2)
    assert max(most) == 2
    assert threading.active_count() <= before + 1


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"space": None}, TypeError, "space must be a dict"),
        ({"space": {"lr": [1]}}, ValueError, "'lr' is no hyperparameter; "),
        ({"space": {"learning_rat": [1]}}, ValueError, "did you mean 'learning_rate'"),
        ({"space": {"l2": [0, -1]}}, ValueError, "l2 must be at least 0, got -1"),
        ({"space": {"hidden": [[8], [0]]}}, ValueError, "sizes"),
        ({"space": {"schedule": [lambda epoch: 0.1]}}, TypeError, "schedule is <function .* cannot be written down"),
        ({"space": {"schedule": ["plateau"]}}, ValueError, "Plateau watches 'val_loss', but the final training has no"),
        ({"base": {"n_threads": 2}}, ValueError, "'n_threads' is no hyperparameter"),
        ({"space": {"output": ["identity"]}}, ValueError, "output 'identity' cannot be compared with 'softmax'"),
        ({"score": "f1"}, ValueError, "score must be one of f1_macro, accuracy, loss, got 'f1'"),
        ({"score": "r2"}, ValueError, "score must be one of f1_macro, accuracy, loss, got 'r2'"),
        ({"folds": 1}, ValueError, "folds must be at least 2, got 1"),
        ({"folds": 90}, ValueError, "too few to be in each of 90 folds"),
        ({"test_fraction": 1.5}, ValueError, "test_fraction must be below 1, got 1.5"),
        ({"X_test": X}, ValueError, "X_test and y_test must be given together"),
        ({"X_test": X[:5], "y_test": Y[:4]}, ValueError, "X_test and y_test must be equally long"),
        ({"X_test": X[:5], "y_test": Y[:5] + 10}, ValueError, "y_test has the label 10 at row 0, which is none of"),
        ({"y": Y[:-1]}, ValueError, r"X and y must be equally long, got 600 samples and \(599,\) labels"),
        ({"X": X[:, 0]}, ValueError, "X must have one row a sample"),
        ({"y": np.array([{}] * 600)}, TypeError, "y must hold numbers or strings of one kind"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be at least 1, got 0"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"train_scores": 1}, TypeError, "train_scores must be True or False, got 1"),
        ({"candidate_per_fold": "yes"}, TypeError, "candidate_per_fold must be True or False"),
    ],
)
def test_bad_arguments_are_refused_before_the_first_fit(tmp_path, changes, error, sentence):
    arguments = {"X": X, "y": Y, "space": {"l2": [0, 1]}, **QUICK, "out": tmp_path / "run"} | changes
    with pytest.raises(error, match=sentence):
        tune(**arguments)
    assert not (tmp_path / "run").exists()


def test_another_tuning_in_the_same_folder_is_refused(tmp_path):
    tune(X, Y, {"l2": [0, 1e-3]}, **QUICK, out=tmp_path)
    with pytest.raises(ValueError, match=r"belongs to another tuning, which differs in .*space.l2"):
        tune(X, Y, {"l2": [0, 1e-2]}, **QUICK, out=tmp_path)
    with pytest.raises(ValueError, match="differs in sha256_of_samples"):
        tune(255 - X, Y, {"l2": [0, 1e-3]}, **QUICK, out=tmp_path)


def test_progress_off_a_terminal(capsys):
    tune(X, Y, {"l2": [0, 1e-3]}, **QUICK | {"verbose": 1}, n_jobs=1)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert lines[0].startswith("fit 1/6  candidate 1 (l2=0)  fold 1  f1_macro 0.")
    assert " left" in lines[0] and "best 0." in lines[2] and "best" not in lines[1]
    assert lines[6].startswith("training with l2=")
    tune(X, Y, {"l2": [0, 1e-3]}, **QUICK)
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_mnist():
    mnist = datasets.load("mnist")
    base = {"hidden": [64], "max_epochs": 3, "batch_size": 32, "learning_rate": 0.1}
    result = tune(mnist.X[:12_000], mnist.y[:12_000], {"momentum": [0, 0.5]}, base=base, folds=2, verbose=0)
    assert result.test["accuracy"] > 0.93
    assert result.details["n_samples"] == 1200
