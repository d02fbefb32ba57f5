"""What was measured: one Entry a contestant and thread count, one Outcome a job; ratios are made of paired rounds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from peers.jobs import BYTES, Job


@dataclass
class Entry:
    """A contestant with a number of threads.

    Attributes
    ----------
    values : list of float
        Seconds (or megabytes) of each round.
    status : str
        "ok", "missing", "unsupported", "failed", or "refused" by the referee; a note says why.
    loss : float or None
        After the last timed training, computed by the referee.
    operations : float or None
        Floating-point operations of a round, where the contestant counts them itself.
    """

    contestant: str
    threads: int | None = None
    values: list[float] = field(default_factory=list)
    status: str = "ok"
    note: str = ""
    loss: float | None = None
    operations: float | None = None

    @property
    def median(self) -> float:
        """Of the rounds."""
        return float(np.median(self.values))

    @property
    def counts(self) -> bool:
        """Whether there is a figure that may be compared."""
        return self.status == "ok" and bool(self.values)


@dataclass
class Outcome:
    """All entries of a job."""

    job: Job
    base: str
    entries: list[Entry] = field(default_factory=list)

    def best(self, contestant: str) -> Entry | None:
        """The contestant's entry with its best thread count; None without a figure."""
        mine = [e for e in self.entries if e.contestant == contestant and e.counts]
        return min(mine, key=lambda e: e.median, default=None)

    def best_form(self, contestant: str) -> Entry | None:
        """As `best`, on scaled samples or on the bytes that they were made of, whichever suits the contestant."""
        found = [self.best(name) for name in (contestant, contestant + BYTES)]
        return min((e for e in found if e), key=lambda e: e.median, default=None)

    def ratio_of_forms(self, contestant: str, base_name: str | None = None) -> tuple[float, float, float] | None:
        """As `ratio`, of the best forms of both, also with another base."""
        mine, base = self.best_form(contestant), self.best_form(base_name or self.base)
        return None if mine is None or base is None else ratio(mine, base)

    def contestants(self) -> list[str]:
        """In the order in which they came."""
        return list(dict.fromkeys(e.contestant for e in self.entries))

    def ratio(self, contestant: str) -> tuple[float, float, float] | None:
        """How many times as long (or as much) as the base: median, lowest and highest over the rounds."""
        mine, base = self.best(contestant), self.best(self.base)
        return None if mine is None or base is None else ratio(mine, base)


def ratio(above: Entry, below: Entry) -> tuple[float, float, float]:
    """Median, lowest and highest of the ratios of values that were measured in the same round."""
    n = min(len(above.values), len(below.values))
    ratios = np.array(above.values[:n]) / np.array(below.values[:n])
    return float(np.median(ratios)), float(ratios.min()), float(ratios.max())
