"""FLOOR 2: inputs that are zero, and are therefore left out of the first layer's sums (same bits, fewer terms).

words   int32, one row of PADDED words (whole vectors of 16) for every 32 samples that a rank has gathered: bit r of
        word i tells whether input i of sample r is other than zero (NaN is)
list    int64: the number of its terms, then the terms, ascending. Tiles have one each: MNIST has 19% of its numbers
        other than zero; in 4 samples 39% of the inputs are, in 64 samples 63%
"""

from __future__ import annotations

from fastnn._jit import op, piece
from fastnn.kernels import bundles
from fastnn.kernels.gang import share
from fastnn.simd.bits import NOTED, append_members, meeting, note_nonzero
from fastnn.simd.target import WORD_BITS

padded_words = op(bundles.padded_words)


@op
def note_rows(x, x0, row, n, m, done, words, w0, n_words):
    """Note which of the n numbers of m samples, `row` apart from x[x0] on, are not zero.

    done        samples that this rank has noted before, a multiple of NOTED
    w0          where in `words` those of x[x0] are in this rank's part
    n_words     words of 32 samples
    """
    for r in range(0, m, NOTED):
        at = w0 + (done + r) // WORD_BITS * n_words
        note_nonzero(x, x0 + r * row, row, min(NOTED, m - r), n, (done + r) % WORD_BITS, words, at)


@piece
def list_inputs(words, further, start, stop, n, samples, out):
    """The list of the inputs start .. stop that are not zero in any of some samples; and the biases.

    words       of 32 samples, and those of 32 more `further` on, unless that is 0      read
    samples     bits of those that count
    n           the biases are term n, behind input n - 1; -1: not in the list
    start, stop multiples of 16, but for the last input
    out         the list               written: up to 2 + LIST_SLACK places more than there are inputs
    """
    k = 1
    for i in range(start, stop, 16):
        bits = meeting(words, i, further, samples)
        k = append_members(bits & 255, i, out, k)
        k = append_members(bits >> 8, i + 8, out, k)
    if stop == n:
        out[k] = n
        k += 1
    out[0] = k - 1


@op
def unite(words, part, start, stop, m, n_ranks, out):
    """out = the words start .. stop of all ranks together, where these share m samples, one word each at most.

    words       of the ranks, `part` apart
    """
    for i in range(start, stop):
        out[i] = 0
    for rank in range(n_ranks):
        r0, r1 = share(m, rank, n_ranks, 1)
        if r1 > r0:
            for i in range(start, stop):
                out[i] |= words[rank * part + i]


@piece
def list_samples(words, part, n_words, i, height, m, n_ranks, out):
    """The list of the m samples of a row block in which any of the inputs i .. i + height is not zero.

    words       of all ranks, `part` words apart, rows of n_words      read
    """
    k = 1
    for rank in range(n_ranks):
        r0, r1 = share(m, rank, n_ranks, 1)
        for r in range(r0, r1, WORD_BITS):
            at = rank * part + (r - r0) // WORD_BITS * n_words
            word = 0
            for c in range(i, i + height):
                word |= words[at + c]
            for b in range(0, min(WORD_BITS, r1 - r), 8):
                k = append_members((word >> b) & 255, r + b, out, k)
    out[0] = k - 1
