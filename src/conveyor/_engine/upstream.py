"""
What the source and the stages have in common: they hand slots on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .sequence import Chain, Slot
    from .single_stage import SingleStage


class Upstream:
    """
    Hands slots on, within a chain to the next stage and at its end to whoever takes them there.

    :ivar chain: the chain that they are in
    :ivar following: the next stage of the same chain, if there is one
    """

    chain: Chain
    following: SingleStage | None = None

    def emit(self, slot: Slot) -> None:
        """
        Hand on a slot with its result; the hot paths spell this out.

        :param slot: a slot of the chain
        """
        if self.following is None:
            self.chain.finish(slot)
        else:
            self.following.put(slot)

    def emit_all(self, slots: list[Slot]) -> None:
        """
        Hand on several slots, in their order.

        :param slots: of the chain
        """
        if self.following is not None and slots:
            self.following.put_all(slots)
        elif slots:
            self.chain.finish_all(slots)
