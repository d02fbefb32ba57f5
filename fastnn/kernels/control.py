"""FLOOR 2: the words by which the ranks of a gang and their caller communicate, in one flat int64 array.

They lie on cache lines of their own.

ARRIVED, GENERATION   of the barrier alone
STOP       the caller wants the gang to leave. Rank 0 answers in LEAVE with the number of its step, counted from 1,
           before a barrier of it: after that step all ranks leave
BAD        a rank met a loss that is not finite: all leave before the update
ABORT      a rank ended by an exception: nobody waits for it, and the results are void
PROGRESS   finished steps of a training, from rank 0
DEALT      samples of a prediction that ranks have taken
SPIN       set by the caller: every rank has a core of its own
"""

from __future__ import annotations

_LINE = 16  # two cache lines of int64: neighbouring lines are fetched together
ARRIVED, GENERATION, STOP, ABORT, LEAVE, BAD, PROGRESS, DEALT, SPIN = (i * _LINE for i in range(9))
CONTROL_WORDS = 9 * _LINE
