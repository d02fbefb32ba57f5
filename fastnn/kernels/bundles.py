"""FLOOR 2: what kernels are given: a few bundles of arrays, and the words of the level table.

Level 0 are the inputs, level L the outputs; the layer of level l leads from level l - 1 to level l.
`rows` holds three matrices a level (row = sample of the current row block, LD numbers apart):
    acts    activations after dropout, and a one in column UNITS, the input of the biases
    held    what slopes are computed from: activations before dropout, or pre-activations; logits at level L
    deltas  d(loss)/d(pre-activations); the padding up to WIDTH is zero. Rows are D_ROW apart, the columns of a panel
            and of the next D_PANEL: in wide levels (see wide.py) panels follow one another, elsewhere rows are whole
The words of a level: UNITS; WIDTH, UNITS padded to whole units of 64 bytes; LD; where its matrices begin in `rows`:
ACTS, HELD (= ACTS unless slopes need numbers of their own), DELTAS; D_ROW, D_PANEL; the code of its ACTIVATION; DROP,
the 32-bit threshold of dropout (0: none); PARAMS, where the panels of its layer begin in `params`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastnn.simd.target import ANY_ROWS

UNITS, WIDTH, LD, ACTS, HELD, DELTAS, D_ROW, D_PANEL, ACTIVATION, DROP, PARAMS = range(11)
LEVEL_WORDS = 11

# Samples of a strip are taken through all layers together: their activations stay in L2
STRIP = 64
# Hidden levels of so many units are wide (see wide.py)
WIDE = 384
# Parts of the inputs that the sums of a first layer may be made of (see quarters.py)
QUARTERS = 4
# Lists of terms that a rank keeps at a time
LISTS = 16
# Samples of a group, and numbers that a rank needs to choose them (see alike.py)
GROUP = ANY_ROWS
ALIKE = 384
# Lists pay if they leave out one input in so many. In MNIST 61% of the inputs are zero in a whole tile of four samples.
# An epoch of 784-256-10 took 0.5 of the time where 66% of them are, 0.9 at 32%, 0.95 at 24%, and 1.1 at 13%
IDLE_PART = 4


def drop_threshold(p: float) -> int:
    """The word DROP for dropping with probability p in [0, 1)."""
    return min(round(p * 2**32), 2**32 - 1)


def padded_words(n: int) -> int:
    """Words of a row of `Work.nonzero` for n inputs: whole vectors of 16."""
    return (n + 15) // 16 * 16


class Net(NamedTuple):
    """The network: the level table and the numbers that are trained."""

    levels: np.ndarray  # int64 (L + 1, LEVEL_WORDS)
    keep: np.ndarray  # real (L + 1,): 1 / (1 - dropout) of each level
    params: np.ndarray  # real, flat: the panels of all layers
    slots: np.ndarray  # real, flat: velocities, in the order of params; empty without


class Rule(NamedTuple):
    """What is minimised, and how."""

    output: int  # ops.codes.OUTPUTS
    head: int  # ops.codes.HEADS
    update: int  # ops.codes.RULES
    momentum: np.floating
    l1: np.floating
    l2: np.floating
    max_norm: np.floating  # 0: none


class Block(NamedTuple):
    """The row block that an update is made from."""

    m: int  # its samples
    first: bool  # whether it is the first one of its mini-batch
    last: bool  # and the last: then the weights are updated
    rate: np.floating  # learning rate
    spare: int  # where in `private` there is room for a tile


class Ahead(NamedTuple):
    """Samples of the next row block that a rank asks for, a few bytes with every tile that it updates.

    All at once they fill the cache's queue: 784-30-10 at 10 took 1.17 times as long on float32 samples.
    """

    place: int  # of the first one in the order
    m: int  # samples; 0: none
    origin: int  # the input with whose tile their first bytes are asked for
    step: int  # bytes that go with an input


class Samples(NamedTuple):
    """Inputs as they are: one compiled program reads every type and layout; and their targets."""

    X: np.ndarray  # (n, features), of one of SOURCE_TYPES
    kind: int  # which one
    scale: np.ndarray  # real (features,): input = (value - offset) * scale
    offset: np.ndarray  # real (features,)
    labels: np.ndarray  # int32 (n,): index of the class; or empty
    targets: np.ndarray  # real, flat (n * outputs,): or empty
    weights: np.ndarray  # real (n,): sample weights; or empty


SOURCE_TYPES = {np.dtype(name): kind for kind, name in enumerate(("uint8", "float32", "float64"))}  # native ones
BYTES = SOURCE_TYPES[np.dtype("uint8")]


class Work(NamedTuple):
    """Scratch memory, planned once."""

    rows: np.ndarray  # real, flat: acts, held and deltas of all levels
    private: np.ndarray  # real, flat: `private_size` numbers a rank
    private_size: int
    flipped: int  # numbers in each of the two transposed-delta buffers at the start of a rank's part
    block_ld: int  # row distance of the square block that follows them
    gradients: np.ndarray  # real, flat like params: for mini-batches of several row blocks, and for narrow.py
    losses: np.ndarray  # float64: loss of each row of the row block, times its weight
    every: np.ndarray  # int64: 0, 1, 2 ..., the terms of a sum that has them all
    copy_rows: int  # rows of the acts of level 0 that belong to a rank, if the first layer goes by units; else 0
    by_inputs: bool  # whether it goes by inputs (see quarters.py)
    parts: np.ndarray  # int64: where the inputs begin that its sums are made over, and their end; quarters, or one part
    own_parts: tuple[int, int]  # those that a rank sums over: all of them unless it goes by inputs
    quarters: np.ndarray  # real, flat: the sums over quarters; empty: the inputs are one part
    quarter_size: int  # numbers of them a quarter
    nonzero: np.ndarray  # int32, flat: which inputs are zero (see sparse.py); empty: all count
    nonzero_part: int  # words of it that belong to a rank; in the last row it puts those of all ranks together
    lists: np.ndarray  # int64, flat: LISTS lists of terms a rank
    list_size: int  # places of a list
    alike: np.ndarray  # int64, flat: ALIKE numbers a rank, to choose groups of samples (see alike.py); or empty
    groups: np.ndarray  # int64, flat: STRIP rows a rank, those of each group; or empty
    bytes: np.ndarray | None  # uint8, flat: the row block, if narrow.py has the first layer (a program apart)
    triples: np.ndarray | None  # uint16, flat: `triples_size` a rank, if triples.py has wide layers (a program apart)
    triples_size: int
    order: np.ndarray  # int32 (n,): the samples of the epoch in the order of their use; empty: as they come
