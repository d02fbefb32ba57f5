"""Runs: what is saved is read again, in a form that people can read; what is no run is a sentence."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import fastnn
from fastnn import runs
from fastnn.metrics import report
from fastnn.runs import Run, RunError, save_run


@pytest.fixture
def history():
    made = fastnn.History()
    made.append({"epoch": 1, "train_loss": 0.1, "val_loss": 1 / 3, "learning_rate": 1e-05})
    made.append({"epoch": 2, "train_loss": float("nan")})
    made.stop_reason = "interrupted"
    return made


def test_a_run_is_read_as_it_was_saved(tmp_path, history):
    net = fastnn.MLP([4, 3, 2], seed=5)
    found = report(["a", "b", "b"], ["a", "b", "a"])
    costs = [{"iteration": 0, "training": 3.25}, {"iteration": 100, "training": 2.5}]
    result = {"command": "train", "data": "digits", "seconds": np.float32(0.5)}
    folder = tmp_path / "new" / "run"
    saved = save_run(folder, net=net, history=history, result=result, report=found, costs=costs)
    assert sorted(path.name for path in folder.iterdir()) == sorted(runs.FILES)
    for run in (saved, Run(folder), Run(str(folder))):
        assert run.net.fingerprint() == net.fingerprint() == run.result["fingerprint"]
        assert run.history.epochs[0] == history.epochs[0]
        assert list(run.history.epochs[1]) == ["epoch", "train_loss"] and math.isnan(
            run.history.epochs[1]["train_loss"]
        )
        assert [type(value) for value in run.history.epochs[0].values()] == [int, float, float, float]
        assert run.history.stop_reason == run.result["stop_reason"] == "interrupted"
        assert run.report.as_dict() == found.as_dict()
        assert run.costs.epochs == costs
        assert run.result | result == run.result
        assert run.result["versions"]["fastnn"] == fastnn.__version__
    assert (folder / "report.txt").read_text() == found.text()
    assert (folder / "history.csv").read_text().splitlines()[1] == "1,0.1,0.3333333333333333,1e-05"


def test_a_run_may_hold_nothing_but_its_result(tmp_path):
    run = save_run(tmp_path, result={})
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
    assert (run.net, run.history, run.costs, run.report) == (None, None, None, None)
    assert repr(run) == f"Run({str(tmp_path)!r})"


def test_the_model_may_be_elsewhere(tmp_path):
    net = fastnn.MLP([3, 2])
    net.save(tmp_path / "model")
    run = save_run(tmp_path / "run", result={"model": tmp_path / "model"})
    assert run.net.fingerprint() == net.fingerprint()
    assert save_run(tmp_path / "run", result={"model": tmp_path / "gone"}).net is None


def test_a_run_is_a_run_only_when_it_is_whole(tmp_path, monkeypatch):
    def fill_the_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs, "replace_file", fill_the_disk)
    with pytest.raises(OSError, match="No space"):
        save_run(tmp_path / "run", net=fastnn.MLP([3, 2]), result={})
    with pytest.raises(RunError):
        Run(tmp_path / "run")


def test_forget_removes_what_a_run_wrote_and_nothing_else(tmp_path, history):
    save_run(tmp_path, net=fastnn.MLP([3, 2]), history=history, result={}, report=report([1], [1]))
    (tmp_path / "pictures").mkdir()
    for name in ("mistakes.png", "mine.png"):
        (tmp_path / "pictures" / name).touch()
    (tmp_path / "notes.txt").touch()
    runs.forget_run(tmp_path)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"model.safetensors", "pictures/mine.png", "notes.txt"}
    (tmp_path / "history.csv").touch()  # of somebody else: there is no result.json
    runs.forget_run(tmp_path)
    assert (tmp_path / "history.csv").exists()
    runs.forget_run(tmp_path / "nowhere")


def test_what_is_no_run_is_a_sentence(tmp_path):
    with pytest.raises(RunError, match="is not there; a run is the folder that `fastnn train DATA --out DIR` writes"):
        Run(tmp_path / "no")
    with pytest.raises(RunError, match=r"is no run: there is no result\.json in it"):
        Run(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="file is a file; a run is the folder"):
        Run(tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "content", "attribute", "words"),
    [
        ("result.json", b"{", "result", r"result\.json is not JSON"),
        ("result.json", b"\xff\xfe\xff", "result", r"result\.json is not JSON"),
        ("result.json", b"[1]", "result", r"result\.json must hold a JSON object, got list"),
        ("result.json", b'{"report": {"classes": []}}', "report", r"result\.json: this is not a report"),
        ("history.csv", b"epoch,train_loss\n1,low\n", "history", r"history\.csv must hold numbers"),
        ("history.csv", b"epoch,train_loss\n1\n", "history", r"history\.csv must hold numbers"),
        ("history.csv", b"epoch\n1,2\n", "history", r"history\.csv must hold numbers"),
        ("history.csv", b"\xff\xff", "history", r"history\.csv must hold numbers"),
        ("costs.csv", b'iteration\n"1', "costs", r"costs\.csv must hold numbers"),
        ("model.safetensors", b"nothing", "net", r"model\.safetensors"),
    ],
)
def test_damaged_files_are_sentences(tmp_path, name, content, attribute, words):
    save_run(tmp_path, result={})
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words):
        getattr(Run(tmp_path), attribute)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"a": [], "b": {}, "c": None, "d": "a [ b ] {", "e": [[]]},
        {"matrix": [[1, 2, 3]] * 40, "numbers": list(range(500))},
        {"a": {"b": {"c": ["long text"] * 20, "d": {str(i): i for i in range(40)}}}},
        {"rows": [{"epoch": i, "loss": 1 / (i + 1)} for i in range(30)]},
    ],
)
def test_json_is_what_the_library_would_write_but_for_the_lines(document):
    assert json.loads(runs.to_json(document)) == document


def test_json_of_numpy_and_of_what_json_has_no_word_for(tmp_path):
    document = {
        "a": np.float32(0.5), "b": np.arange(3), "c": (1, np.int64(2)), "d": math.inf, "e": [math.nan], "f": tmp_path,
        "g": {1: np.bool_(True)},
    }  # fmt: skip
    assert json.loads(runs.to_json(document)) == {
        "a": 0.5, "b": [0, 1, 2], "c": [1, 2], "d": None, "e": [None], "f": str(tmp_path), "g": {"1": True},
    }  # fmt: skip


def test_a_matrix_has_a_line_for_each_row():
    lines = runs.to_json({"confusion": [[100 + i] * 30 for i in range(3)]}).splitlines()
    assert [line.strip()[:4] for line in lines[2:5]] == ["[100", "[101", "[102"]


def test_csv_text_has_every_column_of_any_row():
    assert runs.csv_text([{"a": 1, "b": 0.1}, {"c": "x", "a": 2}]) == "a,b,c\n1,0.1,\n2,,x\n"
