"""A stage in the middle that lets half of the items through."""

from __future__ import annotations

from ..work import add_one, is_even
from ..workload import Pair, Stopwatch, Times, Turn, Workload, check


async def run(turn: Turn) -> Times:
    stopwatch = Stopwatch()
    with stopwatch:
        results = await turn.contender.filtered(range(turn.items), add_one, is_even, add_one)
    check(results, [item + 1 for item in range(1, turn.items + 1) if item % 2 == 0])
    return stopwatch.times


FILTERING = Workload(
    name="filter",
    title="Filter",
    about=(
        "A trivial stage, an ``async`` predicate that keeps half of the items, and another trivial "
        "stage. Time per item of the input."
    ),
    needs="filtered",
    run=run,
    items=100_000,
    quick_items=20_000,
    baseline=Pair("bare loop", "filter"),
)
