"""streamable: a fluent interface on sync and async iterators."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from streamable import stream

from ..work import CONCURRENCY

IMPORT = "import streamable"
CANNOT = {"retried": "has no retries"}


def mapped(data: Any, functions: Any, limit: int = CONCURRENCY, as_completed: bool = False) -> Any:
    results = stream(data)
    for function in functions:
        results = results.map(function, concurrency=limit, as_completed=as_completed)
    return results


async def collect(results: Any) -> list[Any]:
    return [result async for result in results]


async def ordered(data: Any, functions: Any) -> list[Any]:
    return await collect(mapped(data, functions))


async def as_completed(data: Any, functions: Any) -> list[Any]:
    return await collect(mapped(data, functions, as_completed=True))


async def synchronous(data: Any, functions: Any) -> list[Any]:
    # With a concurrency above 1 it would call them in threads.
    return await collect(mapped(data, functions, limit=1))


async def batched(data: Any, before: Any, batch: Any, size: int, after: Any) -> list[Any]:
    singles = mapped(data, [before])
    return await collect(mapped(singles.group(size), [batch, after]))


async def filtered(data: Any, before: Any, keep: Any, after: Any) -> list[Any]:
    return await collect(mapped(mapped(data, [before]).filter(keep), [after]))


async def expanded(data: Any, expand: Any, after: Any) -> list[Any]:
    return await collect(mapped(mapped(data, [expand]).flatten(), [after]))


async def concurrent(data: Any, functions: Any, limit: int) -> list[Any]:
    return await collect(mapped(data, functions, limit))


async def concurrent_as_completed(data: Any, functions: Any, limit: int) -> list[Any]:
    return await collect(mapped(data, functions, limit, as_completed=True))


@asynccontextmanager
async def streaming(data: Any, functions: Any) -> AsyncIterator[Any]:
    yield aiter(mapped(data, functions))


endless = streaming
