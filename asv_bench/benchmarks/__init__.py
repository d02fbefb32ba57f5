"""What asv tracks: lower is better in all of it, so times and losses, never samples/s or accuracy.

Kernels are compiled, or loaded from the disk, in `setup`, never while the clock runs: asv's warm-up does not cover a
compiler. The cache's key is a hash of the kernels' sources, so no commit is timed with the machine code of another.
"""
