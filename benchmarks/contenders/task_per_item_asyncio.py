"""``asyncio.TaskGroup`` with a task per item, and a ``Semaphore`` that limits them."""

from __future__ import annotations

from asyncio import Semaphore, TaskGroup
from typing import Any

from ..work import CONCURRENCY


async def ordered(data: Any, functions: Any, limit: int = CONCURRENCY) -> list[Any]:
    results: list[Any] = [None] * len(data)
    semaphore = Semaphore(limit * len(functions))

    async def work(index: int, item: Any) -> None:
        async with semaphore:
            for function in functions:
                item = await function(item)
            results[index] = item

    async with TaskGroup() as tasks:
        for index, item in enumerate(data):
            tasks.create_task(work(index, item))
    return results


as_completed = ordered
concurrent = ordered
concurrent_as_completed = ordered
