"""
What can be asked of a stage that gathers batches, at any moment, in any thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .sequence import Slot
from .stage import Stage

if TYPE_CHECKING:
    from .batching import Batcher
    from .grouping import GroupingBatcher


class BatchFigures(Stage):
    """
    A stage that gathers batches, as far as it can be asked for figures; see :class:`.Figures`.

    :ivar batcher: the rules that decide when a batch leaves
    """

    batcher: Batcher[Slot] | GroupingBatcher[Slot]

    @property
    def batch_size(self) -> int:
        """Items in a full batch at present."""
        return self.batcher.max_size

    @property
    def waiting(self) -> int:
        """Items that are being gathered, or wait in full batches."""
        return len(self.batcher)

    @property
    def queued(self) -> int:
        """Items that wait for a call, those of batches that wait for leave to begin left out."""
        return 0 if self.run.stopping else self.waiting

    @property
    def oldest(self) -> Slot | None:
        """The item that has waited for a batch for longest, if there is one."""
        return self.batcher.oldest

    @property
    def items_taken(self) -> int:
        """Items that have come in so far: those in batches, gathering, and dropped."""
        counters = self.counters
        return counters.merged + counters.dropped + self.waiting + self._forgotten

    @property
    def items_done(self) -> int:
        """Items that have gone through so far; batches in flight are taken to be average ones."""
        share = self.calls_unfinished / max(1, self.counters.taken)
        return self.counters.dropped + round(self.counters.merged * (1 - share))

    def accounts_for(self, given: int) -> int:
        """
        Count the items in batches and those dropped at the end.

        :param given: how many there should be
        """
        return self.counters.merged + self.counters.dropped
