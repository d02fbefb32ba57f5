"""The scripts say in one sentence what a machine lacks, before they make anything."""

from __future__ import annotations

import os
import shutil
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


def test_the_demo_hands_its_arguments_to_the_training(tmp_path):
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    (tmp_path / "fastnn").mkdir()
    for name in ("pyproject.toml", "fastnn/_version.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    version = next(line for line in (ROOT / "fastnn/_version.py").read_text().splitlines() if "__version__" in line)
    installed = f"{tmp_path}\n{(ROOT / 'pyproject.toml').read_text()}{version}\n"
    (tmp_path / "venv" / "fastnn-package.installed").write_text(installed)
    for name in ("python", "fastnn"):
        (programs / name).write_text('#!/bin/sh\necho "$@" >>asked\n[ "$1" = train ] || echo 7 >build/digits.csv\n')
        (programs / name).chmod(0o755)
    environment = os.environ | {"FASTNN_VENV": str(tmp_path / "venv")}
    demo = ["bash", tmp_path / "scripts/demo", "--threads", "7"]
    subprocess.run(demo, cwd=tmp_path, env=environment, capture_output=True, check=True, timeout=60)
    assert (tmp_path / "asked").read_text().splitlines()[
        0
    ] == "train digits --save build/digits.safetensors --threads 7"
