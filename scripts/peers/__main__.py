"""The command line of scripts/compare_peers."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from peers import report, rounds
from peers.contestants import CONTESTANTS
from peers.jobs import BYTES, JOBS, Job, Processes, quick
from peers.results import Outcome

_ROOT = Path(__file__).parents[2]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options; an unknown job or peer ends the program with a sentence."""
    parser = argparse.ArgumentParser(
        prog="scripts/compare_peers",
        description="Measure fastnn beside other libraries: the same networks, first weights, samples and order.",
        epilog="scripts/compare_peers --no-install, as its first option, takes the environment as it is; a library "
        "that it lacks is a row that says so.",
    )
    jobs, peers = (
        [job.name for job in JOBS],
        [name for name in CONTESTANTS if not name.startswith("fastnn") and not name.endswith(BYTES)],
    )
    parser.add_argument("--jobs", nargs="+", choices=jobs, metavar="JOB", help=f"of {', '.join(jobs)}; default: all")
    parser.add_argument(
        "--peers", nargs="*", choices=peers, metavar="PEER", help=f"of {', '.join(peers)}; default: all"
    )
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--quick", action="store_true", help="a smoke test of everything; its figures mean nothing")
    parser.add_argument(
        "--out",
        type=Path,
        default=_ROOT / "build" / "peers",
        metavar="DIR",
        help="where peers.json, peers.txt, peers.png and the logs go; default: build/peers of the repository",
    )
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {options.rounds}")
    return options


def chosen(options: argparse.Namespace) -> list[Job]:
    """The jobs of a run, with the contestants that take part in it."""
    made = []
    for job in JOBS:
        if options.jobs and job.name not in options.jobs:
            continue
        job = quick(job) if options.quick else job
        kept = [name for name in job.contestants if _takes_part(name, options.peers)]
        if isinstance(job, Processes):
            job = replace(job, commands={name: job.commands[name] for name in kept})
        else:
            job = replace(job, contestants=tuple(kept))
        made.append(job)
    return made


def _takes_part(name: str, peers: list[str] | None) -> bool:
    """Whether the contestant that a name begins with was asked for; fastnn and plain imports always are."""
    contestant = name.split(",")[0].removesuffix(BYTES)
    return peers is None or contestant in peers or contestant.startswith("fastnn") or contestant not in CONTESTANTS


def _find_data() -> None:
    """Let FASTNN_DATA name a folder with MNIST for all processes; downloads it, once, where there is none."""
    beside = _ROOT.parent / "shared" / "data"
    if os.environ.get("FASTNN_DATA"):
        os.environ["FASTNN_DATA"] = str(Path(os.environ["FASTNN_DATA"]).expanduser().absolute())
    elif beside.is_dir():
        os.environ["FASTNN_DATA"] = str(beside)
    else:
        import pooch

        from fastnn import datasets

        datasets.load("mnist")
        os.environ["FASTNN_DATA"] = str(pooch.os_cache("fastnn"))


def _say(sentence: str) -> None:
    """Show what goes on, on a terminal only, in a line that the next one replaces."""
    if sys.stderr.isatty():
        print(f"\r\033[K{sentence}", end="", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and write; 1 if a contestant was refused or failed."""
    options = parse(arguments)
    _find_data()
    options.out.mkdir(parents=True, exist_ok=True)
    n_rounds, pause = (1, 0.0) if options.quick else (options.rounds, rounds.PAUSE_SECONDS)
    threads = rounds.thread_counts(_available_cores())
    about = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "quick": options.quick,
        "rounds": n_rounds,
    }
    outcomes: list[Outcome] = []
    start = time.monotonic()
    with rounds.Team(options.out) as team:
        for job in chosen(options):
            if isinstance(job, Processes):
                outcome = rounds.run_processes(job, n_rounds, _say, pause)
            else:
                outcome = rounds.compete(job, team, threads, n_rounds, _say, pause)
            outcomes.append(outcome)
            _say("")
            print(report.text(outcome), flush=True)
            # After every job, so that a run that is broken off leaves what it has
            (options.out / "peers.json").write_text(report.as_json(outcomes, about))
    texts = [report.text(outcome) for outcome in outcomes]
    if not options.quick:
        texts.append(report.goals_text(outcomes))
        print(texts[-1])
    (options.out / "peers.txt").write_text("\n".join(texts))
    written = ["peers.json", "peers.txt"]
    try:
        written += ["peers.png"] * report.picture(outcomes, options.out / "peers.png")
    except ImportError as error:
        print(f"no picture: {error}", file=sys.stderr)
    print(f"{', '.join(written)} in {options.out}, after {time.monotonic() - start:.0f} s")
    return int(any(e.status in ("refused", "failed") for o in outcomes for e in o.entries))


def _available_cores() -> int:
    from fastnn.engine.launch import available_cores

    return available_cores()


if __name__ == "__main__":
    sys.exit(main())
