"""What does it cost to begin and end?"""

from __future__ import annotations

from ..work import add_one
from ..workload import Pair, Stopwatch, Times, Turn, Workload, check


async def run(turn: Turn) -> Times:
    stopwatch = Stopwatch()
    with stopwatch:
        for _ in range(turn.items):
            results = await turn.contender.ordered([0], [add_one] * 3)
    check(results, [3])
    return stopwatch.times


async def spawn(turn: Turn) -> Times:
    stopwatch = Stopwatch()
    with stopwatch:
        await turn.contender.spawned(turn.items)
    return stopwatch.times


START_UP = Workload(
    name="start-up",
    title="Start-up and tear-down",
    about="Whole runs of three trivial stages over a single item, in task spawns.",
    needs="ordered",
    run=run,
    items=200,
    quick_items=100,
    per="run",
    baseline=Pair("worker pool", "spawn"),
)

SPAWN = Workload(
    name="spawn",
    title="Task spawn",
    about="The unit of the two above: an empty task in an AnyIO task group, started and ended.",
    needs="spawned",
    run=spawn,
    items=10_000,
    quick_items=2_000,
    per="task",
    baseline=Pair("worker pool", "spawn"),
)
