"""FLOOR 4: what `train`, `evaluate` and `plot` share: a network judged on samples, and the folder of --out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastnn
from fastnn import datasets, metrics, runs
from fastnn.cli import files


class Judged(NamedTuple):
    """What a classifier makes of labelled samples."""

    actual: np.ndarray  # (n_samples,): labels
    predicted: np.ndarray  # (n_samples,): labels
    probabilities: np.ndarray  # (n_samples, n_outputs)
    report: metrics.Report
    mistakes: list[metrics.Mistake]  # all of them


def judge(net: fastnn.MLP, X: np.ndarray, y: Any) -> Judged | None:
    """Return what `net` makes of samples; None where it predicts numbers or several labels a sample."""
    classes = net.classes
    if net.output == "softmax" and classes is None:  # never trained
        classes = np.arange(net.sizes[-1])
    if net.output == "identity" or classes is None:
        return None
    y = np.asarray(y)
    actual = classes[y.argmax(axis=1)] if y.ndim == 2 and y.shape[1] > 1 else y.reshape(len(y))
    probabilities = net.predict_proba(X)
    predicted = net.decide(probabilities)
    return Judged(
        actual,
        predicted,
        probabilities,
        metrics.report(actual, predicted, classes),
        metrics.mistakes(actual, probabilities, classes),
    )


def check_folder(folder: str, command: str, data: str | None = None, more_files: Iterable[str] = ()) -> None:
    """Raise OSError, RunError or UsageError with a sentence if a run of `command` cannot be written to `folder`.

    That is before the work, and nothing is made yet: a training that fails should leave no empty folder. Neither a
    run's files nor `more_files` may be what `data`, the argument DATA, names.
    """
    path = Path(folder)
    if path.is_dir():
        for name in (*runs.FILES, *more_files):
            if data is not None:
                files.check_keeps(str(path / name), "--out", data=data)
            files.check_writable(str(path / name), "--out")
        files.check_makeable(path / runs.PICTURES)
        if (path / runs.RESULT).exists():
            earlier = runs.Run(path).result.get("command")
            if earlier != command:
                whose = f"fastnn {earlier}" if earlier else "another command"
                raise runs.RunError(f"{path} holds a run of {whose}, which would be mixed up; choose another --out")
    else:
        files.check_makeable(path)


def lasting(source: str) -> str:
    """Return DATA as a run keeps it: paths from the root, so that the data are found from any folder."""
    if source in datasets.NAMES:
        return source
    parts = [source] if Path(source).expanduser().exists() else source.split(",")
    return ",".join(str(Path(part).expanduser().absolute()) for part in parts)
