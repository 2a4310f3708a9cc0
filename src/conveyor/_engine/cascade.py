"""
The end of one chain after the other.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .sequence import Chain


class Cascade:
    """
    Closes chains, one after the other, however many of them close the next one.

    A closed chain that is empty is exhausted, and whoever takes from it closes the next chain. Done
    by plain calls that would take a stack as deep as the pipeline is long.
    """

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending: deque[Chain] | None = None

    def close(self, chain: Chain) -> None:
        """
        Close *chain*; if a chain is being closed at the moment, as soon as that is done.

        :param chain: to be closed
        """
        if self._pending is not None:
            self._pending.append(chain)
            return
        self._pending = pending = deque([chain])
        try:
            while pending:
                pending.popleft().close()
        finally:
            self._pending = None
