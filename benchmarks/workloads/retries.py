"""One call in ten fails and is made again."""

from __future__ import annotations

from ..work import flaky
from ..workload import Pair, Stopwatch, Times, Turn, Workload, check


async def run(turn: Turn) -> Times:
    function = flaky()
    stopwatch = Stopwatch()
    with stopwatch:
        results = await turn.contender.retried(range(turn.items), function, attempts=2)
    check(results, list(range(1, turn.items + 1)))
    return stopwatch.times


RETRIES = Workload(
    name="retries",
    title="Retries",
    about=(
        "One trivial stage whose first call fails for every tenth item, and is repeated by the "
        "library's own retry, without delay."
    ),
    needs="retried",
    run=run,
    items=50_000,
    quick_items=10_000,
    baseline=Pair("bare loop", "retries"),
)
