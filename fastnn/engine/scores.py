"""FLOOR 3: how good outputs are: accuracy for every epoch, and the scores that `Trainer.evaluate` reports."""

from __future__ import annotations

import numpy as np

from fastnn.engine.labels import Encoded
from fastnn.engine.network import MLP


def judged(encoded: Encoded, outputs: np.ndarray, net: MLP) -> tuple[np.ndarray, np.ndarray]:
    """Truth and what the outputs decide, in one form: class indices (n,), or 0 and 1 or numbers (n, n_outputs)."""
    n_outputs = net.sizes[-1]
    one_of_several = net.output == "softmax" or (net.output == "logistic" and n_outputs > 1 and net.classes is not None)
    if one_of_several:
        truth = encoded.labels if encoded.labels.size else encoded.targets.reshape(-1, n_outputs).argmax(axis=1)
        return truth, outputs.argmax(axis=1)
    # rows of several labels may all happen to hold a single 1 and were then taken for classes; the network decides
    truth = np.eye(n_outputs)[encoded.labels] if encoded.labels.size else encoded.targets.reshape(-1, n_outputs)
    return truth, outputs if net.output == "identity" else (outputs >= 0.5).astype(outputs.dtype)


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Share of samples that are right; with several labels a sample, of those right in every label."""
    same = truth == predicted
    return float((same.all(axis=1) if same.ndim == 2 else same).mean())


def f1_macro(truth: np.ndarray, predicted: np.ndarray) -> float:
    """F1 of each class or label, averaged without weights (scikit-learn's f1_score); 0 for one never predicted."""
    from sklearn.metrics import f1_score

    return float(f1_score(truth, predicted, average="macro", zero_division=0))


def r2(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Coefficient of determination, averaged over the targets (scikit-learn's r2_score)."""
    from sklearn.metrics import r2_score

    return float(r2_score(truth, predicted))
