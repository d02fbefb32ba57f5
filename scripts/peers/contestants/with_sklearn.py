"""scikit-learn's MLPClassifier: partial_fit, one epoch a call, without the check of X for NaN.

The rows are put in order before the clock runs, so that it neither shuffles nor gathers out of order: that favours it.
"""

from __future__ import annotations

import warnings

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier

from peers.data import Parameters, Samples
from peers.jobs import Prediction, Training


def _classifier(job: Training | Prediction, X: np.ndarray, parameters: Parameters) -> MLPClassifier:
    """Made by a first call of partial_fit, then given the parameters in place and velocities of zero."""
    if job.output != "softmax":
        raise NotImplementedError("MLPClassifier has softmax outputs for classes that exclude each other")
    training = isinstance(job, Training)
    classifier = MLPClassifier(
        job.sizes[1:-1],
        activation=job.activation,
        solver="sgd",
        alpha=0.0,
        batch_size=min(job.batch_size, len(X)) if training else 1,
        learning_rate_init=job.rate if training else 0.1,
        momentum=job.momentum if training else 0.0,
        nesterovs_momentum=False,
        shuffle=False,
        random_state=0,
    )
    n_classes = job.sizes[-1]
    with warnings.catch_warnings(action="ignore"):  # of a batch_size above these few rows
        labels = np.arange(n_classes)
        classifier.partial_fit(np.resize(X, (n_classes, X.shape[1])), labels, classes=labels)
    optimizer = classifier._optimizer
    for mine, first in zip(
        (*classifier.coefs_, *classifier.intercepts_), (*parameters[0], *parameters[1]), strict=True
    ):
        mine[...] = first
    for velocity in optimizer.velocities:
        velocity[...] = 0
    return classifier


class Trains:
    """Threads are those of the BLAS that NumPy was built with."""

    def __init__(self, job: Training, n_threads: int) -> None:
        sklearn.set_config(assume_finite=True)
        self.job = job

    def begin(self, samples: Samples, parameters: Parameters) -> None:
        self.epochs = [(samples.X[order], samples.y[order]) for order in samples.order]
        self.classifier = _classifier(self.job, samples.X, parameters)

    def run(self) -> None:
        for X, y in self.epochs:
            self.classifier.partial_fit(X, y)

    def parameters(self) -> Parameters:
        return self.classifier.coefs_, self.classifier.intercepts_


class Predicts:
    """predict_proba."""

    def __init__(self, job: Prediction, n_threads: int) -> None:
        sklearn.set_config(assume_finite=True)
        self.job = job

    def begin(self, X: np.ndarray, parameters: Parameters) -> None:
        self.X, self.classifier = X, _classifier(self.job, X, parameters)

    def run(self) -> np.ndarray:
        return self.classifier.predict_proba(self.X)
