"""
What one call of a user's function is given while it runs: time, and a share of the parallelism.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

from anyio import CancelScope, Semaphore, WouldBlock, current_time

if TYPE_CHECKING:
    from .adaptive_limit import AdaptiveLimit, Meter
    from .breaking import Passage
    from .sequence import Slot
    from .stage_watch import WatchedCall

Limiter: TypeAlias = "Semaphore | AdaptiveLimit"


class Pacing:
    """
    The running clocks and the share of the run's parallelism of one call.

    All of them stop while the call's generator waits for room downstream: that wait is ours, not
    its own.

    :param limiter: the limit on calls in flight, if any: the run's, or a stage's that contains it
    :ivar meter: of the present attempt, if it is measured
    :ivar scope: of the present attempt, if that has a timeout
    :ivar total: of all attempts, if they have a deadline
    :ivar passage: of the present attempt, if a circuit breaker has let it through
    :ivar first: what the first attempt has come to, if it has been made already: a generator, or
        :class:`.Raised`
    :ivar place: the slot that the call is about, in a run
    :ivar watched: the call, if it is being timed
    """

    __slots__ = (
        "_holding",
        "_limiter",
        "_paused",
        "first",
        "meter",
        "passage",
        "place",
        "scope",
        "total",
        "watched",
    )

    def __init__(self, limiter: Limiter | None) -> None:
        self.meter: Meter | None = None
        self.scope: CancelScope | None = None
        self.total: CancelScope | None = None
        self.passage: Passage | None = None
        self.first: Any = None
        self.place: Slot | None = None
        self.watched: WatchedCall | None = None
        self._limiter = limiter
        self._holding = False
        self._paused: list[tuple[CancelScope, float]] = []

    @property
    def may_run(self) -> bool:
        """Whether it has its share, or needs none."""
        return self._holding or self._limiter is None

    @property
    def expires_at(self) -> float:
        """Clock reading at which the time for all attempts is up."""
        return math.inf if self.total is None else self.total.deadline

    @property
    def is_late(self) -> bool:
        """Whether the time for all attempts is up."""
        return self.total is not None and self.total.cancel_called

    async def begin(self) -> None:
        """Wait for a share of the parallelism."""
        if self._limiter is not None:
            await self._limiter.acquire()
            self._holding = True

    def begin_nowait(self) -> bool:
        """Take a share if there is one, or none is needed; tell whether it has it."""
        if self._limiter is not None and not self._holding:
            try:
                self._limiter.acquire_nowait()
            except WouldBlock:
                return False
            self._holding = True
        return True

    def end(self) -> None:
        """Give the share back; idempotent."""
        if self._limiter is not None and self._holding:
            self._holding = False
            self._limiter.release()

    def withdraw(self) -> None:
        """Give back what lets the present attempt run: its share, and its leave of a breaker."""
        self.end()
        if self.passage is not None:
            self.passage.leave()

    def pause(self) -> None:
        """
        Stop the clocks and give the share back.

        :raises TimeoutError: if the time is up already
        """
        scopes = [scope for scope in (self.scope, self.total) if scope is not None]
        if any(scope.cancel_called for scope in scopes):
            raise TimeoutError  # while nobody looked; nothing else would tell
        for scope in scopes:
            self._paused.append((scope, scope.deadline - current_time()))
            scope.deadline = math.inf
        if self.meter is not None:
            self.meter.stop()
        self.withdraw()
        if self.watched is not None:
            self.watched.pause()

    async def resume(self) -> None:
        """Take a share again and let the clocks run on."""
        if self.watched is None:
            await self.begin()
        else:
            self.watched.resume()
            await self.watched.hold(self.begin())
        if self.meter is not None:
            self.meter.go_on()
        while self._paused:
            scope, remaining = self._paused.pop()
            scope.deadline = current_time() + remaining
