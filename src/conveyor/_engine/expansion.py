"""
One result that becomes many items: lists too long for the room there is, and generators.

The children take the place of the item they come from, each as soon as it exists; those of a list
or a generator that is not asynchronous in small lots, since nobody else could run in between. One
that has no room waits on its slot (rule 4 of :mod:`.sequence`) and holds back nothing but itself:
no value is pulled from a generator before there is a place for it, and none once the run stops.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterable
from itertools import repeat
from typing import TYPE_CHECKING, Any

from anyio import CancelScope

from .failures import RunStopped
from .iteration import close_after

if TYPE_CHECKING:
    from .pacing import Pacing
    from .sequence import Slot
    from .stage import Stage


# Values after which others that wait for room get it first, if the order of results is open; and
# passed on at once at most.
TURN = 32

# Values of a generator that are kept back at most until it has ended.
MOST_KEPT = 1000


class Expansion:
    """
    Passes on the values that one item becomes.

    :param stage: where it happens
    :param slot: the item's; stays in the chain as the place before which the children go
    :ivar passed_on: values passed on so far
    """

    __slots__ = ("_rank", "_slot", "_stage", "_turn", "passed_on")

    def __init__(self, stage: Stage, slot: Slot) -> None:
        self._stage = stage
        self._slot = slot
        self._turn = 0
        self._rank = -1
        self.passed_on = 0

    @property
    def stage(self) -> Stage:
        """Where it happens."""
        return self._stage

    @property
    def slot(self) -> Slot:
        """The item's."""
        return self._slot

    async def pass_on(
        self, values: Generator[Any, Any, Any] | AsyncIterator[Any], pacing: Pacing | None
    ) -> None:
        """
        Pass on every value of a generator and close it.

        :param values: a generator, an async generator or another async iterator
        :param pacing: of the call it belongs to, if that has any
        """
        if not isinstance(values, Generator):
            # Entered before its first step, since it may hold scopes of its own between two steps;
            # one entered only to close it would be left in the wrong order.
            with CancelScope() as scope:
                try:
                    await self._from_async(values, pacing)
                except BaseException as error:
                    # Unless it failed by itself it waits at a yield; its cleanup may await.
                    scope.shield = True
                    await close_after(error, values)
                    raise
        else:
            try:
                await self.from_iterable(values, pacing)
            finally:
                values.close()

    async def from_iterable(self, values: Iterable[Any], pacing: Pacing | None) -> None:
        """
        Pass on every value of an iterable.

        :param values: a list, or a generator that the caller closes
        :param pacing: of the call it belongs to, if that has any
        """
        iterator = iter(values)
        while True:
            await self._reserve(pacing)
            places = 1 + self._reserve_more()
            lot: list[Any] = []
            try:
                for _ in repeat(None, places):
                    self.check()
                    lot.append(next(iterator))
            except StopIteration:
                return
            finally:
                self._add_all(lot)
                self._release(places - len(lot))

    async def _from_async(self, values: AsyncIterator[Any], pacing: Pacing | None) -> None:
        while True:
            await self._reserve(pacing)
            try:
                self.check()
                value = await values.__anext__()
                if self._slot.done:
                    raise RunStopped  # dropped, though nobody could cancel it
            except BaseException as error:
                self._release(1)
                if isinstance(error, StopAsyncIteration):
                    return
                raise
            self._add(value)

    def check(self) -> None:
        """
        See that more of the item is still wanted; the run may have stopped, or the item been
        dropped, while we waited.

        :raises RunStopped: if it is not
        """
        if self._stage.run.stopping or self._slot.done:
            raise RunStopped

    async def _reserve(self, pacing: Pacing | None) -> None:
        """Take a place for the next value, before it is asked for; wait if there is none."""
        stage = self._stage
        if self.passed_on >= self._turn:
            self._turn += TURN
            self._rank = stage.run.window.rank(self._slot.index)
        while not stage.may_add(self._slot, self._rank):
            if pacing is not None:
                pacing.pause()
            await stage.wait_for_room(self._slot, self._rank)
            if pacing is not None:
                # Not cancellable, like the wait before. Those that have the shares are.
                with CancelScope(shield=True):
                    await pacing.resume()
        stage.run.window.held += 1

    def _reserve_more(self) -> int:
        """Take as many further places as there are for the rest of a lot; return how many."""
        room = self._stage.room_for(self._slot, self._rank)
        more = max(0, min(room, self._turn - self.passed_on - 1))
        self._stage.run.window.held += more
        return more

    def _add(self, value: Any) -> None:
        self._stage.add_child(self._slot, value)
        self.passed_on += 1

    def _add_all(self, values: list[Any]) -> None:
        self._stage.add_children(self._slot, values)
        self.passed_on += len(values)

    def _release(self, places: int) -> None:
        if places:
            self._stage.run.window.release(places)


class Gathering(Expansion):
    """
    Keeps the values until the generator has ended, so that a failure on the way leaves nothing.

    At most a thousand; if there are more, all are passed on.

    :param stage: where it happens
    :param slot: the item's
    """

    __slots__ = ("_is_full", "_kept")

    def __init__(self, stage: Stage, slot: Slot) -> None:
        super().__init__(stage, slot)
        self._kept: list[Any] = []
        self._is_full = False

    def take_kept(self) -> list[Any]:
        """Return the values that were kept, and keep them no longer."""
        kept, self._kept = self._kept, []
        return kept

    async def pass_on(
        self, values: Generator[Any, Any, Any] | AsyncIterator[Any], pacing: Pacing | None
    ) -> None:
        """
        Keep every value of a generator and close it.

        :param values: a generator, an async generator or another async iterator
        :param pacing: of the call it belongs to, if that has any
        """
        self._kept.clear()
        await super().pass_on(values, pacing)

    async def _reserve(self, pacing: Pacing | None) -> None:
        if not self._is_full and len(self._kept) > MOST_KEPT:
            self._is_full = True
            await self.from_iterable(self.take_kept(), pacing)
        if self._is_full:
            await super()._reserve(pacing)

    def _reserve_more(self) -> int:
        if self._is_full:
            return super()._reserve_more()
        return min(TURN - 1, MOST_KEPT - len(self._kept))

    def _add(self, value: Any) -> None:
        if self._is_full:
            super()._add(value)
        else:
            self._kept.append(value)

    def _add_all(self, values: list[Any]) -> None:
        if self._is_full:
            super()._add_all(values)
        else:
            self._kept += values

    def _release(self, places: int) -> None:
        if self._is_full:
            super()._release(places)
