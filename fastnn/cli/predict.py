"""FLOOR 4: `fastnn predict`: labels or probabilities as CSV."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

import fastnn
from fastnn._files import replace_file
from fastnn.cli import files
from fastnn.cli.options import UsageError
from fastnn.cli.output import print_json, say

DESCRIPTION = """\
predict samples; CSV out, one line a sample in the order of the data
The header is `prediction`, or with --proba `prediction` and one column of probability for each class."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model file (.safetensors)")
    files.add_data(parser)
    files.add_part(parser)
    parser.add_argument("-o", "--output", metavar="PATH", help="the CSV file (default: standard output)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--kaggle", action="store_true", help="write ImageId,Label as Kaggle wants it, ImageId from 1")
    form.add_argument("--proba", action="store_true", help="also write the probability of each class")


def run(args: argparse.Namespace) -> int:
    if args.output:
        files.check_keeps(args.output, "--output", model=args.model, data=args.data)
        files.check_writable(args.output, "--output")
    net = fastnn.load(args.model)
    if args.proba and net.output == "identity":
        raise UsageError(f"--proba: {args.model} predicts numbers (output identity) and has no probabilities")
    data = files.load_data(args.data, args.label)
    part, X, _ = files.choose_part(data, args.part)
    outputs = net.outputs(X)
    predictions, probabilities = net.decide(outputs), outputs if args.proba else None

    text = _csv(*_table(net, predictions, probabilities, args.kaggle)) if args.output or not args.json else ""
    if args.output:
        replace_file(args.output, text.encode())
    if args.json:
        document = {"model": args.model, "data": args.data, "part": part, "n_samples": len(X)}
        if args.output:
            document["output"] = args.output
        else:
            document["predictions"] = predictions
            if probabilities is not None:
                document |= {"classes": net.classes, "probabilities": probabilities}
        print_json(document)
    elif args.output:
        say(f"{len(X):,} predictions written to {args.output}")
    else:
        sys.stdout.write(text)
    return 0


def _table(
    net: Any, predictions: np.ndarray, probabilities: np.ndarray | None, kaggle: bool
) -> tuple[list[str], Iterable[Sequence[Any]]]:
    """Return the header and the rows of the CSV."""
    if kaggle:
        if predictions.ndim > 1:
            raise UsageError("--kaggle: the model predicts several values for a sample, Kaggle wants one")
        return ["ImageId", "Label"], enumerate(_cells(predictions), start=1)
    if predictions.ndim > 1:
        header = [f"prediction_{k}" for k in range(predictions.shape[1])]
        rows = list(zip(*map(_cells, predictions.T), strict=True))
    else:
        header, rows = ["prediction"], [(cell,) for cell in _cells(predictions)]
    if probabilities is not None:
        header += [f"probability_{name}" for name in _output_names(net, probabilities.shape[1])]
        columns = zip(*map(_cells, probabilities.T), strict=True)
        rows = [row + more for row, more in zip(rows, columns, strict=True)]
    return header, rows


def _output_names(net: Any, n_outputs: int) -> list[Any]:
    """The labels that the columns of probabilities belong to."""
    if net.classes is None:
        return list(range(n_outputs))
    # A single logistic output is the probability of the second of two classes.
    return net.classes[-n_outputs:].tolist()


def _cells(column: np.ndarray) -> list[Any]:
    """Values as CSV holds them: floats in the fewest digits that give the same float32 or float64."""
    return list(map(str, column)) if column.dtype.kind == "f" else column.tolist()


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
