"""FLOOR 4: pictures of data, trainings and mistakes.

Functions draw on the Axes they are given, or on a new Figure, and return Axes; `save` writes a file. None shows
anything or changes pyplot's state: they work without a screen. They need matplotlib: pip install 'fastnn[plot]'.
"""

from fastnn.plots.charts import class_histogram, confusion_matrix, costs, learning_curves
from fastnn.plots.figures import save
from fastnn.plots.galleries import first_layer_weights, images, mistakes, predictions

__all__ = [
    "class_histogram",
    "confusion_matrix",
    "costs",
    "first_layer_weights",
    "images",
    "learning_curves",
    "mistakes",
    "predictions",
    "save",
]
