"""Threads to call compiled code in."""

from __future__ import annotations

import threading


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
