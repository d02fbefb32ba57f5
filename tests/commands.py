"""The command `fastnn` in tests: run in this process or started in another one, in a folder of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


def start(*arguments: str) -> subprocess.Popen:
    """The command in a process of its own, from this source tree."""
    return subprocess.Popen(
        [sys.executable, "-m", "fastnn", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def environment() -> dict[str, str]:
    """The variables of a process that imports the package from this source tree."""
    return os.environ | {"PYTHONPATH": str(Path(fastnn.__file__).parents[1])}
