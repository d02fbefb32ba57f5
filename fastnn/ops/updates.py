"""FLOOR 1: the update rules, on a run of weights that lie one after another (a tile while it is in L1).

To add a rule: a name in RULES, its number of slots, a branch in `update`.
"""

from __future__ import annotations

from fastnn._jit import piece
from fastnn.simd.scalar import constant, fma

RULES = {"sgd": 0, "momentum": 1, "nesterov": 2}
SLOTS = {"sgd": 0, "momentum": 1, "nesterov": 1}

_SGD, _MOMENTUM, _NESTEROV = range(3)
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


@piece
def update(rule, w, g, v, rate, momentum):
    """One step of `rule` on weights w with gradients g and velocities v; w, g (n,), v (n,) or empty without slots.

    momentum:  v = momentum v - rate g;  w += v
    nesterov:  the same v;               w += momentum v - rate g   (Sutskever et al. 2013, in its usual form)
    """
    n = w.shape[0]
    if rule == _SGD:
        for i in range(n):
            w[i] = fma(-rate, g[i], w[i])
    elif rule == _MOMENTUM:
        for i in range(n):
            v[i] = fma(momentum, v[i], -rate * g[i])
            w[i] += v[i]
    else:
        for i in range(n):
            back = -rate * g[i]
            v[i] = fma(momentum, v[i], back)
            w[i] += fma(momentum, v[i], back)
