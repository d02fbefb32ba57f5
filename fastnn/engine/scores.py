"""FLOOR 3: how good outputs are: accuracy for every epoch, and the scores that `Trainer.evaluate` reports."""

from __future__ import annotations

import numpy as np


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
