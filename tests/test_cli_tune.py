"""`fastnn tune`: what is tried, what is written and printed, and what is refused."""

from __future__ import annotations

import csv
import json
import os
import signal
import time
from pathlib import Path

import commands
import numpy as np
import pytest
from commands import run, start

import fastnn
from fastnn.cli import main
from fastnn.cli.options import UsageError
from fastnn.cli.tune import _read_space
from fastnn.datasets import load
from fastnn.runs import Run
from fastnn.tuning import Int, Log, Uniform

QUICK = ["--hidden", "16", "--epochs", "2", "--folds", "3", "--verbose", "0"]

folder = commands.folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_grid_of_digits(capsys, folder):
    code, out, err = run(capsys, "tune", "digits", "--try", "learning_rate=0.05,0.1", "--try", "hidden=8;12,9", *QUICK)
    assert code == 0 and err == ""
    lines = out.splitlines()
    assert lines[0].split() == ["learning_rate", "hidden", "f1_macro", "accuracy", "loss", "seconds"]
    assert lines[1].startswith("best") and len(lines[:5]) == 5 and lines[5] == ""
    for name in ("chosen", "test accuracy", "macro F1", "fingerprint", "fastnn plot digits-tuning"):
        assert name in out
    assert len(rows_of(folder / "digits-tuning/epochs.csv")) == 4 * 3 * 2
    found = Run(folder / "digits-tuning")
    assert found.result["part"] == "test" and found.result["n_samples"] == 450
    assert found.result["data"] == "digits"
    assert found.net.input_scale == 1 / 16


def test_json(capsys, folder):
    options = [
        "--try",
        "l2=log(1e-6, 1e-3)",
        "--try",
        "dropout=0,0.1",
        "--trials",
        "3",
        "--test",
        "0.2",
        "--out",
        "run",
    ]
    code, out, err = run(capsys, "tune", "digits", *options, *QUICK, "--train-scores", "--score", "loss", "--json")
    document = json.loads(out)
    assert code == 0 and err == ""
    assert len(document["trials"]) == 3
    assert document["part"] == "training" and len(document["rows"]) == document["n_samples"] == 270
    means = [trial["scores"]["loss"]["mean"] for trial in document["trials"]]
    assert document["best"] == document["trials"][int(np.argmin(means))]["values"]
    assert set(document["best"]) == {"l2", "dropout"}
    assert document["tuning"]["space"] == {"l2": "Log(low=1e-06, high=0.001)", "dropout": [0.0, 0.1]}
    assert "train_f1" in rows_of(folder / "run/epochs.csv")[0]


def test_the_chosen_settings_give_the_same_network_with_train(capsys):
    code, out, _ = run(capsys, "tune", "digits", "--try", "learning_rate=0.05,0.1", *QUICK, "--json")
    tuned = json.loads(out)
    rate = str(tuned["best"]["learning_rate"])
    assert main(["train", "digits", "--learning-rate", rate, *QUICK[:4], "--verbose", "0", "--json"]) == code == 0
    trained = json.loads(capsys.readouterr().out)
    assert tuned["fingerprint"] == trained["fingerprint"]
    assert [tuned[k] for k in ("loss", "accuracy")] == [trained[k] for k in ("loss", "accuracy")]


def test_scaling_is_taken_from_the_training_part_of_each_fold(capsys, folder, monkeypatch):
    seen = []
    original = fastnn.Trainer.fit

    def fit(self, X, *others):
        seen.append((np.asarray(X).mean(axis=0), self.net.input_offset))
        return original(self, X, *others)

    monkeypatch.setattr(fastnn.Trainer, "fit", fit)
    rng = np.random.default_rng(0)
    np.savez(folder / "data.npz", X=rng.normal(1e5, 1e3, (90, 3)), y=np.arange(90) % 3)
    code, _, err = run(capsys, "tune", "data.npz", "--try", "l2=0,0.1", *QUICK)
    assert code == 0, err
    scaled = [(mean, offset) for mean, offset in seen if offset is not None]
    assert len(scaled) == 2 * 3 + 1
    for mean, offset in scaled:
        np.testing.assert_allclose(mean, offset)


def test_rows_and_regression(capsys, folder):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    np.savez(folder / "line.npz", X=X, y=X @ [1.0, -2.0, 0.5])
    options = ["--output", "identity", "--hidden", "none", "--folds", "3", "--rows", "120", "--json", "--verbose", "0"]
    code, out, _ = run(capsys, "tune", "line.npz", "--try", "l2=1,0", *options)
    document = json.loads(out)
    assert code == 0 and document["best"] == {"l2": 0}
    assert document["r2"] > 0.99 and document["tuning"]["n_samples"] + document["n_samples"] == 120


def test_each_value_reaches_the_trainer():
    space = _read_space([
        "learning-rate=0.1, 0.2", "hidden=30;none;256,64", "schedule=constant,steps([10, 20], 0.1)", "max_norm=none,3",
        "activation=relu;tanh,relu", "nesterov=true,False", "l2=log(1e-6,1e-3)", "dropout=uniform(0, 0.5)",
        "batch_size = int(16, 256)", "init=he,uniform(-1, 1)", "epochs=5",
    ])  # fmt: skip
    assert space == {
        "learning_rate": [0.1, 0.2], "hidden": [[30], [], [256, 64]], "schedule": ["constant", "steps([10, 20], 0.1)"],
        "max_norm": [None, 3.0], "activation": ["relu", ["tanh", "relu"]], "nesterov": [True, False],
        "l2": Log(1e-6, 1e-3), "dropout": Uniform(0, 0.5), "batch_size": Int(16, 256), "init": ["he", "uniform(-1, 1)"],
        "epochs": [5],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("l2", "--try must be NAME=VALUES, .* got 'l2'"),
        ("l2=", "--try must be NAME=VALUES"),
        ("learning_rat=1", "--try cannot tune 'learning_rat'; did you mean 'learning_rate'"),
        ("threads=1,2", "--try cannot tune 'threads'"),
        ("l2=0,x", "--try l2 must be a number, got 'x'"),
        ("l2=0,,1", "--try l2 must be a number, got ''"),
        ("hidden=30,100", "would be one network with several layers; separate networks by semicolons"),
        ("shuffle=yes", "--try shuffle must be true or false, got 'yes'"),
        ("l2=log(0, 1)", r"--try l2=log\(0, 1\) is no range: low must be above 0, got 0"),
        ("l2=log(1)", r"--try l2=log\(1\) is no range: the text 'log\(1\)' does not fit log\(low, high\)"),
    ],
)
def test_tries_that_cannot_be_read(text, sentence):
    with pytest.raises(UsageError, match=sentence):
        _read_space([text])
    with pytest.raises(UsageError, match="is given twice"):
        _read_space(["l2=0,1", "l2=2"])


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        ([], 2, "give at least one --try NAME=VALUES"),
        (["--try", "l2=log(1e-6, 1)"], 2, "--try l2 is a range; give --trials N"),
        (["--try", "l2=0,-1"], 2, "--l2 must be at least 0, got -1"),
        (["--try", "activation=relu,rellu"], 2, "did you mean 'relu'"),
        (["--try", "l2=0,1", "--folds", "1"], 2, "--folds must be at least 2, got 1"),
        (["--try", "l2=0,1", "--folds", "many"], 2, "argument --folds: invalid int value: 'many'"),
        (["--try", "l2=0,1", "--folds", "400"], 1, "too few to be in each of 400 folds"),
        (["--try", "l2=0,1", "--trials", "0"], 2, "--trials must be at least 1, got 0"),
        (["--try", "l2=0,1", "--test", "1"], 2, "--test must be below 1, got 1"),
        (["--try", "l2=0,1", "--rows", "5000"], 2, "--rows must be at most 1347"),
        (["--try", "l2=0,1", "--validation", "0.2"], 2, "--validation is for --split shuffle"),
        (["--try", "l2=0,1", "--split", "shufle"], 2, "did you mean shuffle"),
        (["--try", "l2=0,1", "--score", "r2"], 2, "--score must be one of f1_macro, accuracy, loss, got 'r2'"),
        (["--try", "l2=0,1", "--threads", "0"], 2, "--threads must be at least 1, got 0"),
        (["--try", "hidden=uniform(8, 9)", "--trials", "2"], 2, "must be a whole number, got 8."),
        (["--try", "output=softmax,identity"], 1, "output 'identity' cannot be compared with 'softmax'"),
        (["--try", "l2=0,1", "--config", "patient.toml"], 2, "patience is not for a tuning"),
        (["--try", "l2=0,1", "--out", "file/run"], 1, "file/run cannot be a folder: file is a file"),
        (["--try", "learning_rate=1e35,1e36"], 1, "every candidate diverged"),
    ],
)
def test_bad_usage_is_one_sentence(capsys, folder, options, code, sentence):
    (folder / "patient.toml").write_text("patience = 3\n")
    (folder / "file").write_text("")
    found, out, err = run(capsys, "tune", "digits", *QUICK, *options)
    assert found == code and out == ""
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_a_folder_of_something_else_is_left_alone(capsys):
    assert main(["train", "digits", *QUICK[:4], "--verbose", "0", "--out", "run"]) == 0
    before = Run("run").result
    code, _, err = run(capsys, "tune", "digits", "--try", "l2=0,1", *QUICK, "--out", "run")
    assert code == 1 and "run holds a run of fastnn train" in err
    assert Run("run").result == before
    assert run(capsys, "tune", "digits", "--try", "l2=0,1", *QUICK, "--out", "tuning")[0] == 0
    code, _, err = run(capsys, "tune", "digits", "--try", "l2=0,1", *QUICK, "--out", "tuning", "--momentum", "0.5")
    assert code == 1 and "differs in base.momentum (0.9 there, 0.5 here)" in err


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one process")
@pytest.mark.parametrize("kind", ["SIGINT", "SIGTERM"])
def test_interrupted_and_resumed(capsys, folder, kind):
    digits = load("digits")
    np.savez(folder / "many.npz", X=np.tile(digits.X, (10, 1)), y=np.tile(digits.y, 10))
    options = [
        "--try",
        "learning_rate=0.05,0.1",
        "--hidden",
        "100",
        "--epochs",
        "8",
        "--folds",
        "4",
        "--batch-size",
        "4",
    ]
    with start("tune", "many.npz", *options, "--out", "torn") as process:
        while not (line := process.stderr.readline()).startswith("fit 2/8"):
            assert line, "it ended too early"
        time.sleep(0.1)
        process.send_signal(getattr(signal, kind))
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.splitlines()[-1] == (
        "fastnn: interrupted; what is finished is in torn, and the same command goes on from there"
    )
    n_lines = len((folder / "torn/journal.jsonl").read_text().splitlines())
    assert 1 + 2 <= n_lines < 1 + 8
    code, torn, _ = run(capsys, "tune", "many.npz", *options, "--out", "torn", "--verbose", "0", "--json")
    assert code == 0
    options += ["--verbose", "0", "--json", "--threads", "3"]
    _, whole, _ = run(capsys, "tune", "many.npz", *options, "--out", "whole")
    torn, whole = json.loads(torn), json.loads(whole)
    assert torn["fingerprint"] == whole["fingerprint"]
    for name in ("best", "cross_validation", "loss", "tuning", "rows"):
        assert torn[name] == whole[name]
