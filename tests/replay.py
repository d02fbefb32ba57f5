"""A whole training by the oracle: the same samples in the same order with the same masks, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import randomness
from reference import ReferenceNet, apply_max_norm, sgd_step

import fastnn


def reference_of(net: fastnn.MLP, loss: str, l1: float = 0.0, l2: float = 0.0) -> ReferenceNet:
    """The oracle with the choices and the present parameters of `net`."""
    return ReferenceNet(net.sizes, net.activations, net.output, loss, net.weights, net.biases, l1, l2)


def replay(
    reference: ReferenceNet,
    X: Any,
    Y: Any,
    rates: Sequence[Any],
    *,
    batch_size: int,
    momentum: float = 0.0,
    nesterov: bool = False,
    dropout: float = 0.0,
    input_dropout: float = 0.0,
    max_norm: float | None = None,
    shuffle: bool = False,
    seed: int = 0,
    sample_weight: Any = None,
) -> list[float]:
    """Train `reference` in place and return the training loss of each epoch.

    X (n, inputs) and Y (n, outputs) are as for `ReferenceNet`; `rates` holds for each epoch an array with the
    learning rate of each step.
    """
    n = len(X)
    w = np.ones(n) if sample_weight is None else np.asarray(sample_weight, np.float64)
    drop = [input_dropout] + [dropout] * len(reference.activations)
    velocities = [np.zeros_like(p) for p in reference.parameters]
    losses = []
    for epoch, epoch_rates in enumerate(rates):
        order = randomness.order(n, seed, epoch) if shuffle else np.arange(n)
        total = 0.0
        starts = range(0, n, batch_size)
        assert len(starts) == len(epoch_rates)
        for start, rate in zip(starts, epoch_rates, strict=True):
            rows = order[start : start + batch_size]
            input_mask, masks = randomness.masks(reference.sizes, drop, len(rows), seed, epoch, start)
            # Samples that weigh nothing have no mean; then the penalties alone have gradients.
            weighs = w[rows].any()
            loss, dWs, dbs = reference.loss_and_gradients(
                X[rows], Y[rows], w[rows] if weighs else None, masks, input_mask
            )
            if not weighs:
                dWs = [reference.l2 * W + reference.l1 * np.sign(W) for W in reference.weights]
                dbs = [np.zeros_like(b) for b in dbs]
            total += loss * w[rows].sum()
            sgd_step(reference.parameters, [*dWs, *dbs], velocities, float(rate), momentum, nesterov)
            if max_norm is not None:
                for W in reference.weights:
                    apply_max_norm(W, max_norm)
        losses.append(total / w.sum())
    return losses
