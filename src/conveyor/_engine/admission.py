"""
When an attempt may begin: not while its stage pauses, not before the rate limit lets it, and with a
share of the run's parallelism.

In this order, and nothing is held while waiting for what comes before it. Attempts that come in
order begin in order, also if much becomes free at once: the locks are first come, first served, and
whoever is next in line is woken only once the one before has gone ahead.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from anyio import Lock, current_time, sleep_until

from .pacing import Limiter, Pacing

if TYPE_CHECKING:
    from ..rate import Rate


class Admission:
    """
    Lets the attempts of one stage begin.

    :param rate: the task's rate limit, if any
    :param limiter: the limit on calls in flight, if any; see :class:`.Pacing`
    """

    def __init__(self, rate: Rate | None, limiter: Limiter | None) -> None:
        self._rate = rate
        self._limiter = limiter
        self._has_paused = False
        self._resume_at = -math.inf
        self._gate = Lock(fast_acquire=True)
        self._line = Lock(fast_acquire=True)

    async def begin(self) -> Pacing:
        """
        Wait for a share of the run's parallelism.

        To be called before the item is taken, so that shares that are freed at once cannot change
        the order in which items are. Under a rate limit it waits for nothing: what a call costs
        depends on the item, and no share is held meanwhile.
        """
        pacing = Pacing(self._limiter)
        if self._rate is None:
            await pacing.begin()
        return pacing

    def pause(self, seconds: float) -> float:
        """
        Let no further attempt begin for a while.

        :param seconds: from now; a pause that ends later is not shortened
        :return: clock reading at which the stage goes on
        """
        self._has_paused = True
        self._resume_at = max(self._resume_at, current_time() + seconds)
        return self._resume_at

    def admits(self, pacing: Pacing) -> bool:
        """
        Tell whether an attempt may begin at once; if not, it has to :meth:`wait`.

        :param pacing: of its call
        """
        return self._rate is None and self._has_leave(pacing)

    def _has_leave(self, pacing: Pacing) -> bool:
        """Tell whether it has its share, and neither the line nor a pause is before it."""
        return pacing.may_run and not self._line.locked() and not self._is_paused()

    async def wait(self, item: Any, pacing: Pacing) -> None:
        """
        Wait until an attempt may begin.

        :param item: for the cost of the call
        :param pacing: gets its share, unless it has one
        :raises Exception: if the cost of the call cannot be told
        """
        if self._rate is None:
            await self._wait_for_share(pacing)
        elif self._limiter is None:
            await self._wait_for_rate(item, pacing, self._rate)
        else:
            async with self._line:
                await self._wait_for_rate(item, pacing, self._rate)

    async def _wait_for_share(self, pacing: Pacing) -> None:
        """Wait for the end of a pause and a share; there is no rate limit."""
        if self._has_leave(pacing):
            return
        pacing.end()
        async with self._line:
            while not pacing.may_run or self._is_paused():
                if self._is_paused():
                    pacing.end()
                    await self._sit_out()
                else:
                    await pacing.begin()

    async def _wait_for_rate(self, item: Any, pacing: Pacing, rate: Rate) -> None:
        """
        Wait for the end of a pause, the rate limit and a share, until all three come together.

        A token is taken at the very moment of the share. Taken before, those of many attempts that
        wait for shares could pile up, and be spent in one burst.
        """

        def refused() -> bool:
            """Leave the line of the rate: the stage pauses, or there is no share."""
            return self._is_paused() or not pacing.begin_nowait()

        while True:
            if self._gate.locked() or self._is_paused():
                async with self._gate:
                    await self._sit_out()
            if await rate.acquire_unless(item, refused):
                return
            if not self._is_paused():
                await pacing.begin()
                if not self._is_paused() and rate.acquire_nowait(item):
                    return
                pacing.end()

    def _is_paused(self) -> bool:
        # Asked at every attempt, and most stages never pause: do not ask the clock for those.
        return self._has_paused and self._resume_at > current_time()

    async def _sit_out(self) -> None:
        await sleep_until(self._resume_at)
