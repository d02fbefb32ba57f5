"""JAX: a whole epoch, gather and update included, is one compiled call: jit around lax.scan."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from peers.data import SCALES, Parameters, Samples
from peers.jobs import Prediction, Training

jax.config.update("jax_enable_x64", True)  # arrays keep the dtype that they are given
_ACTIVATIONS = {"relu": jax.nn.relu, "logistic": jax.nn.sigmoid}


def _logits(parameters: Any, x: jax.Array, activation: str) -> jax.Array:
    *hidden, (W, b) = parameters
    for V, c in hidden:
        x = _ACTIVATIONS[activation](x @ V + c)
    return x @ W + b


def _scaled(job: Training | Prediction, x: jax.Array) -> jax.Array:
    """Bytes as the numbers that the others get."""
    return x.astype(job.dtype) * jnp.asarray(SCALES[job.data], job.dtype) if x.dtype == jnp.uint8 else x


def _pairs(parameters: Parameters) -> list[tuple[jax.Array, jax.Array]]:
    return [(jnp.array(W), jnp.array(b)) for W, b in zip(*parameters, strict=True)]


class Trains:
    """The last, smaller mini-batch follows the scan in the same call."""

    def __init__(self, job: Training, n_threads: int) -> None:
        if job.output != "softmax":
            raise NotImplementedError("only softmax outputs are written for JAX")
        self.job = job
        self.compiled: dict[int, Any] = {}

    def begin(self, samples: Samples, parameters: Parameters) -> None:
        n, size = len(samples.X), min(self.job.batch_size, len(samples.X))
        self.X, self.y = jnp.asarray(samples.X), jnp.asarray(samples.y.astype(np.int32))
        full = n // size * size
        orders = samples.order.astype(np.int32)
        self.orders = [(jnp.asarray(o[:full].reshape(-1, size)), jnp.asarray(o[full:])) for o in orders]
        self.state = _pairs(parameters), jax.tree.map(jnp.zeros_like, _pairs(parameters))
        if n not in self.compiled:
            whole = not self.job.shuffle and size == n
            epoch = jax.jit(partial(_epoch, self.job, whole), donate_argnums=0)
            self.compiled[n] = epoch.lower(self.state, self.X, self.y, self.orders[0]).compile()
        self.epoch = self.compiled[n]
        jax.block_until_ready((self.X, self.y, self.orders, self.state))

    def run(self) -> None:
        for order in self.orders:
            self.state = self.epoch(self.state, self.X, self.y, order)
        jax.block_until_ready(self.state)

    def parameters(self) -> Parameters:
        pairs = self.state[0]
        return [np.array(W) for W, _ in pairs], [np.array(b) for _, b in pairs]


def _epoch(job: Training, whole: bool, state: Any, X: jax.Array, y: jax.Array, order: Any) -> Any:
    def loss(parameters: Any, x: jax.Array, labels: jax.Array) -> jax.Array:
        logits = _logits(parameters, x, job.activation)
        chosen = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
        return jnp.mean(jax.nn.logsumexp(logits, axis=1) - chosen)

    def step(state: Any, rows: jax.Array) -> Any:
        parameters, velocities = state
        # Without the promise XLA compares every index with the bounds and fills in NaN
        x, labels = (X, y) if whole else (a.at[rows].get(mode="promise_in_bounds") for a in (X, y))
        gradients = jax.grad(loss)(parameters, _scaled(job, x), labels)
        velocities = jax.tree.map(lambda v, g: job.momentum * v - job.rate * g, velocities, gradients)
        return (jax.tree.map(jnp.add, parameters, velocities), velocities), None

    batches, rest = order
    state, _ = lax.scan(step, state, batches)
    return step(state, rest)[0] if len(rest) else state


class Predicts:
    """One compiled call; the result comes back as a NumPy array, as for the others."""

    def __init__(self, job: Prediction, n_threads: int) -> None:
        self.job = job

    def begin(self, X: np.ndarray, parameters: Parameters) -> None:
        pairs, job = _pairs(parameters), self.job
        self.X = X
        self.call = jax.jit(lambda x: jax.nn.softmax(_logits(pairs, _scaled(job, x), job.activation)))

    def run(self) -> np.ndarray:
        return np.asarray(self.call(self.X))
