"""
slurry: sections connected by Trio channels, one item at a time in each.

Its own ``Map`` calls plain functions; an ``async`` one takes a section of one's own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from slurry import Pipeline
from slurry.environments import TrioSection
from slurry.sections import Group, Map

IMPORT = "import slurry"
CANNOT = {
    "as_completed": "has one item at a time in each section, so order is given",
    "concurrent": "has one item at a time in each section",
    "concurrent_as_completed": "has one item at a time in each section",
    "retried": "has no retries",
}
NEVER = 3600.0


class Await(TrioSection):
    """Sends on what an ``async`` function returns; with *spread* each element of it."""

    def __init__(self, function: Any, spread: bool = False) -> None:
        self.function = function
        self.spread = spread

    async def refine(self, input: Any, output: Any) -> None:  # noqa: A002
        async for item in input:
            result = await self.function(item)
            for value in result if self.spread else (result,):
                await output(value)


class Keep(TrioSection):
    """Sends on the items for which an ``async`` predicate holds."""

    def __init__(self, predicate: Any) -> None:
        self.predicate = predicate

    async def refine(self, input: Any, output: Any) -> None:  # noqa: A002
        async for item in input:
            if await self.predicate(item):
                await output(item)


@asynccontextmanager
async def through(data: Any, *sections: Any) -> AsyncIterator[Any]:
    async def source() -> AsyncIterator[Any]:
        for item in data:
            yield item

    async with Pipeline.create(source(), *sections) as pipeline, pipeline.tap() as results:
        yield results


async def collect(data: Any, *sections: Any) -> list[Any]:
    async with through(data, *sections) as results:
        return [result async for result in results]


async def ordered(data: Any, functions: Any) -> list[Any]:
    return await collect(data, *map(Await, functions))


async def synchronous(data: Any, functions: Any) -> list[Any]:
    return await collect(data, *map(Map, functions))


async def batched(data: Any, before: Any, batch: Any, size: int, after: Any) -> list[Any]:
    return await collect(
        data, Await(before), Group(NEVER, max_size=size), Await(batch), Await(after)
    )


async def filtered(data: Any, before: Any, keep: Any, after: Any) -> list[Any]:
    return await collect(data, Await(before), Keep(keep), Await(after))


async def expanded(data: Any, expand: Any, after: Any) -> list[Any]:
    return await collect(data, Await(expand, spread=True), Await(after))


def streaming(data: Any, functions: Any) -> Any:
    return through(data, *map(Await, functions))


endless = streaming
