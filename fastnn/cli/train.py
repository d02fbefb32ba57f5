"""FLOOR 4: `fastnn train`: from data to a model file.

However the training ends, but for a loss that diverges, the model so far is saved.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import fastnn
from fastnn import _machine_code, runs
from fastnn.cli import files
from fastnn.cli.options import BY_NAME, OPTIONS, resolve
from fastnn.cli.outcome import check_folder, judge, lasting
from fastnn.cli.output import print_json, print_lines, say, score_lines
from fastnn.cli.setup import Part, Parts, make_trainer, split
from fastnn.datasets import Dataset
from fastnn.engine.warm_up import warm_up

DESCRIPTION = """\
train a network and save it
A setting is taken from the command line, else from the TOML file of --config (its keys are the names of the
options with underscores, such as learning_rate = 0.1), else from the defaults below. Ctrl-C ends the training
and keeps the model so far."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s [options] DATA"
    files.add_data(parser)
    parser.add_argument("--config", metavar="PATH", help="a TOML file with settings")
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="write a run: a folder with model, history.csv, result.json and report.txt, for fastnn plot; "
        "without --save the model is saved there only",
    )
    for title, options in OPTIONS.items():
        group = parser.add_argument_group(title)
        for option in options:
            option.add_to(group)


def run(args: argparse.Namespace) -> int:
    settings = resolve(vars(args), args.config)
    _check_places(args, settings)
    data = files.load_data(args.data, settings["label"])
    parts = split(data, settings)
    trainer = make_trainer(data, parts, settings)

    with sigterm_interrupts():
        compile_seconds = prepare_kernels(trainer.net.dtype, trainer.matmul)
        stopped_by = _fit(trainer, parts)
        # a few steps of a training that was stopped at once are no reason to replace an earlier model
        kept = bool(stopped_by) and not trainer.history and Path(settings["save"]).exists()
        if not kept:
            if args.out is not None:
                Path(args.out).mkdir(parents=True, exist_ok=True)
            trainer.net.save(settings["save"])
    if stopped_by:
        done = f"{len(trainer.history)} of {settings['epochs']} epochs"
        model = f"{settings['save']} is as it was" if kept else f"the model so far is in {settings['save']}"
        say(f"{stopped_by} after {done}; {model}")
        if not trainer.history:
            return 1

    report = _report(args.data, settings, trainer, parts.scored) | {"compile_seconds": compile_seconds}
    if args.out is not None:
        report["out"] = args.out
        _save_run(report, data, trainer, parts)
    if stopped_by:
        return 1
    if args.json:
        print_json(report)
    else:
        _print(report)
    return 0


def _check_places(args: argparse.Namespace, settings: dict[str, Any]) -> None:
    """Choose where the model goes, and raise if something cannot be written: before the training, not after it."""
    names = ["save", "checkpoint", "csv_log"]
    if args.out is not None:
        check_folder(args.out, "train", args.data)
        if settings["save"] is None:
            settings["save"] = str(Path(args.out) / runs.MODEL)
            names.remove("save")  # it is checked, and the folder may not be there yet
    if settings["save"] is None:
        settings["save"] = files.default_model_path(args.data)
    outputs = [(BY_NAME[name].flag, settings[name]) for name in names if settings[name] is not None]
    for flag, path in outputs:
        files.check_keeps(path, flag, data=args.data, config=args.config)
        files.check_writable(path, flag)
    if args.out is not None:  # --save may name the model of the run
        run = [("--save" if name == runs.MODEL else "--out", str(Path(args.out) / name)) for name in runs.FILES]
        outputs = [*run, *outputs]
    files.check_apart(outputs)


@contextlib.contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():  # only there are handlers allowed
        yield
        return
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def prepare_kernels(dtype: np.dtype, matmul: str) -> float:
    """Compile or load the kernels apart from the training, and say so if that takes more than a moment."""
    if _machine_code.cache_folder() is None:
        say("compiling the kernels")
    elif not _machine_code.kept():
        say("compiling the kernels, once for each machine and version")
    return warm_up(dtype, [matmul])


def _fit(trainer: fastnn.Trainer, parts: Parts) -> str:
    """Train; returns what stopped it where the model is to be kept all the same, "" for nothing."""
    watched = (None, None) if parts.watched is None else parts.watched[1:]
    try:
        trainer.fit(*parts.training[1:], *watched)
    except KeyboardInterrupt:
        trainer.history.stop_reason = "interrupted"
        return "interrupted"
    except (OSError, fastnn.ModelFileError) as error:
        # A log or a checkpoint that can no longer be written, say on a full disk, must not cost the training.
        if not trainer.history:
            raise
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        return f"{reason}, stopped"
    return ""


def _report(data: str, settings: dict[str, Any], trainer: fastnn.Trainer, scored: Part) -> dict[str, Any]:
    history = trainer.history
    return {
        "data": data,
        "model": settings["save"],
        "fingerprint": trainer.net.fingerprint(),
        "part": scored.name,
        "n_samples": len(scored.X),
        **trainer.evaluate(scored.X, scored.y),
        "epochs": len(history),
        "stop_reason": history.stop_reason,
        "seconds": sum(history["seconds"]),
        # the harmonic mean: samples of all epochs over seconds of all epochs
        "samples_per_second": len(history) / sum(1 / speed for speed in history["samples_per_second"]),
        "settings": settings,
        "history": history.epochs,
    }


def _save_run(report: dict[str, Any], data: Dataset, trainer: fastnn.Trainer, parts: Parts) -> None:
    """Write the folder of --out."""
    kept = ("part", "n_samples", "epochs", "seconds", "samples_per_second", "compile_seconds", "settings")
    result = {
        "command": "train",
        "data": lasting(report["data"]),
        "label": report["settings"]["label"],
        "image_shape": data.image_shape,
        "n_training_samples": len(parts.training.X),
        "watched": parts.watched and parts.watched.name,
        "scores": {name: report[name] for name in ("loss", "accuracy", "f1_macro", "r2") if name in report},
        **{name: report[name] for name in kept},
    }
    judged = judge(trainer.net, *parts.scored[1:])
    runs.forget_run(report["out"])
    runs.save_run(
        report["out"], net=trainer.net, history=trainer.history, result=result, report=judged and judged.report
    )


def _print(report: dict[str, Any]) -> None:
    label = report["settings"]["label"]
    command = ["fastnn", "predict", report["model"], report["data"]]
    speed = f"{report['samples_per_second']:,.0f} samples/s"
    print_lines(
        [
            *score_lines(report["part"], report, report["n_samples"]),
            ("speed", f"{speed} in {report['epochs']} epochs of {report['seconds']:.3f} s in all"),
            ("fingerprint", report["fingerprint"]),
            ("saved", report["model"]),
            ("predict", shlex.join(command if label is None else [*command, "--label", label])),
            *([("plot", shlex.join(["fastnn", "plot", report["out"]]))] if "out" in report else []),
        ]
    )
