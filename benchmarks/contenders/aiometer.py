"""
aiometer: one function over a sequence, with a limit.

Several stages are one function that calls them all.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import aiometer

from ..work import CONCURRENCY

IMPORT = "import aiometer"
CANNOT = {
    "synchronous": "calls async functions only",
    "batched": "has no batches",
    "filtered": "has no filter",
    "expanded": "gives one result per item",
    "retried": "has no retries",
    "streaming": "takes a sequence, and holds a place for every result",
    "endless": "takes a sequence",
}


async def through(functions: Any, item: Any) -> Any:
    for function in functions:
        item = await function(item)
    return item


async def ordered(data: Any, functions: Any, limit: int = CONCURRENCY) -> list[Any]:
    calls = [partial(through, functions, item) for item in data]
    return await aiometer.run_all(calls, max_at_once=limit * len(functions))


async def as_completed(data: Any, functions: Any, limit: int = CONCURRENCY) -> list[Any]:
    call = partial(through, functions)
    async with aiometer.amap(call, data, max_at_once=limit * len(functions)) as results:
        return [result async for result in results]


concurrent = ordered
concurrent_as_completed = as_completed
