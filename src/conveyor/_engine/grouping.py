"""
Batches that hold so much and not just so many, and of which several may be open at once.

The rules of :mod:`.batching`, and these. Items belong to keys, and each key has a batch of its own
that is *open*: items of the key are added to it. It is *sealed*, so nothing more is added, by

========== ====================================================================================
trigger    rule
========== ====================================================================================
``size``   it holds ``max_size`` items
``weight`` it weighs ``max_weight`` or more, or would weigh more with the item that comes now
``room``   the open batches hold ``room`` items together, and it is the one that began first
``end``    the input has ended
========== ====================================================================================

Sealed batches leave in the order in which they were sealed. An open one that is due by age is
sealed by whoever takes it, and goes on filling until then; it goes before those that were sealed
after it became due, so that a key with few items is not left behind under load.

A batch that is sealed at once has no leftovers, so the open ones are, by order of their making, in
the order of their first items: the first is the oldest, and the first to be due. All is O(1) per
item. A key is forgotten when its batch is sealed.

An item that weighs more than ``max_weight`` is a batch by itself. Rejected: to make it an error,
since whoever must not get one can say so in the function, while nobody else could let it pass.

Why ``room``: with many keys and few items each, all places of the window could be taken by batches
that do not fill. That bound makes it a matter of the items alone which batch leaves early, and not
of how full the rest of the pipeline happens to be.

Pure: no clock, no awaiting; the time is passed in.

Prior art: Kafka's producer keeps one open batch per partition, bounded in bytes and sealed when the
next record does not fit; a larger record goes alone.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable
from typing import TYPE_CHECKING, Generic, TypeVar

from .batching import Batch

if TYPE_CHECKING:
    from ..statistics import BatchTrigger

T = TypeVar("T")


class OpenBatch(Generic[T]):
    """
    Items of one key that will leave together.

    :param since: when the first one came
    """

    __slots__ = ("items", "since", "weight")

    def __init__(self, since: float) -> None:
        self.items: list[T] = []
        self.weight: float = 0
        self.since = since


class GroupingBatcher(Generic[T]):
    """
    Gather items into batches by key and weight.

    :param min_size: items a batch needs to leave by age or at the end, at least 1
    :param max_size: items a batch holds at most, at least *min_size*
    :param max_wait: seconds after which a batch may leave although it is not full, or ``None``
    :param max_weight: what the items of a batch of more than one weigh at most
    :param room: items that open batches hold together before the oldest leaves, at least *max_size*
    :ivar timed: whether it has to be told the time
    """

    __slots__ = (
        "_count",
        "_open",
        "_resting",
        "_sealed",
        "closed",
        "max_size",
        "max_wait",
        "max_weight",
        "min_size",
        "room",
        "timed",
    )

    def __init__(
        self,
        min_size: int,
        max_size: int,
        max_wait: float | None = None,
        max_weight: float = math.inf,
        room: float = math.inf,
    ) -> None:
        self.min_size = min_size
        self.max_size = max_size
        self.max_wait = max_wait
        self.max_weight = max_weight
        self.room = room
        self.timed = max_wait is not None
        self.closed = False
        self._open: dict[Hashable, OpenBatch[T]] = {}
        self._sealed: deque[tuple[Batch, float]] = deque()
        self._resting = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, item: T, now: float = 0.0, key: Hashable = None, weight: float = 0) -> None:
        """
        Add *item* to the open batch of its key.

        :param item: anything
        :param now: clock reading, needed only if ``timed``
        :param key: says which items may be together
        :param weight: of the item, 0 or more
        """
        batch = self._open.get(key)
        if batch is not None and batch.weight + weight > self.max_weight:
            self._seal(key, "weight", now)
            batch = None
        if batch is None:
            batch = self._open[key] = OpenBatch(now)
        batch.items.append(item)
        batch.weight += weight
        self._resting += 1
        self._count += 1
        if len(batch.items) >= self.max_size:
            self._seal(key, "size", now)
        elif batch.weight >= self.max_weight:
            self._seal(key, "weight", now)
        elif self._resting >= self.room:
            self._seal(next(iter(self._open)), "room", now)

    @property
    def oldest(self) -> T | None:
        """The first item of the batch that leaves first as a rule, if there is any."""
        # Another thread may ask, so nothing is iterated while it may change.
        batches = [batch.items for batch, _ in self._sealed.copy()]
        batches += [batch.items for batch in [*self._open.values()]]
        return batches[0][0] if batches else None

    @property
    def leaving(self) -> int:
        """Items in sealed batches."""
        return sum(len(batch.items) for batch, _ in self._sealed)

    @property
    def missing(self) -> int:
        """Items without which nothing can change; any may complete a batch."""
        return 1

    @property
    def full(self) -> bool:
        """Whether a batch may leave whatever the time is."""
        return bool(self._sealed) or (self.max_wait == 0 and self._oldest() is not None)

    @property
    def deadline(self) -> float | None:
        """Clock reading at which what is open becomes due by age; ``None``: not by waiting."""
        if not self.max_wait:
            return None
        oldest = self._oldest()
        return None if oldest is None else oldest[1].since + self.max_wait

    def take(self, now: float = 0.0) -> Batch | None:
        """
        Remove and return the next batch, ``None`` if none is due.

        :param now: clock reading, needed only if ``timed``
        """
        oldest = None if self.max_wait is None else self._oldest()
        if oldest is not None and self.max_wait is not None:
            key, batch = oldest
            due = batch.since + self.max_wait
            if due <= now and not (self._sealed and self._sealed[0][1] <= due):
                self._seal(key, "age", now)
                return self._leave(-1)
        return self._leave(0) if self._sealed else None

    def close(self) -> list[T]:
        """
        Say that the input has ended.

        :return: the items that will never be in a batch, since there are fewer than ``min_size``;
            they are removed
        """
        self.closed = True
        dropped: list[T] = []
        for key, batch in [*self._open.items()]:
            if len(batch.items) >= self.min_size:
                self._seal(key, "end", 0.0)
            else:
                dropped += batch.items
                del self._open[key]
        self._resting = 0
        self._count -= len(dropped)
        return dropped

    def clear(self) -> None:
        """Forget everything."""
        self._open.clear()
        self._sealed.clear()
        self._resting = self._count = 0

    def _oldest(self) -> tuple[Hashable, OpenBatch[T]] | None:
        """Return the open batch that is due first, by key."""
        for key, batch in self._open.items():
            if len(batch.items) >= self.min_size:
                return key, batch
        return None

    def _seal(self, key: Hashable, trigger: BatchTrigger, now: float) -> None:
        items = self._open.pop(key).items
        self._resting -= len(items)
        self._sealed.append((Batch(items, trigger), now))

    def _leave(self, position: int) -> Batch:
        batch, _ = self._sealed[position]
        del self._sealed[position]
        self._count -= len(batch.items)
        return batch
