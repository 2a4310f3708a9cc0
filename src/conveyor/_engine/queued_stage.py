"""
A queue of slots that wait for workers, and what keeps its head from being stuck behind them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import TYPE_CHECKING

from .sequence import Slot
from .stage import Stage

if TYPE_CHECKING:
    from ..plan import StagePlan
    from .lanes import ItemQueue
    from .run import Run


class QueuedStage(Stage):
    """
    A stage whose workers take slots of its chain from a queue.

    Items are taken in the order in which they came; at most ``limit`` calls are in flight.

    :ivar preceding: the stages of the same chain that come before, the nearest first
    """

    def __init__(self, run: Run, plan: StagePlan) -> None:
        super().__init__(run, plan)
        self.queue: ItemQueue[Slot] = deque()
        self.preceding: list[QueuedStage] = []
        self._rescuing = False
        self._over = False

    def put(self, slot: Slot) -> None:
        """
        Queue a slot; never blocks, since the window bounds what there is to queue.

        :param slot: a slot of the stage's chain
        """
        self.queue.append(slot)
        if self.wakeable:
            self.summon()

    def put_all(self, slots: list[Slot]) -> None:
        """
        Queue several slots.

        :param slots: of the stage's chain, at least one
        """
        self.queue.extend(slots)
        if self.wakeable:
            self.summon()

    @property
    def backlog(self) -> int:
        """Workers that would find work at present, as far as more than one may be summoned."""
        return 1 if self._rescuing else len(self.queue)

    @property
    def busy(self) -> int:
        """Workers that have work, the one of a rescued call included."""
        return super().busy + self._rescuing

    @property
    def waiting(self) -> int:
        """Items that have come in, and have not been taken for a call."""
        return len(self.queue)

    def has_queued(self, slot: Slot) -> bool:
        """
        Tell whether a slot waits for a call.

        :param slot: of the stage's chain
        """
        return slot in self.queue

    def stop(self) -> None:
        """Start no further call."""
        super().stop()
        self._forgotten += self.waiting
        self._withdraw_queue(deque())  # in which nobody looks for what is still put

    def forget(self, dropped: Collection[Slot]) -> set[Slot]:
        """
        Let go of the slots in the queue that have been dropped.

        :param dropped: slots of the stage's chain
        :return: those of them that were queued
        """
        waiting = self._emptied()
        self.queue.extend(slot for slot in waiting if slot not in dropped)
        self._forgotten += len(waiting) - len(self.queue)
        return {slot for slot in waiting if slot in dropped}

    def _emptied(self) -> list[Slot]:
        """Take all that is queued."""
        return [self.queue.popleft() for _ in range(len(self.queue))]

    def _withdraw_queue(self, other: ItemQueue[Slot]) -> None:
        """
        Put another queue in the place of that which the hot path knows.

        Its workers find theirs empty, so they need not ask at every item whether they may go on.
        """
        queue, self.queue = self.queue, other
        queue.clear()

    @property
    def is_over(self) -> bool:
        """Whether nothing will be queued any more: no stage before this one has anything left."""
        if not self._over and self.chain.closed:
            self._over = not any(stage.is_serving for stage in self.preceding)
        return self._over

    @property
    def is_serving(self) -> bool:
        """Whether anything is queued or being worked on."""
        return bool(self.queue) or self._rescuing or self.workers > len(self._idle)

    def retire(self) -> None:
        """End this worker; if work is queued, another one takes its place."""
        super().retire()
        if self._turns:
            self.relieve()
        if self.queue and self.wakeable:
            self.summon()

    # The head of the line must never be stuck behind workers that wait for it to leave

    @property
    def is_jammed(self) -> bool:
        """Whether every worker waits for room, so that nobody takes what is queued."""
        return self._waiting >= self.limit

    @property
    def is_crowded(self) -> bool:
        """Whether, beside a rescued call, as many calls run as may."""
        running = self.workers - len(self._idle) - self._waiting
        return self._rescuing and running + 1 >= self.limit

    def summon(self) -> None:
        """Wake or start workers for what is queued; for a jammed stage, let the head through."""
        if not self.queue:
            return  # what has come waits for its key, or has failed as it came
        if self.is_jammed and not self._idle:
            self._rescue()
        elif self.is_crowded:
            self.wakeable = False  # until the rescued call has ended
        else:
            super().summon()

    async def park(self, deadline: float | None = None) -> None:
        """
        Wait to be summoned.

        :param deadline: see :meth:`.WorkerPool.park`
        """
        if self._turns:
            self.relieve()
        await super().park(deadline)

    def relieve(self) -> None:
        """As every stage does; and if all workers wait for room, let the head through."""
        super().relieve()
        if self.is_jammed:
            self._refresh()
            self._rescue()

    def _refresh(self) -> None:
        super()._refresh()
        if self.is_jammed and not self.run.stopping:
            self.wakeable = True

    def _rescue(self) -> None:
        """
        Serve the head of the chain if it is queued here while every worker waits for it to leave.

        The one worker beyond the limit that this takes does not mean one call more at a time: the
        generators of the others are suspended, and stay so while it runs (:attr:`is_crowded`), and
        nobody is summoned beyond the limit.
        """
        head = self.chain.head
        if head is None or self._rescuing or self.run.stopping or head not in self.queue:
            return
        self.queue.remove(head)
        self.counters.taken += 1
        self._rescuing = True
        self.run.start_soon(self.guard, self._serve_rescued, head)

    async def _serve_rescued(self, slot: Slot) -> None:
        """
        Serve one slot and nothing else.

        :param slot: already out of the queue
        """
        call = await self.prepare()
        pacing = await call.begin()
        if self.run.stopping:
            return pacing.end()
        await self.serve_isolated(call, slot, pacing)
        self._rescuing = False
        self._refresh()
        if self.queue and self.wakeable:
            self.summon()
        self.relieve()
