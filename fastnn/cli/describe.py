"""FLOOR 4: `fastnn describe`: what is in the data."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import groupby

from fastnn.cli import files
from fastnn.cli.output import print_json, print_table
from fastnn.datasets.summary import PartSummary, Summary, describe

DESCRIPTION = """\
summarise data: samples, values, classes and their balance, columns
The bars show how many samples a class has. Columns that never vary are named: they tell a network nothing."""

_MOST_ROWS = 40  # of the table of classes
_MOST_RUNS = 12  # of the columns that do not vary
_BAR = 40  # characters of the longest bar
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    files.add_data(parser)
    files.add_label(parser)
    parser.add_argument(
        "--columns",
        metavar="NAMES",
        help="features to summarise one by one: names, or numbers from 0 without the label, separated by commas",
    )


def run(args: argparse.Namespace) -> int:
    data = files.load_data(args.data, args.label)
    columns = [name.strip() for name in args.columns.split(",")] if args.columns is not None else None
    summary = describe(data, columns)
    if args.json:
        print_json({"data": args.data, **summary.as_dict()})
    else:
        _print(summary)
    return 0


def _print(summary: Summary) -> None:
    parts = summary.parts
    shape = f", images of {' x '.join(map(str, summary.image_shape))}" if summary.image_shape else ""
    print(f"{_shown(summary.name)}: {summary.n_features:,} features ({summary.dtype}){shape}\n")
    rows = [
        ["samples", *(f"{part.n_samples:,}" for part in parts)],
        ["least value", *(_number(part.minimum) for part in parts)],
        ["greatest value", *(_number(part.maximum) for part in parts)],
        ["mean", *(_number(part.mean) for part in parts)],
        ["zeros", *(f"{part.zeros:.1%}" for part in parts)],
        ["constant features", *(f"{len(part.constant):,}" for part in parts)],
    ]
    classified = [part for part in parts if part.classes]
    if classified:
        rows.append(["classes", *(f"{len(part.classes):,}" if part.classes else "" for part in parts)])
        rows.append(
            ["smallest/largest class", *("" if part.balance is None else f"{part.balance:.2f}" for part in parts)]
        )
    print_table(["", *(part.name for part in parts)], rows)
    for part in parts:
        if part.constant:
            print(f"\nconstant{_of(part, parts)}: {_runs(part.constant)}")
    if classified:
        print()
        _print_classes(classified)
    for title, columns in (("target", [p.targets for p in parts]), ("column", [p.columns for p in parts])):
        if any(columns):
            print()
            print_table(
                [title, "least", "greatest", "mean", "std"],
                [
                    [_shown(c.name, 30) + _of(p, parts), *map(_number, (c.minimum, c.maximum, c.mean, c.std))]
                    for c, p in ((c, p) for p, found in zip(parts, columns, strict=True) for c in found)
                ],
            )


def _of(part: PartSummary, parts: Sequence[PartSummary]) -> str:
    return f" ({part.name})" if len(parts) > 1 else ""


def _print_classes(parts: Sequence[PartSummary]) -> None:
    """Print samples, share and bar of each class of the first part, and the samples in the other."""
    counts = [part.classes or {} for part in parts]
    labels = list(dict.fromkeys(label for classes in counts for label in classes))
    if len(labels) > _MOST_ROWS:
        labels.sort(key=lambda label: -counts[0].get(label, 0))
    most = max(counts[0].values(), default=1)
    rows = [
        [
            _shown(str(label), 30),
            *(f"{classes.get(label, 0):,}" for classes in counts),
            f"{counts[0].get(label, 0) / parts[0].n_samples:.2%}",
            _bar(counts[0].get(label, 0) / most),
        ]
        for label in labels[:_MOST_ROWS]
    ]
    print_table(["class", *(part.name for part in parts), "share", ""], rows)
    if len(labels) > _MOST_ROWS:
        print(f"and {len(labels) - _MOST_ROWS:,} smaller classes")


def _bar(share: float) -> str:
    """A bar of blocks, or of # where the terminal has no blocks; whoever has samples has something to see."""
    if _can_print(_EIGHTHS):
        n = max(round(8 * _BAR * share), share > 0)
        bar = "█" * (n // 8) + _EIGHTHS[n % 8].strip()
    else:
        bar = "#" * max(round(_BAR * share), share > 0)
    return bar.ljust(_BAR)


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _shown(text: str, width: int | None = None) -> str:
    """Text from a file as it can be shown: no control characters, none that the terminal lacks, not too long."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    if width is not None and len(text) > width:
        text = text[: width - 3] + "..."
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.5g}"


def _runs(names: Sequence[str]) -> str:
    """Names in a row, with neighbours such as pixel0, pixel1, pixel2 as pixel0..pixel2, and the rest only counted."""

    def key(pair: tuple[int, str]) -> tuple[str, int]:
        place, name = pair
        stem = name.rstrip("0123456789")
        return stem, int(name[len(stem) :][-9:] or 0) - place

    runs = [[name for _, name in run] for _, run in groupby(enumerate(names), key)]
    shown = [run[0] if len(run) == 1 else f"{run[0]}..{run[-1]}" for run in runs[:_MOST_RUNS]]
    n_left = sum(map(len, runs[_MOST_RUNS:]))
    return _shown(", ".join(shown) + (f" and {n_left:,} more" if n_left else ""))
