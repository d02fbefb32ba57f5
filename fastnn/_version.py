"""FLOOR 0: the version, read by the build, by model files and by the key of the kernel cache."""

__version__ = "0.1.0"
