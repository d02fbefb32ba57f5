"""The progress of a training: what is drawn, where, and how seldom."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import pytest

from fastnn.engine import progress as module
from fastnn.engine.progress import Progress

LOGS = {
    "epoch": 3,
    "train_loss": 0.25,
    "val_loss": 0.5,
    "val_accuracy": 0.9731,
    "learning_rate": 0.1,
    "seconds": 0.04,
    "samples_per_second": 1.5e6,
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal()


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves: clock[0] is the time in seconds."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    return now


def test_silent_writes_nothing(terminal):
    progress = Progress(0, 10, 100, terminal)
    progress.on_step(1, 0.5)
    progress.on_epoch_end(LOGS)
    progress.close()
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("verbose", [1, 2])
def test_one_line_an_epoch_where_nothing_can_be_redrawn(verbose):
    stream = io.StringIO()
    progress = Progress(verbose, 10, 100, stream)
    for done in (0.1, 0.5, 0.9):
        progress.on_step(3, done)
    progress.on_epoch_end(LOGS)
    progress.on_epoch_end({"epoch": 10, "train_loss": 0.2})
    progress.close()
    assert stream.getvalue() == (
        "epoch  3/10  train_loss 0.2500  val_loss 0.5000  val_accuracy 97.31%  1.50M samples/s  0.040 s\n"
        "epoch 10/10  train_loss 0.2000\n"
    )


def test_lines_on_a_terminal_when_asked_for(terminal):
    progress = Progress(2, 10, 100, terminal)
    progress.on_epoch_end(LOGS)
    assert terminal.getvalue().startswith("epoch  3/10  train_loss")


def test_a_terminal_that_cannot_redraw_gets_lines(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    progress = Progress(1, 10, 100, terminal)
    progress.on_epoch_end(LOGS)
    assert terminal.getvalue().startswith("epoch  3/10  train_loss")


def test_bar_shows_the_state_in_a_line_of_the_terminal(terminal, clock):
    progress = Progress(1, 30, 100, terminal)
    clock[0] += 1
    progress.on_epoch_end(LOGS)
    progress.close()
    last = [line for line in terminal.getvalue().splitlines() if "epoch" in line][-1]
    for text in ("3/30", "loss 0.2500", "accuracy 97.31%", "1.50M samples/s"):
        assert text in last
    visible = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]|\r", "", last)
    assert len(visible) <= 77  # with room for ^C in 80 columns


def test_bar_knows_the_speed_before_the_first_epoch_ends(terminal, clock):
    progress = Progress(1, 2, 10_000, terminal)
    progress.on_step(1, 0.1)
    clock[0] += 2
    progress.on_step(1, 0.5)
    progress.close()
    assert "2.00k samples/s" in terminal.getvalue()


def test_bar_is_drawn_ten_times_a_second_at_most(terminal, clock):
    progress = Progress(1, 5000, 100, terminal)
    drawn = []
    progress._bar._rich.refresh = lambda: drawn.append(clock[0])
    for epoch in range(1, 5001):
        clock[0] += 0.001
        progress.on_epoch_end(LOGS | {"epoch": epoch})
    assert 45 <= len(drawn) <= 50
    progress.close()
    assert len(drawn) <= 51


def test_close_draws_the_last_state_once_and_gives_the_cursor_back(terminal):
    progress = Progress(1, 3, 100, terminal)
    progress.on_epoch_end(LOGS)  # too soon after the first drawing to be drawn
    progress.close()
    written = terminal.getvalue()
    assert "3/3" in written
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")
    progress.close()
    assert terminal.getvalue() == written


def test_a_reader_that_left_costs_no_training():
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    Progress(2, 10, 100, Closed()).on_epoch_end(LOGS)


def test_a_process_without_standard_error_trains_silently(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    progress = Progress(1, 10, 100)
    progress.on_epoch_end(LOGS)
    progress.close()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999.4, "999"),
        (999.6, "1.00k"),
        (12_345, "12.3k"),
        (123_456, "123k"),
        (999_900, "1.00M"),
        (2.5e9, "2.50G"),
    ],
)
def test_thousands(value, text):
    assert module._thousands(value) == text


def test_rich_is_imported_only_for_a_bar():
    code = (
        "import io, sys; from fastnn.engine.progress import Progress; "
        "Progress(2, 1, 1, io.StringIO()).on_epoch_end({'epoch': 1}); sys.exit('rich' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
