"""The model by which a training chooses its ranks, and the file with the constants of a machine."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastnn import MLP, Trainer, _machine_code
from fastnn.engine import costs, launch
from fastnn.engine.costs import Costs


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """Nothing known of the machine, which has 4 cores; a folder for what will be."""
    monkeypatch.setattr(_machine_code, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(launch, "available_cores", lambda: 4)
    monkeypatch.delenv("FASTNN_NUM_THREADS", raising=False)
    costs.current.cache_clear()
    yield tmp_path
    costs.current.cache_clear()


def test_operations_are_those_of_the_products():
    assert costs.operations([784, 10]) == 4 * 7840  # no delta is needed below the first layer
    assert costs.operations([784, 256, 64, 10]) == 4 * 784 * 256 + 6 * (256 * 64 + 64 * 10)
    assert costs.operations((784, 30, 10), 10) == 10 * costs.operations((784, 30, 10))


@pytest.mark.parametrize(
    ("sizes", "batch_size", "pays"),
    [
        ((64, 16, 12, 10), 1, False),
        ((784, 30, 10), 10, True),  # by inputs
        ((784, 100, 10), 8, True),
        ((784, 64, 32, 10), 1, True),
        ((784, 30, 10), 60_000, True),  # by rows
        ((64, 64, 10), 64, False),
        ((784, 256, 64, 10), 32, True),
        ((784, 256, 64, 10), 128, True),
        ((784, 1024, 1024, 10), 128, True),
        ((784, 5, 10), 60_000, True),
    ],
)
def test_a_second_rank_where_it_was_measured_to_pay(sizes, batch_size, pays, monkeypatch):
    monkeypatch.setenv("FASTNN_NUM_THREADS", "2")
    monkeypatch.setattr(costs, "current", lambda *_: Costs())
    net = MLP(sizes)
    assert costs.useful_ranks(net, batch_size) == 1 + pays


def test_a_max_norm_is_no_training_by_inputs(monkeypatch):
    monkeypatch.setenv("FASTNN_NUM_THREADS", "2")
    monkeypatch.setattr(costs, "current", lambda *_: Costs())
    assert costs.useful_ranks(MLP([784, 30, 10]), 10, limits_norms=True) == 1


def test_what_is_asked_for_is_taken_at_its_word(fresh, monkeypatch):
    tiny, wide = MLP([4, 3]), MLP([784, 2048, 2048, 10])
    monkeypatch.setattr(costs, "measure", lambda dtype: Costs())
    assert costs.useful_ranks(tiny, 1, 3) == 3
    assert costs.useful_ranks(tiny, 1) == 1
    assert costs.useful_ranks(wide, 256) == 4
    monkeypatch.setenv("FASTNN_NUM_THREADS", "2")
    assert costs.useful_ranks(wide, 256) == 2
    assert costs.useful_ranks(tiny, 1) == 1
    monkeypatch.setenv("FASTNN_NUM_THREADS", "1")
    monkeypatch.setattr(costs, "measure", lambda dtype: pytest.fail("one rank needs no model"))
    assert costs.useful_ranks(wide, 256) == 1


def test_the_least_of_the_first_measurements_counts(fresh, monkeypatch):
    """The machine may have been busy in any of them; then none is made any more."""
    found = iter([(2.0, 9e-10), (0.5, 8e-10), (1.0, 3e-10), (1.0, 7e-10), (1.5, 6e-10)])
    monkeypatch.setattr(costs, "measure", lambda dtype: Costs(*next(found), 1))
    seen = []
    for _ in range(7):
        seen.append(tuple(costs.current("float32")))
        costs.current.cache_clear()
    assert seen[:3] == [(2.0, 9e-10, 1), (0.5, 8e-10, 2), (0.5, 3e-10, 3)]
    assert seen[4:] == [(0.5, 3e-10, 5)] * 3
    (path,) = fresh.iterdir()
    assert json.loads(path.read_bytes()) == {"pace": 0.5, "exchange": 3e-10, "tries": 5}


@pytest.mark.parametrize(
    "rubbish",
    [
        b"",
        b"[]",
        b"{}{",
        b"\xff",
        b'{"pace": "1", "exchange": 1e-9}',
        b'{"pace": 0.0, "exchange": 1e-9}',
        b'{"pace": 1.0, "exchange": NaN}',
        b'{"pace": 1.0, "exchange": 1e-9, "x": 1}',
        b'{"pace": 1.0, "exchange": 1e-9, "tries": "5"}',
    ],
)
def test_a_damaged_file_is_measured_again(fresh, monkeypatch, rubbish):
    monkeypatch.setattr(costs, "measure", lambda dtype: Costs(0.5, 1e-9))
    (fresh / "costs-4-float32.json").write_bytes(rubbish)
    assert costs.current("float32") == Costs(0.5, 1e-9)


def test_without_a_folder(monkeypatch):
    monkeypatch.setattr(_machine_code, "cache_folder", lambda: None)
    monkeypatch.setattr(costs, "measure", lambda dtype: Costs(0.5, 1e-9))
    costs.current.cache_clear()
    assert costs.current("float32") == Costs(0.5, 1e-9)
    costs.current.cache_clear()


def test_a_measurement_is_within_its_limits(monkeypatch):
    monkeypatch.setattr(launch, "available_cores", lambda: 2)
    pace, exchange, tries = costs.measure("float32")
    assert 0.25 <= pace <= 2
    assert 0.25 <= exchange / Costs().exchange <= 2
    assert tries == 1
    monkeypatch.setattr(launch, "available_cores", lambda: 1)
    assert costs.measure("float32") == Costs(tries=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_measurement_trains_in_the_precision_that_is_asked_for(dtype, fresh, monkeypatch):
    """Another one would have its programs compiled, which takes a hundred times as long as the measurement."""
    seen = []
    monkeypatch.setattr(costs, "_timed_steps", lambda network, *_: seen.append(network.dtype) or (lambda: 1e-5))
    costs.useful_ranks(MLP([784, 256, 10], dtype=dtype), 128)
    assert set(seen) == {MLP([1, 2], dtype=dtype).dtype}
    assert [path.name for path in fresh.iterdir()] == [f"costs-4-{dtype}.json"]


def test_a_training_on_bytes_that_stay_bytes_measures_nothing(fresh, monkeypatch):
    """The measurement is made by another program, which would be compiled for it."""
    monkeypatch.setattr(costs, "measure", lambda dtype: pytest.fail("measured"))
    X, y = np.zeros((64, 20), np.uint8), np.arange(64) % 2
    Trainer(MLP([20, 5, 2]), max_epochs=1, verbose=0).fit(X, y)
    assert list(fresh.glob("costs-*")) == []
    (fresh / "costs-4-float32.json").write_bytes(json.dumps(Costs(2.0, 1e-9, 1)._asdict()).encode())
    assert costs.current("float32", False) == Costs()
    costs.current.cache_clear()
    assert costs.current("float32", False) == Costs(2.0, 1e-9, 1)
