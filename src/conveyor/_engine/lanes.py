"""
Which of the items that wait is called next: the most urgent, and of each key one at a time.

The rules:

1. An item that comes as number *n* with priority *p* has the rank *n* + :data:`PATIENCE` × *p*, and
   of those that are ready the one of the lowest rank is taken, of equal ranks the one that came
   first. Without priorities that is the order in which they came.
2. Items of one key are in a *lane*. Its first is ready, or has been taken and holds the lane until
   it is released; the others wait behind it, in the order in which they came, whatever their ranks.
3. A lane that holds nothing is forgotten, unless it has been halted.

A rank is a deadline on a clock that counts arrivals, so rule 1 is *earliest deadline first*, and it
starves nobody, as with *ageing*, where those who wait gain urgency: what is taken before an item
although it came later came fewer than PATIENCE × *p* arrivals later. Ageing by the clock was
rejected: it would need the time, and all ranks anew whenever they are compared. Strict priorities
were rejected since with enough urgent items the others would never be called; in an ordered run
they would hold up the results of the urgent ones, too.

An item that waits in its lane takes no worker. Where a worker takes it and then waits for its key,
a few busy keys hold all the workers, and nothing of the other keys is called: that is how pipelines
that group by key come to a halt when there are more keys than workers.

O(log n) per item, *n* being those that are ready. Pure: no clock, no awaiting.

Prior art: the earliest-deadline-first scheduling of Liu and Layland; the virtual deadlines of the
BFS and MuQSS schedulers for Linux; Confluent's Parallel Consumer, which works on the records of a
Kafka partition concurrently but keeps those of one key in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Hashable, Iterable
from heapq import heapify, heappop, heappush
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")

PATIENCE = 100
"""Later arrivals that an item lets go ahead for each unit of its priority."""


class ItemQueue(Protocol[T]):
    """What a stage needs of its queue; a plain deque has all of it."""

    def append(self, item: T, /) -> None:
        """Let an item wait."""

    def extend(self, items: Iterable[T], /) -> None:
        """Let several items wait."""

    def popleft(self) -> T:
        """Take the next item that is ready; an ``IndexError`` if there is none."""
        raise NotImplementedError

    def remove(self, item: T, /) -> None:
        """Take an item that is ready out of its turn."""

    def clear(self) -> None:
        """Forget all items."""

    def __len__(self) -> int:
        """Count the items that are ready."""
        raise NotImplementedError

    def __contains__(self, item: Any, /) -> bool:
        """Tell whether an item is ready."""
        raise NotImplementedError


class Lane:
    """
    The items of one key.

    :ivar key: of all of them
    :ivar is_busy: whether one of them is ready or has been taken
    :ivar is_halted: whether it is to be remembered although it holds nothing
    """

    __slots__ = ("is_busy", "is_halted", "key", "waiting")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.is_busy = False
        self.is_halted = False
        self.waiting: deque[tuple[float, int, Any]] | None = None  # most keys need none


class LaneQueue(Generic[T]):
    """
    Items that wait, with or without a key, with or without a priority.

    An item is in it once at most, and hashable.
    """

    __slots__ = ("_arrivals", "_lane_of", "_lanes", "_ready", "_unclaimed")

    def __init__(self) -> None:
        self._ready: list[tuple[float, int, T]] = []
        self._arrivals = 0
        self._lanes: dict[Hashable, Lane] = {}
        self._lane_of: dict[T, Lane] = {}
        self._unclaimed = 0  # that have been taken

    def __len__(self) -> int:
        """Count the items that are ready."""
        return len(self._ready)

    def __contains__(self, item: object) -> bool:
        """Tell whether an item is ready; O(n)."""
        return any(each is item for _, _, each in self._ready)

    @property
    def waiting(self) -> int:
        """Count the items that wait for another one of their key, where all have keys."""
        return max(0, len(self._lane_of) - len(self._ready) - self._unclaimed)

    def holds(self, item: T) -> bool:
        """
        Tell whether an item that has a key has been added and not been claimed.

        :param item: any
        """
        return item in self._lane_of

    @property
    def lanes(self) -> int:
        """Keys that are not forgotten."""
        return len(self._lanes)

    def add(self, item: T, priority: float = 0) -> None:
        """
        Let an item wait that has no key.

        :param item: anything
        :param priority: 0 or more, 0 the most urgent
        """
        heappush(self._ready, self._ranked(item, priority))

    def add_to_lane(self, item: T, key: Hashable, priority: float = 0) -> None:
        """
        Let an item wait for its turn among those of its key.

        :param item: anything
        :param key: what it has in common with others
        :param priority: 0 or more, 0 the most urgent
        """
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key)
        self._lane_of[item] = lane
        entry = self._ranked(item, priority)
        if not lane.is_busy:
            lane.is_busy = True
            heappush(self._ready, entry)
        elif lane.waiting is None:
            lane.waiting = deque([entry])
        else:
            lane.waiting.append(entry)

    def popleft(self) -> T:
        """
        Take the most urgent item; its lane is held until it is released.

        :raises IndexError: if none is ready
        """
        item = heappop(self._ready)[2]
        self._unclaimed += 1
        return item

    def remove(self, item: T) -> None:
        """
        Take an item that is ready out of its turn; O(n).

        :param item: is ready
        """
        self._ready = [each for each in self._ready if each[2] is not item]
        heapify(self._ready)
        self._unclaimed += 1

    def lane_of(self, item: T) -> Lane:
        """
        Return the lane of an item that has been added to one and not been claimed.

        :param item: any such
        """
        return self._lane_of[item]

    def claim(self, item: T) -> Lane:
        """
        Return the lane of an item that has been taken, and forget which it was.

        :param item: may be added anew from now on
        """
        self._unclaimed -= 1
        return self._lane_of.pop(item)

    def release(self, lane: Lane) -> None:
        """
        Let the next item of a lane be ready, its item being over for good.

        :param lane: one that is held
        """
        if lane.waiting:
            heappush(self._ready, lane.waiting.popleft())
            return
        lane.is_busy = False
        lane.waiting = None
        if not lane.is_halted:
            self._lanes.pop(lane.key, None)  # None, as all lanes may have been cleared

    def forget(self, items: Collection[T]) -> set[T]:
        """
        Forget some of the items that wait; O(n).

        Lanes that hold nothing then are kept, so that no key has to be looked up.

        :param items: those, and any others
        :return: those of them that have waited
        """
        gone = {item for _, _, item in self._ready if item in items}
        freed = [self._lane_of.pop(item) for item in gone if item in self._lane_of]
        self._ready = [each for each in self._ready if each[2] not in gone]
        for lane in self._lanes.values():
            if lane.waiting:
                behind = {item for _, _, item in lane.waiting if item in items}
                lane.waiting = deque(each for each in lane.waiting if each[2] not in behind)
                gone |= behind
        for lane in freed:
            lane.is_busy = bool(lane.waiting)
            if lane.waiting:
                self._ready.append(lane.waiting.popleft())
        for item in gone:
            self._lane_of.pop(item, None)
        heapify(self._ready)
        return gone

    def clear(self) -> None:
        """Forget everything."""
        self._ready.clear()
        self._lane_of.clear()
        self._unclaimed = 0
        for lane in self._lanes.values():
            lane.waiting = None
        self._lanes.clear()

    def _ranked(self, item: T, priority: float) -> tuple[float, int, T]:
        number = self._arrivals
        self._arrivals = number + 1
        return number + PATIENCE * priority, number, item
