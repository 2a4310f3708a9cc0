"""A Trio nursery with a task per item, and a ``CapacityLimiter`` that limits them."""

from __future__ import annotations

from typing import Any

import trio

from ..work import CONCURRENCY


async def ordered(data: Any, functions: Any, limit: int = CONCURRENCY) -> list[Any]:
    results: list[Any] = [None] * len(data)
    limiter = trio.CapacityLimiter(limit * len(functions))

    async def work(index: int, item: Any) -> None:
        async with limiter:
            for function in functions:
                item = await function(item)
            results[index] = item

    async with trio.open_nursery() as nursery:
        for index, item in enumerate(data):
            nursery.start_soon(work, index, item)
    return results


as_completed = ordered
concurrent = ordered
concurrent_as_completed = ordered
