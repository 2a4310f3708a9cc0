"""
Calls under a circuit breaker: when they begin, and what it learns of them.

An attempt passes the breaker at the very moment at which all else that it has to wait for is there,
so a breaker that opens meanwhile still stops it, and a trial never waits for anything. Nothing is
held while waiting for the breaker; and the attempts of a stage come to it one at a time, in the
order in which they came, so that they begin in this order.

A generator that waits for room is no trial any more. Who makes that room may be behind the breaker
itself, so a trial that waited for it could wait for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anyio import Lock

from ..error_handling import CircuitOpenError
from .admission import Admission

if TYPE_CHECKING:
    from ..circuit_breaker import CircuitBreaker
    from ..rate import Rate
    from .pacing import Limiter, Pacing


class _Refused(Exception):
    """The circuit is open, and nobody is to wait for it."""


class Passage:
    """
    Leave of one attempt to begin, or the refusal.

    :param breaker: asked by it
    :param refusal: why it may not begin
    """

    __slots__ = ("_breaker", "_number", "refusal")

    def __init__(self, breaker: CircuitBreaker, refusal: CircuitOpenError | None = None) -> None:
        self._breaker = breaker
        self.refusal = refusal
        self._number = -1 if refusal is not None else breaker.gate.begin()

    def succeed(self) -> None:
        """Say that the attempt has succeeded."""
        self._breaker.gate.succeed(self._number)

    def fail(self, error: BaseException) -> None:
        """
        Say that the attempt has failed.

        :param error: what it raised
        :raises Exception: what a predicate raises that tells whether the error counts
        """
        if isinstance(error, Exception) and self._breaker.is_failure(error):
            self._breaker.gate.fail(self._number)

    def leave(self) -> None:
        """Say that there is nothing to be learned from it, unless it has been already."""
        self._breaker.gate.leave(self._number)


class GuardedAdmission(Admission):
    """
    Lets the attempts of one stage begin, if a circuit breaker lets them.

    :param rate: the task's rate limit, if any
    :param limiter: the run's limit on calls in flight, if any
    :param breaker: the task's
    """

    def __init__(self, rate: Rate | None, limiter: Limiter | None, breaker: CircuitBreaker) -> None:
        super().__init__(rate, limiter)
        self._breaker = breaker
        self._order = Lock(fast_acquire=True)

    def admits(self, pacing: Pacing) -> bool:
        """
        Tell that the breaker has to be asked.

        :param pacing: of the call
        """
        return False

    async def wait(self, item: Any, pacing: Pacing) -> None:
        """
        Wait until an attempt may begin, or is refused; its passage tells.

        :param item: for the cost of the call
        :param pacing: gets a share, unless it has one, and the passage
        :raises Exception: if the cost of the call cannot be told
        """
        if self._order.locked():
            pacing.end()
        async with self._order:
            try:
                await super().wait(item, pacing)
            except _Refused:
                pacing.end()
                seconds = self._breaker.gate.seconds_left(self._breaker.reset_after)
                pacing.passage = Passage(self._breaker, CircuitOpenError(seconds))
            else:
                pacing.passage = Passage(self._breaker)

    def _is_paused(self) -> bool:
        if self._breaker.gate.is_open():
            if self._breaker.when_open == "fail":
                raise _Refused
            return True
        return super()._is_paused()

    async def _sit_out(self) -> None:
        await self._breaker.gate.wait()
        await super()._sit_out()
