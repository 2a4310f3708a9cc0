"""
What every test runs under: both backends, virtual time, and nothing left behind.

A coroutine test runs once on asyncio and once on Trio, each time with a clock of its own that
starts at 0.0 (see :mod:`conveyor.testing`). A synchronous test that wants both backends asks for
``anyio_backend_name``.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, TypeAlias

import hypothesis
import pytest
import trio
from tqdm.std import tqdm

from conveyor.testing import backend_options
from conveyor.testing.clock import describe, watched
from conveyor.testing.trio_time import trio_tasks
from helpers import ticks

Backend: TypeAlias = tuple[str, dict[str, Any]]

#: Turns that whatever is ending may still take after the test.
GRACE = 10

# Hypothesis measures examples in real time, which says nothing on a busy machine.
hypothesis.settings.register_profile("conveyor", hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("conveyor")

# The thread that looks after its bars outlives them, and a deadlock in virtual time waits for what
# a thread may do.
tqdm.monitor_interval = 0

_test_failed = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let ``--eager`` choose how asyncio begins a task."""
    parser.addoption(
        "--eager", action="store_true", help="run asyncio tests with asyncio.eager_task_factory"
    )


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    """The backend and its options: a fresh virtual clock for every test."""
    backend, options = backend_options(request.param)
    if backend == "asyncio" and request.config.getoption("--eager"):
        options["loop_factory"] = _with_eager_tasks(options["loop_factory"])
    return backend, options


def _with_eager_tasks(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> Callable[[], asyncio.AbstractEventLoop]:
    """Let tasks begin inside the call that makes them, as Python 3.12 allows."""

    def make() -> asyncio.AbstractEventLoop:
        loop = loop_factory()
        loop.set_task_factory(asyncio.eager_task_factory)
        return loop

    return make


@pytest.fixture
async def no_leftovers(
    request: pytest.FixtureRequest,
    anyio_backend_name: str,
) -> AsyncIterator[None]:
    """
    Fail the test if it leaves a live task or made the loop report an error.

    Unraisable exceptions, unawaited coroutines and unclosed resources need nothing here: pytest
    turns them into warnings, and warnings are errors.
    """
    reports: list[str] = []
    if anyio_backend_name == "asyncio":
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(
            lambda _loop, context: reports.append(f"the loop reported: {context}")
        )
    # Not Hypothesis tests: what they run is settled before the fixtures are set up.
    if inspect.iscoroutinefunction(request.node.obj):
        request.node.obj = watched(request.node.obj)
    before = _live_tasks(anyio_backend_name)
    yield
    if request.node.stash.get(_test_failed, False):
        return  # its traceback keeps frames alive, and with them their tasks
    # A dropped task reports its exception when it is freed; all this test made is still young.
    gc.collect(1)
    for _ in range(GRACE):
        if _live_tasks(anyio_backend_name) <= before:
            break
        await ticks(1)
    left = _live_tasks(anyio_backend_name) - before
    reports += [f"still alive: {describe(task)}" for task in left]
    if reports:
        pytest.fail("\n".join(sorted(reports)), pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> None:
    """Run every coroutine test on both backends, watched."""
    # AnyIO's own ``anyio_mode = "auto"`` is not in the oldest version that the tests run on.
    if collector.istestfunction(obj, name):
        test = obj.hypothesis.inner_test if hasattr(obj, "hypothesis") else obj
        if inspect.iscoroutinefunction(test):
            pytest.mark.usefixtures("anyio_backend", "no_leftovers")(obj)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember for the fixtures' clean-up that a test failed."""
    report = yield
    if call.when == "call":
        item.stash[_test_failed] = report.failed
    return report


def _live_tasks(backend: str) -> set[Any]:
    """Every live task but those that AnyIO's test runner makes for each fixture and test."""
    if backend == "trio":
        return set(trio_tasks(trio.lowlevel.current_root_task()))
    return {
        task
        for task in asyncio.all_tasks()
        if not getattr(task.get_coro(), "__qualname__", "").startswith("TestRunner.")
    }
