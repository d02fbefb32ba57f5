"""FLOOR 4: what the commands print: aligned lines and tables for people, one JSON document for machines, and asides."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastnn import runs


def print_json(document: Mapping[str, Any]) -> None:
    """Print a JSON document, as `runs.to_json` makes it."""
    print(runs.to_json(document))


def say(sentence: str) -> None:
    """Print a sentence that is no result: to standard error."""
    print(f"fastnn: {sentence}", file=sys.stderr)


def print_lines(lines: Iterable[tuple[str, str]]) -> None:
    """Print pairs of a name and its value, the values in one column."""
    pairs = list(lines)
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        print(f"{name:<{width}}  {value}")


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns as wide as their longest cell; the first one to the left, the others to the right."""
    first, *others = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for name, *cells in (header, *rows):
        print("  ".join([name.ljust(first), *map(str.rjust, cells, others)]).rstrip())


def score_lines(part: str, scores: Mapping[str, float], n_samples: int) -> list[tuple[str, str]]:
    """Lines for the scores of one part of the data; of classes, or of numbers that were predicted."""
    lines = []
    if "accuracy" in scores:
        lines.append((f"{part} accuracy", f"{scores['accuracy']:.2%} of {n_samples:,} samples"))
    if "f1_macro" in scores:
        lines.append(("macro F1", f"{scores['f1_macro']:.4f}"))
    if "r2" in scores:
        lines.append((f"{part} R2", f"{scores['r2']:.4f} of {n_samples:,} samples"))
    lines.append((f"{part} loss", f"{scores['loss']:.6g}"))
    return lines
