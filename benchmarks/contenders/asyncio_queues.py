"""Bounded ``asyncio.Queue``s between stages, and a pool of workers for each stage."""

from __future__ import annotations

import asyncio
from typing import Any

from ..work import CONCURRENCY

CANNOT = dict.fromkeys(
    ("batched", "filtered", "expanded", "retried", "endless"), "is not written for that here"
)


async def ordered(data: Any, functions: Any, limit: int = CONCURRENCY) -> list[Any]:
    results: list[Any] = [None] * len(data)
    queues: list[asyncio.Queue[tuple[int, Any]]] = [asyncio.Queue(limit) for _ in functions]

    async def work(stage: int) -> None:
        function, queue = functions[stage], queues[stage]
        following = queues[stage + 1] if stage + 1 < len(queues) else None
        while True:
            index, item = await queue.get()
            result = await function(item)
            if following is None:
                results[index] = result
            else:
                await following.put((index, result))
            queue.task_done()

    workers = [
        asyncio.create_task(work(stage)) for stage in range(len(functions)) for _ in range(limit)
    ]
    for item in enumerate(data):
        await queues[0].put(item)
    for queue in queues:
        await queue.join()
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    return results


as_completed = ordered
concurrent = ordered
concurrent_as_completed = ordered
