"""Did all do the same work? A contestant whose numbers are not those of the others has no place in the table.

Before the clock runs, every contestant takes the same samples in the same order through a few dozen steps; the
referee does it in float64 with plain NumPy. Then, and again after each timed training, the referee computes
the loss with the parameters that the contestant hands over, and does not take its word for it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from peers.contestants import with_numpy
from peers.data import Parameters, Samples
from peers.jobs import Training

# float32 against float64 after CHECK_STEPS steps. Measured: 1e-7 in the loss and 2e-6 in the parameters; 5e-5 and 3e-3
# where rounding moves a ReLU of one sample across zero. One step of 50 left out moves them by 7e-3 and 2e-2 or more.
LOSS_TOLERANCE = 1e-3
# Distance from the referee's parameters, relative to the way that these have come from the first ones
PARAMETER_TOLERANCE = 1e-2
# After hundreds of steps rounding has grown, above all where a ReLU switches; no more than a coarse check is left
FINAL_TOLERANCE = 0.05
# Probabilities, absolute
OUTPUT_TOLERANCE = 1e-4

CHECK_STEPS = 50
_CHECK_OPERATIONS = 5e10
_LOSS_SAMPLES = 2_000


def check_samples(job: Training) -> int:
    """How many samples make CHECK_STEPS steps, or fewer where a step is long; at least two steps."""
    n_steps = min(CHECK_STEPS, max(2, int(_CHECK_OPERATIONS / (job.operations * job.batch_size))))
    return min(job.n_rows, n_steps * job.batch_size)


class Referee:
    """Knows what a training must lead to.

    Parameters
    ----------
    job : Training
    samples : Samples
        All of them.
    order : int64 array (epochs, n)
        Of the check.
    first : Parameters
    """

    def __init__(self, job: Training, samples: Samples, order: np.ndarray, first: Parameters) -> None:
        self.job = replace(job, dtype="float64")
        self.samples = samples
        self.first = _flat(first)
        reference = with_numpy.Trains(self.job, 1)
        checked = samples.first(order)
        reference.begin(Samples(checked.X.astype(np.float64), checked.y, order), first)
        reference.run()
        self.expected = _flat(reference.parameters())
        self.expected_loss = self.loss(reference.parameters())

    def loss(self, parameters: Parameters) -> float:
        """Mean loss of the first samples, in float64."""
        weights, biases = ([np.asarray(a, np.float64) for a in arrays] for arrays in parameters)
        X = self.samples.X[:_LOSS_SAMPLES].astype(np.float64)
        y = self.samples.y[:_LOSS_SAMPLES]
        outputs = with_numpy.forward(X, weights, biases, self.job.activation, self.job.output)[-1]
        if self.job.loss == "mse":
            return float(0.5 * np.mean(np.sum((outputs - np.eye(outputs.shape[1])[y]) ** 2, axis=1)))
        return float(-np.mean(np.log(np.maximum(outputs[np.arange(len(y)), y], 1e-300))))

    def objection(self, parameters: Parameters) -> str:
        """Why a contestant's parameters after the check are not accepted; empty if they are."""
        found = _flat(parameters)
        if found.shape != self.expected.shape:
            return f"{found.size:,} parameters instead of {self.expected.size:,}"
        loss = self.loss(parameters)
        if not abs(loss - self.expected_loss) <= LOSS_TOLERANCE * abs(self.expected_loss):
            return f"loss {loss:.6f} after the check instead of {self.expected_loss:.6f}"
        distance = np.linalg.norm(found - self.expected) / np.linalg.norm(self.expected - self.first)
        if not distance <= PARAMETER_TOLERANCE:
            return f"parameters {distance:.1e} away from the referee's after the check"
        return ""


def final_objection(loss: float, losses: list[float]) -> str:
    """Why the loss after a timed training is not accepted beside those of all; empty if it is."""
    middle = float(np.median(losses))
    if abs(loss - middle) <= FINAL_TOLERANCE * middle:
        return ""
    return f"loss {loss:.4f} after the timed training, where the median is {middle:.4f}"


def output_objection(outputs: np.ndarray, expected: np.ndarray) -> str:
    """Why probabilities (n, outputs) are not accepted; empty if they are."""
    if outputs.shape != expected.shape:
        return f"outputs of shape {outputs.shape} instead of {expected.shape}"
    error = float(np.abs(outputs - expected).max())
    return "" if error <= OUTPUT_TOLERANCE else f"probabilities wrong by up to {error:.1e}"


def _flat(parameters: Parameters) -> np.ndarray:
    weights, biases = parameters
    return np.concatenate([np.asarray(a, np.float64).ravel() for a in (*weights, *biases)])
