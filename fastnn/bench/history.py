"""FLOOR 4: the figures of earlier runs: a file of JSON lines, one a run; and their picture."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastnn.plots.figures import new_figure, save

KEYS = (
    "date", "version", "kernels", "cpu", "cores", "threads", "load_average", "quick", "versions", "peak_gflops",
    "bandwidth_gbytes", "networks", "latency_us",
)  # fmt: skip


def default_file() -> Path:
    """`bench.jsonl` in the user's folder for data of fastnn: a cache may be emptied, this should not be."""
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Application Support"
    else:
        root = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return root / "fastnn" / "bench.jsonl"


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Add a record as one line; makes the file and its folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        file.seek(0, os.SEEK_END)
        torn = False
        if file.tell():
            file.seek(-1, os.SEEK_END)
            torn = file.read(1) != b"\n"  # the disk was full, or somebody edited it
        file.write(b"\n" * torn + json.dumps(record, allow_nan=False).encode() + b"\n")


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a file, the oldest first; warns of a line that is none and leaves it out.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or no record in it.
    """
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    records = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict) and set(KEYS) <= set(record):
            records.append(record)
        else:
            warnings.warn(f"line {number} of {path} is no record of fastnn bench; it is left out", stacklevel=2)
    if not records:
        raise FileNotFoundError(f"there is no history in {path}; `fastnn bench` begins one")
    return records


def plot(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw samples a second and share of the roofline over the runs, a line for each network and CPU.

    Raises
    ------
    ImportError
        Without matplotlib.
    """
    figure = new_figure(10, 8)
    speed, share = figure.subplots(2, sharex=True)
    cpus = list(dict.fromkeys(r["cpu"] for r in records))
    names = list(dict.fromkeys(n["name"] for r in records for n in r["networks"]))
    for i, name in enumerate(names):
        for j, cpu in enumerate(cpus):
            # the runs stand side by side: ten of one day are not a single column
            points = [
                (x, net)
                for x, record in enumerate(records)
                if record["cpu"] == cpu
                for net in record["networks"]
                if net["name"] == name
            ]
            places = [x for x, _ in points]
            style = {"color": f"C{i % 10}", "marker": "os^Dv<>"[j % 7], "linestyle": ["-", "--", ":", "-."][j % 4]}
            label = name if len(cpus) == 1 else f"{name}; {cpu}"
            speed.plot(places, [net["samples_per_second"] for _, net in points], label=label, **style)
            share.plot(places, [100 * net["roofline_share"] for _, net in points], **style)
    speed.set(yscale="log", ylabel="samples/s", title=f"fastnn bench: {', '.join(cpus)}")
    share.set(ylim=(0, None), ylabel="share of the roofline (%)")
    every = max(1, len(records) // 30)
    labels = [f"{r['date'][:10]} {r['version']}{' quick' if r['quick'] else ''}" for r in records]
    share.set_xticks(range(0, len(records), every), labels[::every], rotation=45, ha="right", fontsize=8)
    for axes in (speed, share):
        axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3 if len(cpus) == 1 else 1, fontsize=8)
    save(figure, path)
