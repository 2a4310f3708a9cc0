"""
What one call of a user's function is given while it runs: time, and a share of the parallelism.
"""

from __future__ import annotations

import math

from anyio import CancelScope, Semaphore, current_time


class Pacing:
    """
    The running clock and the share of the run's parallelism of one attempt.

    Both stop while the call's generator waits for room downstream: that wait is ours, not its own.

    :param limiter: the run's limit on calls in flight, if any
    """

    __slots__ = ("_holding", "_limiter", "_remaining", "scope")

    def __init__(self, limiter: Semaphore | None) -> None:
        self.scope: CancelScope | None = None
        self._limiter = limiter
        self._holding = False
        self._remaining = math.inf

    @property
    def may_run(self) -> bool:
        """Whether it has its share, or needs none."""
        return self._holding or self._limiter is None

    async def begin(self) -> None:
        """Wait for a share of the parallelism."""
        if self._limiter is not None:
            await self._limiter.acquire()
            self._holding = True

    def end(self) -> None:
        """Give the share back; idempotent."""
        if self._limiter is not None and self._holding:
            self._holding = False
            self._limiter.release()

    def pause(self) -> None:
        """
        Stop the clock and give the share back.

        :raises TimeoutError: if the time is up already
        """
        if self.scope is not None:
            if self.scope.cancel_called:
                raise TimeoutError  # while nobody looked; nothing else would tell
            self._remaining = self.scope.deadline - current_time()
            self.scope.deadline = math.inf
        self.end()

    async def resume(self) -> None:
        """Take a share again and let the clock run on."""
        await self.begin()
        if self.scope is not None:
            self.scope.deadline = current_time() + self._remaining
