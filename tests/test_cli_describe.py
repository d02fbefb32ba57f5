"""`fastnn describe`: what a person reads of the data, and what a machine does."""

from __future__ import annotations

import io
import json
import sys

import commands
import numpy as np
import pytest
from commands import run

from fastnn.cli import main

folder = commands.folder


def lines_of(capsys, *arguments: str) -> list[str]:
    """The lines that `fastnn describe` prints."""
    code, out, err = run(capsys, "describe", *arguments)
    assert code == 0 and err == ""
    return out.splitlines()


def find(lines: list[str], start: str) -> list[str]:
    """The cells of the only line that begins so."""
    (line,) = (line for line in lines if line.startswith(start))
    return line.split()


def test_digits(capsys):
    lines = lines_of(capsys, "digits", "--columns", "20, 0")
    assert lines[0] == "digits: 64 features (uint8), images of 8 x 8"
    assert find(lines, "samples") == ["samples", "1,347", "450"]
    assert find(lines, "greatest value") == ["greatest", "value", "16", "16"]
    assert "constant (training): 0, 24, 32, 39" in lines
    assert find(lines, "8 ")[:4] == ["8", "131", "43", "9.73%"]
    assert find(lines, "3 ")[-1] == "█" * 40
    assert find(lines, "0 (test)")[2:] == ["0", "0", "0", "0"]


def test_kaggle_form_with_named_pixels(capsys, folder):
    header = ",".join(f"pixel{i}" for i in range(16))
    rows = [f"{i % 3}," + ",".join("0" if j < 5 else str(i * j % 256) for j in range(16)) for i in range(9)]
    (folder / "train.csv").write_text(f"label,{header}\n" + "\n".join(rows))
    lines = lines_of(capsys, "train.csv", "--columns", "pixel4,pixel15")
    assert lines[0] == "train.csv: 16 features (uint8), images of 4 x 4"
    assert "constant: pixel0..pixel4" in lines
    assert find(lines, "pixel4") == ["pixel4", "0", "0", "0", "0"]
    values = [i * 15 % 256 for i in range(9)]
    assert find(lines, "pixel15") == ["pixel15", "0", "120", "60", f"{np.std(values):.5g}"]
    assert find(lines, "smallest/largest")[-1] == "1.00"


def test_the_label_column_can_be_named(capsys, folder):
    (folder / "t.csv").write_text("a,kind\n1,x\n2,y\n2,y\n")
    assert find(lines_of(capsys, "t.csv", "--label", "kind"), "y ")[:3] == ["y", "2", "66.67%"]


def test_targets_get_figures_and_no_bars(capsys, folder):
    np.savez(folder / "t.npz", X=np.ones((4, 2)), y=[0.5, 1.5, 2.5, 3.5])
    lines = lines_of(capsys, "t.npz")
    assert lines[-1].split() == ["target", "0.5", "3.5", "2", "1.118"]
    assert not any(line.startswith("class") for line in lines)


def test_data_without_labels(capsys, folder):
    np.savez(folder / "t.npz", X=np.eye(3))
    lines = lines_of(capsys, "t.npz")
    assert find(lines, "zeros") == ["zeros", "66.7%"]
    assert not any(line.startswith(("class", "constant:")) for line in lines)


def test_only_one_part_has_labels(capsys, folder):
    np.savez(folder / "t.npz", X=np.eye(3), X_test=np.eye(3), y_test=[1, 1, 2])
    lines = lines_of(capsys, "t.npz")
    assert find(lines, "classes") == ["classes", "2"]
    assert find(lines, "class ")[1:] == ["test", "share"]


def test_long_tables_are_cut(capsys, folder):
    y = np.repeat(np.arange(100), np.arange(1, 101))
    X = np.zeros((len(y), 60), np.uint8)
    X[0, ::2] = 1
    np.savez(folder / "t.npz", X=X, y=y)
    lines = lines_of(capsys, "t.npz")
    first = next(i for i, line in enumerate(lines) if line.startswith("class ")) + 1
    assert lines[first].split()[:2] == ["99", "100"] and lines[first + 39].split()[:2] == ["60", "61"]
    assert lines[first + 40] == "and 60 smaller classes"
    (constant,) = (line for line in lines if line.startswith("constant:"))
    assert constant.startswith("constant: 1, 3, 5") and constant.endswith("23 and 18 more")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_stream_without_blocks_gets_other_bars(folder, monkeypatch, encoding):
    (folder / "t.csv").write_text("a,label\n1,caf\u00e9\n2,\u4e09\n3,\u4e09\n", encoding="utf-8")
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    assert main(["describe", "t.csv"]) == 0
    sys.stdout.flush()
    text = raw.getvalue().decode(encoding)
    assert ("█" * 40 in text) == (encoding == "utf-8")
    assert ("#" * 40 in text) == (encoding != "utf-8")
    assert ("caf?" in text) == (encoding == "ascii")


def test_labels_cannot_send_commands_to_the_terminal(capsys, folder):
    (folder / "t.csv").write_text('"a\x1b[31m",label\n1,"x\x1b[2J\ny"\n1,' + "z" * 99 + "\n")
    out = "\n".join(lines_of(capsys, "t.csv", "--columns", "0"))
    assert "\x1b" not in out and "x?[2J?y" in out
    assert "z" * 27 + "..." in out and "z" * 28 not in out


def test_json(capsys):
    document = json.loads("\n".join(lines_of(capsys, "digits", "--json", "--columns", "20")))
    assert (document["data"], document["n_features"]) == ("digits", 64)
    assert [part["n_samples"] for part in document["parts"]] == [1347, 450]
    assert document["parts"][0]["columns"][0]["maximum"] == 16


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["digits", "--columns", "64"], "digits has no column 64; give an index from 0 to 63"),
        (["digits", "--columns", ""], "digits has no column ''; its columns have no names, give an index from 0 to 63"),
        (["digitz"], "did you mean 'digits'"),
    ],
)
def test_what_is_not_there_is_a_sentence(capsys, arguments, sentence):
    assert main(["describe", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and sentence in err
