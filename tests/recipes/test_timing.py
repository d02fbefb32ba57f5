"""Times of recipes: contestants take turns, the best counts, nothing is changed."""

from __future__ import annotations

import data
import pytest

import fastnn
from fastnn.recipes import timing
from fastnn.recipes.plain import MiniBatchNetwork
from fastnn.recipes.result import Timing


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(timing, "PAUSE_SECONDS", 0.0)


def test_contestants_take_turns_and_the_best_counts(monkeypatch):
    clock, turns = [0.0], []
    lasts = {"a": iter([9.0, 3.0, 2.0, 4.0]), "b": iter([0.5, 6.0, 8.0, 7.0])}

    def work(name):
        turns.append(name)
        clock[0] += next(lasts[name])

    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    best = timing.race({"a": lambda: work("a"), "b": lambda: work("b")}, rounds=3)
    assert turns == ["a", "b"] * 4
    assert best == {"a": 2.0, "b": 6.0}  # the first round, 9.0 and 0.5, does not count


def test_a_race_leaves_network_and_trainer_alone():
    X, y = data.classification()
    net = fastnn.MLP([13, 7, 5])
    callback = fastnn.LambdaCallback(on_epoch_end=lambda epoch, logs: pytest.fail("was called"))
    trainer = fastnn.Trainer(net, max_epochs=9, verbose=0, callbacks=[callback], schedule="cosine")
    before = net.fingerprint()
    found = timing.race_with_numpy(trainer, X, y, "an epoch", n_epochs=2, wanted=8.0)
    assert net.fingerprint() == before and net.classes is None
    assert (trainer.max_epochs, trainer.callbacks, trainer.schedule) == (9, [callback], "cosine")
    assert trainer.net is net and len(trainer.history) == 0
    assert found.fastnn_seconds > 0 and found.other_seconds > 0
    assert (found.work, found.other, found.wanted) == ("an epoch", "NumPy", 8.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numpy_computes_in_the_precision_of_the_network(monkeypatch, dtype):
    found = []
    backward = MiniBatchNetwork._backward

    def watch(self, layers, masks, Y):
        gradients = backward(self, layers, masks, Y)
        found.extend(array.dtype for array in (*layers, Y, *(g for pair in gradients for g in pair)))
        return gradients

    monkeypatch.setattr(MiniBatchNetwork, "_backward", watch)
    X, y = data.classification()
    trainer = fastnn.Trainer(fastnn.MLP([13, 7, 5], dtype=dtype), dropout=0.5, verbose=0)
    timing.race_with_numpy(trainer, X, y, "an epoch")
    assert set(map(str, found)) == {dtype}


def test_times_are_those_of_one_epoch(monkeypatch):
    X, y = data.classification()
    monkeypatch.setattr(timing, "race", lambda contestants: {"fastnn": 0.5, "NumPy": 2.0})
    trainer = fastnn.Trainer(fastnn.MLP([13, 7, 5]), verbose=0)
    found = timing.race_with_numpy(trainer, X, y, "an epoch", n_epochs=4)
    assert (found.fastnn_seconds, found.other_seconds, found.ratio) == (0.125, 0.5, 4.0)


def test_the_ratio_says_how_many_times_as_long_the_other_takes():
    assert Timing("a row", "NumPy", 2.0, 3.0).ratio == 1.5
