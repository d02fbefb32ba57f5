"""FLOOR 4: `fastnn info`: what this installation is and what it makes of this machine."""

from __future__ import annotations

import argparse
import os
import platform
import warnings
from typing import Any

from llvmlite import binding

from fastnn import _machine_code, runs
from fastnn.cli.output import print_json, print_lines
from fastnn.engine import launch, matrix_unit
from fastnn.simd import target

DESCRIPTION = """\
show versions, CPU features, tile, threads and cache
Worth adding to every report of a problem or of a speed."""

# What decides the speed, of the hundred features that LLVM knows.
_TELLING = ("sse2", "avx", "avx2", "fma", "avx512f", "amx-bf16", "neon", "sve")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> int:
    document = describe()
    if args.json:
        print_json(document)
        return 0
    features, threads, cache = document["cpu_features"], document["threads"], document["cache"]
    kernels = f"{cache['files']} compiled parts of programs, {cache['kernel_hash']}"
    print_lines(
        [
            *((name, version) for name, version in document["versions"].items()),
            ("platform", document["platform"]),
            ("cpu", f"{document['cpu']}: {', '.join(f for f in _TELLING if f in features) or 'baseline'}"),
            *((f"tile {dtype}", tile) for dtype, tile in document["tile"].items()),
            ("matrix unit", "for matmul='bf16x3'" if document["matrix_unit"] else "none"),
            (
                "threads",
                f"{threads['default']} at most by default, {threads['available_cores']} cores available",
            ),
            ("cache", f"{cache['folder']} ({kernels})" if cache["folder"] else f"none: {cache['problem']}"),
        ]
    )
    return 0


def describe() -> dict[str, Any]:
    """Return what `fastnn info --json` prints."""
    return {
        "versions": runs.versions(),
        "platform": platform.platform(),
        "cpu": binding.get_host_cpu_name(),
        "cpu_features": sorted(target.cpu_features()),
        "tile": {"float32": target.tile_name(4), "float64": target.tile_name(8)},
        "matrix_unit": matrix_unit.is_allowed(),
        "threads": {
            "default": launch.most_ranks(),
            "available_cores": launch.available_cores(),
            "FASTNN_NUM_THREADS": os.environ.get("FASTNN_NUM_THREADS"),
        },
        "cache": _cache(),
    }


def _cache() -> dict[str, Any]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        folder, files = _machine_code.cache_folder(), len(_machine_code.kept())
    return {
        "folder": str(folder) if folder else None,
        "root": str(folder.parent) if folder else None,
        "kernel_hash": _machine_code.kernel_hash(),
        "files": files,
        "problem": str(caught[0].message) if caught else None,
    }
