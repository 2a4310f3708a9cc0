"""
The window: how many items a run holds between its source and its consumer.

A slot takes a place when it is linked into a chain and gives it back when it leaves the run: when
the consumer takes it, when it is filtered or skipped, or when a batch call that took many slots
hands on its one result. Two kinds of task wait here when no place is free: the source, and an
expansion (a generator, or a list too long for the room) that is not at the head of its chain.

The bound is the only one needed: no queue inside a run can hold more than the window, so the
stages never wait for one another, and what a slow consumer fills up is, in the end, the window.
"""

from __future__ import annotations

from bisect import insort
from itertools import count
from typing import TYPE_CHECKING

from .outlook import Outlook

if TYPE_CHECKING:
    from .host import Event, LoneEvent

BURST = 1024
"""Items that one task passes on at most before it lets the others run; mostly it waits earlier."""


class Window:
    """
    Count the places and wake who waits for one.

    :param size: items held at most, at least 1
    :param resting: items that may be held without ever moving unless more come, less than *size*;
        those in batches that are being gathered
    :param extra: how many of those each task with separate batches per key may let rest beyond what
        one batch needs, or one whose batches grow beyond what they need at first
    :ivar in_order: whether results keep the order of the items
    :ivar outlook: tells the source how many items it may let in
    """

    __slots__ = (
        "_expansions",
        "_numbers",
        "_source",
        "extra",
        "held",
        "in_order",
        "outlook",
        "resume_at",
        "size",
        "wanted",
    )

    def __init__(self, size: int, resting: int = 0, extra: int = 0) -> None:
        self.size = size
        self.extra = extra
        self.held = 0
        self.in_order = True
        self.outlook = Outlook(self)
        # Waking costs as much as working on several items, so let room gather first; an eighth is
        # little enough to keep every worker busy meanwhile. But do not wait for items that wait
        # for us: what rests in batches will not make room.
        self.resume_at = max(size - max(1, size // 8), resting)
        self.wanted = False
        self._source: LoneEvent | None = None
        self._expansions: list[tuple[int, int, Event]] = []
        self._numbers = count()

    @property
    def room(self) -> int:
        """Free places; negative after a head went beyond the window."""
        return self.size - self.held

    @property
    def lacking(self) -> int:
        """
        Places to be given back before the source goes on: at present, or after it has filled up.
        """
        return (self.size if self._source is None else self.held) - self.resume_at

    def rank(self, index: int) -> int:
        """
        Return a rank for who may have to wait for room; the lowest comes first.

        In order, it is for items that came first: what becomes of them can leave soonest, and makes
        room again; what becomes of later ones would fill the window and wait there for them. Where
        the order of results is open, it is for who asks first.

        :param index: of the input item that is becoming many
        """
        return index if self.in_order else next(self._numbers)

    @property
    def room_for_all(self) -> int:
        """
        Free places that what becomes of any item may take; 0 or less for none.

        In order, about an eighth of the window is left for the first in line: if what has to wait
        for that took it all, the first could go on by one place at a time only.
        """
        return (self.resume_at + 1 if self.in_order else self.size) - self.held

    def room_for(self, rank: int, is_first: bool) -> int:
        """
        Return how many places what becomes of an item may take now; 0 or less for none.

        Not those that one who waits is about to get, if it comes first (:meth:`enqueue`).

        :param rank: from :meth:`rank`
        :param is_first: whether nothing that came before the item is left
        """
        waiting = self._expansions
        if waiting and waiting[0][0] < rank:
            return 0
        return self.room if is_first else self.room_for_all

    def release(self, places: int = 1) -> None:
        """
        Give places back.

        :param places: how many
        """
        self.held -= places
        if self.wanted and self.held <= self.resume_at:
            self.wake()

    async def wait_as_source(self, event: LoneEvent) -> None:
        """
        Wait until room has gathered and no expansion wants it, or until :meth:`stop`.

        :param event: a new one
        """
        self._source = event
        self.wanted = True
        self.reconsider()
        await event.wait()

    def enqueue(self, rank: int, event: Event) -> None:
        """
        Have an event set when there is room for one.

        :param rank: from :meth:`rank`
        :param event: a new one
        """
        insort(self._expansions, (rank, next(self._numbers), event))
        self.wanted = True

    def forget(self, event: Event) -> None:
        """
        Undo :meth:`enqueue` after the wait, whatever ended it, and pass remaining room on.

        :param event: what :meth:`enqueue` was given
        """
        self._expansions = [each for each in self._expansions if each[2] is not event]

    def hand_on(self) -> None:
        """Wake the next who waits, if there is room; called by one who has got some."""
        if self.room_for_all > 0:
            self.wake()

    def reconsider(self) -> None:
        """Wake the source, if it waits and may go on; called when a worker comes or has no work."""
        if self._source is not None and not self._expansions:
            self.wake()

    def wake_source(self) -> None:
        """Wake the source, if it waits, whatever the room, so that it can end."""
        if self._source is not None:
            self._source.set()
            self._source = None
            self.wanted = bool(self._expansions)

    def stop(self) -> None:
        """Wake all who wait, whatever the room, so that they can end."""
        while self._expansions:
            self.wake()
        self.wake_source()

    def wake(self) -> None:
        """Wake the next who waits: an expansion, or the source if it may go on."""
        # Expansions go first: they finish items that are here, the source brings new ones.
        if self._expansions:
            # Not pop(0): a KeyboardInterrupt in between would leave somebody waiting.
            self._expansions[0][2].set()
            del self._expansions[0]
        elif self._source is not None and self.held <= self.resume_at and self.outlook.room > 0:
            self._source.set()
            self._source = None
        self.wanted = self._source is not None or bool(self._expansions)
