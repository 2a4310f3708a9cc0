"""Tasks that serve the stream as a whole: subclasses of BaseTask that define ``process``."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from conveyor import BaseTask, Pipeline, batch_task, single_task
from helpers import ticks


class Same(BaseTask[Any, Any]):
    async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for item in items:
            yield item


class FirstFew(BaseTask[Any, Any]):
    def __init__(self, count: int) -> None:
        super().__init__(task_name="few")
        self.count = count

    async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        for _ in range(self.count):
            yield await anext(items)


@single_task
async def later(item: int) -> int:
    await anyio.sleep(item % 3)
    return item


PIPELINES: dict[str, Pipeline[Any, Any]] = {
    "alone": Same().pipeline(),
    "twice": Same() | Same(),
    "between": later | Same() | later,
    "after_a_batch": batch_task(max_size=4)(lambda batch: batch) | Same(),
    "before_a_batch": Same() | batch_task(max_size=4)(lambda batch: batch),
}
SMALLEST = {"alone": 3, "twice": 5, "between": 3, "after_a_batch": 6, "before_a_batch": 6}


@pytest.mark.parametrize("mode", ["ordered", "as_completed"])
@pytest.mark.parametrize("spare", [0, 1, 5, 1000])
@pytest.mark.parametrize("name", PIPELINES)
async def test_a_process_gets_through_every_window(name: str, spare: int, mode: Any) -> None:
    """From the smallest window that is allowed on, nothing stands still and nothing is lost."""
    pipeline = PIPELINES[name].with_context(
        max_in_flight=SMALLEST[name] + spare, execution_mode=mode
    )
    received = await pipeline(range(41)).collect()
    assert sorted(received) == list(range(41))
    assert mode == "as_completed" or received == list(range(41))


@pytest.mark.parametrize("name", PIPELINES)
async def test_a_window_too_small_for_a_process_is_refused(name: str) -> None:
    """A process needs a place for itself and one for its next value, besides one for an item."""
    smallest = SMALLEST[name]
    with pytest.raises(ValueError, match=rf"use with_context\(max_in_flight={smallest}\) or more"):
        await PIPELINES[name].with_context(max_in_flight=smallest - 1)(range(3)).collect()


async def test_a_process_that_wants_no_more_ends_the_run() -> None:
    """An endless source is closed once a process has taken what it wanted."""
    closed: list[bool] = []

    async def source() -> AsyncIterator[int]:
        try:
            for number in itertools.count():
                yield number
        finally:
            closed.append(True)

    assert await (later | FirstFew(5) | later)(source()).collect() == [0, 1, 2, 3, 4]
    assert closed == [True]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_stream_that_a_process_returns_ends_with_the_run(fails: bool) -> None:
    """A pipeline's stream returned by ``process`` does not outlive the block, whatever ends it."""
    alive = 0

    async def source() -> AsyncIterator[int]:
        nonlocal alive
        alive += 1
        try:
            for number in itertools.count():
                await anyio.lowlevel.checkpoint()
                yield number
        finally:
            alive -= 1

    class Nested(BaseTask[Any, Any]):
        async def process(self, items: Any) -> Any:
            return later.with_context(max_in_flight=5)(source())

    @single_task
    async def check(item: int) -> int:
        if fails and item == 3:
            raise KeyError
        return item

    try:
        async with (Nested() | check).with_context(max_in_flight=4)(range(3)) as results:
            async for _ in results:
                if not fails:
                    break
    except KeyError:
        assert fails
    assert alive == 0


async def test_what_process_returns_must_be_iterable() -> None:
    """A list is not a stream; the error says what is expected."""

    class Wrong(BaseTask[Any, Any]):
        async def process(self, items: Any) -> Any:
            return [1, 2]

    with pytest.raises(TypeError) as caught:
        await Wrong()([1]).collect()
    assert str(caught.value) == (
        "process() of task 'Wrong' must be an async generator, or return an async iterable; "
        "got a list"
    )


async def test_process_is_left_in_order() -> None:
    """A process that holds a scope while it waits for room is closed quietly."""

    class Scoped(BaseTask[Any, Any]):
        async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
            async with anyio.create_task_group():
                async for item in items:
                    yield item

    async with Scoped().with_context(max_in_flight=4)(range(50)) as results:
        assert await anext(results) == 0
        await ticks(5)


async def test_two_tasks_that_wait_for_items_at_once_are_refused() -> None:
    """One of them would never be woken; the error says what to do."""
    errors: list[RuntimeError] = []

    class Two(BaseTask[int, int]):
        async def process(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
            received: list[int] = []

            async def read() -> None:
                try:
                    received.extend([item async for item in items])
                except RuntimeError as error:
                    errors.append(error)

            async with anyio.create_task_group() as group:
                group.start_soon(read)
                group.start_soon(read)
            for item in received:
                yield item

    assert await (later | Two())([1, 2, 3]).collect() == [1, 2, 3]
    (error,) = errors
    assert str(error) == (
        "task 'Two': another task of process() is waiting for an item; let one iterate the items "
        "and hand them on"
    )
