"""
Virtual time for both backends: a test that sleeps for an hour takes no time at all.

The rules, the same on asyncio and on Trio:

1. While a task can run, the clock stands still.
2. When none can, the clock jumps to the next timer.
3. While the clock is *held* it does not jump: the loop really waits. It is held during every
   ``anyio.to_thread.run_sync()``, every ``loop.run_in_executor()`` and every :func:`hold_clock`
   block, so that no timeout fires merely because a thread takes a millisecond of real time.
4. When no task can run, no timer is set and the clock is not held, nothing will ever happen again:
   the test fails with :exc:`DeadlockError`, which says where each task waits. Only if a thread or
   a file descriptor that the harness knows nothing about could still wake the loop does it first
   wait for :data:`PATIENCE` seconds of real time.

Times are exact on asyncio: a task that wakes reads the very float it slept until, and of two timers
only those due at the same float fire together. Trio's ``MockClock`` jumps to
``now + (deadline - now)``, which now and then is the float next to the deadline: with timers at
0.001 and 0.009, the second reads 0.009000000000000001.

What the rules cannot see, an endless loop of checkpoints or timers or a deadlock under a shield on
Trio, ends with the tracebacks that pytest's ``faulthandler_timeout`` prints.
"""

from __future__ import annotations

import asyncio
import functools
import math
import selectors
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import trio
from trio.testing import MockClock

if sys.version_info >= (3, 11):
    from typing import TypeVarTuple, Unpack
else:
    from typing_extensions import TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
TestFunction = Callable[..., Awaitable[object]]

#: Seconds of real time granted to threads and file descriptors that might still wake the loop.
PATIENCE = 10.0

# Pools whose threads live on while idle. Their work holds the clock, so they need no patience.
_POOL_THREADS = ("AnyIO worker thread", "Trio thread", "asyncio_")


class DeadlockError(RuntimeError):
    """Nothing can run, and nothing will ever change that."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio loop that starts at 0.0 and jumps to its next timer instead of waiting for it."""

    def __init__(self) -> None:
        self._now = 0.0
        self.holds = 0
        self._test: asyncio.Task[Any] | None = None
        self._report: str | None = None
        super().__init__(_JumpingSelector(self))
        self.jump(0.0)

    def time(self) -> float:
        return self._now

    def jump(self, when: float) -> None:
        self._now = when
        # The loop fires timers due before now + resolution. One bit above now is the smallest value
        # that includes those due at now itself; asyncio's nanosecond would merge different times.
        self._clock_resolution = math.ulp(when)

    def next_timer(self) -> float:
        # Private, but the same since Python 3.4; the timeout given to the selector is rounded and
        # cut off at a day. The loop has already dropped cancelled timers from the head.
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        return scheduled[0].when() if scheduled else math.inf

    def guard(self, test: TestFunction) -> TestFunction:
        """Wrap *test* so that a deadlock cancels it and becomes its error."""

        @functools.wraps(test)
        async def guarded(*args: Any, **kwargs: Any) -> None:
            self._test = asyncio.current_task(self)
            try:
                await test(*args, **kwargs)
            finally:
                self._test = None
                if self._report is not None:
                    raise DeadlockError(self._report)

        return guarded

    def deadlock(self, reason: str) -> None:
        """End the test; called where the loop would wait for ever."""
        report = _deadlock_report(reason, asyncio.all_tasks(self))
        if self._test is None or self._report is not None:
            # Not guarded, or cancelling it did not help: stop the loop itself.
            raise DeadlockError(report)
        self._report = report
        self._test.cancel()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: Unpack[Ts]
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self.holds += 1
        future.add_done_callback(self._release)
        return future

    def _release(self, _future: asyncio.Future[Any]) -> None:
        self.holds -= 1

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        # Held, or the timeout (new in Python 3.12) would pass before the first thread is joined.
        with hold_clock():
            await super().shutdown_default_executor()


class EagerLoop(VirtualTimeLoop):
    """
    One whose tasks begin inside the call that makes them, as Python 3.12 allows.

    A task that never suspends has ended when that call returns.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set_task_factory(asyncio.eager_task_factory)


class _JumpingSelector(selectors.DefaultSelector):
    """Moves the loop's clock where another selector would wait."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        loop = self._loop
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if loop.holds:
            reason = f"the clock has been held for {PATIENCE:g} s of real time"
        elif (when := loop.next_timer()) < math.inf:
            loop.jump(when)
            return events
        else:
            reason = "no task can run and no timer is set"
        # One descriptor is the loop's own, for call_soon_threadsafe().
        if loop.holds or len(self.get_map()) > 1 or _foreign_threads():
            events = super().select(PATIENCE)
        if not events:
            loop.deadlock(reason)
        return events


class DeadlockWatch(trio.abc.Instrument):
    """Ends a test on Trio once nothing can run and no timer is set."""

    def __init__(self) -> None:
        self._scope: trio.CancelScope | None = None
        self._report: str | None = None
        self._idle_since: float | None = None

    def guard(self, test: TestFunction) -> TestFunction:
        """Wrap *test* so that a deadlock cancels it and becomes its error."""

        @functools.wraps(test)
        async def guarded(*args: Any, **kwargs: Any) -> None:
            with trio.CancelScope() as self._scope:
                await test(*args, **kwargs)
            if self._report is not None:
                raise DeadlockError(self._report)

        return guarded

    def before_io_wait(self, timeout: float) -> None:
        # Trio has no deadline to jump to either, so it polls: this is called again and again.
        state = trio.lowlevel.current_statistics()
        if (
            self._scope is None
            or self._report is not None
            or state.tasks_runnable
            or state.run_sync_soon_queue_size
            or state.seconds_to_next_deadline < math.inf
            or _holds.get(trio.lowlevel.current_clock())
        ):
            self._idle_since = None
            return
        now = time.monotonic()
        if self._idle_since is None:
            self._idle_since = now
        # Even without foreign threads a signal or a child process may be about to report.
        if now - self._idle_since > (PATIENCE if _foreign_threads() else 0.2):
            tasks = trio_tasks(trio.lowlevel.current_root_task())
            self._report = _deadlock_report("no task can run and no timer is set", tasks)
            self._scope.cancel()


_holds: WeakKeyDictionary[trio.abc.Clock, int] = WeakKeyDictionary()


@contextmanager
def hold_clock() -> Iterator[None]:
    """
    Keep the clock from jumping while something outside the loop is at work for the test.

    Does nothing where the clock is not virtual.
    """
    loop = asyncio._get_running_loop()
    clock = None if loop else trio.lowlevel.current_clock()
    if isinstance(loop, VirtualTimeLoop):
        loop.holds += 1
    elif isinstance(clock, MockClock):
        _holds[clock] = _holds.get(clock, 0) + 1
        clock.autojump_threshold = math.inf
    try:
        yield
    finally:
        if isinstance(loop, VirtualTimeLoop):
            loop.holds -= 1
        elif isinstance(clock, MockClock):
            _holds[clock] -= 1
            if not _holds[clock]:
                clock.autojump_threshold = 0


def holding(function: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    """Return *function* with the clock held while it is awaited."""

    @functools.wraps(function)
    async def held(*args: Any, **kwargs: Any) -> T:
        with hold_clock():
            return await function(*args, **kwargs)

    return held


def trio_tasks(task: trio.lowlevel.Task | None) -> Iterator[trio.lowlevel.Task]:
    """Yield *task* and every task below it."""
    if task is not None:
        yield task
        for nursery in task.child_nurseries:
            for child in nursery.child_tasks:
                yield from trio_tasks(child)


def describe(task: asyncio.Task[Any] | trio.lowlevel.Task) -> str:
    """Say which task this is and where it waits, outermost call first."""
    name, coroutine = (
        (task.get_name(), task.get_coro())
        if isinstance(task, asyncio.Task)
        else (task.name, task.coro)
    )
    return f"{name}: {' > '.join(_calls(coroutine))}"


def _calls(coroutine: object) -> Iterator[str]:
    while coroutine is not None:
        # Coroutines, async generators and generators name the same things with their own prefixes.
        prefix = next((p for p in ("cr", "ag", "gi") if hasattr(coroutine, f"{p}_frame")), None)
        frame = getattr(coroutine, f"{prefix}_frame", None)
        if frame is None:
            return
        yield f"{frame.f_code.co_name}:{frame.f_lineno}"
        if getattr(coroutine, f"{prefix}_running"):
            return  # CPython 3.12.1 crashes when asked what a running coroutine awaits
        coroutine = getattr(coroutine, f"{prefix}_await", None)


def _deadlock_report(reason: str, tasks: Iterable[asyncio.Task[Any] | trio.lowlevel.Task]) -> str:
    lines = sorted(f"  {describe(task)}" for task in tasks)
    return "\n".join([f"deadlock: {reason}; waiting are", *lines])


def _foreign_threads() -> bool:
    return any(
        thread not in (threading.current_thread(), threading.main_thread())
        and not thread.name.startswith(_POOL_THREADS)
        for thread in threading.enumerate()
    )
