"""The page of guarantees: each promise names tests, and they are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "guarantees.rst").read_text(encoding="utf-8")
NAMED = re.findall(r"``(\w+\.py)::(\w+)``", PAGE)
PROMISES = PAGE[PAGE.index("Nothing is lost") : PAGE.index("What is not promised")]


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_named_tests_exist(file: str, test: str) -> None:
    """A promise is linked to a test that is run."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    assert test in {node.name for node in tree.body if isinstance(node, functions)}


def test_every_promise_names_tests() -> None:
    """No promise, which is what a paragraph that begins in bold makes, stands by itself."""
    blocks = [block for block in re.split(r"\n\n+", PROMISES) if block.startswith(("**", "- ``"))]
    assert blocks
    for promise, proof in zip(blocks[::2], blocks[1::2], strict=True):
        assert promise.startswith("**"), f"no promise before {proof!r}"
        assert proof.startswith("- ``"), f"no tests after {promise!r}"
