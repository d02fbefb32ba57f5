"""FLOOR 4: takes the times that a recipe compares: interleaved short blocks, of each the best."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping

import numpy as np

import fastnn
from fastnn.recipes.plain import MiniBatchNetwork, one_hot, scaled
from fastnn.recipes.result import Timing

# NumPy's threads go on spinning for a while when their work is done, which would slow the next block
PAUSE_SECONDS = 0.1


def race(contestants: Mapping[str, Callable[[], object]], rounds: int = 5) -> dict[str, float]:
    """Return the seconds of each contestant's best block.

    They take turns, so that whatever else the machine does meets all of them; one block each comes before, for
    what happens only once. The best counts: what disturbs a block can only make it longer.

    Parameters
    ----------
    contestants : mapping of name to function
        A block of work, without arguments; all blocks should be the same work.
    rounds : int
    """
    best = dict.fromkeys(contestants, float("inf"))
    for number in range(rounds + 1):
        for name, work in contestants.items():
            time.sleep(PAUSE_SECONDS)
            start = time.perf_counter()
            work()
            seconds = time.perf_counter() - start
            if number > 0:
                best[name] = min(best[name], seconds)
    return best


def race_with_numpy(
    trainer: fastnn.Trainer, X: np.ndarray, y: np.ndarray, work: str, *, n_epochs: int = 1, wanted: float | None = None
) -> Timing:
    """Time epochs of a training against `plain.MiniBatchNetwork`, both from the trainer's network's present weights.

    Parameters
    ----------
    trainer : fastnn.Trainer
        Its network is left alone; so are its callbacks.
    X, y : arrays
        Samples as fastnn takes them, and their labels; NumPy gets them scaled and one-hot beforehand.
    work : str
        What one epoch of these is: the times are those of one.
    n_epochs : int
        Epochs in a block.
    """
    ours = copy.copy(trainer)
    ours.net = copy.deepcopy(trainer.net)
    ours.max_epochs, ours.callbacks, ours.schedule = n_epochs, [], None
    plain = MiniBatchNetwork(ours)
    rates = [trainer.optimizer.learning_rate] * n_epochs
    X_scaled, Y = scaled(ours.net, X), one_hot(y, ours.net.sizes[-1], ours.net.dtype)
    seconds = race({"fastnn": lambda: ours.fit(X, y), "NumPy": lambda: plain.train(X_scaled, Y, rates)})
    return Timing(work, "NumPy", seconds["fastnn"] / n_epochs, seconds["NumPy"] / n_epochs, wanted)
