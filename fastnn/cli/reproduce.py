"""FLOOR 4: `fastnn reproduce`: published networks, trained as described, beside what was published."""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from fastnn.cli.options import UsageError, usage
from fastnn.cli.outcome import check_folder
from fastnn.cli.output import print_json, print_lines, print_table
from fastnn.engine import launch

if TYPE_CHECKING:
    from fastnn import recipes

DESCRIPTION = """\
train a published network as its author describes it, and compare
Prints what was published beside what came out here, and the time beside that of plain NumPy doing the same. Model,
logs, report, pictures and result.json go to a folder. Exit code 1 if a published figure is not met. MNIST is read as
by fastnn train mnist."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="a name that --list shows")
    parser.add_argument("--list", action="store_true", help="show the recipes and how long they take on two cores")
    parser.add_argument("--quick", action="store_true", help="a shorter form that is held to fewer figures")
    parser.add_argument("--out", metavar="DIR", help="the folder to write to (default: build/NAME)")
    parser.add_argument("--threads", type=int, metavar="N", help="the most threads (default: automatic)")


def run(args: argparse.Namespace) -> int:
    from fastnn import recipes  # here, so that no other command pays for it

    if args.list:
        return _list([recipes.load(name) for name in recipes.names()], args.json)
    if args.name is None:
        raise UsageError(f"give the NAME of a recipe, one of {', '.join(recipes.names())}")
    with usage():
        recipe = recipes.load(args.name)
        launch.most_ranks(args.threads)
    folder = Path(args.out or f"build/{recipe.name}")
    check_folder(str(folder), "reproduce")
    _say(f"{recipe.name} takes about {recipe.quick_seconds if args.quick else recipe.seconds:g} s on two cores")
    done = recipes.reproduce(recipe, recipes.Options(args.quick, args.threads, _say, folder))
    pictures = recipes.write(done, folder)
    if args.json:
        print_json(done.as_dict() | {"folder": folder, "pictures": pictures})
    else:
        _print(done, folder, pictures)
    return 0 if done.succeeded else 1


def _list(found: list[recipes.Recipe], as_json: bool) -> int:
    if as_json:
        keys = ("name", "title", "seconds", "quick_seconds")
        print_json({"recipes": [{key: getattr(recipe, key) for key in keys} for recipe in found]})
        return 0
    rows = [[r.name, _duration(r.seconds), _duration(r.quick_seconds)] for r in found]
    print_table(["recipe", "takes", "--quick"], rows)
    print()
    print_lines((recipe.name, recipe.title) for recipe in found)
    return 0


def _print(done: recipes.Reproduction, folder: Path, pictures: list[Path]) -> None:
    recipe, result = done.recipe, done.result
    print(f"{recipe.name}{' (quick form)' if done.options.quick else ''}: {recipe.title}\n")
    print(textwrap.fill(" ".join(recipe.source.split()), 100))
    if result.report is not None:
        print(f"\n{result.report.text().rstrip()}")
    for table in result.tables:
        print(f"\n{table.title}")
        print_table(table.header, table.rows)
    if recipe.published:
        print()
        print_table(["figure", "published", "ours", ""], [_row(c, done.options.quick) for c in done.comparisons])
    if result.timings:
        print()
        rows = [
            [
                f"{t.work}: {t.other}",
                _duration(t.other_seconds),
                _duration(t.fastnn_seconds),
                f"{t.ratio:.1f}x",
                _goal(t),
            ]
            for t in result.timings
        ]
        print_table(["time", "takes", "fastnn", "ratio", "wanted"], rows)
    for note in result.notes:
        print(f"\n{note}")
    where = f" and {len(pictures)} pictures" if pictures else ""
    print(f"\n{_duration(done.seconds)} in all; model, logs, report{where} are in {folder}")


def _row(comparison: recipes.Comparison, quick: bool) -> list[str]:
    published, ours = comparison.published, comparison.ours
    outcome = {True: "met", False: "missed", None: "not in the quick form"}[comparison.met]
    if quick and published.quick is not None:
        outcome += f" ({published.rule} {published.show(published.quick)} in the quick form)"
    shown = "" if ours is None else published.show(ours)
    return [published.name, published.show(published.value), shown, outcome]


def _goal(timing: recipes.Timing) -> str:
    if timing.wanted is None:
        return ""
    return f"{timing.wanted:g}x, {'met' if timing.ratio >= timing.wanted else 'missed'}"


def _duration(seconds: float) -> str:
    """Three digits and a unit that suits."""
    if seconds >= 180:
        return f"{seconds / 60:.3g} min"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
