"""FLOOR 3: the CPU's matrix unit (Intel AMX), which a process may use only after it has asked the system."""

from __future__ import annotations

import ctypes
import functools
import sys

from fastnn.simd import target

# Of Linux on x86-64: the system call arch_prctl, its request for more state of a thread, and the number of the tiles
_ARCH_PRCTL, _REQUEST_PERMISSION, _TILES = 158, 0x1023, 18


@functools.cache
def is_allowed() -> bool:
    """Whether the CPU has the unit and the system lets this process use it, with all its threads, from now on."""
    if not target.HAS_MATRIX_UNIT or not target.IS_X86 or sys.platform != "linux":
        return False
    return ctypes.CDLL(None).syscall(_ARCH_PRCTL, _REQUEST_PERMISSION, _TILES) == 0
