"""The scripts say in one sentence what a machine lacks, before they make anything."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = ["scripts/demo", "scripts/test", "scripts/check", "scripts/bench", ".ci/run"]


def run(script: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"FASTNN_VENV": str(folder / "venv")} | settings
    return subprocess.run(
        ["bash", ROOT / script], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_is_executable_and_parses(script):
    assert os.access(ROOT / script, os.X_OK)
    subprocess.run(["bash", "-n", ROOT / script], check=True)


@pytest.mark.parametrize("script", ["scripts/demo", "scripts/check"])
def test_an_old_python_is_named(script, tmp_path):
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n')
    old.chmod(0o755)
    done = run(script, tmp_path, PYTHON=str(old))
    assert done.returncode == 1
    assert f"needs Python 3.11 or newer, and {old} is Python 3.9.2; install it" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_missing_python_is_named(tmp_path):
    done = run("scripts/demo", tmp_path, PYTHON="no-such-python")
    assert done.returncode == 1
    assert "there is no no-such-python" in done.stderr


def test_a_folder_of_other_things_is_not_emptied(tmp_path):
    precious = tmp_path / "venv" / "precious"
    precious.parent.mkdir()
    precious.touch()
    done = run("scripts/demo", tmp_path)
    assert done.returncode == 1
    assert "is no virtual environment" in done.stderr
    assert precious.exists()


def test_missing_data_is_an_error(tmp_path):
    done = run("scripts/test", tmp_path, FASTNN_DATA="nothing/here")
    assert done.returncode == 1
    assert f"{tmp_path}/nothing/here/mnist has none; set FASTNN_DATA" in done.stderr
