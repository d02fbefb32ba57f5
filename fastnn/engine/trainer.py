"""FLOOR 3: Trainer: what to train and how, checked; fit and evaluate."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastnn import _checks
from fastnn.engine import launch, matrix_unit, schedules, scores
from fastnn.engine.callbacks import Callback
from fastnn.engine.history import History
from fastnn.engine.labels import Encoded, encode
from fastnn.engine.network import MLP
from fastnn.engine.optimizers import SGD
from fastnn.engine.samples import as_matrix, as_weights
from fastnn.engine.training import Training
from fastnn.ops.codes import HEADS, LOSSES, MATMULS


class Trainer:
    """Trains an MLP by mini-batch gradient descent. Every argument is an attribute that may be changed before `fit`.

    Parameters
    ----------
    net : MLP
    loss : {"cross_entropy", "mse"}
        cross_entropy with output softmax or logistic; mse (half the summed squared error of a sample) with any.
    optimizer : SGD, optional
        Default ``SGD()``.
    schedule : None, str, Schedule or callable
        How the learning rate changes; see `fastnn.schedules`. A callable maps the epoch (from 0) to the rate.
    batch_size : int
        Samples of a mini-batch; the last one of an epoch may be smaller. Clipped to the number of samples.
    max_epochs : int
    shuffle : bool
        A new order in every epoch, a function of `seed` and the epoch.
    l1, l2 : float
        Add ``l1 * sum|W| + l2 / 2 * sum(W**2)`` to the loss of every step; biases are free. Reported losses do not
        contain it.
    dropout : float or list of float
        Probability of dropping a hidden unit, one for all hidden layers or one each; inverted, so that there is
        nothing to do at prediction.
    input_dropout : float
        The same for the inputs.
    max_norm : float, optional
        Largest Euclidean norm of the weights into a unit, enforced after every step.
    seed : int
        For shuffling and dropout.
    matmul : str
        How products are formed. ``"fma"``: with the CPU's vectors; the same bits on every CPU. ``"bf16x3"``: those of
        hidden layers of 384 units and more on its matrix unit (Intel AMX, on Linux; float32 networks): each float32
        is split exactly into three bfloat16, and of the nine products of two such triples the six largest are added
        up in float32, over hundreds of terms as exactly as by fma (Henry, Tang, Heinecke 2019). It pays where
        layers between hidden layers are wide and each thread has 32 samples of a mini-batch or more; a first layer
        whose inputs are mostly zero stays with fma, which leaves them out. The trained bits are others, and do not
        depend on the number of threads either. Predictions are made with ``"fma"``.
    n_threads : int, optional
        Default: FASTNN_NUM_THREADS, or as many of the available cores as pay. The trained bits do not depend on it.
    verbose : int
        0 silent, 1 a live bar on a terminal (else one line an epoch), 2 one line an epoch.
    callbacks : iterable of Callback

    Attributes
    ----------
    history : History
        Of the last `fit`, also if it was interrupted.
    stop_training : bool
        A callback sets it to end the training after the epoch.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MLP, SGD, Trainer
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
    >>> net = MLP([2, 8, 2], activation="tanh", seed=0)
    >>> trainer = Trainer(net, optimizer=SGD(0.3, momentum=0.9), max_epochs=200, verbose=0)
    >>> history = trainer.fit(X, ["same", "different", "different", "same"])
    >>> net.predict(X).tolist()
    ['same', 'different', 'different', 'same']
    """

    def __init__(
        self,
        net: MLP,
        *,
        loss: str = "cross_entropy",
        optimizer: SGD | None = None,
        schedule: Any = None,
        batch_size: int = 128,
        max_epochs: int = 30,
        shuffle: bool = True,
        l1: float = 0.0,
        l2: float = 0.0,
        dropout: Any = 0.0,
        input_dropout: float = 0.0,
        max_norm: float | None = None,
        seed: int = 0,
        matmul: str = "fma",
        n_threads: int | None = None,
        verbose: int = 1,
        callbacks: Iterable[Callback] = (),
    ) -> None:
        self.net = net
        self.loss = loss
        self.optimizer = SGD() if optimizer is None else optimizer
        self.schedule = schedule
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.shuffle = shuffle
        self.l1 = l1
        self.l2 = l2
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.max_norm = max_norm
        self.seed = seed
        self.matmul = matmul
        self.n_threads = n_threads
        self.verbose = verbose
        if not isinstance(callbacks, Iterable):
            raise TypeError(f"callbacks must be a list of fastnn.Callback objects, got {callbacks!r}; write [...]")
        self.callbacks = list(callbacks)
        self.history = History()
        self.stop_training = False
        self._stops_at_once = False
        self._check()

    def _check(self) -> None:
        """Raise for a hyperparameter that cannot be; normalises none, so that they stay as the user set them."""
        if not isinstance(self.net, MLP):
            raise TypeError(f"net must be a fastnn.MLP, got {type(self.net).__name__}")
        _checks.choice("loss", self.loss, LOSSES)
        if (self.net.output, self.loss) not in HEADS:
            fitting = " or ".join(repr(o) for o, loss in HEADS if loss == self.loss)
            raise ValueError(
                f"loss {self.loss!r} makes no sense with output {self.net.output!r}; "
                f"use loss='mse', or output {fitting} with this loss"
            )
        if not isinstance(self.optimizer, SGD):
            raise TypeError(f"optimizer must be a fastnn.SGD(...), got {self.optimizer!r}")
        self.optimizer.validate()
        schedules.make(self.schedule)
        _checks.integer("batch_size", self.batch_size, 1)
        _checks.integer("max_epochs", self.max_epochs, 1)
        _checks.boolean("shuffle", self.shuffle)
        _checks.integer("seed", self.seed, 0, 2**63 - 1)
        _checks.integer("verbose", self.verbose, 0, 2)
        _checks.number("l1", self.l1, 0.0)
        _checks.number("l2", self.l2, 0.0)
        if self.max_norm is not None:
            _checks.number("max_norm", self.max_norm, 0.0, above=True)
        self._check_matmul()
        self.dropout_of_levels()
        launch.most_ranks(self.n_threads)
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(f"callbacks must be fastnn.Callback objects, got {callback!r}")

    def _check_matmul(self) -> None:
        if _checks.choice("matmul", self.matmul, MATMULS) == "fma":
            return
        if self.net.dtype != np.float32:
            raise ValueError(f"matmul='bf16x3' is for float32 networks, this one is {self.net.dtype}; use matmul='fma'")
        if not matrix_unit.is_allowed():
            raise ValueError(
                "matmul='bf16x3' needs a CPU with a matrix unit for bfloat16 (Intel AMX) and Linux 5.16 or later; "
                "this machine offers none (or a thread has a signal stack too small for it), so use matmul='fma'"
            )

    def _check_monitors(self) -> None:
        """Without a validation set: raise if a callback or the schedule wants to watch one."""
        for watcher in (*self.callbacks, schedules.make(self.schedule)):
            monitor = getattr(watcher, "monitor", None)
            if isinstance(monitor, str) and monitor.startswith("val_"):
                raise ValueError(
                    f"{type(watcher).__name__} watches {monitor!r}, which needs a validation set; "
                    "pass X_val and y_val, or monitor='train_loss'"
                )

    def dropout_of_levels(self) -> list[float]:
        """Probability of dropping, for the inputs and each hidden layer."""
        n_hidden = len(self.net.sizes) - 2
        rates = [self.dropout] * n_hidden if np.ndim(self.dropout) == 0 else list(self.dropout)
        if np.ndim(self.dropout) == 0:
            _checks.number("dropout", self.dropout, 0.0, 1.0, below=True)
        if len(rates) != n_hidden:
            raise ValueError(f"dropout must be one number or one a hidden layer ({n_hidden}), got {len(rates)}")
        first = _checks.number("input_dropout", self.input_dropout, 0.0, 1.0, below=True)
        return [first, *(_checks.number("dropout", p, 0.0, 1.0, below=True) for p in rates)]

    def _encode(self, y: Any, n_samples: int, name: str) -> Encoded:
        return encode(y, n_samples, self.net.output, self.net.sizes[-1], self.net.dtype, self.net.classes, name)

    def fit(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None, sample_weight: Any = None) -> History:
        """Train from the network's present weights; velocities start at zero.

        Parameters
        ----------
        X : array-like, (n_samples, n_features) or (n_samples, ...)
            uint8, float32 and float64 are used as they are, whatever their layout, and never copied whole.
        y : array-like, (n_samples,) or (n_samples, n_outputs)
            Labels (whole numbers, strings), one-hot rows, rows of 0 and 1, or numbers, as the output demands.
        X_val, y_val : like X and y, optional
            Evaluated after every epoch.
        sample_weight : array-like, (n_samples,), optional
            The loss of a mini-batch is the mean with these weights.

        Returns
        -------
        History

        Raises
        ------
        TypeError, ValueError
            For bad arguments, before anything is changed.
        DivergenceError
            If the loss becomes NaN or infinite.
        KeyboardInterrupt
            On Ctrl-C, at the end of a step: the weights so far and the history of finished epochs are kept.
        """
        self.stop_training = self._stops_at_once = False  # here, so that a stop while samples are checked counts
        self._check()
        net = self.net
        X = as_matrix(X, net.sizes[0])
        encoded = self._encode(y, len(X), "y")
        weights = as_weights(sample_weight, len(X), net.dtype)
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val must be given together, got only one of them")
        if X_val is None:
            self._check_monitors()
        former_classes, net.classes = net.classes, encoded.classes
        training = None
        try:
            validation = None
            if X_val is not None:
                X_val = as_matrix(X_val, net.sizes[0], "X_val")
                validation = (X_val, self._encode(y_val, len(X_val), "y_val"))
            with net._predictor.loading() if validation else contextlib.nullcontext():
                training = Training(self, X, encoded, weights, validation)
                training.run()
        except BaseException:
            if training is None or not training.has_begun:
                net.classes = former_classes
            raise
        return self.history

    def stop(self) -> None:
        """End a `fit` that runs in another thread, at the end of a step, within about 0.1 s.

        It returns as if a callback had stopped it: the weights so far and the history of finished epochs are kept. A
        `fit` that begins later is not concerned.
        """
        self._stops_at_once = self.stop_training = True

    def evaluate(self, X: Any, y: Any) -> dict[str, float]:
        """Score the network.

        Returns
        -------
        dict
            ``loss`` (mean over the samples, without penalties), and ``accuracy`` and ``f1_macro`` for classes and
            labels, or ``r2`` for numbers.

        Raises
        ------
        TypeError, ValueError
            For bad X or y, a label that was not in the training among them.
        """
        self._check()
        X = as_matrix(X, self.net.sizes[0], finite=False)
        encoded = self._encode(y, len(X), "y")
        outputs, losses = self.net.outputs(X, encoded, self.loss, self.n_threads)
        result = {"loss": float(losses.mean())}
        truth, predicted = scores.judged(encoded, outputs, self.net)
        if self.net.output == "identity":
            return result | {"r2": scores.r2(truth, predicted)}
        return result | {
            "accuracy": scores.accuracy(truth, predicted),
            "f1_macro": scores.f1_macro(truth, predicted),
        }
