"""FLOOR 4: the method of bigsnarf-15: train on Kaggle's labelled digits, classify the others for the competition."""

from __future__ import annotations

from fastnn import plots
from fastnn.recipes.kaggle import load_competition, submission
from fastnn.recipes.recipe import Recipe
from fastnn.recipes.result import Options, Result
from fastnn.recipes.standard import train

SHOWN = 25  # images in a picture


def run(recipe: Recipe, options: Options) -> Result:
    """Train with the test accuracy after every epoch; write submission.csv; draw rows as images."""
    competition = load_competition(recipe, options)
    data, X = competition.data, competition.X_unlabelled
    assert X is not None
    result = train(recipe, options, data)
    net = result.net
    assert net is not None
    predicted = net.predict(X)
    result.logs["submission"] = submission(predicted.tolist())
    sent = f"submission.csv has the labels of {len(X):,} images, those of the file without labels"
    if (known := competition.y_unlabelled) is not None:
        result.figures["submission accuracy"] = float((predicted == known).mean())
        sent += f"; the competition would score {result.figures['submission accuracy']:.2%}"
    result.notes += [competition.note, f"{sent}."]
    titles = [str(label) for label in data.y[:SHOWN]]
    result.pictures["rows"] = lambda: plots.images(data.X[:SHOWN], data.image_shape, titles)
    result.pictures["submission"] = lambda: plots.predictions(
        X[:SHOWN], None if known is None else known[:SHOWN], predicted[:SHOWN], data.image_shape
    )
    return result
