"""FLOOR 4: pictures of samples: images with titles, mistakes, predictions, weights of the first layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn._checks import integer
from fastnn.engine.network import MLP
from fastnn.metrics import Mistake, as_labels
from fastnn.plots.figures import WRONG, as_axes, new_figure

_INCHES_A_LETTER = 0.075  # of a title, at 8 points
_TITLE = {"fontsize": 8, "pad": 3}


def images(X: Any, image_shape: Sequence[int], titles: Sequence[str] | None = None, axes: Any = None) -> np.ndarray:
    """Draw samples as images, ink dark on white, all with one scale of brightness.

    Parameters
    ----------
    X : array-like, (n_samples, n_features)
    image_shape : sequence of int
        (height, width) or (height, width, channels) of the image that a row is; channels 1 or 3 (red, green, blue).
    titles : sequence of str, optional
        One for each image.
    axes : sequence of Axes, optional
        At least one for each image; what is left is emptied. Default: a new figure.

    Returns
    -------
    ndarray of Axes
        One for each image.

    Raises
    ------
    ValueError
        If X, its rows and image_shape, or the titles do not fit.
    """
    pictures = as_images(X, image_shape)
    if titles is not None and len(titles) != len(pictures):
        raise ValueError(f"titles must be one for each image, got {len(titles)} for {len(pictures)} images")
    return _draw(pictures, list(titles or [""] * len(pictures)), axes, *_range(pictures), "gray_r")


def mistakes(
    X: Any, mistakes: Sequence[Mistake], image_shape: Sequence[int], axes: Any = None, n: int = 25
) -> np.ndarray:
    """Draw samples that were predicted wrongly, with both labels, in the order given.

    Parameters
    ----------
    X : array-like, (n_samples, n_features)
        The samples that `fastnn.metrics.mistakes` was asked about.
    mistakes : sequence of Mistake
    image_shape, axes
        See `images`.
    n : int
        Draw no more than so many.

    Returns
    -------
    ndarray of Axes
        One for each image; one that says so if there is no mistake.
    """
    shown = list(mistakes)[: integer("n", n, 1)]
    if not shown:
        ax = as_axes(new_figure(3, 2).subplots() if axes is None else axes, 1)[0]
        ax.axis("off")
        ax.text(0.5, 0.5, "no mistakes", ha="center", va="center", transform=ax.transAxes)
        return np.array([ax])
    titles = [f"actual {m.actual}\npredicted {m.predicted} ({m.confidence:.1%})" for m in shown]
    return images(np.asarray(X)[[m.index for m in shown]], image_shape, titles, axes)


def predictions(X: Any, labels: Any, predicted: Any, image_shape: Sequence[int], axes: Any = None) -> np.ndarray:
    """Draw samples with their predicted labels; where one is wrong, in another colour and with the actual label.

    Parameters
    ----------
    X : array-like, (n_samples, n_features)
        The samples to draw, all of them.
    labels : array-like, (n_samples,), or None
        The actual labels, if they are known.
    predicted : array-like, (n_samples,)
    image_shape, axes
        See `images`.

    Returns
    -------
    ndarray of Axes
        One for each image.
    """
    pictures = as_images(X, image_shape)
    found = as_labels("predicted", predicted).tolist()
    known = found if labels is None else as_labels("labels", labels).tolist()
    if not len(pictures) == len(found) == len(known):
        raise ValueError(
            f"X, labels and predicted must be equally long, got {len(pictures)}, {len(known)} and {len(found)} samples"
        )
    wrong = [a != b for a, b in zip(known, found, strict=True)]
    titles = [f"{a}, not {b}" if bad else str(a) for a, b, bad in zip(found, known, wrong, strict=True)]
    drawn = _draw(pictures, titles, axes, *_range(pictures), "gray_r")
    for ax, bad in zip(drawn, wrong, strict=True):
        if bad:
            ax.title.set(color=WRONG, fontweight="bold")
    return drawn


def first_layer_weights(net: MLP, image_shape: Sequence[int], axes: Any = None, n: int = 64) -> np.ndarray:
    """Draw what each unit of the first layer looks for: its weights as an image, blue below zero and red above.

    Parameters
    ----------
    net : MLP
    image_shape : sequence of int
        (height, width) of the images that the network takes.
    axes : sequence of Axes, optional
        At least one for each unit drawn; default: a new figure, with a scale beside it.
    n : int
        Draw the first so many units.

    Returns
    -------
    ndarray of Axes
        One for each unit.
    """
    weights = net.weights[0].T[: integer("n", n, 1)]
    pictures = as_images(weights, image_shape)
    # single weights that are far out would leave all others pale
    limit = float(np.quantile(abs(weights), 0.995)) or 1.0
    names: Any = range(len(weights))
    if len(net.sizes) == 2 and net.classes is not None:  # the units are the outputs
        names = net.classes[-net.sizes[-1] :][: len(weights)].tolist()
    drawn = _draw(pictures, list(map(str, names)), axes, -limit, limit, "RdBu_r")
    if axes is None:
        figure = drawn[0].figure
        width, height = figure.get_size_inches()
        figure.set_size_inches(width + 0.9, height)
        scale = figure.colorbar(drawn[0].images[0], ax=figure.axes, aspect=30, label="weight", extend="both")
        scale.ax.tick_params(labelsize=8)
    return drawn


def as_images(X: Any, image_shape: Sequence[int]) -> np.ndarray:
    """Return samples (n, n_features) as (n, height, width) or (n, height, width, 3).

    Raises
    ------
    ValueError
        If X is empty or the shape is not that of its rows.
    """
    X = np.asarray(X)
    shape = tuple(int(side) for side in image_shape)
    if X.ndim < 2 or len(X) == 0:
        raise ValueError(f"X must be (n_samples, n_features) with at least one sample, got shape {X.shape}")
    if len(shape) not in (2, 3) or shape[2:] not in ((), (1,), (3,)):
        raise ValueError(f"image_shape must be (height, width), or with 1 or 3 channels behind, got {shape}")
    n_features = math.prod(X.shape[1:])
    if math.prod(shape) != n_features:
        raise ValueError(f"image_shape {shape} has {math.prod(shape)} pixels, but X has {n_features} features")
    return X.reshape(len(X), *(shape[:2] if shape[2:] == (1,) else shape))


def _range(pictures: np.ndarray) -> tuple[float, float]:
    low, high = float(pictures.min()), float(pictures.max())
    return (low, high) if high > low else (low, low + 1.0)


def _draw(pictures: np.ndarray, titles: Sequence[str], axes: Any, low: float, high: float, colours: str) -> np.ndarray:
    """Draw one image on each of the axes, and empty those that are left."""
    if axes is None:
        axes = _grid(len(pictures), titles)
    some = as_axes(axes, len(pictures))
    for ax, picture, title in zip(some, pictures, titles, strict=False):
        if picture.ndim == 3:  # channels: matplotlib wants them in 0..1
            picture = (picture.astype(float) - low) / (high - low)
        ax.imshow(picture, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(color="lightgrey", linewidth=0.5)
        ax.set_title(title, **_TITLE)
    for ax in some[len(pictures) :]:
        ax.axis("off")
    return some[: len(pictures)]


def _grid(n: int, titles: Sequence[str]) -> Any:
    """Axes of a new figure: about a square of them, each as wide as the longest line of a title."""
    lines = [title.split("\n") for title in titles]
    longest = max(len(line) for title in lines for line in title)
    width = max(0.9, _INCHES_A_LETTER * longest)
    height = 0.95 + 0.15 * max(map(len, lines))
    columns = min(n, math.ceil(math.sqrt(n)), max(1, int(14 / width)))
    rows = math.ceil(n / columns)
    return new_figure(width * columns, height * rows).subplots(rows, columns, squeeze=False)
