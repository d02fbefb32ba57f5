"""FLOOR 4: the settings of a training: one table for the command line, its help and the TOML file.

A value is taken from the command line, else from the file, else from the table. What a value may be is
checked where it is used, by the engine; here it only gets its type.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


class UsageError(ValueError):
    """A command that cannot be meant so: exit code 2."""


@contextlib.contextmanager
def usage() -> Iterator[None]:
    """Turn the engine's sentences about settings into UsageError, with the names that the options have."""
    try:
        yield
    except UsageError:
        raise
    except (TypeError, ValueError) as error:
        raise UsageError(re.sub(r"^(\w+)(\[\d+\])?", _option_name, str(error))) from None


def _option_name(match: re.Match[str]) -> str:
    name = _ENGINE_NAMES.get(match[1], match[1])
    return BY_NAME[name].flag if name in BY_NAME else match[0]


_ENGINE_NAMES = {"max_epochs": "epochs", "n_threads": "threads", "sizes": "hidden"}
_MEANING = {
    "N": "a whole number",
    "NUMBER": "a number",
    "PART": "a number",
    "SIZES": "sizes such as 256,64, or none",
}


def _sizes(text: str) -> list[int]:
    return [] if text in ("", "none") else [int(part) for part in text.split(",")]


def _names(text: str) -> str | list[str]:
    names = [name.strip() for name in text.split(",")]
    return names[0] if len(names) == 1 else names


def _numbers(text: str) -> float | list[float]:
    numbers = [float(part) for part in text.split(",")]
    return numbers[0] if len(numbers) == 1 else numbers


def _optional(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: None if text == "none" else convert(text)


@dataclass(frozen=True)
class Option:
    """One setting: `--learning-rate` on the command line, `learning_rate` in a TOML file.

    `convert` makes the value from text, and `form` says what that text looks like; `convert=bool` is a switch
    (--shuffle, --no-shuffle). `shown` replaces the default in the help where None would tell nothing.
    """

    name: str
    convert: Callable[[str], Any]
    default: Any
    form: str
    help: str
    shown: str = ""

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    def add_to(self, parser: Any) -> None:
        """Add the option to an argparse parser or group; when not given it leaves no trace."""
        shown = self.shown or (str(self.default).lower() if self.convert is bool else self.default)
        text = f"{self.help} (default: {shown})"
        if self.convert is bool:
            parser.add_argument(self.flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=text)
        else:
            parser.add_argument(self.flag, metavar=self.form, default=argparse.SUPPRESS, help=text)

    def parse(self, text: str, spelling: str) -> Any:
        """Return the value that `text` stands for; `spelling` is how the user called the option."""
        try:
            return self.convert(text.strip())
        except ValueError:
            raise UsageError(f"{spelling} must be {_MEANING[self.form]}, got {text!r}") from None

    def from_toml(self, value: Any) -> Any:
        """Return the value of a TOML entry, which may also be written as on the command line."""
        if self.convert is bool:
            if isinstance(value, bool):
                return value
            raise UsageError(f"{self.name} must be true or false, got {value!r}")
        parts = value if isinstance(value, list) and self.convert in (_sizes, _names, _numbers) else [value]
        if any(isinstance(part, bool) or not isinstance(part, str | int | float) for part in parts):
            raise UsageError(f"{self.name} must be {_MEANING.get(self.form, 'text')}, got {value!r}")
        return self.parse(",".join(map(str, parts)), self.name)


# The defaults give 98.2 % on the test part of the digits, at least 97.6 % over 16 seeds and splits; a plain
# cosine and mini-batches of 128 gave 97.1 % and 96.9 %.
OPTIONS: dict[str, list[Option]] = {
    "network": [
        Option("hidden", _sizes, [256, 64], "SIZES", "sizes of the hidden layers, or none", "256,64"),
        Option(
            "activation",
            _names,
            "relu",
            "NAME",
            "identity, logistic, tanh, relu, leaky_relu, elu, gelu or silu; or one for each hidden layer, "
            "separated by commas",
        ),
        Option("output", str, "softmax", "NAME", "softmax or logistic for classes, identity for numbers"),
        Option(
            "init",
            str,
            "he",
            "NAME",
            "he, glorot, lecun, inverse_sqrt, standard_normal, 'normal(0.01)' or 'uniform(-1, 1)'",
        ),
        Option("dtype", str, "float32", "NAME", "float32 or float64"),
        Option(
            "scaling",
            str,
            "auto",
            "NAME",
            "of the features, kept in the model: minmax (to 0..1 by the least and the greatest value of each in the "
            "training part); standard (mean 0, variance 1); none; auto (bytes to 0..1 by 1/255, other numbers "
            "standard)",
        ),
    ],
    "training": [
        Option("loss", _optional(str), None, "NAME", "cross_entropy or mse", "what fits the output"),
        Option("optimizer", str, "sgd", "NAME", "sgd"),
        Option("learning_rate", float, 0.1, "NUMBER", "the highest rate of the schedule"),
        Option("momentum", float, 0.9, "NUMBER", "part of the last step that is kept, below 1"),
        Option("nesterov", bool, False, "", "look ahead along the momentum"),
        Option(
            "schedule",
            str,
            "one_cycle",
            "NAME",
            "constant, 'decay(0.01)', 'inverse_time(0.001)', 'exponential(0.95)', 'steps([10, 20], 0.1)', "
            "cosine, one_cycle or plateau",
        ),
        Option("batch_size", int, 64, "N", "samples of a mini-batch"),
        Option("epochs", int, 30, "N", "passes over the data, at most"),
        Option("shuffle", bool, True, "", "a new order of the samples in every epoch"),
        Option("l1", float, 0.0, "NUMBER", "L1: NUMBER times the sum of |W| is added to the loss"),
        Option("l2", float, 0.0, "NUMBER", "L2: half of NUMBER times the sum of W squared is added"),
        Option(
            "dropout",
            _numbers,
            0.0,
            "NUMBER",
            "part of the hidden units left out at each step, below 1; or one for each hidden layer, with commas",
        ),
        Option("input_dropout", float, 0.0, "NUMBER", "part of the features left out at each step"),
        Option(
            "max_norm",
            _optional(float),
            None,
            "NUMBER",
            "limit to the norm of the weights into a unit",
            "none",
        ),
        Option(
            "matmul",
            str,
            "fma",
            "NAME",
            "fma; or bf16x3, wide layers on the CPU's matrix unit (Intel AMX), as exact and faster, with other bits",
        ),
        Option("seed", int, 0, "N", "of weights, order, dropout and validation part"),
        Option(
            "threads",
            _optional(int),
            None,
            "N",
            "threads to compute with; the result has the same bits for any number",
            "FASTNN_NUM_THREADS, else as many of the available cores as pay",
        ),
    ],
    "validation": [
        Option(
            "validation",
            float,
            None,
            "PART",
            "part of the training samples to hold out, shuffled and stratified by class; with 0 the test "
            "part of the data, if it has one, is evaluated after every epoch instead",
            "0.1 if there is no test part, or if the model is chosen by it: with --patience, --checkpoint or "
            "plateau; else 0",
        ),
        Option(
            "patience",
            _optional(int),
            None,
            "N",
            "stop after N epochs without a lower validation loss and go back to the best weights",
            "none",
        ),
    ],
    "files and messages": [
        Option("label", str, None, "COLUMN", "label column of a CSV file: name, or number from 0", "label"),
        Option("save", str, None, "PATH", "the model file", "the data's name, .safetensors, in this folder"),
        Option(
            "checkpoint",
            str,
            None,
            "PATH",
            "also save the best model so far after an epoch; PATH may name logged quantities, as in "
            "'digits-{epoch:02d}.safetensors'",
            "none",
        ),
        Option("csv_log", str, None, "PATH", "also write the log of the epochs as CSV", "none"),
        Option("verbose", int, 1, "N", "0 silent; 1 a live bar on a terminal; 2 one line an epoch"),
    ],
}
BY_NAME = {option.name: option for options in OPTIONS.values() for option in options}


def resolve(given: Mapping[str, Any], config: str | None) -> dict[str, Any]:
    """Return every setting: from `given` (the command line), else the TOML file `config`, else its default.

    Raises
    ------
    UsageError
        If the file cannot be read, is no TOML, has an unknown key, or a value has the wrong form.
    """
    settings = {name: option.default for name, option in BY_NAME.items()}
    if config is not None:
        settings.update(_read_config(config))
    for name, option in BY_NAME.items():
        if name in given:
            value = given[name]
            settings[name] = value if option.convert is bool else option.parse(value, option.flag)
    return settings


def _read_config(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            entries = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"--config {path} cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path} is not TOML: {error}") from None
    values = {}
    for key, value in entries.items():
        if key not in BY_NAME:
            near = difflib.get_close_matches(key.replace("-", "_"), BY_NAME, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"it may have {', '.join(BY_NAME)}"
            raise UsageError(f"--config {path} has the unknown key {key!r}; {hint}")
        try:
            values[key] = BY_NAME[key].from_toml(value)
        except UsageError as error:
            raise UsageError(f"--config {path}: {error}") from None
    return values
