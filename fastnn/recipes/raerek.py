"""FLOOR 4: the method of raerek-2017: four published networks, lambda tuned fold by fold, then all in combination."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import fastnn
from fastnn import plots, tuning
from fastnn.datasets import Dataset, describe
from fastnn.recipes.kaggle import load_competition
from fastnn.recipes.network import Data, make_net, make_trainer
from fastnn.recipes.recipe import Recipe
from fastnn.recipes.result import Options, Result, Table
from fastnn.recipes.standard import train
from fastnn.tuning.results import ranking
from fastnn.tuning.space import show

SHOWN = 10  # rows of the table of combinations
MIDDLE = 14 * 28 + 14  # a pixel that does vary


def run(recipe: Recipe, options: Options) -> Result:
    """Train the networks of the source, tune lambda, tune combinations; all are scored on one test part.

    The network of [network] and [training] is the main one. [settings] has: `networks`, by name what the others change
    of it (sizes, and arguments of the trainer); `tuned`, what the network changes whose lambda is tuned, with its
    `name`; `folds` and the `first` and last lambda; `combinations`, arguments of `tuning.tune`. The tunings write
    into subfolders and go on there where they were interrupted.
    """
    competition = load_competition(recipe, options)
    data, settings = competition.data, recipe.settings
    result = train(recipe, options, data)
    result.notes.append(competition.note)
    name = "-".join(map(str, recipe.network["sizes"]))
    scores = {name: {"accuracy": result.figures["test accuracy"], "f1_macro": result.figures["test macro F1"]}}
    for name, changes in settings["networks"].items():
        options.say(name)
        trainer = trainer_of(recipe, changes, options.n_threads)
        trainer.fit(data.X, data.y)
        scores[name] = trainer.evaluate(data.X_test, data.y_test)
        counts = np.bincount(trainer.net.predict(data.X_test))
        if (share := counts.max() / counts.sum()) > 0.5:
            result.notes.append(f"{name}: it diverged, and says {counts.argmax()} of {share:.0%} of the images.")

    of_lambda = tune_lambda(recipe, data, options)
    scores[settings["tuned"]["name"]] = of_lambda.test
    combined = tune_combinations(recipe, data, options)
    scores["tuned combinations"] = combined.test
    for name, found in scores.items():
        result.figures |= {f"{name}: accuracy": found["accuracy"], f"{name}: macro F1": found["f1_macro"]}
    result.tables += [pixels(data), table_of_lambda(of_lambda), table_of_combinations(combined)]
    y = np.concatenate([data.y, data.y_test])
    result.pictures["class_histogram"] = lambda: plots.class_histogram(y)
    return result


def trainer_of(recipe: Recipe, changes: Mapping[str, Any], n_threads: int | None) -> fastnn.Trainer:
    """The main network and its trainer with changes: `sizes`, `seed` of both, and arguments of the trainer."""
    rest = dict(changes)
    of_net = {key: rest[key] for key in ("sizes", "seed") if key in rest}
    rest.pop("sizes", None)
    return make_trainer(recipe.training, make_net(recipe.network, **of_net), n_threads, **rest)


def tune_lambda(recipe: Recipe, data: Data, options: Options) -> tuning.TuningResult:
    """One value a fold, each fold with another random tenth of the samples to validate; the best F1 decides."""
    tuned = dict(recipe.settings["tuned"])
    n_folds, first, last = tuned.pop("folds"), tuned.pop("first"), tuned.pop("last")
    options.say(f"tuning lambda of {tuned.pop('name')}")
    return tuning.tune(
        data.X,
        data.y,
        {"l2": next_value(first, (last / first) ** (1 / (n_folds - 1)))},
        base={"seed": recipe.network["seed"], **tuned},
        folds=n_folds,
        split="shuffle",
        candidate_per_fold=True,
        train_scores=True,
        X_test=data.X_test,
        y_test=data.y_test,
        score="f1_macro",
        n_jobs=options.n_threads,
        out=_folder(options, "lambda"),
        make_trainer=lambda values, X, y: trainer_of(recipe, values, 1),
    )


def next_value(first: float, factor: float) -> Callable[[float | None], float]:
    """A function that gives a hyperparameter its next value: `first`, then always `factor` times the one before.

    Examples
    --------
    >>> function = next_value(0.5, 2)
    >>> function(None), function(0.5), function(1.0)
    (0.5, 1.0, 2.0)
    """
    return lambda previous: first if previous is None else previous * factor


def tune_combinations(recipe: Recipe, data: Data, options: Options) -> tuning.TuningResult:
    """Layer sizes, activation and the other hyperparameters at once, on stratified folds."""
    options.say("tuning combinations")
    return tuning.tune(
        data.X,
        data.y,
        **recipe.settings["combinations"],
        X_test=data.X_test,
        y_test=data.y_test,
        n_jobs=options.n_threads,
        out=_folder(options, "combinations"),
    )


def _folder(options: Options, name: str) -> Path | None:
    """Each form has its own, so that neither takes the other's fits for its own."""
    if options.folder is None:
        return None
    return options.folder / f"tuning-{name}{'-quick' if options.quick else ''}"


def pixels(data: Data) -> Table:
    """The last pixels, which never vary, and one in the middle."""
    X, y = np.concatenate([data.X, data.X_test]), np.concatenate([data.y, data.y_test])
    names = [f"pixel{i}" for i in range(X.shape[1])]
    part = describe(Dataset("labelled", X, y, feature_names=names), [MIDDLE, *names[-3:]]).parts[0]
    rows = [[c.name, f"{c.minimum:g}", f"{c.maximum:g}", f"{c.mean:.1f}", f"{c.std:.1f}"] for c in part.columns]
    title = f"{part.n_samples:,} images; {len(part.constant)} of {X.shape[1]} pixels never vary"
    return Table(title, ["", "min", "max", "mean", "std"], rows)


def table_of_lambda(found: tuning.TuningResult) -> Table:
    """Each fold, its lambda and its scores."""
    rows = [
        [
            str(trial.number),
            show(trial.values["l2"]),
            f"{trial.mean('accuracy'):.2%}",
            f"{trial.mean('f1_macro'):.4f}",
            "best" if trial is found.best_trial else "",
        ]
        for trial in found.trials
    ]
    return Table("lambda, tuned fold by fold", ["fold", "lambda", "accuracy", "macro F1", ""], rows)


def table_of_combinations(found: tuning.TuningResult) -> Table:
    """The best combinations by their means over the folds, and the worst."""
    ranked = ranking(found.trials, found.score)
    shown = ranked if len(ranked) <= SHOWN else [*ranked[: SHOWN - 1], ranked[-1]]
    rows = [
        [
            str(ranked.index(trial) + 1),
            *map(show, trial.values.values()),
            f"{trial.mean('accuracy'):.2%}",
            f"{trial.mean('f1_macro'):.4f} +- {trial.std('f1_macro'):.4f}",
        ]
        for trial in shown
    ]
    title = f"{len(ranked)} combinations, the best and the last"
    return Table(title, ["rank", *shown[0].values, "accuracy", "macro F1"], rows)
