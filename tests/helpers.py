"""Small things that many tests use."""

from __future__ import annotations

from typing import Any

import pytest
from anyio import current_time
from anyio.lowlevel import checkpoint

__all__ = ["block", "collect", "current_time", "plain", "three_ways", "ticks"]


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
