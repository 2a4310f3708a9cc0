"""
Adding up how long something goes on.
"""

from __future__ import annotations

from collections.abc import Callable


class Stopwatch:
    """
    Adds up how long something goes on, again and again; ``with stopwatch:`` around it.

    :param clock: returns the time, in seconds
    """

    __slots__ = ("_clock", "_since", "_total")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._total = 0.0
        self._since: float | None = None

    def __enter__(self) -> None:
        self._since = self._clock()

    def __exit__(self, *exc_info: object) -> None:
        self._total, self._since = self.elapsed, None

    @property
    def elapsed(self) -> float:
        """Seconds so far, the present time included."""
        since = self._since
        return self._total if since is None else self._total + self._clock() - since
