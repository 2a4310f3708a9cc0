"""
When a batch leaves, what is in it, and why.

A batch holds consecutive items. It leaves, as soon as somebody is free to take it,

======== ======================================================================================
trigger  rule
======== ======================================================================================
``size`` it holds ``max_size`` items
``age``  ``max_wait`` has passed since its first item arrived, and it holds at least ``min_size``
``end``  the input has ended, and it holds at least ``min_size``
======== ======================================================================================

With ``max_wait=0`` the age is reached at once, so whoever is free takes what is there; no clock is
needed for that. Nobody is free while the stage is busy, so a batch that is due by age goes on
filling up to ``max_size`` until it is taken. The age is that of the first item still here: items
left over from a full batch keep their own arrival times. What remains at the end with fewer than
``min_size`` items is not a batch; the owner drops it, and says so.

Pure: no clock, no awaiting; the time is passed in.

Prior art: Broadway's batchers name a trigger per batch. Rejected: a timer that sends the batch
itself, since it would have to wait, or to send slivers, while the stage is busy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from ..statistics import BatchTrigger
    from .grouping import GroupingBatcher

T = TypeVar("T")


class Batch(NamedTuple):
    """Consecutive items that leave together, at least one, and why they leave."""

    items: list[Any]
    trigger: BatchTrigger


class Batcher(Generic[T]):
    """
    Gather items into batches.

    :param min_size: items a batch needs unless it is full, at least 1
    :param max_size: items a batch holds at most, at least *min_size*
    :param max_wait: seconds after which a batch may leave although it is not full, or ``None``
    :ivar timed: whether it has to be told the time
    """

    __slots__ = (
        "_arrivals",
        "_items",
        "_waits",
        "closed",
        "max_size",
        "max_wait",
        "min_size",
        "timed",
    )

    def __init__(self, min_size: int, max_size: int, max_wait: float | None = None) -> None:
        self.min_size = min_size
        self.max_size = max_size
        self.max_wait = max_wait
        self.timed = bool(max_wait)
        self.closed = False
        self._waits = max_wait != 0
        self._items: deque[T] = deque()
        self._arrivals: deque[float] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: T, now: float = 0.0) -> None:
        """
        Add *item* at the end.

        :param item: anything
        :param now: clock reading, needed only if ``timed``
        """
        self._items.append(item)
        if self.timed:
            self._arrivals.append(now)

    def extend(self, items: Sequence[T], now: float = 0.0) -> None:
        """
        Add several items at the end.

        :param items: anything
        :param now: clock reading, needed only if ``timed``
        """
        self._items.extend(items)
        if self.timed:
            self._arrivals.extend(repeat(now, len(items)))

    @property
    def oldest(self) -> T | None:
        """The first of the items that are here, if there are any."""
        try:
            return self._items[0]  # rather than asking first: another thread may ask, too
        except IndexError:
            return None

    @property
    def leaving(self) -> int:
        """Items in batches that are full."""
        size = len(self._items)
        return size - size % self.max_size

    @property
    def missing(self) -> int:
        """Items without which nothing can change but by the end of the input."""
        if self.timed or not self._waits:
            return 1
        return self.max_size - len(self._items) % self.max_size

    @property
    def full(self) -> bool:
        """Whether a batch may leave whatever the time is."""
        size = len(self._items)
        return size >= self.max_size or (not self._waits and size >= self.min_size)

    @property
    def deadline(self) -> float | None:
        """Clock reading at which what is here becomes due by age; ``None``: not by waiting."""
        if not self.max_wait or len(self._items) < self.min_size:
            return None
        return self._arrivals[0] + self.max_wait

    def take(self, now: float = 0.0) -> Batch | None:
        """
        Remove and return the next batch, ``None`` if none is due.

        :param now: clock reading, needed only if ``timed``
        """
        size = len(self._items)
        if size >= self.max_size:
            return self._leave(self.max_size, "size")
        if size < self.min_size:
            return None
        if self.closed:
            return self._leave(size, "end")
        deadline = self.deadline
        if not self._waits or (deadline is not None and now >= deadline):
            return self._leave(size, "age")
        return None

    def close(self) -> list[T]:
        """
        Say that the input has ended.

        :return: the items that will never be in a batch, fewer than ``min_size``; they are removed
        """
        self.closed = True
        self._waits = False
        short = len(self._items) % self.max_size
        if short >= self.min_size:
            return []
        dropped = list(islice(reversed(self._items), short))
        for _ in dropped:
            self._items.pop()
        dropped.reverse()
        return dropped

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()
        self._arrivals.clear()

    def _leave(self, size: int, trigger: BatchTrigger) -> Batch:
        if size == len(self._items):
            items = list(self._items)
            self.clear()
        else:
            items = [self._items.popleft() for _ in range(size)]
            if self._arrivals:
                for _ in range(size):
                    self._arrivals.popleft()
        return Batch(items, trigger)


def is_due(batcher: Batcher[Any] | GroupingBatcher[Any], now: float) -> bool:
    """
    Tell whether a batch may leave.

    :param batcher: any
    :param now: clock reading, needed only if ``timed``
    """
    if batcher.full:
        return True
    deadline = batcher.deadline
    return deadline is not None and deadline <= now
