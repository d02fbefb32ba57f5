"""Whole processes that are timed from outside; `python -m peers.programs.race fastnn` runs one."""
