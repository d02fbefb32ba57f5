"""FLOOR 4: `fastnn plot`: every picture that the files of a run and its data allow."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import plots, runs
from fastnn.cli import files
from fastnn.cli.options import resolve
from fastnn.cli.outcome import Judged, judge
from fastnn.cli.output import print_json, say
from fastnn.cli.setup import split
from fastnn.datasets import Dataset
from fastnn.plots.figures import require_matplotlib

DESCRIPTION = """\
draw pictures of a run: curves, confusion matrix, mistakes, weights
RUN is the folder that fastnn train, evaluate, tune or reproduce wrote with --out. Drawn are the class histogram,
learning curves, costs, confusion matrix, mistakes (the most confident first), predictions and weights of the first
layer, as PNG files. For some of them the data are loaded again; what cannot be drawn is left out, and why is said.
Pictures that are in the run of a recipe already are kept, since they may show more; --out draws them elsewhere.

example:
  fastnn train digits --out runs/digits
  fastnn plot runs/digits"""

_MOST_IMAGES = 25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="the folder of a run")
    parser.add_argument("--out", metavar="DIR", help="where the pictures go (default: pictures in RUN)")
    parser.add_argument("--data", metavar="DATA", help="load this instead of the data that the run names")


def run(args: argparse.Namespace) -> int:
    found = runs.Run(args.run_folder)
    folder = Path(args.out) if args.out is not None else found.folder / runs.PICTURES
    require_matplotlib()
    files.check_makeable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    material = _Material(found, args.data)
    drawn: list[Path] = []
    left_out: dict[str, str] = {}
    kept = _own_pictures(found, folder)
    for name, draw in _PICTURES.items():
        if name in kept:
            continue
        try:
            axes = draw(material)
        except (TypeError, ValueError) as error:  # of the run's files, the data, or a picture that makes no sense
            left_out[name] = str(error)
        else:
            drawn.append(plots.save(axes, folder / f"{name}.png"))
    if args.json:
        print_json({"run": found.folder, "pictures": drawn, "kept": kept, "left_out": left_out})
    else:
        for path in drawn:
            print(path)
        for name, reason in left_out.items():
            say(f"no {name}: {reason}")
        if kept:
            say(f"kept {', '.join(kept)}; --out DIR draws them elsewhere")
    return 0 if drawn or kept else 1


def _own_pictures(run: runs.Run, folder: Path) -> list[str]:
    """Names of pictures in `folder` that the recipe of a run may have drawn, with what only it knows."""
    if run.result.get("command") != "reproduce" or folder.resolve() != (run.folder / runs.PICTURES).resolve():
        return []
    return [name for name in runs.PICTURE_NAMES if (folder / f"{name}.png").is_file()]


class _Material:
    """What pictures are drawn from. Each thing is made once; what could not be made raises its ValueError again."""

    def __init__(self, run: runs.Run, source: str | None) -> None:
        self.run = run
        self.source = source
        self._made: dict[str, Any] = {}

    def _once(self, name: str, make: Callable[[], Any], missing: str = "") -> Any:
        if name not in self._made:
            try:
                self._made[name] = make()
            except ValueError as error:
                self._made[name] = error
        thing = self._made[name]
        if isinstance(thing, ValueError):
            raise thing
        if thing is None:
            raise ValueError(missing)
        return thing

    @property
    def history(self) -> Any:
        return self._once("history", lambda: self.run.history, f"the run has no {runs.HISTORY}")

    @property
    def settings(self) -> dict[str, Any]:
        """Those of `fastnn train`."""
        settings = self.run.result.get("settings") or {}
        if not isinstance(settings, dict):
            raise ValueError(f"{runs.RESULT} must have an object as settings, got {settings!r}")
        return settings

    @property
    def watched(self) -> str:
        """What the part is called that was scored after every epoch."""
        return str(self.run.result.get("watched") or "validation")

    @property
    def report(self) -> Any:
        return self._once("report", lambda: self.run.report, f"{runs.RESULT} has no report, which only classes have")

    @property
    def net(self) -> Any:
        return self._once("net", lambda: self.run.net, f"the run has no {runs.MODEL}")

    @property
    def data(self) -> Dataset:
        return self._once("data", self._load)

    @property
    def image_shape(self) -> Any:
        return self._once("shape", self._find_shape, "the samples are no images")

    @property
    def scored(self) -> Any:
        """Samples and labels that the run was scored on."""
        return self._once("scored", self._choose)

    @property
    def judged(self) -> Judged:
        X, y = self.scored
        return self._once("judged", lambda: judge(self.net, X, y), "the model does not predict one class a sample")

    def _load(self) -> Dataset:
        source = self.source or self.run.result.get("data")
        if not isinstance(source, str):
            raise ValueError(f"{runs.RESULT} names no data; give --data")
        return files.load_data(source, self.run.result.get("label")).require_labels()

    def _find_shape(self) -> Any:
        shape = self.run.result.get("image_shape")
        return self.data.image_shape if shape is None and "image_shape" not in self.run.result else shape

    def _choose(self) -> tuple[Any, Any]:
        data, result = self.data, self.run.result
        part = result.get("part")
        if part == "validation" and result.get("command") == "train":
            _, X, y = split(data, resolve({}, None) | self.settings).scored
        elif part in ("training", "test", "all"):
            _, X, y = files.choose_part(data, None if part == "all" else part.removesuffix("ing"))
        else:
            raise ValueError(f"{runs.RESULT} does not say which part of the data was scored")
        if (rows := result.get("rows")) is not None:
            if not np.isin(rows, np.arange(len(X))).all():
                raise ValueError(f"{runs.RESULT} names rows that the {len(X)} samples of the data do not have")
            X, y = X[rows], y[rows]
        if len(X) != result.get("n_samples", len(X)):
            raise ValueError(f"the run scored {result['n_samples']} samples, but the data now give {len(X)}")
        return X, y


def _class_histogram(material: _Material) -> Any:
    if material.run.net is not None and material.run.net.output == "identity":
        raise ValueError("the model predicts numbers")
    return plots.class_histogram(material.data.y)


def _costs(material: _Material) -> Any:
    if (logged := material.run.costs) is not None:
        if "iteration" not in logged.columns:
            raise ValueError(f"{runs.COSTS} has no column iteration, only {', '.join(logged.columns)}")
        lines = {name: logged[name] for name in logged.columns if name != "iteration"}
        return plots.costs(logged["iteration"], lines)
    history, result = material.history, material.run.result
    titles = {"train_loss": "training", "val_loss": material.watched}
    lines = {title: history[name] for name, title in titles.items() if name in history.columns}
    n, size = result.get("n_training_samples"), material.settings.get("batch_size")
    steps = -(-n // size) if n and size else 1
    epochs = history["epoch"] if "epoch" in history.columns else range(1, len(history) + 1)
    ax = plots.costs([epoch * steps for epoch in epochs], lines)
    ax.set(yscale="log", xlabel="step" if n and size else "epoch")
    return ax


def _mistakes(material: _Material) -> Any:
    judged = material.judged
    if not judged.mistakes:
        raise ValueError("there are no mistakes")
    return plots.mistakes(material.scored[0], judged.mistakes, material.image_shape, n=_MOST_IMAGES)


def _predictions(material: _Material) -> Any:
    judged, few = material.judged, slice(_MOST_IMAGES)
    X = material.scored[0][few]
    return plots.predictions(X, judged.actual[few], judged.predicted[few], material.image_shape)


_PICTURES: dict[str, Callable[[_Material], Any]] = {
    "class_histogram": _class_histogram,
    "learning_curves": lambda material: plots.learning_curves(material.history, watched=material.watched),
    "costs": _costs,
    "confusion_matrix": lambda material: plots.confusion_matrix(material.report),
    "mistakes": _mistakes,
    "predictions": _predictions,
    "first_layer_weights": lambda material: plots.first_layer_weights(material.net, material.image_shape),
}
