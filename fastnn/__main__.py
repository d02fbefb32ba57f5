"""FLOOR 4: the process of the command `fastnn`, which may also be started as `python -m fastnn`."""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType


def main() -> int:
    """Run the command of this process and return its exit code."""
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:  # else a shell has it ignored, for what it starts in the background
        signal.signal(signal.SIGINT, _end)
    from fastnn.cli import main as run  # a sixth of a second, most of it NumPy and LLVM

    signal.signal(signal.SIGINT, usual)
    return run()


def _end(signum: int, frame: FrameType | None) -> None:
    """End the process at once: between imports an exception may be lost, and there is nothing to keep yet."""
    with contextlib.suppress(OSError):  # standard error is closed
        os.write(2, b"fastnn: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    raise SystemExit(main())
