"""Recipes as files: all of them load, fit their methods and are part of the package."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from fastnn import recipes
from fastnn.recipes.network import draw_with_bias_units, load_data, make_net, make_trainer
from fastnn.recipes.recipe import Published, Recipe


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_loads_and_its_network_and_trainer_can_be_made(name):
    recipe = recipes.load(name)
    assert recipe.name == name
    assert recipe.method in recipes.METHODS
    assert recipe.title and recipe.source.strip() and not recipe.title.endswith(".")
    assert min(recipe.quick_seconds, recipe.seconds) > 0
    names = [published.name for published in recipe.published]
    assert len(names) == len(set(names))
    for table, changes in recipe.quick.items():
        assert all(getattr(recipe, table).get(key) != value for key, value in changes.items()), "said twice"
    for form in (recipe, recipe.quickened()):
        if form.network and form.training:
            make_trainer(form.training, make_net(form.network), 1)


def test_the_names_are_those_of_the_files_and_sorted():
    assert recipes.names() == sorted(recipes.names())
    assert {"neuralnet-digits", "neuralnet-mnist", "numpy-ann", "softmax-tanh"} <= set(recipes.names())


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"got 'numpyann'; did you mean 'numpy-ann'"):
        recipes.load("numpyann")


@pytest.mark.parametrize("name", ["../recipes/numpy-ann", "", "numpy-ann.toml"])
def test_a_name_is_no_path(name):
    with pytest.raises(ValueError, match="recipe must be one of"):
        recipes.load(name)


def test_an_unknown_method_is_refused():
    recipe = Recipe("made-up", "t", "s", 1, 1, method="standart")
    with pytest.raises(ValueError, match=r"the method of made-up must be one of .* did you mean 'standard'"):
        recipes.reproduce(recipe)


def test_the_quick_form_changes_what_it_names_and_nothing_else():
    recipe = Recipe(
        "r", "t", "s", 1, 1,
        data={"name": "digits"}, training={"max_epochs": 9, "loss": "mse"}, quick={"training": {"max_epochs": 2}},
    )  # fmt: skip
    quick = recipe.quickened()
    assert quick.training == {"max_epochs": 2, "loss": "mse"}
    assert quick.data == recipe.data
    assert recipe.training["max_epochs"] == 9


def test_the_quick_form_can_only_change_tables():
    with pytest.raises(ValueError, match="did you mean 'training'"):
        Recipe("r", "t", "s", 1, 1, quick={"trainin": {}}).quickened()


@pytest.mark.parametrize(
    ("rule", "tolerance", "ours", "met"),
    [
        ("at least", 0.0, 0.5, True),
        ("at least", 0.0, 0.4999, False),
        ("at least", 0.1, 0.4501, True),
        ("at least", 0.1, 0.4499, False),
        ("at most", 0.1, 0.5501, False),
        ("at most", 0.0, 0.5, True),
        ("at most", 0.0, 0.5001, False),
        ("equal", 1e-3, 0.5004, True),
        ("equal", 1e-3, 0.4994, False),
        ("equal", 1e-3, 0.5006, False),
        ("equal", 0.0, 0.5, True),
        ("at least", 0.0, float("nan"), False),
        ("at most", 0.0, float("nan"), False),
        ("equal", 1.0, float("nan"), False),
    ],
)
def test_when_a_figure_is_met(rule, tolerance, ours, met):
    assert Published("x", 0.5, rule, tolerance).is_met(ours) is met


def test_the_quick_form_is_held_to_its_own_figure_where_there_is_one():
    published = Published("x", 0.95, quick=0.9)
    assert published.is_met(0.92, quick=True) and not published.is_met(0.92)
    assert not Published("x", 0.95).is_met(0.92, quick=True)


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="the rule of 'x' must be one of at least, at most, equal"):
        Published("x", 0.5, "exactly")


def test_figures_are_shown_with_the_digits_that_count():
    assert Published("x", 0.8669, percent=True).show(0.8669) == "86.69%"
    assert Published("x", 2.7007775438283583, "equal", 1e-9).show(2.7007775438283583) == "2.7007775438283583"
    assert Published("x", 0.821).show(0.82136) == "0.8214"


def test_bias_units_are_drawn_with_the_weights():
    weights, biases = draw_with_bias_units([50, 40, 30], "uniform(2, 3)", seed=0)
    assert [W.shape for W in weights] == [(50, 40), (40, 30)]
    assert [b.shape for b in biases] == [(40,), (30,)]
    assert all(2 <= b.min() < b.max() < 3 for b in biases)
    net = make_net({"sizes": [50, 40, 30], "init": "uniform(2, 3)", "bias_units": True, "dtype": "float64"})
    assert (net.biases[1] == biases[1]).all() and (net.weights[1] == weights[1]).all()


def test_trainer_settings_reach_trainer_and_rule():
    net = fastnn.MLP([4, 3, 2])
    trainer = make_trainer({"learning_rate": 0.5, "batch_size": 7}, net, 1, momentum=0.25, l2=0.125)
    assert (trainer.optimizer.learning_rate, trainer.optimizer.momentum) == (0.5, 0.25)
    assert (trainer.batch_size, trainer.l2, trainer.n_threads, trainer.verbose) == (7, 0.125, 1, 0)


def test_data_can_be_cut_and_divided_anew():
    whole = load_data(Recipe("r", "t", "s", 1, 1, data={"name": "digits"}))
    assert (len(whole.X), len(whole.X_test), whole.image_shape) == (1347, 450, (8, 8))
    cut = load_data(Recipe("r", "t", "s", 1, 1, data={"name": "digits", "rows": 100, "test_rows": 20}))
    assert np.array_equal(cut.X, whole.X[:100]) and np.array_equal(cut.y, whole.y[:100])
    assert np.array_equal(cut.X_test, whole.X_test[:20]) and np.array_equal(cut.y_test, whole.y_test[:20])
    halves = load_data(Recipe("r", "t", "s", 1, 1, data={"name": "digits", "test_fraction": 0.5}))
    assert (len(halves.X), len(halves.X_test)) == (898, 899)
    rows = sorted(map(bytes, [*halves.X, *halves.X_test]))
    assert rows == sorted(map(bytes, [*whole.X, *whole.X_test]))
