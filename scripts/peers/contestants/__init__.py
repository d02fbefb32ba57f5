"""One file a library. Each offers what it can of two classes, which worker.py finds by their names:

    Trains(job, n_threads)      .begin(samples, parameters) .run() .parameters()
    Predicts(job, n_threads)    .begin(X, parameters) .run() -> outputs

`begin` takes the first parameters and prepares all that a user would prepare once; it is not timed. `run` is: the whole
training, all epochs in the given order, or one call. It returns when the work is done. Importing a file imports its
library, and fails with ImportError where that is missing.
"""

from __future__ import annotations

from typing import NamedTuple


class Contestant(NamedTuple):
    """Where to find a contestant."""

    module: str
    package: str  # what pip calls it, for its version
    trains: str = "Trains"
    predicts: str = "Predicts"
    pixels: bool = False  # wants uint8


CONTESTANTS = {
    "fastnn": Contestant("with_fastnn", "fastnn"),
    "fastnn-uint8": Contestant("with_fastnn", "fastnn", pixels=True),
    "fastnn-bf16x3": Contestant("with_fastnn", "fastnn", trains="TrainsOnMatrixUnit"),
    "fastnn-unchecked": Contestant("with_fastnn", "fastnn", predicts="PredictsUnchecked"),
    "fma-peak": Contestant("with_fastnn", "fastnn", trains="Peak"),
    "pytorch": Contestant("with_pytorch", "torch"),
    "pytorch-compiled": Contestant("with_pytorch", "torch", "TrainsCompiled", "PredictsCompiled"),
    "pytorch-uint8": Contestant("with_pytorch", "torch", pixels=True),
    "jax": Contestant("with_jax", "jax"),
    "jax-uint8": Contestant("with_jax", "jax", pixels=True),
    "scikit-learn": Contestant("with_sklearn", "scikit-learn"),
    "numpy": Contestant("with_numpy", "numpy"),
    "onnxruntime": Contestant("with_onnxruntime", "onnxruntime"),
    "onnxruntime-uint8": Contestant("with_onnxruntime", "onnxruntime", pixels=True),
}
