"""
The place of a batch among the slots.
"""

from __future__ import annotations

from typing import Any

from .sequence import Slot


class BatchSlot(Slot):
    """
    The place of a batch.

    Its items keep their places in the window while the call works on them. The slot has one; the
    others are spare once the call has returned, for its results.

    :param value: a list of items
    :param slots: those that they were in, which still know where the items stem from
    :param is_part: whether the function has been called with the items, and more, before
    """

    __slots__ = ("_spare", "is_part", "slots")

    def __init__(self, value: list[Any], slots: list[Slot], is_part: bool = False) -> None:
        super().__init__(value, slots[0].index)
        self.slots = slots
        self.is_part = is_part
        self._spare = len(value) - 1

    def halves(self) -> tuple[BatchSlot, BatchSlot]:
        """Return two slots that hold the items, at least two, between them."""
        middle = len(self.value) // 2
        return (
            BatchSlot(self.value[:middle], self.slots[:middle], is_part=True),
            BatchSlot(self.value[middle:], self.slots[middle:], is_part=True),
        )

    def take_spare(self, wanted: int) -> int:
        """
        Use up places that the slot has beside its own.

        :param wanted: how many at most
        :return: how many
        """
        taken = min(wanted, self._spare)
        self._spare -= taken
        return taken
