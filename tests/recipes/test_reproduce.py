"""Recipes carried out: what is compared, what is written, and every recipe in its quick form."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import commands
import pytest
from commands import run

import fastnn
from fastnn import recipes, runs
from fastnn.recipes import numpy_ann, timing
from fastnn.recipes.result import Options, Reproduction, Result

folder = commands.folder


@pytest.fixture
def tiny(monkeypatch) -> recipes.Recipe:
    """A recipe of a second, also for the command."""
    monkeypatch.setattr(timing, "PAUSE_SECONDS", 0.0)
    recipe = recipes.Recipe(
        "tiny", "A small network", "Somebody trained a small network.", 1, 1,
        published=(recipes.Published("test accuracy", 0.8), recipes.Published("test error", 0.2, "at most")),
        data={"name": "digits"},
        network={"sizes": [64, 16, 10], "input_scale": 0.0625},
        training={"learning_rate": 0.2, "batch_size": 16, "max_epochs": 5},
        quick={"training": {"max_epochs": 3}},
    )  # fmt: skip
    monkeypatch.setattr(recipes, "load", lambda name: recipe)
    return recipe


def reproduction(figures, quick=False, **changes):
    published = (recipes.Published("accuracy", 0.9, quick=0.5), recipes.Published("cost", 2.0, "equal", 1e-9))
    recipe = recipes.Recipe("r", "t", "s", 1, 1, published=published, **changes)
    return Reproduction(recipe, Options(quick), Result(figures), 1.0)


@pytest.mark.parametrize(
    ("figures", "quick", "met", "succeeded"),
    [
        ({"accuracy": 0.91, "cost": 2.0}, False, [True, True], True),
        ({"accuracy": 0.89, "cost": 2.0}, False, [False, True], False),
        ({"accuracy": 0.91}, False, [True, False], False),
        ({"accuracy": 0.6, "other": 1.0}, True, [True, None], True),
        ({"accuracy": 0.4}, True, [False, None], False),
        ({"accuracy": 0.6, "cost": 2.1}, True, [True, False], False),
    ],
)
def test_a_figure_is_met_or_missed_or_not_in_the_quick_form(figures, quick, met, succeeded):
    done = reproduction(figures, quick)
    assert [comparison.met for comparison in done.comparisons] == met
    assert done.succeeded is succeeded
    assert [row["met"] for row in done.as_dict()["published"]] == met


def test_a_recipe_without_figures_succeeds():
    recipe = recipes.Recipe("r", "t", "s", 1, 1)
    assert Reproduction(recipe, Options(), Result({}), 1.0).succeeded


def test_the_command_trains_compares_and_writes_a_run(capsys, folder, tiny):
    code, out, err = run(capsys, "reproduce", "tiny")
    assert code == 0
    assert "tiny takes about 1 s" in err and "epoch 5/5" in err
    for part in ("Somebody trained", "precision", "0.8 ", "met", "an epoch of 1,347 rows: NumPy", "build/tiny"):
        assert part in out
    written = {str(path.relative_to(folder / "build/tiny")) for path in (folder / "build/tiny").rglob("*.*")}
    pictures = {f"pictures/{n}.png" for n in ("learning_curves", "confusion_matrix", "mistakes", "first_layer_weights")}
    assert written == {"model.safetensors", "history.csv", "result.json", "report.txt"} | pictures
    found = runs.Run("build/tiny")
    assert found.result["recipe"] == "tiny" and found.result["succeeded"] is True and found.result["quick"] is False
    assert found.result["fingerprint"] == found.net.fingerprint()
    assert found.result["form"]["training"] == tiny.training
    assert found.report.accuracy == found.result["figures"]["test accuracy"]
    assert len(found.history) == 5
    assert found.result["watched"] == "test"


def test_an_interruption_before_anything_is_written_leaves_no_folder(capsys, folder, monkeypatch, tiny):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(fastnn.Trainer, "fit", interrupted)
    code, _, err = run(capsys, "reproduce", "tiny")
    assert code == 130 and err.endswith("\nfastnn: interrupted\n")
    assert list(folder.iterdir()) == []


def test_json_is_one_document(capsys, tiny):
    code, out, _ = run(capsys, "reproduce", "tiny", "--quick", "--json", "--out", "there")
    document = json.loads(out)
    assert code == 0 and document["quick"] is True and document["folder"] == "there"
    assert document["form"]["training"]["max_epochs"] == document["figures"]["epochs"] == 3
    assert document["timings"][0]["ratio"] == pytest.approx(
        document["timings"][0]["other_seconds"] / document["timings"][0]["fastnn_seconds"]
    )


def test_a_missed_figure_is_exit_code_1(capsys, monkeypatch, tiny):
    hard = replace(tiny, published=(recipes.Published("test accuracy", 1.01, percent=True),))
    monkeypatch.setattr(recipes, "load", lambda name: hard)
    code, out, _ = run(capsys, "reproduce", "tiny", "--quick")
    assert code == 1 and "missed" in out


def test_without_matplotlib_there_are_no_pictures_but_all_else(capsys, folder, monkeypatch, tiny):
    def refuse(*_, **__):
        raise ImportError("pictures need matplotlib: pip install 'fastnn[plot]'")

    for name in ("learning_curves", "confusion_matrix", "mistakes", "first_layer_weights"):
        monkeypatch.setattr(recipes.folder.plots, name, refuse)
    code, out, _ = run(capsys, "reproduce", "tiny", "--quick")
    assert code == 0 and "pictures need matplotlib" in out
    assert runs.Run("build/tiny").result["notes"] == ["pictures need matplotlib: pip install 'fastnn[plot]'"]
    assert not (folder / "build/tiny/pictures").exists()


def test_the_list_names_every_recipe(capsys):
    code, out, _ = run(capsys, "reproduce", "--list")
    assert code == 0
    for name in recipes.names():
        assert f"{name} " in out and recipes.load(name).title in out
    code, out, _ = run(capsys, "reproduce", "--list", "--json")
    assert [recipe["name"] for recipe in json.loads(out)["recipes"]] == recipes.names()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give the NAME of a recipe, one of"),
        (["numpy-an"], "did you mean 'numpy-ann'?"),
        (["numpy-ann", "--threads", "0"], "--threads must be at least 1, got 0"),
    ],
)
def test_bad_usage_is_a_sentence(capsys, folder, arguments, sentence):
    code, out, err = run(capsys, "reproduce", *arguments)
    assert code == 2 and out == "" and sentence in err
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_a_file_is_refused_before_the_work(capsys, folder):
    (folder / "there").write_text("mine")
    code, _, err = run(capsys, "reproduce", "numpy-ann", "--out", "there")
    assert code == 1 and "there" in err and "iteration" not in err
    assert (folder / "there").read_text() == "mine"


# those that take minutes even so have a shorter form in tests of their own
QUICK = [name for name in recipes.names() if recipes.load(name).quick_seconds < 60]


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_every_recipe_in_its_quick_form(capsys, name):
    code, out, _ = run(capsys, "reproduce", name, "--quick", "--json")
    document = json.loads(out)
    assert code == 0 and document["succeeded"]
    assert document["timings"] and all(timing["ratio"] > 0 for timing in document["timings"])
    assert document["pictures"]
    assert (
        fastnn.load(f"build/{name}/model.safetensors").fingerprint() == runs.Run(f"build/{name}").result["fingerprint"]
    )


@pytest.mark.slow
def test_numpy_ann_reaches_all_twenty_costs_and_the_accuracy(monkeypatch):
    monkeypatch.setattr(numpy_ann, "race_with_numpy", lambda *_, **__: recipes.Timing("", "", 1.0, 1.0))
    done = recipes.reproduce("numpy-ann", Options(say=lambda line: None))
    costs = [comparison for comparison in done.comparisons if " cost " in comparison.published.name]
    assert len(costs) == 20
    for comparison in costs:
        assert comparison.ours == pytest.approx(comparison.published.value, rel=1e-9)
    assert done.result.figures["test accuracy"] == 0.8669
    assert done.succeeded
    recipes.write(done, runs.Path("run"))
    with open("run/costs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["iteration"]) for row in rows] == list(range(0, 1000, 20))
    assert float(rows[5]["validation"]) == done.result.figures["validation cost 100"]


@pytest.mark.slow
def test_neuralnet_digits_gives_the_same_bits_with_any_number_of_threads():
    quick = [recipes.reproduce("neuralnet-digits", Options(True, n, lambda line: None)) for n in (1, 2)]
    assert len({done.result.net.fingerprint() for done in quick}) == 1


@pytest.mark.slow
def test_softmax_tanh_has_each_feature_on_and_off_and_any_number_of_threads_gives_it():
    tables = [recipes.reproduce("softmax-tanh", Options(True, n, lambda line: None)).result.tables[0] for n in (1, 2)]
    assert tables[0] == tables[1]
    features = tables[0].header[1:-3]
    assert set(features) == {"momentum", "decay", "L2", "L1", "dropout"}
    switches = {row[0]: row[1:-3] for row in tables[0].rows}
    assert set(switches["all"]) == {"on"} and set(switches["none"]) == {"-"}
    for i, feature in enumerate(features):
        assert [j for j, cell in enumerate(switches[f"{feature} alone"]) if cell == "on"] == [i]
        assert [j for j, cell in enumerate(switches[f"all but {feature}"]) if cell == "-"] == [i]
    results = {tuple(row[-3:]) for row in tables[0].rows}
    assert len(results) >= 10
