"""
The source: one task that iterates the data, and closes it.

It pulls an item only when there is a place for it in the window, and pulls at most a burst before
it lets the other tasks run. The first burst is one item, and then they get as many turns of the
event loop as that item may need to reach the consumer, so that the first result comes soon; after
that the bursts double, unless the data take their time without awaiting anything. Data that say
they are at their end, as those of a list do, are asked for it at once.

Asynchronous data is iterated and closed in one cancel scope, entered before the first item, so a
source that holds scopes or task groups of its own is entered and left in order. On shutdown, a
source that waits at a yield is asked for nothing more and closed uncancelled; one that is blocked
inside itself is cancelled there, and closed uncancelled if it comes to a yield all the same. A run
that drains ends its source in the same way, and what has been pulled goes on.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from contextlib import nullcontext
from itertools import islice
from typing import TYPE_CHECKING, Any

from anyio import CancelScope

from ..data import ScopedIterable
from .failures import examine
from .iteration import (
    Begun,
    close_after,
    close_iterator,
    items_of,
    iterated_once,
    length_of,
    may_have_more,
)
from .sequence import Chain, Slot
from .upstream import Upstream
from .window import BURST

if TYPE_CHECKING:
    from .run import Run
    from .watching import RunWatch


TAKEN = object()
"""In place of data that is being iterated."""

SLOW = 0.005
"""Seconds after which a burst of synchronous data has kept the event loop for too long."""


class Source(Upstream):
    """
    Feeds the data into the first chain of a run.

    :param run: the run
    :param data: what the pipeline was called with
    :param chain: the first chain
    :param stage_count: of the run
    :ivar pulled: items taken from the data so far
    """

    def __init__(self, run: Run, data: Any, chain: Chain, stage_count: int) -> None:
        self._run = run
        self._data = data
        self.chain = chain
        self._left = 0  # in the present burst
        self._burst = 1
        # Of the event loop, for the others at the next pause.
        self._turns = stage_count + 2
        self._stopped = False
        self._scope: CancelScope | None = None
        self.pulled = 0

    @property
    def total(self) -> int | None:
        """Items that the data has, if it tells, and is not being iterated yet."""
        return None if self._data is TAKEN else length_of(self._data)

    def stop(self) -> None:
        """End early: ask for nothing more. What is blocked in the data is the run's to cancel."""
        self._stopped = True
        self._left = 0

    def drain(self) -> None:
        """End early, although the run goes on."""
        self.stop()
        if self._scope is not None:
            self._scope.cancel()
        self._run.window.wake_source()

    def cut_off(self, sink: Chain) -> None:
        """
        End early, since nothing that comes now is wanted any more.

        :param sink: takes what comes all the same
        """
        self.chain = sink
        self.following = None
        self.drain()

    @property
    def _watch(self) -> RunWatch | None:
        return self._run.observation.watch

    async def feed(self) -> None:
        """Iterate the data to its end, or until the run stops, and close it."""
        run = self._run
        try:
            items = items_of(self._data)
            self._data = TAKEN
            if isinstance(items, AsyncIterable):
                await self._feed_async(items)
            else:
                await self._feed_sync(items)
            if not run.stopping:
                run.cascade.close(self.chain)
        except BaseException as error:
            error = examine(error, "the source", run)
            fail = run.fail if run.winding_down is None else run.winding_down.fail_after_all
            fail(error, f"raised by the source after {self.pulled} item(s)")

    async def _feed_sync(self, items: Iterator[Any]) -> None:
        window = self._run.window
        values = iterated_once(items)
        if self._watch is not None:
            values = self._watch.time_values(values)
        try:
            room = await self._pause(lets_others_run=False)
            while room:
                places = min(room, self._next_burst())
                window.held += places
                began = self._run.host.clock()
                left = places + self.pulled
                try:
                    self._feed_burst(islice(values, places))
                finally:
                    left -= self.pulled
                    if left:
                        window.release(left)
                if self._run.host.clock() - began > SLOW:
                    self._burst = max(1, places // 2)
                if left:
                    return
                room = await self._pause(lets_others_run=may_have_more(items))
        finally:
            if isinstance(items, Generator):
                items.close()

    def _feed_burst(self, values: Iterable[Any]) -> None:
        """Hand on all of the values, which have places."""
        root = self.chain.root
        spare = self.chain.spare
        slots: list[Slot] = []
        try:
            for index, value in enumerate(values, self.pulled):
                # As in _hand_on(), spelled out for its speed.
                if spare:
                    slot = spare.pop()
                    slot.value = value
                    slot.index = index
                    slot.done = False
                else:
                    slot = Slot(value, index)
                slot.previous = last = root.previous
                slot.next = root
                last.next = root.previous = slot
                slots.append(slot)
        finally:
            self.pulled += len(slots)
            self.emit_all(slots)

    async def _feed_async(self, items: AsyncIterable[Any]) -> None:
        # Entered before the first step, and shielded when that is over; as in Expansion.pass_on().
        # Two, so that what drain() cancels is shielded from, too.
        with CancelScope() as self._scope, CancelScope() as scope:
            if isinstance(items, ScopedIterable):
                async with items as results:
                    try:
                        await self._iterate(results)
                    finally:
                        scope.shield = True
                return
            iterator = items.__aiter__()
            try:
                await self._iterate(iterator)
            except BaseException as error:
                scope.shield = True
                await close_after(error, iterator)
                raise
            scope.shield = True
            await close_iterator(iterator)

    async def _iterate(self, iterator: AsyncIterator[Any]) -> None:
        # Stopped before our first step, or while a stream was entered: nobody would cancel us then.
        if self._stopped:
            return
        window = self._run.window
        if self._watch is not None:
            iterator = self._watch.time_items(iterator)
        self._left = self._next_burst()
        async for value in Begun(iterator):
            window.held += 1
            self._hand_on(value)
            del value  # what waits must not keep a user's objects alive
            self._left -= 1
            if self._left <= 0 or window.held >= window.size:
                room = await self._pause(shields=True)
                if not room:
                    return
                self._left = min(room, self._next_burst())

    def _hand_on(self, value: Any) -> None:
        """Link in a slot for a value and hand it on."""
        slot = self.chain.slot_for(value, self.pulled)
        self.chain.append(slot)
        self.pulled += 1
        self.emit(slot)

    def _next_burst(self) -> int:
        """Return how many items to pull before the next pause."""
        burst = self._burst
        self._burst = min(2 * burst, BURST)
        return burst

    async def _pause(self, *, lets_others_run: bool = True, shields: bool = False) -> int:
        """
        Let the others run, and wait until there is room.

        :param lets_others_run: no need to, if what comes is only the end of the data
        :param shields: whether scopes around us may be those of a generator that waits at a yield;
            what they cancel is the generator, at its next step, and not our waiting
        :return: for how many items there is room; 0 once we have been told to end
        """
        window = self._run.window
        room = window.outlook.room
        with CancelScope(shield=True) if shields else nullcontext():
            if lets_others_run and room > 0:
                for _ in range(self._turns):
                    await self._run.host.checkpoint()
                # The first item has had time to get to the consumer, if nothing holds it up.
                self._turns = 1
                room = window.outlook.room
            if room <= 0 and self._run.chains[-1].hurry():
                # Who collects has been waiting for a straggler; now it makes room. On Trio, whose
                # turns have no order, it may come after us in the first.
                for _ in range(2):
                    await self._run.host.checkpoint()
                room = window.outlook.room
            while room <= 0 and not self._stopped:
                with nullcontext() if self._watch is None else self._watch.source_blocked:
                    await window.wait_as_source(self._run.host.new_lone_event())
                room = window.outlook.room
        return 0 if self._stopped else room
