"""
A sample of everything on event loops that programs use: asyncio's and uvloop's; eager tasks.

Virtual time needs a loop of its own, which is neither uvloop's nor, unless asked for by
``--eager``, one whose tasks begin at once. Delays are real here, so they are tiny, and nothing is
asserted about how long anything takes.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Any

import anyio
import anyio.to_thread
import pytest

from conveyor import StreamClosedError, batch_task, single_task
from conveyor.context import get_current_context
from helpers import ticks

LOOPS = ["asyncio", "tasks in Python"]
if sys.version_info >= (3, 12):
    LOOPS.append("eager")
if find_spec("uvloop") is not None:
    LOOPS.append("uvloop")


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    if kind == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    loop = asyncio.SelectorEventLoop()
    if kind == "eager":
        loop.set_task_factory(asyncio.eager_task_factory)
    if kind == "tasks in Python":
        loop.set_task_factory(python_task)
    return loop


def python_task(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
    """Make a task of the kind that libraries use which let loops run inside of one another."""
    return asyncio.tasks._PyTask(coro, loop=loop, **options)  # type: ignore[attr-defined,no-any-return]


@pytest.fixture(params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return "asyncio", {"loop_factory": lambda: new_loop(request.param)}


@pytest.fixture(autouse=True)
async def limit(anyio_backend: Any) -> AsyncIterator[None]:
    """A test that waits for ever ends all the same."""
    watchdog = asyncio.get_running_loop().call_later(60, asyncio.current_task().cancel)  # type: ignore[union-attr]
    yield
    watchdog.cancel()


class TaskError(Exception):
    """Raised by tasks."""


class Probe:
    """A source that knows whether it is open, and calls that know whether they are going on."""

    def __init__(self, items: int = 1000) -> None:
        self.items = items
        self.opened = False
        self.open = False
        self.calls = 0

    async def source(self) -> AsyncIterator[int]:
        self.opened = self.open = True
        try:
            for item in range(self.items):
                yield item
        finally:
            try:
                await ticks(2)
            finally:
                self.open = False

    async def work(self, item: int) -> int:
        self.calls += 1
        try:
            await ticks(item % 5)
            return item
        finally:
            self.calls -= 1

    def stream(self) -> Any:
        task = single_task(self.work)
        return (task | pairs | task)(self.source())

    @property
    def anything(self) -> bool:
        return self.open or self.calls > 0


@single_task
async def same(item: Any) -> Any:
    return item


@batch_task(max_size=2)
async def pairs(batch: list[int]) -> list[int]:
    await ticks(1)
    return batch


async def plain(stream: Any) -> list[Any]:
    return [result async for result in stream]


async def block(stream: Any) -> list[Any]:
    async with stream as results:
        return [result async for result in results]


async def collect(stream: Any) -> list[Any]:
    collected: list[Any] = await stream.collect()
    return collected


CONSUMERS = [plain, block, collect]


@pytest.mark.parametrize("consume", CONSUMERS)
@pytest.mark.parametrize("items", [0, 1, 2, 299])
async def test_every_way_gives_all_results(consume: Any, items: int) -> None:
    """Nothing is lost, in order or as completed; and everything has ended."""
    probe = Probe(items)
    assert await consume(probe.stream()) == [*range(items)]
    assert not probe.anything
    assert sorted(await consume(probe.stream().as_completed())) == [*range(items)]
    assert not probe.anything


async def test_a_hundred_thousand_items() -> None:
    """Many more than fit into the window."""
    assert await plain((same | same)(range(100_000))) == [*range(100_000)]


async def test_break_ends_the_run() -> None:
    """Some turns after it everything has ended."""
    probe = Probe()
    async for _ in probe.stream():
        break
    await ticks(15)
    assert probe.opened
    assert not probe.anything


async def test_leaving_the_block_has_ended_the_run() -> None:
    """Everything has ended when it is left."""
    probe = Probe()
    async with probe.stream() as results:
        assert await anext(results) == 0
    assert not probe.anything


async def test_an_iterator_in_a_cycle_is_ended_by_the_collector() -> None:
    """Its run ends when it is collected."""
    probe = Probe()
    iterator = aiter(probe.stream())
    await anext(iterator)
    cycle: list[Any] = [iterator]
    cycle.append(cycle)
    del iterator, cycle
    gc.collect()
    await ticks(15)
    assert not probe.anything


async def test_an_iterator_dropped_in_another_thread_ends_its_run() -> None:
    """Its run ends on its own loop, which is woken for that."""
    probe = Probe()
    holder = [aiter(probe.stream())]
    await anext(holder[0])
    await anyio.to_thread.run_sync(holder.clear)
    await ticks(15)
    assert not probe.anything


@pytest.mark.parametrize("consume", CONSUMERS)
@pytest.mark.parametrize("turns", range(0, 60, 5))
async def test_native_cancel_after_some_turns(consume: Any, turns: int) -> None:
    """Everything has ended before the cancelled task has, twice cancelled or once."""
    probe = Probe()
    task = asyncio.create_task(consume(probe.stream()))
    await ticks(turns)
    task.cancel()
    if turns % 2:
        await ticks(1)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not probe.anything


@pytest.mark.parametrize("consume", CONSUMERS)
async def test_the_very_exception_arrives(consume: Any) -> None:
    """Bare, with its note, after all calls have ended."""
    error = TaskError()
    probe = Probe()

    @single_task
    async def failing(item: int) -> int:
        await ticks(item % 3)
        if item == 7:
            raise error
        return item

    with pytest.raises(TaskError) as caught:
        await consume((single_task(probe.work) | failing)(probe.source()))
    assert caught.value is error
    assert error.__notes__ == [  # type: ignore[attr-defined, unused-ignore]
        "raised by task 'failing' for input item 7 after 1 attempt"
    ]
    assert not probe.anything


async def test_a_batch_does_not_wait_longer_than_max_wait() -> None:
    """A batch that never fills leaves all the same, in real time."""
    go_on = anyio.Event()

    async def source() -> AsyncIterator[int]:
        for item in range(3):
            yield item
        await go_on.wait()

    async with batch_task(max_size=100, max_wait=0.01)(len)(source()) as results:
        assert await anext(results) == 3
        go_on.set()
        assert await results.collect() == []


async def test_timeouts_and_retries() -> None:
    """Attempts that take too long are cancelled and made again, in real time."""
    attempts: list[int] = []

    @single_task(timeout=0.01, retry_attempts=2, retry_delay=0.001)
    async def slow_at_first(item: int) -> int:
        attempts.append(item)
        if attempts.count(item) == 1:
            await anyio.sleep(30)
        return item

    assert await slow_at_first(range(5)).collect() == [*range(5)]
    assert len(attempts) == 10


async def test_waits_that_time_out_lose_nothing() -> None:
    """``asyncio.wait_for`` around ``anext()`` of a block, in real time."""

    @single_task(concurrency_limit=2)
    async def slow(item: int) -> int:
        await anyio.sleep(0.003)
        return item

    received: list[int] = []
    async with slow(range(20)) as results:
        while len(received) < 20:
            try:
                received.append(await asyncio.wait_for(anext(results), 0.002))
            except asyncio.TimeoutError:
                continue
    assert received == [*range(20)]


variable: ContextVar[int] = ContextVar("variable", default=-1)


async def test_context_variables() -> None:
    """Calls see the caller's, not one another's; and the caller sees none of the run's."""

    @single_task
    async def look(item: int) -> int:
        seen = variable.get()
        variable.set(item)
        await ticks(1)
        return seen

    variable.set(5)
    assert await plain(look(range(20))) == [5] * 20
    assert variable.get() == 5
    assert get_current_context() is None


@pytest.mark.parametrize("turns", [0, 3])
async def test_side_inputs(turns: int) -> None:
    """A coroutine that is ready at once or later is awaited once."""
    fetched: list[int] = []

    async def fetch() -> int:
        fetched.append(1)
        await ticks(turns)
        return 10

    @single_task
    async def add(item: int, other: int) -> int:
        return item + other

    task = add.with_inputs(fetch())
    assert await collect(task(range(3))) == [10, 11, 12]
    assert await plain(task(range(3))) == [10, 11, 12]
    assert fetched == [1]


async def test_generators_in_a_small_window() -> None:
    """Values wait for room, and endless generators are closed."""
    closed: list[int] = []

    @single_task(concurrency_limit=3)
    async def endless(item: int) -> AsyncIterator[int]:
        try:
            while True:
                yield item
        finally:
            await ticks(1)
            closed.append(item)

    async with endless.with_context(max_in_flight=5)(range(10)) as results:
        assert [await anext(results) for _ in range(50)] == [0] * 50
    assert 0 in closed
    assert len(closed) <= 3


async def test_a_synchronous_source_is_closed() -> None:
    """After a plain iteration was cancelled and is closed for good."""
    closed: list[bool] = []

    def source() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.append(True)

    @single_task
    async def never(item: int) -> None:
        await anyio.sleep(30)

    iterator = aiter(never(source()))
    with anyio.move_on_after(0.005):
        await anext(iterator)
    assert closed == [True]
    with pytest.raises(StreamClosedError):
        await anext(iterator)
