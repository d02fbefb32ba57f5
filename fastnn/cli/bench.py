"""FLOOR 4: `fastnn bench`: how fast this machine is, what training makes of it, and how that changed."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastnn.cli import files
from fastnn.cli.options import usage
from fastnn.cli.output import print_json, print_lines, print_table, say
from fastnn.engine import launch

DESCRIPTION = """\
measure this machine and the speed of training on it
In about a minute: the peak of multiply-adds, memory bandwidth, samples/s and share of the roofline of five
networks, their scaling with threads, and the latency of one row. Every run adds a line to a history file. Let
nothing else run meanwhile."""

_PARTS = ("gather", "forward", "head", "backward", "phase_a", "update", "phase_b", "step")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--phases", action="store_true", help="time the parts of a step instead (nothing is recorded)")
    what.add_argument("--growth", action="store_true", help="how cost grows with samples, width, depth ... instead")
    what.add_argument("--history", action="store_true", help="measure nothing: show and plot the earlier runs")
    parser.add_argument("--quick", action="store_true", help="a few seconds, rough figures: to see that it works")
    parser.add_argument("--threads", type=int, metavar="N", help="the most threads (default: automatic)")
    parser.add_argument("--history-file", metavar="PATH", help="default: fastnn/bench.jsonl in the user's data folder")
    parser.add_argument(
        "--picture", metavar="PATH", default="bench.png", help="where --history draws (default: bench.png)"
    )


def run(args: argparse.Namespace) -> int:
    from fastnn.bench import history  # here, so that no other command pays for it

    file = Path(args.history_file) if args.history_file else history.default_file()
    if args.history:
        return _show_history(args, file)
    with usage():
        n_threads = launch.most_ranks(args.threads)
    if args.phases:
        return _run_phases(args, n_threads)
    if args.growth:
        return _run_growth(args, n_threads)
    if args.history_file:
        files.check_writable(args.history_file, "--history-file")

    from fastnn.bench import suite

    record = suite.run(n_threads, quick=args.quick, say=say)
    history.append(file, record)
    if args.json:
        print_json(record)
    else:
        _print_record(record)
        print(f"\nrecorded in {file}; fastnn bench --history shows all runs")
    return 0


def _print_record(record: Mapping[str, Any]) -> None:
    counts = list(record["peak_gflops"])
    row = record["latency_us"]
    threads = [f"{n} thread{'s' if n != '1' else ''}" for n in counts]
    print_lines(
        [
            ("cpu", f"{record['cpu']}, {record['cores']} cores"),
            ("fastnn", f"{record['version']}, kernels {record['kernels']}"),
            ("one row", f"{row['median']:.1f} us (99%: {row['percentile_99']:.1f} us) for {row['name']}"),
        ]
    )
    print()
    print_table(
        ["machine", *threads],
        [
            ["multiply-adds, GFLOP/s", *(f"{v:,.0f}" for v in record["peak_gflops"].values())],
            ["memory, GB/s", *(f"{v:,.1f}" for v in record["bandwidth_gbytes"].values())],
        ],
    )
    print()
    print_table(
        ["network, mini-batch", "threads", "samples/s", "GFLOP/s", "of roofline", *threads[1:]],
        [
            [
                net["name"],
                str(net["threads"]),
                f"{net['samples_per_second']:,.0f}",
                f"{net['gflops']:,.0f}",
                f"{net['roofline_share']:.0%}",
                *(f"{net['scaling'][n] / net['scaling']['1']:.2f}x" for n in counts[1:]),
            ]
            for net in record["networks"]
        ],
    )


def _run_phases(args: argparse.Namespace, n_threads: int) -> int:
    from fastnn.bench import machine, phases

    result = phases.run(n_threads, machine.QUICK if args.quick else machine.FULL, say)
    if args.json:
        print_json(result)
        return 0
    print_lines(
        [
            (f"barrier of {n_threads}", f"{result['barrier_us']:.3f} us"),
            (f"launch of {n_threads}", f"{result['launch_us']:.1f} us"),
        ]
    )
    print("\nmicroseconds a step on one thread; below them GFLOP/s")
    rows = []
    for net in result["networks"]:
        rows.append([net["name"], *(f"{net['us'][part]:,.2f}" for part in _PARTS)])
        rows.append(["", *(f"{net['gflops'][part]:,.0f}" if part in net["gflops"] else "" for part in _PARTS)])
    print_table(["network, mini-batch", *(part.replace("_", " ") for part in _PARTS)], rows)
    return 0


def _run_growth(args: argparse.Namespace, n_threads: int) -> int:
    from fastnn.bench import growth, machine

    points = growth.run(n_threads, machine.QUICK if args.quick else machine.FULL, say)
    if args.json:
        print_json({"cpu": machine.cpu_name(), "points": points})
        return 0
    header = ["axis", "value", "network, mini-batch", "samples", "threads", "us a sample", "GFLOP/s"]
    rows = [
        [
            point["axis"], f"{point['value']:,}", point["network"], f"{point['n_samples']:,}", str(point["threads"]),
            f"{point['us_a_sample']:,.2f}", f"{point['gflops']:,.1f}",
        ]
        for point in points
    ]  # fmt: skip
    print_table(header, rows)
    return 0


def _show_history(args: argparse.Namespace, file: Path) -> int:
    from fastnn.bench import history

    files.check_apart([("--history-file", str(file)), ("--picture", args.picture)])
    records = history.read(file)
    if args.json:
        print_json({"file": file, "runs": records})
        return 0
    names = list(dict.fromkeys(net["name"] for record in records for net in record["networks"]))
    rows = []
    for record in records:
        speeds = {net["name"]: f"{net['samples_per_second']:,.0f}" for net in record["networks"]}
        version = record["version"] + (" (quick)" if record["quick"] else "")
        rows.append([record["date"][:16], version, record["cpu"], *(speeds.get(name, "") for name in names)])
    print_table(["samples/s", "fastnn", "cpu", *names], rows)
    files.check_writable(args.picture, "--picture")
    try:
        # rough figures would only hide the others
        history.plot([r for r in records if not r["quick"]] or records, Path(args.picture))
    except ImportError as error:
        say(f"no picture: {error}")
    else:
        print(f"\nplotted in {args.picture}")
    return 0
