"""Compiled entries to the package's pieces, which only compiled code can call; and threads to call them in."""

from __future__ import annotations

import threading

from fastnn import _jit


def program(function):
    """Like `fastnn._jit.program`, but unknown to `use_cache`: nothing of it is ever kept on disk."""
    dispatcher = _jit.program(function)
    forgotten = _jit._programs.pop()
    assert forgotten is dispatcher
    return dispatcher


def in_threads(n, function, seconds=60):
    """Results of function(rank) called in n threads at once."""
    results = [None] * n

    def work(rank):
        results[rank] = function(rank)

    threads = [threading.Thread(target=work, args=(rank,), daemon=True) for rank in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    assert not any(thread.is_alive() for thread in threads), f"threads still run after {seconds} s"
    return results
