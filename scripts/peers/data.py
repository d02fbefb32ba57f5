"""Samples, their order and the first weights: made once, kept in files, and read alike by every contestant."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from peers.jobs import Prediction, Training

Parameters = tuple[list[np.ndarray], list[np.ndarray]]  # weights (inputs, outputs) and biases (outputs,), by layer
SEED = 1
SCALES = {"mnist": 1 / 255, "digits": 1 / 16}  # of bytes


@dataclass
class Samples:
    """What a contestant trains on.

    Attributes
    ----------
    X : array (n, features)
        Of the job's dtype, scaled; or uint8, not scaled, for a contestant that asks for it.
    y : int64 array (n,)
    order : int64 array (epochs, n)
        Mini-batches are successive pieces of a row of it.
    """

    X: np.ndarray
    y: np.ndarray
    order: np.ndarray

    def first(self, order: np.ndarray) -> Samples:
        """The first samples, as many as `order` (epochs, n) has, to check a contestant with."""
        n = order.shape[1]
        return Samples(self.X[:n], self.y[:n], order)


def write(job: Training | Prediction, folder: Path) -> None:
    """Put the samples and first parameters of `job` into `folder`."""
    dataset = _load(job.data)
    assert dataset.y is not None
    pixels = np.ascontiguousarray(dataset.X[: job.n_rows])
    scaled = pixels.astype(job.dtype)
    scaled *= np.dtype(job.dtype).type(SCALES[job.data])
    np.save(folder / "pixels.npy", pixels)
    np.save(folder / "X.npy", scaled)
    np.save(folder / "y.npy", dataset.y[: job.n_rows].astype(np.int64))
    weights, biases = first_parameters(job.sizes, job.activation, job.dtype)
    np.savez(folder / "parameters.npz", *weights, *biases)
    if isinstance(job, Training):
        np.save(folder / "order.npy", order(len(pixels), job.epochs, job.shuffle))


@cache
def _load(name: str) -> Any:
    from fastnn import datasets

    return datasets.load(name)


def read(folder: Path, pixels: bool = False) -> Samples:
    """The samples in `folder`, in memory; as uint8 if `pixels`."""
    orders = folder / "order.npy"
    X = np.load(folder / ("pixels.npy" if pixels else "X.npy"))
    return Samples(X, np.load(folder / "y.npy"), np.load(orders) if orders.exists() else np.empty((0, len(X)), int))


def read_parameters(folder: Path) -> Parameters:
    """The first parameters in `folder`."""
    with np.load(folder / "parameters.npz") as arrays:
        found = [arrays[name] for name in arrays.files]
    return found[: len(found) // 2], found[len(found) // 2 :]


def first_parameters(sizes: tuple[int, ...], activation: str, dtype: str) -> Parameters:
    """Weights by He (relu) or Glorot, both normal; biases small and not zero, so that a forgotten bias shows."""
    rng = np.random.default_rng(SEED)
    weights, biases = [], []
    for i, o in pairwise(sizes):
        std = (2 / i) ** 0.5 if activation == "relu" else (2 / (i + o)) ** 0.5
        weights.append((std * rng.standard_normal((i, o))).astype(dtype))
        biases.append((0.01 * rng.standard_normal(o)).astype(dtype))
    return weights, biases


def order(n: int, epochs: int, shuffle: bool) -> np.ndarray:
    """The order in which fastnn itself takes n samples, (epochs, n): the others get it ready-made."""
    if not shuffle:
        return np.tile(np.arange(n), (epochs, 1))
    from peers.order import shuffled

    return np.array([shuffled(n, SEED, epoch) for epoch in range(epochs)])
