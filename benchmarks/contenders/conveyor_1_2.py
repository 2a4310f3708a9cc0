"""
conveyor-streaming 1.2.1, which has the import name of this library.

Its pipelines iterate lists; other data they take for a single item.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from conveyor import Pipeline, batch_task, single_task

IMPORT = "import conveyor"
CANNOT = {
    "endless": "takes its data as a list",
}


def pipeline(functions: Any, **options: Any) -> Any:
    return Pipeline().add(*(single_task(**options)(function) for function in functions))


async def ordered(data: Any, functions: Any) -> list[Any]:
    return await pipeline(functions)(list(data)).collect()


async def as_completed(data: Any, functions: Any) -> list[Any]:
    return [result async for result in pipeline(functions).as_completed(list(data))]


synchronous = ordered


async def batched(data: Any, before: Any, batch: Any, size: int, after: Any) -> list[Any]:
    tasks = single_task(before) | batch_task(max_size=size)(batch) | single_task(after)
    return await tasks(list(data)).collect()


async def filtered(data: Any, before: Any, keep: Any, after: Any) -> list[Any]:
    async def kept(item: Any) -> Any:
        return item if await keep(item) else None

    return await ordered(data, [before, kept, after])


async def expanded(data: Any, expand: Any, after: Any) -> list[Any]:
    return await ordered(data, [expand, after])


async def retried(data: Any, function: Any, attempts: int) -> list[Any]:
    task = single_task(retry_attempts=attempts, retry_delay=0)(function)
    return await task(list(data)).collect()


async def concurrent(data: Any, functions: Any, limit: int) -> list[Any]:
    return await pipeline(functions, concurrency_limit=limit)(list(data)).collect()


async def concurrent_as_completed(data: Any, functions: Any, limit: int) -> list[Any]:
    tasks = pipeline(functions, concurrency_limit=limit)
    return [result async for result in tasks.as_completed(list(data))]


@asynccontextmanager
async def streaming(data: Any, functions: Any) -> AsyncIterator[Any]:
    yield aiter(pipeline(functions)(list(data)))
