"""
Failures among the results: how a failed item passes by the stages that follow, in its place.

In a run of outcomes a :class:`FailedSlot` is linked in where the failed item was, and is finished
at once: no stage of the chain sees it, and it leaves when its turn comes, like a result. Whoever
takes slots from a chain then, an order point or the hand-off, moves it on instead of its value.
That is done in a way of its own, chosen when the run is wired up, so no other run looks for such
slots.

A failed slot has a place in the window until it is delivered, as a result has.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ..outcomes import Failure, Outcome, Success
from .sequence import Chain, Slot

if TYPE_CHECKING:
    from .batch_stage import BatchStage
    from .single_stage import SingleStage


class FailedSlot(Slot):
    """
    The place of an item that has failed.

    :param failure: what is delivered in place of a result
    """

    __slots__ = ()

    value: Failure

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure, failure.index)


def pass_by(chain: Chain, slot: FailedSlot) -> None:
    """
    Link a failed slot in at the end of the chain after an order point, past all its stages.

    :param chain: the one that begins at the order point
    :param slot: has left the chain before
    """
    slot.done = False
    chain.append(slot)
    chain.finish(slot)


def forward_outcomes_in_order(intake: Chain, stage: SingleStage) -> None:
    """
    Move what is next in order into *stage* and its own chain, failures past the stage.

    :param intake: the chain that ends here
    :param stage: the one whose calls begin in order
    """
    while (slot := intake.take()) is not None:
        if isinstance(slot, FailedSlot):
            pass_by(stage.chain, slot)
            continue
        slot.done = False
        stage.chain.append(slot)
        stage.put(slot)
    if intake.exhausted and not stage.chain.closed:
        stage.run.cascade.close(stage.chain)


class BatchBypass:
    """
    Lets failures pass by a batch stage.

    A batch has its place in the order from when it leaves. So a failure goes before the batch that
    is being gathered when it comes: it may take long until that is full, and if the failures that
    waited for it took all places of the window, for ever. It goes after those that are full by
    then, although they may still wait to be called, so that where it goes is not a matter of time.

    :param stage: the batch stage
    """

    def __init__(self, stage: BatchStage) -> None:
        self._stage = stage
        # Those behind full batches, and how many items have left in batches when they have.
        self._waiting: deque[tuple[int, FailedSlot]] = deque()

    def gather(self, slots: list[Slot]) -> None:
        """
        Take in what the chain before has ready.

        :param slots: at least one
        """
        stage = self._stage
        items: list[Slot] = []
        for position, slot in enumerate(slots):
            if not isinstance(slot, FailedSlot):
                items.append(slot)
                continue
            if items:
                if stage.gather(items):
                    return stage.run.window.release(len(slots) - position)
                items = []
            self._waiting.append((stage.counters.merged + stage.batcher.leaving, slot))
            self.release()
        if items:
            stage.gather(items)
        return None

    def clear(self) -> int:
        """Forget those that wait behind full batches, and return how many there were."""
        waiting = len(self._waiting)
        self._waiting.clear()
        return waiting

    def release(self) -> None:
        """Let go those that no full batch is before any more."""
        stage = self._stage
        waiting = self._waiting
        while waiting and (
            stage.counters.merged >= waiting[0][0]
            # A batch that was full is not any more, if they have been allowed to grow meanwhile.
            or not stage.batcher.leaving
        ):
            pass_by(stage.chain, waiting.popleft()[1])


def take_outcomes(chain: Chain, limit: int) -> list[Outcome[Any]]:
    """
    Unlink the slots that may leave and return what has become of their items.

    :param chain: the last one of a run
    :param limit: how many at most
    """
    slots = chain.take_slots(limit)
    outcomes = [
        slot.value if isinstance(slot, FailedSlot) else Success(slot.value, slot.index)
        for slot in slots
    ]
    chain.keep([slot for slot in slots if not isinstance(slot, FailedSlot)])
    return outcomes
