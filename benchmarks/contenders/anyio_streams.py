"""AnyIO's memory object streams between stages, and a pool of workers for each stage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from anyio import create_memory_object_stream, create_task_group

from ..work import CONCURRENCY

CANNOT = dict.fromkeys(
    ("batched", "filtered", "expanded", "retried"), "is not written for that here"
)


@asynccontextmanager
async def numbered(data: Any, functions: Any, limit: int) -> AsyncIterator[Any]:
    """Yield a stream of (index, result) as they complete."""
    async with create_task_group() as tasks:
        send, results = create_memory_object_stream[Any](limit)

        async def feed(send: Any) -> None:
            async with send:
                for item in enumerate(data):
                    await send.send(item)

        async def work(function: Any, receive: Any, send: Any) -> None:
            async with receive, send:
                async for index, item in receive:
                    await send.send((index, await function(item)))

        tasks.start_soon(feed, send)
        for function in functions:
            receive = results
            send, results = create_memory_object_stream[Any](limit)
            for _ in range(limit):
                tasks.start_soon(work, function, receive.clone(), send.clone())
            receive.close()
            send.close()
        async with results:
            yield results
        tasks.cancel_scope.cancel()


async def ordered(data: Any, functions: Any, limit: int = CONCURRENCY) -> list[Any]:
    results: list[Any] = [None] * len(data)
    async with numbered(data, functions, limit) as numbered_results:
        async for index, result in numbered_results:
            results[index] = result
    return results


as_completed = ordered
concurrent = ordered
concurrent_as_completed = ordered


@asynccontextmanager
async def streaming(data: Any, functions: Any) -> AsyncIterator[Any]:
    async with numbered(data, functions, CONCURRENCY) as numbered_results:
        yield (result async for _, result in numbered_results)


endless = streaming
