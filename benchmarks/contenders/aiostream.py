"""aiostream: operators on async generators."""

from __future__ import annotations

from typing import Any

from aiostream import pipe, stream

from ..work import CONCURRENCY

IMPORT = "import aiostream"
CANNOT = {"retried": "has no retries"}


def mapped(data: Any, functions: Any, limit: int = CONCURRENCY, ordered: bool = True) -> Any:
    results = stream.iterate(data)
    for function in functions:
        results = results | pipe.map(function, ordered=ordered, task_limit=limit)
    return results


async def collect(results: Any) -> list[Any]:
    async with results.stream() as streamer:
        return [result async for result in streamer]


async def ordered(data: Any, functions: Any) -> list[Any]:
    return await collect(mapped(data, functions))


async def as_completed(data: Any, functions: Any) -> list[Any]:
    return await collect(mapped(data, functions, ordered=False))


async def synchronous(data: Any, functions: Any) -> list[Any]:
    results = stream.iterate(data)
    for function in functions:
        results = results | pipe.map(function)
    return await collect(results)


async def batched(data: Any, before: Any, batch: Any, size: int, after: Any) -> list[Any]:
    singles = mapped(data, [before])
    return await collect(mapped(singles | pipe.chunks(size), [batch, after]))


async def filtered(data: Any, before: Any, keep: Any, after: Any) -> list[Any]:
    return await collect(mapped(mapped(data, [before]) | pipe.filter(keep), [after]))


async def expanded(data: Any, expand: Any, after: Any) -> list[Any]:
    async def children(item: Any) -> Any:
        return stream.iterate(await expand(item))

    expansion = stream.iterate(data) | pipe.concatmap(children, task_limit=CONCURRENCY)
    return await collect(mapped(expansion, [after]))


async def concurrent(data: Any, functions: Any, limit: int) -> list[Any]:
    return await collect(mapped(data, functions, limit))


async def concurrent_as_completed(data: Any, functions: Any, limit: int) -> list[Any]:
    return await collect(mapped(data, functions, limit, ordered=False))


def streaming(data: Any, functions: Any) -> Any:
    return mapped(data, functions).stream()


endless = streaming
