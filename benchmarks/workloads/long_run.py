"""Many items: does the time of each grow, or the memory?"""

from __future__ import annotations

from ..work import add_one
from ..workload import Stopwatch, Times, Turn, Workload, check


async def run(turn: Turn) -> Times:
    stopwatch = Stopwatch()
    count = 0
    with stopwatch:
        async with turn.contender.streaming(range(turn.items), [add_one] * 3) as results:
            async for _ in results:
                count += 1
    check(count, turn.items)
    return stopwatch.times


LONG_RUN = Workload(
    name="scaling",
    title="Scaling to a million items",
    about=(
        "Three trivial stages, results counted and dropped, every run in a fresh process: a long "
        "run against one of a hundredth of its length. Ratio of the time per item, and how "
        "much more memory the process had at its peak. Slow contenders get shorter runs."
    ),
    needs="streaming",
    run=run,
    items=1_000_000,
    quick_items=1_000_000,
    is_long_run=True,
)
