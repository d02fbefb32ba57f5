"""Runs on the command line: train --out, evaluate --report and --out, and plot, which draws what a run allows."""

from __future__ import annotations

import sys

import commands
import numpy as np
import pytest
from commands import ok, run

import fastnn
from fastnn import runs
from fastnn.cli import main

QUICK = ["--hidden", "8", "--epochs", "2", "--verbose", "0"]

folder = commands.folder


@pytest.fixture
def digits(capsys) -> str:
    """The run of a quick training on the digits."""
    assert main(["train", "digits", *QUICK, "--out", "run"]) == 0
    return "run"


def test_train_writes_a_run(capsys, folder):
    document = ok(capsys, "train", "digits", *QUICK, "--out", "deep/run")
    found = runs.Run("deep/run")
    assert document["out"] == "deep/run" and document["model"] == "deep/run/model.safetensors"
    assert [path.name for path in folder.iterdir()] == ["deep"]  # no model beside the run
    assert found.net.fingerprint() == document["fingerprint"] == found.result["fingerprint"]
    assert found.history.epochs == document["history"]
    assert found.result["scores"] == {key: document[key] for key in ("loss", "accuracy", "f1_macro")}
    assert found.report.accuracy == document["accuracy"]
    assert found.report.f1_macro == pytest.approx(document["f1_macro"], rel=1e-14)
    assert (found.result["part"], found.result["n_samples"], found.result["n_training_samples"]) == ("test", 450, 1347)
    assert found.result["settings"]["hidden"] == [8]
    _, out, _ = run(capsys, "train", "digits", *QUICK, "--out", "deep/run")
    assert out.rstrip().endswith("fastnn plot deep/run")


def test_with_save_the_model_is_in_both_places(capsys, folder):
    ok(capsys, "train", "digits", *QUICK, "--out", "run", "--save", "here.safetensors")
    assert (folder / "here.safetensors").read_bytes() == (folder / "run" / "model.safetensors").read_bytes()


def test_a_second_training_leaves_nothing_of_the_first(capsys, folder, digits):
    ok(capsys, "plot", digits)
    np.savez("line.npz", X=np.eye(20), y=np.linspace(0, 1, 20))
    ok(capsys, "train", "line.npz", "--output", "identity", *QUICK, "--out", digits)
    left = {str(path.relative_to(folder / digits)) for path in (folder / digits).rglob("*") if path.is_file()}
    assert left == {"model.safetensors", "history.csv", "result.json"}


@pytest.mark.parametrize("where", ["file", "file/run"])
def test_a_place_that_is_no_folder_is_noticed_before_the_data_are_loaded(capsys, folder, monkeypatch, where):
    (folder / "file").touch()
    monkeypatch.setattr("fastnn.datasets.load", lambda *_, **__: pytest.fail("data loaded"))
    code, _, err = run(capsys, "train", "digits", "--out", where)
    assert code == 1 and err == f"fastnn: {where} cannot be a folder: file is a file; choose another --out\n"


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("command", [["train", "digits"], ["evaluate", "m.safetensors", "digits"]])
def test_a_folder_that_cannot_be_written_is_noticed_before_the_data_are_loaded(
    capsys, folder, monkeypatch, command, exists
):
    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    if exists:
        (folder / "run").mkdir()
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    monkeypatch.setattr("fastnn.datasets.load", lambda *_, **__: pytest.fail("data loaded"))
    code, _, err = run(capsys, *command, "--out", "run")
    assert code == 1 and "Read-only file system; choose another --out\n" in err


def test_a_training_that_fails_leaves_no_folder(capsys, folder):
    code, _, _ = run(capsys, "train", "digits", "--verbose", "0", "--learning-rate", "1e8", "--out", "run")
    assert code == 1 and list(folder.iterdir()) == []


def test_an_interrupted_training_is_a_run_too(capsys, monkeypatch):
    def interrupt(self, epoch, logs):
        if epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(fastnn.CSVLogger, "on_epoch_end", interrupt)
    code, out, err = run(capsys, "train", "digits", *QUICK, "--epochs", "9", "--csv-log", "log.csv", "--out", "run")
    found = runs.Run("run")
    assert code == 1 and out == "" and "the model so far is in run/model.safetensors" in err
    assert found.result["stop_reason"] == "interrupted" and len(found.history) == 2
    assert found.report.n_samples == 450


def test_a_run_of_another_command_is_not_overwritten(capsys, digits):
    code, _, err = run(capsys, "evaluate", "run/model.safetensors", "digits", "--out", digits)
    assert code == 1 and "run holds a run of fastnn train, which would be mixed up; choose another --out" in err
    assert runs.Run(digits).history is not None


def test_evaluate_prints_a_report_and_mistakes(capsys, digits):
    code, out, _ = run(capsys, "evaluate", "run/model.safetensors", "digits", "--report", "--mistakes", "3")
    report = runs.Run(digits).report
    lines = out.splitlines()
    assert code == 0 and lines[0].startswith("test accuracy") and report.text() in out
    assert lines[-6].startswith(f"3 of {450 - report.confusion.trace()} mistakes")
    assert lines[-4].split() == ["sample", "actual", "predicted", "confidence"]
    assert all(line.endswith("%") for line in lines[-3:])


def test_evaluate_json_has_the_report_and_the_mistakes(capsys, digits):
    plain = ok(capsys, "evaluate", "run/model.safetensors", "digits")
    assert "report" not in plain and "mistakes" not in plain
    assert len(ok(capsys, "evaluate", "run/model.safetensors", "digits", "--mistakes", "4")["mistakes"]) == 4
    document = ok(capsys, "evaluate", "run/model.safetensors", "digits", "--report")
    assert document["report"] == runs.Run(digits).report.as_dict()
    assert len(document["mistakes"]) == 10
    first = document["mistakes"][0]
    data = fastnn.datasets.load("digits")
    assert data.y_test[first["index"]] == first["actual"]
    assert fastnn.load("run/model.safetensors").predict(data.X_test)[first["index"]] == first["predicted"]


def test_evaluate_writes_a_run(capsys, folder, digits):
    document = ok(capsys, "evaluate", "run/model.safetensors", "digits", "--out", "scores", "--part", "train")
    assert document["pictures"] == ["scores/pictures/confusion_matrix.png", "scores/pictures/mistakes.png"]
    found = runs.Run("scores")
    assert (folder / "scores" / "report.txt").read_text() == found.report.text()
    assert found.report.n_samples == 1347 and found.result["command"] == "evaluate"
    drawn = ok(capsys, "plot", "scores")
    assert set(drawn["left_out"]) == {"learning_curves", "costs"}


def test_evaluate_needs_no_matplotlib(capsys, folder, monkeypatch, digits):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, _, err = run(capsys, "evaluate", "run/model.safetensors", "digits", "--out", "scores")
    assert code == 0 and "no pictures: pictures need matplotlib: pip install 'fastnn[plot]'" in err
    assert sorted(path.name for path in (folder / "scores").iterdir()) == ["report.txt", "result.json"]
    code, _, err = run(capsys, "plot", digits)
    assert code == 1 and err == "fastnn: pictures need matplotlib: pip install 'fastnn[plot]'\n"


def test_numbers_have_no_report_but_a_run(capsys, folder):
    X = np.random.default_rng(0).normal(size=(80, 3))
    np.savez("line.npz", X=X, y=X @ [1.0, -2.0, 0.5])
    ok(capsys, "train", "line.npz", "--output", "identity", *QUICK, "--out", "run")
    for option in (["--report"], ["--mistakes", "3"]):
        code, _, err = run(capsys, "evaluate", "run/model.safetensors", "line.npz", *option)
        assert code == 2 and "--report and --mistakes are for one class a sample" in err
    assert ok(capsys, "evaluate", "run/model.safetensors", "line.npz", "--out", "scores")["pictures"] == []
    drawn = ok(capsys, "plot", "run")
    assert [path.rpartition("/")[2] for path in drawn["pictures"]] == ["learning_curves.png", "costs.png"]
    assert drawn["left_out"]["class_histogram"] == "the model predicts numbers"


def test_plot_draws_everything_of_images(capsys, folder, digits):
    code, out, err = run(capsys, "plot", digits)
    assert code == 0 and err == ""
    assert out.splitlines() == [f"run/pictures/{name}.png" for name in runs.PICTURE_NAMES]
    for line in out.splitlines():
        assert (folder / line).read_bytes().startswith(b"\x89PNG")
    drawn = ok(capsys, "plot", digits, "--out", "deep/elsewhere")
    assert drawn["left_out"] == {} and len(list((folder / "deep" / "elsewhere").iterdir())) == len(runs.PICTURE_NAMES)


def test_plot_finds_the_validation_part_of_a_csv_file_again(capsys, folder, monkeypatch):
    data = fastnn.datasets.load("digits")
    names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    rows = [",".join([*map(str, x), names[y]]) for x, y in zip(data.X.tolist(), data.y, strict=True)]
    header = ",".join([*(f"pixel{i}" for i in range(64)), "name"])
    (folder / "table.csv").write_text("\n".join([header, *rows]))
    ok(capsys, "train", "table.csv", "--label", "name", "--validation", "0.3", "--seed", "7", *QUICK, "--out", "run")
    (folder / "other").mkdir()
    monkeypatch.chdir(folder / "other")  # the data are found from anywhere
    seen = []
    monkeypatch.setattr("fastnn.plots.mistakes", lambda X, found, *_, **__: seen.extend(found) or new_axes())
    assert ok(capsys, "plot", "../run")["left_out"] == {}
    report = runs.Run("../run").report
    assert len(seen) == report.n_samples - report.confusion.trace() > 0
    (folder / "table.csv").write_text("\n".join([header, *rows[:600]]))
    reason = ok(capsys, "plot", "../run")["left_out"]["mistakes"]
    assert reason == "the run scored 405 samples, but the data now give 180"


def new_axes():
    from matplotlib.figure import Figure

    return Figure().subplots()


@pytest.mark.parametrize(("options", "name"), [([], "test"), (["--validation", "0.2"], "validation")])
def test_plot_calls_the_watched_part_by_its_name(capsys, monkeypatch, options, name):
    ok(capsys, "train", "digits", *QUICK, *options, "--out", "run")
    seen = []
    monkeypatch.setattr("fastnn.plots.learning_curves", lambda history, watched: seen.append(watched) or new_axes())
    monkeypatch.setattr("fastnn.plots.costs", lambda at, lines: seen.extend(lines) or new_axes())
    ok(capsys, "plot", "run")
    assert seen == [name, "training", name]


def test_plot_says_what_it_cannot_draw_without_the_data(capsys, folder):
    np.savez("few.npz", X=np.random.default_rng(0).normal(size=(60, 2, 2)), y=np.arange(60) % 3)
    ok(capsys, "train", "few.npz", *QUICK, "--out", "run")
    (folder / "few.npz").rename("moved.npz")
    code, out, err = run(capsys, "plot", "run")
    drawn = [line.rpartition("/")[2] for line in out.splitlines()]
    assert code == 0
    assert drawn == ["learning_curves.png", "costs.png", "confusion_matrix.png", "first_layer_weights.png"]
    for name in ("class_histogram", "mistakes", "predictions"):
        assert f"fastnn: no {name}: there is no file {folder / 'few.npz'}" in err
    assert set(ok(capsys, "plot", "run", "--data", "moved.npz")["left_out"]) <= {"mistakes"}


def test_plot_draws_the_costs_that_a_run_has_and_only_the_rows_that_were_scored(capsys, monkeypatch):
    data = fastnn.datasets.load("digits")
    net = fastnn.MLP([64, 10], input_scale=1 / 16)
    fastnn.Trainer(net, max_epochs=1, verbose=0).fit(data.X, data.y)
    costs = [{"iteration": i, "training": 3.0 / (i + 1), "validation": 3.1} for i in range(0, 100, 10)]
    result = {"data": "digits", "part": "training", "rows": [5, 3, 8], "n_samples": 3}
    runs.save_run("run", net=net, result=result, costs=costs)
    seen = {}
    monkeypatch.setattr("fastnn.plots.costs", lambda at, lines: seen.update(lines, at=at) or new_axes())
    monkeypatch.setattr("fastnn.plots.predictions", lambda X, *_: seen.update(X=X) or new_axes())
    left_out = ok(capsys, "plot", "run")["left_out"]
    assert (
        {"learning_curves", "confusion_matrix"} <= set(left_out) <= {"learning_curves", "confusion_matrix", "mistakes"}
    )
    assert seen["at"] == list(range(0, 100, 10)) and seen["validation"] == [3.1] * 10
    np.testing.assert_array_equal(seen["X"], data.X[[5, 3, 8]])
    runs.save_run("run", net=net, result=result | {"rows": [5, 9999]})
    assert "names rows that the 1347 samples" in ok(capsys, "plot", "run")["left_out"]["predictions"]


def test_pictures_that_a_recipe_drew_are_kept(capsys, folder):
    history = fastnn.History()
    history.append({"epoch": 1, "train_loss": 1.0})
    runs.save_run("run", history=history, result={"command": "reproduce", "data": "digits"})
    (folder / "run/pictures").mkdir()
    own = folder / "run/pictures/costs.png"
    own.write_bytes(b"with the published costs")
    drawn = ok(capsys, "plot", "run")
    assert own.read_bytes() == b"with the published costs"
    assert "run/pictures/learning_curves.png" in drawn["pictures"]
    assert drawn["kept"] == ["costs"] and "costs" not in drawn["left_out"]
    code, _, err = run(capsys, "plot", "run")
    assert code == 0 and "fastnn: kept class_histogram, learning_curves, costs; --out DIR draws them elsewhere\n" in err
    assert "other/costs.png" in ok(capsys, "plot", "run", "--out", "other")["pictures"]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({}, "result.json names no data; give --data"),
        ({"data": {"name": "mnist"}}, "result.json names no data"),
        ({"data": "digits"}, "does not say which part of the data was scored"),
        ({"data": "digits", "part": "fold 3"}, "does not say which part of the data was scored"),
        ({"data": "digitz", "part": "test"}, "did you mean 'digits'"),
    ],
)
def test_a_run_with_little_in_it_has_reasons(capsys, result, words):
    history = fastnn.History()
    history.append({"epoch": 1, "train_loss": 1.0})
    runs.save_run("run", net=fastnn.MLP([64, 10]), history=history, result=result)
    drawn = ok(capsys, "plot", "run")
    assert words in drawn["left_out"]["predictions"]
    assert "run/pictures/learning_curves.png" in drawn["pictures"]


@pytest.mark.parametrize(
    "field",
    [
        {"settings": 5},
        {"settings": {"batch_size": "many"}, "n_training_samples": "few"},
        {"part": ["test"]},
        {"rows": {"a": 1}},
        {"n_samples": "x"},
        {"image_shape": 64},
        {"image_shape": [[8], 8]},
        {"label": 5},
        {"report": 5},
        {"watched": [1]},
    ],
)
def test_a_result_that_somebody_has_spoiled_costs_single_pictures(capsys, field):
    history = fastnn.History()
    history.append({"epoch": 1, "train_loss": 1.0})
    result = {"command": "train", "data": "digits", "part": "test"}
    runs.save_run("run", net=fastnn.MLP([64, 10]), history=history, result=result | field)
    drawn = ok(capsys, "plot", "run")
    assert "run/pictures/learning_curves.png" in drawn["pictures"] and drawn["left_out"]


def test_a_run_of_which_nothing_can_be_drawn_is_a_failure(capsys):
    runs.save_run("run", result={})
    code, out, err = run(capsys, "plot", "run")
    assert code == 1 and out == "" and err.count("\n") == len(runs.PICTURE_NAMES)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["plot"], 2, "required: RUN"),
        (["plot", "nowhere"], 1, "nowhere is not there; a run is the folder that `fastnn train DATA --out DIR` writes"),
        (["plot", "."], 1, ". is no run: there is no result.json in it"),
        (["evaluate", "m", "digits", "--mistakes", "-1"], 2, "--mistakes must be at least 0, got -1"),
        (["evaluate", "m", "digits", "--mistakes", "few"], 2, "--mistakes"),
    ],
)
def test_bad_usage_is_a_sentence(capsys, folder, arguments, code, words):
    found, out, err = run(capsys, *arguments)
    assert found == code and out == "" and err.count("\n") == 1 and words in err
    assert list(folder.iterdir()) == []


def test_a_folder_for_pictures_that_is_a_file_is_a_sentence(capsys, folder, monkeypatch, digits):
    (folder / "file").touch()
    code, _, err = run(capsys, "plot", digits, "--out", "file")
    assert code == 1 and err == "fastnn: file cannot be a folder: file is a file; choose another --out\n"
    (folder / "run/pictures").touch()
    monkeypatch.setattr("fastnn.datasets.load", lambda *_, **__: pytest.fail("data loaded"))
    for command in (["plot", "run"], ["evaluate", "run/model.safetensors", "digits", "--out", "run"]):
        code, _, err = run(capsys, *command)
        assert code == 1 and err.startswith("fastnn: run/pictures cannot be a folder: run/pictures is a file;")


def test_help_has_an_example(capsys):
    code, out, _ = run(capsys, "plot", "--help")
    assert code == 0 and "fastnn train digits --out runs/digits\n  fastnn plot runs/digits\n" in out
