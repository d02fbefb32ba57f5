"""FLOOR 3: update rules as the user writes them.

An optimizer holds hyperparameters and nothing else: the kernels hold the arithmetic, the trainer the slots.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastnn._checks import boolean, number


@dataclass
class SGD:
    """Stochastic gradient descent with momentum.

    With gradient g, rate r and momentum m, a step is ``v = m * v - r * g`` and ``w += v``, or with
    Nesterov's look-ahead ``w += m * v - r * g`` (Sutskever et al. 2013, in the form where w is the point that
    has already looked ahead).

    Parameters
    ----------
    learning_rate : float, > 0
        The rate of a step; a schedule scales it.
    momentum : float in [0, 1)
        The part of the last step that is kept.
    nesterov : bool
        Look ahead along the momentum; needs a momentum above 0.

    Examples
    --------
    >>> SGD(learning_rate=0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9, nesterov=False)
    """

    learning_rate: float = 0.05
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        self.validate()

    def validate(self) -> None:
        """Check the values, which may have been changed since construction; the trainer calls this too.

        Raises
        ------
        TypeError, ValueError
            With a sentence that names the hyperparameter, its value and what is allowed.
        """
        self.learning_rate = number("learning_rate", self.learning_rate, 0.0, above=True)
        self.momentum = number("momentum", self.momentum, 0.0, 1.0, below=True)
        self.nesterov = boolean("nesterov", self.nesterov)
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov=True needs a momentum above 0, got momentum=0; 0.9 is a usual value")
