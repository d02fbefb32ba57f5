"""Parts of a program are compiled at the same time where that works, and all the same where it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from threads import in_threads

from fastnn import MLP, _machine_code
from fastnn.engine import compiling, launch


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """The parts that this process compiles, in an empty cache; no kernel is."""
    parts = []

    def compile_here(part, signature):
        parts.append((part, signature))
        return part.encode()

    monkeypatch.setattr(_machine_code, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(compiling, "_compile", compile_here)
    return parts


def helper(monkeypatch, code):
    """Let helpers run this instead."""
    monkeypatch.setattr(compiling, "_HELPER", code)


ANSWER = """\
import pickle, sys
path, (kernel_hash, *asked) = pickle.load(sys.stdin.buffer), pickle.load(sys.stdin.buffer)
sys.path[:] = path
from fastnn import _machine_code
assert kernel_hash == _machine_code.kernel_hash()
sys.stdout.buffer.write(_machine_code.sealed(repr(tuple(asked)).encode()))
"""


def test_helpers_compile_the_parts(compiled, monkeypatch):
    helper(monkeypatch, ANSWER)
    signature = (tuple, "int", ("<f4", 1, "C"))
    codes = compiling.machine_codes("train", signature, lambda: True)
    assert codes == [repr((part, signature)).encode() for part in ("train", "learn")]
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: pytest.fail("a process was started"))
    assert compiling.machine_codes("train", signature, lambda: True) == codes  # found in the cache
    assert compiled == []


def test_what_was_begun_is_waited_for(compiled, monkeypatch):
    helper(monkeypatch, ANSWER)
    compiling.begin("predict", "int")
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: pytest.fail("another process was started"))
    compiling.begin("predict", "int")
    codes = [repr(("predict", "int")).encode()]
    assert compiling.machine_codes("predict", "int", lambda: True) == codes
    compiling.begin("predict", "int")  # it is on disk
    assert compiling.machine_codes("predict", "int", lambda: True) == codes
    assert compiled == []
    assert compiling._begun == {}


def test_what_nobody_needed_is_stopped(compiled, monkeypatch):
    helper(monkeypatch, "import time; time.sleep(1000)")
    compiling.begin("predict", "int")
    (begun,) = compiling._begun.values()
    compiling.end("predict", "int")
    assert begun._process.returncode is not None
    assert compiling._begun == {}
    compiling.end("predict", "int")


CHANGED = """\
import shutil, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import numpy as np
import fastnn
from fastnn import _machine_code
_machine_code.kernel_hash()
heads = Path(fastnn.__file__).parent / "ops/heads.py"
heads.write_text(heads.read_text() + "# edited")
try:
    fastnn.MLP([3, 2]).predict(np.eye(3))
except RuntimeError as error:
    print(error)
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_sources_that_changed_meanwhile_are_not_compiled(tmp_path, threads):
    """What they make would be kept under the name of the former ones."""
    copy = shutil.copytree(Path(_machine_code.__file__).parent, tmp_path / "fastnn").parent
    environment = os.environ | {"FASTNN_CACHE_DIR": str(tmp_path / "cache"), "FASTNN_NUM_THREADS": threads}
    command = [sys.executable, "-c", CHANGED, str(copy)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "restart Python" in done.stdout
    assert list((tmp_path / "cache").rglob("*.o")) == []


def test_what_is_loaded_waits_for_no_compiler():
    """A thread compiles for seconds; others go on with what they have."""
    net = MLP([3, 2])
    X = np.eye(3, dtype=np.float32)
    net.predict(X)
    with launch._loading:
        in_threads(2, lambda rank: MLP([3, 2]).predict(X), seconds=20)


def test_one_core_compiles_all_of_it(compiled, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: pytest.fail("a process was started"))
    assert compiling.machine_codes("train", "int", lambda: False) == [b"train", b"learn"]
    assert compiling.machine_codes("predict", "int", lambda: False) == [b"predict"]


@pytest.mark.parametrize(
    "code",
    [
        "",
        "import sys; sys.exit(1)",
        "import os; os.abort()",
        "print('Hello')",
        "import sys; sys.stdin.close()",
        ANSWER + "sys.stdout.write('and more')",
        "import no_such_module",
    ],
)
def test_a_helper_that_fails_is_done_without(compiled, monkeypatch, capfd, code):
    helper(monkeypatch, code)
    assert compiling.machine_codes("train", "int", lambda: True) == [b"train", b"learn"]
    assert [part for part, _ in compiled] == ["train", "learn"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("python", [None, "", "/bin/true"])
def test_python_within_another_program_starts_nothing_unknown(compiled, monkeypatch, python):
    monkeypatch.setattr(sys, "executable", python)
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: pytest.fail("a process was started"))
    assert compiling.machine_codes("train", "int", lambda: True) == [b"train", b"learn"]


def test_a_python_that_is_not_there(compiled, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/folder/python3")
    assert compiling.machine_codes("train", "int", lambda: True) == [b"train", b"learn"]


def test_a_helper_that_hangs_is_stopped(compiled, monkeypatch):
    monkeypatch.setattr(compiling, "_PATIENCE_SECONDS", 0.5)
    helper(monkeypatch, "import time; time.sleep(1000)")
    start = time.monotonic()
    assert compiling.machine_codes("train", "int", lambda: True) == [b"train", b"learn"]
    assert 1 <= time.monotonic() - start < 60


def test_an_error_here_leaves_no_helper(compiled, monkeypatch):
    started = []
    popen = subprocess.Popen

    def start(*arguments, **options):
        started.append(popen(*arguments, **options))
        return started[-1]

    def fail(part, signature):
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(compiling, "_compile", fail)
    helper(monkeypatch, "import time; time.sleep(1000)")
    monkeypatch.setattr(compiling, "_PATIENCE_SECONDS", 0.1)
    with pytest.raises(KeyboardInterrupt):
        compiling.machine_codes("train", "int", lambda: True)
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)


FIT = """\
import sys, numpy as np, fastnn
from fastnn.engine import compiling
_compile = compiling._compile
compiling._compile = lambda part, signature: print(part) or _compile(part, signature)
net = fastnn.MLP([3, 2])
fastnn.Trainer(net, max_epochs=2, verbose=0).fit(*2 * (np.eye(3, dtype=np.float32), [0, 1, 1]))
if "numba" not in sys.modules: print(False)
print(net.fingerprint())
"""


@pytest.mark.skipif(len(getattr(os, "sched_getaffinity", lambda _: [0])(0)) < 2, reason="one core compiles alone")
def test_both_ways_make_the_same_programs(tmp_path):
    """A real first fit, from a folder where Python does not look by itself."""
    seen = {}
    for threads in ("1", "2"):
        environment = os.environ | {"FASTNN_CACHE_DIR": str(tmp_path / threads), "FASTNN_NUM_THREADS": threads}
        path = f"import sys; sys.path[:] = {sys.path!r}\n"
        command = [sys.executable, "-c", path + FIT]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        seen[threads] = done.stdout.split()
    assert seen["1"][:-1] == ["train", "learn", "predict"]
    assert seen["2"][:-1] == ["False"]
    assert seen["1"][-1] == seen["2"][-1]
    kept = [{file.name for file in (tmp_path / threads).rglob("*.o")} for threads in ("1", "2")]
    assert kept[0] == kept[1]
    assert len(kept[0]) == 3
