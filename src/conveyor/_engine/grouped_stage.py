"""
A batch stage that asks for each item how much it weighs.

A stage of its own, since others need not ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anyio import current_time

from .batch_stage import BatchStage
from .call import examine
from .grouping import GroupingBatcher
from .sequence import Slot

if TYPE_CHECKING:
    from ..options import TaskOptions


class GroupedBatchStage(BatchStage):
    """
    Gather items into batches by weight.

    A function among the options that fails, or gives what cannot be used, is a mistake in the
    settings and not in the item: it ends the run, whatever ``on_error`` says.
    """

    _batcher: GroupingBatcher[Slot]

    def make_batcher(self, options: TaskOptions) -> GroupingBatcher[Slot]:
        """
        Return the rules that decide when a batch leaves.

        :param options: of the task
        """
        assert options.max_weight is not None
        self._weight_of = options.weight
        return GroupingBatcher(
            options.min_size, options.batch_size, options.max_wait, options.max_weight
        )

    def pump(self) -> None:
        """Take in what the chain before us has ready; summon a worker if there is work for one."""
        batcher = self._batcher
        while (slot := self._intake.take()) is not None:
            try:
                weight = self._weigh(slot.value)
            except BaseException as error:
                return self._fail(error, "weight", slot)
            batcher.add(slot, current_time() if batcher.timed else 0.0, None, weight)
        if self._intake.exhausted and not batcher.closed:
            self._end_intake()
        self._summon_if_due()

    def _weigh(self, item: Any) -> float:
        assert self._weight_of is not None
        weight: Any = self._weight_of(item)
        # The messages leave the weight out: it may be the item.
        if isinstance(weight, bool) or not isinstance(weight, (int, float)):
            raise TypeError(f"weight must return a number, got a {type(weight).__name__}")
        if not weight >= 0:
            raise ValueError("weight must return 0 or more")
        return weight

    def _fail(self, error: BaseException, option: str, slot: Slot) -> None:
        error = examine(error, f"{option} of task {self.name!r}", self.run)
        origin = f"raised by {option} of task {self.name!r} for input item {slot.index}"
        self.run.fail(error, origin)
