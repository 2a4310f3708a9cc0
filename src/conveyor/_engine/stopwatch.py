"""
Adding up how long something goes on.
"""

from __future__ import annotations

from collections.abc import Callable


class Stopwatch:
    """
    Adds up how long something goes on, again and again; ``with stopwatch:`` around it.

    Any thread may look at it.

    :param clock: returns the time, in seconds
    :param on_change: called after it has been started or stopped
    """

    __slots__ = ("_clock", "_on_change", "_state")

    def __init__(
        self, clock: Callable[[], float], on_change: Callable[[], None] | None = None
    ) -> None:
        self._clock = clock
        self._on_change = on_change
        # The total, and since when it runs: in one place, so that nobody sees half of a change.
        self._state: tuple[float, float | None] = (0.0, None)

    def start(self) -> None:
        """Let it run."""
        self._state = self._state[0], self._clock()
        if self._on_change is not None:
            self._on_change()

    def stop(self) -> None:
        """Let it stand still."""
        self._state = self.elapsed, None
        if self._on_change is not None:
            self._on_change()

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def is_running(self) -> bool:
        """Whether it runs at present."""
        return self._state[1] is not None

    @property
    def elapsed(self) -> float:
        """Seconds so far, the present time included."""
        return self.at(self._clock())

    def at(self, now: float) -> float:
        """
        Return the seconds up to a moment since which nothing has changed.

        :param now: reading of the clock
        """
        total, since = self._state
        return total if since is None else total + now - since
