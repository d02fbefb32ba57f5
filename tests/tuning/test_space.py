"""Candidates: grids, draws, functions; and what a value is when it is written down."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn.engine.schedules import OneCycle
from fastnn.tuning import Int, Log, Uniform, make_candidates
from fastnn.tuning.space import describe, digest, show


def test_a_grid_has_every_combination_in_order():
    found = make_candidates({"hidden": [[30], [20, 10]], "l2": (0.0, 1e-4), "activation": np.array(["relu", "tanh"])})
    assert len(found) == 8
    assert found[0] == {"hidden": [30], "l2": 0.0, "activation": "relu"}
    assert found[1] == {"hidden": [30], "l2": 0.0, "activation": "tanh"}
    assert found[-1] == {"hidden": [20, 10], "l2": 1e-4, "activation": "tanh"}
    assert make_candidates({"l2": [0, 1, 2]}, "grid", 2) == [{"l2": 0}, {"l2": 1}]


def test_random_draws_keep_to_their_ranges_and_their_seed():
    space = {"l2": Log(1e-6, 1e-2), "dropout": "uniform(0, 0.5)", "batch_size": Int(3, 5), "momentum": [0.5, 0.9]}
    found = make_candidates(space, n_trials=400, seed=3)
    assert found == make_candidates(space, "random", 400, 3)
    assert found[:10] == make_candidates(space, n_trials=10, seed=3), "more trials only add candidates"
    assert found != make_candidates(space, n_trials=400, seed=4)
    exponents = np.log10([c["l2"] for c in found])
    assert exponents.min() > -6 and exponents.max() < -2
    np.testing.assert_allclose(np.histogram(exponents, 4, (-6, -2))[0], 100, atol=40)
    assert {c["batch_size"] for c in found} == {3, 4, 5}
    assert {c["momentum"] for c in found} == {0.5, 0.9}
    assert all(type(c["batch_size"]) is int and 0 <= c["dropout"] < 0.5 for c in found)


def test_random_draws_from_lists_are_different_and_end_when_all_are_drawn():
    space = {"l2": [0, 1, 2], "momentum": [0, 0.5]}
    assert len(make_candidates(space, n_trials=4)) == 4
    everything = make_candidates(space, n_trials=100)
    assert len(everything) == 6
    assert sorted(map(str, everything)) == sorted(map(str, make_candidates(space)))


def test_a_function_gives_one_value_after_another():
    seen = []

    def double(previous):
        seen.append(previous)
        return 1 if previous is None else 2 * previous if previous < 8 else None

    assert [c["l2"] for c in make_candidates({"l2": double})] == [1, 2, 4, 8]
    assert seen == [None, 1, 2, 4, 8]
    assert len(make_candidates({"l2": double, "momentum": [0, 0.9]})) == 8
    assert [c["l2"] for c in make_candidates({"l2": double}, n_trials=2)] == [1, 2]


@pytest.mark.parametrize(
    ("space", "choices", "sentence"),
    [
        ({}, {}, "space must be a dict with a list of values"),
        ([1, 2], {}, "space must be a dict"),
        ({"l2": 0.1}, {}, "l2 must have a list of values to try, a range or a function, got 0.1"),
        ({"l2": []}, {}, r"l2 must have a list .* got \[\]"),
        ({"l2": "logs(1, 2)"}, {}, "l2 must be one of uniform, log, int, got 'logs'; did you mean 'log'"),
        ({"l2": Log(1, 2)}, {}, "a random search needs n_trials"),
        ({"l2": Log(1, 2)}, {"search": "grid"}, "l2 has a range, which a grid cannot cover"),
        ({"l2": [1]}, {"n_trials": 0}, "n_trials must be at least 1, got 0"),
        ({"l2": [1]}, {"search": "gird"}, "search must be one of grid, random, got 'gird'"),
        ({"l2": lambda previous: 1}, {}, "the function of l2 gave 10000 values without an end"),
        ({"l2": lambda previous: None}, {}, "the function of l2 gave no value"),
    ],
)
def test_spaces_that_give_nothing(space, choices, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        make_candidates(space, **choices)


@pytest.mark.parametrize(
    ("kind", "low", "high", "sentence"),
    [
        (Uniform, 1, 1, "high must be above 1, got 1"),
        (Log, 0, 1, "low must be above 0, got 0"),
        (Log, 2, 1, "high must be above 2, got 1"),
        (Int, 1.5, 3, "low must be a whole number, got 1.5"),
        (Int, 3, 1, "high must be above 3, got 1"),
        (Uniform, 0, "1", "high must be a number, got '1'"),
    ],
)
def test_ranges_that_cannot_be(kind, low, high, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        kind(low, high)


def test_values_are_described_alike_in_every_process():
    values = [np.float64(0.5), np.int64(3), True, None, [30, (1, 2)], OneCycle(warmup=0.2), {"a": np.arange(3)}]
    found = describe("it", values)
    assert found[:5] == [0.5, 3, True, None, [30, [1, 2]]]
    assert found[5] == "OneCycle(warmup=0.2, start=0.04, final=0.0)"
    assert found[6] == {"a": f"array (3,) int64 {digest(np.arange(3))}"}
    with pytest.raises(TypeError, match=r"schedule is <function .* cannot be written down"):
        describe("base", {"schedule": lambda epoch: 0.1})


def test_digests_tell_arrays_apart():
    X = np.arange(6, dtype=np.uint8)
    arrays = [X, X.astype(np.int64), X.reshape(2, 3), X[::-1], X.astype(str)]
    assert len({digest(array) for array in arrays}) == len(arrays)
    assert digest(np.arange(12)[::2]) == digest(np.arange(0, 12, 2))


def test_values_are_shown_as_they_are_written_on_the_command_line():
    assert [show(v) for v in ([256, 64], [], 1e-5, 3, "relu", 0.1 + 0.2)] == [
        "256,64",
        "none",
        "1e-05",
        "3",
        "relu",
        "0.3",
    ]
