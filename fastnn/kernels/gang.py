"""FLOOR 2: how the ranks of a gang share work and meet."""

from __future__ import annotations

from fastnn._jit import op, piece
from fastnn.kernels.control import ABORT, ARRIVED, GENERATION, SPIN
from fastnn.simd.atomics import atomic_add, atomic_load, atomic_store, give_up_core, pause, sleep_a_little

_SPINS = 2000  # about 30 us, longer than any fair wait
_YIELDS = 200
# So often, about 8 ms, if every rank has a core: the one that is waited for has lost its own to another process, and if
# it then had to wait for a sleeper in its turn, it would give it up again. Beside a process that kept one of two cores
# busy an epoch of 784-30-10 at 10 took 0.155 s instead of 0.27
_PATIENT_YIELDS = 20_000


@op
def share(n, rank, n_ranks, multiple):
    """[start, stop): this rank's part of n things, handed out in whole multiples (the last one may be short)."""
    groups = (n + multiple - 1) // multiple
    start = groups * rank // n_ranks * multiple
    stop = groups * (rank + 1) // n_ranks * multiple
    return min(start, n), min(stop, n)


@op
def rest(waited, control):
    """What a rank does between two looks at a word that another one will change, for the `waited`-th time.

    Spins while it can expect the others soon, then yields, then sleeps: with more ranks than cores a pure spin
    would keep the core from the very rank it waits for.
    """
    has_core = atomic_load(control, SPIN) != 0
    spins, yields = (_SPINS, _PATIENT_YIELDS) if has_core else (0, _YIELDS)
    if waited < spins:
        pause()
    elif waited < spins + yields:
        give_up_core()
    else:
        sleep_a_little()


@piece
def wait_until(words, at, least, control):
    """Return when words[at], which another rank raises, is `least` or more; what it wrote before is then visible."""
    waited = 0
    while atomic_load(words, at) < least and atomic_load(control, ABORT) == 0:
        waited += 1
        rest(waited, control)


@piece
def barrier(n_ranks, control):
    """Return when all ranks have arrived; what they wrote before is then visible to all.

    ABORT ends every wait: a rank never came.
    """
    if n_ranks == 1:
        return
    generation = atomic_load(control, GENERATION)
    if atomic_add(control, ARRIVED, 1) == n_ranks - 1:
        atomic_store(control, ARRIVED, 0)
        atomic_store(control, GENERATION, generation + 1)
        return
    waited = 0
    while atomic_load(control, GENERATION) == generation and atomic_load(control, ABORT) == 0:
        waited += 1
        rest(waited, control)
