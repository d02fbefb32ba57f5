"""Which of the goals in jobs.py were reached: each compares one figure of a run with a limit."""

from __future__ import annotations

from dataclasses import dataclass

from peers.jobs import MATRIX_UNIT, PEAK, Prediction, Processes, Training
from peers.results import Entry, Outcome, ratio


@dataclass
class Goal:
    """One comparison; `value` is None where a contestant of it has no figure."""

    job: str
    title: str
    value: float | None
    limit: float
    at_least: bool = True

    @property
    def is_met(self) -> bool | None:
        """None without a value."""
        if self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def judge(outcome: Outcome) -> list[Goal]:
    """The goals of a job, in their order."""
    goals = []
    for name, limit in outcome.job.goals.items():
        if name in _FIGURES:
            title, at_least, figure = _FIGURES[name]
            goals.append(Goal(outcome.job.name, title, figure(outcome), limit, at_least))
        else:
            for base in (outcome.base, *[MATRIX_UNIT] * (outcome.best(MATRIX_UNIT) is not None)):
                found = outcome.ratio_of_forms(name, base)
                title = f"times as fast as {name}" + f", {base}" * (base != outcome.base)
                goals.append(Goal(outcome.job.name, title, found and found[0], limit))
    return goals


def gigaflops(outcome: Outcome, entry: Entry) -> float | None:
    """10^9 floating-point operations a second, of a training or of the peak."""
    job = outcome.job
    if not isinstance(job, Training) or not entry.counts:
        return None
    return (entry.operations or job.n_samples * job.operations) / entry.median / 1e9


def samples_per_second(outcome: Outcome, entry: Entry) -> float | None:
    """Of a training or prediction."""
    if isinstance(outcome.job, Processes) or not entry.counts or entry.contestant == PEAK:
        return None
    return outcome.job.n_samples / entry.median


def _peak(outcome: Outcome, threads: int | None) -> float | None:
    entry = next((e for e in outcome.entries if e.contestant == PEAK and e.threads == threads and e.counts), None)
    return entry and gigaflops(outcome, entry)


def _share_of_peak(outcome: Outcome) -> float | None:
    """With as many threads as there are, whether or not they pay: fewer have an easier peak."""
    entries = [e for e in outcome.entries if e.contestant == "fastnn" and e.counts]
    widest = max(entries, key=lambda e: e.threads or 0, default=None)
    peak = widest and _peak(outcome, widest.threads)
    mine = widest and gigaflops(outcome, widest)
    return mine / peak if mine and peak else None


def _at_peak_of_268(outcome: Outcome) -> float | None:
    best = outcome.best("fastnn")
    peak = best and _peak(outcome, best.threads)
    rate = best and samples_per_second(outcome, best)
    return rate * 268 / peak if rate and peak else None


def _two_threads(outcome: Outcome) -> float | None:
    entries = {e.threads: e for e in outcome.entries if e.contestant == "fastnn" and e.counts}
    return ratio(entries[1], entries[2])[0] if {1, 2} <= entries.keys() else None


def _microseconds(contestant: str):
    def figure(outcome: Outcome) -> float | None:
        entry = outcome.best(contestant)
        assert isinstance(outcome.job, Prediction)
        return entry and entry.median / outcome.job.calls * 1e6

    return figure


def _median(contestant: str):
    def figure(outcome: Outcome) -> float | None:
        entry = outcome.best(contestant)
        return entry and entry.median

    return figure


def _over_numba(outcome: Outcome) -> float | None:
    mine, numba = outcome.best("import fastnn"), outcome.best("import numba")
    return mine.median - numba.median if mine and numba else None


def _two_cores(outcome: Outcome) -> float | None:
    found = outcome.ratio("one after the other")
    return found and found[0]


# Figure by the name in a job's goals: title, whether more is better, how it is computed
_FIGURES = {
    "share of the peak": ("share of the FMA peak", True, _share_of_peak),
    "two threads": ("two threads: times as fast as one", True, _two_threads),
    "samples/s at a peak of 268 GF/s": ("samples/s, scaled to a peak of 268 GF/s", True, _at_peak_of_268),
    "microseconds": ("microseconds a row", False, _microseconds("fastnn")),
    "microseconds unchecked": ("microseconds a row, no validation", False, _microseconds("fastnn-unchecked")),
    "seconds on a new machine": (
        "s, first fit, nothing compiled",
        False,
        _median("fastnn, first fit on a new machine"),
    ),
    "seconds from the cache": ("s, first fit, from the cache", False, _median("fastnn, first fit from the cache")),
    "import over numba": ("s, import, above numba's", False, _over_numba),
    "megabytes": ("MB", False, _median("fastnn-uint8")),
    "two cores": ("folds in parallel: times as fast", True, _two_cores),
}
