"""Compiled entries to the package's pieces, for the tests: pieces can be called from compiled code only."""

from __future__ import annotations

from fastnn import _jit


def program(function):
    """Like `fastnn._jit.program`, but unknown to `use_cache`: nothing of it is ever kept on disk."""
    dispatcher = _jit.program(function)
    forgotten = _jit._programs.pop()
    assert forgotten is dispatcher
    return dispatcher
