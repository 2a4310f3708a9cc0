"""
A batch stage that asks for each item how much it weighs, and which others it may be with.

A stage of its own, since others need not ask.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from anyio import current_time

from .batch_stage import BatchStage
from .failures import examine
from .grouping import GroupingBatcher
from .sequence import Slot

if TYPE_CHECKING:
    from ..task_options import TaskOptions


class GroupedBatchStage(BatchStage):
    """
    Gather items into batches by key and weight.

    A batch has its place in the order of results from when it leaves, not from when its first item
    comes. Else a key of which little comes would hold up the results of all the others.

    A function among the options that fails, or gives what cannot be used, is a mistake in the
    settings and not in the item: it ends the run, whatever ``on_error`` says.
    """

    batcher: GroupingBatcher[Slot]

    def make_batcher(self, options: TaskOptions) -> GroupingBatcher[Slot]:
        """
        Return the rules that decide when a batch leaves.

        :param options: of the task
        """
        self._weight_of = options.weight
        self._key_of = options.batch_by
        one_at_a_time = options.batch_by is None
        return GroupingBatcher(
            options.min_size,
            options.batch_size,
            options.max_wait,
            max_weight=math.inf if options.max_weight is None else options.max_weight,
            room=math.inf if one_at_a_time else options.batch_size + self.run.window.extra,
        )

    def gather(self, slots: list[Slot]) -> bool:
        """
        Add items to the batches of their keys.

        :param slots: of the items, at least one
        :return: whether one of them failed, so that the run ends, and all that is later is dropped
        """
        batcher = self.batcher
        now = current_time() if batcher.timed else 0.0
        for position, slot in enumerate(slots):
            option = "weight"
            try:
                weight = self._weigh(slot.value)
                option = "batch_by"
                key = self._identify(slot.value)
                batcher.add(slot, now, key, weight)  # in here, since keys are compared there
            except BaseException as error:
                error = examine(error, f"{option} of task {self.name!r}", self.run)
                origin = f"raised by {option} of task {self.name!r} for input item {slot.index}"
                if self.run.winding_down is not None:
                    # Back to their places: this one is that of the failure, the others are later.
                    for each in reversed(slots[position:]):
                        self._intake.insert_before(self._intake.root.next, each)
                self.run.routing.end_run(self._intake, slot, error, origin)
                return True
        return False

    # The messages leave weight and key out: they may be the item.

    def _weigh(self, item: Any) -> float:
        if self._weight_of is None:
            return 0
        weight: Any = self.run.ask(self._weight_of, item)
        if isinstance(weight, bool) or not isinstance(weight, (int, float)):
            raise TypeError(f"weight must return a number, got a {type(weight).__name__}")
        if not weight >= 0:
            raise ValueError("weight must return 0 or more")
        return weight

    def _identify(self, item: Any) -> Hashable:
        if self._key_of is None:
            return None
        key: Hashable = self.run.ask(self._key_of, item)
        try:
            hash(key)
        except TypeError:
            raise TypeError(
                f"batch_by must return something hashable, got a {type(key).__name__}"
            ) from None
        return key
