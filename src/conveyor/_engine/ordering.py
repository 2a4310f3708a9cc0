"""
The two orders in which slots leave a chain: that of the chain, and that in which they finished.
"""

from __future__ import annotations

from collections import deque
from sys import maxsize

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
        if self.root.next is slot:
            self.on_ready()

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
        ready = self._ready
        head = root.next
        taken = [ready.popleft() for _ in range(min(limit, len(ready)))]
        for slot in taken:
            before = slot.previous
            after = slot.next
            before.next = after
            after.previous = before
            slot.next = slot.previous = root
        if self.watched and root.next is not head:
            self._tell(root.next)
        return taken

    def clear(self) -> None:
        """Unlink everything."""
        super().clear()
        self._ready.clear()
