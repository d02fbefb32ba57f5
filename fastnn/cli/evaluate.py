"""FLOOR 4: `fastnn evaluate`: the scores of a model on labelled data, its report and its mistakes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import fastnn
from fastnn import metrics, plots, runs
from fastnn._checks import integer
from fastnn.cli import files
from fastnn.cli.options import UsageError, usage
from fastnn.cli.outcome import Judged, check_folder, judge, lasting
from fastnn.cli.output import print_json, print_lines, print_table, say, score_lines
from fastnn.datasets import Dataset
from fastnn.tuning.hyperparameters import default_loss

DESCRIPTION = """\
score a model on data with labels
Prints loss, and for classes accuracy and macro F1; with --report also precision, recall and F1 of each class, the
confusion matrix, and the mistakes that the model was surest of."""

_MISTAKES = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model file (.safetensors)")
    files.add_data(parser)
    files.add_part(parser)
    parser.add_argument("--report", action="store_true", help="also print the report of each class, and mistakes")
    parser.add_argument(
        "--mistakes",
        type=int,
        metavar="N",
        help=f"print the N most confident mistakes; index counts from 0 (default: {_MISTAKES} with --report, else 0)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="also write report.txt, result.json and, with matplotlib, pictures of confusion matrix and mistakes",
    )
    parser.add_argument(
        "--loss", help="cross_entropy or mse (default: mse for the output identity, else cross_entropy)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads to compute with (default: automatic)")


def run(args: argparse.Namespace) -> int:
    with usage():
        shown = integer("--mistakes", (_MISTAKES * args.report) if args.mistakes is None else args.mistakes, 0)
    if args.out is not None:
        check_folder(args.out, "evaluate", args.data)
    net = fastnn.load(args.model)
    data = files.load_data(args.data, args.label).require_labels()
    part, X, y = files.choose_part(data, args.part)
    with usage():
        loss = args.loss or default_loss(net.output)
        trainer = fastnn.Trainer(net, loss=loss, n_threads=args.threads, verbose=0)
    scores = trainer.evaluate(X, y)
    judged = judge(net, X, y) if args.report or shown or args.out is not None else None
    if judged is None and (args.report or shown):
        raise UsageError(
            f"--report and --mistakes are for one class a sample; {args.model} predicts numbers or several labels"
        )

    document: dict[str, Any] = {"model": args.model, "data": args.data, "part": part, "n_samples": len(X), **scores}
    if args.out is not None:
        result = {
            "command": "evaluate",
            "model": Path(args.model).absolute(),
            "fingerprint": net.fingerprint(),
            "data": lasting(args.data),
            "label": args.label,
            "part": part,
            "n_samples": len(X),
            "image_shape": data.image_shape,
            "scores": scores,
        }
        runs.forget_run(args.out)
        runs.save_run(args.out, result=result, report=judged and judged.report)
        document |= {"out": args.out, "pictures": _draw(Path(args.out) / runs.PICTURES, data, X, judged)}
    top = judged.mistakes[:shown] if judged else []
    if args.json:
        if judged and args.report:
            document["report"] = judged.report.as_dict()
        if shown:
            document["mistakes"] = [vars(mistake) for mistake in top]
        print_json(document)
        return 0
    print_lines(score_lines(part, scores, len(X)))
    if judged and args.report:
        print(f"\n{judged.report.text()}", end="")
    if judged and shown:
        _print_mistakes(top, len(judged.mistakes))
    for path in document.get("pictures", []):
        print(path)
    return 0


def _draw(folder: Path, data: Dataset, X: Any, judged: Judged | None) -> list[Path]:
    """Draw what there is to draw, if matplotlib is there."""
    if judged is None:
        return []
    try:
        drawn: dict[str, Any] = {"confusion_matrix": plots.confusion_matrix(judged.report)}
        if data.image_shape is not None and judged.mistakes:
            drawn["mistakes"] = plots.mistakes(X, judged.mistakes, data.image_shape)
    except ImportError as error:
        say(f"no pictures: {error}")
        return []
    folder.mkdir(exist_ok=True)
    return [plots.save(axes, folder / f"{name}.png") for name, axes in drawn.items()]


def _print_mistakes(top: list[metrics.Mistake], n_all: int) -> None:
    print(f"\n{len(top)} of {n_all} mistakes, the most confident first\n" if top else "\nno mistakes")
    if top:
        rows = [[str(m.index), str(m.actual), str(m.predicted), f"{m.confidence:.2%}"] for m in top]
        print_table(["sample", "actual", "predicted", "confidence"], rows)
