"""Small things that many tests use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from anyio import current_time
from anyio.lowlevel import checkpoint

__all__ = [
    "BatchLog",
    "arriving",
    "block",
    "collect",
    "current_time",
    "plain",
    "three_ways",
    "ticks",
]


async def ticks(n: int) -> None:
    """Let every other task take *n* turns; the clock does not move."""
    for _ in range(n):
        await checkpoint()


# The three ways of consuming a stream; each returns all results.


async def plain(stream: Any) -> list[Any]:
    return [result async for result in stream]


async def block(stream: Any) -> list[Any]:
    async with stream as results:
        return [result async for result in results]


async def collect(stream: Any) -> list[Any]:
    return await stream.collect()


three_ways = pytest.mark.parametrize("consume", [plain, block, collect])


# Batches


class BatchLog:
    """A batch function that records when it was called with what, and takes its time."""

    def __init__(self, duration: float = 0) -> None:
        self.duration = duration
        self.calls: list[tuple[float, list[Any]]] = []

    async def __call__(self, batch: list[Any]) -> list[Any]:
        self.calls.append((current_time(), batch))
        await anyio.sleep(self.duration)
        return batch

    @property
    def batches(self) -> list[list[Any]]:
        return [batch for _, batch in self.calls]


async def arriving(*schedule: tuple[float, Any]) -> AsyncIterator[Any]:
    """Yield each item at its time."""
    for when, item in schedule:
        await anyio.sleep(when - current_time())
        yield item
