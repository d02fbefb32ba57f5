"""FLOOR 3: Trainer: fit, evaluate; callbacks at the ends of epochs.

Python is here once an epoch (or once in several short ones); everything inside an epoch is one compiled call.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastnn import _checks
from fastnn.engine import launch, schedules, scores
from fastnn.engine.callbacks import Callback
from fastnn.engine.history import History
from fastnn.engine.labels import Encoded, encode
from fastnn.engine.network import MLP
from fastnn.engine.optimizers import SGD
from fastnn.engine.progress import Progress
from fastnn.engine.samples import as_matrix, bundle, has_idle_inputs
from fastnn.engine.workspace import Plan
from fastnn.kernels import gang
from fastnn.ops.heads import HEADS, LOSSES

# Several epochs run in one call while they are shorter than this together and nothing wants to look in between
ENTRY_SECONDS = 0.05


class DivergenceError(RuntimeError):
    """The loss became NaN or infinite; the network keeps its last finite weights.

    Attributes
    ----------
    epoch, step : int
        Where it happened, both counted from 1.
    """

    def __init__(self, message: str, epoch: int, step: int) -> None:
        super().__init__(message)
        self.epoch = epoch
        self.step = step


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
        self.n_threads = n_threads
        self.verbose = verbose
        self.callbacks = list(callbacks)
        self.history = History()
        self.stop_training = False
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
        self._dropout_of_levels()
        launch.most_ranks(self.n_threads)
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(f"callbacks must be fastnn.Callback objects, got {callback!r}")

    def _dropout_of_levels(self) -> list[float]:
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
        self._check()
        net = self.net
        X = as_matrix(X, net.sizes[0])
        encoded = self._encode(y, len(X), "y")
        weights = _checked_weights(sample_weight, len(X), net.dtype)
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val must be given together, got only one of them")
        former_classes, net.classes = net.classes, encoded.classes
        try:
            validation = None
            if X_val is not None:
                X_val = as_matrix(X_val, net.sizes[0], "X_val")
                validation = (X_val, self._encode(y_val, len(X_val), "y_val"))
        except BaseException:
            net.classes = former_classes
            raise
        _Training(self, X, encoded, weights, validation).run()
        return self.history

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
        X = as_matrix(X, self.net.sizes[0])
        encoded = self._encode(y, len(X), "y")
        outputs, losses = self.net.outputs(X, encoded, self.loss)
        result = {"loss": float(losses.mean())}
        truth, predicted = _judged(encoded, outputs, self.net)
        if self.net.output == "identity":
            return result | {"r2": scores.r2(truth, predicted)}
        return result | {
            "accuracy": scores.accuracy(truth, predicted),
            "f1_macro": scores.f1_macro(truth, predicted),
        }


def _checked_weights(sample_weight: Any, n_samples: int, dtype: np.dtype) -> np.ndarray:
    if sample_weight is None:
        return np.empty(0, dtype)
    weights = np.asarray(sample_weight)
    if weights.dtype.kind not in "buif":
        raise TypeError(f"sample_weight must hold numbers, got dtype {weights.dtype}")
    if weights.shape != (n_samples,):
        raise ValueError(f"sample_weight must have shape ({n_samples},), one a sample, got {weights.shape}")
    weights = weights.astype(dtype)
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise ValueError(
            f"sample_weight must be finite, not negative and not all 0, got {weights.min()} .. {weights.max()}"
        )
    return weights


def _judged(encoded: Encoded, outputs: np.ndarray, net: MLP) -> tuple[np.ndarray, np.ndarray]:
    """Truth and what the outputs decide, in one form: class indices (n,), or 0 and 1 or numbers (n, n_outputs)."""
    n_outputs = net.sizes[-1]
    one_of_several = net.output == "softmax" or (net.output == "logistic" and n_outputs > 1 and net.classes is not None)
    if one_of_several:
        truth = encoded.labels if encoded.labels.size else encoded.targets.reshape(-1, n_outputs).argmax(axis=1)
        return truth, outputs.argmax(axis=1)
    # rows of several labels may all happen to hold a single 1 and were then taken for classes; the network decides
    truth = np.eye(n_outputs)[encoded.labels] if encoded.labels.size else encoded.targets.reshape(-1, n_outputs)
    return truth, outputs if net.output == "identity" else (outputs >= 0.5).astype(outputs.dtype)


class _Training:
    """One call of `Trainer.fit`: its plan, its gang and its loop over epochs."""

    def __init__(
        self,
        trainer: Trainer,
        X: np.ndarray,
        encoded: Encoded,
        weights: np.ndarray,
        validation: tuple[np.ndarray, Encoded] | None,
    ) -> None:
        self.trainer = trainer
        self.net = net = trainer.net
        self.X = X  # the kernels have only its address
        self.validation = validation
        self.batch_size = min(trainer.batch_size, len(X))
        self.n_steps = -(-len(X) // self.batch_size)
        self.total_weight = float(weights.sum(dtype=np.float64)) if weights.size else float(len(X))
        # DESIGN's count: 6 a weight and sample, less the deltas that the first layer does not need
        first, *_ = (i * o for i, o in zip(net.sizes, net.sizes[1:], strict=False))
        self.operations = (6 * net.n_parameters - 2 * first) * self.batch_size
        self.n_ranks = launch.useful_ranks(self.operations, trainer.n_threads)
        optimizer = trainer.optimizer
        update = "sgd" if optimizer.momentum == 0 else "nesterov" if optimizer.nesterov else "momentum"
        self.plan = Plan(
            net,
            n_ranks=self.n_ranks,
            batch_size=self.batch_size,
            n_samples=len(X),
            dropout=trainer._dropout_of_levels(),
            update=update,
            skip_zeros=has_idle_inputs(X, net.input_offset, self.batch_size),
        )
        self.rule = self.plan.rule(
            HEADS[net.output, trainer.loss],
            optimizer.momentum,
            trainer.l1,
            trainer.l2,
            trainer.max_norm or 0.0,
        )
        self.samples = bundle(X, net._scaling(), net.dtype, encoded.labels, encoded.targets, weights)
        self.schedule = schedules.make(trainer.schedule)
        self.seconds_an_epoch = launch.expected_seconds(self.operations * self.n_steps, self.n_ranks)

    def run(self) -> None:
        trainer, callbacks = self.trainer, self.trainer.callbacks
        trainer.history = history = History()
        trainer.stop_training = False
        self.schedule.begin()
        progress = Progress(trainer.verbose, trainer.max_epochs, len(self.X))
        try:
            for callback in callbacks:
                callback.set_trainer(trainer)
                callback.on_train_begin()
            with launch.Gang(self.n_ranks) as self.gang:
                epoch = 0
                while epoch < trainer.max_epochs and not trainer.stop_training:
                    epoch = self._entry(epoch, progress)
            if not history.stop_reason:
                history.stop_reason = "stopped" if trainer.stop_training else "max_epochs"
        except KeyboardInterrupt:
            history.stop_reason = "interrupted"
            raise
        except DivergenceError:
            history.stop_reason = "diverged"
            raise
        finally:
            progress.close()
            for callback in callbacks:
                callback.on_train_end()

    def _epochs_of_entry(self, epoch: int) -> int:
        """How many epochs the next call runs: one if anything wants to look at its end."""
        listens = type(self.schedule).on_epoch_end is not schedules.Schedule.on_epoch_end
        if self.trainer.callbacks or self.validation is not None or listens:
            return 1
        return min(self.trainer.max_epochs - epoch, max(1, int(ENTRY_SECONDS / self.seconds_an_epoch)))

    def _rates(self, epoch: int) -> np.ndarray:
        """Learning rates of the steps of an epoch; a user's own schedule is checked."""
        trainer = self.trainer
        rates = self.schedule.rates(epoch, self.n_steps, trainer.optimizer.learning_rate, trainer.max_epochs)
        rates = np.asarray(rates, np.float64)
        if rates.shape != (self.n_steps,) or not np.isfinite(rates).all() or (rates < 0).any():
            raise ValueError(
                f"schedule.rates must return {self.n_steps} finite rates of at least 0 for epoch {epoch}, got {rates}"
            )
        return rates

    def _entry(self, epoch: int, progress: Progress) -> int:
        """Run the next epochs; returns the number of epochs done."""
        trainer = self.trainer
        n_epochs = self._epochs_of_entry(epoch)
        for callback in trainer.callbacks:
            callback.on_epoch_begin(epoch)
        rates = np.concatenate([self._rates(e) for e in range(epoch, epoch + n_epochs)])
        losses = np.zeros(n_epochs)
        before = self.net._parameters.flat.copy()
        arguments = self._arguments((epoch, epoch + n_epochs), rates, losses)
        self.gang.prepare(launch.TRAIN, arguments)  # compiles, if it must, before the clock runs

        def tick(steps: int) -> None:
            done, part = divmod(steps, self.n_steps)
            progress.on_step(min(epoch + done, epoch + n_epochs - 1) + 1, part / self.n_steps)

        start = time.perf_counter()
        self.gang.run(launch.TRAIN, arguments, expected_seconds=self.seconds_an_epoch * n_epochs, tick=tick)
        seconds = (time.perf_counter() - start) / n_epochs
        self.seconds_an_epoch = max(seconds, 1e-9)
        # the last update may overflow too, and no later loss would tell
        if self.gang.control[gang.BAD] or not np.isfinite(self.net._parameters.flat).all():
            self._report_divergence(epoch, rates, before)
        for e in range(n_epochs):
            logs = {"epoch": epoch + e + 1, "train_loss": float(losses[e]) / self.total_weight}
            logs |= self._validate()
            logs["learning_rate"] = float(rates[(e + 1) * self.n_steps - 1])
            logs |= {"seconds": seconds, "samples_per_second": len(self.X) / seconds}
            trainer.history.append(logs)
            self.schedule.on_epoch_end(logs)
            progress.on_epoch_end(logs)
            for callback in trainer.callbacks:
                callback.on_epoch_end(epoch + e, logs)
        return epoch + n_epochs

    def _arguments(self, epochs: tuple[int, int], rates: np.ndarray, losses: np.ndarray) -> tuple[Any, ...]:
        """Of the program kernels.epoch.train, after the ranks and before control."""
        plan, trainer = self.plan, self.trainer
        order = (self.batch_size, plan.block, bool(trainer.shuffle), trainer.seed)
        return plan.net, self.rule, self.samples, plan.work, epochs, *order, rates, losses

    def _validate(self) -> dict[str, float]:
        if self.validation is None:
            return {}
        X, encoded = self.validation
        outputs, losses = self.net.outputs(X, encoded, self.trainer.loss)
        logs = {"val_loss": float(losses.mean())}
        if self.net.output != "identity":
            logs["val_accuracy"] = scores.accuracy(*_judged(encoded, outputs, self.net))
        return logs

    def _report_divergence(self, epoch: int, rates: np.ndarray, before: np.ndarray) -> None:
        """Raise DivergenceError, with the weights of the last step if they are finite, else those before this entry."""
        params = self.net._parameters.flat
        kept = "before that step"
        if not np.isfinite(params).all():
            params[:] = before
            kept = f"at the beginning of epoch {epoch + 1}"
        what = "the loss" if self.gang.control[gang.BAD] else "a weight"
        at = min(int(self.gang.control[gang.PROGRESS]), len(rates) - 1)
        done, step = divmod(at, self.n_steps)
        rate = float(rates[at])
        raise DivergenceError(
            f"{what} became NaN or infinite in epoch {epoch + done + 1}, step {step + 1}, at learning rate {rate:g}; "
            f"the weights are those {kept}. Try learning_rate={min(rate / 10, 0.05):g}",
            epoch + done + 1,
            step + 1,
        )
