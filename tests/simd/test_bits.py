"""Sets of bits and the lists of their members, against Python's own."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn._jit import program
from fastnn.simd.bits import append_members, meeting
from fastnn.simd.target import LIST_SLACK


@program
def run_meeting(words, start, chosen):
    return meeting(words, start, chosen)


@program
def run_append(byte, base, out, k):
    return append_members(byte, base, out, k)


@pytest.mark.parametrize("chosen", [0, 1, 0b1010 << 20, 1 << 31, 2**32 - 1])
@pytest.mark.parametrize("start", [0, 3])
def test_which_words_have_a_bit_in_common(start, chosen):
    words = np.random.default_rng(1).integers(0, 2**32, 19, np.uint32)
    words[4:7] = 0, 1 << 31, 2**32 - 1
    expected = sum(1 << i for i in range(16) if int(words[start + i]) & chosen)
    assert run_meeting(words.view(np.int32), start, chosen) == expected


def test_the_members_of_every_byte():
    for byte in range(256):
        out = np.full(3 + LIST_SLACK, -1, np.int64)
        members = [70 + bit for bit in range(8) if byte >> bit & 1]
        assert run_append(byte, 70, out, 3) == 3 + len(members)
        np.testing.assert_array_equal(out[3 : 3 + len(members)], members)
        np.testing.assert_array_equal(out[:3], -1)
