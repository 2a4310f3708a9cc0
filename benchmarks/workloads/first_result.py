"""How soon is there something to see?"""

from __future__ import annotations

from itertools import count

from ..work import add_one
from ..workload import Pair, Stopwatch, Times, Turn, Workload, check


async def run(turn: Turn) -> Times:
    stopwatch = Stopwatch()
    for _ in range(turn.items):
        with stopwatch:
            stream = turn.contender.endless(count(), [add_one] * 3)
            results = await stream.__aenter__()
            first = await results.__anext__()
        await stream.__aexit__(None, None, None)
        check(first, 3)
    return stopwatch.times


FIRST_RESULT = Workload(
    name="first-result",
    title="Time to the first result",
    about=(
        "Three trivial stages over an endless source: from making the stream to its first result, "
        "in task spawns, the time that AnyIO takes to start and end one empty task. Leaving the "
        "stream is not timed."
    ),
    needs="endless",
    run=run,
    items=200,
    quick_items=100,
    per="run",
    baseline=Pair("worker pool", "spawn"),
)
