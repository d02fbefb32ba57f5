"""What a tuning shows: a bar on a terminal, lines elsewhere, nothing when it is to be silent."""

from __future__ import annotations

import io

import pytest

from fastnn.tuning.progress import Progress
from fastnn.tuning.results import Trial


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def play(verbose: int, stream: io.StringIO, more: bool = False) -> str:
    progress = Progress(verbose, "accuracy", stream)
    progress.expect(4, more)
    progress.on_known()
    for fold, accuracy in enumerate((0.5, 0.75), 1):
        progress.on_fit(1, fold, {"hidden": [30, 20]}, record(accuracy))
    progress.on_trial(Trial(1, {"hidden": [30, 20]}, [record(0.5), record(0.75)]))
    progress.on_fit(2, 1, {"hidden": [8]}, record(float("nan"), "the loss became NaN"))
    progress.on_trial(Trial(2, {"hidden": [8]}, [record(float("nan"), "the loss became NaN")]))
    progress.say("and now the final training")
    progress.close()
    return stream.getvalue()


def record(accuracy: float, diverged: str = "") -> dict:
    return {"scores": {"accuracy": accuracy}, "diverged": diverged, "seconds": 1.25}


@pytest.mark.parametrize(("verbose", "stream"), [(1, io.StringIO()), (2, io.StringIO()), (2, Terminal())])
def test_a_line_a_fit(verbose, stream):
    lines = play(verbose, stream).splitlines()
    assert lines[0].startswith("fit 2/4  candidate 1 (hidden=30,20)  fold 1  accuracy 0.5000  1.25 s  about ")
    assert lines[2] == "fit 4/4  candidate 2 (hidden=8)  fold 1  diverged  1.25 s  best 0.6250 with hidden=30,20"
    assert lines[3:] == ["and now the final training"]


def test_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    text = play(1, Terminal())
    assert "fit 4/4" in text and "best 0.6250 with hidden=30,20" in text
    assert "candidate" not in text
    assert text.endswith("and now the final training\n")


def test_lines_on_a_terminal_that_cannot_redraw(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert play(1, Terminal()).startswith("fit 2/4  candidate 1")


def test_no_rest_is_expected_where_nobody_knows_the_end():
    assert " left" not in play(2, io.StringIO(), more=True)


def test_silence_and_a_reader_that_went_away():
    assert play(0, io.StringIO()) == ""
    closed = io.StringIO()
    progress = Progress(2, "accuracy", closed)
    closed.close()
    progress.expect(1)
    progress.on_fit(1, 1, {"l2": 0}, record(0.5))
