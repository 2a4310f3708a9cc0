"""Stages that do next to nothing, so that what is left is the cost of the pipeline itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ..work import add_one, add_one_now
from ..workload import Pair, Stopwatch, Times, Turn, Workload, check


def stages(count: int) -> Callable[[Turn], Awaitable[Times]]:
    async def run(turn: Turn) -> Times:
        stopwatch = Stopwatch()
        with stopwatch:
            results = await turn.contender.ordered(range(turn.items), [add_one] * count)
        check(results, list(range(count, turn.items + count)))
        return stopwatch.times

    return run


async def iterated(turn: Turn) -> Times:
    stopwatch = Stopwatch()
    with stopwatch:
        async with turn.contender.streaming(range(turn.items), [add_one] * 3) as stream:
            results = [result async for result in stream]
    # The hand-written pipeline streams as they complete.
    check(sorted(results), list(range(3, turn.items + 3)))
    return stopwatch.times


async def as_completed(turn: Turn) -> Times:
    stopwatch = Stopwatch()
    with stopwatch:
        results = await turn.contender.as_completed(range(turn.items), [add_one] * 3)
    check(sorted(results), list(range(3, turn.items + 3)))
    return stopwatch.times


async def synchronous(turn: Turn) -> Times:
    stopwatch = Stopwatch()
    with stopwatch:
        results = await turn.contender.synchronous(range(turn.items), [add_one_now] * 3)
    check(results, list(range(3, turn.items + 3)))
    return stopwatch.times


ORDERED = Workload(
    name="trivial",
    title="Three trivial stages, in order",
    about="Three ``async`` functions that add one; results in the order of the input.",
    needs="ordered",
    run=stages(3),
    items=100_000,
    quick_items=20_000,
    baseline=Pair("bare loop", "trivial"),
)

ONE_STAGE = Workload(
    name="trivial-1",
    title="One trivial stage, in order",
    about="One ``async`` function that adds one; results in the order of the input.",
    needs="ordered",
    run=stages(1),
    items=100_000,
    quick_items=20_000,
    baseline=Pair("bare loop", "trivial-1"),
)

TEN_STAGES = Workload(
    name="trivial-10",
    title="Ten trivial stages, in order",
    about="Ten ``async`` functions that add one; results in the order of the input.",
    needs="ordered",
    run=stages(10),
    items=50_000,
    quick_items=10_000,
    baseline=Pair("bare loop", "trivial-10"),
)

ITERATED = Workload(
    name="iterated",
    title="Three trivial stages, one result at a time",
    about="The same three stages, read by ``async for`` instead of collected into a list.",
    needs="streaming",
    run=iterated,
    items=100_000,
    quick_items=20_000,
    baseline=Pair("bare loop", "iterated"),
)

AS_COMPLETED = Workload(
    name="as-completed",
    title="Three trivial stages, as completed",
    about="The same three stages; results in any order.",
    needs="as_completed",
    run=as_completed,
    items=100_000,
    quick_items=20_000,
    baseline=Pair("bare loop", "as-completed"),
    beside=(Pair("Conveyor", "trivial"),),
)

SYNCHRONOUS = Workload(
    name="sync",
    title="Three trivial synchronous stages",
    about="Three plain functions that add one, called in the event loop; results in order.",
    needs="synchronous",
    run=synchronous,
    items=100_000,
    quick_items=20_000,
    baseline=Pair("bare loop", "sync"),
)
