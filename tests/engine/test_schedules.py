"""Schedules: values at the points their definitions fix, the law to stay within (0, base], reading text."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastnn.engine import schedules
from fastnn.engine.schedules import (
    Constant,
    Cosine,
    Decay,
    Exponential,
    FromCallable,
    InverseTime,
    OneCycle,
    Plateau,
    Schedule,
    Steps,
)

BUILT_IN = [
    Constant(),
    Decay(0.01),
    InverseTime(0.001),
    Exponential(0.95),
    Steps([2, 4], 0.5),
    Cosine(),
    Cosine(final=0.1),
    OneCycle(),
    OneCycle(warmup=0.0),
    Plateau(),
]


def whole_training(schedule: Schedule, *, n_steps: int = 7, base: float = 0.3, max_epochs: int = 6) -> np.ndarray:
    """Return the rates of a whole training, (max_epochs, n_steps)."""
    schedule.begin()
    return np.array([schedule.rates(epoch, n_steps, base, max_epochs) for epoch in range(max_epochs)])


@pytest.mark.parametrize("schedule", BUILT_IN, ids=repr)
def test_rates_are_above_0_and_never_above_the_base(schedule):
    rates = whole_training(schedule)
    assert rates.shape == (6, 7)
    assert rates.dtype == np.float64
    assert (rates > 0).all()
    assert (rates <= 0.3).all()


@pytest.mark.parametrize("schedule", BUILT_IN, ids=repr)
def test_a_second_training_repeats_the_first(schedule):
    first = whole_training(schedule)
    schedule.on_epoch_end({"val_loss": math.nan})
    assert np.array_equal(whole_training(schedule), first)


@pytest.mark.parametrize("schedule", BUILT_IN, ids=repr)
def test_repr_reads_back(schedule):
    assert schedules.make(repr(schedule)) == schedule


def test_decay_compounds():
    rate, decay = 0.3, 0.25
    for epoch, row in enumerate(whole_training(Decay(decay))):
        rate /= 1 + decay * epoch
        np.testing.assert_allclose(row, rate, rtol=1e-14)


def test_decay_is_a_function_of_the_epoch_alone():
    assert Decay(0.1).rates(5, 1, 1.0, 6) == whole_training(Decay(0.1), n_steps=1, base=1.0)[5]


def test_decay_over_many_epochs_ends_at_zero_without_a_warning():
    assert Decay(1.0).rates(1000, 1, 0.1, 1001) == 0.0


def test_inverse_time_counts_the_steps_of_all_epochs():
    rates = whole_training(InverseTime(0.5)).ravel()
    np.testing.assert_allclose(rates, [0.3 / (1 + 0.5 * t) for t in range(42)], rtol=1e-14)


def test_exponential_and_steps_by_hand():
    np.testing.assert_allclose(whole_training(Exponential(0.5))[:, 0], 0.3 * 0.5 ** np.arange(6))
    steps = whole_training(Steps([2, 4], 0.1))[:, 0]
    np.testing.assert_allclose(steps, 0.3 * np.array([1, 1, 0.1, 0.1, 0.01, 0.01]))


def test_cosine_goes_through_its_three_points():
    rates = whole_training(Cosine(final=0.2), n_steps=10, base=1.0, max_epochs=10).ravel()
    assert rates[0] == 1.0
    assert rates[50] == pytest.approx(0.6)
    assert rates[99] == pytest.approx(0.2, abs=1e-3)
    assert (np.diff(rates) < 0).all()


def test_one_cycle_rises_to_the_base_and_falls():
    rates = whole_training(OneCycle(), n_steps=10, base=1.0, max_epochs=10).ravel()
    assert rates[0] == pytest.approx(0.04)
    assert rates.argmax() == 30
    assert rates[30] == 1.0
    assert rates[99] < 1e-3
    assert (np.diff(rates[:31]) > 0).all()
    assert (np.diff(rates[30:]) < 0).all()


def test_plateau_waits_then_lowers_and_respects_the_floor():
    schedule = Plateau(factor=0.1, patience=2, min_rate=0.005)
    seen = []
    for loss in (1.0, 0.9, 0.9, math.nan, 0.9, 0.9, 0.9, 0.9):
        seen.append(schedule.rates(0, 1, 0.1, 8)[0])
        schedule.on_epoch_end({"val_loss": loss})
    np.testing.assert_allclose(seen, [0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.005, 0.005])


def test_plateau_never_raises_a_rate_that_is_below_its_floor():
    assert Plateau(min_rate=0.5).rates(0, 1, 0.1, 1) == 0.1


def test_plateau_without_its_quantity_says_what_there_is():
    with pytest.raises(ValueError, match=r"'val_loss' is not logged; there is epoch, train_loss; give fit a val"):
        Plateau().on_epoch_end({"epoch": 1, "train_loss": 0.5})


def test_settings_may_change_between_trainings_and_are_checked_again():
    schedule = Cosine()
    schedule.final = 2.0
    with pytest.raises(ValueError, match="final must be at most 1, got 2"):
        schedule.begin()


def test_make_accepts_none_objects_callables_and_text():
    schedule = Cosine(0.5)
    assert schedules.make(None) == Constant()
    assert schedules.make(schedule) is schedule
    assert schedules.make("one_cycle(warmup=0.1)") == OneCycle(0.1)
    assert schedules.make("steps((10, 20), factor=0.5)") == Steps([10, 20], 0.5)
    by_hand = schedules.make(lambda epoch: 0.1 * (epoch + 1))
    assert isinstance(by_hand, FromCallable)
    np.testing.assert_allclose(by_hand.rates(2, 3, 99.0, 5), [0.3, 0.3, 0.3])


@pytest.mark.parametrize(
    ("spec", "error", "sentence"),
    [
        ("cosin", ValueError, r"schedule must be one of constant, .*, got 'cosin'; did you mean 'cosine'\?"),
        ("decay", ValueError, r"schedule 'decay' does not fit decay\(decay\): missing a required argument"),
        ("cosine(1, 2)", ValueError, r"'cosine\(1, 2\)' does not fit cosine\(final=0.0\): too many"),
        ("cosine(end=1)", ValueError, "unexpected keyword argument 'end'"),
        ("cosine(", ValueError, r"schedule must look like 'name' or 'name\(0.1, 2\)', got 'cosine\('"),
        ("", ValueError, "schedule must look like"),
        ("cosine(open('x'))", ValueError, "schedule must look like"),
        ("cosine(**{'final': 1})", ValueError, "schedule must look like"),
        ("a.cosine()", ValueError, "schedule must look like"),
        ("cosine\0", ValueError, "schedule must look like"),
        ("exponential(-0.5)", ValueError, "gamma must be above 0, got -0.5"),
        ("exponential('a')", TypeError, "gamma must be a number, got 'a'"),
        ("steps(5)", TypeError, r"epochs must be a list of whole numbers such as \[10, 20\], got 5"),
        ("steps([4, 2])", ValueError, r"epochs must rise from one to the next, got \[4, 2\]"),
        ("steps([0.5])", TypeError, "each of epochs must be a whole number, got 0.5"),
        ("one_cycle(1)", ValueError, "warmup must be below 1, got 1"),
        ("plateau(patience=0)", ValueError, "patience must be at least 1, got 0"),
        ("plateau(mode='up')", ValueError, "mode must be one of auto, min, max, got 'up'"),
        (Cosine, TypeError, r"got the class Cosine; write Cosine\(...\)"),
        (0.1, TypeError, "schedule must be None, a schedule, text or a function of the epoch, got 0.1"),
    ],
)
def test_what_is_no_schedule_gets_a_sentence(spec, error, sentence):
    with pytest.raises(error, match=sentence):
        schedules.make(spec)


@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf])
def test_a_callable_that_gives_no_rate_gets_a_sentence(rate):
    with pytest.raises(ValueError, match="the learning rate of the schedule for epoch 3 must be"):
        schedules.make(lambda epoch: rate).rates(3, 2, 0.1, 5)


def test_a_subclass_without_rates_is_told_so():
    class Forgetful(Schedule):
        pass

    with pytest.raises(NotImplementedError, match="Forgetful must define rates"):
        Forgetful().rates(0, 1, 0.1, 1)
