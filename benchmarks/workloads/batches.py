"""Single items, batches of a hundred, single items again."""

from __future__ import annotations

from ..work import BATCH, add_one, total
from ..workload import Pair, Stopwatch, Times, Turn, Workload, check


async def run(turn: Turn) -> Times:
    stopwatch = Stopwatch()
    with stopwatch:
        results = await turn.contender.batched(range(turn.items), add_one, total, BATCH, add_one)
    numbers = range(1, turn.items + 1)
    check(results, [sum(numbers[i : i + BATCH]) + 1 for i in range(0, turn.items, BATCH)])
    return stopwatch.times


BATCHES = Workload(
    name="batch",
    title="Single, batch of 100, single",
    about=(
        "A trivial stage, one that adds up a hundred consecutive items, and another trivial one. "
        "Time per item of the input."
    ),
    needs="batched",
    run=run,
    items=100_000,
    quick_items=20_000,
    baseline=Pair("bare loop", "batch"),
    beside=(Pair("Conveyor", "trivial"),),
)
