"""The rows of the dropout paper: their forms, and in a form of seconds what they do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fastnn import recipes
from fastnn.recipes.network import make_net, make_trainer
from fastnn.recipes.result import Options

NAMES = ["dropout", "dropout-max-norm"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("quick", [False, True])
def test_both_forms_are_the_network_of_the_paper(name, quick):
    recipe = recipes.load(name).quickened() if quick else recipes.load(name)
    trainer = make_trainer(recipe.training, make_net(recipe.network), 1)
    assert trainer.net.sizes == [784, 1024, 1024, 1024, 10]
    assert set(trainer.net.activations) == {"relu"}
    assert all(p > 0 for p in trainer.dropout_of_levels())
    assert (trainer.max_norm is not None) is (name == "dropout-max-norm")


def test_the_quick_form_is_held_to_a_larger_error():
    for name, error in zip(NAMES, (0.0125, 0.0106), strict=True):
        (published,) = recipes.load(name).published
        assert (published.name, published.value, published.rule, published.quick) == (
            "test error", error, "at most", 0.015,
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_form_of_seconds_learns_and_keeps_its_norms(name):
    recipe = recipes.load(name)
    quick = {
        "data": {"rows": 6000, "test_rows": 2000},
        "training": {**recipe.quick["training"], "max_epochs": 6},
        "settings": {"timed_rows": 128},
    }
    done = recipes.reproduce(replace(recipe, quick=quick), Options(True, 2, lambda line: None))
    assert done.result.figures["test error"] < 0.12
    (timing,) = done.result.timings
    assert timing.fastnn_seconds > 0 and timing.other_seconds > 0
    if (limit := recipe.training.get("max_norm")) is not None:
        norms = np.concatenate([np.linalg.norm(W, axis=0) for W in done.result.net.weights])
        assert norms.max() <= limit * (1 + 1e-5)
        assert norms.max() > 0.9 * limit
