"""CSV files: every form that is read, and the line and column of everything that is not."""

from __future__ import annotations

import csv as python_csv
import gzip
import math
import warnings
from pathlib import Path

import numpy as np
import pytest

from fastnn.datasets import DataError, load
from fastnn.datasets.csv_file import load_csv


@pytest.fixture
def csv(tmp_path):
    def write(text: str | bytes, name: str = "t.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def pixels(n: int, first: int = 0) -> str:
    return ",".join(f"pixel{i}" for i in range(first, first + n))


def test_kaggle_training_file(csv) -> None:
    data = load(csv(f"label,{pixels(4)}\n7,0,255,3,4\n1,9,8,7,6\n"))
    assert data.X.dtype == np.uint8 and data.X.tolist() == [[0, 255, 3, 4], [9, 8, 7, 6]]
    assert data.y.dtype == np.int64 and data.y.tolist() == [7, 1]
    assert data.image_shape == (2, 2) and data.input_scale is None
    assert data.feature_names == ["pixel0", "pixel1", "pixel2", "pixel3"]
    assert data.X.flags.c_contiguous and data.X.flags.writeable


def test_kaggle_test_file_has_no_labels(csv) -> None:
    data = load(csv(f"{pixels(4)}\n0,255,3,4\n"))
    assert data.y is None and data.X.dtype == np.uint8 and data.image_shape == (2, 2)


@pytest.mark.parametrize("header", [pixels(4, first=1), "1x1,1x2,2x1,2x2"])
def test_other_names_of_pixels(csv, header) -> None:
    data = load(csv(f"label,{header}\n7,0,255,3,4\n"))
    assert data.X.dtype == np.uint8 and data.image_shape == (2, 2)


@pytest.mark.parametrize("header", ["pixel0,pixel2,pixel1,pixel3", "pixel2,pixel3,pixel4,pixel5", "a,b,c,d"])
def test_other_columns_are_no_pixels(csv, header) -> None:
    data = load(csv(f"label,{header}\n7,0,255,3,4\n"))
    assert data.X.dtype == np.float64 and data.image_shape is None


@pytest.mark.parametrize(("cell", "dtype"), [("1.0", np.uint8), ("0.5", float), ("256", float), ("-1", float)])
def test_pixels_are_bytes_only_if_all_of_them_are(csv, cell, dtype) -> None:
    data = load(csv(f"label,{pixels(3)}\n7,0,{cell},3\n"))
    assert data.X.dtype == dtype and data.X[0, 1] == float(cell) and data.image_shape is None


def test_pixels_with_more_distinct_labels_than_a_byte_holds(csv) -> None:
    rows = "".join(f"{i},{i % 256}\n" for i in range(300))
    data = load(csv("label,pixel0\n" + rows))
    assert data.X.dtype == np.uint8 and data.y.tolist() == list(range(300))


@pytest.mark.parametrize("label", ["kind", "2", "-1", 2, -1], ids=repr)
def test_label_column_by_name_and_index(csv, label) -> None:
    data = load(csv('width,height,kind\n1.5,2,rose\n3,-4e2,"tulip, red"\n5,6,rose\n'), label=label)
    assert data.X.tolist() == [[1.5, 2], [3, -400], [5, 6]]
    assert data.y.tolist() == ["rose", "tulip, red", "rose"] and data.feature_names == ["width", "height"]


def test_without_header(csv) -> None:
    data = load(csv("T,2,8\nI,5,12\n", "letters.data"), label=0)
    assert data.X.tolist() == [[2, 8], [5, 12]] and data.y.tolist() == ["T", "I"]
    assert data.feature_names is None
    assert load(csv("1,2\n3,4\n")).y is None


def test_an_index_is_no_name_where_there_is_no_header(csv) -> None:
    assert load(csv("T,2,0\nI,5,1\n"), label="0").y.tolist() == ["T", "I"]


def test_numbered_columns_of_pandas_are_a_header(csv) -> None:
    data = load(csv("0,1,2\n5,6,7\n"), label="2")
    assert data.X.tolist() == [[5, 6]] and data.y.tolist() == [7]


@pytest.mark.parametrize(
    ("cells", "dtype", "values"),
    [
        ("3 -1 3", np.int64, [3, -1, 3]),
        ("1 2.5 1e3", np.float64, [1, 2.5, 1000]),
        ("123456789012345678901 2 3", np.float64, [123456789012345678901.0, 2, 3]),
        ("0 A 1", np.str_, ["0", "A", "1"]),
        ("NA DE FR", np.str_, ["NA", "DE", "FR"]),
        ("1_0 2 3", np.str_, ["1_0", "2", "3"]),
    ],
)
def test_type_of_labels(csv, cells, dtype, values) -> None:
    y = load(csv("x,label\n" + "".join(f"1,{cell}\n" for cell in cells.split()))).y
    assert np.issubdtype(y.dtype, dtype) and y.tolist() == values


@pytest.mark.parametrize(
    "text",
    [
        "a,label\r\n1,2\r\n3,4\r\n",
        "a,label\r1,2\r3,4",
        "\ufeffa,label\n1,2\n3,4",
        "\na,label\n\n1,2\n\n3,4\n\n",
        ' a , label\n 1 , 2\n" 3",4 \n',
        '"a","label"\n"1","2"\n"3","4"\n',
    ],
)
def test_dialects(csv, text) -> None:
    data = load(csv(text))
    assert data.X.tolist() == [[1], [3]] and data.y.tolist() == [2, 4] and data.feature_names == ["a"]


def test_gzip(csv) -> None:
    data = load(csv(gzip.compress(b"a,label\n1,2\n"), "t.csv.gz"))
    assert data.y.tolist() == [2]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a,b,label\n1,2,3\n4,,6\n", r"line 3 of .*t\.csv, column 'b': the cell is missing"),
        ("a,b,label\n1,2,3\n\n4,NA,6\n", r"line 4 of .*column 'b': the cell is missing \('NA'\)"),
        ("a,b,label\n1,2,3\n4,nan,6\n", r"line 3 of .*column 'b': the cell is missing"),
        ("a,b,label\n1,2,3\n4,5\n", r"line 3 of .* has 2 cells where 3 are due"),
        ("a,b,label\n1,2,3\n4,5,6,\n", r"line 3 of .* has 4 cells where 3 are due"),
        ("a,b,label\n1,2,3,4\n1,2,3,4\n", r"line 2 of .* has 4 cells where 3 are due"),
        ("a,b,label\n1,2,3\n4,red,6\n", r"line 3 of .*column 'b': 'red' is not a number"),
        ("a,b,label\n1,1_0,3\n", r"line 2 of .*column 'b': '1_0' is not a number"),
        ("a,b,label\n1,1e999,3\n", r"line 2 of .*column 'b': '1e999' is not finite"),
        ("a,b,label\n1,2,3\n4,5,\n", r"line 3 of .*column 'label': the label is missing"),
        ("a,b,label\n1,2,3\n4,5,NA\n", r"line 3 of .*column 'label': the label is missing \('NA'\)"),
        ("a,b,label\n1,2,3\n4,5,inf\n", r"line 3 of .*column 'label': the label 'inf' is not finite"),
        ("a,b,label\n1,2,NA\n4,red,DE\n", r"line 3 of .*column 'b': 'red' is not a number"),
        ('a,b,label\n"1\n",x,3\n', r"line 3 of .*column 'b': 'x' is not a number"),
        ("label,pixel0,pixel1\n7,0,1\n8,0,\n", r"line 3 of .*column 'pixel1': the cell is missing"),
        ("label,pixel0,pixel1\n7,0,1\n8,0\n", r"line 3 of .* has 2 cells where 3 are due"),
        ("T,2,8\nI,5,12\n", r"line 1 of .*column 0 \(from 0\): 'T' is not a number; .*if this is the label"),
        ("a,label\n", "has a header but no rows"),
        ("a,label\n\n\n", "has a header but no rows"),
        ("a,label\n1,2\n  \n", "line 3 of .* has 1 cells where 2 are due"),
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("label\n1\n2\n", "is empty: its samples have shape"),
        ("a;label\n1;2\n", "has no comma"),
        ("a,label\n1,caf\u00e9".encode("latin-1"), "not UTF-8 text: it has byte 0xe9 at position 13"),
        ("a,label,label\n1,2,3\n", "2 columns named 'label'"),
    ],
)
def test_bad_files_get_a_sentence(csv, text, sentence) -> None:
    with pytest.raises(DataError, match=sentence):
        load(csv(text))


@pytest.mark.parametrize(
    ("text", "label", "sentence"),
    [
        (
            "width,kind\n1,2\n",
            "knd",
            r"no label column 'knd'; its columns are width, kind; did you mean 'kind'\?",
        ),
        ("width,kind\n1,2\n", 2, r"no label column 2; its columns are width, kind"),
        ("1,2\n", "-3", r"no label column '-3'; it has no header, so give an index from 0 to 1"),
        ("1,2\n", "kind", r"no label column 'kind'; it has no header"),
        (pixels(784) + "\n", "label", r"pixel7 \.\.\. \(784 in all\)"),
    ],
)
def test_a_missing_label_column_gets_a_sentence(csv, text, label, sentence) -> None:
    with pytest.raises(DataError, match=sentence):
        load(csv(text), label=label)


def test_a_gzip_that_is_cut_gets_a_sentence(csv) -> None:
    packed = gzip.compress(b"a,label\n" + b"1,2\n" * 1000)
    with pytest.raises(DataError, match="truncated or damaged gzip"):
        load(csv(packed[:-9], "t.csv.gz"))


def test_fast_and_slow_reading_agree_on_random_pixels(csv) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (50, 9)), rng.integers(0, 10, 50)
    table = np.column_stack([y, X])
    text = f"label,{pixels(9)}\n" + "\n".join(",".join(map(str, row)) for row in table)
    plain, as_floats = load_csv(csv(text)), load_csv(csv(text.replace(",7,", ",7.0,")))
    for data in (plain, as_floats):
        assert data.X.dtype == np.uint8 and np.array_equal(data.X, X) and np.array_equal(data.y, y)


NUMBERS = ["0", "255", "007", "-0", "+5", " 7 ", '"1"', '" 1"', "1.0", "255.0", "1.", ".0", "1e2", "1E+1", "255e0"]
WIDE = ["256", "257", "-1", "1000", "65536", "4294967297", "999999999999999999999", "1e3", "1e308"]
FRACTIONS = ["0.5", "254.5", "1e-1", "-0.5", "1e-300"]
JUNK = [
    "", " ", '""', "nan", "inf", "-inf", "1e400", "NA", "?", "x", "1x", "0x10", "0b1", "1_0", "1 2", "1d2", "1e", "--1",
    "+-1", "1j", "True", "'1'", "1,2", '"1,2"', "\u0663", "1\u0663", "\x00", "1\x00", "\x001", "\ufeff1", "#1", "1;2",
    "-", ".", "+", "\u00b2", "1%", "1\t2", '1"', "\\1",
]  # fmt: skip


@pytest.mark.parametrize("cell", [*NUMBERS, *WIDE, *FRACTIONS, *JUNK], ids=ascii)
@pytest.mark.parametrize("end", ["\n", "\r\n", ""], ids=["LF", "CRLF", "cut"])
@pytest.mark.parametrize("place", [0, 1], ids=["middle", "last"])
def test_a_cell_is_read_as_python_reads_it_or_refused(csv, cell, end, place) -> None:
    """Among pixels, which are parsed as bytes first, and among other numbers."""
    row = ["3", "4"]
    row[place] = cell
    text = f"1,3,4\n2,{','.join(row)}{end}"
    (*_, cells) = python_csv.reader(text.splitlines())
    try:
        expected = [float(x) if x.strip().isascii() and "_" not in x else math.nan for x in cells]
    except ValueError:
        expected = []
    is_good = len(expected) == 3 and all(map(math.isfinite, expected))
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # as users have it, who do not make errors of them
        for names in ("pixel0,pixel1", "a,b"):
            path = csv(f"label,{names}\n{text}")
            if is_good:
                data = load(path)
                assert data.X.tolist() == [[3, 4], expected[1:]]
                assert data.y.tolist() == [1, 2]
            else:
                with pytest.raises(DataError, match=r"^line 3 of .*t\.csv"):
                    load(path)


@pytest.mark.parametrize("digit", ["\u0663", "\uff13", "1\u0663"])
def test_digits_of_other_scripts_are_words(csv, digit) -> None:
    assert load(csv(f"a,label\n1,{digit}\n")).y.tolist() == [digit]


def test_a_pixel_that_is_half_is_no_byte_with_any_numpy(csv, monkeypatch) -> None:
    loadtxt = np.loadtxt

    def old_loadtxt(*arguments, dtype, **options):
        """NumPy before 2.3 reads bytes by way of floats, with this warning only."""
        try:
            warnings.warn("loadtxt(): Parsing an integer via a float is deprecated.", DeprecationWarning, stacklevel=2)
        except DeprecationWarning as error:
            raise ValueError("could not convert string '0.5' to uint8") from error
        return loadtxt(*arguments, dtype=np.float64, **options).astype(dtype)

    monkeypatch.setattr(
        "numpy.loadtxt", lambda *a, dtype, **o: (old_loadtxt if dtype == np.uint8 else loadtxt)(*a, dtype=dtype, **o)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert load(csv(f"label,{pixels(2)}\n7,0,0.5\n")).X.tolist() == [[0, 0.5]]
