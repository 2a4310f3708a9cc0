"""
What a pipeline may be called with, as far as it is not plain Python.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

__all__ = ["NO_DATA", "ScopedIterable"]


class NoData:
    """Type of :data:`NO_DATA`."""

    def __repr__(self) -> str:
        return "NO_DATA"


NO_DATA: Any = NoData()
"""Stands for "no data at all": the first task is the source."""


class ScopedIterable(AsyncIterable[Any]):
    """
    Data that is iterated inside ``async with``: a stream of another pipeline.

    Its run then lives in the scope of the task that iterates it and ends with it.
    """

    async def __aenter__(self) -> AsyncIterator[Any]:
        raise NotImplementedError

    async def __aexit__(self, *exc_info: Any) -> bool | None:
        raise NotImplementedError
