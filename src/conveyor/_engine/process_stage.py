"""
A stage for tasks that define ``process(items)``: many items in, many out, in the user's own way.

An order point, like a batch stage. The task is called once, with an async iterator of its items;
what it returns is passed on as the one expansion of a placeholder, so the window and the rule for
the head of the line hold here as everywhere. When it ends early, what it left is not processed and
the run ends once its results are delivered.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from ..data import ScopedIterable
from .bypass import FailedSlot
from .expansion import Expansion
from .failures import CallFailed, examine
from .kinds import DROPPED
from .pacing import Pacing
from .sequence import Chain, Slot
from .stage import Stage

if TYPE_CHECKING:
    from ..plan import StagePlan
    from .host import LoneEvent
    from .run import Run


class ProcessStage(Stage):
    """
    Runs one ``process`` call over the whole stream.

    :param run: the run
    :param plan: what to do
    :param intake: the chain that ends here
    """

    takes_all = False

    def __init__(self, run: Run, plan: StagePlan, intake: Chain) -> None:
        super().__init__(run, plan)
        self.limit = 1
        self._intake = intake
        intake.on_ready = self._on_ready
        self._waiting_for_item: LoneEvent | None = None
        self._has_met_end = False

    def accounts_for(self, given: int) -> int:
        """
        A process takes what it likes, so whatever it was given is accounted for.

        :param given: how many items there were
        """
        return given

    def _on_ready(self) -> None:
        if self._waiting_for_item is not None:
            self._waiting_for_item.set()
        elif self.workers == 0 and self.wakeable:
            self.summon()

    async def work(self) -> None:
        """Call the task and pass on all that it yields; nobody is summoned again."""
        self.arrive()
        await self._serve()
        self.workers -= 1

    async def _serve(self) -> None:
        slot = Slot(None, 0)
        self.chain.append(slot)
        self.run.cascade.close(self.chain)
        self.counters.added += 1
        self.run.window.held += 1
        winding_down = self.run.winding_down
        pacing = Pacing(None)
        work: Callable[[], Awaitable[Any]] = partial(self._serve_stream, slot, pacing)
        if self.watch is not None:
            work = partial(self.watch.attend, slot, pacing, work)
        try:
            if winding_down is None:
                await work()
            elif await winding_down.attend(self, slot, work) is DROPPED:
                return self.discard(slot)
        except CallFailed as failed:
            return await self.give_up(slot, failed)
        self.wants_no_more = not self._intake.exhausted
        if winding_down is not None and not self._has_met_end:
            winding_down.forget_before(self.chain)
            self.wants_no_more = True
        self.discard(slot)

    async def _serve_stream(self, slot: Slot, pacing: Pacing) -> None:
        if pacing.watched is not None:
            pacing.watched.begin()
        try:
            stream = self.plan.function(_Items(self, slot, pacing))
            if isawaitable(stream):
                stream = await stream
            await self._pass_on(slot, stream, pacing)
        except BaseException as error:
            examined = examine(error, f"task {self.name!r}", self.run)
            raise CallFailed(examined, 1) from None

    async def _pass_on(self, slot: Slot, stream: Any, pacing: Pacing) -> None:
        expansion = Expansion(self, slot)
        if isinstance(stream, ScopedIterable):
            async with stream as results:
                await expansion.pass_on(results, pacing)
        elif isinstance(stream, AsyncIterable):
            # isinstance() leaves the element type unknown.
            await expansion.pass_on(stream.__aiter__(), pacing)  # pyright: ignore[reportUnknownArgumentType]
        else:
            raise TypeError(
                f"process() of task {self.name!r} must be an async generator, or return an async "
                f"iterable; got a {type(stream).__name__}"
            )

    def indexes_in(self, slot: Slot) -> tuple[int, ...]:
        """
        Return nothing: the call is about all items.

        :param slot: the place of what the call gives
        """
        return ()

    async def next_item(self, place: Slot, pacing: Pacing) -> Any:
        """
        Wait for the next item, in order.

        :param place: gets the item's index
        :param pacing: of the call
        :raises StopAsyncIteration: at the end of the input
        :raises RuntimeError: if another task is waiting already
        """
        while True:
            slot = self._intake.take()
            if isinstance(slot, FailedSlot):
                self._let_pass(place, slot)
            elif slot is not None:
                # What the call takes it may merge or leave out; only what it gives goes on.
                self.counters.taken += 1
                self.counters.left += 1
                self.run.window.release()
                place.index = slot.index
                return slot.value
            elif self._intake.exhausted:
                self._has_met_end = True
                raise StopAsyncIteration
            else:
                await self._wait_for_item(pacing)

    async def _wait_for_item(self, pacing: Pacing) -> None:
        if self._waiting_for_item is not None:
            raise RuntimeError(
                f"task {self.name!r}: another task of process() is waiting for an item; let one "
                "iterate the items and hand them on"
            )
        self._waiting_for_item = event = self.run.host.new_lone_event()
        if pacing.watched is not None:
            pacing.watched.pause()
        try:
            await event.wait()
        finally:
            self._waiting_for_item = None
            if pacing.watched is not None:
                pacing.watched.resume()

    def _let_pass(self, place: Slot, slot: FailedSlot) -> None:
        """Let a failure of an earlier stage go before what the process has not yet given."""
        self.passed_by += 1
        self.chain.insert_before(place, slot)
        self.chain.finish(slot)


class _Items(AsyncIterator[Any]):
    """What ``process`` gets; not a generator, so there is nothing to close."""

    def __init__(self, stage: ProcessStage, place: Slot, pacing: Pacing) -> None:
        self._stage = stage
        self._place = place
        self._pacing = pacing

    async def __anext__(self) -> Any:
        return await self._stage.next_item(self._place, self._pacing)
