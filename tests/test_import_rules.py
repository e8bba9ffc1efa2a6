"""A dependency points inward only, and importing the package stays cheap."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "modulus_es"

# The composition root wires everything together; nobody else may.
WIRING = {"modulus_es", "modulus_es.system"}
PORTS = {
    f"modulus_es.{family}{port}" for family in ("stores", "transports") for port in ("", ".port")
} | {"modulus_es.stores.rows"}
ADAPTERS = {"memory", "sqlite", "postgres", "rabbitmq", "azure_servicebus"}
# Outer folder -> the other outer folders that it may know.
OUTER = {
    "stores": set(),
    "transports": set(),
    "views": set(),
    "widgets": {"views"},
    "testing": {"wiring"},
}
HEAVY = ("IPython", "aio_pika", "anydi", "anywidget", "asyncio", "ipywidgets", "matplotlib")
HEAVY += ("networkx", "numpy", "pandas", "psycopg", "sqlite3")


def zone(module: str) -> str:
    """Where a module of the package belongs: core, wiring or one of the outer folders."""
    if module in WIRING:
        return "wiring"
    folder = module.split(".")[1]
    return folder if folder in OUTER and module not in PORTS else "core"


def is_allowed(importer: str, imported: str) -> bool:
    """Whether one module of the package may import another, at the top or inside a function."""
    here, there = zone(importer), zone(imported)
    if there == "core" or here == "wiring":
        return True
    if here == "core":
        return False
    if here != there:
        return there in OUTER[here]
    # Two adapters may share a module, but never know each other.
    same = importer.split(".")[:3] == imported.split(".")[:3]
    return same or imported.split(".")[2] not in ADAPTERS


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> dict[str, Path]:
    return {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(source: str, known: set[str]) -> set[str]:
    """Every module that a source text imports, at any depth, by any spelling."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            assert node.level == 0, "imports are absolute"
            named = {f"{base}.{alias.name}" for alias in node.names}
            found.update(named & known or {base})
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in ("import_module", "importlib.import_module", "__import__")
            and isinstance(node.args[0], ast.Constant)
        ):
            found.add(str(node.args[0].value))
    return found


class WithoutTypeChecking(ast.NodeTransformer):
    """Drops what only a type checker reads."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            return node.orelse
        return self.generic_visit(node)


def forbidden(importer: str, source: str, known: set[str]) -> set[str]:
    run_time = ast.unparse(WithoutTypeChecking().visit(ast.parse(source)))
    # Whom the composition root hands itself to may name its type, and nothing more of it.
    type_only = (imports(source, known) - imports(run_time, known)) & {"modulus_es.system"}
    ours = {name for name in imports(source, known) if name.split(".")[0] == "modulus_es"}
    return {name for name in ours - type_only if not is_allowed(importer, name)}


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_nothing_that_lies_further_out(module: str) -> None:
    known = modules()
    source = known[module].read_text("utf-8")
    assert forbidden(module, source, set(known)) == set()


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("modulus_es.module", "import modulus_es.views.svg"),
        ("modulus_es.module", "from modulus_es import system"),
        ("modulus_es.module", "if TYPE_CHECKING:\n    from modulus_es.views import svg"),
        ("modulus_es.relay", "def f():\n    from modulus_es.stores.memory import MemoryStore"),
        ("modulus_es.bus", "import importlib\nimportlib.import_module('modulus_es.widgets')"),
        ("modulus_es.stores.port", "from modulus_es.stores import memory"),
        ("modulus_es.stores", "from modulus_es.stores.memory import MemoryStore"),
        ("modulus_es.stores.memory", "from modulus_es.transports.memory import MemoryTransport"),
        ("modulus_es.stores.sqlite", "from modulus_es.stores.memory import MemoryStore"),
        ("modulus_es.views.svg", "from modulus_es.widgets import explorer"),
        ("modulus_es.testing.given", "from modulus_es.views.frames import events"),
    ],
)
def test_the_rule_catches_an_import_that_points_outward(importer: str, source: str) -> None:
    known = {importer, "modulus_es.system", "modulus_es.stores.memory", "modulus_es.widgets"}
    assert forbidden(importer, source, known) != set()


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("modulus_es.system", "from modulus_es.stores.memory import MemoryStore"),
        ("modulus_es.relay", "from modulus_es.stores.port import Store"),
        ("modulus_es.module", "if TYPE_CHECKING:\n    from modulus_es.system import System"),
        ("modulus_es.stores.memory", "from modulus_es.stores import port"),
        ("modulus_es.stores.sqlite", "from modulus_es.stores.tables import schema"),
        ("modulus_es.views.svg", "from modulus_es.views.layout import layers"),
        ("modulus_es.widgets.explorer", "from modulus_es.views.layout import layers"),
        ("modulus_es.testing.given", "from modulus_es.system import System"),
    ],
)
def test_the_rule_permits_an_import_that_points_inward(importer: str, source: str) -> None:
    known = {importer, "modulus_es.stores.port", "modulus_es.stores.tables"}
    assert forbidden(importer, source, known) == set()


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_what_pyproject_declares(module: str) -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text("utf-8"))["project"]
    declared = list(project["dependencies"])
    if zone(module) == "widgets":
        declared += project["optional-dependencies"]["notebook"]
    if zone(module) == "testing":
        declared += project["optional-dependencies"]["test"]
    names = {re.split(r"[^\w-]", line)[0].replace("-", "_") for line in declared}
    source = modules()[module].read_text("utf-8")
    tops = {name.split(".")[0] for name in imports(source, set())}
    assert tops - sys.stdlib_module_names - {"modulus_es"} - names == set()


def printed_by(code: str) -> str:
    """What a fresh interpreter prints; it may keep what it compiled for the next one."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment
    ).stdout


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = set(printed_by("import sys, modulus_es; print(*sys.modules)").split())
    assert "modulus_es" in loaded
    assert sorted(loaded.intersection(HEAVY)) == []


def cpu_seconds(module: str) -> float:
    code = "import time; t = time.process_time(); import {}; print(time.process_time() - t)"
    return float(printed_by(code.format(module)))


def test_importing_the_package_takes_at_most_half_as_long_again_as_eventsourcing() -> None:
    contenders = ("modulus_es", "eventsourcing.application")
    # Interleaved, so that a busy moment hits both; the least of each is the least disturbed,
    # and is never the first run, which may have to compile.
    rounds = [[cpu_seconds(module) for module in contenders] for _ in range(8)]
    ours, theirs = (min(times) for times in zip(*rounds, strict=True))
    assert ours / theirs <= 1.5
