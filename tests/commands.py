"""The command `fastnn` in tests: run in this process or started in another one, in a folder of the test's own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastnn
from fastnn.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """Each test of a file that says `folder = commands.folder` runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    capsys.readouterr()
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def ok(capsys, *arguments: str) -> dict:
    """The JSON document of a command that succeeds."""
    code, out, err = run(capsys, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


@contextlib.contextmanager
def process(command: list[str], **settings) -> Iterator[subprocess.Popen]:
    """A process that dies with the test: one that hangs fails it, where leaving Popen would wait for ever."""
    with subprocess.Popen(command, text=True, **settings) as running:
        try:
            yield running
        except BaseException:
            running.kill()
            raise


def run_python(program: str, *arguments: str, **variables: str):
    """A Python program in a process of its own, which can import the package and what tests share."""
    root = Path(fastnn.__file__).parents[1]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")])} | variables
    return process([sys.executable, "-c", program, *arguments], env=env, stdout=subprocess.PIPE)


def start(*arguments: str):
    """The command in a process of its own, from this source tree."""
    command = [sys.executable, "-m", "fastnn", *arguments]
    return process(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())


def environment() -> dict[str, str]:
    """The variables of a process that imports the package from this source tree."""
    return os.environ | {"PYTHONPATH": str(Path(fastnn.__file__).parents[1])}
