"""
Index the standard library of the running Python, then search it.

::

    paths ──▶ read ──▶ parse ──▶ store
  (thread) (threads) (threads)  (batches, one transaction each)

Every module, class and function goes with its docstring into a full-text index in SQLite. Batches
are committed while later files are still being parsed, so Ctrl-C leaves a database that can be
used. Files that are not valid Python (the standard library has some) are skipped, and listed at
the end. Try it: ``python index_stdlib.py --backend trio --search "event loop"``

While it runs it shows how far each stage is. At the end it says which of them limits the run, and
leaves a diagram and a timeline of it. What it advises can be tried: ``--processes 2``.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import logging
import os
import sqlite3
import sys
import sysconfig
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import anyio
from anyio import to_process, to_thread

from conveyor import (
    ErrorHandler,
    batch_task,
    from_thread,
    record_timeline,
    single_task,
)

NOT_INDEXED = {"__pycache__", "dist-packages", "site-packages"}
BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")  # where a node holds statements
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

SCHEMA = """
CREATE TABLE IF NOT EXISTS definition (
    id INTEGER PRIMARY KEY, path TEXT, line INTEGER, kind TEXT, name TEXT, docstring TEXT
);
CREATE INDEX IF NOT EXISTS definition_by_path ON definition (path);
CREATE VIRTUAL TABLE IF NOT EXISTS search USING fts5 (
    name, docstring, content = definition, content_rowid = id, tokenize = porter
);
CREATE TRIGGER IF NOT EXISTS definition_added AFTER INSERT ON definition BEGIN
    INSERT INTO search (rowid, name, docstring) VALUES (new.id, new.name, new.docstring);
END;
CREATE TRIGGER IF NOT EXISTS definition_removed AFTER DELETE ON definition BEGIN
    INSERT INTO search (search, rowid, name, docstring)
    VALUES ('delete', old.id, old.name, old.docstring);
END;
"""

QUERY = """
SELECT kind, definition.name, path, line, snippet(search, 1, '[', ']', ' ... ', 16)
FROM search JOIN definition ON definition.id = search.rowid
WHERE search MATCH ? ORDER BY bm25(search, 4.0, 1.0) LIMIT ?
"""


@dataclass(frozen=True)
class Source:
    path: Path
    content: bytes


class Definition(NamedTuple):
    """A row of the database."""

    path: str
    line: int
    kind: str
    name: str
    docstring: str


@dataclass(frozen=True)
class Module:
    definitions: list[Definition]


@dataclass(frozen=True)
class Stored:
    files: int
    definitions: int


# The stages. What blocks, or keeps the processor busy, goes to a worker thread.


@single_task(concurrency_limit=8)
async def read(path: Path) -> Source:
    return Source(path, await anyio.Path(path).read_bytes())


@single_task(concurrency_limit=2)
async def parse(source: Source, import_root: Path) -> Module:
    # Two, so that one parses while the other hands over: the parser does not release the GIL.
    return await to_thread.run_sync(parse_source, source, import_root)


@single_task(task_name="parse")
async def parse_elsewhere(source: Source, import_root: Path) -> Module:
    # Other processes have interpreters of their own.
    rows = await to_process.run_sync(parse_quietly, source, import_root)
    return Module([Definition(*row) for row in rows])


@batch_task(max_size=200, max_wait=0.5)
async def store(modules: list[Module], database: sqlite3.Connection) -> Stored:
    # One batch at a time is what batch tasks do by default, so one connection will do.
    return await to_thread.run_sync(store_modules, modules, database)


class SkipUnparsable(ErrorHandler):
    """Skip the files that are not valid Python, remember them, and let any other error fail."""

    def __init__(self) -> None:
        self.skipped: list[tuple[Path, Exception]] = []

    async def handle_error(
        self, error: Exception, item: Any, task_name: str, attempt: int
    ) -> tuple[bool, None]:
        # Null bytes and bad encodings are a kind of ValueError, if not a SyntaxError.
        if not isinstance(error, (SyntaxError, ValueError)):
            return False, None
        self.skipped.append((item.path, error))
        return True, None


async def index(
    root: Path, database: sqlite3.Connection, timeline: Path, processes: int = 0
) -> None:
    """Put all Python files below *root* into *database*, and print what happens."""
    unparsable = SkipUnparsable()
    parser = parse if processes == 0 else parse_elsewhere.replace(concurrency_limit=processes)
    pipeline = (
        read
        | parser.with_inputs(import_root_of(root)).replace(error_handler=unparsable)
        | store.with_inputs(database)
    )
    observed = pipeline.with_observer(record_timeline(timeline))
    observed = observed.with_progress("files", log_interval=1.0)
    files = definitions = 0
    # Filters belong to the process, not to a thread, so they are set around the whole run.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        async with observed(from_thread(find_sources(root))) as results:
            async for batch in results:
                files += batch.files
                definitions += batch.definitions
            report = results.report()

    print(f"{files:,} files with {definitions:,} definitions indexed")
    print(f"{report.statistics.skipped:,} files skipped{':' if unparsable.skipped else ''}")
    for path, error in sorted(unparsable.skipped, key=itemgetter(0)):
        print(f"  {path.relative_to(root)}\n      {type(error).__name__}: {error}")
    print(f"\n{report}\n")
    print(f"As a diagram, for https://mermaid.live:\n\n{pipeline.to_mermaid(report)}\n")
    print(f"As a timeline, for https://ui.perfetto.dev: {timeline}")


def find_sources(root: Path) -> Iterator[Path]:
    for directory, subdirectories, names in os.walk(root):
        subdirectories[:] = sorted(set(subdirectories) - NOT_INDEXED)
        for name in sorted(names):
            path = Path(directory, name)
            if path.suffix == ".py" and path.is_file():
                yield path


def import_root_of(directory: Path) -> Path:
    """Return the nearest directory that is not itself a package: module names start below it."""
    candidates = (directory, *directory.parents)
    return next((each for each in candidates if not (each / "__init__.py").exists()), directory)


def parse_source(source: Source, import_root: Path) -> Module:
    # Given bytes, the parser itself decodes them as their encoding declaration (PEP 263) says.
    tree = ast.parse(source.content, source.path)
    parts = source.path.relative_to(import_root).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(list(find_definitions(tree, name, source.path)))


def parse_quietly(source: Source, import_root: Path) -> list[tuple[Any, ...]]:
    """Parse in another process, which has filters of its own, and knows our classes otherwise."""
    warnings.simplefilter("ignore")
    return [tuple(row) for row in parse_source(source, import_root).definitions]


def find_definitions(node: ast.AST, name: str, path: Path) -> Iterator[Definition]:
    """Yield what *node*, called *name*, defines: itself, and whatever is defined inside it."""
    if isinstance(node, DOCUMENTED):
        kind = type(node).__name__.removeprefix("Async").removesuffix("Def").lower()
        docstring = ast.get_docstring(node) or ""
        line = 1 if isinstance(node, ast.Module) else node.lineno
        yield Definition(storable(str(path)), line, kind, storable(name), storable(docstring))
    for block in BLOCKS:
        for child in getattr(node, block, ()):
            inside = f"{name}.{child.name}" if isinstance(child, DOCUMENTED[1:]) else name
            yield from find_definitions(child, inside, path)


def storable(text: str) -> str:
    """Replace lone surrogates, which file names and literals may hold, but not a database."""
    return text.encode(errors="replace").decode()


def store_modules(modules: Sequence[Module], database: sqlite3.Connection) -> Stored:
    rows = [row for module in modules for row in module.definitions]
    with database:  # one transaction
        database.executemany("DELETE FROM definition WHERE path = ?", {(row.path,) for row in rows})
        database.executemany("INSERT INTO definition VALUES (NULL, ?, ?, ?, ?, ?)", rows)
    return Stored(len(modules), len(rows))


def open_database(path: Path) -> sqlite3.Connection:
    # The worker threads take turns, see store().
    database = sqlite3.connect(path, check_same_thread=False)
    database.executescript(SCHEMA)
    return database


def search(database: sqlite3.Connection, words: str, limit: int = 8) -> None:
    """Print what matches all *words* best."""
    # In quotes, nothing is syntax. The empty phrase makes no difference, but to an empty query.
    query = " ".join('"{}"'.format(word.replace('"', '""')) for word in words.split()) or '""'
    hits = database.execute(QUERY, (query, limit)).fetchall()
    print(f"\nSearch for {words!r}:{'' if hits else ' no hits'}")
    for kind, name, path, line, snippet in hits:
        print(f"  {kind:<8}  {name}\n            {path}:{line}")
        if snippet:
            print(f"            {' '.join(snippet.split())}")


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Index the standard library, then search it.")
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio")
    parser.add_argument("--path", type=Path, metavar="DIR", help="index this instead")
    parser.add_argument(
        "--database", type=Path, metavar="FILE", help="new, or to be updated; else a temporary file"
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=0,
        metavar="N",
        help="parse in so many processes; by default in two threads of this one",
    )
    parser.add_argument(
        "--search", default="run coroutine thread", metavar="WORDS", help="default: %(default)s"
    )
    options = parser.parse_args(arguments)
    if find_spec(options.backend) is None:
        parser.error(f"--backend: {options.backend} is not installed")
    options.path = (options.path or Path(sysconfig.get_paths()["stdlib"])).resolve()
    if not options.path.is_dir():
        parser.error(f"--path: there is no directory {options.path}")
    if options.processes < 0:
        parser.error(f"--processes: must be at least 0, got {options.processes}")
    if options.database is None:
        with tempfile.NamedTemporaryFile(prefix="index-", suffix=".sqlite", delete=False) as file:
            options.database = Path(file.name)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="backslashreplace")  # docstrings hold any character
    # The files that are skipped are listed at the end, with their names.
    logging.getLogger("conveyor").setLevel(logging.ERROR)
    print(f"Indexing {options.path} on {options.backend}\ninto {options.database}\n", flush=True)
    try:
        with closing(open_database(options.database)) as database:
            timeline = options.database.with_suffix(".trace.json")
            job = (options.path, database, timeline, options.processes)
            anyio.run(index, *job, backend=options.backend)
            search(database, options.search)
    except (KeyboardInterrupt, asyncio.CancelledError):  # the latter on Python 3.10 only
        print(f"\nInterrupted. The batches stored until now are in {options.database}")
        return 130
    except (OSError, sqlite3.Error) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
