"""One ``await`` after the other: no concurrency, no cost. What everything else is measured by."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

CANNOT = {
    "concurrent": "waits for each call before it makes the next",
    "concurrent_as_completed": "waits for each call before it makes the next",
}


async def ordered(data: Any, functions: Any) -> list[Any]:
    if len(functions) == 1:
        (a,) = functions
        return [await a(item) for item in data]
    if len(functions) == 3:
        a, b, c = functions
        return [await c(await b(await a(item))) for item in data]
    a, b, c, d, e, f, g, h, i, j = functions
    results = []
    for item in data:
        half = await e(await d(await c(await b(await a(item)))))
        results.append(await j(await i(await h(await g(await f(half))))))
    return results


as_completed = ordered


async def synchronous(data: Any, functions: Any) -> list[Any]:
    a, b, c = functions
    return [c(b(a(item))) for item in data]


async def batched(data: Any, before: Any, batch: Any, size: int, after: Any) -> list[Any]:
    results, items = [], []
    for item in data:
        items.append(await before(item))
        if len(items) == size:
            results.append(await after(await batch(items)))
            items = []
    if items:
        results.append(await after(await batch(items)))
    return results


async def filtered(data: Any, before: Any, keep: Any, after: Any) -> list[Any]:
    results = []
    for item in data:
        value = await before(item)
        if await keep(value):
            results.append(await after(value))
    return results


async def expanded(data: Any, expand: Any, after: Any) -> list[Any]:
    return [await after(child) for item in data for child in await expand(item)]


async def retried(data: Any, function: Any, attempts: int) -> list[Any]:
    results = []
    for item in data:
        for attempt in range(1, attempts + 1):
            try:
                results.append(await function(item))
                break
            except Exception:
                if attempt == attempts:
                    raise
    return results


@asynccontextmanager
async def streaming(data: Any, functions: Any) -> AsyncIterator[Any]:
    a, b, c = functions

    async def results() -> AsyncIterator[Any]:
        for item in data:
            yield await c(await b(await a(item)))

    async with aclosing(results()) as iterator:
        yield iterator


endless = streaming
