"""FLOOR 4: the command `fastnn` and its subcommands, a module each.

Results go to standard output, with --json as one document; everything else goes to standard error. Exit code:
0, 1 (the job failed; one sentence says why), 2 (bad usage) or 130 (Ctrl-C, and nothing was worth keeping).
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

import fastnn
from fastnn.cli import bench, describe, evaluate, info, plot, predict, reproduce, train, tune, warmup
from fastnn.cli.options import UsageError
from fastnn.cli.output import say

__all__ = ["main"]

_COMMANDS = (describe, train, tune, evaluate, predict, plot, reproduce, bench, info, warmup)
_EPILOG = """\
examples:
  fastnn train digits                                train on real digits, save digits.safetensors
  fastnn evaluate digits.safetensors digits          score it on the test part
  fastnn predict digits.safetensors digits -o p.csv  predict the test part
  fastnn train digits --out run && fastnn plot run   keep all of a training in a folder, with pictures

fastnn COMMAND --help tells more. Environment: FASTNN_DATA (folder with MNIST), FASTNN_NUM_THREADS,
FASTNN_CACHE_DIR (place of the compiled kernels and of copies of big CSV files).
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        0 done, 1 the job failed, 2 bad usage, 130 interrupted.
    """
    if sys.stdout is None:  # closed by the caller: `fastnn train digits >&-`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (open until the process ends)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: say(f"warning: {message}")
        try:
            args, unknown = _make_parser().parse_known_args(argv)
            if unknown:
                args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
            code = args.run(args)
            sys.stdout.flush()
            return code
        except SystemExit as stop:  # argparse has printed help or its sentence
            return int(stop.code or 0)
        except UsageError as error:
            say(f"{error}; see fastnn {args.command} --help")
            return 2
        except KeyboardInterrupt:
            say("interrupted")
            return 130
        except BrokenPipeError:
            # The reader of our output left (`| head`). Python would complain again when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            say(f"{where}{error.strerror or error}")
        except UnicodeEncodeError as error:
            wrong = error.object[error.start]
            say(f"standard output cannot show {wrong!a} in {sys.stdout.encoding}; set PYTHONIOENCODING=utf-8")
        except MemoryError as error:
            say(f"there is not enough memory{f': {error}' if str(error) else ''}")
        # RuntimeError: a loss that diverges; also no home folder, no more threads
        # ImportError: what only an extra installs
        except (ValueError, TypeError, RuntimeError, ImportError) as error:
            say(str(error))
        return 1


class _Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"invalid choice: '(.*?)'|unrecognized arguments: (--[\w-]+)", message)
        known = [name for action in self._actions for name in (*(action.choices or ()), *action.option_strings)]
        near = difflib.get_close_matches(wrong[1] or wrong[2], known, n=1) if wrong else []
        hint = f"; did you mean {near[0]}?" if near else ""
        self.exit(2, f"fastnn: {message}{hint}; see {self.prog} --help\n")


def _make_parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser("fastnn", description=fastnn.__doc__, epilog=_EPILOG, formatter_class=raw, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"fastnn {fastnn.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for command in _COMMANDS:
        name = command.__name__.rpartition(".")[2]
        summary, _, details = command.DESCRIPTION.partition("\n")
        child = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.\n{details}",
            formatter_class=raw,
            allow_abbrev=False,
        )
        command.add_arguments(child)
        child.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
        child.set_defaults(run=command.run, parser=child)
    return parser
