"""FLOOR 4: figures without pyplot: new ones, their colours, and files of them."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._files import replace_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The palette of Okabe and Ito (Color Universal Design, 2008), which every kind of colour vision tells apart:
# blue, vermilion, green, purple, orange, sky
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
WRONG = COLOURS[1]
DOTS_PER_INCH = 120


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches.

    Raises
    ------
    ImportError
        Without matplotlib.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def require_matplotlib() -> None:
    """Raise ImportError with the remedy if matplotlib cannot be imported."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise ImportError("pictures need matplotlib: pip install 'fastnn[plot]'") from None


def as_axes(axes: Any, wanted: int) -> np.ndarray:
    """Return the Axes that a caller gave, one or many in any arrangement, as an array (n,) of at least `wanted`."""
    flat = np.asarray(axes, dtype=object).ravel()
    if len(flat) < wanted:
        raise ValueError(f"axes must be at least {wanted}, got {len(flat)}")
    return flat


def save(figure_or_axes: Any, path: str | os.PathLike[str]) -> Path:
    """Write a picture; the file there is the old one until the new one is complete.

    Parameters
    ----------
    figure_or_axes : Figure, Axes or sequence of Axes
        What a function of this package returned, or a figure of your own.
    path : str or path-like
        Its ending gives the format, PNG without one. The same picture gives the same bytes.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If matplotlib knows no such format.
    OSError
        If the file cannot be written.
    """
    some = figure_or_axes
    while isinstance(some, np.ndarray | Sequence):
        some = some[0]
    figure = some if hasattr(some, "savefig") else some.figure
    path = Path(path)
    form = path.suffix.removeprefix(".").lower() or "png"
    content = io.BytesIO()
    # the version of matplotlib in a PNG, and the date in an SVG or PDF, would make equal pictures differ
    metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form)
    figure.savefig(content, format=form, dpi=DOTS_PER_INCH, metadata=metadata)
    replace_file(path, content.getvalue())
    return path
