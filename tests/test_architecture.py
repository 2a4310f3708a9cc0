"""The shape of the package: who may import what, and how long a file may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src"
PACKAGE = SRC / "conveyor"
MODULES = sorted(PACKAGE.rglob("*.py"))

PURE = [
    "_engine/sequence.py",
    "_engine/batching.py",
    "_engine/grouping.py",
    "_engine/sizing.py",
    "_engine/backoff.py",
    "_engine/gcra.py",
    "_engine/aimd.py",
    "_engine/circuit.py",
    "_engine/policy.py",
    "_engine/lanes.py",
]
DESCRIPTIONS = ["tasks.py", "pipeline.py", "decorators.py", "context.py", "error_handling.py"]
BACKEND_SPECIFIC = ["_engine/host.py", "_engine/trio_host.py"]
TESTING_BACKENDS = ["asyncio_shuffle", "asyncio_time", "trio_internals", "trio_time"]
MAX_LINES = 350


def imports(path: Path, source: str | None = None) -> Iterator[str]:
    """Yield the absolute dotted name of everything *path* imports, wherever in the file."""
    package = path.relative_to(SRC).parent.parts
    for node in ast.walk(ast.parse(source or path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join([*parts, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def imported_from(path: Path, *roots: str) -> list[str]:
    """List what *path* imports out of *roots*, the roots themselves included."""
    return [name for name in imports(path) if f"{name}.".startswith(tuple(f"{r}." for r in roots))]


def test_imports_sees_every_form() -> None:
    """Plain, aliased, relative and nested imports are all resolved."""
    source = (
        "import a.b as c\n"
        "from ._engine import run\n"
        "from . import tasks\n"
        "def f():\n    from conveyor._engine.host import x\n"
    )
    found = set(imports(PACKAGE / "tasks.py", source))
    assert found == {
        "a.b",
        "conveyor._engine.run",
        "conveyor.tasks",
        "conveyor._engine.host.x",
    }
    source = "from ..tasks import T\nfrom .. import stream"
    found = set(imports(PACKAGE / "_engine" / "run.py", source))
    assert found == {"conveyor.tasks.T", "conveyor.stream"}


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_know_no_event_loop(module: str) -> None:
    """The pure modules import neither anyio nor asyncio nor trio."""
    assert imported_from(PACKAGE / module, "anyio", "asyncio", "trio") == []


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_never_await(module: str) -> None:
    """The pure modules contain no coroutine."""
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.AsyncFunctionDef | ast.Await)]


@pytest.mark.parametrize("module", DESCRIPTIONS)
def test_descriptions_do_not_know_the_engine(module: str) -> None:
    """Modules that describe work import nothing from inside the engine."""
    assert imported_from(PACKAGE / module, "conveyor._engine") == []


def test_only_the_hosts_know_the_backends() -> None:
    """AnyIO is the only way to an event loop for every module but two, besides the test clocks."""
    users = [
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        if imported_from(path, "asyncio", "trio")
    ]
    assert users == [*BACKEND_SPECIFIC, *(f"testing/{name}.py" for name in TESTING_BACKENDS)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_stay_short(path: Path) -> None:
    """A file that grows beyond one sitting's reading wants to be two."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES
