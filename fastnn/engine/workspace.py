"""FLOOR 3: the plan of a run: the level table, the scratch memory and the rule, made once and handed to kernels.

All of it depends on shapes, choices and the number of ranks; the trained bits do not depend on the latter.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from fastnn.engine.parameters import aligned_zeros
from fastnn.engine.replicas import Replicas
from fastnn.kernels import bundles, panels
from fastnn.kernels.bundles import LISTS, QUARTERS, STRIP, Net, Rule, Work
from fastnn.ops.codes import ACTIVATIONS, NEEDS_Z, OUTPUTS, RULES, SLOTS
from fastnn.simd import target
from fastnn.simd.target import LIST_SLACK, SIDE, STEP, WORD_BITS

if TYPE_CHECKING:
    from fastnn.engine.network import MLP

# Mini-batches above this many samples are worked through in row blocks: memory stays constant
ROW_BLOCK = 512
# The same of a rank where samples stay bytes (see kernels.narrow): then a column of them and the deltas stay in L1
BYTE_BLOCK = 256
# They do in mini-batches of so many. An epoch of 784-5-10 in float64, one thread, took 0.66 of the time at 32, 0.5 at
# 1024; of 784-16-10 in float32 0.93 and 0.86. At 16 two threads took longer
BYTES_PAY = 32
# First layers of so many inputs have sums in quarters, if they are narrow
QUARTERED_INPUTS = 384
# Going by inputs pays up to so many samples in a mini-batch, and so many products of samples and later weights for each
# first weight. An epoch on two ranks took, of the better of one rank and two by rows or by units: 784-30-10 at 10 0.70,
# at 256 0.86; 784-64-32-10 at 1 0.64, at 128 (6.0 products) 0.89, at 256 1.0; 784-128-64-10 at 8 0.87, at 64 (5.6)
# 0.98, at 128 1.06
BY_INPUTS_BATCH, BY_INPUTS_WORK = 256, 6
# Samples with alike zeros share tiles where a rank has so many units (of 64 bytes) of outputs of the first layer
GROUPING_PAYS = 8
# Numbers of triples for which a rank has room at least: of 960 inputs at 128 samples; they stay in L2
TRIPLES = 384 * 1024


def goes_by_units(network: MLP, n_ranks: int, batch_size: int) -> bool:
    """Whether each rank takes whole panels of the first layer rather than samples (see kernels.first).

    Its weights then stay with a rank, but each gathers all samples. Seconds an epoch, two ranks, by rows and by units:
    784-256-64-10 at 32 0.209 and 0.164, at 128 0.131 and 0.115, at 512 0.122 and 0.129.
    """
    width = panels.padded(network.sizes[1], network.dtype)
    panel = target.PANEL_UNITS * panels.unit(network.dtype)
    return n_ranks > 1 and width >= n_ranks * panel and batch_size <= width


def has_quarters(network: MLP) -> bool:
    """Whether the sums of the first layer are made of four, over the quarters of the inputs (see kernels.quarters)."""
    lanes = panels.unit(network.dtype)
    width = panels.padded(network.sizes[1], network.dtype)
    return lanes < width <= 2 * target.PANEL_UNITS * lanes and network.sizes[0] >= QUARTERED_INPUTS


def quarters(n_inputs: int) -> np.ndarray:
    """Where the quarters of the inputs begin, and their end: whole vectors of `Work.nonzero`."""
    vectors = bundles.padded_words(n_inputs) // 16
    return np.minimum([-(-vectors * q // QUARTERS) * 16 for q in range(QUARTERS + 1)], n_inputs).astype(np.int64)


def goes_by_inputs(network: MLP, n_ranks: int, batch_size: int, limits_norms: bool) -> bool:
    """Whether each rank takes quarters of the inputs rather than samples (see kernels.quarters).

    It gains what else is exchanged, the weights of the first layer; what every rank then does for itself is the work of
    the other layers. Not with a limit to norms, which belong to all inputs together, nor with wide layers.
    """
    first, *others = (n_inputs * n_outputs for n_inputs, n_outputs in pairwise(network.sizes))
    pays = batch_size <= BY_INPUTS_BATCH and batch_size * sum(others) <= BY_INPUTS_WORK * first
    can = has_quarters(network) and n_ranks in (2, QUARTERS) and not limits_norms and not has_wide(network)
    return can and pays


def is_wide(network: MLP, level: int) -> bool:
    """Whether a level is one of those whose deltas lie in panels."""
    return 0 < level < len(network.sizes) - 1 and network.sizes[level] >= bundles.WIDE


def has_wide(network: MLP) -> bool:
    """Whether any level is wide."""
    return any(is_wide(network, level) for level in range(len(network.sizes)))


def stay_bytes(network: MLP, X: np.ndarray, batch_size: int, dropout: list[float]) -> bool:
    """Whether the samples of X stay bytes until they are multiplied (see kernels.narrow).

    Not with dropout, which knows a unit by its place in the row block; nor with a wide layer, whose row blocks must not
    depend on the number of ranks; nor with a scale so large that its product with 2^23 might overflow (see
    simd.microkernel).
    """
    scale = network.input_scale
    uniform = not isinstance(scale, np.ndarray) and abs(scale or 0) < 1e9 and not np.any(network.input_offset)
    narrow = panels.padded(network.sizes[1], network.dtype) == panels.unit(network.dtype) and not has_wide(network)
    plain = X.dtype == np.uint8 and X.strides[1] == 1 and not any(dropout)
    return uniform and narrow and plain and batch_size >= BYTES_PAY


class Plan:
    """Scratch memory and tables for a network.

    Parameters
    ----------
    network : MLP
    n_ranks : int
    batch_size : int or None
        Samples of the largest mini-batch; None for prediction.
    n_samples : int
        Length of the order of samples; 0 for prediction.
    dropout : list of float
        One a level from the inputs to the last hidden layer; empty for none.
    update : str
        Rule of ops.codes.RULES.
    skip_zeros : bool
        Look for inputs that are zero throughout a strip of samples, and leave them out; the bits stay.
    keeps_bytes : bool
        The first layer is that of kernels.narrow, for which zeros must be skipped; the bits stay.
    triples : bool
        The products of wide layers are those of kernels.triples; the bits are others.
    limits_norms : bool
        The rule has a max_norm.

    Attributes
    ----------
    net, work : bundles for the kernels
    replicas : Replicas
        Those of each rank, if the first layer goes by inputs; else these are all there is.
    block : int
        Samples in a row block.
    """

    def __init__(
        self,
        network: MLP,
        *,
        n_ranks: int,
        batch_size: int | None = None,
        n_samples: int = 0,
        dropout: list[float] | None = None,
        update: str = "sgd",
        skip_zeros: bool = False,
        keeps_bytes: bool = False,
        triples: bool = False,
        limits_norms: bool = False,
    ) -> None:
        self.network = network
        self.dtype = network.dtype
        self.update = update
        block = n_ranks * BYTE_BLOCK if keeps_bytes else ROW_BLOCK
        self.block = min(batch_size, block) if batch_size else n_ranks * STRIP
        dropout = [*(dropout or [0.0] * (len(network.sizes) - 1)), 0.0]
        flat = network._parameters.flat
        by_inputs = batch_size is not None and goes_by_inputs(network, n_ranks, batch_size, limits_norms)
        by_units = batch_size is not None and not by_inputs and goes_by_units(network, n_ranks, batch_size)
        levels, n_rows = self._levels(dropout, n_ranks if by_units else 1, keeps_bytes)
        slots = flat.size * SLOTS[update]
        self.net = Net(
            levels=levels,
            keep=np.array([1 / (1 - p) for p in dropout], self.dtype),
            params=flat,
            slots=aligned_zeros(slots, self.dtype),
        )
        self.work = self._work(
            levels,
            n_rows,
            n_ranks,
            several_blocks=batch_size is not None and batch_size > self.block,
            n_samples=n_samples,
            skip_zeros=skip_zeros,
            by_units=by_units,
            by_inputs=by_inputs,
            keeps_bytes=keeps_bytes,
            triples=triples,
        )
        self.replicas = Replicas(self.net, self.work, n_ranks)
        if keeps_bytes:
            self.work.rows[levels[0, bundles.ACTS]] = 1

    def _row_distance(self, units: int) -> int:
        """Numbers between rows: room for the column of ones; an odd number of units, to spread rows over the cache."""
        lanes = panels.unit(self.dtype)
        return (panels.padded(units + 1, self.dtype) // lanes | 1) * lanes

    def _byte_distance(self) -> int:
        """Bytes between samples that stay bytes: an odd number of lines."""
        return (-(-self.network.sizes[0] // 64) | 1) * 64

    def _levels(self, dropout: list[float], copies: int, keeps_bytes: bool) -> tuple[np.ndarray, int]:
        """The level table (see kernels.bundles), and the numbers that `rows` must hold."""
        net = self.network
        table = np.zeros((len(net.sizes), bundles.LEVEL_WORDS), np.int64)
        end = 0
        for level, units in enumerate(net.sizes):
            row = table[level]
            row[bundles.UNITS] = units
            row[bundles.WIDTH] = panels.padded(units, self.dtype)
            row[bundles.LD] = ld = self._row_distance(units)
            row[bundles.DROP] = bundles.drop_threshold(dropout[level])
            hidden = 0 < level < len(net.sizes) - 1
            code = net.activations[level - 1] if hidden else "identity"
            row[bundles.ACTIVATION] = ACTIVATIONS[code]
            if level > 0:
                row[bundles.PARAMS] = net._parameters.offsets[level - 1]
            matrix = self.block * ld * (copies if level == 0 else 1)
            if level == 0 and keeps_bytes:
                row[bundles.LD], matrix = self._byte_distance(), panels.unit(self.dtype)
            row[bundles.ACTS] = row[bundles.HELD] = end
            end += matrix
            if level == len(net.sizes) - 1 or (hidden and (code in NEEDS_Z or dropout[level] > 0)):
                row[bundles.HELD] = end
                end += matrix
            if level > 0:
                width, panel = row[bundles.WIDTH], target.PANEL_UNITS * panels.unit(self.dtype)
                wide = is_wide(net, level)
                row[bundles.DELTAS] = end
                row[bundles.D_ROW] = panel if wide else ld
                row[bundles.D_PANEL] = self.block * panel if wide else panel
                end += max(matrix, -(-width // panel) * row[bundles.D_PANEL])
        # whole blocks are turned, though they may begin in the last rows of a matrix (see kernels.wide)
        return table, end + panels.unit(self.dtype) * int(table[:, bundles.LD].max())

    def _work(
        self,
        levels: np.ndarray,
        n_rows: int,
        n_ranks: int,
        several_blocks: bool,
        n_samples: int,
        skip_zeros: bool,
        by_units: bool,
        by_inputs: bool,
        keeps_bytes: bool,
        triples: bool,
    ) -> Work:
        lanes = panels.unit(self.dtype)
        widest = int(levels[1:, bundles.WIDTH].max())
        flipped = widest * STRIP
        block_ld = self._row_distance(widest)
        tile = max(target.TILE_ROWS.values()) * target.PANEL_UNITS * lanes
        private = 2 * flipped + max(lanes * block_ld, tile, widest)
        sizes = self.network.sizes
        every = np.arange(max(max(sizes) + 1, self.block, panels.unit(self.dtype) * target.PANEL_UNITS))
        private = -(-private // 64) * 64 + 64  # ranks do not share cache lines
        rows_of_rank = self.block if by_units or by_inputs else -(-self.block // n_ranks)
        nonzero_part = (-(-rows_of_rank // WORD_BITS) + 1) * bundles.padded_words(sizes[0])  # one row for few.py
        list_size = 1 + max(sizes[0] + 1, self.block) + LIST_SLACK
        gradients = self.net.params.size if several_blocks or keeps_bytes else 0
        raw = None
        if keeps_bytes:
            # behind the row block as many samples as a tile has, and for each rank those that it has turned
            raw = aligned_zeros((self.block + lanes * (1 + n_ranks)) * self._byte_distance(), np.uint8)
            gradients += (lanes + 1) * self._byte_distance()
        quarter = self.block * int(levels[1, bundles.LD]) if has_quarters(self.network) else 0
        parts = quarters(sizes[0]) if quarter else np.array([0, sizes[0]])
        units_of_rank = int(levels[1, bundles.WIDTH]) // lanes // (n_ranks if by_units else 1)
        suffice = bundles.padded_words(sizes[0]) >= 64  # inputs for the word of a set
        fits = target.TILE_ROWS[1] >= bundles.GROUP  # the sums of a group, into registers
        grouped = skip_zeros and suffice and fits and units_of_rank >= GROUPING_PAYS and not quarter
        of_strip = (STRIP // SIDE * (max(sizes) // SIDE) + 2) * STEP
        triples_size = max(of_strip, TRIPLES) if triples else 0
        return Work(
            rows=aligned_zeros(n_rows, self.dtype),
            private=aligned_zeros(private * n_ranks, self.dtype),
            private_size=private,
            flipped=flipped,
            block_ld=block_ld,
            gradients=aligned_zeros(gradients, self.dtype),
            losses=np.zeros(self.block, np.float64),
            every=every,
            copy_rows=self.block if by_units else 0,
            by_inputs=by_inputs,
            parts=parts,
            own_parts=(0, len(parts) - 1),
            quarters=aligned_zeros((1 + by_inputs) * QUARTERS * quarter, self.dtype),
            quarter_size=quarter,
            nonzero=np.zeros(nonzero_part * n_ranks if skip_zeros else 0, np.int32),
            nonzero_part=nonzero_part,
            lists=np.zeros(LISTS * list_size * n_ranks if skip_zeros else 0, np.int64),
            list_size=list_size,
            alike=aligned_zeros(bundles.ALIKE * n_ranks if grouped else 0, np.int64),
            groups=aligned_zeros(STRIP * n_ranks if grouped else 0, np.int64),
            bytes=raw,
            triples=aligned_zeros(triples_size * n_ranks, np.uint16) if triples else None,
            triples_size=triples_size,
            order=np.arange(n_samples, dtype=np.int32),
        )

    def rule(self, head: int, momentum: float = 0.0, l1: float = 0.0, l2: float = 0.0, max_norm: float = 0.0) -> Rule:
        """The kernels' view of what is minimised, and how."""
        real = self.dtype.type
        return Rule(
            output=OUTPUTS[self.network.output],
            head=head,
            update=RULES[self.update],
            momentum=real(momentum),
            l1=real(l1),
            l2=real(l2),
            max_norm=max(real(max_norm), np.finfo(real).tiny) if max_norm else real(0),  # 0 stands for none
        )
