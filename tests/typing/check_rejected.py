"""
Check that mypy and pyright reject what they should, and nothing else.

Every line under ``rejected/`` that carries the comment ``# rejected`` must be reported by each
of the two, every other line by neither. An error is put where its statement begins.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

DIRECTORY = Path(__file__).parent / "rejected"
ROOT = Path(__file__).parent.parent.parent
MARK = re.compile(r"#\s*rejected\b")
MYPY_ERROR = re.compile(r"(?P<path>.+?):(?P<line>\d+): error: (?P<message>.*)")

#: Messages by file and line, counted from 1.
Reports = dict[tuple[Path, int], str]


def run(*command: str) -> str:
    """Return what a type checker prints when it finds errors, and stop if it could not run."""
    result = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if result.returncode not in (0, 1):
        sys.exit(f"{command[0]} failed:\n{result.stdout}{result.stderr}")
    return result.stdout


def mypy(files: Iterable[Path]) -> Reports:
    """Return the errors that mypy finds in *files*."""
    output = run("mypy", "--strict", "--no-pretty", "--hide-error-context", *map(str, files))
    return {
        (ROOT / match["path"], int(match["line"])): match["message"]
        for match in map(MYPY_ERROR.match, output.splitlines())
        if match
    }


def pyright(files: Iterable[Path]) -> Reports:
    """Return the errors that pyright finds in *files*."""
    output = json.loads(run("pyright", "--outputjson", *map(str, files)))
    return {
        (Path(found["file"]), found["range"]["start"]["line"] + 1): found["message"]
        for found in output["generalDiagnostics"]
        if found["severity"] == "error"
    }


def marked(files: Iterable[Path]) -> set[tuple[Path, int]]:
    """Return the lines of *files* that have to be rejected."""
    return {
        (path, number)
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if MARK.search(line)
    }


def main() -> int:
    """Compare both type checkers' reports with the marks, and print every difference."""
    files = sorted(DIRECTORY.rglob("*.py"))
    expected = marked(files)
    if not expected:
        sys.exit(f"no line under {DIRECTORY.relative_to(ROOT)} is marked '# rejected'")
    differences = 0
    for check in (mypy, pyright):
        reports = check(files)
        for path, line in sorted(expected ^ reports.keys()):
            problem = reports.get((path, line), "accepted, but has to be rejected")
            print(f"{path.relative_to(ROOT)}:{line}: {check.__name__}: {problem}")
            differences += 1
    if not differences:
        print(f"mypy and pyright reject the {len(expected)} marked lines and no other")
    return min(differences, 1)


if __name__ == "__main__":
    sys.exit(main())
