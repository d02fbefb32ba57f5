"""The house stands: imports go down the stairs only, njit and IR are where they belong, import is light.

All tests but the last read the sources and run nothing.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

# The first part of a module's name after `fastnn`, and its floor. A new file needs a place here.
FLOORS = {
    **dict.fromkeys(["_checks", "_files", "_jit", "_machine_code", "_version"], 0),
    **dict.fromkeys(["simd", "ops"], 1),
    "kernels": 2,
    "engine": 3,
    **dict.fromkeys(["bench", "cli", "datasets", "estimators", "export", "metrics", "plots"], 4),
    **dict.fromkeys(["recipes", "report", "runs", "tuning", "web", "__main__"], 4),
}
ROOT_FLOOR = 3  # of fastnn/__init__.py: it names floor 4 too, but imports it only in its __getattr__
IR_BUILDERS = ("fastnn.simd",)

Sources = dict[str, str]  # by module name: fastnn, fastnn.engine, fastnn.engine.network ...


class Import(NamedTuple):
    line: int
    name: str  # dotted and absolute, with the imported name at its end
    types_only: bool


def read_sources() -> Sources:
    files = sorted((ROOT / "fastnn").rglob("*.py"))
    parts = [file.relative_to(ROOT).with_suffix("").parts for file in files]
    names = [".".join(p[:-1] if p[-1] == "__init__" else p) for p in parts]
    packages = {name for name, p in zip(names, parts, strict=True) if p[-1] == "__init__"}
    # A package's source gets a mark, because `from .` means another thing there than in a plain module.
    return {
        name + (".__init__" if name in packages else ""): file.read_text(encoding="utf-8")
        for name, file in zip(names, files, strict=True)
    }


def imports(module: str, source: str) -> Iterator[Import]:
    """Every import of a source, at its top or in a function, but for the lazy __getattr__ of the package."""
    lazy: set[ast.AST] = set()
    types_only: set[ast.AST] = set()
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if module == "fastnn.__init__" and isinstance(node, ast.FunctionDef) and node.name == "__getattr__":
            lazy.update(ast.walk(node))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            types_only.update(*map(ast.walk, node.body))
    for node in ast.walk(tree):
        if node in lazy:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*above, *filter(None, [node.module])])
            names = [f"{origin}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield Import(node.lineno, name, node in types_only)


def floor_of(module: str) -> int:
    _, *rest = module.split(".")
    return ROOT_FLOOR if rest in ([], ["__init__"]) else FLOORS[rest[0]]


def target_of(name: str, sources: Sources) -> str | None:
    """The module of the package that an import brings in; None if it comes from elsewhere."""
    if name != "fastnn" and not name.startswith("fastnn."):
        return None
    while f"{name}.__init__" not in sources and name not in sources:
        name = name.rpartition(".")[0]
    return name if name in sources else f"{name}.__init__"


def complaints(sources: Sources) -> list[str]:
    """What is wrong with the stairs, as sentences."""
    found = []
    beside: dict[str, set[str]] = {}
    for module, source in sources.items():
        first = module.split(".")[1]
        if first != "__init__" and first not in FLOORS:
            found.append(f"{module} has no floor")
            continue
        floor = floor_of(module)
        beside[module] = set()
        for line, name, types_only in imports(module, source):
            if name.split(".")[0] == "importlib" and name.split(".")[1:2] not in (
                ["metadata"],
                ["resources"],
                ["util"],
            ):
                if module != "fastnn.__init__":
                    found.append(f"{module}:{line} imports by name, which nobody can check")
            elif (target := target_of(name, sources)) is None:
                continue
            elif target != "fastnn.__init__" and target.split(".")[1] not in FLOORS:
                continue  # said already
            elif floor_of(target) > floor:
                found.append(f"{module}:{line} on floor {floor} imports {name} from floor {floor_of(target)}")
            elif not types_only:
                beside[module].add(target)
    return found + [f"{' -> '.join(circle)} is a circle" for circle in circles(beside)]


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    found = []
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            found.append([*path[path.index(module) :], module])
        elif module not in done:
            for target in sorted(edges.get(module, ())):
                visit(target, [*path, module])
            done.add(module)

    for module in edges:
        visit(module, [])
    return found


def words(source: str) -> set[str]:
    """All names that a source uses, defines or imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.alias):
            found.add(node.name.rpartition(".")[2])
    return found


def test_imports_go_down_the_stairs():
    sources = read_sources()
    assert len(sources) > 20
    assert complaints(sources) == []


MADE_UP = {
    "fastnn.__init__": "from fastnn.engine.trainer import Trainer\ndef __getattr__(name): from . import cli",
    "fastnn._jit": "from ._version import __version__",
    "fastnn._version": "",
    "fastnn.ops.__init__": "",
    "fastnn.ops.exp": "from .._jit import op",
    "fastnn.engine.__init__": "",
    "fastnn.engine.samples": "import os, importlib.metadata",
    "fastnn.engine.trainer": "from .._version import __version__\nfrom ..ops import exp\nfrom . import samples",
    "fastnn.cli": "import fastnn\nfrom fastnn import Trainer",
}


@pytest.mark.parametrize(
    ("module", "line", "complaint"),
    [
        ("fastnn.cli", "", None),
        (
            "fastnn._jit",
            "from fastnn.ops.exp import exp",
            "floor 0 imports fastnn.ops.exp.exp from floor 1",
        ),
        ("fastnn._jit", "from . import ops", "floor 0 imports fastnn.ops from floor 1"),
        ("fastnn.ops.exp", "from ..engine import samples", "imports fastnn.engine.samples from floor 3"),
        ("fastnn.ops.__init__", "def f():\n    import fastnn.cli", "imports fastnn.cli from floor 4"),
        ("fastnn.ops.exp", "if TYPE_CHECKING:\n    import fastnn.cli", "imports fastnn.cli from floor 4"),
        ("fastnn.ops.exp", "from fastnn import Trainer", "imports fastnn.Trainer from floor 3"),
        ("fastnn.__init__", "from .cli import main", "imports fastnn.cli.main from floor 4"),
        ("fastnn.__init__", "def f(): from . import cli", "imports fastnn.cli from floor 4"),
        ("fastnn.engine.samples", "from .trainer import Trainer", "is a circle"),
        ("fastnn.engine.samples", "def f():\n    from .trainer import Trainer", "is a circle"),
        ("fastnn.engine.samples", "if TYPE_CHECKING:\n    from .trainer import Trainer", None),
        ("fastnn.engine.samples", "from fastnn import Trainer", "is a circle"),
        ("fastnn.engine.samples", "import importlib", "imports by name"),
        ("fastnn.attic", "", "fastnn.attic has no floor"),
    ],
)
def test_a_crooked_stair_is_seen(module, line, complaint):
    found = complaints(MADE_UP | {module: f"{MADE_UP.get(module, '')}\n{line}"})
    if complaint is None:
        assert found == []
    else:
        assert found
        assert complaint in found[0]


def test_only_the_jit_floor_says_njit():
    assert [m for m, source in read_sources().items() if words(source) & {"jit", "njit"}] == ["fastnn._jit"]


def test_only_few_files_build_llvm_ir():
    for module, source in read_sources().items():
        if not module.startswith(IR_BUILDERS):
            used = [i.name for i in imports(module, source) if i.name.startswith("llvmlite.ir")]
            assert used == [], module


def test_the_package_imports_nothing_heavy():
    """The public names bring in NumPy and llvmlite, and nothing else from outside; not Numba before it compiles."""
    program = (
        "import json, sys, numpy.random; before = set(sys.modules); from fastnn import *;"
        "print(json.dumps(sorted({name.split('.')[0] for name in set(sys.modules) - before})))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)
    ours = {"fastnn", "llvmlite", "numpy"}
    assert set(json.loads(done.stdout)) - sys.stdlib_module_names - ours == set()
