"""FLOOR 4: `python -m fastnn` is the command `fastnn`."""

from fastnn.cli import main

raise SystemExit(main())
