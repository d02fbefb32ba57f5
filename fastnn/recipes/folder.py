"""FLOOR 4: writes what a recipe gave into a run's folder."""

from __future__ import annotations

from pathlib import Path

from fastnn import plots, runs
from fastnn._files import replace_file
from fastnn.recipes.result import Reproduction


def write(done: Reproduction, folder: Path) -> list[Path]:
    """Write the run of a reproduction and return its pictures. Without matplotlib there are none, which is noted.

    Raises
    ------
    OSError, ModelFileError
        If something cannot be written.
    """
    runs.forget_run(folder)
    folder.mkdir(parents=True, exist_ok=True)
    result, logs = done.result, dict(done.result.logs)
    pictures = []
    try:
        for name, draw in result.pictures.items():
            axes = draw()
            (folder / runs.PICTURES).mkdir(exist_ok=True)
            pictures.append(plots.save(axes, folder / runs.PICTURES / f"{name}.png"))
    except ImportError as error:
        result.notes.append(str(error))
    costs = logs.pop("costs", None)
    for name, rows in logs.items():
        replace_file(folder / f"{name}.csv", runs.csv_text(rows).encode())
    runs.save_run(
        folder, net=result.net, history=result.history, result=done.as_dict(), report=result.report, costs=costs
    )
    return pictures
