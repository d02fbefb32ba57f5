"""FLOOR 4: writes what a recipe gave into a folder: model, history, result, report, logs and pictures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastnn import plots
from fastnn.engine.files import replace_file
from fastnn.recipes.result import Reproduction


def write(done: Reproduction, folder: Path) -> list[Path]:
    """Write the RUN folder of a reproduction; returns the pictures. Without matplotlib there are none, which is noted.

    Raises
    ------
    OSError
        If something cannot be written.
    """
    result = done.result
    for name, rows in result.logs.items():
        replace_file(folder / f"{name}.csv", _csv(rows).encode())
    pictures = []
    try:
        for name, draw in result.pictures.items():
            (folder / "pictures").mkdir(exist_ok=True)
            pictures.append(plots.save(draw(), folder / "pictures" / f"{name}.png"))
    except ImportError as error:
        result.notes.append(str(error))
    if result.net is not None:
        result.net.save(folder / "model.safetensors")
    if result.history is not None:
        result.history.to_csv(folder / "history.csv")
    if result.report is not None:
        replace_file(folder / "report.txt", result.report.text().encode())
    replace_file(folder / "result.json", json.dumps(done.as_dict(), indent=2).encode())
    return pictures


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
