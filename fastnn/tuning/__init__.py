"""FLOOR 4: hyperparameters chosen by k-fold cross-validation, several networks at once in one process.

`tune` does it all; the ranges Uniform, Log and Int are for its space.
"""

from fastnn.tuning.hyperparameters import make_trainer
from fastnn.tuning.results import Trial, TuningResult
from fastnn.tuning.space import Int, Log, Range, Uniform, make_candidates
from fastnn.tuning.tune import tune

__all__ = ["Int", "Log", "Range", "Trial", "TuningResult", "Uniform", "make_candidates", "make_trainer", "tune"]
