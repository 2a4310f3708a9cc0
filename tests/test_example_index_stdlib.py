"""The example: what it stores, skips, prints and answers, and how it ends."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "index_stdlib.py"
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
PROGRESS = re.compile(r"files: read .* \| parse .* \| store .* done, [1-9]\d* out, \d+ s\n")

FILES = {
    "good.py": b'"""Good."""\n\nclass Big:\n    """Say \\"big\\"."""\n    def run(self): pass\n',
    "latin.py": b'# -*- coding: latin-1 -*-\n"""Caf\xe9."""\n',
    "surrogate.py": b'"""Half \\ud800 a pair."""\n',
    "warned.py": b'"""Not an \\escape."""\nx = 1 is 1\n',
    "empty.py": b"",
    "package/__init__.py": b'"""A package."""\n',
    "package/inner/__init__.py": b"",
    "package/inner/deep.py": (
        b"try:\n    async def outer():\n        'Outside.'\n        def nested(): 'Inside.'\n"
        b"except NameError:\n    def fallback(): ...\n"
        b"match 1:\n    case 1:\n        class Matched: ...\n"
    ),
    "bad_syntax.py": b"def broken(:\n",
    "bad_bytes.py": b"'\xff'\n",
    "bad_codec.py": b"# coding: no-such-codec\n",
    "bad_null.py": b"a\0b\n",
    "site-packages/other.py": b"",
    "__pycache__/cached.py": b"",
    "notes.txt": b"",
}
ROWS = [
    ("empty.py", 1, "module", "empty", ""),
    ("good.py", 1, "module", "good", "Good."),
    ("good.py", 3, "class", "good.Big", 'Say "big".'),
    ("good.py", 5, "function", "good.Big.run", ""),
    ("latin.py", 1, "module", "latin", "Café."),
    ("package/__init__.py", 1, "module", "package", "A package."),
    ("package/inner/__init__.py", 1, "module", "package.inner", ""),
    ("package/inner/deep.py", 1, "module", "package.inner.deep", ""),
    ("package/inner/deep.py", 2, "function", "package.inner.deep.outer", "Outside."),
    ("package/inner/deep.py", 4, "function", "package.inner.deep.outer.nested", "Inside."),
    ("package/inner/deep.py", 6, "function", "package.inner.deep.fallback", ""),
    ("package/inner/deep.py", 9, "class", "package.inner.deep.Matched", ""),
    ("surrogate.py", 1, "module", "surrogate", "Half ? a pair."),
    ("warned.py", 1, "module", "warned", r"Not an \escape."),
]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("index_stdlib", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "index_stdlib", module)  # where dataclasses look themselves up
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def library(tmp_path: Path) -> Path:
    root = tmp_path / "library"
    for name, content in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


@pytest.fixture
def timeline(tmp_path: Path) -> Path:
    return tmp_path / "trace.json"


@pytest.fixture
def database(example: ModuleType, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(example.open_database(tmp_path / "index.sqlite")) as database:
        yield database


def rows(database: sqlite3.Connection, root: Path) -> list[tuple[str, int, str, str, str]]:
    query = "SELECT path, line, kind, name, docstring FROM definition ORDER BY path, line"
    return [
        (Path(path).relative_to(root).as_posix(), *rest) for path, *rest in database.execute(query)
    ]


def run(*arguments: str | Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, EXAMPLE, *arguments]
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=timeout, check=False
    )


async def test_every_definition_is_stored(
    example: ModuleType, library: Path, database: sqlite3.Connection, timeline: Path
) -> None:
    """Modules, classes and functions at any depth, with docstrings decoded as their file says."""
    await example.index(library, database, timeline)
    assert rows(database, library) == ROWS


async def test_broken_files_are_listed(
    example: ModuleType,
    library: Path,
    database: sqlite3.Connection,
    timeline: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What cannot be parsed is counted, and named with its error."""
    await example.index(library, database, timeline)
    output = capsys.readouterr().out
    _, _, skipped = output.partition("4 files skipped:\n")
    lines = skipped.partition("\n\n")[0].splitlines()
    assert lines[::2] == ["  bad_bytes.py", "  bad_codec.py", "  bad_null.py", "  bad_syntax.py"]
    assert all(re.match(r" {6}(SyntaxError|ValueError): .", line) for line in lines[1::2])
    table = [line.split()[:5] for line in output.splitlines()]
    assert ["read", "12", "12", "12", "0"] in table
    assert ["parse", "12", "8", "12", "4"] in table
    assert ["store", "8", "1", "1", "0"] in table


async def test_other_errors_are_not_skipped(
    example: ModuleType,
    library: Path,
    database: sqlite3.Connection,
    timeline: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bug in the extraction is not a broken file."""

    def broken(*_: object) -> None:
        raise LookupError("a bug")

    monkeypatch.setattr(example, "find_definitions", broken)
    with pytest.raises(LookupError, match=r"^a bug\n"):
        await example.index(library, database, timeline)


async def test_indexing_again_replaces_rows(
    example: ModuleType, library: Path, database: sqlite3.Connection, timeline: Path
) -> None:
    """A second run over the same files leaves one row each, with what they contain now."""
    await example.index(library, database, timeline)
    library.joinpath("empty.py").write_text('"""Written since."""')
    await example.index(library, database, timeline)
    assert rows(database, library) == [
        ("empty.py", 1, "module", "empty", "Written since."),
        *ROWS[1:],
    ]
    database.execute("INSERT INTO search (search, rank) VALUES ('integrity-check', 1)")


async def test_part_of_a_package_keeps_its_name(
    example: ModuleType, library: Path, database: sqlite3.Connection, timeline: Path
) -> None:
    """Names are those one would import, wherever the indexing starts."""
    await example.index(library / "package" / "inner", database, timeline)
    assert rows(database, library) == [row for row in ROWS if "inner" in row[0]]


async def test_an_empty_directory_is_fine(
    example: ModuleType,
    tmp_path: Path,
    database: sqlite3.Connection,
    timeline: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing to do is not an error."""
    tmp_path.joinpath("nothing").mkdir()
    await example.index(tmp_path / "nothing", database, timeline)
    assert "0 files with 0 definitions indexed" in capsys.readouterr().out


def test_search_prefers_names(
    example: ModuleType, database: sqlite3.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    """The best match comes first, with its place and a snippet."""
    found = example.Definition("/b.py", 7, "function", "b.lock", "Wait for it.")
    other = example.Definition("/a.py", 3, "class", "a.Thing", "Locks itself\n when waited for.")
    example.store_modules([example.Module([other, found])], database)
    example.search(database, "lock wait")
    assert capsys.readouterr().out == (
        "\nSearch for 'lock wait':\n"
        "  function  b.lock\n            /b.py:7\n            [Wait] for it.\n"
        "  class     a.Thing\n            /a.py:3\n            [Locks] itself when [waited] for.\n"
    )


@pytest.mark.parametrize(
    "words", ['"', "a*", "a AND", "NEAR(", "name:x", "-", "'", "(", "^", "", " ", '"" "x"', "é"]
)
def test_search_takes_any_characters(
    example: ModuleType,
    database: sqlite3.Connection,
    capsys: pytest.CaptureFixture[str],
    words: str,
) -> None:
    """What is syntax elsewhere is only text here, and nothing may be found."""
    example.search(database, words)
    assert capsys.readouterr().out == f"\nSearch for {words!r}: no hits\n"


@BACKENDS
def test_command_line(library: Path, tmp_path: Path, backend: str) -> None:
    """The program indexes, reports and searches, and warns of the files that it cannot parse."""
    options = ["--path", library, "--database", tmp_path / "db", "--search", "package"]
    done = run("--backend", backend, *options)
    assert done.returncode == 0
    assert re.fullmatch(r"files: .* 12 done, 1 out, completed after .*\n", done.stderr)
    assert f"on {backend}\ninto {tmp_path / 'db'}\n" in done.stdout
    assert "8 files with 14 definitions indexed" in done.stdout
    assert f"module    package\n            {library}/package/__init__.py:1\n" in done.stdout
    assert "flowchart LR\n" in done.stdout
    trace = json.loads(tmp_path.joinpath("db.trace.json").read_text())
    assert {"read", "parse", "store"} <= {event["name"] for event in trace["traceEvents"]}


@BACKENDS
def test_processes_may_parse(library: Path, tmp_path: Path, backend: str) -> None:
    """They find the same, and warn of nothing."""
    options = ["--path", library, "--database", tmp_path / "db", "--processes", "2"]
    done = run("--backend", backend, *options)
    assert "8 files with 14 definitions indexed\n4 files skipped:" in done.stdout
    assert re.fullmatch(r"files: .* 12 done, 1 out, completed after .*\n", done.stderr)
    with contextlib.closing(sqlite3.connect(tmp_path / "db")) as database:
        assert rows(database, library) == ROWS


def test_a_negative_number_of_processes_is_an_error(tmp_path: Path) -> None:
    """As early as it can be known."""
    done = run("--processes", "-1", "--database", tmp_path / "db")
    assert done.returncode == 2
    assert done.stderr.endswith("error: --processes: must be at least 0, got -1\n")


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    """The message says which; nothing is made."""
    done = run("--path", tmp_path / "none", "--database", tmp_path / "db")
    assert done.returncode == 2
    assert done.stderr.endswith(f"error: --path: there is no directory {tmp_path / 'none'}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_an_error(library: Path) -> None:
    """The file is left as it was."""
    done = run("--path", library, "--database", library / "good.py")
    assert (done.returncode, done.stderr) == (1, "DatabaseError: file is not a database\n")
    assert library.joinpath("good.py").read_bytes() == FILES["good.py"]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one child on Windows")
@BACKENDS
def test_ctrl_c_leaves_a_usable_database(tmp_path: Path, backend: str) -> None:
    """Interrupted after its first batch, the program ends in order, and the batch is there."""
    database = tmp_path / "index.sqlite"
    command = [sys.executable, EXAMPLE, "--backend", backend, "--database", database]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, encoding="utf-8") as child:
        assert child.stderr is not None
        reported = next((line for line in child.stderr if PROGRESS.fullmatch(line)), None)
        assert reported is not None
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    last = r"files: .* (ended early|failed with KeyboardInterrupt) after .*\n"
    assert re.fullmatch(rf"(files: .*\n)*{last}", errors)
    assert output.endswith(f"\nInterrupted. The batches stored until now are in {database}\n")
    with contextlib.closing(sqlite3.connect(database)) as connection:
        (stored,) = connection.execute("SELECT count(*) FROM definition").fetchone()
        assert stored > 0
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT * FROM search WHERE search MATCH 'import'").fetchone()
