"""The register tile against its reference and float64: every size, strides of every kind, nothing else touched."""

from __future__ import annotations

import numpy as np
import pytest
from compare import assert_close

from fastnn._jit import program
from fastnn.simd import target
from fastnn.simd.microkernel import tile, tile_of_bytes, tile_of_rows, tile_reference

LENGTHS = (0, 1, 2, 3, 17, 130)
TILES = [(rows, units) for units, most in target.TILE_ROWS.items() for rows in range(1, most + 1)]
# name -> (a_row, a_col), (b_row, c_row beyond the n numbers of a row): distances in numbers for mr rows and k columns
STRIDES = {
    "rows of A together": lambda mr, k: ((k + 3, 1), (0, 0)),
    "columns of A together": lambda mr, k: ((1, mr + 5), (7, 3)),
    "both apart": lambda mr, k: ((2, 2 * mr + 1), (1, 64)),
    "A backwards": lambda mr, k: ((-(k + 1), -1), (5, 16)),
    "one row of A for all": lambda mr, k: ((0, 1), (16, 1)),
    "one column of A for all": lambda mr, k: ((1, 0), (0, 2)),
}


@program
def run_tile(mr, units, a, a0, a_row, a_col, b, b0, b_row, c, c0, c_row, terms, t0, k, accumulate):
    tile(mr, units, a, a0, a_row, a_col, b, b0, b_row, c, c0, c_row, terms, t0, k, accumulate, b, b0 * accumulate - 1)


@program
def run_tile_of_bytes(mr, a, a0, a_col, b, b0, b_row, c, c0, c_row, terms, t0, k, accumulate, scale):
    tile_of_bytes(mr, a, a0, a_col, b, b0, b_row, c, c0, c_row, terms, t0, k, accumulate, scale)


@program
def run_tile_of_rows(units, a, a0, a_row, b, b0, b_row, c, c0, c_row, terms, t0, k, rows, r0):
    tile_of_rows(units, a, a0, a_row, b, b0, b_row, c, c0, c_row, terms, t0, k, rows, r0)


class Case:
    """Operands in buffers whose other places are NaN (A, B) or marked (C), with their offsets and distances."""

    def __init__(self, dtype, mr, units, k, strides, seed=0):
        rng = np.random.default_rng([seed, mr, units, k])
        self.mr, self.units, self.k = mr, units, k
        self.terms = np.append([10**9, -(10**9)], np.arange(k))  # the first two must not be touched
        n = self.n = units * target.UNIT_BYTES // np.dtype(dtype).itemsize
        (self.a_row, self.a_col), (b_more, c_more) = STRIDES[strides](mr, k)
        self.b_row, self.c_row = n + b_more, n + c_more

        places = np.add.outer(np.arange(mr) * self.a_row, np.arange(k) * self.a_col)
        self.a0 = 3 - places.min(initial=0)
        self.a = np.full(self.a0 + places.max(initial=0) + 4, np.nan, dtype)
        self.a[self.a0 + places] = rng.standard_normal((mr, k))
        self.A = self.a[self.a0 + places]

        self.b0, self.c0 = 5, 9
        self.b = np.full(self.b0 + k * self.b_row + 4, np.nan, dtype)
        self.B = self._matrix(self.b, self.b0, k, self.b_row)
        self.B[...] = rng.standard_normal((k, n))
        self.c = rng.standard_normal(self.c0 + mr * self.c_row + 40).astype(dtype)

    def _matrix(self, flat, start, rows, distance):
        item = flat.itemsize
        return np.lib.stride_tricks.as_strided(flat[start:], (rows, self.n), (distance * item, item), writeable=True)

    def C(self, flat):
        return self._matrix(flat, self.c0, self.mr, self.c_row)

    def run(self, function, accumulate):
        """A copy of c after the call; A and B must be as before."""
        a, b, c = self.a.copy(), self.b.copy(), self.c.copy()
        function(
            self.mr, self.units, a, self.a0, self.a_row, self.a_col, b, self.b0, self.b_row,
            c, self.c0, self.c_row, self.terms, 2, len(self.terms) - 2, accumulate,
        )  # fmt: skip
        np.testing.assert_array_equal(a, self.a)
        np.testing.assert_array_equal(b, self.b)
        return c


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tile_is_the_product(dtype, strides, accumulate):
    for mr, units in TILES:
        for k in LENGTHS:
            case = Case(dtype, mr, units, k, strides)
            c = case.run(run_tile, accumulate)
            before = case.C(case.c).astype(np.float64)
            expected = case.A.astype(np.float64) @ case.B.astype(np.float64) + accumulate * before
            what = f"tile {mr} x {units}, k = {k}"
            assert_close(case.C(c), expected, dtype, what, terms=max(k, 1), scale=1.0)

            outside = c.copy()
            case.C(outside)[...] = case.C(case.c)
            np.testing.assert_array_equal(outside, case.c, f"{what}: numbers around C")


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tile_does_what_its_reference_does(dtype, accumulate):
    # The reference rounds once where long double holds every product of two float32 exactly.
    same_bits = dtype == np.float32 and target.HAS_FMA and np.finfo(np.longdouble).nmant > 52
    for mr, units in TILES:
        for k in LENGTHS[:-1]:
            case = Case(dtype, mr, units, k, "both apart", seed=1)
            c, expected = case.run(run_tile, accumulate), case.run(tile_reference, accumulate)
            if same_bits:
                np.testing.assert_array_equal(c, expected, f"tile {mr} x {units}, k = {k}")
            else:
                assert_close(c, expected, dtype, f"tile {mr} x {units}, k = {k}", terms=32, scale=1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_do_not_depend_on_the_tile(dtype):
    """Every element is one chain over k: the widest and highest tile gives what its smallest parts give."""
    lanes = target.UNIT_BYTES // np.dtype(dtype).itemsize
    for mr, units in TILES:
        case = Case(dtype, mr, units, 130, "rows of A together", seed=2)
        whole = case.C(case.run(run_tile, True))
        parts = case.c.copy()
        for i in range(mr):
            for u in range(units):
                run_tile(
                    1, 1, case.a, case.a0 + i * case.a_row, case.a_row, case.a_col,
                    case.b, case.b0 + u * lanes, case.b_row,
                    parts, case.c0 + i * case.c_row + u * lanes, case.c_row, case.terms, 2, case.k, True,
                )  # fmt: skip
        np.testing.assert_array_equal(whole, case.C(parts))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_do_not_depend_on_where_the_terms_are_divided_or_on_terms_that_are_zero(dtype):
    for mr, units in TILES:
        case = Case(dtype, mr, units, 130, "rows of A together", seed=4)
        zero = np.arange(130) % 3 == 1
        case.A[:, zero] = 0
        places = np.add.outer(np.arange(mr) * case.a_row, np.arange(130) * case.a_col)
        case.a[case.a0 + places] = case.A
        whole = case.C(case.run(run_tile, False))

        terms = np.flatnonzero(~zero)
        parts = case.c.copy()
        for start, stop in [(0, 1), (1, 40), (40, 40), (40, len(terms))]:
            run_tile(
                mr, units, case.a, case.a0, case.a_row, case.a_col, case.b, case.b0, case.b_row,
                parts, case.c0, case.c_row, terms, start, stop - start, start > 0,
            )  # fmt: skip
        np.testing.assert_array_equal(whole, case.C(parts))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_reach_their_row_or_column_and_no_other(dtype, bad):
    for mr, units in TILES:
        case = Case(dtype, mr, units, 5, "rows of A together", seed=3)
        row, column = mr - 1, case.n // 2
        case.a[case.a0 + row * case.a_row + 2] = bad
        hit = ~np.isfinite(case.C(case.run(run_tile, False)))
        assert hit[row].all()
        assert not np.delete(hit, row, axis=0).any()

        case = Case(dtype, mr, units, 5, "rows of A together", seed=3)
        case.B[2, column] = bad
        hit = ~np.isfinite(case.C(case.run(run_tile, False)))
        assert hit[:, column].all()
        assert not np.delete(hit, column, axis=1).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_infinity_times_zero_is_nan(dtype):
    case = Case(dtype, 1, 1, 3, "rows of A together")
    case.a[case.a0] = 0
    case.B[0, 1] = np.inf
    assert np.isnan(case.C(case.run(run_tile, False))[0, 1])


def test_overwriting_ignores_what_was_there():
    case = Case(np.float32, 1, 1, 3, "rows of A together")
    case.C(case.c)[...] = np.nan
    assert np.isfinite(case.C(case.run(run_tile, False))).all()
    assert np.isnan(case.C(case.run(run_tile, True))).all()


def test_tiles_fit_the_layout():
    """Panels are cut into tiles of these widths, so each width up to the widest needs a tile."""
    assert sorted(target.TILE_ROWS) == list(range(1, target.TILE_UNITS + 1))
    assert target.TILE_UNITS <= target.PANEL_UNITS
    assert target.UNIT_BYTES % target.VECTOR_BYTES == 0
    assert all(1 <= rows <= 8 for rows in target.TILE_ROWS.values())  # the row distances 1, 3, 5 and 7


@pytest.mark.parametrize("scale", [1 / 255, 1.0, -3e-7, 0.0])
@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_tile_of_bytes_is_the_tile_of_the_numbers_they_stand_for(dtype, accumulate, scale):
    rng = np.random.default_rng(6)
    scale = dtype(scale)
    for mr in target.BYTE_ROWS:
        for k in LENGTHS:
            case = Case(dtype, mr, 1, k, "columns of A together", seed=5)
            n_bytes = rng.integers(0, 256, case.b.size, np.uint8)
            case.b = n_bytes.astype(dtype) * scale
            expected = case.run(run_tile, accumulate)
            found = case.c.copy()
            run_tile_of_bytes(
                mr, case.a, case.a0, case.a_col, n_bytes, case.b0, case.b_row,
                found, case.c0, case.c_row, case.terms, 2, k, accumulate, scale,
            )  # fmt: skip
            np.testing.assert_array_equal(found, expected, f"{mr} rows, k = {k}")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_tile_of_rows_that_lie_anywhere_is_a_tile_a_row(dtype):
    rows = np.array([99, 4, 0, 6, 3])
    for units in target.TILE_ROWS:
        for k in LENGTHS:
            case = Case(dtype, 7, units, k, "rows of A together", seed=5)
            c, expected = case.c.copy(), case.c.copy()
            run_tile_of_rows(
                units, case.a, case.a0, case.a_row, case.b, case.b0, case.b_row, c, case.c0, case.c_row,
                case.terms, 2, k, rows, 1,
            )  # fmt: skip
            for row in rows[1:]:
                run_tile(
                    1, units, case.a, case.a0 + row * case.a_row, case.a_row, case.a_col,
                    case.b, case.b0, case.b_row, expected, case.c0 + row * case.c_row, case.c_row,
                    case.terms, 2, k, False,
                )  # fmt: skip
            np.testing.assert_array_equal(c, expected, f"{units} units, k = {k}")
