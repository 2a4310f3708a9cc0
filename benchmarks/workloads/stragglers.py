"""One item in a hundred takes a hundred times as long: who waits for it?"""

from __future__ import annotations

from ..work import CONCURRENCY, sleeper
from ..workload import Stopwatch, Times, Turn, Workload, check

USUAL, STRAGGLER = 0.001, 0.1


def seconds(item: int) -> float:
    return STRAGGLER if item % 100 == 50 else USUAL


def bound(items: int) -> float:
    """All the sleep shared among the calls in flight, and the last straggler at least."""
    return max(sum(map(seconds, range(items))) / CONCURRENCY, STRAGGLER)


async def ordered(turn: Turn) -> Times:
    stopwatch = Stopwatch()
    with stopwatch:
        results = await turn.contender.concurrent(
            range(turn.items), [sleeper(turn.sleep, seconds)], CONCURRENCY
        )
    check(results, list(range(turn.items)))
    return stopwatch.times


async def as_completed(turn: Turn) -> Times:
    stopwatch = Stopwatch()
    with stopwatch:
        results = await turn.contender.concurrent_as_completed(
            range(turn.items), [sleeper(turn.sleep, seconds)], CONCURRENCY
        )
    check(sorted(results), list(range(turn.items)))
    return stopwatch.times


ORDERED = Workload(
    name="stragglers",
    title="Stragglers, in order",
    about=(
        "One stage, 100 calls at once. Most items sleep for 1 ms, one in a hundred for 100 ms. "
        "Wall time, against the shortest possible: all the sleep divided by 100. Whoever gives "
        "results in order and bounds what it holds must wait for a straggler now and then; "
        "whoever keeps all results does not."
    ),
    needs="concurrent",
    run=ordered,
    items=5_000,
    quick_items=5_000,
    clock="wall",
    bound=bound,
    least=None,
)

AS_COMPLETED = Workload(
    name="stragglers-as-completed",
    title="Stragglers, as completed",
    about="The same, with results in any order.",
    needs="concurrent_as_completed",
    run=as_completed,
    items=5_000,
    quick_items=5_000,
    clock="wall",
    bound=bound,
    least=None,
)
