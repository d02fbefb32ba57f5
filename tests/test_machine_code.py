"""The cache of compiled programs: found again, never stale, private, and never in the way."""

from __future__ import annotations

import gc
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core import compiler

ROOT = Path(__file__).parents[1]
KERNEL_SOURCES = sorted(
    str(file.relative_to(ROOT / "fastnn"))
    for file in [
        ROOT / "fastnn/_jit.py",
        ROOT / "fastnn/_machine_code.py",
        *(file for floor in ("simd", "ops", "kernels") for file in (ROOT / "fastnn" / floor).rglob("*.py")),
    ]
)

# What a process of a user does, and what it saw: the program with the fewest lines, so that compiling is short.
SESSION = """
import json, sys, time, warnings
import numpy as np
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import numba
    before = {name: getattr(numba.config, name) for name in dir(numba.config) if name.isupper()}
    import fastnn.engine.trainer
    after_import = len(caught)
    from fastnn import _machine_code
    read, found = _machine_code.read, []
    _machine_code.read = lambda name: found.append(read(name)) or found[-1]
    X = np.eye(3, dtype=np.float32)
    net = fastnn.MLP([3, 2])
    outputs = [net.predict_proba(X).tolist() for _ in range(2)]
    if "train" in sys.argv:
        fastnn.Trainer(net, max_epochs=2, verbose=0).fit(X, [0, 1, 1])
        outputs.append(net.predict_proba(X).tolist())
    print(json.dumps({
        "hash": _machine_code.kernel_hash(),
        "hits": sum(code is not None for code in found),
        "misses": found.count(None),
        "outputs": outputs,
        "warnings": [str(w.message) for w in caught],
        "warned_at_import": after_import,
        "changed": [name for name in before if getattr(numba.config, name) != before[name]],
    }))
"""


def run(code, *arguments, package=ROOT, **environment):
    """Run a program in a process of its own, with the package at `package`; a value of None unsets a variable."""
    env = os.environ | {"PYTHONPATH": str(package)} | environment
    env = {name: str(value) for name, value in env.items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=env, cwd=package, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def session(*arguments, **environment):
    return json.loads(run(SESSION, *arguments, **environment))


def copy_of_package(folder):
    shutil.copytree(ROOT / "fastnn", folder / "fastnn", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def kernel_hash(package, **environment):
    code = "from fastnn import _machine_code; print(_machine_code.kernel_hash())"
    return run(code, package=package, **environment).strip()


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache with the programs of SESSION, and what the process that filled it saw."""
    folder = tmp_path_factory.mktemp("cache")
    return folder, session("train", FASTNN_CACHE_DIR=folder)


def programs_of(folder):
    """Without what the machine was found to cost, which the first few processes measure."""
    return {path: content for path, content in files_of(folder).items() if path.suffix != ".json"}


def files_of(folder):
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_second_process_compiles_nothing(filled):
    folder, first = filled
    assert first["misses"] == 3  # two parts of training, and prediction
    assert first["hits"] == 0
    assert first["warnings"] == []
    before = programs_of(folder)
    assert len(before) == 3

    second = session("train", FASTNN_CACHE_DIR=folder)
    assert (second["hits"], second["misses"]) == (3, 0)
    assert second["outputs"] == first["outputs"]
    assert second["warnings"] == []
    assert programs_of(folder) == before


def test_the_folder_is_private_and_named_after_the_kernels(filled):
    folder, first = filled
    (inner,) = folder.iterdir()
    assert inner.name == f"kernels-{first['hash']}"
    assert stat.S_IMODE(inner.stat().st_mode) == 0o700


def test_every_kernel_source_counts(tmp_path):
    """An edit of any of them gives another hash: even a comment, and a file that is new."""
    package = copy_of_package(tmp_path)
    check = (
        "import sys; from pathlib import Path; from fastnn import _machine_code\n"
        "def fresh(): _machine_code.kernel_hash.cache_clear(); return _machine_code.kernel_hash()\n"
        "hashes = [fresh()]\n"
        "for name in sys.argv[1:]:\n"
        "    path = Path(_machine_code.__file__).parent / name\n"
        "    text = path.read_bytes() if path.exists() else None\n"
        "    path.write_bytes((text or b'') + b'# edited')\n"
        "    hashes.append(fresh())\n"
        "    path.unlink() if text is None else path.write_bytes(text)\n"
        "assert fresh() == hashes[0] == fresh()\n"
        "print(len(set(hashes)))"
    )
    names = [*KERNEL_SOURCES, "ops/new.py", "simd/deeper.py"]
    assert len(KERNEL_SOURCES) > 15
    assert int(run(check, *names, package=package)) == len(names) + 1


def test_other_files_and_places_do_not_count(tmp_path):
    package = copy_of_package(tmp_path)
    assert kernel_hash(package) == kernel_hash(ROOT)
    with open(package / "fastnn/engine/trainer.py", "a", encoding="utf-8") as file:
        file.write("# edited\n")
    assert kernel_hash(package) == kernel_hash(ROOT)


def test_compiler_settings_count():
    settings = [
        {},
        {"NUMBA_OPT": "1"},
        {"NUMBA_BOUNDSCHECK": "1"},
        {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
    ]
    assert len({kernel_hash(ROOT, **setting) for setting in settings}) == len(settings)


def test_an_edited_piece_is_not_run_from_the_cache(tmp_path, filled):
    """The trap of Numba's own index: it looks only at the file of the program itself."""
    cache = tmp_path / "cache"
    shutil.copytree(filled[0], cache)
    package = copy_of_package(tmp_path)
    unchanged = session(package=package, FASTNN_CACHE_DIR=cache)
    assert (unchanged["hits"], unchanged["misses"]) == (1, 0)

    heads = package / "fastnn/ops/heads.py"
    text = heads.read_text(encoding="utf-8")
    edited = text.replace("share = _one(z[0]) / total", "share = (_one(z[0]) + _one(z[0])) / total")
    assert edited != text
    heads.write_text(edited, encoding="utf-8")
    changed = session(package=package, FASTNN_CACHE_DIR=cache)
    assert (changed["hits"], changed["misses"]) == (0, 1)
    assert [sum(row) for row in changed["outputs"][0]] == pytest.approx([2.0] * 3)

    heads.write_text(text, encoding="utf-8")
    again = session(package=package, FASTNN_CACHE_DIR=cache)
    assert (again["hits"], again["misses"]) == (1, 0)
    assert again["outputs"] == unchanged["outputs"]


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def noise(file):
    file.write_bytes(b"\x7fELF, but no machine code" * 50)


def empty(file):
    file.write_bytes(b"")


def test_a_damaged_file_is_a_miss_and_is_replaced(tmp_path, filled):
    folder, first = filled
    cache = tmp_path / "cache"
    shutil.copytree(folder, cache)
    for damage in (noise, cut, empty):
        for file in cache.rglob("predict-*.o"):
            damage(file)
        seen = session(FASTNN_CACHE_DIR=cache)
        assert (seen["hits"], seen["misses"]) == (0, 1), damage
        assert seen["outputs"] == first["outputs"][:2]
        assert seen["warnings"] == []

    repaired = session(FASTNN_CACHE_DIR=cache)
    assert (repaired["hits"], repaired["misses"]) == (1, 0)


def assert_works_with_one_warning(seen, first):
    """Compiled in this process alone; the same outputs; one warning, and only when something is compiled."""
    assert seen["outputs"] == first["outputs"][: len(seen["outputs"])]
    assert seen["hits"] == 0
    assert seen["misses"] == 2 * len(seen["outputs"]) - 3  # prediction, and the parts of training where there was one
    assert seen["warned_at_import"] == 0
    (sentence,) = seen["warnings"]
    assert "FASTNN_CACHE_DIR" in sentence
    assert "cannot be kept on disk" in sentence


@pytest.mark.skipif(sys.platform != "linux", reason="there is no other place where root may not write")
def test_a_home_that_cannot_be_written(filled):
    seen = session("train", HOME="/proc", XDG_CACHE_HOME=None, FASTNN_CACHE_DIR=None)
    assert_works_with_one_warning(seen, filled[1])


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path, filled):
    for name in "home", "cache":
        (tmp_path / name).mkdir(mode=0o500)
    try:
        for environment in (
            {"FASTNN_CACHE_DIR": tmp_path / "cache"},
            {"HOME": tmp_path / "home", "XDG_CACHE_HOME": None, "FASTNN_CACHE_DIR": None},
        ):
            assert_works_with_one_warning(session(**environment), filled[1])
    finally:
        for name in "home", "cache":
            (tmp_path / name).chmod(0o700)


FIND_FOLDER = """
import json, os, warnings
from pathlib import Path
if {no_home}:
    def home(): raise RuntimeError("Could not determine home directory.")
    Path.home = home
from fastnn import _machine_code
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    folders = [str(_machine_code.cache_folder()) for _ in range(3)]
assert len(set(folders)) == 1
print(json.dumps([folders[0], [str(w.message) for w in caught]]))
"""


def find_folder(no_home=False, **environment):
    return json.loads(run(FIND_FOLDER.replace("{no_home}", str(no_home)), **environment))


@pytest.mark.skipif(sys.platform != "linux", reason="another place on other systems")
def test_where_the_cache_is(tmp_path):
    home, xdg, own = (tmp_path / name for name in ("home", "xdg", "own"))
    nothing = {"HOME": str(home), "XDG_CACHE_HOME": None, "FASTNN_CACHE_DIR": None}
    name = f"kernels-{kernel_hash(ROOT)}"
    assert find_folder(**nothing) == [str(home / ".cache/fastnn" / name), []]
    assert find_folder(**nothing | {"XDG_CACHE_HOME": str(xdg)}) == [str(xdg / "fastnn" / name), []]
    everything = nothing | {"XDG_CACHE_HOME": str(xdg), "FASTNN_CACHE_DIR": str(own)}
    assert find_folder(**everything) == [str(own / name), []]


@pytest.mark.skipif(os.name != "posix", reason="folders that others may write to")
@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path, mode):
    folder, _ = find_folder(FASTNN_CACHE_DIR=tmp_path)
    Path(folder).chmod(mode)
    folder, (sentence,) = find_folder(FASTNN_CACHE_DIR=tmp_path)
    assert folder == "None"
    assert "writable by other users" in sentence
    assert files_of(tmp_path) == {}


def test_a_file_in_the_way_is_one_warning(tmp_path):
    (tmp_path / "file").write_text("here")
    folder, (sentence,) = find_folder(FASTNN_CACHE_DIR=tmp_path / "file" / "cache")
    assert folder == "None"
    assert "FASTNN_CACHE_DIR" in sentence


@pytest.mark.skipif(sys.platform != "linux", reason="another place on other systems")
def test_no_home_is_one_warning():
    folder, (sentence,) = find_folder(no_home=True, HOME=None, XDG_CACHE_HOME=None, FASTNN_CACHE_DIR=None)
    assert folder == "None"
    assert "home directory" in sentence


def test_import_neither_compiles_nor_touches_the_disk(tmp_path):
    run("import fastnn", FASTNN_CACHE_DIR=tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []


def test_numba_is_left_as_it_is(tmp_path, filled):
    """No setting is changed, and the cache of somebody else's function is where Numba puts it."""
    assert filled[1]["changed"] == []
    (tmp_path / "theirs.py").write_text(
        "import numba\n@numba.njit(cache=True)\ndef twice(x):\n    return 2 * x\n", encoding="utf-8"
    )
    code = (
        "import fastnn, json, numpy as np, sys; sys.path.insert(0, sys.argv[1])\n"
        "from numba.core import caching\n"
        "fastnn.MLP([2, 2]).predict(np.eye(2))\n"
        "from theirs import twice; twice(3)\n"
        "print(json.dumps([twice.stats.cache_path, sum(twice.stats.cache_hits.values()),"
        " [c.__name__ for c in caching.CompileResultCacheImpl._locator_classes if 'fastnn' in c.__module__]]))"
    )
    own = {"FASTNN_CACHE_DIR": filled[0], "NUMBA_CACHE_DIR": None}
    place, hits, foreign = json.loads(run(code, str(tmp_path), **own))
    assert Path(place) == tmp_path / "__pycache__"
    assert hits == 0
    assert foreign == []
    assert json.loads(run(code, str(tmp_path), **own))[1] == 1


@pytest.mark.parametrize("collects", [True, False])
def test_compiling_leaves_garbage_collection_as_it_was(collects, monkeypatch):
    from fastnn._jit import program

    @program
    def one():
        return 1

    meanwhile = []
    base = compiler.CompilerBase
    compile_extra = base.compile_extra
    monkeypatch.setattr(
        base, "compile_extra", lambda self, f: meanwhile.append(gc.isenabled()) or compile_extra(self, f)
    )
    if not collects:
        gc.disable()
    try:
        assert one() == 1
        assert gc.isenabled() == collects
    finally:
        gc.enable()
    assert meanwhile == [False]
    assert gc.get_freeze_count() == 0


def test_a_start_from_the_cache_needs_no_numba(filled):
    """Importing it takes longer than all else: training, prediction and every look at the machine do without."""
    code = (
        "import sys, fastnn, numpy as np\n"
        "from fastnn.engine import costs\n"
        "net = fastnn.MLP([3, 2])\n"
        "fastnn.Trainer(net, max_epochs=2, verbose=0).fit(np.eye(3, dtype=np.float32), [0, 1, 1])\n"
        "net.predict_proba(np.eye(3, dtype=np.float32))\n"
        "import fastnn.cli.train, fastnn.cli.info\n"
        "assert not {'numba', 'scipy'} & set(sys.modules), sorted(sys.modules)"
    )
    run(code, FASTNN_CACHE_DIR=filled[0])


@pytest.mark.parametrize(
    ("name", "value"), [("CPU_NAME", "'generic'"), ("OPT", "numba.core.config._OptLevel(0)"), ("BOUNDSCHECK", "1")]
)
def test_settings_that_are_not_in_the_environment_are_refused(tmp_path, name, value):
    """The cache's key has the environment's word, so code for another CPU must not get under it."""
    code = (
        "import numba, fastnn, numpy as np\n"
        f"numba.config.{name} = {value}\n"
        "try: fastnn.MLP([3, 2]).predict(np.eye(3))\n"
        "except RuntimeError as error: print(error)"
    )
    assert f"NUMBA_{name}" in run(code, FASTNN_CACHE_DIR=tmp_path, FASTNN_NUM_THREADS=1)
    assert programs_of(tmp_path) == {}


def test_programs_of_elsewhere_are_not_kept(filled):
    """The key does not cover their sources."""
    code = (
        "import numpy as np\n"
        "from fastnn._jit import piece\n"
        "from fastnn.engine.launch import Gang, Program\n"
        "@piece\n"
        "def write(rank, n_ranks, control, out, number):\n"
        "    out[rank] = number\n"
        "out, gang = np.zeros(2), Gang(2)\n"
        "gang.run(gang.prepare(Program('train', write), (out, np.float32(1.5))), expected_seconds=1.0)\n"
        "print(out)"
    )
    before = programs_of(filled[0])
    assert run(code, FASTNN_CACHE_DIR=filled[0]) == "[1.5 1.5]\n"
    assert programs_of(filled[0]) == before
