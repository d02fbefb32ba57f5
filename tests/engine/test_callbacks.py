"""Callbacks, driven by a trainer reduced to what they may touch."""

from __future__ import annotations

import csv
import math
from types import SimpleNamespace

import numpy as np
import pytest

from fastnn.engine.callbacks import Callback, CSVLogger, EarlyStopping, LambdaCallback, ModelCheckpoint


class FakeTrainer:
    """Trains a network whose only weight is the number of the epoch."""

    def __init__(self, callbacks, losses):
        self.net = SimpleNamespace(weights=[np.zeros((1, 1))], biases=[np.zeros(1)], save=self._save)
        self.history = SimpleNamespace(stop_reason="")
        self.stop_training = False
        self.saved = []
        self.callbacks = callbacks
        self.losses = losses

    def _save(self, path):
        self.saved.append((path, float(self.net.weights[0][0, 0])))

    def fit(self, interrupt_after=None):
        """Run the hooks in the trainer's order; an interrupted training still ends in on_train_end."""
        self.stop_training = False
        for callback in self.callbacks:
            callback.set_trainer(self)
            callback.on_train_begin()
        for epoch, loss in enumerate(self.losses):
            for callback in self.callbacks:
                callback.on_epoch_begin(epoch)
            self.net.weights[0][:] = epoch + 1
            self.net.biases[0][:] = -(epoch + 1)
            if epoch == interrupt_after:
                break
            for callback in self.callbacks:
                callback.on_epoch_end(epoch, {"epoch": epoch + 1, "train_loss": 0.5, "val_loss": loss})
            if self.stop_training:
                break
        for callback in self.callbacks:
            callback.on_train_end()
        return self


def test_the_base_does_nothing():
    trainer = FakeTrainer([Callback()], [1.0, 2.0]).fit()
    assert trainer.net.weights[0] == 2
    assert trainer.callbacks[0].trainer is trainer


def test_early_stopping_stops_after_its_patience_and_restores_the_best_weights():
    stopper = EarlyStopping(patience=2)
    trainer = FakeTrainer([stopper], [3.0, 1.0, 2.0, 1.0, 0.0]).fit()
    assert trainer.stop_training
    assert trainer.history.stop_reason == "early_stopping"
    assert (stopper.best, stopper.best_epoch) == (1.0, 2)
    assert trainer.net.weights[0] == 2
    assert trainer.net.biases[0] == -2


@pytest.mark.parametrize("interrupt_after", [None, 3])
def test_early_stopping_restores_however_the_training_ended(interrupt_after):
    trainer = FakeTrainer([EarlyStopping(patience=9)], [3.0, 1.0, 2.0, 2.5]).fit(interrupt_after)
    assert not trainer.stop_training
    assert trainer.net.weights[0] == 2


def test_early_stopping_can_leave_the_last_weights():
    trainer = FakeTrainer([EarlyStopping(patience=1, restore_best_weights=False)], [1.0, 2.0, 3.0]).fit()
    assert trainer.net.weights[0] == 2


def test_early_stopping_on_nan_alone_stops_and_keeps_the_weights():
    trainer = FakeTrainer([EarlyStopping(patience=2)], [math.nan] * 5).fit()
    assert trainer.stop_training
    assert trainer.net.weights[0] == 2


def test_early_stopping_starts_anew_with_each_training():
    stopper = EarlyStopping(patience=1)
    FakeTrainer([stopper], [0.1, 0.2]).fit()
    trainer = FakeTrainer([stopper], [5.0, 4.0]).fit()
    assert not trainer.stop_training
    assert stopper.best == 4.0


def test_early_stopping_min_delta_and_mode():
    assert FakeTrainer([EarlyStopping(min_delta=0.5, patience=1)], [1.0, 0.6]).fit().stop_training
    assert FakeTrainer([EarlyStopping(mode="max", patience=1)], [1.0, 0.6]).fit().stop_training


@pytest.mark.parametrize("callback", [EarlyStopping("val_accuracy"), ModelCheckpoint("x", monitor="val_accuracy")])
def test_an_absent_monitor_lists_the_keys_there_are(callback):
    with pytest.raises(ValueError, match="'val_accuracy' is not logged; there is epoch, train_loss, val_loss"):
        FakeTrainer([callback], [1.0]).fit()


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: EarlyStopping(patience=0), ValueError, "patience must be at least 1, got 0"),
        (lambda: EarlyStopping(min_delta=-1), ValueError, "min_delta must be at least 0, got -1"),
        (lambda: EarlyStopping(mode="maximum"), ValueError, "mode must be one of auto, min, max"),
        (lambda: ModelCheckpoint("a{epoch"), ValueError, "path 'a{epoch' has a brace without its partner"),
        (lambda: LambdaCallback(on_epoch_end=3), TypeError, "on_epoch_end must be a function, got 3"),
    ],
)
def test_bad_arguments_get_a_sentence(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_csv_logger_writes_each_epoch_at_once_and_begins_anew(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("something else\n")
    lengths = []
    count = LambdaCallback(on_epoch_end=lambda epoch, logs: lengths.append(len(read(path))))
    FakeTrainer([CSVLogger(path), count], [0.1 + 0.2, 0.1]).fit()
    assert lengths == [2, 3]
    assert read(path)[0] == ["epoch", "train_loss", "val_loss"]
    assert float(read(path)[1][2]) == 0.1 + 0.2


def test_csv_logger_appends_under_one_header(tmp_path):
    path = tmp_path / "log.csv"
    for _ in range(2):
        FakeTrainer([CSVLogger(path, append=True)], [1.0]).fit()
    assert read(path) == [["epoch", "train_loss", "val_loss"], ["1", "0.5", "1.0"], ["1", "0.5", "1.0"]]


def test_csv_logger_refuses_to_append_to_other_columns(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss\n1,2\n")
    with pytest.raises(ValueError, match="has the columns epoch, loss, this training logs epoch, train_loss"):
        FakeTrainer([CSVLogger(path, append=True)], [1.0]).fit()
    assert path.read_text() == "epoch,loss\n1,2\n"


def test_csv_logger_finds_a_bad_path_before_the_first_epoch(tmp_path):
    with pytest.raises(FileNotFoundError):
        CSVLogger(tmp_path / "absent" / "log.csv").on_train_begin()


def test_model_checkpoint_saves_only_improvements():
    checkpoint = ModelCheckpoint("best.safetensors")
    trainer = FakeTrainer([checkpoint], [3.0, 1.0, 2.0, 0.5]).fit()
    assert trainer.saved == [("best.safetensors", epoch) for epoch in (1, 2, 4)]
    assert checkpoint.best == 0.5


def test_model_checkpoint_can_save_every_epoch_under_its_own_name():
    checkpoint = ModelCheckpoint("{epoch:02d}-{val_loss:.1f}", monitor="absent", save_best_only=False)
    trainer = FakeTrainer([checkpoint], [3.0, 1.0]).fit()
    assert [path for path, _ in trainer.saved] == ["01-3.0", "02-1.0"]
    assert checkpoint.saved == "02-1.0"


def test_model_checkpoint_keeps_its_best_for_the_same_trainer_only():
    checkpoint = ModelCheckpoint("best")
    trainer = FakeTrainer([checkpoint], [1.0]).fit()
    trainer.losses = [2.0]
    assert len(trainer.fit().saved) == 1
    assert len(FakeTrainer([checkpoint], [2.0]).fit().saved) == 1


def test_model_checkpoint_names_an_unknown_quantity_in_the_path():
    with pytest.raises(ValueError, match="names 'val_acc', which is not logged; there is epoch, train_loss"):
        FakeTrainer([ModelCheckpoint("{val_acc}")], [1.0]).fit()


@pytest.mark.parametrize("path", ["{epoch:q}", "{epoch:{width}}", "{val_loss:s}"])
def test_model_checkpoint_says_which_path_cannot_be_filled_in(path):
    with pytest.raises(ValueError, match=f"path '{path}' has a format that does not fit what is logged: "):
        FakeTrainer([ModelCheckpoint(path)], [1.0]).fit()


def test_lambda_callback_runs_each_hook_in_order():
    seen = []
    callback = LambdaCallback(
        on_train_begin=lambda logs: seen.append("begin"),
        on_epoch_begin=lambda epoch, logs: seen.append(f"epoch {epoch}"),
        on_epoch_end=lambda epoch, logs: seen.append(logs["val_loss"]),
        on_train_end=lambda logs: seen.append("end"),
    )
    FakeTrainer([callback, LambdaCallback()], [1.0, 2.0]).fit()
    assert seen == ["begin", "epoch 0", 1.0, "epoch 1", 2.0, "end"]
