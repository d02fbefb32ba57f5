"""FLOOR 3: the first weights of a network.

Drawn in float64, layer by layer from the inputs on, then rounded: float32 and float64 networks of one seed
begin at the same point. Biases begin at zero unless they are given.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn._checks import number
from fastnn.engine import specs

# Draws the float64 weights of one layer; the shape is (inputs, outputs).
Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def he() -> Draw:
    """Normal with variance 2 / inputs, for ReLU and its kin (He et al. 2015, eq. 10)."""
    return lambda rng, shape: rng.normal(0.0, math.sqrt(2 / shape[0]), shape)


def glorot() -> Draw:
    """Uniform in +-sqrt(6 / (inputs + outputs)), for tanh and logistic (Glorot and Bengio 2010, eq. 16)."""
    return lambda rng, shape: _within(rng, math.sqrt(6 / sum(shape)), shape)


def lecun() -> Draw:
    """Normal with variance 1 / inputs: a standard normal over sqrt(inputs) (LeCun et al. 1998, eq. 16)."""
    return lambda rng, shape: rng.normal(0.0, math.sqrt(1 / shape[0]), shape)


def inverse_sqrt() -> Draw:
    """Uniform in +-1/sqrt(inputs), as PyTorch's Linear draws its weights."""
    return lambda rng, shape: _within(rng, math.sqrt(1 / shape[0]), shape)


def standard_normal() -> Draw:
    """Normal with variance 1."""
    return normal(1.0)


def normal(std: float) -> Draw:
    """Normal with mean 0 and standard deviation `std`."""
    std = number("std of normal", std, 0.0)
    return lambda rng, shape: rng.normal(0.0, std, shape)


def uniform(low: float, high: float) -> Draw:
    """Uniform in [low, high)."""
    low = number("low of uniform", low)
    high = number("high of uniform", high, low, above=True)
    return lambda rng, shape: rng.uniform(low, high, shape)


def _within(rng: np.random.Generator, limit: float, shape: tuple[int, int]) -> np.ndarray:
    return rng.uniform(-limit, limit, shape)


INITIALIZERS: dict[str, Callable[..., Draw]] = {
    maker.__name__: maker for maker in (he, glorot, lecun, inverse_sqrt, standard_normal, normal, uniform)
}


def make_weights(
    spec: Any, sizes: Sequence[int], rng: np.random.Generator, dtype: Any
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the first weights and biases of a network.

    Parameters
    ----------
    spec : str, list of arrays, or tuple (weights, biases)
        A word of `INITIALIZERS`, with arguments where it has some, such as ``"normal(0.01)"``; or the
        weights, one (inputs, outputs) array per layer; or these and the biases, one (outputs,) array each.
    sizes : sequence of int
        Inputs, hidden layers ..., outputs.
    rng : numpy.random.Generator
        Draws the weights; given arrays leave it untouched.
    dtype : float32 or float64

    Returns
    -------
    weights, biases : lists of arrays of `dtype`
        (inputs, outputs) and (outputs,) for each layer; C-contiguous copies.

    Raises
    ------
    TypeError, ValueError
        With a sentence, if the text is unknown, or the given arrays are not real numbers, not finite in
        `dtype`, or of the wrong number or shapes.

    Examples
    --------
    >>> weights, biases = make_weights("he", [4, 3, 2], np.random.default_rng(0), "float32")
    >>> [W.shape for W in weights], [b.shape for b in biases]
    ([(4, 3), (3, 2)], [(3,), (2,)])
    """
    shapes = list(itertools.pairwise(sizes))
    bias_shapes = [(n_outputs,) for n_outputs in sizes[1:]]
    biases = [np.zeros(shape, dtype) for shape in bias_shapes]
    if isinstance(spec, str):
        draw = specs.build("init", spec, INITIALIZERS)
        return [_rounded(f"init={spec!r}", draw(rng, shape), dtype) for shape in shapes], biases
    if isinstance(spec, tuple) and len(spec) == 2:
        weights, biases = spec
        return _given("weights", weights, shapes, dtype), _given("biases", biases, bias_shapes, dtype)
    if isinstance(spec, list):
        return _given("weights", spec, shapes, dtype), biases
    raise TypeError(
        f"init must be a name such as 'he', a list of one weight array per layer, or a tuple (weights, "
        f"biases) of two such lists, got {type(spec).__name__}"
    )


def _given(name: str, arrays: Any, shapes: Sequence[tuple[int, ...]], dtype: Any) -> list[np.ndarray]:
    """Return checked copies of the arrays that the user gave, one per layer."""
    if not isinstance(arrays, list | tuple):
        raise TypeError(f"init's {name} must be a list of one array per layer, got {type(arrays).__name__}")
    if len(arrays) != len(shapes):
        raise ValueError(f"init's {name} must be {len(shapes)} arrays, one per layer, got {len(arrays)}")
    checked = []
    for i, (values, shape) in enumerate(zip(arrays, shapes, strict=True)):
        label = f"init's {name}[{i}]"
        try:
            array = np.asarray(values)
        except ValueError:
            raise ValueError(f"{label} has rows of different length; its shape must be {shape}") from None
        if array.dtype.kind not in "iuf":
            raise TypeError(f"{label} must hold real numbers, got an array of {array.dtype}")
        if array.shape != shape:
            raise ValueError(f"{label} must have the shape {shape}, got {array.shape}")
        checked.append(_rounded(label, array, dtype))
    return checked


def _rounded(label: str, array: np.ndarray, dtype: Any) -> np.ndarray:
    """Return a copy in `dtype`, refused if that is not finite (1e300 is infinite in float32)."""
    with np.errstate(over="ignore"):
        rounded = np.array(array, dtype, order="C")
    if not np.isfinite(rounded).all():
        raise ValueError(f"{label} must be finite in {rounded.dtype}; replace NaN and infinite values")
    return rounded
