"""
A stage that calls its function with a batch of items.

An order point: it takes items from the end of the chain before it, in input order or, in a run
without order, as they arrive, and starts a chain of its own in which each batch is one slot.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from contextvars import copy_context
from sys import maxsize
from typing import TYPE_CHECKING, Any

from anyio import current_time

from .batching import Batch, Batcher
from .call import Call
from .expansion import Gathering
from .failures import CallFailed
from .isolation import differs
from .kinds import EXPANDED, SKIPPED
from .sequence import Chain, Slot
from .stage import Stage

if TYPE_CHECKING:
    from ..plan import StagePlan
    from ..task_options import TaskOptions
    from .grouping import GroupingBatcher
    from .pacing import Pacing
    from .run import Run

logger = logging.getLogger("conveyor")


class BatchSlot(Slot):
    """
    The place of a batch.

    Its items keep their places in the window while the call works on them. The slot has one; the
    others are spare once the call has returned, for its results.

    :param value: a list of items
    :param index: of the first input item
    """

    __slots__ = ("_spare",)

    def __init__(self, value: list[Any], index: int) -> None:
        super().__init__(value, index)
        self._spare = len(value) - 1

    def take_spare(self, wanted: int) -> int:
        """
        Use up places that the slot has beside its own.

        :param wanted: how many at most
        :return: how many
        """
        taken = min(wanted, self._spare)
        self._spare -= taken
        return taken


class BatchStage(Stage):
    """
    Gather items into batches and call the function with each; at most ``limit`` calls at a time.

    :param run: the run
    :param plan: what to do
    :param intake: the chain that ends here
    """

    def __init__(self, run: Run, plan: StagePlan, intake: Chain) -> None:
        super().__init__(run, plan)
        options = plan.options
        self._intake = intake
        self._batcher = self.make_batcher(options)
        self._isolates_poison = options.on_error == "skip_item" and options.error_handler is None
        self._keeps_time = False
        intake.on_ready = self.pump

    def make_batcher(self, options: TaskOptions) -> Batcher[Slot] | GroupingBatcher[Slot]:
        """
        Return the rules that decide when a batch leaves.

        :param options: of the task
        """
        return Batcher(options.min_size, options.batch_size, options.max_wait)

    @property
    def batch_size(self) -> int:
        """Items in a full batch at present."""
        return self._batcher.max_size

    @property
    def items_taken(self) -> int:
        """Items that have come in so far: those in batches, gathering, and dropped."""
        return self.counters.merged + self.counters.dropped + len(self._batcher)

    def accounts_for(self, given: int) -> int:
        """
        Count the items in batches and those dropped at the end.

        :param given: how many there should be
        """
        return self.counters.merged + self.counters.dropped

    @property
    def is_idle(self) -> bool:
        """Whether nothing goes on without more input; a batch that is being gathered does not."""
        return super().is_idle and not self._batcher.full

    def pump(self) -> None:
        """Take in what the chain before us has ready; summon a worker if there is work for one."""
        intake = self._intake
        batcher = self._batcher
        slots = intake.take_slots()
        if slots:
            self.gather(slots)
        if intake.closed and intake.exhausted and not batcher.closed:
            self._end_intake()
        if self.wakeable:
            self._summon_if_due()

    def gather(self, slots: list[Slot]) -> None:
        """
        Add items to batches.

        :param slots: of the items, at least one
        """
        batcher: Any = self._batcher  # that of make_batcher() here
        # Only the first item's time matters for the timer, but later ones become first.
        batcher.extend(slots, current_time() if batcher.timed else 0.0)

    def _summon_if_due(self) -> None:
        batcher = self._batcher
        # Somebody has to take a full batch, or to watch the clock for one that is not.
        if self.wakeable and (
            batcher.full
            or (batcher.timed and not self._keeps_time and batcher.deadline is not None)
        ):
            self.summon()

    async def _wait(self) -> None:
        """Wait for a batch; the first worker to wait watches the clock for all of them."""
        deadline = self._batcher.deadline
        if deadline is None or self._keeps_time:
            return await self.park()
        self._keeps_time = True
        try:
            await self.park(deadline)
        finally:
            self._keeps_time = False

    def _end_intake(self) -> None:
        dropped = self._batcher.close()
        if dropped:
            self.counters.dropped += len(dropped)
            self.run.window.release(len(dropped))
            logger.warning(
                "task %r: %d item(s) left at the end of the input are fewer than min_size=%d "
                "and were dropped",
                self.name,
                len(dropped),
                self._batcher.min_size,
            )
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._batcher.closed and not len(self._batcher) and not self.chain.closed:
            self.run.cascade.close(self.chain)

    def stop(self) -> None:
        """Start no further call."""
        super().stop()
        self._batcher.clear()

    def forget(self, dropped: Collection[Slot]) -> set[Slot]:
        """
        Let go of the items in batches that have not left.

        :param dropped: slots of the stage's chain, none of which waits here
        """
        self.run.window.release(len(self._batcher))
        self._batcher.clear()
        return set()

    async def work(self) -> None:
        """Serve batches until the run ends."""
        call = await self.prepare()
        self.arrive()
        pristine = copy_context()
        batcher = self._batcher
        serve = self.serve_isolated if self._isolated else self.serve
        while not self.run.stopping:
            pacing = await call.begin()
            batch = batcher.take(current_time() if batcher.timed else 0.0)
            if batch is None:
                pacing.end()
                slot = None  # no object of the user's is kept alive meanwhile
                await self._wait()
                continue
            slot = self._open_batch(batch)
            del batch
            self._summon_if_due()
            await serve(call, slot, pacing)
            if differs(pristine):
                self._isolated = True
                self.retire()
                return self.pump()

    def _open_batch(self, batch: Batch) -> Slot:
        index = batch.items[0].index
        slot = BatchSlot(self._intake.empty(batch.items), index)
        self.counters.taken += 1
        self.counters.triggers[batch.trigger] += 1
        self.counters.merged += len(batch.items)
        self.chain.append(slot)
        self._close_if_done()
        return slot

    async def serve(self, call: Call, slot: Slot, pacing: Pacing) -> None:
        """
        Call the function with one batch and pass on what it returns.

        :param call: what :meth:`prepare` returned
        :param slot: holds the list of items
        :param pacing: what ``call.begin()`` returned
        """
        if self._isolates_poison:
            await self._serve_isolating(call, slot, pacing)
        else:
            await super().serve(call, slot, pacing)

    async def settle(self, slot: Slot, result: Any) -> None:
        """
        Pass a result on.

        :param slot: the place it has
        :param result: what the call returned
        """
        await super().settle(slot, result)
        self._give_back_spare(slot)

    def _give_back_spare(self, slot: Slot) -> None:
        self.run.window.release(slot.take_spare(maxsize))

    async def _serve_isolating(self, call: Call, slot: Slot, pacing: Pacing | None) -> None:
        """Halve what fails, and try the halves, until only single items fail."""
        pending = [slot]
        while pending:
            part = pending.pop()
            expansion = Gathering(self, part)
            try:
                result = await call(part.value, expansion, pacing)
                pacing = None
            except CallFailed as failed:
                return self.run.fail(failed.error, self.describe(part, failed.attempts))
            if result is SKIPPED and len(part.value) > 1 and not expansion.passed_on:
                pending += self._halves(part)
            elif result is EXPANDED:
                await self.spread(part, expansion.take_kept())
                self._give_back_spare(part)
            else:
                await self.settle(part, result)

    def _halves(self, part: Slot) -> list[Slot]:
        """Put two slots in the place of one, and return the second and the first."""
        middle = len(part.value) // 2
        first = BatchSlot(part.value[:middle], part.index)
        second = BatchSlot(part.value[middle:], part.index)
        self.insert(part, first)
        self.insert(part, second)
        # They share the places of its items; its own is given back as it leaves.
        self.run.window.held += 1
        self.discard(part)
        return [second, first]

    def items_in(self, slot: Slot) -> int:
        """
        Count the items of a batch.

        :param slot: holds the list of items
        """
        return len(slot.value)
