"""Multilayer perceptrons on CPUs, an epoch in one compiled call: same seed, same bits, any number of threads."""

from __future__ import annotations

__version__ = "0.1.0"
