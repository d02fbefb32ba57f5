"""Optimizers: defaults, canonical types, and a sentence for each bad hyperparameter."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastnn.engine.optimizers import SGD


def test_defaults_and_canonical_types():
    assert SGD() == SGD(0.05, 0.0, False)
    optimizer = SGD(np.float32(0.5), np.float64(0.25), np.bool_(True))
    assert repr(optimizer) == "SGD(learning_rate=0.5, momentum=0.25, nesterov=True)"


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"learning_rate": 0}, ValueError, "learning_rate must be above 0, got 0"),
        ({"learning_rate": -0.1}, ValueError, "learning_rate must be above 0, got -0.1"),
        ({"learning_rate": math.nan}, ValueError, "learning_rate must be finite, got nan"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate must be a number, got 'fast'"),
        ({"momentum": 1.0}, ValueError, "momentum must be below 1, got 1"),
        ({"nesterov": "false"}, TypeError, "nesterov must be True or False, got 'false'"),
        ({"nesterov": True}, ValueError, "nesterov=True needs a momentum above 0"),
    ],
)
def test_bad_hyperparameters_get_a_sentence(arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        SGD(**arguments)


def test_a_value_changed_later_is_checked_by_validate():
    optimizer = SGD()
    optimizer.momentum = 2
    with pytest.raises(ValueError, match="momentum must be below 1"):
        optimizer.validate()
