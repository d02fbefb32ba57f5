"""History: columns, the best epoch, CSV that reads back exactly, the monitor shared with callbacks."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest

from fastnn.engine.history import History
from fastnn.engine.monitor import Monitor


def three_epochs() -> History:
    history = History()
    for epoch, (loss, accuracy) in enumerate([(0.7, 0.5), (0.1 + 0.2, 0.9), (0.4, 0.9)], start=1):
        history.append({"epoch": epoch, "train_loss": 0.1, "val_loss": loss, "val_accuracy": accuracy})
    return history


def test_columns_and_length():
    history = three_epochs()
    assert len(history) == 3
    assert history["epoch"] == [1, 2, 3]
    assert history.columns == ["epoch", "train_loss", "val_loss", "val_accuracy"]


def test_a_column_absent_from_an_epoch_is_nan_there():
    history = three_epochs()
    history.append({"epoch": 4, "extra": 1.0})
    assert math.isnan(history["val_loss"][3])
    assert [math.isnan(value) for value in history["extra"]] == [True, True, True, False]


def test_an_unknown_column_is_answered_with_those_there_are():
    with pytest.raises(KeyError, match="no column 'loss'; there is epoch, train_loss"):
        three_epochs()["loss"]
    with pytest.raises(KeyError, match="there is none yet"):
        History()["loss"]


def test_rows_are_copies_of_plain_numbers():
    logs = {"epoch": np.int64(1), "train_loss": np.float32(0.5)}
    history = History()
    history.append(logs)
    logs["epoch"] = 99
    assert json.dumps(history.epochs) == '[{"epoch": 1, "train_loss": 0.5}]'


def test_best_is_the_first_best_epoch():
    history = three_epochs()
    assert history.best()["epoch"] == 2
    assert history.best("val_accuracy")["epoch"] == 2
    assert history.best("val_accuracy", mode="min")["epoch"] == 1


def test_best_of_nothing_gets_a_sentence():
    with pytest.raises(ValueError, match="no epoch of 0 has a finite 'val_loss'"):
        History().best()
    history = History()
    history.append({"val_loss": math.nan})
    with pytest.raises(ValueError, match="no epoch of 1 has a finite 'val_loss'"):
        history.best()
    with pytest.raises(ValueError, match="monitor 'loss' is not logged; there is val_loss"):
        history.best("loss")


def test_csv_reads_back_exactly(tmp_path):
    history = three_epochs()
    history.append({"epoch": 4, "train_loss": 1e-17})
    history.to_csv(tmp_path / "history.csv")
    with open(tmp_path / "history.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_loss"]) for row in rows[:3]] == [0.7, 0.1 + 0.2, 0.4]
    assert rows[3] == {"epoch": "4", "train_loss": "1e-17", "val_loss": "", "val_accuracy": ""}


def test_repr_is_one_short_line():
    history = three_epochs()
    history.stop_reason = "max_epochs"
    expected = "<History: 3 epochs, stop_reason='max_epochs', train_loss=0.1, val_loss=0.4, val_accuracy=0.9>"
    assert repr(history) == expected
    assert repr(History()) == "<History: 0 epochs>"


@pytest.mark.parametrize(
    ("name", "mode"),
    [("val_loss", "min"), ("val_accuracy", "max"), ("f1_macro", "max"), ("seconds", "min"), ("r2", "max")],
)
def test_auto_mode_knows_scores_from_losses(name, mode):
    assert Monitor(name).mode == mode


def test_a_gain_must_exceed_min_delta_and_not_be_nan():
    monitor = Monitor("val_loss", min_delta=0.5)
    values = [math.inf, math.nan, 2.0, 1.5, 1.25, math.nan, 0.0, -math.inf]
    gains = [monitor.improves({"val_loss": value}) for value in values]
    assert gains == [False, False, True, False, True, False, True, True]


@pytest.mark.parametrize("value", [None, "0.5", [0.5]])
def test_a_monitored_value_that_is_no_number_counts_as_absent(value):
    with pytest.raises(ValueError, match="'val_loss' is not logged"):
        Monitor("val_loss").improves({"val_loss": value})


def test_a_monitor_must_be_a_name():
    with pytest.raises(TypeError, match="monitor must be the name of a logged quantity, got 3"):
        Monitor(3)
