"""
Which calls to keep when there is no room for all: a part that shows the whole run.

Calls have ranks, and the lowest ranks win. The rank of an item is its index times the golden ratio,
of which only the fraction counts. So whoever has the index knows the rank: an item is kept with its
calls in all stages, or with none, and nothing about it has to be remembered. Multiples of an
irrational number, modulo 1, are spread evenly, those of the golden ratio most evenly of all: items
whose ranks are below some bound lie at nearly equal distances from the first to the last, whatever
the bound, and follow no period that the data may have. A random choice would leave gaps; every n-th
item might show the same place of a period again and again.

What became of an item that became many has its index. They are numbered as they come to a stage,
and the number times another irrational number, the square root of two, is added to the rank. So
they are kept or left out one by one, and in most cases each of them alike in all stages.

The heap has the highest rank on top. It takes up to some number, then lets the highest go for each
lower one that comes. There is no moment at which much is thrown away, and the event loop stops.

What is looked at from time to time needs no ranks: a series leaves out every second look once it is
full, and from then on takes half as many.

Prior art: "bottom-k" sampling; Fibonacci hashing (Knuth, The Art of Computer Programming, 6.4);
additive recurrences as sequences of low discrepancy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heappush, heappushpop
from typing import Generic, TypeVar

__all__ = ["FIRST", "Numbering", "Sample", "Series", "rank"]

T = TypeVar("T")

FIRST = -1
"""A rank before that of any item."""

# 2**64 times the fractions of the golden ratio and of the square root of two.
_GOLDEN = 0x9E3779B97F4A7C15
_ROOT = 0x6A09E667F3BCC909
_MASK = (1 << 64) - 1


def rank(index: int, number: int = 0) -> int:
    """
    Return the rank of an item, or of one of those that it became.

    :param index: position in the input, from 0
    :param number: which of those with that index, from 0
    """
    return (index * _GOLDEN + number * _ROOT) & _MASK


class Numbering:
    """
    Numbers what comes to a stage with the same index.

    :param memory: different indexes, the newest ones, that it remembers at least; an index that
        comes back after many others may begin at 0 again
    """

    __slots__ = ("_memory", "_new", "_old")

    def __init__(self, memory: int = 4096) -> None:
        self._memory = memory
        # Those that come, and those that came before them. To let go of the old ones together is
        # cheaper than one by one.
        self._new: dict[int, int] = {}
        self._old: dict[int, int] = {}

    def rank(self, indexes: Sequence[int]) -> int:
        """
        Return the rank of the next call: the lowest among its items.

        :param indexes: of its items; none if it is about the stream as a whole
        """
        if len(indexes) == 1:
            return self._next(indexes[0])
        return min(map(self._next, indexes), default=FIRST)

    def _next(self, index: int) -> int:
        number = self._new.get(index)
        if number is None:
            number = self._old.get(index, 0)
            if len(self._new) == self._memory:
                self._old, self._new = self._new, {}
        self._new[index] = number + 1
        return rank(index, number)


class Sample(Generic[T]):
    """
    Keeps what has the lowest ranks.

    Pure: no awaiting, no clock. Adding takes time in the order of log *size*.

    :param size: how many it keeps at most, at least 1
    """

    __slots__ = ("_added", "_heap", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._added = 0
        # Negative, since heapq has the lowest on top. The second numbers are all different, so
        # the values are never compared.
        self._heap: list[tuple[int, int, T]] = []

    def takes(self, rank: int) -> bool:
        """
        Tell whether something of this rank would be kept now; if not, then at no later time.

        :param rank: as :func:`rank` tells
        """
        return len(self._heap) < self._size or -rank > self._heap[0][0]

    def add(self, rank: int, value: T) -> None:
        """
        Keep *value*, if its rank is low enough.

        :param rank: as :func:`rank` tells
        :param value: anything
        """
        self._added += 1
        entry = (-rank, -self._added, value)
        if len(self._heap) < self._size:
            heappush(self._heap, entry)
        else:
            heappushpop(self._heap, entry)

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[T]:
        return (value for _, _, value in self._heap)


class Series(Generic[T]):
    """
    Keeps what was seen at equal distances of time, less often the longer it lasts.

    Pure: no awaiting, no clock.

    :param size: how many it keeps at most, or one less if that is odd
    """

    __slots__ = ("_asked", "_every", "_size", "_values")

    def __init__(self, size: int) -> None:
        self._size = size - size % 2  # so that what comes next when it is full is due then, too
        self._every = 1
        self._asked = 0
        self._values: list[T] = []

    def is_due(self) -> bool:
        """Tell whether to look this time; to be asked each time that something could be seen."""
        self._asked += 1
        return self._size > 0 and (self._asked - 1) % self._every == 0

    def add(self, value: T) -> None:
        """
        Keep what was seen.

        :param value: anything
        """
        if len(self._values) == self._size:
            del self._values[1::2]
            self._every *= 2
        self._values.append(value)

    def end(self, value: T) -> None:
        """
        Keep what was seen last, if anything is kept.

        :param value: anything
        """
        if len(self._values) == self._size:
            del self._values[-1:]
        if self._size:
            self._values.append(value)

    def __iter__(self) -> Iterator[T]:
        return iter(self._values)
