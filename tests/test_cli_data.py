"""From data to predictions on the command line: Kaggle's files, scalings kept with the model, nothing overwritten."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import commands
import numpy as np
import pytest
from commands import ok, run

import fastnn
from fastnn.cli import main
from fastnn.datasets import load
from fastnn.engine.network import MLP

QUICK = ["--hidden", "16", "--epochs", "3", "--verbose", "0"]

folder = commands.folder


def write_kaggle(path: Path, X: np.ndarray, y: np.ndarray | None = None) -> None:
    """Write digits as Kaggle does: a line of names, then the label, if any, and the pixels of each image."""
    names = [f"pixel{i}" for i in range(X.shape[1])]
    table = X if y is None else np.column_stack([y, X])
    text = ",".join(names if y is None else ["label", *names]) + "\n"
    text += "".join(",".join(map(str, row)) + "\n" for row in table.tolist())
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize("end", ["csv", "csv.gz"])
def test_from_the_training_file_of_kaggle_to_a_submission(capsys, folder, end):
    data = load("digits")
    write_kaggle(folder / f"train.{end}", 15 * data.X, data.y)
    write_kaggle(folder / f"test.{end}", 15 * data.X_test)
    options = ["--hidden", "64", "--epochs", "20", "--verbose", "0"]
    assert main(["train", f"train.{end}", *options, "--save", "m.safetensors"]) == 0
    assert main(["predict", "m.safetensors", f"test.{end}", "--kaggle", "-o", "submission.csv"]) == 0
    assert "450 predictions written to submission.csv" in capsys.readouterr().err
    text = (folder / "submission.csv").read_bytes()
    assert text.startswith(b"ImageId,Label\n1,") and text.endswith(b"\n") and b"\r" not in text
    ids, labels = np.loadtxt("submission.csv", delimiter=",", skiprows=1, dtype=int).T
    assert ids.tolist() == list(range(1, 451))
    assert np.mean(labels == data.y_test) > 0.95


@pytest.mark.parametrize("scaling", ["auto", "minmax", "standard", "none"])
def test_a_saved_model_scales_raw_samples_as_in_training(folder, scaling):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 5)) * [1e4, 1.0, 1e-3, 1.0, 0.0] + [7.0, -100.0, 0.0, 0.0, 3.0]
    np.savez("train.npz", X=X, y=(X[:, 1] > -100).astype(int))
    options = [*QUICK, "--validation", "0", "--dtype", "float64", "--scaling", scaling]
    assert main(["train", "train.npz", *options, "--save", "m.safetensors"]) == 0
    net = fastnn.load("m.safetensors")
    low, high, mean, std = X.min(axis=0), X.max(axis=0), X.mean(axis=0), X.std(axis=0)
    scaled = {
        "minmax": (X - low) / np.where(high > low, high - low, 1),
        "standard": (X - mean) / np.where(std > 0, std, 1),
        "none": X,
    }
    scaled["auto"] = scaled["standard"]
    plain = MLP(net.sizes, dtype="float64", input_scale=1.0)
    plain.set_parameters(net.weights, net.biases)
    np.testing.assert_allclose(net.predict_proba(X), plain.predict_proba(scaled[scaling]), rtol=1e-9)
    if scaling == "minmax":
        assert scaled["minmax"].min() == 0 and scaled["minmax"].max() == 1
        X[:, 4] = 1e9  # what did not vary in training tells nothing
        np.testing.assert_allclose(net.predict_proba(X), plain.predict_proba(scaled["minmax"]), rtol=1e-9)


def test_the_test_and_the_validation_part_have_no_say_in_minmax(folder):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 200, (400, 3)).astype(np.uint8)
    y = rng.integers(0, 2, 400)
    np.savez("t.npz", X=X, y=y, X_test=np.uint8([[0, 0, 255]]), y_test=[1])
    for part in ("0", "0.5"):
        assert main(["train", "t.npz", *QUICK, "--scaling", "minmax", "--validation", part]) == 0
        net = fastnn.load("t.safetensors")
        greatest = net.input_offset + 1 / net.input_scale
        assert (greatest <= 199.001).all()
        assert (greatest == pytest.approx(X.max(axis=0))) or part == "0.5"


def test_minmax_of_features_that_hardly_vary_stays_finite(folder):
    X = np.array([[0.0, 1e-300, 5.0], [1.0, 2e-300, 5.0]] * 20)
    np.savez("t.npz", X=X, y=[0, 1] * 20)
    assert main(["train", "t.npz", *QUICK, "--scaling", "minmax", "--validation", "0"]) == 0
    net = fastnn.load("t.safetensors")
    assert net.input_scale.tolist() == [1, 0, 0]
    assert np.isfinite(net.predict_proba(X)).all()


def test_a_class_too_rare_for_a_validation_part_is_named(capsys):
    np.savez("rare.npz", X=np.eye(60), y=["a", *["b", "c"] * 29, "b"])
    code, _, err = run(capsys, "train", "rare.npz", *QUICK)
    assert code == 1 and "class 'a' has 1 sample, too few to be divided into a training and a validation part" in err
    assert ok(capsys, "train", "rare.npz", *QUICK, "--validation", "0")["part"] == "training"


def test_features_too_large_for_their_variance_are_a_sentence(capsys):
    np.savez("huge.npz", X=np.full((60, 1), -9e299), y=np.arange(60) % 2)
    code, _, err = run(capsys, "train", "huge.npz", *QUICK)
    assert code == 2 and "huge.npz has values as large as 9e+299, too large for --scaling standard" in err
    ok(capsys, "train", "huge.npz", *QUICK, "--scaling", "minmax", "--dtype", "float64")


def test_a_seed_of_more_than_32_bits_holds_out_a_validation_part(capsys):
    np.savez("t.npz", X=np.eye(60), y=np.arange(60) % 2)
    found = [ok(capsys, "train", "t.npz", *QUICK, "--seed", seed) for seed in ("5000000000", "705032704", "0")]
    histories = [[epoch["val_loss"] for epoch in one["history"]] for one in found]
    assert [one["n_samples"] for one in found] == [6, 6, 6]
    assert histories[0] != histories[1] != histories[2]


def check_refused(capsys, output: str, data: str, argument: str) -> None:
    """A prediction to `output` is bad usage, and every file stays as it is."""
    before = {path: path.read_bytes() for path in Path.cwd().iterdir()}
    assert main(["predict", "m.safetensors", data, "--output", output]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert f"--output {output} is {argument} itself, which would be overwritten" in err
    assert before == {path: path.read_bytes() for path in Path.cwd().iterdir()}


@pytest.mark.parametrize(
    "options",
    [
        ["train", "--save", "table.csv"],
        ["train", "--csv-log", "run/../table.csv"],
        ["train", "--checkpoint", "table.csv"],
        ["train", "--csv-log", "settings.toml", "--config", "settings.toml"],
        ["train", "--out", "run"],
        ["tune", "--out", "run", "--try", "l2=0,1", "--folds", "2"],
        ["tune", "--out", "tuning", "--try", "l2=0,1", "--folds", "2"],
    ],
)
def test_what_is_written_overwrites_neither_the_data_nor_the_settings(capsys, folder, options):
    places = {"run": "run/history.csv", "tuning": "tuning/candidates.csv"}
    for name in ("table.csv", *places.values()):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("a,label\n" + "1,0\n2,1\n" * 20)
    (folder / "settings.toml").write_text("momentum = 0.5\n")
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    command, flag, place, *rest = options
    data = places.get(place, "table.csv")
    assert main([command, data, flag, place, *rest, "--hidden", "4", "--epochs", "1", "--verbose", "0"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert f"{flag} {data if place in places else place} is " in err and "itself, which would be overwritten" in err
    assert before == {path: path.read_bytes() for path in folder.rglob("*.*")}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--save x --csv-log x", "--csv-log x is a file that --save writes; choose another --csv-log"),
        ("--save x --csv-log here/../x", "--csv-log here/../x is a file that --save writes"),
        ("--save x --checkpoint x", "--checkpoint x is a file that --save writes"),
        ("--csv-log x --checkpoint x", "--csv-log x is a file that --checkpoint writes"),
        ("--csv-log digits.safetensors", "--csv-log digits.safetensors is a file that --save writes"),
        ("--out here --csv-log here/history.csv", "--csv-log here/history.csv is a file that --out writes"),
        ("--out here --save here/result.json", "--save here/result.json is a file that --out writes"),
        ("--out here --checkpoint here/model.safetensors", "here/model.safetensors is a file that --save writes"),
    ],
)
def test_one_file_for_two_outputs_is_bad_usage_before_the_data_are_loaded(
    capsys, folder, monkeypatch, options, sentence
):
    (folder / "here").mkdir()
    monkeypatch.setattr("fastnn.datasets.load", lambda *_, **__: pytest.fail("data loaded"))
    code, out, err = run(capsys, "train", "digits", *options.split())
    assert code == 2 and out == "" and err.count("\n") == 1 and sentence in err


@pytest.mark.parametrize("save", ["run/model.safetensors", "there/../run/model.safetensors"])
def test_the_model_of_a_run_may_be_named(capsys, folder, save):
    for name in ("run", "there"):
        (folder / name).mkdir()
    assert ok(capsys, "train", "digits", *QUICK, "--out", "run", "--save", save)["model"] == save
    assert fastnn.load("run/model.safetensors").classes.tolist() == list(range(10))


def test_predictions_overwrite_neither_the_model_nor_the_data(capsys, folder):
    data = load("digits")
    assert main(["train", "digits", *QUICK, "--save", "m.safetensors"]) == 0
    capsys.readouterr()
    write_kaggle(folder / "test.csv", data.X_test)
    head = np.array([2051, len(data.X), 8, 8], ">u4").tobytes()
    (folder / "t-images-idx3-ubyte").write_bytes(head + data.X.tobytes())
    head = np.array([2049, len(data.X)], ">u4").tobytes()
    (folder / "t-labels-idx1-ubyte").write_bytes(head + data.y.astype(np.uint8).tobytes())
    for name in ("m.safetensors", "./m.safetensors", str(folder / "m.safetensors")):
        check_refused(capsys, name, "digits", "MODEL")
    check_refused(capsys, "test.csv", "test.csv", "DATA")
    for name in ("t-images-idx3-ubyte", "t-labels-idx1-ubyte"):
        check_refused(capsys, name, "t-images-idx3-ubyte", "DATA")
        check_refused(capsys, name, "t-images-idx3-ubyte,t-labels-idx1-ubyte", "DATA")
    if os.name == "posix":
        (folder / "link.csv").symlink_to("test.csv")
        check_refused(capsys, "link.csv", "test.csv", "DATA")
        check_refused(capsys, "test.csv", "link.csv", "DATA")
    # What only has the name of a data set is another file, and earlier predictions may be replaced.
    for _ in range(2):
        for name in ("digits", "p.csv"):
            assert main(["predict", "m.safetensors", "digits", "--output", name]) == 0
