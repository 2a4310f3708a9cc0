"""
Virtual time on asyncio: a loop whose selector jumps to the next timer instead of waiting for it.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, TypeVar

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

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    Ts = TypeVarTuple("Ts")

T = TypeVar("T")


class VirtualTimeLoop(asyncio.SelectorEventLoop, VirtualClock):
    """
    An asyncio loop whose clock starts at 0.0 and jumps to the next timer when no task can run.

    :param max_ticks: turns that the loop may take
    """

    def __init__(self, max_ticks: int = MAX_TICKS) -> None:
        self._now = 0.0
        self._held = 0
        self._ticks = 0
        self._max_ticks = max_ticks
        self._ticks_left = max_ticks
        self._watched: asyncio.Task[Any] | None = None
        self._error: RuntimeError | None = None
        self._forced = False
        self._threads = HeldThreads("asyncio")
        super().__init__(_JumpingSelector(self))
        self.jump(0.0)
        self._threads.start()

    def close(self) -> None:
        """Close the loop."""
        if not self.is_closed():
            self._threads.stop()
        super().close()

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self._now

    def jump(self, when: float) -> None:
        """
        Set the clock.

        :param when: a time to come
        """
        self._now = when
        # The loop fires timers due before now + resolution. One bit above now is the smallest value
        # that includes those due at now itself; asyncio's nanosecond would merge different times.
        self._clock_resolution = math.ulp(when)

    def next_timer(self) -> float:
        """Return when the next timer is due, infinity if none is set."""
        # Private, but the same since Python 3.4; the timeout given to the selector is rounded and
        # cut off at a day. The loop has already dropped cancelled timers from the head.
        scheduled: list[asyncio.TimerHandle] = vars(self)["_scheduled"]
        return scheduled[0].when() if scheduled else math.inf

    @property
    def is_held(self) -> bool:
        """Whether the clock must not jump."""
        return self._held > 0

    def hold(self) -> None:
        """Keep the clock from jumping until :meth:`release` has been called as often."""
        self._held += 1

    def release(self) -> None:
        """Take back one :meth:`hold`."""
        self._held -= 1

    def tick(self) -> None:
        """Count a turn of the loop, and give up after too many."""
        self._ticks_left -= 1
        if self._ticks_left < 0:
            self._ticks_left = GRACE_TICKS
            self.give_up(TickLimitError, livelock(self._max_ticks))

    def give_up(self, kind: type[RuntimeError], reason: str) -> None:
        """
        End what is watched; called where the loop would run, or wait, for ever.

        :param kind: what to raise
        :param reason: what is wrong
        """
        tasks = asyncio.all_tasks(self)
        error = kind(report(self.activity + reason, tasks))
        if self._watched is None or self._forced:
            # Not watched, or cancelling did not help: stop the loop itself.
            raise error
        if self._error is None:
            self._error = error
            self._watched.cancel()
        else:
            # What is shielded from its cancel scopes can still be cancelled natively.
            self._forced = True
            for task in tasks:
                task.cancel()

    def take_error(self) -> RuntimeError | None:
        """Return the reason for which the watch is ending what it watches, and forget it."""
        error, self._error = self._error, None
        return error

    async def watch(self, function: Callable[[], Awaitable[T]]) -> T:
        """
        Run *function* so that a deadlock, or a livelock, ends it and becomes its error.

        :param function: called without arguments
        """
        self._watched = asyncio.current_task(self)
        try:
            return await function()
        finally:
            self._watched = None
            if (error := self.take_error()) is not None:
                raise error from None

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: Unpack[Ts]
    ) -> asyncio.Future[T]:
        """Run *func* in a thread, or process, and hold the clock meanwhile."""
        future = super().run_in_executor(executor, func, *args)
        self.hold()
        future.add_done_callback(lambda _: self.release())
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Join the threads of the default executor."""
        # Held, or the timeout (new in Python 3.12) would pass before the first thread is joined.
        self.hold()
        try:
            await super().shutdown_default_executor()
        finally:
            self.release()


class _JumpingSelector(selectors.DefaultSelector):
    """Moves the loop's clock where another selector would wait; asked once in every turn."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; instead of waiting for nothing but time, let it be then."""
        loop = self._loop
        loop.tick()
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if loop.is_held:
            reason = f"deadlock: the clock has been held for {clock.PATIENCE:g} s of real time"
        elif (when := loop.next_timer()) < math.inf:
            loop.jump(when)
            return events
        else:
            reason = DEADLOCK
        # One descriptor is the loop's own, for call_soon_threadsafe().
        if loop.is_held or len(self.get_map()) > 1 or foreign_threads():
            events = super().select(clock.PATIENCE)
        if not events:
            loop.give_up(DeadlockError, reason)
        return events


def _running_loop() -> VirtualClock | None:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    return loop if isinstance(loop, VirtualClock) else None


finders.append(_running_loop)
