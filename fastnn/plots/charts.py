"""FLOOR 4: pictures of numbers: class counts, learning curves, confusion matrices, costs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.engine.history import History
from fastnn.metrics import Report, as_labels
from fastnn.plots.figures import COLOURS, as_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FEW = 30  # points of a line that each get a marker
_PARTS = ("train", "val")  # of the names that a history has


def class_histogram(y: Any, ax: Axes | None = None) -> Axes:
    """Draw how many samples each class has.

    Parameters
    ----------
    y : array-like, (n_samples,)
        Labels.
    ax : Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    Axes
    """
    classes, counts = np.unique(as_labels("y", y), return_counts=True)
    names = [str(label) for label in classes.tolist()]
    upright = sum(map(len, names)) + 2 * len(names) <= 90  # else the names would run into each other
    if ax is None:
        height = 3.6 + (0 if upright else 0.08 * max(map(len, names)))
        ax = new_figure(min(max(5.0, 0.55 * len(names)), 14.0), height).subplots()
    bars = ax.bar(range(len(names)), counts, color=COLOURS[0])
    if len(names) <= 40:
        labels = [f"{count:,}" for count in counts]
        ax.bar_label(bars, labels, fontsize=8, rotation=0 if len(names) <= 12 else 90, padding=2)
    every = math.ceil(len(names) / 60)
    ax.set_xticks(range(0, len(names), every), names[::every], rotation=0 if upright else 90, fontsize=9)
    ax.margins(x=0.01, y=0.1 if len(names) <= 12 else 0.25)
    ax.set(xlabel="class", ylabel="samples", title=f"{counts.sum():,} samples of {len(names)} classes")
    return ax


def learning_curves(
    epochs: History | Iterable[Mapping[str, Any]], axes: Any = None, watched: str = "validation"
) -> np.ndarray:
    """Draw loss, and accuracy where it was logged, over the epochs, with the best epoch of each marked.

    Parameters
    ----------
    epochs : History or list of dict
        One row per epoch, with ``epoch`` and any of ``train_loss``, ``val_loss``, ``train_accuracy`` and
        ``val_accuracy``.
    axes : Axes or sequence of Axes, optional
        One for the loss, and one for the accuracy if there is any; default: a new figure.
    watched : str
        What the part is called that ``val_loss`` and ``val_accuracy`` are of.

    Returns
    -------
    ndarray of Axes
        One or two.

    Raises
    ------
    ValueError
        If there is no epoch, or no loss and no accuracy.
    """
    history = epochs if isinstance(epochs, History) else _history(epochs)
    panels = [name for name in ("loss", "accuracy") if any(f"{part}_{name}" in history.columns for part in _PARTS)]
    if not panels:
        raise ValueError(f"{history!r} has no train_loss, val_loss, train_accuracy or val_accuracy to draw")
    if axes is None:
        axes = new_figure(5.2 * len(panels), 3.8).subplots(1, len(panels), squeeze=False)
    used = as_axes(axes, len(panels))[: len(panels)]
    for ax, name in zip(used, panels, strict=True):
        _draw_curves(ax, history, name, watched)
    return used


def confusion_matrix(report: Report, ax: Axes | None = None) -> Axes:
    """Draw the confusion matrix of a report.

    The darker a cell, the larger its share of the actual class; by the square root, so that rare mistakes show.

    Parameters
    ----------
    report : Report
    ax : Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    Axes
    """
    n = len(report.classes)
    if ax is None:
        side = min(max(4.0, 1.6 + 0.42 * n), 16.0)
        ax = new_figure(side, side).subplots()
    from sklearn.metrics import ConfusionMatrixDisplay

    counts = report.confusion
    names = [str(label) for label in report.classes]
    shade = np.sqrt(counts / counts.sum(axis=1, keepdims=True).clip(min=1))
    display = ConfusionMatrixDisplay(shade, display_labels=names)
    display.plot(
        ax=ax,
        cmap="Blues",
        colorbar=False,
        include_values=n <= 40,
        xticks_rotation="vertical" if max(map(len, names)) > 3 else "horizontal",
        im_kw={"vmin": 0.0, "vmax": 1.0},
        text_kw={"fontsize": 8 if n <= 12 else 7},
    )
    if display.text_ is not None:
        for text, count, dark in zip(display.text_.flat, counts.flat, shade.flat, strict=True):
            text.set(text=str(count) if count else "", color="white" if dark > 0.6 else "black")
    ax.set(xlabel="predicted", ylabel="actual")
    ax.set_title(f"accuracy {report.accuracy:.2%} of {report.n_samples:,} samples", fontsize=11)
    return ax


def costs(
    iterations: Any,
    values: Mapping[str, Any],
    ax: Axes | None = None,
    marks: Mapping[str, tuple[Any, Any]] | None = None,
) -> Axes:
    """Draw costs over iterations, a line for each name.

    Parameters
    ----------
    iterations : array-like, (n,)
    values : mapping of str to array-like (n,)
        For example ``{"training": ..., "validation": ...}``.
    ax : Axes, optional
        Where to draw; default: a new figure.
    marks : mapping of str to pair of array-like (m,), optional
        Points to compare with, such as ``{"published": (iterations, costs)}``.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If a line has another length than `iterations`, or there is no line.
    """
    at = np.asarray(iterations)
    if not values:
        raise ValueError("values must have at least one line of costs, got none")
    for name, line in values.items():
        if np.shape(line) != at.shape:
            raise ValueError(f"values[{name!r}] must have shape {at.shape} as iterations has, got {np.shape(line)}")
    if ax is None:
        ax = new_figure(6.0, 3.8).subplots()
    for i, (name, line) in enumerate(values.items()):
        style = ("-", "--", ":", "-.")[i % 4]
        marker = "o" if len(at) <= _FEW else ""
        ax.plot(at, line, style, color=COLOURS[i % len(COLOURS)], marker=marker, markersize=3, label=name)
    for i, (name, (places, points)) in enumerate((marks or {}).items()):
        ax.plot(places, points, "xo+"[i % 3], color="black", fillstyle="none", markersize=6, label=name)
    ax.grid(alpha=0.3)
    ax.set(xlabel="iteration", ylabel="cost")
    ax.legend(framealpha=0.9, edgecolor="none")
    return ax


def _history(rows: Iterable[Mapping[str, Any]]) -> History:
    history = History()
    for row in rows:
        history.append(row)
    return history


def _draw_curves(ax: Axes, history: History, name: str, watched: str) -> None:
    """One panel: both parts over the epochs, and where the one that is watched is best."""
    at: Sequence[Any] = history["epoch"] if "epoch" in history.columns else range(1, len(history) + 1)
    logged = [part for part in _PARTS if f"{part}_{name}" in history.columns]
    looks = {"train": ("training", COLOURS[0], "-"), "val": (watched, COLOURS[1], "--")}
    for part in logged:
        label, colour, style = looks[part]
        marker = "o" if len(history) <= _FEW else ""
        ax.plot(at, history[f"{part}_{name}"], style, color=colour, marker=marker, markersize=3, label=label)
    scores = np.array(history[f"{logged[-1]}_{name}"], float)
    if np.isfinite(scores).any():
        i = int(np.nanargmin(scores) if name == "loss" else np.nanargmax(scores))
        value = f"{scores[i]:.2%}" if name == "accuracy" else f"{scores[i]:.4g}"
        ax.axvline(at[i], color="grey", linewidth=0.8)
        ax.plot(at[i], scores[i], "*", color="black", markersize=10, label=f"best: epoch {at[i]}, {value}")
    if name == "accuracy":
        ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    ax.locator_params(axis="x", integer=True)
    ax.grid(alpha=0.3)
    ax.set(xlabel="epoch", ylabel=name)
    ax.legend(framealpha=0.9, edgecolor="none")
