"""Measures fastnn beside other libraries; `scripts/compare_peers` starts it. Nothing in fastnn knows of it.

jobs.py says what is measured, contestants/ how each library does it, worker.py runs one contestant in a process of its
own, rounds.py interleaves them, referee.py checks that all did the same work, report.py shows the outcome.
"""
