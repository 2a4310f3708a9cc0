"""
What can be asked of a stage at any moment, in any thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .room import Expander

if TYPE_CHECKING:
    from .adaptive_limit import AdaptiveLimit
    from .ledger import Counters
    from .sequence import Slot


class Figures(Expander):
    """
    A stage, as far as it can be asked for figures.

    They follow from what it knows anyhow; nothing is counted for them on the way of an item. What
    has been passed on is what came in, without what has ended here and what somebody works on.
    """

    counters: Counters
    adaptive: AdaptiveLimit | None
    _admitting: int = 0
    _unfinished: int = 0
    _forgotten: int = 0
    _parts: int = 0  # of batches that have failed, still to be called

    @property
    def present_limit(self) -> int:
        """Calls that may be in flight at present."""
        return self.limit if self.adaptive is None else self.adaptive.limit

    @property
    def in_flight(self) -> int:
        """Calls that are being made."""
        return 0 if self.run.stopping else self.busy - self._admitting

    @property
    def queued(self) -> int:
        """Items that wait for a call."""
        return 0 if self.run.stopping else self.waiting + self._admitting

    def has_queued(self, slot: Slot) -> bool:
        """
        Tell whether a slot waits for a call.

        :param slot: of the stage's chain
        """
        return False

    @property
    def waits_for_key(self) -> bool:
        """Whether an item waits until another one of its key is over."""
        return False

    @property
    def oldest(self) -> Slot | None:
        """The first of the items that are in no chain while they are here, if there are any."""
        return None

    @property
    def waiting(self) -> int:
        """Items that have come in, and have not been taken for a call."""
        return 0

    @property
    def items_taken(self) -> int:
        """Items that have come in so far."""
        return self.counters.taken + self.waiting + self._forgotten

    @property
    def items_given(self) -> int:
        """Items that have been passed on so far."""
        return self.counters.passed_on - self.calls_unfinished - self._parts

    @property
    def items_done(self) -> int:
        """Items that have gone through so far, whatever became of them."""
        return self.counters.taken - self.calls_unfinished

    @property
    def calls_unfinished(self) -> int:
        """Calls that have not ended, or not begun though their items have been taken."""
        return self._unfinished if self.run.stopping else self.busy

    def stop(self) -> None:
        """Start no further call; those that are being made now will not be finished."""
        self._unfinished = self.busy
        super().stop()
