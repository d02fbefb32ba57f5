"""FLOOR 2: samples whose zeros are alike share a tile of the first layer, which leaves out what is zero in all of them.

Of the samples of a strip, that with the fewest inputs other than zero begins a group; the next to join it is the one
that adds the fewest to them, less a quarter of its own: those with many are hard to place. In MNIST 39% of the inputs
are other than zero in four samples that follow one another, 32% in four that are chosen. Only the time depends on the
choice: so 256 inputs are looked at, in four words, or as many whole words as there are. 10,000 predictions of
784-256-64-10 take 0.91 of the time, of 784-512-10 0.86, an epoch of them 0.97.

alike   int64, ALIKE numbers: the sets of inputs of the samples of a strip, a bias for each, and what a group lacks
groups  int64: the rows of the groups of a strip, one after the other
"""

from __future__ import annotations

from fastnn._jit import op
from fastnn.kernels.bundles import GROUP, STRIP
from fastnn.simd.bits import SET_WORDS, count_bits, least_new, turn_bits
from fastnn.simd.target import WORD_BITS

# where in `alike` the biases begin, and what a group lacks
_BIAS = SET_WORDS * STRIP
_LACKS = _BIAS + STRIP


@op
def grouped(work, m):
    """How many of the m samples of a strip are in groups: the first ones, as many as fill whole groups."""
    return m // GROUP * GROUP if work.groups.shape[0] > 0 and m >= 2 * GROUP else 0


@op
def take_sets(words, n_words, m, alike):
    """The sets of inputs of m samples, and their biases; of words of inputs that lie evenly among all.

    words   of the samples: a row of n_words, a multiple of 16 and at least 64, for each WORD_BITS of them
    """
    n = min(SET_WORDS, n_words // 64)
    vectors = n_words // 16
    for r in range(0, m, WORD_BITS):
        for w in range(n):
            at = r // WORD_BITS * n_words + 16 * (vectors * (2 * w + 1) // (2 * n) - 2)
            turn_bits(words, at, alike, w * STRIP + r)
    for s in range(STRIP):
        size = 0
        for w in range(SET_WORDS):
            size += count_bits(alike[w * STRIP + s])
        alike[_BIAS + s] = s - 64 * size


@op
def choose_group(alike, left, groups, g):
    """Choose groups[g : g + GROUP] from the samples whose bits are in `left`; returns the bits of the chosen."""
    for w in range(_LACKS, _LACKS + SET_WORDS):
        alike[w] = -1
    chosen = 0
    for k in range(g, g + GROUP):
        s = least_new(alike, alike, _LACKS, left & ~chosen, alike, _BIAS)
        groups[k] = s
        chosen |= 1 << s
        for w in range(SET_WORDS):
            alike[_LACKS + w] &= ~alike[w * STRIP + s]
    return chosen
