"""Three stages that wait: what pipelines are for."""

from __future__ import annotations

from ..work import CONCURRENCY, sleeper
from ..workload import Pair, Stopwatch, Times, Turn, Workload, check


async def run(turn: Turn) -> Times:
    sleep = sleeper(turn.sleep, lambda item: 0.001)
    stopwatch = Stopwatch()
    with stopwatch:
        results = await turn.contender.concurrent(range(turn.items), [sleep] * 3, CONCURRENCY)
    check(results, list(range(turn.items)))
    return stopwatch.times


SLEEPING = Workload(
    name="sleeping",
    title="Three sleeping stages",
    about=(
        "Three stages that sleep for 1 ms, 100 calls at once in each (300 at once where there are "
        "no stages); results in order."
    ),
    needs="concurrent",
    run=run,
    items=5_000,
    quick_items=5_000,
    least=None,
    baseline=Pair("worker pool", "sleeping"),
)
