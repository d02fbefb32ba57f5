"""FLOOR 3: one training: what `Trainer.fit` runs once its arguments are checked.

Python is here once an epoch (or once in several short ones); everything inside an epoch is one compiled call.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.engine import costs, launch, schedules, scores
from fastnn.engine.history import History
from fastnn.engine.labels import Encoded
from fastnn.engine.progress import Progress
from fastnn.engine.samples import bundle, has_idle_inputs
from fastnn.engine.workspace import Plan, has_wide, stay_bytes
from fastnn.kernels.control import BAD, PROGRESS, STOP
from fastnn.ops.codes import HEADS

if TYPE_CHECKING:
    from fastnn.engine.trainer import Trainer

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


class Training:
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
        self.X = X
        self.validation = validation
        self.has_begun = False  # whether weights may have changed
        self.batch_size = min(int(trainer.batch_size), len(X))
        self.n_steps = -(-len(X) // self.batch_size)
        self.total_weight = float(weights.sum(dtype=np.float64)) if weights.size else float(len(X))
        optimizer = trainer.optimizer
        update = "sgd" if optimizer.momentum == 0 else "nesterov" if optimizer.nesterov else "momentum"
        dropout = trainer.dropout_of_levels()
        has_idle = has_idle_inputs(X, net.input_offset)
        keeps_bytes = has_idle and stay_bytes(net, X, self.batch_size, dropout)
        triples = trainer.matmul == "bf16x3" and has_wide(net)
        limits_norms = trainer.max_norm is not None
        self.n_ranks = costs.useful_ranks(
            net,
            self.batch_size,
            trainer.n_threads,
            limits_norms=limits_norms,
            measures=not (keeps_bytes or triples),
        )
        self.plan = Plan(
            net,
            n_ranks=self.n_ranks,
            batch_size=self.batch_size,
            n_samples=len(X),
            dropout=dropout,
            update=update,
            skip_zeros=has_idle,
            keeps_bytes=keeps_bytes,
            triples=triples,
            limits_norms=limits_norms,
        )
        self.rule = self.plan.rule(
            HEADS[net.output, trainer.loss],
            optimizer.momentum,
            trainer.l1,
            trainer.l2,
            trainer.max_norm or 0.0,
        )
        self.samples = bundle(X, net.scaling, encoded.labels, encoded.targets, weights)
        self.schedule = schedules.make(trainer.schedule)
        # until an epoch has been timed; tiny networks spend more on steps and samples than on arithmetic
        operations = costs.operations(net.sizes, self.batch_size) * self.n_steps
        arithmetic = launch.expected_seconds(operations, self.n_ranks)
        self.seconds_an_epoch = arithmetic + 5e-6 * self.n_steps + 3e-7 * len(X)

    def run(self) -> None:
        trainer, callbacks = self.trainer, self.trainer.callbacks
        trainer.history = history = History()
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
        return min(int(self.trainer.max_epochs) - epoch, max(1, int(ENTRY_SECONDS / self.seconds_an_epoch)))

    def _rates(self, epoch: int) -> np.ndarray:
        """Learning rates of the steps of an epoch; a user's own schedule is checked."""
        trainer = self.trainer
        rates = self.schedule.rates(epoch, self.n_steps, trainer.optimizer.learning_rate, int(trainer.max_epochs))
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
        # compiles, if it must, before the clock runs
        call = self.gang.prepare(launch.TRAIN, *arguments, after=self.plan.replicas.gather)
        self.plan.replicas.scatter()

        def tick(steps: int) -> None:
            if trainer._stops_at_once:
                self.gang.control[STOP] = 1
            done, part = divmod(steps, self.n_steps)
            progress.on_step(min(epoch + done, epoch + n_epochs - 1) + 1, part / self.n_steps)

        self.has_begun = True
        start = time.perf_counter()
        self.gang.control[PROGRESS] = 0
        interrupt: KeyboardInterrupt | None = None
        try:
            self.gang.run(call, expected_seconds=self.seconds_an_epoch * n_epochs, tick=tick)
        except KeyboardInterrupt as error:
            interrupt = error
        # whole epochs, unless the gang left before the end
        finished = int(self.gang.control[PROGRESS]) // self.n_steps
        seconds = (time.perf_counter() - start) / max(finished, 1)
        self.seconds_an_epoch = max(seconds, 1e-9)
        # the last update may overflow too, and no later loss would tell
        bad_loss = bool(self.gang.control[BAD])
        diverged = bad_loss or not np.isfinite(self.net._parameters.flat).all()
        for e in range(finished if bad_loss or not diverged else finished - 1):
            logs = {"epoch": epoch + e + 1, "train_loss": float(losses[e]) / self.total_weight}
            logs |= self._validate()
            logs["learning_rate"] = float(rates[(e + 1) * self.n_steps - 1])
            logs |= {"seconds": seconds, "samples_per_second": len(self.X) / seconds}
            trainer.history.append(logs)
            self.schedule.on_epoch_end(logs)
            progress.on_epoch_end(logs)
            for callback in trainer.callbacks:
                callback.on_epoch_end(epoch + e, logs)
        if diverged:
            self._report_divergence(epoch, rates, before)
        if interrupt is not None:
            raise interrupt
        return epoch + n_epochs

    def _arguments(self, epochs: tuple[int, int], rates: np.ndarray, losses: np.ndarray) -> list[tuple[Any, ...]]:
        """Of the program kernels.epoch.train, after the ranks and control: for all ranks, or for each."""
        plan, trainer = self.plan, self.trainer
        # plain numbers: for each of NumPy's types the program would be compiled again
        order = (self.batch_size, plan.block, bool(trainer.shuffle), int(trainer.seed))
        return [
            (net, self.rule, self.samples, work, epochs, *order, rates, losses) for net, work in plan.replicas.ranks
        ]

    def _validate(self) -> dict[str, float]:
        if self.validation is None:
            return {}
        X, encoded = self.validation
        outputs, losses = self.net.outputs(X, encoded, self.trainer.loss, self.trainer.n_threads)
        logs = {"val_loss": float(losses.mean())}
        if self.net.output != "identity":
            logs["val_accuracy"] = scores.accuracy(*scores.judged(encoded, outputs, self.net))
        return logs

    def _report_divergence(self, epoch: int, rates: np.ndarray, before: np.ndarray) -> None:
        """Raise DivergenceError, with the weights of the last step if they are finite, else those before this entry."""
        params = self.net._parameters.flat
        kept = "before that step"
        if not np.isfinite(params).all():
            params[:] = before
            kept = f"at the beginning of epoch {epoch + 1}"
        what = "the loss" if self.gang.control[BAD] else "a weight"
        at = min(int(self.gang.control[PROGRESS]), len(rates) - 1)
        done, step = divmod(at, self.n_steps)
        rate = float(rates[at])
        raise DivergenceError(
            f"{what} became NaN or infinite in epoch {epoch + done + 1}, step {step + 1}, at learning rate {rate:g}; "
            f"the weights are those {kept}. Try learning_rate={min(rate / 10, 0.05):g}",
            epoch + done + 1,
            step + 1,
        )
