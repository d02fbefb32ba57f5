"""Shows what was measured: tables for people, JSON for machines, a picture of the ratios."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from peers.contestants import CONTESTANTS
from peers.goals import Goal, gigaflops, judge, samples_per_second
from peers.jobs import BYTES, PEAK, Prediction, Processes, Training
from peers.results import Entry, Outcome

FORMAT = 1


def machine() -> dict[str, Any]:
    """CPU, cores and system."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    return {"cpu": cpu, "cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}


def versions() -> dict[str, str]:
    """Of the installed contestants, by package."""
    found = {}
    for package in sorted({c.package for c in CONTESTANTS.values()} | {"numba"}):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def title(outcome: Outcome) -> str:
    """One line that says what a job is."""
    job = outcome.job
    if isinstance(job, Processes):
        return f"{job.name}: {job.title}"
    shape = f"{'-'.join(map(str, job.sizes))} {job.activation} {job.dtype}"
    if isinstance(job, Prediction):
        return f"{job.name}: {shape}, predict {job.n_rows:,} row{'s' * (job.n_rows > 1)}, {job.calls:,} times"
    rounds = f"{job.n_rows:,} rows of {job.data}" + (f", {job.epochs} epochs" if job.epochs > 1 else "")
    return f"{job.name}: train {shape}, mini-batch {job.batch_size}, {rounds}"


def header(outcome: Outcome) -> list[str]:
    """Column titles that fit `rows`."""
    job = outcome.job
    if isinstance(job, Processes):
        return ["", job.unit, "lowest", "highest", f"x {outcome.base}"]
    figure = ["samples/s", "GF/s", "loss"] if isinstance(job, Training) else ["us a call"]
    return ["", "threads", "s", "lowest", "highest", *figure, f"x {outcome.base}", "of rounds"]


def rows(outcome: Outcome) -> list[list[str]]:
    """One row a contestant, with its best thread count; a contestant without figures says why."""
    made = []
    for contestant in outcome.contestants():
        entry = outcome.best(contestant)
        if entry is None:
            failed = next(e for e in outcome.entries if e.contestant == contestant)
            made.append([contestant, f"{failed.status}: {failed.note}" if failed.note else failed.status])
            continue
        spread = [_number(v) for v in (entry.median, min(entry.values), max(entry.values))]
        found = outcome.ratio(contestant)
        ratio = f"{found[0]:.2f}" if found else "-"
        if isinstance(outcome.job, Processes):
            made.append([contestant, *spread, ratio])
            continue
        between = f"{found[1]:.2f}-{found[2]:.2f}" if found else "-"
        if contestant == PEAK:
            ratio = between = "-"
        made.append([contestant, str(entry.threads), *spread, *_figures(outcome, entry), ratio, between])
    return made


def _figures(outcome: Outcome, entry: Entry) -> list[str]:
    if isinstance(outcome.job, Prediction):
        return [_number(entry.median / outcome.job.calls * 1e6)]
    rate, flops = samples_per_second(outcome, entry), gigaflops(outcome, entry)
    loss = "-" if entry.loss is None else f"{entry.loss:.4f}"
    return [f"{rate:,.0f}" if rate else "-", _number(flops) if flops else "-", loss]


def _number(value: float) -> str:
    """Three digits or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def goal_rows(goals: list[Goal]) -> list[list[str]]:
    """What is asked, what was found."""
    words = {True: "yes", False: "no", None: "not measured"}
    return [
        [
            g.job,
            g.title,
            f"{'>=' if g.at_least else '<='} {_number(g.limit)}",
            "-" if g.value is None else _number(g.value),
            words[g.is_met],
        ]
        for g in goals
    ]


def table(columns: list[str], cells: list[list[str]]) -> str:
    """Plain text; the first column to the left, numbers to the right; a row of two cells is a remark."""
    full = [columns, *(row for row in cells if len(row) == len(columns))]
    widths = [max(len(row[i]) for row in full) for i in range(len(columns))]
    widths[0] = max(len(row[0]) for row in [columns, *cells])
    lines = []
    for row in [columns, *cells]:
        first, rest = row[0].ljust(widths[0]), row[1:]
        if len(row) == len(columns):
            rest = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([first, *rest]).rstrip())
    return "\n".join(lines)


def text(outcome: Outcome) -> str:
    """A job's title and table."""
    return f"{title(outcome)}\n{table(header(outcome), rows(outcome))}\n"


def goals_text(outcomes: list[Outcome]) -> str:
    """The table of goals."""
    goals = [goal for outcome in outcomes for goal in judge(outcome)]
    return table(["goals", "", "goal", "found", "met"], goal_rows(goals)) + "\n"


def as_json(outcomes: list[Outcome], about: dict[str, Any]) -> str:
    """Everything, with the value of every round."""
    jobs = []
    for outcome in outcomes:
        entries = []
        for e in outcome.entries:
            entry: dict[str, Any] = {"contestant": e.contestant, "threads": e.threads, "status": e.status}
            if e.note:
                entry["note"] = e.note
            if e.values:
                entry |= {"values": e.values, "median": e.median}
            if e.loss is not None:
                entry["loss"] = e.loss
            if e.operations is not None:
                entry["operations"] = e.operations
            entries.append(entry)
        ratios = {c: r for c in outcome.contestants() if (r := outcome.ratio(c)) and c != PEAK}
        unit = outcome.job.unit if isinstance(outcome.job, Processes) else "s"
        jobs.append(
            {
                "name": outcome.job.name,
                "title": title(outcome),
                "unit": unit,
                "base": outcome.base,
                "entries": entries,
                "ratios": {c: {"median": m, "lowest": low, "highest": high} for c, (m, low, high) in ratios.items()},
                "goals": [vars(g) | {"is_met": g.is_met} for g in judge(outcome)],
            }
        )
    content = {"format": FORMAT, **about, "machine": machine(), "versions": versions(), "jobs": jobs}
    return json.dumps(content, indent=1) + "\n"


def picture(outcomes: list[Outcome], path: Path) -> bool:
    """Draw the ratios of trainings and predictions, on a logarithmic axis; False where there is nothing to draw.

    Everyone's time is that of the form of samples, float32 or bytes, that it is faster on.
    """
    from matplotlib.figure import Figure

    shown = [o for o in outcomes if not isinstance(o.job, Processes) and o.best(o.base)]
    names = [n for n in CONTESTANTS if any(o.ratio(n) for o in shown) and not n.startswith("fastnn")]
    names = [n for n in names if n != PEAK and not n.endswith(BYTES)]
    if not names:
        return False
    figure = Figure(figsize=(8, 1.2 + 0.17 * len(shown) * (len(names) + 1)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(1, color="black", linewidth=1)
    for i, name in enumerate(names):
        found = [(place, o.ratio_of_forms(name)) for place, o in enumerate(shown)]
        bars = [(place - 0.4 + 0.8 * (i + 0.5) / len(names), r) for place, r in found if r]
        at, widths = [b[0] for b in bars], [r[0] - 1 for _, r in bars]
        errors = [[r[0] - r[1] for _, r in bars], [r[2] - r[0] for _, r in bars]]
        axes.barh(at, widths, 0.8 / len(names), left=1, xerr=errors, error_kw={"linewidth": 0.8}, label=name)
        for y, (median, _, highest) in bars:
            axes.annotate(
                f"{median:.3g}", (max(highest, 1), y), (3, 0), textcoords="offset points", va="center", fontsize=7
            )
    axes.set_xscale("log")
    axes.set_yticks(range(len(shown)), [o.job.name for o in shown])
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.01)
    axes.set_xlabel("time, relative to fastnn (median, lowest and highest of paired rounds; logarithmic)")
    figure.legend(loc="outside upper center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=150)
    return True
