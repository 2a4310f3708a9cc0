"""Conveyor, this library."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from conveyor import Pipeline, batch_task, single_task

IMPORT = "import conveyor"
OPTIONAL = ("trio", "uvloop", "rich", "tqdm", "opentelemetry")


# In a program, functions are decorated once, and not for each run.
task = lru_cache(single_task)


def pipeline(functions: Any, **options: Any) -> Pipeline[Any, Any]:
    return Pipeline().add(*(task(function, **options) for function in functions))


async def ordered(data: Any, functions: Any) -> list[Any]:
    return await pipeline(functions)(data).collect()


async def as_completed(data: Any, functions: Any) -> list[Any]:
    return await pipeline(functions).as_completed(data).collect()


synchronous = ordered


async def batched(data: Any, before: Any, batch: Any, size: int, after: Any) -> list[Any]:
    tasks = single_task(before) | batch_task(max_size=size)(batch) | single_task(after)
    return await tasks(data).collect()


async def filtered(data: Any, before: Any, keep: Any, after: Any) -> list[Any]:
    async def kept(item: Any) -> Any:
        return item if await keep(item) else None

    return await ordered(data, [before, kept, after])


async def expanded(data: Any, expand: Any, after: Any) -> list[Any]:
    return await ordered(data, [expand, after])


async def retried(data: Any, function: Any, attempts: int) -> list[Any]:
    patient = single_task(function, retry_attempts=attempts, retry_delay=0)
    return await patient(data).collect()


async def concurrent(data: Any, functions: Any, limit: int) -> list[Any]:
    return await pipeline(functions, concurrency_limit=limit)(data).collect()


async def concurrent_as_completed(data: Any, functions: Any, limit: int) -> list[Any]:
    return await pipeline(functions, concurrency_limit=limit).as_completed(data).collect()


def streaming(data: Any, functions: Any) -> Any:
    return pipeline(functions)(data)


endless = streaming
