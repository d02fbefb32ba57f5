"""FLOOR 4: a run: a folder that holds what a training or an evaluation was and gave, as files a person can read.

model.safetensors, history.csv (a line an epoch), costs.csv (where costs were taken more often), report.txt, pictures/
and result.json. Only the last is always there; it is written last and makes the folder a run.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
import os
import platform
from collections.abc import Iterable, Mapping
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import llvmlite
import numpy as np

from fastnn._files import replace_file
from fastnn._version import __version__
from fastnn.engine.history import History
from fastnn.engine.network import MLP, load
from fastnn.metrics import Report

__all__ = ["Run", "RunError", "save_run"]

MODEL, HISTORY, COSTS, REPORT, RESULT = "model.safetensors", "history.csv", "costs.csv", "report.txt", "result.json"
FILES = (MODEL, HISTORY, COSTS, REPORT, RESULT)
PICTURES = "pictures"
# What fastnn plot draws, each as NAME.png in the folder of pictures
PICTURE_NAMES = (
    "class_histogram", "learning_curves", "costs", "confusion_matrix", "mistakes", "predictions", "first_layer_weights",
)  # fmt: skip


class RunError(ValueError):
    """A folder that is no run, or a file of a run that cannot be understood; the sentence says which."""


class Run:
    """The run in a folder. Files are read when they are first asked for.

    Parameters
    ----------
    folder : str or path-like

    Attributes
    ----------
    folder : Path
    result : dict
        What result.json holds. `fastnn plot` understands ``data``, ``label``, ``part`` ("training", "validation",
        "test" or "all": the samples that were scored), ``rows`` (which of that part, if not all of them),
        ``n_samples``, ``watched`` (the part that was scored after every epoch), ``image_shape``, ``settings`` (of
        `fastnn train`), ``report``, and ``model``.
    net : MLP or None
        The model in the folder, else the one that ``result["model"]`` names.
    history, costs : History or None
        The rows of history.csv and costs.csv.
    report : Report or None

    Raises
    ------
    RunError
        If `folder` is no run; when a file is asked for that is damaged.
    ModelFileError
        When a model is asked for that is damaged.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            what = "a file" if self.folder.exists() else "not there"
            raise RunError(f"{self.folder} is {what}; a run is the folder that `fastnn train DATA --out DIR` writes")
        if not (self.folder / RESULT).is_file():
            raise RunError(
                f"{self.folder} is no run: there is no {RESULT} in it; `fastnn train DATA --out DIR` writes one"
            )

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @cached_property
    def result(self) -> dict[str, Any]:
        path = self.folder / RESULT
        try:
            result = json.loads(path.read_bytes())
        except ValueError as error:  # text that is no UTF-8, too
            raise RunError(f"{path} is not JSON: {error}") from None
        if not isinstance(result, dict):
            raise RunError(f"{path} must hold a JSON object, got {type(result).__name__}")
        return result

    @cached_property
    def net(self) -> MLP | None:
        model = self.result.get("model")
        places = [self.folder / MODEL, *([Path(model)] if isinstance(model, str) else [])]
        return next((load(path) for path in places if path.is_file()), None)

    @cached_property
    def history(self) -> History | None:
        history = _read_rows(self.folder / HISTORY)
        if history is not None:
            history.stop_reason = str(self.result.get("stop_reason", ""))
        return history

    @cached_property
    def costs(self) -> History | None:
        return _read_rows(self.folder / COSTS)

    @cached_property
    def report(self) -> Report | None:
        document = self.result.get("report")
        if document is None:
            return None
        try:
            return Report.from_dict(document)
        except ValueError as error:
            raise RunError(f"{self.folder / RESULT}: {error}") from None


def save_run(
    folder: str | os.PathLike[str],
    *,
    net: MLP | None = None,
    history: History | None = None,
    result: Mapping[str, Any],
    report: Report | None = None,
    costs: Iterable[Mapping[str, Any]] | None = None,
) -> Run:
    """Write a run; the folder is made if need be, files that an earlier run left under other names stay.

    Parameters
    ----------
    folder : str or path-like
    net : MLP, optional
        For model.safetensors; its fingerprint is added to the result.
    history : History, optional
        For history.csv; why it ended is added to the result.
    result : mapping
        What was run and what came out; date, versions and the report are added. What is not finite becomes null.
    report : Report, optional
        For report.txt, and in full in the result.
    costs : iterable of dict, optional
        Rows with ``iteration`` and one cost or several, for costs.csv.

    Returns
    -------
    Run

    Raises
    ------
    OSError, ModelFileError
        If a file cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        **result,
    }
    if net is not None:
        net.save(folder / MODEL)
        document["fingerprint"] = net.fingerprint()
    if history is not None:
        replace_file(folder / HISTORY, csv_text(history.epochs).encode())
        document["stop_reason"] = history.stop_reason
    if costs is not None:
        replace_file(folder / COSTS, csv_text(costs).encode())
    if report is not None:
        replace_file(folder / REPORT, report.text().encode())
        document["report"] = report.as_dict()
    replace_file(folder / RESULT, (to_json(document) + "\n").encode())
    return Run(folder)


def forget_run(folder: str | os.PathLike[str]) -> None:
    """Remove what an earlier run left in a folder, but for its model: pictures beside other figures would mislead.

    Only files that a run or `fastnn plot` writes are touched; a folder that is no run stays as it is.
    """
    folder = Path(folder)
    if (folder / RESULT).is_file():
        pictures = (f"{PICTURES}/{name}.png" for name in PICTURE_NAMES)
        for name in (RESULT, HISTORY, COSTS, REPORT, *pictures):
            (folder / name).unlink(missing_ok=True)


def versions() -> dict[str, str]:
    """What the numbers of a run may depend on."""
    return {
        "fastnn": __version__,
        "python": platform.python_version(),
        "numba": metadata.version("numba"),
        "llvmlite": llvmlite.__version__,
        "numpy": np.__version__,
    }


def to_json(document: Mapping[str, Any]) -> str:
    """Return a JSON document; NumPy's numbers become plain ones, and what is not finite becomes null.

    What fits into a line of 120 letters is on one, and so is every list of numbers: a matrix has a line for each row.
    """
    return _written({str(key): _plain(value) for key, value in document.items()})


def _written(value: Any, margin: str = "", top: bool = True) -> str:
    line = json.dumps(value, allow_nan=False)
    nested = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, dict | list) for v in value))
    if not nested or not value or (len(margin) + len(line) < 120 and not top):
        return line
    inner = margin + "  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {_written(item, inner, False)}" for key, item in value.items()]
    else:
        parts = [_written(item, inner, False) for item in value]
    body = ",\n".join(inner + part for part in parts)
    return f"{{\n{body}\n{margin}}}" if isinstance(value, dict) else f"[\n{body}\n{margin}]"


def csv_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a header, the keys in order of appearance, and one line a row; floats in full, absent values empty."""
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    # Paths and what else has a text.
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def _read_rows(path: Path) -> History | None:
    """The rows of a CSV file as numbers; None without the file."""
    if not path.is_file():
        return None
    history = History()
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = csv.reader(file, strict=True)
            header = next(lines, [])
            for cells in lines:
                history.append({key: _number(cell) for key, cell in zip(header, cells, strict=True) if cell})
    except (ValueError, csv.Error) as error:
        raise RunError(f"{path} must hold numbers, a line for each row under the header: {error}") from None
    return history


def _number(cell: str) -> int | float:
    return int(cell) if cell.lstrip("-").isdecimal() else float(cell)
