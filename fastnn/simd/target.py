"""FLOOR 1: what the CPU offers, read from its features and never from its name.

One `unit` is 64 bytes of one number after another (16 float32 or 8 float64), on every CPU: layouts are made of
units, so they are the same everywhere. A tile is at most TILE_UNITS units wide and TILE_ROWS[units] rows high,
which is at most 8 (the row addresses of simd.microkernel).
"""

from __future__ import annotations

import platform

from llvmlite import binding

from fastnn._machine_code import setting

UNIT_BYTES = 64
PANEL_UNITS = 4
# Samples whose zeros are noted in a word (simd.bits), and numbers past the end of a list that may be written
WORD_BITS, LIST_SLACK = 32, 8


def cpu_features() -> frozenset[str]:
    """Names of the features that Numba compiles for, as LLVM spells them (`avx512f`, `fma`, `neon` ...).

    `NUMBA_CPU_NAME` and `NUMBA_CPU_FEATURES` are obeyed, so that another CPU can be forced in a subprocess.
    """
    forced = setting("CPU_FEATURES")
    if forced is not None:
        return frozenset(f[1:] for f in forced.split(",") if f.startswith("+"))
    if (setting("CPU_NAME") or "").lower() == "generic":
        return frozenset()
    return frozenset(name for name, present in binding.get_host_cpu_features().items() if present)


FEATURES = cpu_features()
IS_X86 = platform.machine().lower() in ("x86_64", "amd64", "i686")
IS_AARCH64 = platform.machine().lower() in ("aarch64", "arm64")
# Intel's AMX, which multiplies bfloat16 (see simd.matrix_unit). A process has to ask the system for it
HAS_MATRIX_UNIT = {"avx512f", "amx-tile", "amx-bf16"} <= FEATURES
# Rows and columns of a block of its products, terms of a step of their sums; numbers that a step of a factor takes
SIDE = 32
STEP = 3 * SIDE * SIDE
HAS_FMA = "fma" in FEATURES or not IS_X86

if "avx512f" in FEATURES:
    VECTOR_BYTES, TILE_ROWS = 64, {1: 8, 2: 8, 3: 8, 4: 6}
elif "avx" in FEATURES:
    VECTOR_BYTES, TILE_ROWS = 32, {1: 6}
else:
    # SSE2 has 16 registers of 16 bytes, NEON 32: two rows of a unit, or six
    VECTOR_BYTES, TILE_ROWS = 16, {1: 2 if IS_X86 else 6}

TILE_UNITS = max(TILE_ROWS)
WIDEST = TILE_ROWS[TILE_UNITS], TILE_UNITS  # rows and units of the widest tile at its full height
# Heights of the tiles whose sums go into an update at once: whole ones, and wide ones of four rows, which have a list
# of terms each (kernels.matmul.listed_rows). Few, for each takes 50 ms to compile
UPDATE_ROWS = {u: {rows, min(4, rows)} if u in (3, TILE_UNITS) else {rows} for u, rows in TILE_ROWS.items()}
# Height of the tiles whose rows lie anywhere (see kernels.alike): as many as a tile has distances
ANY_ROWS = 4
# Heights of the tiles of one unit that read bytes. Their rows beyond a layer's units are padding, which ends with the
# unit: so the last height divides 8
BYTE_ROWS = (4, 5, 6, 8) if VECTOR_BYTES == 64 else (2,) if VECTOR_BYTES == 16 and IS_X86 else (4,)


def tile_name(dtype_bytes: int) -> str:
    """The widest tile as text for people, such as `6x64 (AVX-512, 16 lanes)`."""
    kind = {64: "AVX-512", 32: "AVX2", 16: "SSE2" if IS_X86 else "NEON"}[VECTOR_BYTES]
    columns = TILE_UNITS * UNIT_BYTES // dtype_bytes
    return f"{TILE_ROWS[TILE_UNITS]}x{columns} ({kind}, {VECTOR_BYTES // dtype_bytes} lanes)"
