"""
Virtual time on Trio: its own ``MockClock``, and an instrument that watches what runs by it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import trio
from trio.testing import MockClock

from . import clock
from .clock import (
    DEADLOCK,
    GRACE_TICKS,
    MAX_TICKS,
    DeadlockError,
    HeldThreads,
    TickLimitError,
    VirtualClock,
    finders,
    foreign_threads,
    livelock,
    report,
)
from .trio_internals import SeededSteps, throw_into

T = TypeVar("T")

#: Seconds of real time without anything to do that make a deadlock. Even where there are no foreign
#: threads, a signal or a child process may be about to report.
IDLE = 0.2


def trio_options(seed: int | None, max_ticks: int) -> dict[str, Any]:
    """
    Return AnyIO's backend options for a run of Trio in virtual time.

    :param seed: of the schedule; ``None`` for Trio's own random choice
    :param max_ticks: turns that the loop may take
    """
    mock = MockClock(autojump_threshold=0)
    instruments: list[trio.abc.Instrument] = [TrioWatch(mock, max_ticks)]
    if seed is not None:
        instruments.append(SeededSteps(seed))
    return {"clock": mock, "instruments": instruments}


def run_on_trio(
    function: Callable[..., Awaitable[T]],
    *args: Any,
    backend: str,
    backend_options: dict[str, Any],
) -> T:
    """
    Do what ``anyio.run()`` does; AnyIO before 4.8 loses the options on the way to Trio.

    :param function: what to run
    :param args: its arguments
    :param backend: ``"trio"``
    :param backend_options: from :func:`trio_options`
    """
    return trio.run(function, *args, **backend_options)


class TrioWatch(trio.abc.Instrument, VirtualClock):
    """
    Watches a run of Trio in virtual time, and ends it when it would go on for ever.

    :param mock: the clock of the run
    :param max_ticks: turns that the loop may take
    """

    def __init__(self, mock: MockClock, max_ticks: int = MAX_TICKS) -> None:
        self._clock = mock
        self._held = 0
        self._max_ticks = max_ticks
        self._ticks_left = max_ticks
        self._idle_since: float | None = None
        self._error: RuntimeError | None = None
        self._given_up = 0
        self._threads = HeldThreads("trio")
        _watches[mock] = self

    def hold(self) -> None:
        """Keep the clock from jumping until :meth:`release` has been called as often."""
        self._held += 1
        self._clock.autojump_threshold = math.inf

    def release(self) -> None:
        """Take back one :meth:`hold`."""
        self._held -= 1
        if not self._held:
            self._clock.autojump_threshold = 0

    def take_error(self) -> RuntimeError | None:
        """Return the reason for which the watch is ending what it watches, and forget it."""
        error, self._error = self._error, None
        return error

    async def watch(self, function: Callable[[], Awaitable[T]]) -> T:
        """
        Run *function* so that a deadlock, or a livelock, ends it and becomes its error.

        :param function: called without arguments
        """
        try:
            return await function()
        finally:
            # The error itself may have been swallowed on its way, or be in an exception group.
            if (error := self.take_error()) is not None:
                raise error from None

    def before_run(self) -> None:
        """Begin to hold the clock while threads work."""
        self._threads.start()

    def after_run(self) -> None:
        """Leave AnyIO as it was."""
        self._threads.stop()

    def before_io_wait(self, timeout: float) -> None:
        """Count a turn of the loop, or look for something that could still happen."""
        state = trio.lowlevel.current_statistics()
        if (
            state.tasks_runnable
            or state.run_sync_soon_queue_size
            or state.seconds_to_next_deadline < math.inf
            or self._held
        ):
            self._idle_since = None
            self._tick()
            return
        # Trio has no deadline to jump to, so it polls: this is called again and again.
        now = time.monotonic()
        if self._idle_since is None:
            self._idle_since = now
        if now - self._idle_since > (clock.PATIENCE if foreign_threads() else IDLE):
            self._idle_since = None
            self._give_up(DeadlockError, DEADLOCK)

    def _tick(self) -> None:
        self._ticks_left -= 1
        if self._ticks_left < 0:
            self._ticks_left = GRACE_TICKS
            self._give_up(TickLimitError, livelock(self._max_ticks))

    def _give_up(self, kind: type[RuntimeError], reason: str) -> None:
        """Raise an error in the main task; if that has not helped, in every task."""
        tasks = _users_tasks()
        self._given_up += 1
        if self._given_up == 1:
            self._error = kind(report(self.activity + reason, tasks))
            # The first one is the main task.
            throw_into(tasks[0], self._error)
            return
        for task in reversed(tasks):
            throw_into(task, kind(reason), kill=self._given_up > 2)


def trio_tasks(task: trio.lowlevel.Task | None) -> Iterator[trio.lowlevel.Task]:
    """
    Yield *task* and every task below it.

    :param task: where to begin
    """
    if task is not None:
        yield task
        for nursery in task.child_nurseries:
            for child in nursery.child_tasks:
                yield from trio_tasks(child)


def _users_tasks() -> list[trio.lowlevel.Task]:
    """Return the main task and all below it."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    # Trio's first task has a nursery for tasks of the system, and in it one for the main task.
    nurseries = root.child_nurseries
    return [task for child in nurseries[-1].child_tasks for task in trio_tasks(child)]


_watches: WeakKeyDictionary[trio.abc.Clock, TrioWatch] = WeakKeyDictionary()


def _running_watch() -> VirtualClock | None:
    try:
        return _watches.get(trio.lowlevel.current_clock())
    except RuntimeError:
        return None  # no run of Trio


finders.append(_running_watch)
