"""What the package offers: names, modules, documentation, and nothing imported in vain."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import conveyor

NAMES = [
    "DIVERT",
    "FAIL",
    "RETRY",
    "SKIP",
    "Adaptive",
    "AsyncStore",
    "AsyncStream",
    "BaseTask",
    "BatchTask",
    "BatchTrigger",
    "CircuitBreaker",
    "CircuitOpenError",
    "CircuitState",
    "CollectLimitError",
    "Context",
    "ContextManager",
    "ConveyorError",
    "Decision",
    "ErrorAction",
    "ErrorHandler",
    "ExecutionMode",
    "Failed",
    "Failure",
    "Failures",
    "KeyHaltedError",
    "LoggingErrorHandler",
    "Outcome",
    "Pipeline",
    "PipelineContext",
    "Rate",
    "Replace",
    "RetryAfter",
    "RetryBudget",
    "RetryConfig",
    "SingleTask",
    "StreamClosedError",
    "StreamConsumedError",
    "Success",
    "TooManyErrorsError",
    "batch_task",
    "from_thread",
    "get_current_context",
    "record_timeline",
    "set_current_context",
    "single_task",
    "with_context",
]

MODULES = {
    "tasks": ["BaseTask", "BatchTask", "SingleTask"],
    "pipeline": ["Pipeline"],
    "stream": ["AsyncStream"],
    "decorators": ["batch_task", "single_task"],
    "rate": ["Rate"],
    "adaptive": ["Adaptive"],
    "caching": ["AsyncStore"],
    "circuit_breaker": ["CircuitBreaker", "CircuitState"],
    "retry_budget": ["RetryBudget"],
    "threads": ["from_thread"],
    "context": [
        "Context",
        "ContextManager",
        "ExecutionMode",
        "PipelineContext",
        "get_current_context",
        "set_current_context",
        "with_context",
    ],
    "error_handling": [
        "DIVERT",
        "FAIL",
        "RETRY",
        "SKIP",
        "CircuitOpenError",
        "CollectLimitError",
        "ConveyorError",
        "Decision",
        "ErrorAction",
        "ErrorHandler",
        "KeyHaltedError",
        "LoggingErrorHandler",
        "Replace",
        "RetryAfter",
        "RetryConfig",
        "StreamClosedError",
        "StreamConsumedError",
        "TooManyErrorsError",
    ],
    "outcomes": ["Failed", "Failure", "Failures", "Outcome", "Success"],
}


@pytest.mark.parametrize("name", NAMES)
def test_every_promised_name_is_exported(name: str) -> None:
    """Each name that users were told of can be imported from the package."""
    assert name in conveyor.__all__
    assert hasattr(conveyor, name)


@pytest.mark.parametrize("module", MODULES)
def test_every_promised_module_holds_what_its_name_says(module: str) -> None:
    """Each module has its names, the very objects that the package exports."""
    imported = importlib.import_module(f"conveyor.{module}")
    for name in MODULES[module]:
        assert name in imported.__all__
        assert getattr(imported, name) is getattr(conveyor, name)


@pytest.mark.parametrize("module", ["", *(f".{name}" for name in MODULES)])
def test_all_is_sorted_and_importable(module: str) -> None:
    """``__all__`` has each name once, in order, and each exists."""
    imported = importlib.import_module(f"conveyor{module}")
    names = list(imported.__all__)
    # As isort and ruff sort it: constants, classes, functions.
    assert len(names) == len(set(names))
    if not module:
        assert names == sorted(names, key=lambda name: (not name.isupper(), name))
    assert [name for name in names if not hasattr(imported, name)] == []


def public(name: str) -> Any:
    return getattr(conveyor, name)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in conveyor.__all__
        if inspect.isclass(public(name)) or inspect.isfunction(public(name))
    ],
)
def test_every_exported_name_is_documented(name: str) -> None:
    """Classes, functions and their public methods have docstrings of their own."""
    exported = public(name)
    assert exported.__doc__
    if inspect.isclass(exported):
        for attribute, value in vars(exported).items():
            if not attribute.startswith("_") and (
                inspect.isfunction(value) or hasattr(value, "fget")
            ):
                assert value.__doc__, f"{name}.{attribute}"


def test_the_literals_are_what_users_may_write() -> None:
    """They list the accepted words, and ``BatchTrigger`` those that there may be."""
    assert set(conveyor.ErrorAction.__args__) == {
        "fail",
        "skip_item",
        "skip_batch",
        "divert",
        "retry",
    }
    assert set(conveyor.ExecutionMode.__args__) == {"ordered", "as_completed"}
    assert set(conveyor.CircuitState.__args__) == {"closed", "open", "half_open"}
    assert set(conveyor.BatchTrigger.__args__) == {"size", "weight", "age", "room", "end"}


@pytest.mark.parametrize(
    "name",
    [
        "StreamClosedError",
        "StreamConsumedError",
        "CollectLimitError",
        "LedgerError",
        "TooManyErrorsError",
    ],
)
def test_errors_have_a_common_base(name: str) -> None:
    """The library's own exceptions are ``ConveyorError`` and ``RuntimeError``."""
    assert issubclass(public(name), conveyor.ConveyorError)
    assert issubclass(public(name), RuntimeError)
    assert not issubclass(conveyor.ConveyorError, RuntimeError)


def test_retry_config_has_the_documented_defaults() -> None:
    """Three attempts, one second, doubled, at most a minute."""
    config = conveyor.RetryConfig()
    assert (config.max_attempts, config.base_delay, config.max_delay) == (3, 1.0, 60.0)
    assert (config.exponential_backoff, config.backoff_multiplier) == (True, 2.0)
    assert config.retry_on is Exception


def test_the_package_is_typed() -> None:
    """Type checkers find the marker file."""
    assert resources.files(conveyor).joinpath("py.typed").is_file()


def imported_by(statement: str) -> set[str]:
    """Return the modules that *statement* imports in a fresh interpreter."""
    program = f"import sys; {statement}; print(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_the_package_imports_no_backend() -> None:
    """Neither Trio nor AnyIO's backends are imported before they are needed."""
    imported = imported_by("import conveyor")
    roots = {name.partition(".")[0] for name in imported}
    assert "trio" not in roots
    assert "uvloop" not in roots
    assert not {name for name in imported if name.startswith("anyio._backends._")}
    assert not {name for name in imported if name.startswith("anyio.pytest_plugin")}


def test_importing_the_package_imports_its_dependencies_only() -> None:
    """Of third parties, AnyIO with what it needs, and the backports that are declared."""
    roots = {name.partition(".")[0] for name in imported_by("import conveyor")}
    before = {name.partition(".")[0] for name in imported_by("pass")}
    allowed = {"anyio", "conveyor", "exceptiongroup", "idna", "sniffio", "typing_extensions"}
    assert roots - before - sys.stdlib_module_names - allowed == set()


def test_importing_the_package_imports_nothing_that_is_for_people() -> None:
    """Most runs are neither described nor drawn."""
    imported = imported_by("import conveyor")
    assert not imported & {"conveyor.describe", "conveyor.diagram", "conveyor.report"}


def test_importing_the_package_imports_asyncio_only_if_anyio_does() -> None:
    """Who runs on Trio does not pay for asyncio."""
    anyios = imported_by(
        "from anyio import CancelScope, Event, Lock, Semaphore, create_task_group, run; "
        "from anyio.abc import TaskGroup; from anyio.lowlevel import checkpoint"
    )
    assert ("asyncio" in imported_by("import conveyor")) == ("asyncio" in anyios)


def test_the_engine_is_not_exported() -> None:
    """Nothing public comes from a module that is private."""
    homes = {name: getattr(public(name), "__module__", "") for name in conveyor.__all__}
    assert [name for name, home in homes.items() if "._" in home] == []


def test_the_distribution_is_named_as_before() -> None:
    """Whoever depends on it finds it under the name it has always had."""
    project = Path(__file__).parent.parent / "pyproject.toml"
    assert '\nname = "conveyor-streaming"\n' in project.read_text(encoding="utf-8")
