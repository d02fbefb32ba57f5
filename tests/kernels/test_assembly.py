"""What the compiler made of the kernels: vectors stay in registers, float32 stays float32, nothing is called."""

from __future__ import annotations

import re

import numpy as np
import pytest
from assembly import (
    WRAPPERS,
    changes_precision,
    functions,
    inner_loops,
    is_fma,
    spills,
    stores_vector,
    symbols,
    uses,
)
from marks import needs_matrix_unit

from fastnn import _jit
from fastnn._jit import program
from fastnn.engine import compiling, launch
from fastnn.engine.warm_up import warm_up
from fastnn.kernels import epoch, gather, programs, rows, words
from fastnn.kernels.bundles import Work
from fastnn.ops import activations, codes, heads, updates
from fastnn.ops.codes import RULES
from fastnn.simd import target
from fastnn.simd.microkernel import tile

pytestmark = pytest.mark.skipif(
    not (target.IS_X86 and target.VECTOR_BYTES >= 32 and target.HAS_FMA),
    reason="the tests read assembly of AVX2 or AVX-512",
)

WIDEST = "zmm" if target.VECTOR_BYTES == 64 else "ymm"
# Their losses are float64, and they read float64 inputs.
WITH_FLOAT64 = {
    f"fastnn.kernels.{name}"
    for name in (
        *(f"epoch.{name}" for name in ("train", "predict", "learn_step", "learn_block", "learn_rows", "total_weight")),
        "first.first_layer", "gather.gather_rows", "gather.gather",
    )
}  # fmt: skip
# What a program may call besides its own pieces
ALLOWED = {"sched_yield", "usleep", "memset", "memcpy", "memmove", epoch.LEARN}


def foreign(lines, known):
    """What is used besides the pieces that are known, what is allowed, and a constant of the matrix unit."""
    others = symbols(lines) - set(known) - ALLOWED
    return {name for name in others if not name.startswith("fastnn_tile_shapes")}


def assembly_of(dispatcher):
    (text,) = dispatcher.inspect_asm().values()
    return functions(text)


ON_MATRIX_UNIT = pytest.param(("train", "triples"), marks=needs_matrix_unit, id="train on the matrix unit")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("train", None), id="train"),
        pytest.param(("train", "bytes"), id="train on bytes"),
        ON_MATRIX_UNIT,
        pytest.param(("predict", None), id="predict"),
    ],
)
def entry(request):
    """A program, and the signature that is compiled of it."""
    seen = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "_load", noting(seen, launch._load))
        warm_up("float32")
    name, choice = request.param
    (signature,) = (s for program, s in seen if program == name and choice_of(s) == choice)
    return name, signature


def noting(seen, load):
    def load_and_note(program, arguments):
        seen.add((program.name, words.signature(arguments)))
        return load(program, arguments)

    return load_and_note


def choice_of(signature):
    """The buffer that a program of its own has; None for the plain one."""
    (work,) = (field for field in signature if field[0] is Work)
    has = [name for name in ("bytes", "triples") if work[1 + Work._fields.index(name)] != "NoneType"]
    return has[0] if has else None


@pytest.fixture(scope="module")
def compiled(entry):
    """Functions of a program, its pieces apart, so that each can be looked at; the cached code has no text."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_jit._ProgramLibrary, "_make_pieces_internal", lambda library: None)
        return code_of(entry)


@pytest.fixture(scope="module")
def inlined(entry):
    """The same as it is used, nearly all of it one function."""
    return code_of(entry)


def code_of(entry):
    """Functions of all parts of a program."""
    name, signature = entry
    texts = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_jit._EntryLibrary, "machine_code", lambda library, *names: texts.append(library.get_asm_str()))
        for part in compiling.PARTS[name]:
            programs.PARTS[part](signature)
    return {name: lines for text in texts for name, lines in functions(text).items()}


def test_the_parts_are_there(compiled):
    """So that the tests below look at something."""
    expected = {"fastnn.ops.activations.activate", "fastnn.ops.heads.link"}
    assert expected <= set(compiled)
    assert len(compiled) > 10


WIDEST_TILE = "{}x{}_f".format(*target.WIDEST)


def test_tiles_are_shared(compiled, entry):
    tiles = {name for name in compiled if name.startswith("fastnn_tile")}
    of_numbers = {f"fastnn_tile_{m}x{u}_f32" for u, most in target.TILE_ROWS.items() for m in range(1, most + 1)}
    of_rows = {f"fastnn_tile_of_rows_{target.ANY_ROWS}x{u}_f32" for u in target.TILE_ROWS}
    others = {
        None: of_rows,
        "bytes": {f"fastnn_tile_of_bytes_{m}x1_f32" for m in target.BYTE_ROWS},
        "triples": of_rows | set(TILES_OF_TRIPLES),
    }
    assert tiles == of_numbers | others[choice_of(entry[1])] | {f"fastnn_tile_asking_{WIDEST_TILE}32"}


_COMPANIES = "pairs", "rows", *(f"rule{code}" for code in RULES.values())
TILES_OF_TRIPLES = [f"fastnn_tile_of_triples_{name}" for name in _COMPANIES]


@pytest.mark.parametrize("entry", [ON_MATRIX_UNIT], indirect=True)
def test_tiles_of_triples_have_six_products_a_step_and_keep_their_company_in_registers(compiled):
    for name in TILES_OF_TRIPLES:
        lines = compiled[name]
        assert sum(line.startswith("tdpbf16ps") for line in lines) == 6 * 4
        loads = [line for line in lines if line.startswith("tileloadd") and re.search("%tmm[4-7]$", line)]
        assert len(loads) == 2 * 7  # from product to product only one factor changes
        assert [line for line in spills(lines) if uses(line, "zmm")] == []


def test_tiles_of_other_kinds_keep_their_sums_in_registers(compiled):
    others = ("fastnn_tile_of_bytes", "fastnn_tile_of_rows", "fastnn_rows")
    storing = {name: lines for name, lines in compiled.items() if name.startswith(others)}
    tiles = {name: lines for name, lines in compiled.items() if name.startswith("fastnn_descent")}
    if "fastnn.kernels.epoch.train" in compiled:
        silent = {f"fastnn_descent_{m}x{u}_f32" for u, ms in target.UPDATE_ROWS.items() for m in ms}
        assert set(tiles) == silent | {f"fastnn_descent_asking_{WIDEST_TILE}32"}
    for name, lines in (tiles | storing).items():
        assert spills(lines) == [], name
        assert symbols(lines) == set(), name


def test_float32_is_not_widened(compiled):
    for name, lines in compiled.items():
        if name not in WITH_FLOAT64:
            assert [line for line in lines if changes_precision(line)] == [], name


def test_what_is_used_calls_the_tiles_and_the_system_and_counts_no_reference(inlined):
    assert sum(len(lines) for lines in inlined.values()) > 3000
    for name, lines in inlined.items():
        assert foreign(lines, inlined) == set(), name


def test_nothing_is_called_but_pieces_and_the_system(compiled):
    """No libm (expf, tanhf, fmaf ...), no allocation, no exceptions; and no reference is counted."""
    for name, lines in compiled.items():
        assert foreign(lines, compiled) == set(), name


def test_gathering_is_vectorised(compiled, entry):
    """Of uint8, float32 and float64."""
    loops = [loop for name in WITH_FLOAT64 & set(compiled) for loop in inner_loops(compiled[name])]
    kinds = 0 if choice_of(entry[1]) == "bytes" else 3  # bytes that stay bytes are copied
    assert sum(any(map(stores_vector, loop)) and any(map(is_packed_product, loop)) for loop in loops) >= kinds


def is_packed_product(line):
    return line.startswith(("mulps", "vmulps"))


@program
def float32_tiles(mr, units, a, b, c, terms, k, accumulate):
    tile(mr, units, a, 0, 1, 1, b, 0, 1, c, 0, 1, terms, 0, k, accumulate, c, k)


@program
def float64_tiles(mr, units, a, b, c, terms, k, accumulate):
    tile(mr, units, a, 0, 1, 1, b, 0, 1, c, 0, 1, terms, 0, k, accumulate, c, k)


@pytest.mark.parametrize(("entry", "dtype"), [(float32_tiles, np.float32), (float64_tiles, np.float64)])
def test_tiles_keep_their_sums_in_registers(entry, dtype):
    entry(1, 1, *np.zeros((3, 64), dtype), np.arange(1), 0, False)
    code = assembly_of(entry)
    bits = 8 * np.dtype(dtype).itemsize
    silent = [(f"fastnn_tile_{m}x{u}_f", m, u) for u, most in target.TILE_ROWS.items() for m in range(1, most + 1)]
    for name, mr, units in [*silent, ("fastnn_tile_asking_" + WIDEST_TILE, *target.WIDEST)]:
        lines = code[f"{name}{bits}"]
        assert spills(lines) == [], name
        assert symbols(lines) == set(), name

        terms = mr * units * target.UNIT_BYTES // target.VECTOR_BYTES
        loops = [loop for loop in inner_loops(lines) if any(map(is_multiplication, loop))]
        assert loops, name
        for loop in loops:
            n_terms, rest = divmod(sum(map(is_multiplication, loop)), terms)
            assert rest == 0, name
            assert sum("prefetch" in line for line in loop) == n_terms * ("asking" in name), name
            assert not any(map(stores_vector, loop)), name


def is_multiplication(line):
    return is_fma(line) and uses(line, WIDEST)


# The pieces again, inlined and with one code each: what is left is the loop of one activation, rule ...
_activate, _multiply_slope = (_jit.op(f.py_func) for f in (activations.activate, activations.multiply_slope))
_add_penalties = _jit.op(updates.add_penalties.py_func)
_link, _drop_units, _gather = (_jit.op(f.py_func) for f in (heads.link, rows.drop_units, gather.gather))


def loops_of_activation(code):
    @program
    def run(a):
        _activate(code, a)

    return run, 1


def loops_of_slope(code):
    @program
    def run(h, d):
        _multiply_slope(code, h, d)

    return run, 2


def loops_of_penalties(_):
    @program
    def run(w, g, parts):
        _add_penalties(w, g, parts[0], parts[1])

    return run, 3


def loops_of_dropout(_):
    @program
    def run(row, scale):
        _drop_units(row, 5, 1000, scale[0], np.uint64(77))

    return run, 2


def loops_of_link(output):
    @program
    def run(z, a):
        _link(output, 10, z, a)

    return run, 2


VECTORISED = [
    *((f"activation {name}", loops_of_activation, code) for name, code in codes.ACTIVATIONS.items() if code),
    *((f"slope of {name}", loops_of_slope, code) for name, code in codes.ACTIVATIONS.items() if name != "identity"),
    *((f"output {name}", loops_of_link, code) for name, code in codes.OUTPUTS.items()),
    ("penalties", loops_of_penalties, 0),
    ("dropout", loops_of_dropout, 0),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_update_rule_is_one_loop_of_the_widest_vectors(dtype):
    @program
    def run_update(rule, w, v, g, parts):
        updates.update(rule, w.shape[0], w, v, 0, g, 0, parts[0], parts[1])

    run_update(0, *np.zeros((4, 64), dtype))
    name = f"fastnn_update_f{8 * np.dtype(dtype).itemsize}"
    (lines,) = (lines for function, lines in assembly_of(run_update).items() if function == name)
    loops = [loop for loop in inner_loops(lines) if any(stores_vector(x) and uses(x, WIDEST) for x in loop)]
    assert len(loops) == len(codes.RULES)
    assert not any(spills(loop) for loop in loops)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("make", "code"), [row[1:] for row in VECTORISED], ids=[row[0] for row in VECTORISED])
def test_loops_are_vectorised(make, code, dtype):
    """A loop writes whole vectors of the widest kind, keeps its precision and calls nothing."""
    entry, n_arrays = make(code)
    entry(*np.ones((n_arrays, 64), dtype))
    (lines,) = (lines for name, lines in assembly_of(entry).items() if "run" in name and not name.startswith(WRAPPERS))
    assert symbols(lines) - ALLOWED == set()
    assert not any(changes_precision(line) for line in lines)
    if "memmove" in symbols(lines):  # what LLVM makes of a copying loop
        return
    loops = [loop for loop in inner_loops(lines) if any(stores_vector(x) and uses(x, WIDEST) for x in loop)]
    assert loops
    if WIDEST == "zmm":  # 16 registers are not enough for the two polynomials of gelu's slope
        assert not any(spills(loop) for loop in loops)
