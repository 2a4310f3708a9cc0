"""Generators as tasks: with scopes of their own, under a timeout, left early, at a full window."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.lowlevel import checkpoint

from conveyor import batch_task, single_task
from helpers import current_time, ticks


class Alive:
    """Counts what is open."""

    def __init__(self) -> None:
        self.count = 0

    async def ticker(self) -> None:
        self.count += 1
        try:
            await anyio.sleep_forever()
        finally:
            self.count -= 1


async def holding_a_scope(alive: Alive, item: int) -> AsyncIterator[int]:
    with anyio.CancelScope():
        for number in range(5):
            yield item * 10 + number


async def holding_a_deadline(alive: Alive, item: int) -> AsyncIterator[int]:
    with anyio.move_on_after(1000):
        for number in range(5):
            await anyio.sleep(0.1)
            yield item * 10 + number


async def holding_a_task_group(alive: Alive, item: int) -> AsyncIterator[int]:
    async with anyio.create_task_group() as task_group:
        task_group.start_soon(alive.ticker)
        for number in range(5):
            yield item * 10 + number
            await anyio.lowlevel.checkpoint()
        task_group.cancel_scope.cancel()


async def holding_a_pipeline(alive: Alive, item: int) -> AsyncIterator[int]:
    async with single_task(lambda number: item * 10 + number)(range(5)) as results:
        async for result in results:
            yield result


GENERATORS = [holding_a_scope, holding_a_deadline, holding_a_task_group, holding_a_pipeline]
OPTIONS: list[dict[str, Any]] = [{}, {"timeout": 500}, {"retry_attempts": 2}]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("window", [1, 2, 7, 1000])
@pytest.mark.parametrize("generator", GENERATORS)
async def test_generators_may_hold_scopes(
    generator: Any, window: int, options: dict[str, Any]
) -> None:
    """A generator that holds scopes between its values gives all of them, in order."""
    alive = Alive()
    task = single_task(lambda item: generator(alive, item), concurrency_limit=1, **options)
    pipeline = task.with_context(max_in_flight=window)
    expected = [item * 10 + number for item in range(3) for number in range(5)]
    assert await pipeline(range(3)).collect() == expected
    assert alive.count == 0


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("window", [1, 3, 1000])
@pytest.mark.parametrize("generator", GENERATORS)
async def test_generators_that_hold_scopes_may_be_left(
    generator: Any, window: int, options: dict[str, Any]
) -> None:
    """Leaving the results while such generators wait for room closes them in order, quietly."""
    alive = Alive()
    task = single_task(lambda item: generator(alive, item), concurrency_limit=3, **options)
    pipeline = task.with_context(max_in_flight=max(window, 3))
    async with pipeline(range(50)) as results:
        async for _ in results:
            await anyio.sleep(1)
            break
    assert alive.count == 0
    async for _ in pipeline(range(50)):
        await anyio.sleep(1)
        break
    await ticks(10)
    await anyio.sleep(1)
    assert alive.count == 0


@pytest.mark.parametrize("failing_at", [None, 0, 2])
@pytest.mark.parametrize("options", [*OPTIONS, {"on_error": "skip_item"}])
@pytest.mark.parametrize("kind", ["generator", "asynchronous", "awaited"])
async def test_a_function_that_returns_generators_is_called_once_for_each_attempt(
    kind: str, options: dict[str, Any], failing_at: int | None
) -> None:
    """What it does before it returns is done as often as there are attempts, and no more."""
    called: list[int] = []

    def plainly(item: int, attempt: int) -> Iterator[int]:
        for number in range(4):
            if (item, number, attempt) == (1, failing_at, 1):
                raise ZeroDivisionError
            yield 10 * item + number

    async def asynchronously(item: int, attempt: int) -> AsyncIterator[int]:
        for value in plainly(item, attempt):
            yield value

    def function(item: int) -> Any:
        called.append(item)
        generator = asynchronously if kind == "asynchronous" else plainly
        return generator(item, called.count(item))

    async def awaited(item: int) -> Any:
        return function(item)

    task = single_task(**{**options, "retry_delay": 0} if "retry_attempts" in options else options)
    pipeline = task(awaited if kind == "awaited" else function)
    whole = [[10 * item + number for number in range(4)] for item in range(3)]
    is_retried = failing_at == 0 and "retry_attempts" in options
    if failing_at is None or is_retried:
        assert await pipeline(range(3)).collect() == [*itertools.chain(*whole)]
        assert sorted(called) == ([0, 1, 1, 2] if is_retried else [0, 1, 2])
    elif "on_error" in options:
        # A value that has been passed on stays.
        whole[1] = whole[1][:failing_at]
        assert await pipeline(range(3)).collect() == [*itertools.chain(*whole)]
        assert sorted(called) == [0, 1, 2]
    else:
        with pytest.raises(ZeroDivisionError):
            await pipeline(range(3)).collect()
        assert called.count(1) == 1


async def test_a_timeout_that_fires_while_we_make_it_wait_is_an_error() -> None:
    """A generator cannot be cut short by its timeout in silence, however the two meet."""

    @single_task(timeout=1)
    async def numbers(item: int) -> AsyncIterator[int]:
        yield 0
        with anyio.CancelScope(shield=True):
            await anyio.sleep(2)  # the timeout passes meanwhile, unnoticed
        yield 1
        yield 2

    received: list[int] = []
    with pytest.raises(TimeoutError):
        async with numbers.with_context(max_in_flight=1)([1]) as results:
            async for result in results:
                received.append(result)
                await anyio.sleep(5)
    assert received == [0, 1]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("parallelism", [None, 1])
async def test_a_deadline_of_its_own_that_passes_while_it_waits(
    parallelism: int | None, options: dict[str, Any]
) -> None:
    """It meets the generator at its next step, as it would at any other ``yield``."""

    @single_task(**options)
    async def numbers(item: int) -> AsyncIterator[int]:
        with anyio.move_on_after(1):
            for number in range(3):
                yield number
                await checkpoint()
        yield -1

    received: list[int] = []
    pipeline = numbers.with_context(max_in_flight=1, max_parallelism=parallelism)
    async with pipeline([1]) as results:
        async for result in results:
            received.append(result)
            await anyio.sleep(5)
    # 1 is pulled when 0 leaves, at once; pulling the value after it, at 5 s, meets the deadline.
    assert received == [0, 1, -1]


@pytest.mark.parametrize("shield", [False, True])
@pytest.mark.parametrize("parallelism", [None, 1])
async def test_a_run_ends_although_a_generator_shields_its_wait(
    parallelism: int | None, shield: bool
) -> None:
    """What waits for room in a generator's shield ends with the run all the same."""
    closed: list[int] = []

    @single_task(concurrency_limit=3)
    async def numbers(item: int) -> AsyncIterator[int]:
        try:
            with anyio.CancelScope(shield=shield):
                while True:
                    yield item
        finally:
            closed.append(item)

    pipeline = numbers.with_context(max_in_flight=3, max_parallelism=parallelism)
    async with pipeline(range(3)) as results:
        assert await anext(results) == 0
        await anyio.sleep(1)
    assert closed
    assert current_time() == 1


@pytest.mark.parametrize("is_async", [False, True])
async def test_no_value_is_pulled_once_a_share_comes_too_late(is_async: bool) -> None:
    """A generator that gets room, and its share only when the run ends, is asked for nothing."""
    pulled: list[float] = []

    def numbers() -> Iterator[int]:
        for number in range(9):
            pulled.append(current_time())
            yield number

    async def async_numbers() -> AsyncIterator[int]:
        for number in numbers():
            yield number

    @single_task(concurrency_limit=2)
    def work(item: int) -> Any:
        if item == 0:
            return item
        if item == 1:
            return async_numbers() if is_async else numbers()
        return anyio.sleep(100)

    pipeline = work.with_context(max_in_flight=4, max_parallelism=1, execution_mode="as_completed")
    async with pipeline(range(3)) as results:
        await anyio.sleep(1)
        assert await anext(results) == 0
        # There is room for one value more now, but the sleeping call has the one share.
        await anyio.sleep(1)
    assert pulled == [0]


@pytest.mark.parametrize("options", [{}, {"max_size": 1, "on_error": "skip_item"}])
async def test_a_value_that_comes_after_the_end_is_the_last(options: dict[str, Any]) -> None:
    """A generator that the end of the run meets in a shield is closed at its next yield."""
    log: list[tuple[str, float]] = []

    async def numbers(item: Any) -> AsyncIterator[int]:
        try:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(3)
            yield 1
            log.append(("pulled", current_time()))
            yield 2
        finally:
            await anyio.sleep(5)
            log.append(("closed", current_time()))

    task: Any = batch_task(**options)(numbers) if options else single_task(numbers)
    async with task([0]):
        await anyio.sleep(1)
    assert log == [("closed", 8)]


async def test_a_batchs_generator_is_closed_when_left() -> None:
    """The same machinery serves batches."""
    closed: list[bool] = []

    @batch_task(max_size=2)
    async def spread(batch: list[int]) -> AsyncIterator[int]:
        try:
            with anyio.CancelScope():
                for item in batch * 3:
                    yield item
        finally:
            await anyio.lowlevel.checkpoint()
            closed.append(True)

    async with spread.with_context(max_in_flight=2)(range(4)) as results:
        assert await anext(results) == 0
        await ticks(5)
    assert closed == [True]
