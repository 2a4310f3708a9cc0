"""
Slots and chains: how input order is kept among items that overtake one another.

Every item that enters a stretch of the pipeline is wrapped in a :class:`Slot` and linked to the end
of a :class:`Chain`. The slot then travels through the stages in any order, while its place in the
chain stays. A stretch runs from one *order point* to the next: source, batch task, ``in_order``
task, consumer. There slots leave the chain.

The rules:

1. The *head* is the first slot of the chain. In an :class:`OrderedChain` only a finished head
   leaves, so results come out in chain order; in an :class:`ArrivalChain` slots leave in the order
   in which they finished.
2. A slot without a result (filtered, skipped) is unlinked and leaves no gap.
3. One item that becomes many: its children are linked in *before* it, so they take its place in
   their own order; the slot itself stays behind them as an open placeholder until no more children
   can come, and is then unlinked.
4. Whoever waits because the window is full waits on its slot (``parked``). When that slot becomes
   the head, *on_head* is called: once nothing is left before it, in this chain and in those after
   it, the head may go on, otherwise those behind it, which hold the window's places, would wait for
   it forever.

Everything is O(1) per item and plain synchronous code: no awaiting, no clock, no dictionary of
indices, no heap. The idea of a queue of places that are filled out of order is that of Go's
``conc`` (stream) and of ``FuturesOrdered`` in futures-rs; the links replace their ring and heap,
because expansion needs insertion in the middle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from sys import maxsize
from typing import Any


def _ignore(*_: object) -> None:
    pass


class Slot:
    """
    The place of one item in a chain.

    ``value`` is the item as the last stage left it, ``index`` that of the input item it stems from,
    ``done`` whether it has passed the last stage, ``parked`` the event for which its expansion
    waits while there is no room.
    """

    __slots__ = ("done", "index", "next", "parked", "previous", "value")

    previous: Slot
    next: Slot

    def __init__(self, value: Any, index: int) -> None:
        self.value = value
        self.index = index
        self.done = False
        self.parked: Any = None

    def take_spare(self, wanted: int) -> int:
        """
        Use up places in the window that the slot has beside its own; most have none.

        :param wanted: how many at most
        :return: how many
        """
        return 0


class Chain:
    """
    A doubly linked list of slots, in input order.

    A slot that has left refers to none of the others: whoever still holds it, an idle worker for
    instance, must not keep all that came after it alive.

    :ivar root: the slot that closes the circle; its next one is the head
    :ivar spare: slots that have left and may be used again, :attr:`most_spare` at most; a new one
        costs as much as a call
    :ivar awaited: a slot whose end is waited for (:meth:`expect`)
    :ivar on_ready: called when a slot can be taken, or when the chain is exhausted; while a slot is
        awaited, not before that has its result or has left
    :ivar on_head: called with each new head while the chain is watched (rule 4)
    :ivar on_empty: called when the last slot has left while the chain is watched
    :ivar watched: how many want to know, or want what is ready to be taken at once (:meth:`watch`)
    """

    __slots__ = (
        "awaited",
        "closed",
        "most_spare",
        "on_empty",
        "on_head",
        "on_ready",
        "root",
        "spare",
        "watched",
    )

    def __init__(self) -> None:
        # A circle through a root that is never done spares every end-of-list check.
        self.root = root = Slot(None, -1)
        self.most_spare = 0
        self.spare: list[Slot] = []
        root.next = root.previous = root
        self.closed = False
        self.awaited: Slot | None = None
        self.watched = 0
        self.on_ready: Callable[[], None] = _ignore
        self.on_head: Callable[[Slot], None] = _ignore
        self.on_empty: Callable[[], None] = _ignore

    @property
    def head(self) -> Slot | None:
        """The first slot, ``None`` if the chain is empty."""
        head = self.root.next
        return None if head is self.root else head

    @property
    def exhausted(self) -> bool:
        """Whether the chain is closed and empty: nothing will ever be taken again."""
        return self.closed and self.root.next is self.root

    @property
    def is_settled(self) -> bool:
        """Whether every result that can still be taken is ready; O(n)."""
        raise NotImplementedError

    def watch(self) -> None:
        """Have new heads told, and await nothing behind them, until this is counted off again."""
        self.watched += 1
        if self.awaited is not None:
            self._end_wait()

    def slot_for(self, value: Any, index: int) -> Slot:
        """
        Return a slot to link in, a spare one if there is any.

        :param value: the item
        :param index: of the input item
        """
        if not self.spare:
            return Slot(value, index)
        slot = self.spare.pop()
        slot.value = value
        slot.index = index
        slot.done = False
        return slot

    def __len__(self) -> int:
        """Count the slots; O(n), for tests and diagnosis."""
        count = 0
        slot = self.root.next
        while slot is not self.root:
            count += 1
            slot = slot.next
        return count

    def append(self, slot: Slot) -> None:
        """
        Link *slot* in at the end.

        :param slot: a slot that is in no chain
        """
        root = self.root
        last = root.previous
        slot.previous = last
        slot.next = root
        last.next = root.previous = slot

    def insert_before(self, place: Slot, slot: Slot) -> None:
        """
        Link *slot* in just before *place* (rule 3).

        :param place: a slot of this chain
        :param slot: a slot that is in no chain
        """
        before = place.previous
        slot.previous = before
        slot.next = place
        before.next = place.previous = slot
        if self.awaited is not None:
            self.watch()  # for good: there are more before it, and there may be more yet

    def insert_values(self, place: Slot, values: Iterable[Any]) -> list[Slot]:
        """
        Link in a slot for each of the values before *place*, and return the slots (rule 3).

        :param place: a slot of this chain
        :param values: what its item becomes
        """
        slots = [self.slot_for(value, place.index) for value in values]
        before = place.previous
        for slot in slots:
            slot.previous = before
            # Before it is linked in: a KeyboardInterrupt in between must not leave a loose end.
            slot.next = place
            before.next = slot
            before = slot
        place.previous = before
        if self.awaited is not None:
            self.watch()
        return slots

    def finish(self, slot: Slot) -> None:
        """
        Say that *slot* has its result and may leave when its turn comes.

        :param slot: a slot of this chain
        """
        raise NotImplementedError

    def finish_all(self, slots: list[Slot]) -> None:
        """
        Say of several slots that they have their results.

        None of them leaves before all of them may: what takes the first may fail, and what becomes
        of the others must not depend on whether they have been reached.

        :param slots: neighbours in this chain, at least one
        """
        raise NotImplementedError

    def take(self) -> Slot | None:
        """Unlink and return the next slot that may leave, ``None`` if there is none at present."""
        raise NotImplementedError

    def take_slots(self, limit: int = maxsize) -> list[Slot]:
        """
        Unlink and return the slots that may leave.

        :param limit: how many at most
        """
        raise NotImplementedError

    def expect(self, count: int) -> None:
        """
        Let *on_ready* be called as late as when about so many slots can be taken.

        Once; and as ever if nothing better is known, or the chain is watched.

        :param count: how many; none can be taken at present
        """

    def hurry(self) -> bool:
        """Call *on_ready* if only the awaited slot lacks its result; tell whether it was so."""
        return False

    def take_all(self, limit: int = maxsize) -> list[Any]:
        """
        Unlink the slots that may leave and return their values.

        :param limit: how many at most
        """
        slots = self.take_slots(limit)
        values = [slot.value for slot in slots]
        self.keep(slots)
        return values

    def keep(self, slots: list[Slot]) -> None:
        """
        Keep slots that have left, without their values, to be used again.

        :param slots: nobody refers to them any more
        """
        for slot in slots:
            slot.value = None
        room = self.most_spare - len(self.spare)
        if room > 0:
            self.spare += slots[:room]

    def discard(self, slot: Slot) -> None:
        """
        Unlink a slot that has no result (rule 2), or no further ones (rule 3).

        :param slot: a slot of this chain
        """
        was_head = self.root.next is slot
        self._unlink(slot)
        if slot is self.awaited:
            self._end_wait()
        elif was_head and (self.root.next.done or self.exhausted):
            self.on_ready()

    def cut_from(self, first: Slot) -> list[Slot]:
        """
        Unlink a slot and all that come after it, and return them.

        :param first: a slot of this chain; its root, if that comes next, for nothing
        """
        root = self.root
        before = first.previous
        cut: list[Slot] = []
        while first is not root:
            cut.append(first)
            after = first.next
            first.next = first.previous = root
            first = after
        before.next = root
        root.previous = before
        if self.awaited in cut:
            self._end_wait()
        return cut

    def close(self) -> None:
        """Say that no slot will be appended any more; children may still be inserted."""
        self.closed = True
        if self.root.next is self.root:
            self.on_ready()

    def clear(self) -> None:
        """Unlink everything, so that no reference cycle outlives a run that was cut short."""
        root = self.root
        # Slot by slot, so that it can be taken up again after a KeyboardInterrupt.
        while (slot := root.next) is not root:
            root.next = slot.next
            del slot.previous, slot.next
        self.spare.clear()
        self.awaited = None
        root.next = root.previous = root

    def _end_wait(self) -> None:
        self.awaited = None
        self.on_ready()

    def _unlink(self, slot: Slot) -> None:
        before = slot.previous
        after = slot.next
        before.next = after
        after.previous = before
        slot.next = slot.previous = self.root
        if self.watched and before is self.root:
            self._tell(after)

    def _tell(self, head: Slot) -> None:
        if head is self.root:
            self.on_empty()
        else:
            self.on_head(head)
