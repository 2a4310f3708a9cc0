"""
pypeln: stages of workers, here its asyncio tasks.

Its stages give results as they complete; its ``ordered`` stage sorts them when all are there. Its
queues are unbounded by default and are left so where the data ends: with ``maxsize=100`` version
0.4.9 loses results in one run of three or four.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pypeln as pl

from ..work import CONCURRENCY

IMPORT = "import pypeln"
CANNOT = {
    "batched": "has no batches",
    "retried": "has no retries",
}


def mapped(data: Any, functions: Any, limit: int = CONCURRENCY, maxsize: int = 0) -> Any:
    for function in functions:
        data = pl.task.map(function, data, workers=limit, maxsize=maxsize)
    return data


async def ordered(data: Any, functions: Any) -> list[Any]:
    return await pl.task.ordered(mapped(data, functions))


async def as_completed(data: Any, functions: Any) -> list[Any]:
    return await mapped(data, functions)


synchronous = ordered


async def filtered(data: Any, before: Any, keep: Any, after: Any) -> list[Any]:
    stage = mapped(data, [before])
    stage = pl.task.filter(keep, stage, workers=CONCURRENCY)
    return await pl.task.ordered(mapped(stage, [after]))


async def expanded(data: Any, expand: Any, after: Any) -> list[Any]:
    stage = pl.task.flat_map(expand, data, workers=CONCURRENCY)
    return await pl.task.ordered(mapped(stage, [after]))


async def concurrent(data: Any, functions: Any, limit: int) -> list[Any]:
    return await pl.task.ordered(mapped(data, functions, limit))


async def concurrent_as_completed(data: Any, functions: Any, limit: int) -> list[Any]:
    return await mapped(data, functions, limit)


@asynccontextmanager
async def streaming(data: Any, functions: Any) -> AsyncIterator[Any]:
    async with aclosing(aiter(mapped(data, functions))) as results:
        yield results


@asynccontextmanager
async def endless(data: Any, functions: Any) -> AsyncIterator[Any]:
    async with aclosing(aiter(mapped(data, functions, maxsize=CONCURRENCY))) as results:
        yield results
