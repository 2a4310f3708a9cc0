"""Small things that many tests use."""

from __future__ import annotations

from anyio import current_time
from anyio.lowlevel import checkpoint

__all__ = ["current_time", "ticks"]


async def ticks(n: int) -> None:
    """Let every other task take *n* turns; the clock does not move."""
    for _ in range(n):
        await checkpoint()
