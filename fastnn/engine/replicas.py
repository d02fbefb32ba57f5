"""FLOOR 3: what every rank has of its own while the first layer goes by inputs (see kernels.quarters)."""

from __future__ import annotations

import numpy as np

from fastnn.engine.parameters import aligned_zeros
from fastnn.kernels import panels
from fastnn.kernels.bundles import PARAMS, QUARTERS, UNITS, Net, Work


def _own(array: np.ndarray) -> np.ndarray:
    """Room for as many numbers."""
    return aligned_zeros(array.size, array.dtype)


def _first_layer(net: Net) -> list[np.ndarray]:
    """The panels of the first layer."""
    n_inputs, n_outputs = (int(units) for units in net.levels[:2, UNITS])
    return [panel for _, panel in panels.blocks(net.params[net.levels[1, PARAMS] :], n_inputs, n_outputs)]


class Replicas:
    """A net and a work for every rank, with parameters, velocities, rows and losses of its own.

    Rank 0 has those that it is made from. A rank changes the weights of its own inputs and, as all ranks do in the same
    way, those of the later layers. If the first layer does not go by inputs, there is one net and one work for all.

    Attributes
    ----------
    ranks : list of (Net, Work)
    """

    def __init__(self, net: Net, work: Work, n_ranks: int) -> None:
        self.ranks = [] if work.by_inputs else [(net, work)]
        for rank in range(n_ranks if work.by_inputs else 0):
            if rank > 0:
                net = net._replace(params=_own(net.params), slots=_own(net.slots))
                work = work._replace(rows=_own(work.rows), losses=_own(work.losses))
            parts = rank * QUARTERS // n_ranks, (rank + 1) * QUARTERS // n_ranks
            self.ranks.append((net, work._replace(own_parts=parts)))

    def scatter(self) -> None:
        """Give every rank the parameters of rank 0."""
        (first, _), *others = self.ranks
        for net, _ in others:
            net.params[:] = first.params

    def gather(self) -> None:
        """Fetch the weights of their own inputs from all ranks."""
        (first, _), *others = self.ranks
        for net, work in others:
            start, stop = work.parts[list(work.own_parts)]
            stop += stop == work.parts[-1]  # the biases
            for to, own in zip(_first_layer(first), _first_layer(net), strict=True):
                to[start:stop] = own[start:stop]
