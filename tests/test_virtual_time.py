"""The test harness itself: exact clocks, deadlocks that end, and leftovers that are noticed."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conveyor.testing import DeadlockError, clock, hold_clock
from conveyor.testing.asyncio_time import VirtualTimeLoop
from helpers import current_time, ticks

TESTS = Path(__file__).parent


async def test_clock_starts_at_zero_and_an_hour_is_free() -> None:
    """Sleeping moves the virtual clock by exactly that much and takes no real time."""
    began = time.monotonic()
    assert current_time() == 0.0
    await anyio.sleep(3600)
    assert current_time() == 3600.0
    await anyio.sleep(90 * 86400)
    assert current_time() == 3600.0 + 90 * 86400
    assert time.monotonic() - began < 5


async def test_sums_of_sleeps_do_not_drift() -> None:
    """A thousand sleeps of 0.1 end at the float sum of a thousand 0.1s."""
    expected = 0.0
    for _ in range(1000):
        await anyio.sleep(0.1)
        expected += 0.1
        assert current_time() == expected


async def test_concurrent_sleepers_wake_in_order_at_their_own_times() -> None:
    """Timers set at once fire one by one, each at its own time."""
    woken: list[tuple[float, float]] = []

    async def sleeper(delay: float) -> None:
        await anyio.sleep(delay)
        woken.append((delay, current_time()))

    async with anyio.create_task_group() as group:
        for delay in (2.0, 0.5, 0.1, 0.8, 0.4, 0.2, 0.7, 0.3):
            group.start_soon(sleeper, delay)
    assert woken == [(d, d) for d in (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8, 2.0)]


async def test_nearly_equal_timers_stay_apart() -> None:
    """Two timers a nanosecond apart wake at different times."""
    woken: list[float] = []

    async def sleeper(delay: float) -> None:
        await anyio.sleep(delay)
        woken.append(current_time())

    async with anyio.create_task_group() as group:
        group.start_soon(sleeper, 1.0)
        group.start_soon(sleeper, 1.0 + 2**-40)
    assert woken == [1.0, 1.0 + 2**-40]


@example(delays=[0.001, 0.009])  # 0.001 + (0.009 - 0.001) is not 0.009
@given(delays=st.lists(st.floats(0, 1e6), max_size=30))
def test_asyncio_clock_reads_the_very_deadline(delays: list[float]) -> None:
    """On asyncio every sleeper wakes at the float it slept until, bit for bit."""
    loop = VirtualTimeLoop()
    woken: list[float] = []
    for delay in delays:
        loop.call_later(delay, lambda: woken.append(loop.time()))
    loop.call_later(2e6, loop.stop)
    loop.run_forever()
    loop.close()
    assert woken == sorted(delays)


async def test_clock_stands_still_while_tasks_run() -> None:
    """Ticks let a task that sleeps start, but do not move the clock."""
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 5)
        await ticks(50)
        assert current_time() == 0.0
    assert current_time() == 5.0


async def test_timeouts_fire_in_virtual_time() -> None:
    """``move_on_after`` cuts a long sleep short, exactly at its deadline."""
    with anyio.move_on_after(0.25) as scope:
        await anyio.sleep(1000)
    assert scope.cancelled_caught
    assert current_time() == 0.25


async def test_worker_thread_holds_the_clock() -> None:
    """No timeout fires while a worker thread is busy in real time."""
    released = threading.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 60)
        threading.Timer(0.05, released.set).start()
        assert await anyio.to_thread.run_sync(released.wait, 5)
        assert current_time() == 0.0
    assert current_time() == 60.0


async def test_hold_clock_nests_and_ends() -> None:
    """The clock stays held until the outermost block is left, then jumps again."""
    done = anyio.Event()

    async def sleeper() -> None:
        await anyio.sleep(1)
        done.set()

    async with anyio.create_task_group() as group:
        group.start_soon(sleeper)
        with hold_clock():
            with hold_clock():
                await anyio.to_thread.run_sync(time.sleep, 0.01)
            await anyio.to_thread.run_sync(time.sleep, 0.01)
            assert not done.is_set()
        await done.wait()
    assert current_time() == 1.0


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": VirtualTimeLoop})])
async def test_executor_holds_the_clock() -> None:
    """The same goes for asyncio's own executor, also while it is shut down."""
    loop = asyncio.get_running_loop()
    released = threading.Event()
    timer = loop.create_task(asyncio.sleep(60))
    waiting = loop.run_in_executor(None, released.wait, 5)
    threading.Timer(0.05, released.set).start()
    assert await waiting
    assert loop.time() == 0.0
    await timer
    assert loop.time() == 60.0


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": VirtualTimeLoop})])
async def test_foreign_thread_may_wake_the_loop() -> None:
    """With no timer set the loop really waits for a thread it knows nothing about."""
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()
    threading.Timer(0.05, loop.call_soon_threadsafe, [woken.set]).start()
    await woken.wait()
    assert loop.time() == 0.0


def test_silent_foreign_thread_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real wait for a thread is bounded and ends in the deadlock error."""
    monkeypatch.setattr(clock, "PATIENCE", 0.05)
    released = threading.Event()
    thread = threading.Thread(target=released.wait)
    thread.start()
    loop = VirtualTimeLoop()
    try:
        with pytest.raises(DeadlockError, match="no task can run"):
            loop.run_until_complete(loop.create_future())
    finally:
        released.set()
        thread.join()
        loop.close()


def test_held_clock_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is held for ever ends in the deadlock error, timers or not."""
    monkeypatch.setattr(clock, "PATIENCE", 0.05)

    async def main() -> None:
        with hold_clock():
            await asyncio.sleep(1)

    loop = VirtualTimeLoop()
    task = loop.create_task(main())
    try:
        with pytest.raises(DeadlockError, match=r"the clock has been held for 0\.05 s"):
            loop.run_until_complete(task)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
    finally:
        loop.close()


DEADLOCKS = """
import anyio
from anyio.lowlevel import checkpoint

async def test_waits_for_ever():
    await anyio.Event().wait()

async def test_group_waits_for_ever():
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.Event().wait)
        group.start_soon(anyio.sleep, 60)

async def test_sleeps_for_ever():
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(1)
"""

LEFTOVERS = """
import asyncio, gc
import anyio, pytest, trio
from hypothesis import given, settings, strategies as st
from helpers import ticks

background = set()

def spawn(function, *args):
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return trio.lowlevel.spawn_system_task(function, *args)
    task = loop.create_task(function(*args))
    background.add(task)
    task.add_done_callback(background.discard)
    return task

async def test_task_left():
    spawn(anyio.sleep_forever)

@settings(max_examples=3)
@given(n=st.integers())
async def test_task_left_by_an_example(n):
    spawn(anyio.sleep_forever)

class Cycle:
    def __init__(self):
        self.me = self
    def __del__(self):
        raise ValueError("in __del__")

async def test_unraisable():
    Cycle()

async def test_unawaited():
    anyio.sleep(1)
"""

LOOP_REPORTS = """
import asyncio, gc
import pytest
from conveyor.testing.asyncio_time import VirtualTimeLoop

pytestmark = pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {"loop_factory": VirtualTimeLoop})], ids=["asyncio"]
)

async def test_callback_raises():
    asyncio.get_running_loop().call_soon(divmod, 1, 0)
    await asyncio.sleep(0)

async def test_exception_never_retrieved():
    async def fail():
        raise ValueError
    asyncio.get_running_loop().create_task(fail())
    await asyncio.sleep(0)
    await asyncio.sleep(0)

async def test_reported_without_exception():
    asyncio.get_running_loop().call_exception_handler({"message": "odd"})
"""

CLEAN = """
import anyio, anyio.to_thread, pytest
from helpers import ticks
from test_leftovers import spawn

async def test_ends_within_the_grace():
    spawn(ticks, 5)

@pytest.fixture
async def group():
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep_forever)
        yield group
        group.cancel_scope.cancel()

async def test_tasks_of_fixtures_are_not_leftovers(group):
    pass

def test_synchronous_code_may_run_its_own_loop(anyio_backend_name):
    assert anyio.run(anyio.to_thread.run_sync, int, backend=anyio_backend_name) == 0

async def test_failure_is_not_reported_twice():
    spawn(anyio.sleep_forever)
    raise ValueError
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project of its own with this one's conftest and settings."""
    pytester.makeconftest((TESTS / "conftest.py").read_text(encoding="utf-8"))
    pytester.makeini(f"[pytest]\npythonpath = {TESTS} .\nfilterwarnings = error\n")
    return pytester


def test_deadlocks_fail_and_say_where(project: pytest.Pytester) -> None:
    """A test in which nothing can ever run again fails with the places where tasks wait."""
    project.makepyfile(test_deadlocks=DEADLOCKS)
    result = project.runpytest_subprocess("--tb=short", timeout=60)
    result.assert_outcomes(failed=6)
    lines = result.stdout.lines
    error = (
        "E   conveyor.testing.clock.DeadlockError: deadlock: no task can run and no timer is set"
    )
    assert sum(line.startswith(error) for line in lines) == 6
    for name in ("test_waits_for_ever", "__aexit__", "test_sleeps_for_ever"):
        assert sum(line.startswith("E ") and f"{name}:" in line for line in lines) >= 2, name


def test_leftovers_are_noticed(project: pytest.Pytester) -> None:
    """Live tasks, unraisable exceptions and unawaited coroutines each fail their test."""
    project.makepyfile(test_leftovers=LEFTOVERS)
    result = project.runpytest_subprocess("--tb=short", timeout=60)
    text = result.stdout.str()
    for name in ("task_left", "task_left_by_an_example", "unraisable", "unawaited"):
        for backend in ("asyncio", "trio"):
            assert f" test_leftovers.py::test_{name}[{backend}]" in text.split("summary info")[1]
    assert text.count("still alive: ") >= 4


def test_loop_reports_are_noticed(project: pytest.Pytester) -> None:
    """Whatever reaches asyncio's exception handler fails the test that caused it."""
    project.makepyfile(test_reports=LOOP_REPORTS)
    result = project.runpytest_subprocess("--tb=short", timeout=60)
    result.assert_outcomes(passed=3, errors=3)


def test_clean_tests_pass(project: pytest.Pytester) -> None:
    """Tasks about to end, tasks of fixtures and loops of synchronous code are no leftovers."""
    project.makepyfile(test_leftovers=LEFTOVERS, test_clean=CLEAN)
    result = project.runpytest_subprocess("test_clean.py", "--tb=short", timeout=60)
    result.assert_outcomes(passed=6, failed=2)
