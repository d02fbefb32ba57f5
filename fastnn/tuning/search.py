"""FLOOR 4: the search: candidates become fits, fits become trials; what the journal knows is not done again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fastnn.engine import schedules
from fastnn.engine.warm_up import warm_up
from fastnn.tuning.fits import Fit, Samples, run_fits
from fastnn.tuning.journal import Journal
from fastnn.tuning.progress import Progress
from fastnn.tuning.results import Trial, ranking
from fastnn.tuning.space import Values, describe

Propose = Callable[[list[Trial]], Mapping[str, Any] | None]


class Search:
    """All fits of one tuning.

    Parameters
    ----------
    samples : Samples
    fixed : dict
        Hyperparameters that every candidate has unless it names them itself; ``seed`` is among them.
    journal : Journal
    progress : Progress
    score : str
        What decides.
    one_fold : bool
        Fit candidate i on fold i alone instead of on all.
    n_jobs : int
        Cores to use.

    Attributes
    ----------
    trials : list of Trial
        In the order of the candidates; after an interruption the last ones may lack fits.
    """

    def __init__(
        self,
        samples: Samples,
        fixed: Values,
        journal: Journal,
        progress: Progress,
        *,
        score: str,
        one_fold: bool,
        n_jobs: int,
    ) -> None:
        self.trials: list[Trial] = []
        self._samples = samples
        self._fixed = fixed
        self._journal = journal
        self._progress = progress
        self._score = score
        self._one_fold = one_fold
        self._n_jobs = n_jobs
        self._warm: set[tuple[str, str]] = set()

    def run(self, candidates: list[Values], more: bool = False) -> None:
        """Fit these candidates, after those of earlier calls, and add their trials; `more` if others may follow.

        Raises
        ------
        TypeError, ValueError
            Before the first fit, if no network can be made of one of them.
        """
        fits = []
        for number, values in enumerate(candidates, len(self.trials) + 1):
            self._check({**self._fixed, **values})
            fits.append(list(self._fits(number, values)))
        try:
            self._run(candidates, [fit for several in fits for fit in several], more)
        finally:
            self.trials += [
                Trial(several[0].candidate, values, records)
                for values, several in zip(candidates, fits, strict=True)
                if (records := self._records(several))
            ]

    def ask(self, propose: Propose, most: int | None) -> None:
        """Fit what `propose` returns for the trials so far, until it returns None or there are `most` trials."""
        while most is None or len(self.trials) < most:
            values = propose(list(self.trials))
            if values is None:
                if not self.trials:
                    raise ValueError("search proposed no candidate: it returned None at once")
                return
            if not isinstance(values, Mapping) or not values:
                raise TypeError(
                    f"search must return a dict with a value for each hyperparameter, or None, got {values!r}"
                )
            self.run([dict(values)], more=True)

    def _fits(self, number: int, values: Values) -> Iterator[Fit]:
        n_folds = len(self._samples.folds)
        merged = {**self._fixed, **values}
        for fold in [(number - 1) % n_folds + 1] if self._one_fold else range(1, n_folds + 1):
            key = self._journal.key(describe("space", values), fold)
            yield Fit(number, fold, {**merged, "seed": merged["seed"] + fold - 1}, key)

    def _check(self, merged: Values) -> None:
        """Make the trainer once; compile for its precision here and not in several threads at once."""
        data = self._samples.data
        trainer = self._samples.make_trainer(merged, data.X[data.rows[:2]])
        output, fixed = trainer.net.output, str(self._fixed.get("output", "softmax"))
        if (output == "identity") != (fixed == "identity"):
            raise ValueError(
                f"output {output!r} cannot be compared with {fixed!r}: one predicts numbers and the other classes, "
                "which have different scores; tune them apart, each with a fixed output"
            )
        data.check(trainer.net)
        for watcher in (*trainer.callbacks, schedules.make(trainer.schedule)):
            monitor = str(getattr(watcher, "monitor", ""))
            if monitor.startswith("val_"):
                raise ValueError(
                    f"{type(watcher).__name__} watches {monitor!r}, but the final training has no validation "
                    "part; let it watch 'train_loss', as in plateau('train_loss')"
                )
        programs = trainer.net.dtype.name, trainer.matmul
        if programs not in self._warm:
            warm_up(trainer.net.dtype, [trainer.matmul])
            self._warm.add(programs)

    def _run(self, candidates: list[Values], fits: list[Fit], more: bool) -> None:
        first = len(self.trials) + 1
        self._journal.begin()
        self._progress.expect(len(fits), more)
        for fit in fits:
            if self._journal.find(fit.key) is not None:
                self._progress.on_known()

        def done(fit: Fit, record: dict[str, Any]) -> None:
            self._journal.add(fit.key, record)
            values = candidates[fit.candidate - first]
            own = [other for other in fits if other.candidate == fit.candidate]
            if len(records := self._records(own)) == len(own):
                self._progress.on_trial(Trial(fit.candidate, values, records))
            self._progress.on_fit(fit.candidate, fit.fold, values, record)

        run_fits(self._samples, [fit for fit in fits if self._journal.find(fit.key) is None], self._n_jobs, done)

    def _records(self, fits: list[Fit]) -> list[dict[str, Any]]:
        """Those of the fits that are finished, in their order."""
        found = ((fit, self._journal.find(fit.key)) for fit in fits)
        return [{**record, "fold": fit.fold} for fit, record in found if record is not None]

    def best(self) -> Trial:
        """Return the best trial.

        Raises
        ------
        RuntimeError
            If the loss diverged in all of them.
        """
        best = ranking(self.trials, self._score)[0]
        if best.diverged:
            sentence = next(fit["diverged"] for fit in best.fits if fit["diverged"])
            raise RuntimeError(f"every candidate diverged, the first one so: {sentence}")
        return best
