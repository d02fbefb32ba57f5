"""What is measured: trainings, predictions and whole processes, with the goals that fastnn sets itself.

A goal is a ratio to a peer in the same run ("jax": 1.7 means: 1.7 times as fast as JAX) or a limit on fastnn's own
figure; goals.py computes it. Every training has biases, momentum and a random order of the samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

# What the name of a contestant ends with that gets the samples as their files have them; the others get them scaled
BYTES = "-uint8"
# The one that forms products of wide layers on the CPU's matrix unit: it has goals of its own
MATRIX_UNIT = "fastnn-bf16x3"
TRAINERS = ("fastnn", "fastnn-uint8", "pytorch", "pytorch-compiled", "jax", "scikit-learn", "numpy")
IN_BOTH_FORMS = (*TRAINERS, "pytorch-uint8", "jax-uint8")
PREDICTORS = ("fastnn", "pytorch", "pytorch-compiled", "jax", "scikit-learn", "numpy", "onnxruntime")
# No peer: the register tile of fastnn on numbers in L1, the most that this machine can do while the others run
PEAK = "fma-peak"


@dataclass(frozen=True)
class Training:
    """Train a network on the first `n_rows` samples, `epochs` times through them; a round is one such training."""

    name: str
    sizes: tuple[int, ...]
    batch_size: int
    activation: str = "relu"
    output: str = "softmax"
    loss: str = "cross_entropy"
    rate: float = 0.05
    momentum: float = 0.9
    dtype: str = "float32"
    data: str = "mnist"
    n_rows: int = 60_000
    epochs: int = 1
    shuffle: bool = True
    contestants: tuple[str, ...] = TRAINERS
    threads: tuple[int, ...] | None = None  # None: 1, 2, 4 ... and all that there are
    goals: Mapping[str, float] = field(default_factory=dict)

    @property
    def n_samples(self) -> int:
        """Samples seen in a round."""
        return self.n_rows * self.epochs

    @property
    def operations(self) -> int:
        """Floating-point operations of a sample: 6 a weight, less the deltas that the first layer does not need."""
        layers = [i * o for i, o in pairwise(self.sizes)]
        return 6 * sum(layers) - 2 * layers[0]


@dataclass(frozen=True)
class Prediction:
    """Probabilities of `n_rows` samples at a time; a round is `calls` calls."""

    name: str
    sizes: tuple[int, ...]
    n_rows: int
    calls: int
    activation: str = "relu"
    output: str = "softmax"
    dtype: str = "float32"
    data: str = "mnist"
    contestants: tuple[str, ...] = PREDICTORS
    threads: tuple[int, ...] | None = None
    goals: Mapping[str, float] = field(default_factory=dict)

    @property
    def n_samples(self) -> int:
        """Samples seen in a round."""
        return self.n_rows * self.calls


@dataclass(frozen=True)
class Processes:
    """Whole processes, started and timed from outside; `unit` is "s" or "MB", less is better.

    Each contestant is a command line for Python. Its last line of output may be a JSON object of figures by name, which
    then count instead of the seconds that the process took.
    """

    name: str
    title: str
    commands: Mapping[str, tuple[str, ...]]
    base: str
    unit: str = "s"
    cold: tuple[str, ...] = ()  # those with an empty cache of compiled kernels
    goals: Mapping[str, float] = field(default_factory=dict)

    @property
    def contestants(self) -> tuple[str, ...]:
        """Names of the commands."""
        return tuple(self.commands)


Job = Training | Prediction | Processes

_MODULE = "peers.programs."
_FIRST_FIT = ("-m", _MODULE + "first_fit")
_MEMORY = ("-m", _MODULE + "memory")
_RACE = ("-m", _MODULE + "race")

JOBS: tuple[Job, ...] = (
    Training(
        "784-30-10", (784, 30, 10), 10, "logistic", rate=0.02,
        contestants=IN_BOTH_FORMS, goals={"pytorch": 20, "jax": 6},
    ),
    Training(
        "784-256-64-10/32", (784, 256, 64, 10), 32, rate=0.01,
        contestants=IN_BOTH_FORMS, goals={"pytorch": 6, "jax": 2.2},
    ),
    Training(
        "784-256-64-10/128", (784, 256, 64, 10), 128,
        contestants=IN_BOTH_FORMS, goals={"pytorch": 3.7, "jax": 1.7},
    ),
    Training(
        "784-1024-1024-10", (784, 1024, 1024, 10), 128, n_rows=30_720,
        contestants=(*TRAINERS, MATRIX_UNIT, PEAK),
        goals={"pytorch": 3, "jax": 1.4, "share of the peak": 0.8, "two threads": 1.85},
    ),
    Training(
        "784-2048-2048-10", (784, 2048, 2048, 10), 256, n_rows=15_360,
        contestants=(*TRAINERS, MATRIX_UNIT, PEAK),
        goals={"pytorch": 3, "jax": 1.4, "share of the peak": 0.8},
    ),
    Training(
        "784-100-10", (784, 100, 10), 8, "logistic", rate=0.02, contestants=(*TRAINERS, PEAK), threads=(1,),
        goals={"samples/s at a peak of 268 GF/s": 350_000},
    ),
    Training(
        "64-16-12-10", (64, 16, 12, 10), 1, "logistic", "logistic", "mse", rate=0.1, momentum=0.0, data="digits",
        n_rows=1_347, epochs=5, contestants=("fastnn", "numpy"), goals={"numpy": 150},
    ),
    Training(
        "784-5-10", (784, 5, 10), 60_000, "logistic", rate=0.5, dtype="float64", epochs=5, shuffle=False,
        contestants=("fastnn", "fastnn-uint8", "pytorch", "pytorch-uint8", "jax", "jax-uint8", "numpy"),
        goals={"numpy": 8},
    ),
    Prediction(
        "one-row", (784, 128, 64, 10), 1, 2_000, contestants=("fastnn", "fastnn-unchecked", *PREDICTORS[1:]),
        goals={"microseconds": 20, "microseconds unchecked": 6},
    ),
    Prediction(
        "10000-rows", (784, 256, 64, 10), 10_000, 20,
        contestants=(*PREDICTORS, "fastnn-uint8", "pytorch-uint8", "jax-uint8", "onnxruntime-uint8"),
        goals={"pytorch": 2, "onnxruntime": 2},
    ),
    Processes(
        "start", "whole process: a first fit of 784-256-64-10, and imports",
        {
            "fastnn, first fit from the cache": (*_FIRST_FIT, "fastnn"),
            "fastnn, first fit on a new machine": (*_FIRST_FIT, "fastnn"),
            "pytorch, first fit": (*_FIRST_FIT, "pytorch"),
            "pytorch-compiled, first fit on a new machine": (*_FIRST_FIT, "pytorch-compiled"),
            "jax, first fit": (*_FIRST_FIT, "jax"),
            "scikit-learn, first fit": (*_FIRST_FIT, "scikit-learn"),
            "import fastnn": ("-c", "from fastnn import Trainer"),
            "import numba": ("-c", "import numba"),
            "import torch": ("-c", "import torch"),
            "import jax": ("-c", "import jax"),
        },
        base="fastnn, first fit from the cache",
        cold=("fastnn, first fit on a new machine", "pytorch-compiled, first fit on a new machine"),
        goals={"seconds on a new machine": 8, "seconds from the cache": 0.4, "import over numba": 0.15},
    ),
    Processes(
        "memory", "peak memory of a process that trains 784-256-64-10 on 60,000 rows",
        {name: (*_MEMORY, name) for name in ("fastnn-uint8", *TRAINERS[2:])},
        base="fastnn-uint8", unit="MB", goals={"megabytes": 47 + 150},
    ),
    Processes(
        "race", "whole process: MNIST from its files to 98% of the test set",
        {"fastnn": (*_RACE, "fastnn"), "pytorch": (*_RACE, "pytorch"), "import torch": ("-c", "import torch")},
        base="fastnn", goals={"import torch": 1},
    ),
    Processes(
        "folds", "10-fold cross-validation, one network a core",
        {"folds": ("-m", _MODULE + "folds")},
        base="in parallel", goals={"two cores": 1.85},
    ),
)  # fmt: skip


def quick(job: Job) -> Job:
    """The same job, small enough for a smoke test: its figures mean nothing, so there are no goals."""
    if isinstance(job, Processes):
        drop = ("pytorch", "jax", "scikit-learn", "import jax")
        commands = {name: command for name, command in job.commands.items() if not name.startswith(drop)}
        small = {name: (*command, "--quick") if command[0] == "-m" else command for name, command in commands.items()}
        return replace(job, commands=small, goals={})
    # These take most of the time, so each of them takes part once
    once = {"pytorch-compiled": "784-256-64-10/128", PEAK: "784-100-10"}
    kept = tuple(c for c in job.contestants if once.get(c, job.name) == job.name)
    small_job = replace(job, contestants=kept, threads=(1,), goals={})
    if isinstance(small_job, Prediction):
        return replace(small_job, n_rows=min(job.n_rows, 1_000), calls=2)
    n_rows = 300 if small_job.batch_size < 128 else 384
    return replace(small_job, n_rows=n_rows, batch_size=min(small_job.batch_size, n_rows), epochs=1)
