"""FLOOR 4: `tune`: candidates on folds, the best of them, and the final network.

The test part is held out first, and nothing but the last evaluation sees it. All numbers but seconds depend on the
arguments alone: not on how many fits run at once, nor on whether the tuning was interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastnn import metrics, runs
from fastnn._checks import boolean, choice, integer
from fastnn._version import __version__
from fastnn.engine import launch
from fastnn.engine.trainer import Trainer
from fastnn.tuning import hyperparameters
from fastnn.tuning.data import Data, divide
from fastnn.tuning.fits import CLASS_SCORES, NUMBER_SCORES, MakeTrainer, Samples, useful_threads
from fastnn.tuning.folds import Fold, is_classes, make_folds
from fastnn.tuning.journal import Journal
from fastnn.tuning.progress import Progress, name_values
from fastnn.tuning.results import Trial, TuningResult, write_tables
from fastnn.tuning.search import Propose, Search
from fastnn.tuning.space import Values, describe, digest, make_candidates


def tune(
    X: Any,
    y: Any,
    space: Mapping[str, Any] | None = None,
    *,
    base: Mapping[str, Any] | None = None,
    search: str | Propose | None = None,
    n_trials: int | None = None,
    folds: int = 10,
    split: str | None = None,
    validation_fraction: float = 0.1,
    candidate_per_fold: bool = False,
    test_fraction: float = 0.1,
    X_test: Any = None,
    y_test: Any = None,
    score: str | None = None,
    train_scores: bool = False,
    seed: int = 0,
    n_jobs: int | None = None,
    out: Any = None,
    verbose: int = 1,
    details: Mapping[str, Any] | None = None,
    make_trainer: MakeTrainer | None = None,
) -> TuningResult:
    """Choose hyperparameters by k-fold cross-validation, then train with them and score on held-out samples.

    Parameters
    ----------
    X : array-like, (n_samples, n_features)
    y : array-like, (n_samples,) or (n_samples, n_outputs)
        As for `Trainer.fit`.
    space : mapping, optional
        What is tuned: for each hyperparameter a list of values, a range, or a function that gives the next value; see
        `make_candidates`. The names are those of MLP, Trainer and SGD, and ``hidden`` for the sizes of the hidden
        layers (a list, or a number for one layer).
    base : mapping, optional
        Hyperparameters that stay fixed, under the same names; `space` wins.
    search : {None, "grid", "random"} or callable
        See `make_candidates`. A callable takes the place of `space`: it gets the list of the finished trials and
        returns the values of the next one, or None to end; it must depend on that list alone.
    n_trials : int, optional
        Most candidates.
    folds : int
    split : {None, "stratified", "plain", "shuffle"}
        See `make_folds`. By default stratified for one class a sample, else plain.
    validation_fraction : float
        The part of the samples that validates, for split "shuffle".
    candidate_per_fold : bool
        Candidate i is fitted on fold i alone (beyond the last fold, on the first ones again) instead of every candidate
        on all folds: cheaper, and noisier. A function in `space` is then called once a fold.
    test_fraction : float
        Of the samples, held out before anything else; not used if there is `X_test`.
    X_test, y_test : like X and y, optional
        The test part.
    score : {None, "f1_macro", "accuracy", "loss", "r2"}
        Of the validation part after the last epoch; its mean over the folds decides, the first of equal ones wins. By
        default f1_macro, for numbers r2.
    train_scores : bool
        Also evaluate the training part after every epoch, at the price of a prediction of it. Without, ``train_loss``
        in epochs.csv is the mean over the epoch while the weights changed.
    seed : int
        Of the test part, the folds and the draws of values. The fit on fold f (from 1) has ``base["seed"] + f - 1``
        (default: this seed) for its weights and order, the final training ``base["seed"]``.
    n_jobs : int, optional
        Cores to use: so many fits run at once, each with one thread; if there are fewer fits, each with more. By
        default FASTNN_NUM_THREADS, else all available ones. The result does not depend on it.
    out : path-like, optional
        A folder for epochs.csv, candidates.csv, journal.jsonl and a run (`fastnn.runs`) of the final training. The same
        call with the same folder goes on where an earlier one was interrupted.
    verbose : int
        0 silent; 1 a live bar on a terminal, else a line a fit; 2 lines.
    details : mapping, optional
        What else is to stand in result.json, such as the name of the data.
    make_trainer : callable, optional
        Makes the trainer from values, samples and labels, as `fastnn.tuning.make_trainer` does, if there is more to it.
        Its names of hyperparameters are free, but for ``seed`` and ``output``.

    Returns
    -------
    TuningResult

    Raises
    ------
    TypeError, ValueError
        With a sentence: for bad arguments or samples, before the first fit; if `out` belongs to another tuning.
    RuntimeError
        If the loss of every candidate diverged, or that of the final training.
    KeyboardInterrupt
        On Ctrl-C, when all fits have stopped and what was finished is in `out`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> result = tune(X, y, {"l2": [0, 0.1]}, base={"hidden": 8, "max_epochs": 5}, folds=3, verbose=0)
    >>> len(result.trials), sorted(result.best), sorted(result.test)
    (2, ['l2'], ['accuracy', 'f1_macro', 'loss'])
    """
    start = time.perf_counter()
    seed = integer("seed", seed, 0, 2**63 - 1)
    n_jobs = launch.most_ranks() if n_jobs is None else integer("n_jobs", n_jobs, 1, 1024)
    verbose = integer("verbose", verbose, 0, 2)
    choices = {
        "folds": folds,
        "split": split,
        "validation_fraction": validation_fraction if split == "shuffle" else None,
        "test_fraction": test_fraction if X_test is None else None,
        "candidate_per_fold": boolean("candidate_per_fold", candidate_per_fold),
        "train_scores": boolean("train_scores", train_scores),
        "seed": seed,
    }
    fixed: Values = {"seed": seed, **(base or {})}
    output = str(fixed.get("output", "softmax"))
    data = divide(X, y, X_test, y_test, fraction=test_fraction, split=split, output=output, seed=seed)
    choices["split"] = split = split or ("stratified" if is_classes(data.y, output) else "plain")
    names = NUMBER_SCORES if output == "identity" else CLASS_SCORES
    choices["score"] = score = choice("score", score or names[0], names)
    parts = [
        Fold(data.rows[fold.training], data.rows[fold.validation])
        for fold in make_folds(data.y[data.rows], folds, split, validation_fraction, seed)
    ]
    candidates = _candidates(space, search, n_trials, seed, folds if candidate_per_fold else None)
    samples = Samples(data, parts, make_trainer or hyperparameters.make_trainer, train_scores)
    specification = {
        "fastnn": __version__,
        **choices,
        "base": describe("base", fixed),
        "space": _describe_space(space),
        "n_trials": n_trials,
        "candidates": None if callable(search) else describe("space", candidates),
        "n_samples": len(data.rows),
        "n_test": len(data.X_test),
        "sha256_of_samples": digest(data.X, data.y, data.X_test, data.y_test),
        "sha256_of_folds": digest(*(rows for fold in parts for rows in fold)),
    }
    folder = None if out is None else Path(out)
    progress = Progress(verbose, score)
    find = Search(
        samples,
        fixed,
        Journal(folder, specification),
        progress,
        score=score,
        one_fold=candidate_per_fold,
        n_jobs=n_jobs,
    )
    try:
        best = _find_best(find, search if callable(search) else candidates, n_trials, folder, score)
    finally:
        progress.close()
    progress.say(f"training with {name_values(best.values)} on all {len(data.rows):,} samples but the test part")
    trainer = _train(samples, {**fixed, **best.values}, n_jobs, verbose)
    result = _judge(trainer, data, best, find.trials, score)
    result.details = {
        "command": "tune",
        **(details or {}),
        **result.details,
        **_test_part(data),
        "settings": describe("settings", {**fixed, **best.values}),
        "tuning": specification,
        "n_jobs": n_jobs,
        "seconds": time.perf_counter() - start,
    }
    if folder is not None:
        runs.save_run(folder, net=result.net, history=result.history, result=result.details, report=result.report)
    return result


def _candidates(
    space: Mapping[str, Any] | None, search: str | Propose | None, n_trials: int | None, seed: int, one_each: int | None
) -> list[Values]:
    """The candidates of a space; none if a function proposes them while the tuning runs."""
    if callable(search):
        if space is not None:
            raise ValueError("a function as search proposes all values by itself; leave out space")
        return []
    if one_each is not None and n_trials is None and any(map(callable, (space or {}).values())):
        n_trials = one_each
    return make_candidates(space or {}, search, n_trials, seed)


def _describe_space(space: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if space is None:
        return None
    return {name: "a function" if callable(values) else describe(name, values) for name, values in space.items()}


def _find_best(
    find: Search, candidates: list[Values] | Propose, n_trials: int | None, folder: Path | None, score: str
) -> Trial:
    """Fit all candidates and return the best trial; the tables are written however this ends."""
    try:
        if callable(candidates):
            find.ask(candidates, n_trials)
        else:
            find.run(candidates)
    finally:
        if folder is not None and find.trials:
            write_tables(folder, find.trials, score)
    return find.best()


def _train(samples: Samples, values: Values, n_jobs: int, verbose: int) -> Trainer:
    """Train the final network on everything but the test part."""
    X, y = samples.data.X[samples.data.rows], samples.data.y[samples.data.rows]
    trainer = samples.make_trainer(values, X)
    trainer.n_threads = useful_threads(trainer, n_jobs)
    trainer.verbose = verbose
    trainer.fit(X, y)
    return trainer


def _judge(trainer: Trainer, data: Data, best: Trial, trials: list[Trial], score: str) -> TuningResult:
    """Score the final network on the test part."""
    net = trainer.net
    test = trainer.evaluate(data.X_test, data.y_test)
    report = None
    if net.output != "identity" and data.y_test.ndim == 1:
        report = metrics.report(data.y_test, net.predict(data.X_test), net.classes)
    cross = {name: {"mean": best.mean(name), "std": best.std(name)} for name in best.fits[0]["scores"]}
    details = {
        "best": describe("best", best.values),
        "candidate": best.number,
        "n_candidates": len(trials),
        "cross_validation": cross,
        **test,
        "n_samples": len(data.X_test),
        "fingerprint": net.fingerprint(),
    }
    return TuningResult(best.values, best, trials, score, test, net, trainer.history, report, details)


def _test_part(data: Data) -> dict[str, Any]:
    """Which samples were scored, in the words of a run."""
    if data.test_rows is None:
        return {"part": "test"}
    return {"part": "training", "rows": data.test_rows}
