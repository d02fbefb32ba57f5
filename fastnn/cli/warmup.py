"""FLOOR 4: `fastnn warmup`: compile the kernels now, so that no training waits for them."""

from __future__ import annotations

import argparse

from fastnn import _machine_code
from fastnn.cli.output import print_json, print_lines
from fastnn.engine.warm_up import warm_up

DESCRIPTION = """\
compile the kernels, so that later starts are quick
Once for each machine and version, for instance when a container is built. With FASTNN_CACHE_DIR the compiled
programs go to another place."""

_DTYPES = ("float32", "float64")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dtype", choices=_DTYPES, help="only this precision (default: both)")


def run(args: argparse.Namespace) -> int:
    seconds = {dtype: warm_up(dtype) for dtype in ([args.dtype] if args.dtype else _DTYPES)}
    folder = _machine_code.cache_folder()
    if args.json:
        print_json({"seconds": seconds, "cache": folder})
    else:
        print_lines(
            [
                *((dtype, f"{value:.2f} s") for dtype, value in seconds.items()),
                ("cache", str(folder or "none; see the warning")),
            ]
        )
    return 0
