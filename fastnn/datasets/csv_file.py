"""FLOOR 4: tables in CSV files: Kaggle's digits (label,pixel0..pixel783) and any other with numeric features.

NumPy's C parser reads the table; only when it refuses is the text read again, slowly, to name the line and
column. 42,000 x 785 pixels take 0.7 s on a Zen 5 core; a loop over csv.reader took 4.7 s.
"""

from __future__ import annotations

import csv
import difflib
import io
import math
import re
import warnings
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastnn.datasets.dataset import DataError, Dataset
from fastnn.datasets.files import read_bytes

_MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}


class _Layout(NamedTuple):
    """What the first line says about a table."""

    names: list[str] | None  # one a column; None without a header
    n_header_lines: int
    n_columns: int
    label: int | None  # index of the label column


def load_csv(path: Path, label: str | int | None = None) -> Dataset:
    """Return the data set in a comma-separated file, with or without a header, gzipped or not.

    Parameters
    ----------
    path : Path
        UTF-8 text. The first line is a header if it names the label column or if none of its cells, the
        label's aside, is a number.
    label : str or int, optional
        The label column: its name, or its index from 0 (negative: from the end). Default: the column
        named label; without one the data set has no labels and `y` is None.

    Returns
    -------
    Dataset
        `X` is float64; uint8 if the columns are pixels (pixel0, pixel1 ... or from 1, or 1x1, 1x2 ...) and
        all their cells are whole numbers in 0..255; a square of pixels has an `image_shape`. `y` is int64 if
        all labels are written as whole numbers, float64 if all are numbers, else text.

    Raises
    ------
    DataError
        If the file cannot be read or is not UTF-8, has no such label column, no rows, a missing, text or
        infinite cell or a row with too few or too many cells; with line (from 1) and column.
    """
    raw = read_bytes(path)
    _check_text(path, raw)
    layout = _layout(path, raw, label)
    feature_names = None
    if layout.names is not None:
        feature_names = [name for i, name in enumerate(layout.names) if i != layout.label]
    is_pixels = feature_names is not None and _are_pixels(feature_names)

    table, words = _parse(raw, layout, np.uint8) if is_pixels else (None, [])
    if table is None:
        table, words = _parse(raw, layout, np.float64)
    if table is None:
        raise _fault(path, raw, layout, label_holes={""})
    X, y = table, None
    if layout.label is not None:
        labels = _typed_labels(words)
        if labels is None:
            raise _fault(path, raw, layout, label_holes=_MISSING)
        X = np.delete(table, layout.label, axis=1)
        y = labels[table[:, layout.label].astype(np.intp)]
    if not is_pixels:
        return Dataset(path.name, X, y, feature_names=feature_names)
    if X.dtype != np.uint8 and np.array_equal(X, np.clip(X, 0, 255).astype(np.uint8)):
        X = X.astype(np.uint8)
    side = math.isqrt(X.shape[1])
    image_shape = (side, side) if side * side == X.shape[1] else None
    return Dataset(path.name, X, y, image_shape=image_shape, feature_names=feature_names)


def _check_text(path: Path, raw: bytes) -> None:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text: it has byte {raw[error.start]:#04x} at position {error.start}; "
            "save it as CSV in UTF-8"
        ) from None
    if not text.strip():
        raise DataError(f"{path} is empty")


def _lines(raw: bytes) -> io.TextIOWrapper:
    # Not StringIO, which keeps four bytes a character: 300 MB for Kaggle's 77.
    return io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8-sig", newline=None)


def _layout(path: Path, raw: bytes, label: str | int | None) -> _Layout:
    reader = csv.reader(_lines(raw))
    try:
        first = next([cell.strip() for cell in row] for row in reader if row)
    except csv.Error as error:
        raise DataError(f"line {reader.line_num} of {path} is not CSV: {error}") from None
    if len(first) == 1 and re.search(r"[;\t]", first[0]):
        raise DataError(f"line {reader.line_num} of {path} has no comma; cells must be separated by commas")
    index = _as_index(label)
    if index is None:
        names_label = ("label" if label is None else label) in first
        others = first
    else:
        names_label = False
        others = [cell for i, cell in enumerate(first) if i not in (index, index + len(first))]
    # pandas names the columns of an array 0, 1, 2 ...
    is_numbered = len(first) > 1 and first == [str(i) for i in range(len(first))]
    names = first if names_label or is_numbered or not any(map(_is_number, others)) else None
    column = _label_column(path, names, len(first), label)
    return _Layout(names, 0 if names is None else reader.line_num, len(first), column)


def _label_column(path: Path, names: list[str] | None, n_columns: int, label: str | int | None) -> int | None:
    """Return the index, from 0, of the label column; None if none was asked for and there is none."""
    index = _as_index(label)
    wanted = "label" if label is None else str(label)
    n_found = 0 if names is None or isinstance(label, int) else names.count(wanted)
    if n_found > 1:
        raise DataError(f"{path} has {n_found} columns named {wanted!r}; give the label's index, from 0")
    if names is not None and n_found:
        return names.index(wanted)
    if label is None:
        return None
    if index is not None and -n_columns <= index < n_columns:
        return index % n_columns
    if names is None:
        remedy = f"it has no header, so give an index from 0 to {n_columns - 1}"
    else:
        shown = ", ".join(names[:8]) + (f" ... ({n_columns} in all)" if n_columns > 8 else "")
        near = difflib.get_close_matches(wanted, names, n=1)
        remedy = f"its columns are {shown}" + (f"; did you mean {near[0]!r}?" if near else "")
    raise DataError(f"{path} has no label column {label!r}; {remedy}")


def _as_index(label: str | int | None) -> int | None:
    if isinstance(label, str):
        return int(label) if re.fullmatch(r"-?[0-9]+", label) else None
    return label


def _are_pixels(names: list[str]) -> bool:
    n = len(names)
    side = range(1, math.isqrt(n) + 1)
    return names in (
        [f"pixel{i}" for i in range(n)],
        [f"pixel{i}" for i in range(1, n + 1)],
        [f"{row}x{column}" for row in side for column in side],
    )


def _parse(raw: bytes, layout: _Layout, dtype: type) -> tuple[np.ndarray | None, list[str]]:
    """Return the table (n_rows, n_columns) and the distinct labels, of which its label column holds the
    indices; None for the table if it has a fault."""
    codes: dict[str, int] = {}
    if not any(line.strip() for line in islice(_lines(raw), layout.n_header_lines, None)):
        return None, []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # with which NumPy 2.0 reads the byte 0.5 as 0
            table: np.ndarray = np.loadtxt(
                islice(_lines(raw), layout.n_header_lines, None),
                dtype=dtype,
                comments=None,
                delimiter=",",
                quotechar='"',
                converters={layout.label: lambda cell: codes.setdefault(cell.strip(), len(codes))}
                if layout.label is not None
                else None,
                ndmin=2,
            )
    except ValueError:
        return None, []
    if table.shape[1] != layout.n_columns or not np.isfinite(table).all():
        return None, []
    return table, list(codes)


def _typed_labels(words: list[str]) -> np.ndarray | None:
    """Return distinct labels as int64, float64 or text; None if one of them is missing."""
    are_numbers = [_is_number(word) for word in words]
    if all(are_numbers):
        try:
            return np.array([int(word) for word in words], np.int64)
        except (ValueError, OverflowError):
            labels = np.array(words, np.float64)
            return labels if np.isfinite(labels).all() else None
    # NA beside numbers is a hole; beside other words it may well be a class.
    is_hole = [word.lower() in _MISSING for word in words]
    if "" in words or all(np.logical_or(are_numbers, is_hole)):
        return None
    return np.array(words)


def _fault(path: Path, raw: bytes, layout: _Layout, label_holes: set[str]) -> DataError:
    """Return the sentence for the first fault in a table that could not be parsed."""
    reader = csv.reader(_lines(raw))
    n_rows = 0
    try:
        for row in reader:
            if not row or reader.line_num <= layout.n_header_lines:
                continue
            n_rows += 1
            where = f"line {reader.line_num} of {path}"
            if len(row) != layout.n_columns:
                return DataError(f"{where} has {len(row)} cells where {layout.n_columns} are due")
            for i, cell in enumerate(row):
                fault = _label_fault(cell, label_holes) if i == layout.label else _feature_fault(cell)
                if fault:
                    name = f"{i} (from 0)" if layout.names is None else repr(layout.names[i])
                    return DataError(f"{where}, column {name}: {fault}")
    except csv.Error as error:
        return DataError(f"line {reader.line_num} of {path} is not CSV: {error}")
    if not n_rows:
        return DataError(f"{path} has a header but no rows")
    return DataError(f"{path} cannot be read as a table of numbers separated by commas")


def _label_fault(cell: str, holes: set[str]) -> str | None:
    cell = cell.strip()
    if cell.lower() in holes:
        return f"the label is missing ({cell!r}); fill it in or remove the line"
    if len(holes) > 1 and _is_number(cell) and not math.isfinite(float(cell)):
        return f"the label {cell!r} is not finite"
    return None


def _feature_fault(cell: str) -> str | None:
    cell = cell.strip()
    if cell.lower() in _MISSING:
        return f"the cell is missing ({cell!r}); fill it in or remove the line"
    if not _is_number(cell):
        return f"{cell!r} is not a number; features must be numbers (if this is the label, name its column)"
    return None if math.isfinite(float(cell)) else f"{cell!r} is not finite"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return cell.isascii() and "_" not in cell  # Python reads 1_000 and \u0663 as numbers, NumPy does not
