"""What y means: labels of every kind, one-hot rows, several labels, probabilities, numbers; and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from data import classification, multilabel, one_hot, regression

from fastnn import MLP, Trainer
from fastnn.engine import launch
from fastnn.engine.labels import encode

F32 = np.dtype("float32")


def encoded(y, output="softmax", n_outputs=3, classes=None, n=None):
    return encode(y, len(y) if n is None else n, output, n_outputs, F32, classes)


@pytest.mark.parametrize(
    ("y", "classes", "index"),
    [
        ([0, 2, 1, 0], [0, 1, 2], [0, 2, 1, 0]),
        ([7, -3, 40, 7], [-3, 7, 40], [1, 0, 2, 1]),
        (["b", "a", "c", "b"], ["a", "b", "c"], [1, 0, 2, 1]),
        (np.array(["b", "a", "c", "b"], object), ["a", "b", "c"], [1, 0, 2, 1]),
        ([0.5, 2.0, -1.0], [-1.0, 0.5, 2.0], [1, 2, 0]),
        (np.array([2, 0, 1], np.uint8), [0, 1, 2], [2, 0, 1]),
        (np.array([[2], [0], [1]]), [0, 1, 2], [2, 0, 1]),
        (np.array([200, 3, 255], np.uint8), [3, 200, 255], [1, 0, 2]),
        (np.array([3, 1, 2], ">i4"), [1, 2, 3], [2, 0, 1]),
        ([2**40, 2**41, 5], [5, 2**40, 2**41], [1, 2, 0]),
        ([0, 0, 1], [0, 1, 2], [0, 0, 1]),  # 2 is absent, and yet the third output is its
        (["Straße", "ä", "zz"], ["Straße", "zz", "ä"], [0, 2, 1]),
    ],
)
def test_labels(y, classes, index):
    for output in ("softmax", "logistic"):
        found = encoded(y, output)
        assert found.classes.tolist() == classes
        assert found.labels.dtype == np.int32
        assert found.labels.tolist() == index
        assert found.targets.size == 0


def test_classes_that_are_known_decide():
    classes = np.array(["a", "b", "c"])
    found = encoded(["c", "c"], classes=classes)
    assert found.labels.tolist() == [2, 2]
    assert found.classes is classes


@pytest.mark.parametrize("y", [["a", "long name", "c"], np.array(["a", "long name"], dtype="U9")])
def test_an_unseen_label_is_named(y):
    with pytest.raises(
        ValueError, match="y has the label 'long name' at row 1, which is none of the classes 'a', 'b', 'c'"
    ):
        encoded(y, classes=np.array(["a", "b", "c"]))
    with pytest.raises(ValueError, match="y has the label 4 at row 2, which is none of the classes 1, 2, 3"):
        encoded([1, 2, 4], classes=np.array([1, 2, 3]))
    with pytest.raises(ValueError, match=r"label 2.5 at row 0"):
        encoded([2.5], classes=np.array([1, 2, 3]))


@pytest.mark.parametrize(
    ("y", "classes", "targets"),
    [
        ([0, 1, 1], [0, 1], [0, 1, 1]),
        ([True, False, True], [False, True], [1, 0, 1]),
        ([-1, 1, -1], [-1, 1], [0, 1, 0]),
        (["yes", "no"], ["no", "yes"], [1, 0]),
        ([[1.0], [0.0]], [0.0, 1.0], [1, 0]),
        ([0, 0], [0, 1], [0, 0]),
    ],
)
def test_two_classes_with_one_output(y, classes, targets):
    found = encoded(y, "logistic", 1)
    assert found.classes.tolist() == classes
    assert found.targets.tolist() == targets
    assert found.targets.dtype == F32
    assert found.labels.size == 0


def test_one_hot_rows_are_classes():
    y = np.array([2, 0, 1])
    for rows in (
        one_hot(y, 3),
        one_hot(y, 3).astype(int),
        one_hot(y, 3).astype(bool),
        np.asfortranarray(one_hot(y, 3)),
    ):
        found = encoded(rows)
        assert found.labels.tolist() == [2, 0, 1]
        assert found.classes.tolist() == [0, 1, 2]
    named = encoded(one_hot(y, 3), classes=np.array(["a", "b", "c"]))
    assert named.classes.tolist() == ["a", "b", "c"]


def test_rows_of_probabilities_are_targets():
    rows = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
    found = encoded(rows)
    np.testing.assert_array_equal(found.targets.reshape(-1, 3), rows)
    assert found.labels.size == 0


def test_several_labels_are_targets_without_classes():
    rows = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1]])
    for y in (rows, rows.astype(bool), rows.astype(float), np.asfortranarray(rows)):
        found = encoded(y, "logistic")
        np.testing.assert_array_equal(found.targets.reshape(-1, 3), rows)
        assert found.classes is None


@pytest.mark.parametrize("y", [[1.5, -2.0], [1, 2], [[1.5], [2.5]], [True, False], np.array([1.5, 2], ">f8")])
def test_numbers(y):
    found = encoded(y, "identity", 1)
    assert found.targets.tolist() == np.asarray(y, float).ravel().tolist()
    assert found.classes is None


def test_several_columns_of_numbers():
    y = np.asfortranarray([[1.0, 2.0, 3.0], [-4.0, 5.0, 1e6]])
    assert encoded(y, "identity").targets.tolist() == [1, 2, 3, -4, 5, 1e6]


@pytest.mark.parametrize(
    ("y", "output", "n_outputs", "sentence"),
    [
        ([0, 1], "softmax", 3, "X and y must be equally long, got 5 samples and 2 entries of y"),
        ([0, 1, 2, 3, 4], "softmax", 3, "y has 5 different labels, but a network with 3 outputs tells 3 classes apart"),
        ([5, 6, 5, 6, 5], "softmax", 3, "y has 2 different labels"),
        ([5, 5, 5, 5, 5], "logistic", 1, "y has 1 different labels"),
        ([0, 1, 2, 0, 1], "logistic", 1, "y has 3 different labels.*tells 2 classes apart"),
        ([True, False] * 2 + [True], "softmax", 3, "y has 2 different labels"),
        (3, "softmax", 3, r"y must be \(n_samples,\) or \(n_samples, n_outputs\), got shape \(\)"),
        (np.zeros((5, 3, 2)), "softmax", 3, r"got shape \(5, 3, 2\)"),
        (np.zeros((5, 2)), "softmax", 3, "y must have 3 columns, one an output of the network, got 2"),
        (np.zeros((5, 2)), "logistic", 3, "y must have 3 columns"),
        (np.zeros((5, 2)), "identity", 3, "y must have 3 columns"),
        (np.zeros(5), "identity", 3, "y must have 3 columns, one an output of the network, got 1"),
        (np.zeros((5, 3)), "softmax", 3, "rows of y must sum to 1 for output 'softmax', row 0 sums to 0"),
        (np.full((5, 3), 0.5), "softmax", 3, "row 0 sums to 1.5"),
        (np.full((5, 3), -0.5), "logistic", 3, r"rows of y must lie in 0..1, got -0.5"),
        (np.full((5, 3), 2), "logistic", 3, r"rows of y must lie in 0..1, got 2"),
        ([0, 1, 2, np.nan, 1], "softmax", 3, "y must be finite, got nan at row 3"),
        ([0, 1, 2, np.inf, 1], "identity", 1, "y must be finite, got inf at row 3"),
        ([[0.0, np.nan]] * 5, "identity", 2, "y must be finite, got .*nan.* at row 0"),
    ],
)
def test_refused_values(y, output, n_outputs, sentence):
    with pytest.raises(ValueError, match=sentence):
        encoded(y, output, n_outputs, n=5)


@pytest.mark.parametrize(
    ("y", "output", "sentence"),
    [
        ([0, 1, 1j], "softmax", "y must hold numbers or strings, got dtype complex128"),
        (np.array(["2026-01-01"] * 3, "M8[D]"), "softmax", "y must hold numbers or strings, got dtype datetime64"),
        (np.array([0, 1, None], object), "softmax", "got objects of NoneType, int"),
        (np.array([0, "a", "b"], object), "softmax", "got objects of int, str"),
        (None, "softmax", "got objects of NoneType"),
        (np.array([b"a", b"b", b"c"]), "softmax", "y must hold numbers or strings, got dtype |S1"),
        (["1", "2", "3"], "identity", "y must hold numbers for output 'identity', got text"),
        (np.array([["a", "b", "c"]] * 3), "softmax", "y with several columns must hold numbers, got text"),
    ],
)
def test_refused_types(y, output, sentence):
    with pytest.raises(TypeError, match=sentence):
        encoded(y, output, n=3)


def test_ragged_rows_are_refused():
    with pytest.raises((TypeError, ValueError), match="y"):
        encoded([[1, 0, 0], [0, 1]], n=2)


def test_numbers_and_text_do_not_mix_with_the_classes():
    with pytest.raises(ValueError, match="y holds labels of dtype <U1, but the classes are of dtype int64"):
        encoded(["1", "2"], classes=np.array([1, 2, 3]))


# From fit to predict and evaluate, as users meet them


def fitted(X, y, sizes, output="softmax", loss="cross_entropy", **settings):
    trainer = Trainer(MLP(sizes, output=output, seed=1), loss=loss, max_epochs=80, batch_size=16, verbose=0, **settings)
    trainer.fit(X, y)
    return trainer


@pytest.mark.parametrize("output", ["softmax", "logistic"])
@pytest.mark.parametrize("names", [[0, 1, 2], [-7, 3, 1000], ["ant", "bee", "wasp"], [0.5, 1.5, 2.5]], ids=str)
def test_predict_speaks_the_labels_of_fit(names, output):
    X, index = classification(90, 6, 3)
    y = np.array(names)[index]
    trainer = fitted(X, y, [6, 8, 3], output)
    predicted = trainer.net.predict(X)
    assert predicted.dtype == y.dtype
    assert (predicted == y).mean() > 0.95
    assert trainer.net.classes.tolist() == names
    scores = trainer.evaluate(X, y)
    assert scores["accuracy"] == pytest.approx((predicted == y).mean())
    assert 0.9 < scores["f1_macro"] <= 1


@pytest.mark.parametrize("names", [[0, 1], [False, True], ["no", "yes"], [-1, 1]], ids=str)
def test_two_classes(names):
    X, index = classification(90, 6, 2)
    y = np.array(names)[index]
    trainer = fitted(X, y, [6, 8, 1], "logistic")
    predicted = trainer.net.predict(X)
    assert predicted.shape == (90,)
    assert predicted.dtype == y.dtype
    assert (predicted == y).mean() > 0.95
    assert trainer.evaluate(X, y)["accuracy"] == pytest.approx((predicted == y).mean())
    assert trainer.net.predict_proba(X).shape == (90, 1)


def test_one_hot_and_labels_train_alike():
    X, y = classification(90, 6, 3)
    nets = [fitted(X, target, [6, 8, 3]).net for target in (y, one_hot(y, 3))]
    assert nets[0].fingerprint() == nets[1].fingerprint()
    assert nets[1].predict(X).shape == (90,)


def test_several_labels():
    X, Y = multilabel(90, 6, 3)
    trainer = fitted(X, Y, [6, 16, 3], "logistic")
    predicted = trainer.net.predict(X)
    assert predicted.shape == (90, 3)
    assert set(np.unique(predicted)) == {0, 1}
    assert (predicted == Y).mean() > 0.9
    scores = trainer.evaluate(X, Y)
    assert scores["accuracy"] == pytest.approx((predicted == Y).all(axis=1).mean())
    assert trainer.net.classes is None


def test_several_labels_stay_several_where_every_row_happens_to_have_one():
    X, Y = multilabel(90, 6, 3)
    trainer = fitted(X, Y, [6, 16, 3], "logistic")
    single = np.flatnonzero(Y.sum(axis=1) == 1)
    predicted = trainer.net.predict(X[single])
    assert trainer.evaluate(X[single], Y[single])["accuracy"] == pytest.approx(
        (predicted == Y[single]).all(axis=1).mean()
    )


def test_probabilities_as_targets_have_scores():
    X, y = classification(90, 6, 3)
    soft = 0.7 * one_hot(y, 3) + 0.1
    trainer = fitted(X, soft, [6, 8, 3])
    scores = trainer.evaluate(X, soft)
    assert scores["accuracy"] == pytest.approx((trainer.net.predict(X) == y).mean())
    assert scores["accuracy"] > 0.95
    assert scores["f1_macro"] > 0.95


@pytest.mark.parametrize("n_targets", [1, 3])
def test_numbers_to_predict(n_targets):
    X, Y = regression(90, 6, n_targets)
    trainer = fitted(X, Y[:, 0] if n_targets == 1 else Y, [6, 30, n_targets], "identity", "mse")
    predicted = trainer.net.predict(X)
    assert predicted.shape == ((90,) if n_targets == 1 else (90, 3))
    scores = trainer.evaluate(X, Y)
    error = (predicted.reshape(90, -1) - Y) ** 2
    assert scores["loss"] == pytest.approx(0.5 * error.sum(axis=1).mean(), rel=1e-5)
    assert scores["r2"] == pytest.approx(
        np.mean(1 - error.sum(axis=0) / ((Y - Y.mean(axis=0)) ** 2).sum(axis=0)), rel=1e-5
    )
    assert "accuracy" not in scores


def test_targets_that_cannot_be_written_compile_nothing_anew():
    """A read-only or unaligned y is another type to Numba than the arrays for which programs are compiled."""
    X = np.random.default_rng(0).random((20, 3))
    y = np.random.default_rng(1).random(20)
    odd = np.frombuffer(b"x" + y.tobytes(), np.uint8)[1:].view(np.float64)
    frozen = y.copy()
    frozen.flags.writeable = False
    fingerprints = set()
    for targets in (y, frozen, odd):
        net = MLP([3, 4, 1], output="identity", dtype="float64", seed=2)
        Trainer(net, loss="mse", max_epochs=2, verbose=0).fit(X, targets)
        fingerprints.add(net.fingerprint())
        trainings = [1 for program, _ in launch._loaded if program == launch.TRAIN]
        assert len(trainings) <= 5  # float32 and float64, where bytes stay bytes and where not; the matrix unit
    assert len(fingerprints) == 1


def test_a_number_that_is_infinite_in_float32_is_named():
    y = np.array([1.0, 1e300])
    with pytest.raises(ValueError, match=r"y must be finite in float32, got 1e\+300 at row 1; scale it"):
        encode(y, 2, "identity", 1, np.dtype(np.float32), None)
    assert encode(y, 2, "identity", 1, np.dtype(np.float64), None).targets[1] == 1e300


def test_masked_labels_are_refused():
    y = np.ma.masked_array([0, 1, 1], mask=[False, False, True])
    with pytest.raises(ValueError, match="y has 1 masked entries; fill them"):
        encode(y, 3, "softmax", 2, np.dtype(np.float32), None)
    assert encode(y[:2], 2, "softmax", 2, np.dtype(np.float32), None).labels.tolist() == [0, 1]
