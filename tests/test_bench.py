"""`fastnn bench`: what it records, shows and keeps. How fast anything is, is no matter here."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from fastnn.bench import growth, history, machine, phases, workloads
from fastnn.bench.workloads import Workload
from fastnn.cli import main
from fastnn.engine import costs

NAMES = [workload.name for workload in workloads.WORKLOADS]


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """The record of a quick run by the command, which has made the file and its folder."""
    file = tmp_path_factory.mktemp("bench") / "records.jsonl"
    assert main(["bench", "--quick", "--threads", "2", "--history-file", str(file)]) == 0
    (line,) = file.read_text().splitlines()
    return json.loads(line)


@pytest.fixture
def file(record, tmp_path):
    """A history of two runs."""
    path = tmp_path / "folder" / "records.jsonl"
    history.append(path, record)
    history.append(path, record | {"version": "9.9.9"})
    return path


def test_a_run_records_all_figures(record):
    assert tuple(record) == history.KEYS
    assert record["quick"] is True
    assert record["threads"] == 2
    assert record["cpu"]
    assert set(record["peak_gflops"]) == set(record["bandwidth_gbytes"]) == {"1", "2"}
    assert [net["name"] for net in record["networks"]] == NAMES
    for net in record["networks"]:
        assert set(net["scaling"]) == {"1", "2"}
        assert net["samples_per_second"] == net["scaling"][str(net["threads"])]
        assert net["gflops"] > 0 and net["roofline_share"] > 0
    assert record["load_average"] is None or record["load_average"] >= 0
    assert 0 < record["latency_us"]["median"] <= record["latency_us"]["percentile_99"]


def test_history_is_appended_and_read(file, record):
    assert [r["version"] for r in history.read(file)] == [record["version"], "9.9.9"]


def test_a_torn_line_spoils_no_other(file, record):
    with file.open("a") as out:
        out.write('{"date": "20')
    history.append(file, record)
    with pytest.warns(UserWarning, match=r"line 3 of .* is no record of fastnn bench; it is left out"):
        assert len(history.read(file)) == 3


def test_history_as_json(file, capsys):
    assert main(["bench", "--history", "--history-file", str(file), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 2


def test_history_is_a_table_and_a_picture(file, tmp_path, capsys):
    picture = tmp_path / "bench.png"
    assert main(["bench", "--history", "--history-file", str(file), "--picture", str(picture)]) == 0
    out, err = capsys.readouterr()
    assert "9.9.9" in out
    assert all(name in out for name in NAMES)
    assert picture.exists() and err == ""


def test_without_matplotlib_the_history_is_a_table(file, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["bench", "--history", "--history-file", str(file), "--picture", str(tmp_path / "bench.png")]) == 0
    out, err = capsys.readouterr()
    assert "9.9.9" in out and "plotted" not in out
    assert err == "fastnn: no picture: pictures need matplotlib: pip install 'fastnn[plot]'\n"


def test_without_a_history_a_sentence_says_so(tmp_path, capsys):
    (tmp_path / "empty.jsonl").write_text("\n")
    for name in ("none.jsonl", "empty.jsonl"):
        path, picture = tmp_path / name, tmp_path / "bench.png"
        assert main(["bench", "--history", "--history-file", str(path), "--picture", str(picture)]) == 1
        assert f"there is no history in {path}; `fastnn bench` begins one" in capsys.readouterr().err
        assert not picture.exists()


def test_the_picture_of_a_history_does_not_replace_it(file, capsys):
    before = file.read_bytes()
    assert main(["bench", "--history", "--history-file", str(file), "--picture", str(file)]) == 2
    assert f"--picture {file} is a file that --history-file writes" in capsys.readouterr().err
    assert file.read_bytes() == before


def test_bad_threads_are_bad_usage(capsys):
    assert main(["bench", "--threads", "0"]) == 2
    assert "--threads must be at least 1, got 0" in capsys.readouterr().err


def test_phases_time_every_part(capsys):
    assert main(["bench", "--phases", "--quick", "--threads", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["barrier_us"] > 0 and result["launch_us"] > 0
    assert [net["name"] for net in result["networks"]] == NAMES
    parts = {"gather", "forward", "head", "backward", "phase_a", "update", "phase_b", "step"}
    for net in result["networks"]:
        assert set(net["us"]) == parts
        assert min(net["us"].values()) > 0
        assert min(net["gflops"].values()) > 0


def test_the_phases_are_the_whole_step():
    for load in workloads.WORKLOADS:
        parts = phases._operations(load)
        assert parts["phase_a"] + parts["phase_b"] == costs.operations(load.sizes, load.batch_size)


def test_growth_changes_one_quantity_at_a_time(capsys, monkeypatch):
    monkeypatch.setattr(growth, "AXES", {axis: points[:2] for axis, points in growth.AXES.items()})
    assert main(["bench", "--growth", "--quick", "--threads", "2", "--json"]) == 0
    points = json.loads(capsys.readouterr().out)["points"]
    axes = ["samples", "width", "depth", "mini-batch", "threads"]
    assert [(p["axis"], p["value"]) for p in points] == [
        (axis, value) for axis, pair in zip(axes, [(1000, 10000), (16, 64), (1, 2), (1, 4), (1, 2)], strict=True)
        for value in pair
    ]  # fmt: skip
    assert min(p["us_a_sample"] for p in points) > 0
    assert growth._name(Workload((784, *(128,) * 20, 10), "relu", 128)) == "784-20x128-10 relu, 128"


@pytest.mark.parametrize(("most", "counts"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 3, 4, 6]), (16, [1, 2, 3, 4, 8, 16])])
def test_thread_counts(most, counts):
    assert machine.thread_counts(most) == counts


def test_images_are_as_dense_as_mnist():
    X, y = workloads.images(2000)
    assert X.dtype == np.uint8 and X.shape == (2000, 784)
    assert abs((X > 0).mean() - 0.19) < 0.01
    assert 0.5 < (X[:128] > 0).any(axis=0).mean() < 0.8  # MNIST: two thirds of the columns are not zero throughout
    assert set(y) == set(range(10))
