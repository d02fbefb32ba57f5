"""describe: figures that agree with NumPy's, what counts as a class, and columns by name and index."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest

from fastnn.datasets import DataError, Dataset, Summary, describe, load


def made(y=None, **more) -> Dataset:
    X = np.array([[0, 7, 250], [0, 8, 0], [0, 9, 0], [0, 7, 3]], np.uint8)
    return Dataset("d", X, None if y is None else np.array(y), **more)


def test_figures_of_all_cells() -> None:
    summary = describe(made(image_shape=(1, 3)))
    assert (summary.name, summary.n_features, summary.dtype, summary.image_shape) == ("d", 3, "uint8", (1, 3))
    (part,) = summary.parts
    assert (part.name, part.n_samples, part.minimum, part.maximum) == ("all", 4, 0, 250)
    assert part.mean == 284 / 12 and part.zeros == 6 / 12
    assert part.constant == ["0"] and part.columns == part.targets == []
    assert part.classes is None and part.balance is None


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_figures_agree_with_numpy(dtype, order) -> None:
    X = np.random.default_rng(0).integers(0, 256, (5000, 70)).astype(dtype, order=order)
    part = describe(Dataset("d", X), range(70)).parts[0]
    assert part.mean == pytest.approx(X.astype(float).mean(), rel=1e-12)
    assert part.zeros == pytest.approx((X == 0).mean(), abs=1e-12)
    for column, values in zip(part.columns, X.T.astype(float), strict=True):
        expected = [values.min(), values.max(), values.mean(), values.std()]
        assert [column.minimum, column.maximum, column.mean, column.std] == pytest.approx(expected, rel=1e-12)


def test_the_test_part_is_summarised_too() -> None:
    training, test = describe(load("digits"), [0]).parts
    assert (training.name, test.name) == ("training", "test")
    assert (training.n_samples, test.n_samples) == (1347, 450)
    assert sum(test.classes.values()) == 450 and len(test.columns) == 1
    data = made([1, 1, 1, 2], X_test=np.ones((2, 3), np.uint8))
    assert describe(data).parts[1].classes is None


@pytest.mark.parametrize(
    ("y", "classes", "balance"),
    [
        ([3, 1, 3, 3], {1: 1, 3: 3}, 1 / 3),
        (["b", "a", "b", "b"], {"a": 1, "b": 3}, 1 / 3),
        ([1.0, 0.0, 1.0, 0.0], {0.0: 2, 1.0: 2}, 1),
        ([True, False, True, True], {False: 1, True: 3}, 1 / 3),
        ([[1], [1], [2], [3]], {1: 2, 2: 1, 3: 1}, 1 / 2),
    ],
)
def test_classes_are_counted_in_the_order_of_their_labels(y, classes, balance) -> None:
    part = describe(made(y)).parts[0]
    assert list(part.classes.items()) == list(classes.items()) and part.targets == []
    assert part.balance == balance


def test_numbers_to_predict_are_no_classes() -> None:
    (target,) = describe(made([0.5, 1, 2, 2.5])).parts[0].targets
    assert (target.name, target.minimum, target.maximum, target.mean) == ("target", 0.5, 2.5, 1.5)
    assert target.std == pytest.approx(np.std([0.5, 1, 2, 2.5]))
    rows = describe(made([[0, 1], [1, 0], [1, 0], [1, 0]])).parts[0].targets
    assert [(t.name, t.mean) for t in rows] == [("target_0", 0.75), ("target_1", 0.25)]
    many = Dataset("d", np.ones((1001, 1)), np.arange(1001))
    assert describe(many).parts[0].classes is None
    assert len(describe(Dataset("d", np.ones((1000, 1)), np.arange(1000))).parts[0].classes) == 1000


@pytest.mark.parametrize(
    ("column", "name"),
    [("a", "a"), ("0", "0"), (0, "a"), (-1, "b"), ("-1", "b"), (np.int64(2), "b"), ("2", "b"), ("1", "0")],
)
def test_columns_by_name_and_index(column, name) -> None:
    data = made(feature_names=["a", "0", "b"])
    assert [c.name for c in describe(data, [column]).parts[0].columns] == [name]
    assert describe(data, []).parts[0].columns == []
    assert describe(made(), column if isinstance(column, str) and column != "a" else 1).parts[0].columns


def test_whole_numbers_stay_whole() -> None:
    column = describe(made(), [2]).parts[0].columns[0]
    assert isinstance(column.maximum, int) and column.maximum == 250


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        ("pixl1", r"d has no column 'pixl1'; did you mean 'pixel1'\?"),
        ("width", "d has no column 'width'; its columns are pixel0, pixel1, pixel2"),
        (3, "d has no column 3; give an index from 0 to 2"),
        ("-4", "d has no column -4; give an index from 0 to 2"),
    ],
)
def test_an_unknown_column_gets_a_sentence(column, sentence) -> None:
    with pytest.raises(DataError, match=f"^{sentence}$"):
        describe(made(feature_names=["pixel0", "pixel1", "pixel2"]), [column])


def test_a_name_where_there_are_none_gets_a_sentence() -> None:
    with pytest.raises(DataError, match="its columns have no names, give an index from 0 to 2"):
        describe(made(), ["pixel0"])


def test_as_dict_is_ready_for_json() -> None:
    summary = describe(load("digits"), [20])
    assert isinstance(summary, Summary)
    document = json.loads(json.dumps(summary.as_dict()))
    assert document["image_shape"] == [8, 8]
    training, test = document["parts"]
    assert training["classes"][0] == {"label": 0, "n_samples": 133, "share": 133 / 1347}
    assert test["columns"][0]["name"] == "20" and 0 < test["balance"] < 1
    assert describe(made()).as_dict()["parts"][0]["classes"] is None


def test_samples_are_not_copied() -> None:
    data = Dataset("d", np.ones((20_000, 784), np.uint8), np.zeros(20_000, int))
    tracemalloc.start()
    describe(data, [3])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < data.X.nbytes / 10
