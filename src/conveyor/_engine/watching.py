"""
Timing a run, and telling its observers of calls; only there if somebody asked for it.

Time is charged to states. At each moment a stage is in one: so many calls are in flight as may be,
or calls wait for leave to begin, or there is no room further on, or nothing to do. Whatever changes
the state charges the time since the last change to the old one first, so the sums are exact, and
nothing has to be sampled.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from time import process_time
from typing import TYPE_CHECKING, TypeVar

from ..statistics import RunTimings
from .stage_watch import StageWatch
from .stopwatch import Stopwatch

if sys.platform != "win32":
    import resource

if TYPE_CHECKING:
    from .events import Events
    from .stage import Stage

T = TypeVar("T")


class RunWatch:
    """
    Times one run.

    :param events: tells the observers of its calls
    :param clock: returns the time, in seconds
    :param stages: of the run
    :ivar source_wait: while the data's next item is waited for
    :ivar source_blocked: while there is no room for it
    :ivar consumer_wait: while the consumer waits
    """

    def __init__(self, events: Events, clock: Callable[[], float], stages: Sequence[Stage]) -> None:
        self.events = events
        self.clock = clock
        self.source_wait = Stopwatch(clock)
        self.source_blocked = Stopwatch(clock, lambda: self.spread(0))
        self.consumer_wait = Stopwatch(clock)
        self._cpu_before = process_time()
        self._final: RunTimings | None = None
        self._watches: list[StageWatch] = []
        for position, stage in enumerate(stages):
            stage.watch = StageWatch(self, stage, position)
            self._watches.append(stage.watch)

    def begin(self, now: float) -> None:
        """
        The run begins.

        :param now: reading of the clock
        """
        self._cpu_before = process_time()
        for watch in self._watches:
            watch.begin_run(now)

    def finish(self, now: float) -> None:
        """
        Everything has ended: the figures stay as they are.

        :param now: reading of the clock
        """
        if self._final is None:
            for watch in self._watches:
                watch.finish(now)
            self._final = self.timings()

    def spread(self, position: int) -> None:
        """
        Let stages know whether anything can come to them, since what is before them has changed.

        :param position: of the first stage that it may concern
        """
        watches = self._watches
        if position == 0:
            is_dry = self.source_blocked.is_running
        else:
            before = watches[position - 1]
            is_dry = before.drought.is_running and before.is_idle
        for number in range(position, len(watches)):
            watch = watches[number]
            if watch.drought.is_running == is_dry:
                return
            if is_dry:
                watch.drought.start()
            else:
                watch.drought.stop()
            is_dry = is_dry and watch.is_idle

    def timings(self) -> RunTimings:
        """Return the figures so far."""
        return self._final or RunTimings(
            source_wait=self.source_wait.elapsed,
            source_blocked=self.source_blocked.elapsed,
            consumer_wait=self.consumer_wait.elapsed,
            cpu=process_time() - self._cpu_before,
            peak_memory=peak_memory(),
        )

    def time_items(self, iterator: AsyncIterator[T]) -> AsyncIterator[T]:
        """
        Return an iterator over the same items that measures how long they are waited for.

        :param iterator: the data's
        """
        return _TimedItems(iterator, self.source_wait)

    def time_values(self, iterator: Iterator[T]) -> Iterator[T]:
        """
        Yield the same values and measure how long they are waited for.

        :param iterator: the data's
        """
        while True:
            with self.source_wait:
                try:
                    value = next(iterator)
                except StopIteration:
                    return
            yield value


class _TimedItems(AsyncIterator[T]):
    """
    The items of another iterator, and how long they are waited for.

    :param iterator: the other one, which is not closed
    :param stopwatch: runs meanwhile
    """

    def __init__(self, iterator: AsyncIterator[T], stopwatch: Stopwatch) -> None:
        self._iterator = iterator
        self._stopwatch = stopwatch

    async def __anext__(self) -> T:
        with self._stopwatch:
            return await self._iterator.__anext__()


def peak_memory() -> int | None:
    """Return the most memory that this process has had, in bytes, if the system tells."""
    if sys.platform == "win32":
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
