"""Sets of bits and the lists of their members, against Python's own."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn._jit import program
from fastnn.simd.bits import SET_WORDS, append_members, count_bits, least_new, least_new_reference, meeting, turn_bits
from fastnn.simd.target import LIST_SLACK


@program
def run_meeting(words, start, further, chosen):
    return meeting(words, start, further, chosen)


@program
def run_turn(words, start, out, o0):
    turn_bits(words, start, out, o0)


@program
def run_count(word):
    return count_bits(word)


@program
def run_least(sets, lacks, l0, among, bias, b0):
    return least_new(sets, lacks, l0, among, bias, b0)


@program
def run_append(byte, base, out, k):
    return append_members(byte, base, out, k)


@pytest.mark.parametrize("chosen", [0, 1, 0b1010 << 20, 1 << 31, 2**32 - 1])
@pytest.mark.parametrize("start", [0, 3])
def test_which_words_have_a_bit_in_common(start, chosen):
    words = np.random.default_rng(1).integers(0, 2**32, 19, np.uint32)
    words[4:7] = 0, 1 << 31, 2**32 - 1
    expected = sum(1 << i for i in range(16) if int(words[start + i]) & chosen)
    assert run_meeting(words.view(np.int32), start, 0, chosen) == expected


@pytest.mark.parametrize("chosen", [1, 1 << 32, 1 << 63, 0b11 << 31, 2**64 - 1])
def test_which_pairs_of_words_have_a_bit_in_common(chosen):
    words = np.random.default_rng(2).integers(0, 2**32, 45, np.uint32) & 0x80000003
    pairs = [int(words[2 + i]) | int(words[2 + 21 + i]) << 32 for i in range(16)]
    expected = sum(1 << i for i in range(16) if pairs[i] & chosen)
    assert run_meeting(words.view(np.int32), 2, 21, np.uint64(chosen).astype(np.int64)) == expected


def test_bits_are_turned():
    words = np.random.default_rng(3).integers(0, 2**32, 70, np.uint32)
    out = np.full(36, 77, np.int64)
    run_turn(words.view(np.int32), 5, out, 3)
    bits = words[5:69, None] >> np.arange(32, dtype=np.uint32) & 1
    expected = [sum(int(bit) << i for i, bit in enumerate(column)) for column in bits.T]
    np.testing.assert_array_equal(out[3:35].view(np.uint64), np.array(expected, np.uint64))
    np.testing.assert_array_equal(out[[0, 1, 2, 35]], 77)


@pytest.mark.parametrize("word", [0, 1, -1, 2**63 - 1, -(2**63), 0x123456789])
def test_bits_are_counted(word):
    assert run_count(word) == (word & 2**64 - 1).bit_count()


@pytest.mark.parametrize("among", [2**64 - 1, 1, 1 << 63, 0x8000_0001_0000_F000, 0x5555_5555_5555_5555])
def test_the_set_with_the_fewest_new_bits(among):
    rng = np.random.default_rng(4)
    for density in (0, 1, 5):  # 1 bit of 2, of 4, and few, with many equals
        sets = np.bitwise_and.reduce(rng.integers(-(2**63), 2**63, (density + 1, 64 * SET_WORDS)), axis=0)
        lacks = rng.integers(-(2**63), 2**63, 3 + SET_WORDS)
        bias = np.arange(64) - 64 * rng.integers(0, 100, 64)
        bias = np.append([5, 5], bias)
        expected = least_new_reference(sets, lacks, 3, among, bias, 2)
        assert run_least(sets, lacks, 3, np.uint64(among).astype(np.int64), bias, 2) == expected
    bias[2:] = np.arange(64)
    sets[:] = 0
    assert run_least(sets, lacks, 3, np.uint64(among).astype(np.int64), bias, 2) == (among & -among).bit_length() - 1


def test_the_members_of_every_byte():
    for byte in range(256):
        out = np.full(3 + LIST_SLACK, -1, np.int64)
        members = [70 + bit for bit in range(8) if byte >> bit & 1]
        assert run_append(byte, 70, out, 3) == 3 + len(members)
        np.testing.assert_array_equal(out[3 : 3 + len(members)], members)
        np.testing.assert_array_equal(out[:3], -1)
