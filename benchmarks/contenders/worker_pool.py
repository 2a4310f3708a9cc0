"""
Workers that share one iterator, each taking an item through all the functions.

The cheapest concurrency there is: no queue, no task per item, one place in a list per result.
"""

from __future__ import annotations

from typing import Any

from anyio import create_task_group

from ..work import CONCURRENCY

SPAWNED_AT_ONCE = 100


async def ordered(data: Any, functions: Any, limit: int = CONCURRENCY) -> list[Any]:
    results: list[Any] = [None] * len(data)
    items = enumerate(data)

    async def work() -> None:
        for index, item in items:
            for function in functions:
                item = await function(item)
            results[index] = item

    async with create_task_group() as tasks:
        # As many as pipelines have calls in flight, so that both wait equally long.
        for _ in range(limit * len(functions)):
            tasks.start_soon(work)
    return results


as_completed = ordered
concurrent = ordered
concurrent_as_completed = ordered


async def nothing() -> None:
    pass


async def spawned(count: int) -> None:
    for _ in range(count // SPAWNED_AT_ONCE):
        async with create_task_group() as tasks:
            for _ in range(SPAWNED_AT_ONCE):
                tasks.start_soon(nothing)
