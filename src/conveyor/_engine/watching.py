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
        self.source_blocked = Stopwatch(clock)
        self.consumer_wait = Stopwatch(clock)
        self._cpu_before = process_time()
        self._final: RunTimings | None = None
        for position, stage in enumerate(stages):
            stage.watch = StageWatch(self, stage, position)
        self._stages = stages

    def begin(self) -> None:
        """The run begins now."""
        self._cpu_before = process_time()
        for stage in self._stages:
            if stage.watch is not None:
                stage.watch.charged_at = self.clock()

    def finish(self) -> None:
        """Everything has ended: the figures stay as they are."""
        if self._final is None:
            for stage in self._stages:
                if stage.watch is not None:
                    stage.watch.finish()
            self._final = self.timings()

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
