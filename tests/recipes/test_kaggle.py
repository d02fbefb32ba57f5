"""Kaggle's files, or MNIST in their form; the recipe that classifies what has no labels."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from fastnn import datasets, recipes, runs
from fastnn.recipes import kaggle
from fastnn.recipes.kaggle import competition_csv, load_competition, submission
from fastnn.recipes.result import Options


@pytest.fixture
def silent(tmp_path):
    return Options(quick=True, say=lambda line: None, folder=tmp_path)


@pytest.fixture
def small() -> recipes.Recipe:
    """bigsnarf-15 with so few rows and epochs that it takes a second."""
    recipe = recipes.load("bigsnarf-15")
    changes = {"data": {"rows": 2000, "unlabelled_rows": 50}, "training": {"max_epochs": 4}}
    return replace(recipe, quick={**changes, "settings": {"timed_rows": 100}})


@pytest.fixture
def without_kaggle(monkeypatch):
    """Kaggle's files are not at hand, whatever FASTNN_DATA has."""
    monkeypatch.setattr(kaggle, "FOLDER", "files of nobody")


def test_the_form_of_the_files():
    X = np.array([[0, 255, 10], [1, 2, 3]], np.uint8)
    assert competition_csv(X, np.array([7, 0])) == b"label,pixel0,pixel1,pixel2\n7,0,255,10\n0,1,2,3\n"
    assert competition_csv(X[1:]) == b"pixel0,pixel1,pixel2\n1,2,3\n"
    assert submission([3, 1]) == [{"ImageId": 1, "Label": 3}, {"ImageId": 2, "Label": 1}]


def test_mnist_stands_in_and_every_image_is_where_the_note_says(small, silent, tmp_path, without_kaggle):
    said = []
    options = replace(silent, say=said.append)
    found = load_competition(small.quickened(), options)
    mnist = datasets.load("mnist")
    assert (len(found.data.X), len(found.data.X_test)) == (1800, 200)
    rows = sorted(map(bytes, [*found.data.X, *found.data.X_test]))
    assert rows == sorted(map(bytes, mnist.X[:2000]))
    assert np.array_equal(found.X_unlabelled, mnist.X[42000:42050])
    assert np.array_equal(found.y_unlabelled, mnist.y[42000:42050])
    assert found.data.image_shape == (28, 28)
    assert said == [found.note]
    assert "MNIST was written in their form: the first 2,000 training images" in found.note
    assert (tmp_path / kaggle.FOLDER / "train.csv").read_text().startswith("label,pixel0,pixel1,")
    assert (tmp_path / kaggle.FOLDER / "test.csv").read_text().startswith("pixel0,pixel1,")


def test_an_interruption_before_the_first_file_leaves_no_folder(small, silent, tmp_path, monkeypatch, without_kaggle):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(kaggle, "competition_csv", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_competition(small.quickened(), silent)
    assert list(tmp_path.iterdir()) == []


def test_the_last_images_without_labels_are_those_of_mnists_test_part(small, silent, without_kaggle):
    data = {**small.data, "rows": 1000, "test_fraction": 0.5, "unlabelled_rows": 18001}
    found = load_competition(replace(small, data=data), replace(silent, folder=None))
    mnist = datasets.load("mnist")
    assert np.array_equal(found.X_unlabelled[-2:], [mnist.X[-1], mnist.X_test[0]])
    assert found.y_unlabelled[-2:].tolist() == [mnist.y[-1], mnist.y_test[0]]


def test_kaggles_own_files_are_taken_where_they_are(small, silent, tmp_path, monkeypatch):
    there, X = tmp_path / "data/kaggle", np.arange(64 * 784, dtype=np.uint8).reshape(64, 784)
    there.mkdir(parents=True)
    (there / "train.csv").write_bytes(competition_csv(X[:60], np.arange(60) % 3))
    (there / "test.csv").write_bytes(competition_csv(X[60:]))
    monkeypatch.setenv("FASTNN_DATA", str(there.parent))
    found = load_competition(small.quickened(), silent)
    assert found.note == f"The data is Kaggle's, from {there}."
    assert (len(found.data.X), len(found.data.X_test)) == (54, 6)
    assert np.array_equal(found.X_unlabelled, X[60:]) and found.y_unlabelled is None
    assert not (tmp_path / "kaggle").exists()


def test_a_missing_second_file_is_a_sentence(small, silent, tmp_path, monkeypatch):
    (tmp_path / "kaggle").mkdir()
    (tmp_path / "kaggle/train.csv").write_bytes(competition_csv(np.zeros((60, 784), np.uint8), np.arange(60) % 3))
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path))
    with pytest.raises(datasets.DataError, match=r"test\.csv"):
        load_competition(small.quickened(), silent)


@pytest.mark.slow
def test_bigsnarf_scores_every_epoch_and_writes_the_submission(small, silent, tmp_path, without_kaggle):
    said = []
    done = recipes.reproduce(small, replace(silent, say=said.append))
    result = done.result
    assert result.history["val_accuracy"][-1] == result.figures["test accuracy"] > 0.7
    assert sum("test accuracy" in line for line in said) == 4
    assert any("50 images" in note for note in result.notes)
    recipes.write(done, tmp_path)
    with (tmp_path / "submission.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["ImageId", "Label"]
    assert [int(row[0]) for row in rows] == list(range(1, 51))
    X, y = datasets.load("mnist").X[42000:42050], datasets.load("mnist").y[42000:42050]
    labels = [int(row[1]) for row in rows]
    assert labels == runs.Run(tmp_path).net.predict(X).tolist()
    assert result.figures["submission accuracy"] == np.mean(labels == y)
    assert {"rows.png", "submission.png", "learning_curves.png"} <= {p.name for p in (tmp_path / "pictures").iterdir()}
