"""
A batch stage that finds the size of its batches by measuring its calls.

A stage of its own, since others need not measure.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from anyio import current_time

from .batch_stage import BatchStage
from .batching import Batcher
from .call import Call
from .kinds import ASYNC_GENERATOR, AWAITABLE, GENERATOR
from .sequence import Slot
from .sizing import BatchSizer

if TYPE_CHECKING:
    from ..task_options import TaskOptions


class SizedBatchStage(BatchStage):
    """
    Gather items into batches whose calls take about ``target_duration``.

    What is measured is the function alone: each attempt by itself, without waiting for a rate, for
    the next attempt or for room downstream.
    """

    def make_batcher(self, options: TaskOptions) -> Batcher[Slot]:
        """
        Return the rules that decide when a batch leaves, with the smallest size.

        :param options: of the task
        """
        assert options.target_duration is not None
        window = self.run.window
        most = min(options.batch_size, 1 + window.extra, window.size // self.limit)
        self._sizer = BatchSizer(options.target_duration, most)
        return Batcher(1, self._sizer.size, options.max_wait)

    def _wanting(self) -> int:
        """Return 1: a full batch may be smaller by the time when it is complete."""
        return 1

    def make_call(self, function: Callable[[Any], Any]) -> Call:
        """
        Return the call that workers make, measured.

        :param function: the user's, side inputs bound
        """
        return super().make_call(partial(self._measured, function))

    async def _measured(self, function: Callable[[Any], Any], batch: list[Any]) -> Any:
        items = len(batch)
        begun = current_time()
        failed = True
        try:
            result = function(batch)
            if self._kinds[type(result)] is AWAITABLE:
                result = await result
            failed = False
        finally:
            self._adapt(items, current_time() - begun, failed)
        if self._kinds[type(result)] in (GENERATOR, ASYNC_GENERATOR):
            raise TypeError(
                f"task {self.name!r} with max_size='auto' returned a generator, which has done "
                "nothing yet that could be measured; return a list"
            )
        return result

    def _adapt(self, items: int, seconds: float, failed: bool) -> None:
        self._sizer.observe(items, seconds, failed)
        self.batcher.max_size = self._sizer.size
        self.let_pass()
        # What has gathered may be a full batch now.
        self._summon_if_due()
