"""FLOOR 4: the method of recipes that need no other: train, score the test part, time an epoch, draw."""

from __future__ import annotations

import time
from typing import Any

import fastnn
from fastnn import metrics, plots
from fastnn.recipes.network import Data, load_data, make_net, make_trainer
from fastnn.recipes.recipe import Recipe
from fastnn.recipes.result import Options, Result
from fastnn.recipes.timing import race_with_numpy


def run(recipe: Recipe, options: Options) -> Result:
    """Train on the training part and score the test part.

    [settings] may have: `say_every` (epochs, default 1), `timed_rows` (default: all; 0 takes no times), `wanted`
    (times NumPy's speed) and `watch` (default true: score the test part after every epoch, as the source does;
    nothing is chosen by it).
    """
    return train(recipe, options, load_data(recipe))


def train(recipe: Recipe, options: Options, data: Data) -> Result:
    """Do what `run` does, on these samples."""
    settings = recipe.settings
    net = make_net(recipe.network)
    trainer = make_trainer(recipe.training, net, options.n_threads)
    timings = []
    if n := settings.get("timed_rows", len(data.X)):
        X, y = data.X[:n], data.y[:n]
        timings.append(race_with_numpy(trainer, X, y, f"an epoch of {len(X):,} rows", wanted=settings.get("wanted")))
    trainer.callbacks = [announce(options, settings.get("say_every", 1), trainer.max_epochs)]
    watched = (data.X_test, data.y_test) if settings.get("watch", True) else (None, None)
    history = trainer.fit(data.X, data.y, *watched)
    result = scored(net, history, data)
    result.timings = timings
    return result


def announce(options: Options, every: int, n_epochs: int) -> fastnn.Callback:
    """A callback that says how an epoch ended: the first, each `every`-th and the last."""
    began = time.perf_counter()

    def on_epoch_end(epoch: int, logs: dict[str, Any]) -> None:
        done = epoch + 1
        if done % every == 0 or done in (1, n_epochs):
            scores = f"  test accuracy {logs['val_accuracy']:.2%}" if "val_accuracy" in logs else ""
            seconds = time.perf_counter() - began
            options.say(f"epoch {done}/{n_epochs}  loss {logs['train_loss']:.4f}{scores}  {seconds:.1f} s")

    return fastnn.LambdaCallback(on_epoch_end=on_epoch_end)


def scored(net: fastnn.MLP, history: fastnn.History, data: Data, most_mistakes: int = 25) -> Result:
    """The result of a trained classifier: figures of the test part, its report, and the pictures."""
    X, y, shape = data.X_test, data.y_test, data.image_shape
    proba = net.predict_proba(X)
    report = metrics.report(y, net.decide(proba), net.classes)
    result = Result(
        figures={
            "test accuracy": report.accuracy,
            "test error": 1.0 - report.accuracy,
            "test macro F1": report.f1_macro,
            "epochs": len(history),
        },
        net=net,
        history=history,
        report=report,
        image_shape=shape,
    )
    wrong = metrics.mistakes(y, proba, net.classes)
    result.pictures["learning_curves"] = lambda: plots.learning_curves(history, watched="test")
    result.pictures["confusion_matrix"] = lambda: plots.confusion_matrix(report)
    if wrong:
        result.pictures["mistakes"] = lambda: plots.mistakes(X, wrong, shape, n=most_mistakes)
    result.pictures["first_layer_weights"] = lambda: plots.first_layer_weights(net, shape)
    return result
