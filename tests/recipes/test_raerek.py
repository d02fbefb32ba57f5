"""raerek-2017: its networks, the tuning of lambda fold by fold, the combinations; in a form of seconds."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from fastnn import recipes, runs
from fastnn.recipes import raerek
from fastnn.recipes.network import Data
from fastnn.recipes.result import Options


@pytest.fixture
def small() -> recipes.Recipe:
    """The quick form with fewer rows and epochs."""
    recipe = recipes.load("raerek-2017")
    quick = {table: dict(changes) for table, changes in recipe.quick.items()}
    settings = quick["settings"]
    settings["timed_rows"] = 100
    settings["tuned"] = {**settings["tuned"], "folds": 3, "max_epochs": 2}
    settings["networks"] = {name: {**c, "max_epochs": 2} for name, c in recipe.settings["networks"].items()}
    combinations = settings["combinations"]
    settings["combinations"] = {**combinations, "base": {**combinations["base"], "max_epochs": 2}}
    quick["data"]["rows"] = 2000
    quick["training"]["max_epochs"] = 3
    return replace(recipe, quick=quick)


def test_the_next_value_is_always_so_many_times_the_one_before():
    function, found, value = raerek.next_value(1e-7, 10.0), [], None
    for _ in range(5):
        value = function(value)
        found.append(value)
    np.testing.assert_allclose(found, [1e-7, 1e-6, 1e-5, 1e-4, 1e-3])


def test_a_changed_trainer_differs_only_in_what_is_changed():
    recipe = recipes.load("raerek-2017")
    main = raerek.trainer_of(recipe, {}, 1)
    other = raerek.trainer_of(recipe, {"sizes": [784, 5, 10], "l2": 0.5, "seed": 3}, 1)
    assert (main.net.sizes, main.l2, main.seed) == ([784, 256, 64, 10], 5e-5, 0)
    assert (other.net.sizes, other.l2, other.seed, other.net.seed) == ([784, 5, 10], 0.5, 3, 3)
    assert other.loss == main.loss == "mse" and other.schedule == main.schedule
    # alpha of the source, whose gradients are sums over the mini-batch
    assert main.optimizer.learning_rate == 0.05 * main.batch_size
    networks = recipe.settings["networks"]
    assert networks["5 units, alpha 0.5 (diverges)"]["learning_rate"] == 0.5 * main.batch_size


def test_pixels_that_never_vary_are_told():
    X = np.zeros((4, 784), np.uint8)
    X[:, raerek.MIDDLE] = [0, 10, 20, 30]
    table = raerek.pixels(Data(X[:3], np.arange(3), X[3:], np.arange(1), (28, 28)))
    assert table.title == "4 images; 783 of 784 pixels never vary"
    assert table.rows[0] == ["pixel406", "0", "30", "15.0", "11.2"]
    assert table.rows[1:] == [[f"pixel{i}", "0", "0", "0.0", "0.0"] for i in (781, 782, 783)]


@pytest.mark.slow
def test_every_part_is_carried_out_written_and_resumed(small, tmp_path):
    options = Options(True, 2, lambda line: None, tmp_path)
    done = recipes.reproduce(small, options)
    recipes.write(done, tmp_path)
    figures = done.result.figures
    assert all(comparison.ours is not None for comparison in done.comparisons)
    assert figures["784-256-64-10: accuracy"] == figures["test accuracy"] == runs.Run(tmp_path).report.accuracy

    # one candidate a fold, every epoch of each with cost, accuracy and F1 of both parts
    of_lambda = runs.Run(tmp_path / "tuning-lambda-quick")
    assert of_lambda.result["accuracy"] == figures["5 units with L2: accuracy"]
    assert of_lambda.result["f1_macro"] == figures["5 units with L2: macro F1"]
    with (of_lambda.folder / "epochs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["candidate"], row["fold"], row["epoch"]) for row in rows] == [
        (str(i), str(i), str(epoch)) for i in (1, 2, 3) for epoch in (1, 2)
    ]
    for part in ("train", "val"):
        assert all(float(row[f"{part}_{score}"]) >= 0 for row in rows for score in ("loss", "accuracy", "f1"))
    with (of_lambda.folder / "candidates.csv").open(newline="") as file:
        candidates = list(csv.DictReader(file))
    best = max(candidates, key=lambda row: float(row["mean_f1_macro"]))
    assert of_lambda.result["best"] == {"l2": float(best["l2"])}

    combined = runs.Run(tmp_path / "tuning-combinations-quick")
    assert combined.result["accuracy"] == figures["tuned combinations: accuracy"]
    assert combined.net.sizes[0] == 784 and combined.net.sizes[-1] == 10

    # nothing is fitted twice, and one thread gives the same
    journal = (of_lambda.folder / "journal.jsonl").read_bytes()
    again = recipes.reproduce(small, replace(options, n_threads=1))
    assert again.result.figures == figures
    assert (of_lambda.folder / "journal.jsonl").read_bytes() == journal
