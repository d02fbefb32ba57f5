"""FLOOR 1: the update rules, on a run of weights that lie one after another (a tile while it is in L1).

To add a rule: a name and its number of slots in ops.codes, its step here.
"""

from __future__ import annotations

from fastnn._jit import piece
from fastnn.ops.codes import RULES, SLOTS
from fastnn.simd.matrix_unit import descending_tile
from fastnn.simd.microkernel import updating_tile
from fastnn.simd.scalar import constant, fma
from fastnn.simd.vectors import update_loop, updating_rows

_zero = constant(0.0)


@piece
def add_penalties(w, g, l1, l2):
    """g += l2 w + l1 sign(w), the slope of l2/2 sum(w^2) + l1 sum|w|; sign(0) = 0."""
    for i in range(w.shape[0]):
        g[i] = fma(l2, w[i], g[i])
    if l1 != _zero(l1):
        for i in range(w.shape[0]):
            up = l1 if w[i] > _zero(l1) else _zero(l1)
            g[i] += -l1 if w[i] < _zero(l1) else up


def _sgd(w, g, v, back, momentum):
    return back.fma(g, w), v


def _momentum(w, g, v, back, momentum):
    v = momentum.fma(v, back * g)
    return w + v, v


def _nesterov(w, g, v, back, momentum):
    step = back * g
    v = momentum.fma(v, step)
    return w + momentum.fma(v, step), v


# update(rule, n, w, v, at, g, g0, rate, momentum): one step of `rule` on n weights (see simd.vectors)
#   momentum:  v = momentum v - rate g;  w += v
#   nesterov:  the same v;               w += momentum v - rate g   (Sutskever et al. 2013, in its usual form)
_RULES = [
    (RULES[name], step, SLOTS[name] > 0)
    for name, step in (("sgd", _sgd), ("momentum", _momentum), ("nesterov", _nesterov))
]
update = update_loop(_RULES)
# the same for the sums of a register tile, which are not stored
update_tile = updating_tile(_RULES)
update_asking_tile = updating_tile(_RULES, asks=True)
# and meanwhile another block on the matrix unit
multiply_and_descend = descending_tile(_RULES)
# rules without a slot, for row after row of weights, each with its gradient over a few samples
update_rows = updating_rows(_RULES)
