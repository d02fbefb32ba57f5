"""Reports and mistakes: against scikit-learn, at the edges, and with input that is no classification."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_score, recall_score

import fastnn
from fastnn.metrics import Mistake, Report, mistakes, report


def some_labels(n: int = 200, n_classes: int = 4, seed: int = 0):
    """Actual and predicted labels, two thirds of them right."""
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n)
    return y, np.where(rng.random(n) < 0.66, y, rng.integers(n_classes, size=n))


NAMES = np.array(["ant", "bee", "cow", "dog"])


@pytest.mark.parametrize("names", [None, NAMES, np.array([5, -3, 7, 100])], ids=["indices", "text", "any_numbers"])
def test_a_report_has_scikit_learns_figures(names):
    y, predicted = some_labels()
    if names is not None:
        y, predicted = names[y], names[predicted]
    found = report(y, predicted)
    labels = np.unique(y)
    assert found.classes == labels.tolist() and found.n_samples == 200
    assert found.accuracy == accuracy_score(y, predicted)
    assert found.f1_macro == pytest.approx(f1_score(y, predicted, average="macro"), rel=1e-14)
    np.testing.assert_array_equal(found.confusion, confusion_matrix(y, predicted))
    assert found.confusion.dtype == np.int64
    for name, score in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        np.testing.assert_allclose([row[name] for row in found.per_class], score(y, predicted, average=None))
    assert [row["support"] for row in found.per_class] == np.unique(y, return_counts=True)[1].tolist()
    assert [row["label"] for row in found.per_class] == labels.tolist()


def test_classes_keep_the_order_in_which_they_are_given():
    y, predicted = some_labels()
    order = [2, 0, 3, 1]
    found = report(NAMES[y], NAMES[predicted], NAMES[order])
    assert found.classes == NAMES[order].tolist()
    np.testing.assert_array_equal(found.confusion, confusion_matrix(y, predicted, labels=order))


def test_classes_that_never_occur_have_zeros_and_do_not_change_the_macro_f1():
    y, predicted = np.array([0, 0, 3, 3]), np.array([0, 3, 3, 1])  # 1 is only predicted, 2 is neither
    found = report(y, predicted, range(4))
    assert found.per_class[1] == {"label": 1, "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    assert found.per_class[2] == {"label": 2, "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    assert found.confusion.sum() == 4 and found.confusion[:, 2].sum() == 0
    assert found.f1_macro == f1_score(y, predicted, average="macro", zero_division=0)
    lines = [line.split() for line in found.text().splitlines()]
    assert ["1", "0.0000", "0.0000", "0.0000", "0"] in lines
    assert ["2", "0", "0", "0", "0"] in lines  # of the confusion matrix


def test_one_sample():
    right, wrong = report(["a"], ["a"]), report(["a"], ["b"])
    assert (right.classes, right.accuracy, right.f1_macro, right.confusion.tolist()) == (["a"], 1.0, 1.0, [[1]])
    assert (wrong.classes, wrong.accuracy, wrong.f1_macro) == (["a", "b"], 0.0, 0.0)
    assert "accuracy" in right.text() and "accuracy" in wrong.text()


def test_booleans_columns_and_whole_floats_are_labels():
    assert report([True, False], np.array([[True], [True]])).classes == [False, True]
    assert report([0.0, 2.0], [0.0, 0.0]).classes == [0, 2]
    assert report(np.array(["x", "y"], object), ["x", "x"]).classes == ["x", "y"]


def test_the_text_is_scikit_learns_report_and_the_confusion_matrix():
    y, predicted = some_labels()
    from sklearn.metrics import classification_report

    text = report(NAMES[y], NAMES[predicted]).text()
    assert text.startswith(classification_report(NAMES[y], NAMES[predicted], digits=4))
    rows = text.splitlines()[-5:]
    assert rows[0].split() == NAMES.tolist()
    counts = confusion_matrix(y, predicted).tolist()
    assert [row.split() for row in rows[1:]] == [[n, *map(str, c)] for n, c in zip(NAMES, counts, strict=True)]
    assert len({len(row) for row in rows}) == 1


def test_a_report_survives_json():
    y, predicted = some_labels()
    found = report(NAMES[y], NAMES[predicted], [*NAMES, "eel"])
    read = Report.from_dict(json.loads(json.dumps(found.as_dict())))
    assert read.as_dict() == found.as_dict()
    assert read.text() == found.text()


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"classes": [0, 1], "confusion": [[1]]},
        {"classes": [0], "confusion": [[-1]]},
        {"classes": [0], "confusion": "none"},
        {"classes": 3, "confusion": [[1]]},
        {"classes": [0, 1], "confusion": [[0, 0], [0, 0]]},
        {"classes": [], "confusion": []},
    ],
)
def test_what_is_no_report_is_a_sentence(document):
    with pytest.raises(ValueError, match="this is not a report"):
        Report.from_dict(document)


@pytest.mark.parametrize(
    ("y_true", "y_pred", "classes", "words"),
    [
        ([0, 1], [0], None, "y_true and y_pred must be equally long, got 2 and 1 samples"),
        ([], [], None, "y_true is empty"),
        ([0.5, 1.2], [0, 1], None, "y_true must hold labels, got the number 0.5; for a regression"),
        ([0, 1], [0.9, 0.1], None, "y_pred must hold labels, got the number 0.9"),
        ([0.0, np.nan], [0, 1], None, "got the number nan"),
        (np.eye(3), [0, 1, 2], None, r"y_true must be \(n_samples,\), one label a sample, got shape \(3, 3\)"),
        ([0, 1], ["a", "b"], None, "labels of one kind"),
        ([0, 1], [0, 1], ["a", "b"], "y_true holds labels of dtype int64, but the classes are of dtype"),
        ([0, 5], [0, 1], [0, 1], "y_true has the label 5 at row 1, which is none of 0, 1"),
        ([0, 1], [0, 7], range(20), None),
        ([0, 1], [0, 99], range(20), "y_pred has the label 99 at row 1, which is none of 0, 1, .*, 11, ..."),
        ([0, 1], [0, 1], [0, 1, 1], r"classes must be different labels, got \[0, 1, 1\]"),
        (np.ma.array([0, 1], mask=[0, 1]), [0, 1], None, "y_true has 1 masked entries"),
    ],
)
def test_bad_labels_are_sentences(y_true, y_pred, classes, words):
    if words is None:
        report(y_true, y_pred, classes)
        return
    with pytest.raises(ValueError, match=words):
        report(y_true, y_pred, classes)


@pytest.mark.parametrize("y", [[None, 1], [b"a", b"b"], [1j, 2]])
def test_labels_of_no_kind_are_sentences(y):
    with pytest.raises(TypeError, match="y_true must hold labels"):
        report(y, [0, 1])


def test_mistakes_come_in_order_of_confidence():
    proba = np.array([[0.9, 0.1, 0.0], [0.1, 0.2, 0.7], [0.0, 0.8, 0.2], [0.3, 0.3, 0.4], [0.2, 0.8, 0.0]])
    found = mistakes(["a", "a", "c", "c", "a"], proba, ["a", "b", "c"])
    assert found == [
        Mistake(2, "c", "b", 0.8),
        Mistake(4, "a", "b", 0.8),  # as sure as the one before: the first in the data is first
        Mistake(1, "a", "c", 0.7),
    ]
    assert mistakes(["a", "a", "c", "c", "a"], proba, ["a", "b", "c"], n=2) == found[:2]
    assert mistakes(["a", "a", "c", "c", "a"], proba, ["a", "b", "c"], n=0) == []
    assert mistakes(["a", "c", "b", "c", "b"], proba, ["a", "b", "c"]) == []


def test_one_column_is_the_probability_of_the_second_class():
    proba = np.array([[0.5], [0.2], [0.9]], np.float32)
    expected = [Mistake(2, "no", "yes", float(np.float32(0.9))), Mistake(1, "yes", "no", float(np.float32(0.8)))]
    assert mistakes(["yes", "yes", "no"], proba, ["no", "yes"]) == expected
    assert mistakes(["yes", "yes", "no"], proba[:, 0], ["no", "yes"]) == expected


@pytest.mark.parametrize("output", ["softmax", "logistic"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_mistakes_are_where_the_network_predicts_something_else(output, n_classes):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 4)), NAMES[rng.permutation(np.arange(60) % n_classes)]
    net = fastnn.MLP([4, 5, 1 if output == "logistic" and n_classes == 2 else n_classes], output=output)
    trainer = fastnn.Trainer(net, max_epochs=1, verbose=0)
    trainer.fit(X, y)
    found = mistakes(y, net.predict_proba(X), net.classes)
    predicted = net.predict(X)
    assert sorted(m.index for m in found) == np.flatnonzero(predicted != y).tolist() and found
    assert all((m.actual, m.predicted) == (y[m.index], predicted[m.index]) for m in found)
    scores = trainer.evaluate(X, y)
    if output == "softmax":
        whole = report(y, predicted, net.classes)
        assert (whole.accuracy, whole.f1_macro) == pytest.approx((scores["accuracy"], scores["f1_macro"]), rel=1e-14)


@pytest.mark.parametrize(
    ("proba", "words"),
    [
        (np.zeros((2, 2)), r"proba must be \(n_samples, 3\), a column for each class, got shape \(2, 2\)"),
        (np.zeros((2, 1)), r"got shape \(2, 1\)"),
        (np.zeros((3, 3)), "y_true and proba must be equally long, got 2 and 3 samples"),
        (np.array([[0, 1, 0], [0, np.nan, 1]]), r"proba must be finite, got \[0.0, nan, 1.0\] at row 1"),
    ],
)
def test_bad_probabilities_are_sentences(proba, words):
    with pytest.raises(ValueError, match=words):
        mistakes([0, 1], proba, [0, 1, 2])


def test_bad_arguments_of_mistakes_are_sentences():
    with pytest.raises(TypeError, match="proba must hold probabilities as floats, got dtype int64"):
        mistakes([0, 1], [[0, 1], [1, 0]], [0, 1])
    with pytest.raises(ValueError, match="n must be at least 0, got -1"):
        mistakes([0], [[0.1, 0.9]], [0, 1], n=-1)


def test_the_modules_are_attributes_of_the_package():
    assert fastnn.metrics.report is report
    for name, home in fastnn._MODULES.items():
        assert getattr(fastnn, name).__name__ == f"fastnn.{home}" and name in dir(fastnn)
    with pytest.raises(AttributeError, match="module 'fastnn' has no attribute 'metric'"):
        _ = fastnn.metric
