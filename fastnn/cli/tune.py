"""FLOOR 4: `fastnn tune`: settings of a training chosen by k-fold cross-validation, written as a run.

The settings and their names are those of `fastnn train`; what is tried is read here, the rest is fastnn.tuning.
"""

from __future__ import annotations

import argparse
import difflib
import re
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np

import fastnn
from fastnn import tuning
from fastnn._checks import choice, integer, number
from fastnn.cli import files
from fastnn.cli.options import BY_NAME, OPTIONS, Option, UsageError, resolve, usage
from fastnn.cli.outcome import check_folder, lasting
from fastnn.cli.output import print_json, print_lines, say, score_lines
from fastnn.cli.setup import Part, Parts, check_labels, make_trainer
from fastnn.cli.train import prepare_kernels, sigterm_interrupts
from fastnn.datasets import Dataset
from fastnn.engine import specs
from fastnn.tuning.fits import CLASS_SCORES, NUMBER_SCORES, MakeTrainer
from fastnn.tuning.folds import SPLITS
from fastnn.tuning.progress import name_values
from fastnn.tuning.results import CANDIDATES, EPOCHS
from fastnn.tuning.space import RANGES

DESCRIPTION = """\
choose settings by k-fold cross-validation, train with them, and test
Each --try NAME=VALUES gives a setting several values; all combinations are tried, or --trials random ones. A test part
is held out first; each candidate is then trained on all folds but one and scored on that one, several at once. The best
is trained again on everything but the test part, and scored on the test part. Ctrl-C stops at once, and the same
command goes on where it stopped.

VALUES are separated by commas; or by semicolons where a value has commas itself; or a range to draw from:
  --try learning_rate=0.01,0.05,0.1
  --try "hidden=30;100;256,64"
  --try "l2=log(1e-6, 1e-3)" --try "dropout=uniform(0, 0.5)" --try "batch_size=int(16, 256)" --trials 20

DIR gets candidates.csv (means and deviations over the folds), epochs.csv (every epoch of every fold), result.json,
the model and its history; fastnn plot DIR draws pictures.

example:
  fastnn tune digits --try learning_rate=0.05,0.1,0.2 --try "hidden=30;100;64,32" --folds 5 --out runs/tuning"""

_GROUPS = ("network", "training")  # of the settings of `fastnn train`
_BASE = [option.name for group in _GROUPS for option in OPTIONS[group] if option.name != "threads"]
_TRIED = {name: BY_NAME[name] for name in _BASE if name not in ("optimizer", "seed")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s [options] DATA"
    files.add_data(parser)
    parser.add_argument("--config", metavar="PATH", help="a TOML file with settings, as for fastnn train")
    _add_tuning(parser.add_argument_group("tuning").add_argument)
    for title in _GROUPS:
        group = parser.add_argument_group(f"{title}, where it is not tried")
        for option in OPTIONS[title]:
            option.add_to(group)
    group = parser.add_argument_group("files and messages")
    for name in ("label", "verbose"):
        BY_NAME[name].add_to(group)


def _add_tuning(add: Any) -> None:
    add("--try", action="append", dest="tries", metavar="NAME=VALUES", help="a setting and its values (see above)")
    add("--trials", type=int, metavar="N", help="draw N random candidates instead of trying all combinations")
    add("--folds", type=int, default=10, metavar="K", help="number of folds (default: 10)")
    add(
        "--split",
        choices=SPLITS,
        help="stratified: each fold has its share of every class; plain: as chance has it; shuffle: each fold draws "
        "its validation part from all samples (default: stratified for classes, else plain)",
    )
    add(
        "--validation",
        metavar="PART",
        default=argparse.SUPPRESS,
        help="the part that --split shuffle draws (default: 0.1)",
    )
    add(
        "--candidate-per-fold",
        action="store_true",
        help="train each candidate on one fold, the next one on the next fold, instead of each on all",
    )
    add(
        "--test",
        type=float,
        metavar="PART",
        help="hold out this part of the samples as test part (default: the test part of the data, else 0.1)",
    )
    add("--score", choices=(*CLASS_SCORES, "r2"), help="what decides (default: f1_macro; for numbers r2)")
    add("--train-scores", action="store_true", help="after every epoch, score the training part too")
    add("--rows", type=int, metavar="N", help="use the first N samples only (not of a test part)")
    add("--out", metavar="DIR", help="the folder to write (default: the data's name with -tuning, in this folder)")


def run(args: argparse.Namespace) -> int:
    settings = resolve(vars(args), args.config)
    _check(args, settings)
    space = _read_space(args.tries)
    drawn = [name for name, values in space.items() if isinstance(values, tuning.Range)]
    if drawn and args.trials is None:
        raise UsageError(f"--try {drawn[0]} is a range; give --trials N, the number of candidates to draw")
    folder = args.out or files.default_model_path(args.data).removesuffix(".safetensors") + "-tuning"
    check_folder(folder, "tune", args.data, (CANDIDATES, EPOCHS))
    data = files.load_data(args.data, settings["label"])
    y = data.require_labels().y
    check_labels(data, settings["output"])
    if args.rows is not None and args.rows > len(data.X):
        raise UsageError(f"--rows must be at most {len(data.X)}, the samples of {data.name}, got {args.rows}")
    own_test = args.test is None and data.y_test is not None
    base = {name: settings[name] for name in _BASE}
    with sigterm_interrupts():
        prepare_kernels(np.dtype(_dtype(settings)), settings["matmul"])
        try:
            result = tuning.tune(
                data.X[: args.rows],
                None if y is None else y[: args.rows],
                space,
                base=base,
                n_trials=args.trials,
                folds=args.folds,
                split=args.split,
                validation_fraction=0.1 if settings["validation"] is None else settings["validation"],
                candidate_per_fold=args.candidate_per_fold,
                test_fraction=0.1 if args.test is None else args.test,
                X_test=data.X_test if own_test else None,
                y_test=data.y_test if own_test else None,
                score=args.score,
                train_scores=args.train_scores,
                seed=settings["seed"],
                n_jobs=settings["threads"],
                out=folder,
                verbose=settings["verbose"],
                details={"data": lasting(args.data), "label": settings["label"], "image_shape": data.image_shape},
                make_trainer=_maker(data, settings),
            )
        except KeyboardInterrupt:
            say(f"interrupted; what is finished is in {folder}, and the same command goes on from there")
            return 1
    if args.json:
        print_json({"out": folder, **result.details, "trials": _summaries(result)})
    else:
        _print(result, folder)
    return 0


def _check(args: argparse.Namespace, settings: Mapping[str, Any]) -> None:
    """Raise UsageError for what cannot be, with the names that the options have here."""
    if not args.tries:
        raise UsageError("give at least one --try NAME=VALUES, such as --try learning_rate=0.05,0.1,0.2")
    for name in ("patience", "checkpoint", "save", "csv_log"):
        if settings[name] is not None:
            raise UsageError(f"{name} is not for a tuning, which trains all candidates to the end; leave it out")
    if settings["validation"] is not None and args.split != "shuffle":
        raise UsageError("--validation is for --split shuffle; other folds are as large as their number says")
    with usage():
        for flag, value in (("--trials", args.trials), ("--rows", args.rows)):
            if value is not None:
                integer(flag, value, 1)
        integer("--folds", args.folds, 1 if args.split == "shuffle" else 2)
        for flag, value in (("--test", args.test), ("--validation", settings["validation"])):
            if value is not None:
                number(flag, value, 0.0, 1.0, above=True, below=True)
        integer("seed", settings["seed"], 0, 2**63 - 1)
        if settings["threads"] is not None:
            integer("threads", settings["threads"], 1, 1024)
        if args.score is not None:
            choice("--score", args.score, NUMBER_SCORES if settings["output"] == "identity" else CLASS_SCORES)


def _dtype(settings: Mapping[str, Any]) -> str:
    return "float64" if settings["dtype"] == "float64" else "float32"


def _maker(data: Dataset, settings: Mapping[str, Any]) -> MakeTrainer:
    """Return what makes a trainer as `fastnn train` does; scaling is taken from the samples of the fit alone."""
    quiet = {"threads": 1, "verbose": 0}

    def make(values: dict[str, Any], X: np.ndarray, y: np.ndarray) -> fastnn.Trainer:
        chosen = {**settings, **values, **quiet}
        if isinstance(chosen["hidden"], int | float):  # drawn from a range
            chosen["hidden"] = [chosen["hidden"]]
        part = Part("training", X, y)
        return make_trainer(data, Parts(part, None, part), chosen)

    return make


def _read_space(tries: list[str]) -> dict[str, Any]:
    """Return the values of each --try; raises UsageError if one cannot be read."""
    space: dict[str, Any] = {}
    for text in tries:
        name, equals, values = text.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not equals or not values.strip():
            raise UsageError(f"--try must be NAME=VALUES, such as learning_rate=0.05,0.1, got {text!r}")
        if name not in _TRIED:
            near = difflib.get_close_matches(name, _TRIED, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(_TRIED)}"
            raise UsageError(f"--try cannot tune {name!r}; {hint}")
        if name in space:
            raise UsageError(f"--try {name} is given twice; give all its values at once")
        space[name] = _read_values(_TRIED[name], values.strip())
    return space


def _read_values(option: Option, text: str) -> Any:
    spelling = f"--try {option.name}"
    if re.match(rf"({'|'.join(RANGES)})\s*\(", text) and option.name != "init":
        try:
            return specs.build("the text", text, RANGES)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{spelling}={text} is no range: {error}") from None
    if ";" in text:
        parts = text.split(";")
    elif option.name == "hidden":
        if "," in text:
            raise UsageError(
                f"{spelling}={text} would be one network with several layers; separate networks by semicolons, "
                "as in 'hidden=30;100;256,64'"
            )
        parts = [text]
    else:
        parts = re.split(r",(?![^()\[\]]*[)\]])", text)  # not at commas in brackets
    if option.convert is bool:
        return [_read_switch(spelling, part.strip()) for part in parts]
    return [option.parse(part, spelling) for part in parts]


def _read_switch(spelling: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise UsageError(f"{spelling} must be true or false, got {text!r}")
    return text.lower() == "true"


def _summaries(result: tuning.TuningResult) -> list[dict[str, Any]]:
    return [
        {
            "candidate": trial.number,
            "values": trial.values,
            "diverged": trial.diverged,
            "scores": {name: {"mean": trial.mean(name), "std": trial.std(name)} for name in trial.fits[0]["scores"]},
            "seconds": trial.seconds,
        }
        for trial in result.trials
    ]


def _print(result: tuning.TuningResult, folder: str) -> None:
    print(result.text())
    print()
    print_lines(
        [
            ("chosen", name_values(result.best)),
            *score_lines("test", result.test, result.details["n_samples"]),
            ("fingerprint", result.net.fingerprint()),
            ("saved", folder),
            ("pictures", shlex.join(["fastnn", "plot", folder])),
        ]
    )
