"""
The two orders in which slots leave a chain: that of the chain, and that in which they finished.
"""

from __future__ import annotations

from collections import deque
from itertools import repeat
from sys import maxsize
from typing import Any

from .sequence import Chain, Slot


class OrderedChain(Chain):
    """
    A chain whose slots leave in chain order: finished ones, as far as there is no gap.

    Source: the ordered stage of Go's ``conc`` (a queue of one-place slots, one emitter).
    """

    __slots__ = ()

    @property
    def is_settled(self) -> bool:
        """Whether every result that can still be taken is ready; O(n)."""
        slot = self.root.next
        while slot.done:
            slot = slot.next
        return self.closed and slot is self.root

    def finish(self, slot: Slot) -> None:
        """
        Say that *slot* has its result.

        :param slot: a slot of this chain
        """
        slot.done = True
        if self.awaited is None:
            if self.root.next is slot:
                self.on_ready()
        elif self.awaited is slot:
            self._end_wait()

    def finish_all(self, slots: list[Slot]) -> None:
        """
        Say of several slots that they have their results.

        :param slots: neighbours in this chain, at least one
        """
        for slot in slots:
            slot.done = True
        if self.awaited is None:
            if self.root.next is slots[0]:
                self.on_ready()
        elif self.awaited.done:
            self._end_wait()

    def expect(self, count: int) -> None:
        """
        Let *on_ready* be called when the last of the first so many slots has its result.

        That is, of those that have none yet: as a rule, nearly all before it have one by then.

        :param count: how many; none can be taken at present
        """
        if self.watched or count < 2:
            return
        root = slot = self.root
        for _ in repeat(None, count):
            slot = slot.next
            if slot is root:
                break
            if not slot.done:
                self.awaited = slot

    def hurry(self) -> bool:
        """Call *on_ready* if only the awaited slot lacks its result; tell whether it was so."""
        if self.awaited is None:
            return False
        head = slot = self.root.next
        while slot.done:
            slot = slot.next
        if slot is head or slot is not self.awaited:
            return False
        self._end_wait()
        return True

    def take(self) -> Slot | None:
        """Unlink and return the head if it is done, else return ``None``."""
        root = self.root
        head = root.next
        if not head.done:
            return None
        after = head.next
        root.next = after
        after.previous = root
        head.next = root
        if self.watched:
            self._tell(after)
        return head

    def take_slots(self, limit: int = maxsize) -> list[Slot]:
        """
        Unlink and return the slots that may leave.

        :param limit: how many at most
        """
        root = self.root
        slot = root.next
        taken: list[Slot] = []
        while slot.done and len(taken) < limit:
            taken.append(slot)
            after = slot.next
            after.previous = slot.next = root
            slot = after
        root.next = slot
        if taken and self.watched:
            self._tell(slot)
        return taken

    def take_all(self, limit: int = maxsize) -> list[Any]:
        """
        Unlink the slots that may leave and return their values.

        :param limit: how many at most
        """
        # Not by way of take_slots(), since every result passes through here.
        root = self.root
        slot = root.next
        spare = self.spare
        values: list[Any] = []
        for _ in repeat(None, limit):
            if not slot.done:
                break
            values.append(slot.value)
            slot.value = None
            spare.append(slot)
            after = slot.next
            after.previous = slot.next = root
            slot = after
        root.next = slot
        del spare[self.most_spare :]
        if values and self.watched:
            self._tell(slot)
        return values


class ArrivalChain(Chain):
    """A chain whose slots leave in the order in which they finished."""

    __slots__ = ("_ready",)

    def __init__(self) -> None:
        super().__init__()
        self._ready: deque[Slot] = deque()

    @property
    def is_settled(self) -> bool:
        """Whether every result that can still be taken is ready; O(n)."""
        return self.closed and len(self) == len(self._ready)

    def finish(self, slot: Slot) -> None:
        """
        Say that *slot* has its result.

        :param slot: a slot of this chain
        """
        ready = self._ready
        if ready:
            # Whoever takes slots goes on until there are none before it waits to be told.
            ready.append(slot)
        else:
            ready.append(slot)
            self.on_ready()

    def finish_all(self, slots: list[Slot]) -> None:
        """
        Say of several slots that they have their results.

        :param slots: neighbours in this chain, at least one
        """
        is_news = not self._ready
        self._ready.extend(slots)
        if is_news:
            self.on_ready()

    def take(self) -> Slot | None:
        """Unlink and return the slot that finished first, ``None`` if none has."""
        if not self._ready:
            return None
        slot = self._ready.popleft()
        self._unlink(slot)
        return slot

    def take_slots(self, limit: int = maxsize) -> list[Slot]:
        """
        Unlink and return the slots that may leave.

        :param limit: how many at most
        """
        root = self.root
        head = root.next
        taken = self._next(limit)
        for slot in taken:
            before = slot.previous
            after = slot.next
            before.next = after
            after.previous = before
            slot.next = slot.previous = root
        if self.watched and root.next is not head:
            self._tell(root.next)
        return taken

    def _next(self, limit: int) -> list[Slot]:
        """Take the slots that finished first, *limit* at most, out of the line."""
        ready = self._ready
        if limit < len(ready):
            return [ready.popleft() for _ in range(limit)]
        slots = [*ready]
        ready.clear()
        return slots

    def clear(self) -> None:
        """Unlink everything."""
        super().clear()
        self._ready.clear()
