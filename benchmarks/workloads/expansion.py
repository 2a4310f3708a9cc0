"""A stage that makes ten items of one."""

from __future__ import annotations

from ..work import add_one, ten_of
from ..workload import Pair, Stopwatch, Times, Turn, Workload, check


async def run(turn: Turn) -> Times:
    stopwatch = Stopwatch()
    with stopwatch:
        results = await turn.contender.expanded(range(turn.items), ten_of, add_one)
    check(results, list(range(1, 10 * turn.items + 1)))
    return stopwatch.times


EXPANSION = Workload(
    name="expansion",
    title="Expansion, one to ten",
    about=(
        "A stage that returns a list of ten, each of which goes through a trivial stage by itself; "
        "in order. Time per item of the input, so for ten results."
    ),
    needs="expanded",
    run=run,
    items=10_000,
    quick_items=2_000,
    baseline=Pair("bare loop", "expansion"),
)
