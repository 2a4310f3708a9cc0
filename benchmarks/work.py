"""What the stages do: the same functions for every contender."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

AsyncFunction = Callable[[int], Awaitable[int]]

CONCURRENCY = 100
"""Calls in flight per stage, where a contender has stages and limits."""

BATCH = 100


async def add_one(item: int) -> int:
    return item + 1


def add_one_now(item: int) -> int:
    return item + 1


async def is_even(item: int) -> bool:
    return item % 2 == 0


async def ten_of(item: int) -> list[int]:
    return list(range(10 * item, 10 * item + 10))


async def total(batch: Sequence[int]) -> int:
    return sum(batch)


def flaky() -> AsyncFunction:
    """Return a function that adds one, and whose first call for every tenth item fails."""
    failed: set[int] = set()

    async def add_one_or_fail(item: int) -> int:
        if item % 10 == 0 and item not in failed:
            failed.add(item)
            raise ConnectionError("try again")
        return item + 1

    return add_one_or_fail


def sleeper(
    sleep: Callable[[float], Awaitable[None]], seconds: Callable[[int], float]
) -> AsyncFunction:
    """Return a function that sleeps for as long as *seconds* says and returns its item."""

    async def sleep_and_return(item: int) -> int:
        await sleep(seconds(item))
        return item

    return sleep_and_return
