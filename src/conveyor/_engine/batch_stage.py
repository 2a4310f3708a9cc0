"""
A stage that calls its function with a batch of items.

An order point: it takes items from the end of the chain before it, in input order or, in a run
without order, as they arrive, and starts a chain of its own in which each batch is one slot.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from sys import maxsize
from typing import TYPE_CHECKING, Any

from anyio import current_time

from ..error_handling import SKIP
from .batch_call import BatchCall
from .batch_figures import BatchFigures
from .batch_slot import BatchSlot
from .batching import Batch, Batcher, is_due
from .bypass import BatchBypass
from .call import Call
from .expansion import Gathering
from .failures import CallFailed, Parts
from .isolation import Variables, isolated
from .kinds import EXPANDED
from .sequence import Chain, Slot

if TYPE_CHECKING:
    from ..plan import StagePlan
    from ..task_options import TaskOptions
    from .grouping import GroupingBatcher
    from .pacing import Pacing
    from .run import Run

logger = logging.getLogger("conveyor")


class BatchStage(BatchFigures):
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
        self.batcher = self.make_batcher(options)
        self._isolates_poison = options.isolates_poison
        self._keeps_time = False
        self._bypass = BatchBypass(self) if run.routing.gives_outcomes else None
        intake.on_ready = self.pump

    def make_batcher(self, options: TaskOptions) -> Batcher[Slot] | GroupingBatcher[Slot]:
        """
        Return the rules that decide when a batch leaves.

        :param options: of the task
        """
        return Batcher(options.min_size, options.batch_size, options.max_wait)

    def make_call(self, function: Callable[[Any], Any]) -> Call:
        """
        Return the call that workers make.

        :param function: the user's, side inputs bound
        """
        return BatchCall(function, self.plan.options, self, self.adaptive)

    @property
    def is_idle(self) -> bool:
        """Whether nothing goes on without more input; a batch that is being gathered does not."""
        return super().is_idle and not self.batcher.full

    def pump(self) -> None:
        """Take in what the chain before us has ready; summon a worker if there is work for one."""
        if self.run.stopping:
            return  # what was gathered is gone, so nothing could be told to come after it
        intake = self._intake
        batcher = self.batcher
        slots = intake.take_slots()
        if slots:
            (self if self._bypass is None else self._bypass).gather(slots)
            # If none came, the head is late, and what comes after it says nothing any more.
            intake.expect(self._wanting())
        if intake.closed and intake.exhausted and not batcher.closed:
            self._end_intake()
        if self.wakeable:
            self._summon_if_due()

    def _wanting(self) -> int:
        """Return how many items it takes to make a difference to us: 1 if the next one may."""
        return self.batcher.missing if self._bypass is None else 1

    def gather(self, slots: list[Slot]) -> bool:
        """
        Add items to batches.

        :param slots: of the items, at least one
        :return: whether one of them failed, so that the run ends, and all that is later is dropped
        """
        batcher: Any = self.batcher  # that of make_batcher() here
        # Only the first item's time matters for the timer, but later ones become first.
        batcher.extend(slots, current_time() if batcher.timed else 0.0)
        return False

    def _summon_if_due(self) -> None:
        batcher = self.batcher
        # Somebody has to take a full batch, or to watch the clock for one that is not.
        if self.wakeable and (
            batcher.full
            or (batcher.timed and not self._keeps_time and batcher.deadline is not None)
        ):
            self.summon()

    async def _wait(self) -> None:
        """Wait for a batch; the first worker to wait watches the clock for all of them."""
        deadline = self.batcher.deadline
        if deadline is None or self._keeps_time:
            return await self.park()
        self._keeps_time = True
        try:
            await self.park(deadline)
        finally:
            self._keeps_time = False

    def _end_intake(self) -> None:
        dropped = self.batcher.close()
        if dropped:
            self.counters.dropped += len(dropped)
            self.run.window.release(len(dropped))
            logger.warning(
                "task %r: %d item(s) left at the end of the input are fewer than min_size=%d "
                "and were dropped",
                self.name,
                len(dropped),
                self.batcher.min_size,
            )
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self.batcher.closed and not len(self.batcher) and not self.chain.closed:
            self.run.cascade.close(self.chain)

    def stop(self) -> None:
        """Start no further call."""
        super().stop()
        self._forgotten += len(self.batcher)
        self.batcher.clear()

    def forget(self, dropped: Collection[Slot]) -> set[Slot]:
        """
        Let go of the items in batches that have not left, and of failures behind those.

        :param dropped: slots of the stage's chain, none of which waits here
        """
        passing = 0 if self._bypass is None else self._bypass.clear()
        self.run.window.release(len(self.batcher) + passing)
        self._forgotten += len(self.batcher)
        self.batcher.clear()
        return set()

    async def work(self) -> None:
        """Serve batches until the run ends."""
        call = await self.prepare()
        self.arrive()
        variables = Variables()
        batcher = self.batcher
        serve = self.serve_isolated if self._isolated else self.serve
        while not self.run.stopping:
            if not is_due(batcher, current_time() if batcher.timed else 0.0):
                slot = None  # no object of the user's is kept alive meanwhile
                await self._wait()
                continue
            self._pausing += 1
            pacing = await call.begin()
            self._pausing -= 1
            batch = batcher.take(current_time() if batcher.timed else 0.0)
            if batch is None:
                pacing.end()
                continue
            slot = self._open_batch(batch)
            del batch
            self._summon_if_due()
            await serve(call, slot, pacing)
            del pacing
            if variables.have_changed():
                self._isolated = True
                self.retire()
                return self.pump()

    def _open_batch(self, batch: Batch) -> Slot:
        items: list[Any] = []
        for each in batch.items:
            items.append(each.value)
            each.value = None
        slot = BatchSlot(items, batch.items)
        self.counters.taken += 1
        self.counters.triggers[batch.trigger] += 1
        self.counters.merged += len(batch.items)
        self.chain.append(slot)
        self.let_pass()
        self._close_if_done()
        return slot

    def let_pass(self) -> None:
        """Let failures of earlier stages go on that need not wait behind full batches any more."""
        if self._bypass is not None:
            self._bypass.release()

    async def serve(self, call: Call, slot: Slot, pacing: Pacing) -> None:
        """
        Call the function with one batch and pass on what it returns.

        :param call: what :meth:`prepare` returned
        :param slot: holds the list of items
        :param pacing: what ``call.begin()`` returned
        """
        assert isinstance(slot, BatchSlot)
        if self._isolates_poison:
            await self._serve_isolating(call, slot, pacing)
        else:
            await super().serve(call, slot, pacing)

    async def admitted(self, admission: Awaitable[None], pacing: Pacing, *, is_first: bool) -> None:
        """
        Wait for leave to make a call whose items have been taken.

        :param admission: what to await
        :param pacing: of the call
        :param is_first: whether it is the first one with its items, but for those with more of them
        """
        is_part = isinstance(pacing.place, BatchSlot) and pacing.place.is_part
        await super().admitted(admission, pacing, is_first=is_first and not is_part)

    async def settle(self, slot: Slot, result: Any) -> None:
        """
        Pass a result on.

        :param slot: the place it has
        :param result: what the call returned
        """
        if isinstance(result, Parts):
            return await self._settle_parts(slot, result)
        await super().settle(slot, result)
        self._give_back(slot)
        return None

    async def _settle_parts(self, slot: Slot, parts: Parts) -> None:
        """Pass on the results of single items, and let the others go where they belong."""
        whole: list[Any] = []
        for (item, index), entry in zip(self.items_in(slot), parts.entries, strict=True):
            if isinstance(entry, CallFailed):
                await self.run.routing.route(self, slot, entry, [(item, index)])
                if self.run.stopping:
                    return None
                if slot.done:
                    return self.discard(slot)
            elif self.plan.options.flatten:
                self.run.window.held += 1 - slot.take_spare(1)
                self.add_child(slot, entry)
            else:
                whole.append(entry)
        if whole:
            await super().settle(slot, whole)
            self._give_back(slot)
        else:
            self.discard(slot)
        return None

    def _give_back(self, slot: Slot) -> None:
        """Give back what nobody needs any more: places in the window, and the items' slots."""
        self.run.window.release(slot.take_spare(maxsize))
        assert isinstance(slot, BatchSlot)
        slots, slot.slots = slot.slots, []
        self._intake.keep(slots)

    async def _serve_isolating(self, call: Call, slot: BatchSlot, pacing: Pacing) -> None:
        """Halve what fails, and try the halves, until only single items fail."""
        pending = [slot]
        while pending and not self.run.stopping:
            pacing.place = part = pending.pop()
            expansion = Gathering(self, part)
            failed: CallFailed | None = None
            result: Any = None
            try:
                work = partial(call, part.value, expansion, pacing)
                if part.is_part:
                    work = partial(isolated, work)
                result = await self.attended(part, expansion, pacing, work)
            except CallFailed as raised:
                failed = raised.with_traceback(None)
            pacing = call.new_pacing()
            if failed is None:
                if result is EXPANDED:
                    await self.spread(part, expansion.take_kept())
                else:
                    await self.settle(part, result)
            elif failed.decision is SKIP and len(part.value) > 1 and not expansion.passed_on:
                pending += self._halves(part)
                self._parts += 1
                continue
            else:
                await self.give_up(part, failed)
            if pending and not self.run.stopping:
                self._parts -= 1

    def _halves(self, part: BatchSlot) -> list[BatchSlot]:
        """Put two slots in the place of one, and return the second and the first."""
        first, second = part.halves()
        self.insert(part, first)
        self.insert(part, second)
        # They share the places of its items; its own is given back as it leaves.
        part.take_spare(maxsize)
        part.slots = []
        self.run.window.held += 1
        self.discard(part)
        return [second, first]

    def discard(self, slot: Slot) -> None:
        """
        Let a batch end here: no result, or no further ones.

        :param slot: of the batch
        """
        super().discard(slot)
        self._give_back(slot)

    def items_in(self, slot: Slot) -> list[tuple[Any, int]]:
        """
        Return the items of a batch, each with the index of its input item.

        :param slot: holds the list of items
        """
        assert isinstance(slot, BatchSlot)
        return [(item, each.index) for item, each in zip(slot.value, slot.slots, strict=True)]
