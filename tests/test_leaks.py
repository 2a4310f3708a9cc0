"""Leaks: whatever runs are begun and however they end, nothing of them stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
import threading
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trio

from conveyor import Pipeline, batch_task, single_task
from conveyor.testing.trio_time import trio_tasks
from helpers import ticks

RUNS = 400


class TaskError(Exception):
    """Raised by tasks."""


@single_task(concurrency_limit=3)
async def slow(item: int) -> int:
    await anyio.sleep(0.1)
    return item


@single_task(retry_attempts=2, retry_delay=0.1, timeout=5, on_error="skip_item")
async def flaky(item: int) -> int:
    if item == 3:
        raise TaskError
    return item


@single_task
async def failing(item: int) -> int:
    if item == 5:
        raise TaskError
    return item


@single_task(concurrency_limit=3)
async def expanded(item: int) -> AsyncIterator[int]:
    yield item
    await anyio.sleep(0.1)
    yield item


@single_task
async def added(item: int, other: int) -> int:
    return item + other


batched = batch_task(max_size=3, max_wait=1)(lambda batch: batch)


async def source() -> AsyncIterator[int]:
    for item in range(12):
        if item % 4 == 0:
            await ticks(1)
        yield item


def with_side_input() -> Pipeline[Any, Any]:
    return Pipeline().add(added.with_inputs(slow([0])), slow)


PIPELINES: list[Callable[[], Pipeline[Any, Any]]] = [
    lambda: slow | flaky,
    lambda: slow | batched | slow,
    lambda: (expanded | slow).with_context(max_in_flight=8),
    with_side_input,
    lambda: slow | failing | batched,
]


async def read_plainly(stream: Any) -> None:
    async for _ in stream:
        pass


async def read_in_block(stream: Any) -> None:
    async with stream as results:
        async for _ in results:
            pass


async def collect(stream: Any) -> None:
    await stream.collect()


async def break_off(stream: Any) -> None:
    async for _ in stream:
        break


async def leave_block(stream: Any) -> None:
    async with stream as results:
        await anext(results)


async def time_out(stream: Any) -> None:
    with anyio.move_on_after(0.15):
        await stream.collect()


async def cancel_step(stream: Any) -> None:
    iterator = aiter(stream)
    with anyio.move_on_after(0.05):
        await anext(iterator)


async def cancel_natively(stream: Any) -> None:
    if is_trio():
        return await time_out(stream)
    task = asyncio.ensure_future(stream.collect())
    await ticks(7)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def drop_iterator(stream: Any) -> None:
    iterator = aiter(stream)
    await anext(iterator)
    del iterator


async def never_start(stream: Any) -> None:
    aiter(stream)


async def close(stream: Any) -> None:
    iterator = aiter(stream)
    await anext(iterator)
    await stream.aclose()


LIVES: list[Callable[[Any], Awaitable[None]]] = [
    read_plainly,
    read_in_block,
    collect,
    break_off,
    leave_block,
    time_out,
    cancel_step,
    cancel_natively,
    drop_iterator,
    never_start,
    close,
]


def is_trio() -> bool:
    return trio.lowlevel.in_trio_run()


def without_debugging() -> None:
    """Turn off what takes ten times as long as all the rest."""
    if not is_trio():
        asyncio.get_running_loop().set_debug(False)


async def live(number: int) -> None:
    """One run; all combinations of how it is made and how it ends take turns."""
    pipeline = PIPELINES[number % len(PIPELINES)]()
    mode: Any = ("ordered", "as_completed")[number // len(PIPELINES) % 2]
    data = source() if number % 3 else range(12)
    with contextlib.suppress(TaskError):
        await LIVES[number % len(LIVES)](pipeline.with_execution_mode(mode)(data))
    await ticks(10)


def descriptors() -> int:
    """Count the open file descriptors."""
    for directory in ("/proc/self/fd", "/dev/fd"):
        if os.path.isdir(directory):
            return len(os.listdir(directory))
    return 0


def tasks() -> int:
    if is_trio():
        return len(list(trio_tasks(trio.lowlevel.current_root_task())))
    return len(asyncio.all_tasks())


def census() -> dict[str, int]:
    """Count what may leak."""
    for _ in range(3):
        gc.collect()
    return {
        "objects": len(gc.get_objects()),
        "tasks": tasks(),
        "descriptors": descriptors(),
        "threads": threading.active_count(),
    }


async def test_runs_of_every_kind_and_end_leave_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Four hundred runs later there are as many objects, tasks, descriptors and threads."""
    caplog.set_level("CRITICAL")  # records would be kept
    without_debugging()
    for number in range(2 * len(PIPELINES) * len(LIVES)):
        await live(number)
    tracemalloc.start()
    try:
        before, traced = census(), tracemalloc.get_traced_memory()[0]
        for number in range(RUNS):
            await live(number)
        after, growth = census(), tracemalloc.get_traced_memory()[0] - traced
    finally:
        tracemalloc.stop()
    # One object per run would be four hundred; a free list here or there is not.
    assert after.pop("objects") < before.pop("objects") + RUNS // 4
    assert after == before
    assert growth < 100_000


async def peak(pipeline: Pipeline[Any, Any], count: int, expected: int) -> int:
    """Return the most bytes that a run of *count* items holds at any time."""
    gc.collect()
    tracemalloc.start()
    try:
        received = 0
        async with pipeline(range(count)) as results:
            async for _ in results:
                received += 1
        assert received == expected
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


LONG: Pipeline[Any, Any] = Pipeline().add(
    batch_task(max_size=100)(lambda batch: sum(batch)),
    single_task(lambda item: [item, item]),
)


@pytest.mark.parametrize("mode", ["ordered", "as_completed"])
@pytest.mark.parametrize("count", [100_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
async def test_many_items_need_the_memory_of_ten_thousand(count: int, mode: Any) -> None:
    """Through batches and an expansion, the peak does not depend on the number of items."""
    without_debugging()
    pipeline = LONG.with_execution_mode(mode)
    await peak(pipeline, 1_000, 20)  # caches, imports
    small = await peak(pipeline, 10_000, 200)
    assert await peak(pipeline, count, count // 50) < small + 500_000


@pytest.mark.skipif(sys.platform == "win32", reason="no count of descriptors")
async def test_a_leaked_descriptor_is_noticed() -> None:
    """The count itself tells one descriptor more."""
    before = census()
    with open(os.devnull):  # noqa: ASYNC230
        assert census()["descriptors"] == before["descriptors"] + 1
