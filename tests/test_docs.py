"""
Every Python snippet of the README and the documentation is a program that does what it says.

Each is run by itself on both backends, in virtual time, and its output compared with what the
document shows:

- the comments behind its ``print(...)`` lines, in the order of the source, or
- the literal block that follows the snippet and is introduced by "... prints::".

A snippet with test functions in it is given to pytest. One with the comment ``.. not run: reason``
above it is only compiled.
"""

from __future__ import annotations

import ast
import io
import logging
import re
import subprocess
import sys
import textwrap
import tokenize
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import anyio
import pytest
from sybil import Document, Example
from sybil.parsers.rest import CodeBlockParser

import conveyor
from conveyor import testing
from conveyor.options import BatchTaskOptions, SingleTaskOptions

ROOT = Path(__file__).parent.parent
README = ROOT / "README.rst"
DOCUMENTS = [README, *sorted((ROOT / "docs").glob("*.rst"))]

NOT_RUN = re.compile(r"\.\. not run: .+\s*\Z")
OUTPUT = re.compile(r"\s*(?:\S.*\n)*?.*\bprints::\n\n((?:\n|[ ]+\S.*\n?)+)")


class Snippet(NamedTuple):
    """A Python block of a document."""

    path: Path
    line: int
    source: str
    output: str | None  # what the document shows
    is_run: bool

    @property
    def has_tests(self) -> bool:
        return re.search(r"^(async )?def test_", self.source, re.MULTILINE) is not None

    def compile(self) -> Any:
        # Errors point into the document.
        lines = "\n" * (self.line - 1) + self.source
        return compile(lines, self.path, "exec", dont_inherit=True)


def snippets_of(path: Path) -> list[Snippet]:
    """Return the Python blocks of a document, first to last."""
    document = Document.parse(str(path), CodeBlockParser("python", evaluator=lambda _: None))
    return [snippet_of(path, document, example) for example in document.examples()]


def snippet_of(path: Path, document: Document, example: Example) -> Snippet:
    source = str(example.parsed)
    shown = OUTPUT.match(document.text, example.region.end)
    return Snippet(
        path,
        example.line + example.parsed.line_offset + 1,
        source,
        textwrap.dedent(shown[1]).strip() if shown else printed_in_comments(source),
        NOT_RUN.search(document.text[: example.region.start]) is None,
    )


def printed_in_comments(source: str) -> str | None:
    """Return the comments behind ``print(...)``, ``None`` if there are none."""
    ends = {
        node.end_lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    }
    comments = [
        token.string.removeprefix("#").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT and token.start[0] in ends
    ]
    return "\n".join(comments) if comments else None


SNIPPETS = [snippet for path in DOCUMENTS for snippet in snippets_of(path)]


def parametrize(condition: Callable[[Snippet], bool]) -> pytest.MarkDecorator:
    chosen = [snippet for snippet in SNIPPETS if condition(snippet)]
    ids = [f"{snippet.path.name}:{snippet.line}" for snippet in chosen]
    return pytest.mark.parametrize("snippet", chosen, ids=ids)


@pytest.fixture(params=["asyncio", "trio"])
def virtual_backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """``anyio.run()`` uses this backend and a clock of its own, unless it is told otherwise."""
    real_run = anyio.run

    def run(
        func: Callable[..., Any],
        *args: Any,
        backend: str = "asyncio",
        backend_options: dict[str, Any] | None = None,
    ) -> Any:
        if backend_options is None:
            # Not by its options: the oldest AnyIO loses them on the way to Trio.
            return testing.run(
                func, *args, backend=request.param if backend == "asyncio" else backend
            )
        return real_run(func, *args, backend=backend, backend_options=backend_options)

    monkeypatch.setattr(anyio, "run", run)
    name: str = request.param
    return name


@contextmanager
def fresh_logging() -> Iterator[None]:
    """As in a new program, nobody has configured logging; what the block does to it is undone."""
    loggers = [logging.getLogger(), logging.getLogger("conveyor")]
    before = [(logger.handlers[:], logger.level) for logger in loggers]
    for logger in loggers:
        logger.handlers[:] = []
    try:
        yield
    finally:
        for logger, (handlers, level) in zip(loggers, before, strict=True):
            logger.handlers[:] = handlers
            logger.setLevel(level)


@parametrize(lambda snippet: snippet.is_run and not snippet.has_tests)
@pytest.mark.usefixtures("virtual_backend")
def test_snippet_does_what_it_says(
    snippet: Snippet,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """The snippet runs by itself and prints what the document shows."""
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.chdir(tmp_path)
    with fresh_logging():
        exec(snippet.compile(), main.__dict__)
    printed = capsys.readouterr().out.strip()
    assert printed.splitlines() == (snippet.output or "").splitlines()


@parametrize(lambda snippet: snippet.is_run and snippet.has_tests)
def test_snippet_of_tests_passes(snippet: Snippet, pytester: pytest.Pytester) -> None:
    """pytest collects tests in the snippet, and all of them pass."""
    pytester.makepyfile(snippet.source)
    outcomes = pytester.runpytest_inprocess("-p", "no:cacheprovider").parseoutcomes()
    assert outcomes.pop("passed", 0) > 0
    assert outcomes == {}


@parametrize(lambda snippet: not snippet.is_run)
def test_snippet_that_is_not_run_compiles(snippet: Snippet) -> None:
    """What needs a package that the tests do not have is at least Python."""
    snippet.compile()


@pytest.mark.parametrize("run", ["anyio.run(main)", 'anyio.run(main, backend="trio")'])
def test_readme_program_runs_as_a_script(run: str, tmp_path: Path) -> None:
    """The README's program runs on either backend as it stands."""
    (snippet,) = snippets_of(README)
    assert "anyio.run(main)" in snippet.source
    script = tmp_path / "program.py"
    script.write_text(snippet.source.replace("anyio.run(main)", run), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-W", "error", script], capture_output=True, text=True, timeout=60
    )
    assert result.stdout.strip() == snippet.output
    # What failed is logged, and nothing else.
    lines = result.stderr.splitlines()
    assert [line for line in lines if not line.startswith("task 'fetch'")] == []


def test_the_program_that_the_documentation_draws_runs(tmp_path: Path) -> None:
    """It writes the flowchart of a run of which one task stands out."""
    program, picture = ROOT / "docs" / "pictures" / "diagram.py", tmp_path / "diagram.mmd"
    subprocess.run([sys.executable, "-W", "error", program, tmp_path], timeout=60, check=True)
    diagram = picture.read_text(encoding="utf-8")
    assert diagram.startswith("flowchart TB\n")
    assert "class task1 bottleneck" in diagram


def test_the_progress_that_the_documentation_draws_is_shown(tmp_path: Path) -> None:
    """The picture has a row for each task, in a font that is there, and nothing is written."""
    program, picture = ROOT / "docs" / "pictures" / "progress.py", tmp_path / "progress.svg"
    done = subprocess.run(
        [sys.executable, "-W", "error", program, tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
    svg = picture.read_text(encoding="utf-8")
    shown = re.sub(r"<[^>]*>", "", svg).replace("&#160;", " ")
    assert [name for name in ("fetch", "parse", "store") if name not in shown] == []
    assert "of 1,200 done" in shown
    assert "@font-face" not in svg


def test_readme_shows_the_two_commands() -> None:
    """One command for the demo, one for the tests; both begin with an empty environment."""
    text = README.read_text(encoding="utf-8")
    for session in ("demo", "tests"):
        command = f"python3 -m pip install nox && python3 -m nox -s {session}"
        assert text.count(f"\n    {command}\n") == 1


def test_readme_is_plain_rest() -> None:
    """Where the README is shown nobody knows Sphinx, and what it links to is there."""
    text = README.read_text(encoding="utf-8")
    assert re.findall(r":[\w:]+:`", text) == []
    assert set(re.findall(r"^\.\. ([\w-]+)::", text, re.MULTILINE)) == {"code-block"}
    links = re.findall(r"<((?!https?:)[^>]+)>`_", text)
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_api_page_has_every_public_name() -> None:
    """The reference is grouped by hand; nothing is forgotten, and nothing else is in it."""
    page = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")
    documented = re.findall(r"^\.\. (?:auto\w+|py:\w+):: conveyor\.(\w+)$", page, re.MULTILINE)
    assert sorted(documented) == sorted(conveyor.__all__)


def test_tasks_page_has_every_option() -> None:
    """Each keyword of the decorators is explained."""
    page = (ROOT / "docs" / "tasks.rst").read_text(encoding="utf-8")
    options = {*SingleTaskOptions.__annotations__, *BatchTaskOptions.__annotations__}
    assert sorted(name for name in options if f"``{name}``" not in page) == []
