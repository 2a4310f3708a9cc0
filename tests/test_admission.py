"""When an attempt may begin: who waits for what, and what they hold meanwhile."""

from __future__ import annotations

import anyio
import pytest

from conveyor import Rate
from conveyor._engine.admission import Admission
from conveyor._engine.pacing import Pacing
from helpers import current_time, ticks


@pytest.mark.parametrize("limit", [None, 1])
async def test_a_share_that_comes_during_a_pause_is_given_back(limit: int | None) -> None:
    """Who waits for a share when a pause begins leaves it to the other stages."""
    limiter = anyio.Semaphore(1)
    admission = Admission(limit and Rate(limit), limiter)
    pacing = Pacing(limiter)
    await limiter.acquire()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(admission.wait, None, pacing)
        await ticks(5)
        assert admission.pause(7) == 7
        limiter.release()
        await ticks(5)
        assert (limiter.value, pacing.may_run) == (1, False)
    assert (limiter.value, pacing.may_run, current_time()) == (0, True, 7)


async def test_nobody_overtakes_those_who_wait_for_the_end_of_a_pause() -> None:
    """Who comes as the pause ends goes behind them, to the rate limit too."""
    admission = Admission(Rate(1, burst=9), None)
    order: list[str] = []

    async def wait(name: str, arrival: float) -> None:
        await anyio.sleep_until(arrival)
        await admission.wait(None, Pacing(None))
        order.append(name)

    admission.pause(7)
    async with anyio.create_task_group() as tasks:
        for name, arrival in [("a", 1), ("b", 2), ("c", 3), ("d", 7), ("e", 7.5)]:
            tasks.start_soon(wait, name, arrival)
    assert order == ["a", "b", "c", "d", "e"]
