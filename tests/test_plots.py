"""Pictures: what is drawn on the Axes, where, and that nothing else is touched. The files are PNG."""

from __future__ import annotations

import string
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest

import fastnn
from fastnn import plots
from fastnn.metrics import Mistake, report

matplotlib.use("Agg")
PNG = b"\x89PNG\r\n\x1a\n"
LETTERS = np.array(list(string.ascii_uppercase))


def new_axes(n: int):
    return matplotlib.figure.Figure().subplots(1, n, squeeze=False)[0]


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def tick_labels(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def overlaps(boxes) -> bool:
    """Whether any two boxes share an area."""
    boxes = [box.shrunk(0.99, 0.99) for box in boxes]
    return any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def extents(artists):
    """Boxes of artists in pixels, after a drawing."""
    artists = list(artists)
    figure = artists[0].figure
    figure.draw_without_rendering()
    return [artist.get_window_extent() for artist in artists]


def some_epochs(n: int = 5):
    return [
        {"epoch": i + 1, "train_loss": 1 / (i + 1), "val_loss": abs(i - 2) + 0.5, "val_accuracy": 0.9 + 0.01 * (i % 4)}
        for i in range(n)
    ]


def test_class_histogram_counts_and_names_the_classes():
    ax = plots.class_histogram(np.array(["b", "a", "b", "c", "b"]))
    assert [bar.get_height() for bar in ax.patches] == [1, 3, 1]
    assert tick_labels(ax.xaxis) == ["a", "b", "c"]
    assert texts(ax) == ["1", "3", "1"]
    assert ax.get_title() == "5 samples of 3 classes"


@pytest.mark.parametrize(
    "names",
    [LETTERS, np.arange(10), np.arange(100), [f"a long name {c}" for c in LETTERS], ["one"]],
    ids=["letters", "digits", "hundred", "long_names", "one"],
)
def test_the_words_of_a_histogram_do_not_run_into_each_other(names):
    ax = plots.class_histogram(np.repeat(names, 5 + np.arange(len(names)) * 700))
    assert not overlaps(extents(ax.get_xticklabels()))
    if ax.texts:
        boxes = extents([*ax.texts, ax.title])
        assert not overlaps(boxes) and all(box.y1 <= ax.bbox.y1 for box in boxes[:-1])


def test_learning_curves_mark_the_best_epoch():
    loss, accuracy = plots.learning_curves(some_epochs())
    lines = {line.get_label(): line for line in loss.lines}
    assert list(lines["training"].get_xdata()) == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(lines["training"].get_ydata(), [1 / i for i in range(1, 6)])
    assert list(lines["validation"].get_ydata()) == [2.5, 1.5, 0.5, 1.5, 2.5]
    assert "best: epoch 3, 0.5" in lines
    assert "best: epoch 4, 93.00%" in {line.get_label() for line in accuracy.lines}
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == ("loss", "accuracy")


def test_learning_curves_call_the_watched_part_by_its_name():
    for ax in plots.learning_curves(some_epochs(), watched="test"):
        labels = [line.get_label() for line in ax.lines]
        assert "test" in labels and "validation" not in labels


def test_learning_curves_of_a_history_without_validation_or_with_gaps():
    history = fastnn.History()
    for row in ({"epoch": 1, "train_loss": float("nan")}, {"epoch": 2, "train_loss": 3.0}):
        history.append(row)
    (ax,) = plots.learning_curves(history)
    assert "best: epoch 2, 3" in {line.get_label() for line in ax.lines}
    (ax,) = plots.learning_curves([{"train_loss": 2.0}, {}, {"train_loss": 1.0}])
    assert "best: epoch 3, 1" in {line.get_label() for line in ax.lines}
    (ax,) = plots.learning_curves([{"epoch": 1, "val_loss": float("nan")}])
    assert {line.get_label() for line in ax.lines} == {"validation"}


@pytest.mark.parametrize("epochs", [[], [{"epoch": 1}], fastnn.History()])
def test_nothing_to_draw_is_a_sentence(epochs):
    with pytest.raises(ValueError, match="has no train_loss, val_loss, train_accuracy or val_accuracy to draw"):
        plots.learning_curves(epochs)


def test_a_confusion_matrix_shows_counts_and_labels():
    found = report([0, 0, 0, 2, 2], [0, 0, 2, 2, 2], range(3))
    ax = plots.confusion_matrix(found)
    assert texts(ax) == ["2", "", "1", "", "", "", "", "", "2"]
    assert tick_labels(ax.xaxis) == tick_labels(ax.yaxis) == ["0", "1", "2"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "actual")
    assert ax.get_title() == "accuracy 80.00% of 5 samples"
    np.testing.assert_allclose(ax.images[0].get_array() ** 2, [[2 / 3, 0, 1 / 3], [0, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize("names", [LETTERS, np.arange(10), [f"long name {c}" for c in LETTERS]])
def test_the_words_of_a_confusion_matrix_do_not_run_into_each_other(names):
    rng = np.random.default_rng(0)
    y = rng.choice(names, 99_999)
    ax = plots.confusion_matrix(report(y, np.where(rng.random(len(y)) < 0.8, y, rng.choice(names, len(y)))))
    n = len(names)
    assert not overlaps(extents(ax.texts[: 3 * n]))
    assert not overlaps(extents(ax.get_xticklabels())) and not overlaps(extents(ax.get_yticklabels()))


def test_a_matrix_of_many_classes_has_no_numbers():
    y = np.arange(60)
    assert list(plots.confusion_matrix(report(y, y)).texts) == []


def test_costs_and_points_to_compare_with():
    ax = plots.costs([0, 10, 20], {"training": [3, 2, 1], "validation": [3, 2.5, 2]}, marks={"published": ([10], [2])})
    assert [line.get_label() for line in ax.lines] == ["training", "validation", "published"]
    assert list(ax.lines[1].get_ydata()) == [3, 2.5, 2]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["training", "validation", "published"]
    with pytest.raises(ValueError, match=r"values\['training'\] must have shape \(3,\) as iterations has, got \(2,\)"):
        plots.costs([0, 1, 2], {"training": [3, 2]})
    with pytest.raises(ValueError, match="at least one line of costs"):
        plots.costs([0, 1, 2], {})


def test_images_are_the_rows_on_one_scale():
    X = np.arange(24, dtype=np.uint8).reshape(4, 6)
    drawn = plots.images(X, (2, 3), titles=list("abcd"))
    assert [ax.get_title() for ax in drawn] == list("abcd")
    for ax, row in zip(drawn, X, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), row.reshape(2, 3))
        assert ax.images[0].get_clim() == (0, 23)


def test_images_with_channels_and_of_one_value():
    X = np.linspace(-2, 3, 24).reshape(2, 12)
    (first, last) = plots.images(X, (2, 2, 3))
    assert first.images[0].get_array().shape == (2, 2, 3)
    assert first.images[0].get_array().min() == 0 and last.images[0].get_array().max() == 1
    (ax,) = plots.images(np.zeros((1, 4)), [2, 2, 1])
    assert ax.images[0].get_array().shape == (2, 2)


@pytest.mark.parametrize(
    ("X", "shape", "words"),
    [
        (np.zeros((2, 6)), (2, 2), r"image_shape \(2, 2\) has 4 pixels, but X has 6 features"),
        (np.zeros((2, 6)), (6,), r"image_shape must be \(height, width\), or with 1 or 3 channels behind, got \(6,\)"),
        (np.zeros((2, 8)), (2, 2, 2), "or with 1 or 3 channels"),
        (np.zeros((0, 4)), (2, 2), "at least one sample"),
        (np.zeros(4), (2, 2), "at least one sample"),
    ],
)
def test_images_of_another_shape_are_a_sentence(X, shape, words):
    with pytest.raises(ValueError, match=words):
        plots.images(X, shape)


def test_other_numbers_of_titles_or_axes_are_a_sentence():
    with pytest.raises(ValueError, match="titles must be one for each image, got 1 for 2 images"):
        plots.images(np.zeros((2, 4)), (2, 2), ["one"])
    with pytest.raises(ValueError, match="axes must be at least 2, got 1"):
        plots.images(np.zeros((2, 4)), (2, 2), axes=new_axes(1))


def test_mistakes_are_drawn_in_their_order_with_both_labels():
    X = np.arange(16.0).reshape(4, 4)
    found = [Mistake(2, "cat", "dog", 0.987), Mistake(0, "dog", "cat", 0.6), Mistake(1, "dog", "cat", 0.5)]
    drawn = plots.mistakes(X, found, (2, 2), n=2)
    assert [ax.get_title() for ax in drawn] == [
        "actual cat\npredicted dog (98.7%)",
        "actual dog\npredicted cat (60.0%)",
    ]
    np.testing.assert_array_equal(drawn[0].images[0].get_array(), X[2].reshape(2, 2))
    (ax,) = plots.mistakes(X, [], (2, 2))
    assert texts(ax) == ["no mistakes"]


@pytest.mark.parametrize("label", ["7", "versicolor", "a very long name of a class"])
@pytest.mark.parametrize("n", [1, 10, 25])
def test_the_titles_of_a_gallery_do_not_run_into_each_other(label, n):
    drawn = plots.mistakes(np.eye(784)[:n], [Mistake(i, label, label, 1.0) for i in range(n)], (28, 28))
    titles = [ax.title for ax in drawn]
    boxes = extents(titles)
    assert not overlaps(boxes + [ax.bbox for ax in drawn])
    assert all(drawn[0].figure.bbox.x0 <= box.x0 and box.x1 <= drawn[0].figure.bbox.x1 for box in boxes)


def test_predictions_tell_the_wrong_ones():
    drawn = plots.predictions(np.eye(4)[:3], [1, 2, 3], [1, 5, 3], (2, 2))
    assert [ax.get_title() for ax in drawn] == ["1", "5, not 2", "3"]
    assert [ax.title.get_color() == plots.figures.WRONG for ax in drawn] == [False, True, False]
    assert [ax.get_title() for ax in plots.predictions(np.eye(4)[:1], None, ["a"], (2, 2))] == ["a"]
    with pytest.raises(ValueError, match="equally long, got 2, 1 and 2 samples"):
        plots.predictions(np.eye(4)[:2], [1], [1, 2], (2, 2))


def test_first_layer_weights_are_the_columns_of_the_matrix():
    net = fastnn.MLP([6, 5, 2])
    drawn = plots.first_layer_weights(net, (2, 3), n=4)
    assert [ax.get_title() for ax in drawn] == ["0", "1", "2", "3"]
    np.testing.assert_array_equal(drawn[3].images[0].get_array(), net.weights[0][:, 3].reshape(2, 3))
    low, high = drawn[0].images[0].get_clim()
    assert low == -high < 0
    assert len(drawn[0].figure.axes) == 4 + 2 - 1 or drawn[0].figure.axes[-1].get_ylabel() == "weight"


def test_units_that_are_outputs_have_the_names_of_classes():
    net = fastnn.MLP([4, 3], init=[np.zeros((4, 3))])
    net.classes = ["x", "y", "z"]
    assert [ax.get_title() for ax in plots.first_layer_weights(net, (2, 2))] == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("draw", "n"),
    [
        (lambda axes: plots.class_histogram([1, 2], ax=axes[0]), 1),
        (lambda axes: plots.confusion_matrix(report([1, 2], [1, 2]), ax=axes[0]), 1),
        (lambda axes: plots.costs([1, 2], {"a": [1, 2]}, ax=axes[0]), 1),
        (lambda axes: plots.learning_curves(some_epochs(), axes=axes), 2),
        (lambda axes: plots.learning_curves(some_epochs(1)[:1], axes=axes), 2),
        (lambda axes: plots.images(np.eye(4)[:2], (2, 2), axes=axes), 2),
        (lambda axes: plots.mistakes(np.eye(4), [Mistake(0, 1, 2, 0.5)], (2, 2), axes=axes), 1),
        (lambda axes: plots.mistakes(np.eye(4), [], (2, 2), axes=axes), 1),
        (lambda axes: plots.predictions(np.eye(4)[:2], None, [1, 2], (2, 2), axes=axes), 2),
        (lambda axes: plots.first_layer_weights(fastnn.MLP([4, 2]), (2, 2), axes=axes), 2),
    ],
)
def test_pictures_go_on_the_axes_that_are_given(draw, n):
    axes = new_axes(3)
    drawn = np.ravel(draw(axes))
    assert list(drawn) == list(axes[:n])
    assert axes[0].figure.axes == list(axes)  # no scale beside them


def test_pyplot_knows_nothing_of_our_figures(tmp_path):
    before = matplotlib.pyplot.get_fignums(), dict(matplotlib.rcParams), matplotlib.get_backend()
    plots.save(plots.confusion_matrix(report([1, 2], [1, 2])), tmp_path / "a.png")
    plots.save(plots.first_layer_weights(fastnn.MLP([4, 2]), (2, 2)), tmp_path / "b.png")
    assert (matplotlib.pyplot.get_fignums(), dict(matplotlib.rcParams), matplotlib.get_backend()) == before


def test_save_writes_the_same_bytes_for_the_same_picture(tmp_path):
    for i in range(2):
        path = plots.save(plots.learning_curves(some_epochs()), tmp_path / f"{i}.png")
        assert path == tmp_path / f"{i}.png"
    first = (tmp_path / "0.png").read_bytes()
    assert first.startswith(PNG) and first == (tmp_path / "1.png").read_bytes()
    ax = plots.class_histogram([1, 2])
    for thing, name in ((ax, "none"), (ax.figure, "b.PNG"), ([ax], "c.png")):
        assert plots.save(thing, str(tmp_path / name)).read_bytes().startswith(PNG)
    assert b"<svg" in plots.save(ax, tmp_path / "d.svg").read_bytes()


def test_a_picture_that_cannot_be_saved_is_a_sentence(tmp_path):
    ax = plots.class_histogram([1, 2])
    with pytest.raises(ValueError, match="gift"):
        plots.save(ax, tmp_path / "a.gift")
    with pytest.raises(OSError, match=r"a\.png"):
        plots.save(ax, tmp_path / "no" / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_there_is_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pictures need matplotlib: pip install 'fastnn\[plot\]'"):
        plots.class_histogram([1, 2])


def test_the_package_of_pictures_does_not_import_matplotlib():
    program = "import sys, fastnn; fastnn.plots; fastnn.metrics; print({'matplotlib', 'sklearn'} & set(sys.modules))"
    root = Path(fastnn.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
