"""FLOOR 4: `fastnn evaluate`: the scores of a model on labelled data."""

from __future__ import annotations

import argparse

import fastnn
from fastnn.cli import files
from fastnn.cli.options import default_loss, usage
from fastnn.cli.output import print_json, print_lines, score_lines

DESCRIPTION = """\
score a model on data with labels
Prints loss, and for classes accuracy and macro F1."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model file (.safetensors)")
    files.add_data(parser)
    files.add_part(parser)
    parser.add_argument(
        "--loss", help="cross_entropy or mse (default: mse for the output identity, else cross_entropy)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads to compute with (default: automatic)")


def run(args: argparse.Namespace) -> int:
    net = fastnn.load(args.model)
    data = files.load_data(args.data, args.label).require_labels()
    part, X, y = files.choose_part(data, args.part)
    with usage():
        loss = args.loss or default_loss(net.output)
        trainer = fastnn.Trainer(net, loss=loss, n_threads=args.threads, verbose=0)
    scores = trainer.evaluate(X, y)
    if args.json:
        print_json({"model": args.model, "data": args.data, "part": part, "n_samples": len(X), **scores})
    else:
        print_lines(score_lines(part, scores, len(X)))
    return 0
