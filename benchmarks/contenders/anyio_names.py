"""Importing the names of AnyIO that Conveyor imports, and nothing else."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path


def anyio_imports() -> set[str]:
    """Find the import statements at the top of Conveyor's modules, without importing them."""
    spec = importlib.util.find_spec("conveyor")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("conveyor is not installed")
    return {
        ast.unparse(node)
        for path in Path(spec.origin).parent.rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Import | ast.ImportFrom) and "anyio" in ast.unparse(node)
    }


IMPORT = "\n".join(sorted(anyio_imports()))
