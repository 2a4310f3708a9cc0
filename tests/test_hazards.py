"""What breaks libraries of this kind and has no better place: turns, waits, threads."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Generator, Iterator
from itertools import pairwise
from typing import Any

import anyio
import anyio.to_thread
import pytest
import sniffio
from anyio.lowlevel import checkpoint

from conveyor import StreamClosedError, single_task
from conveyor._engine.host import current_host
from conveyor._engine.window import BURST
from helpers import ticks

#: Trio shuffles whose turn it is, so a task may have two before another one has its first.
TURNS = 2
MANY = 20_000


@single_task
async def same(item: Any) -> Any:
    return item


class Items(AsyncIterator[int]):
    """Ten items, and how often it was closed; closing it takes its time."""

    def __init__(self, cleanup: float = 0) -> None:
        self.left = list(range(10))
        self.cleanup = cleanup
        self.closing = 0
        self.closed = 0

    async def __anext__(self) -> int:
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop(0)

    async def aclose(self) -> None:
        self.closing += 1
        await anyio.sleep(self.cleanup)
        self.closed += 1


# Others get their turns


async def turns_meanwhile(gate: anyio.Event, work: list[int]) -> list[int]:
    """Take a turn whenever possible until all work is done; return how much was done in between."""
    await gate.wait()
    seen = [len(work)]
    while len(work) < MANY:
        await checkpoint()
        seen.append(len(work))
    return [after - before for before, after in pairwise(seen)]


async def test_a_worker_that_never_suspends_lets_others_run() -> None:
    """With thousands of items queued, some hundred calls at most are made in a row."""
    gate = anyio.Event()
    calls: list[int] = []
    in_a_row: list[int] = []

    @single_task(concurrency_limit=1)
    async def work(item: int) -> int:
        if item == 0:
            await gate.wait()
        calls.append(item)
        return item

    async def bystander() -> None:
        in_a_row.extend(await turns_meanwhile(gate, calls))

    async with anyio.create_task_group() as group:
        group.start_soon(bystander)
        async with work.with_context(max_in_flight=MANY)(range(MANY)) as results:
            while results.stats().items_in < MANY:
                await checkpoint()
            gate.set()
            assert await results.collect() == [*range(MANY)]
    assert max(in_a_row) <= TURNS * BURST


async def test_a_source_that_takes_its_time_lets_others_run() -> None:
    """Of synchronous data that need four milliseconds for an item, few are read in a row."""
    clock = 0.0
    gate = anyio.Event()
    read: list[int] = []
    in_a_row: list[int] = []

    def slow() -> Iterator[int]:
        nonlocal clock
        for item in range(MANY):
            clock += 0.004
            read.append(item)
            yield item

    async def bystander() -> None:
        in_a_row.extend(await turns_meanwhile(gate, read))

    gate.set()
    async with anyio.create_task_group() as group:
        group.start_soon(bystander)
        async with same(slow()) as results:
            results._run.host.clock = lambda: clock
            assert await results.collect() == [*range(MANY)]
    # Two take longer than five milliseconds, so the next time it is one again.
    assert max(in_a_row) <= TURNS * 2


async def test_a_consumer_that_never_suspends_lets_others_run() -> None:
    """With thousands of results ready, some hundred at most are taken in a row."""
    gate = anyio.Event()
    calls = 0
    taken: list[int] = []
    in_a_row: list[int] = []

    @single_task
    async def count(item: int) -> int:
        nonlocal calls
        calls += 1
        return item

    async def bystander() -> None:
        in_a_row.extend(await turns_meanwhile(gate, taken))

    async with anyio.create_task_group() as group:
        group.start_soon(bystander)
        async with count.with_context(max_in_flight=MANY)(range(MANY)) as results:
            while calls < MANY:
                await checkpoint()
            gate.set()
            await checkpoint()
            async for result in results:
                taken.append(result)  # noqa: PERF401 - the bystander looks at it
    assert taken == [*range(MANY)]
    # A pause comes at the end of a lot, which is a burst at most.
    assert max(in_a_row) <= TURNS * 2 * BURST


# Results


@single_task
async def in_three_turns(item: int) -> int:
    await ticks(item % 3)
    return item


@pytest.mark.parametrize("turns", range(1, 8))
async def test_waits_that_are_cancelled_after_some_turns_lose_nothing(turns: int) -> None:
    """A scope around ``anext()`` may be cancelled at any moment, not only while time passes."""
    received: list[int] = []
    scope = anyio.CancelScope()

    async def cancel_again_and_again() -> None:
        while len(received) < 40:
            await ticks(turns)
            scope.cancel()

    async with anyio.create_task_group() as group, in_three_turns(range(40)) as results:
        group.start_soon(cancel_again_and_again)
        while len(received) < 40:
            with anyio.CancelScope() as scope:
                received.append(await anext(results))
        assert await anext(results, None) is None
    assert received == [*range(40)]


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize("turns", range(1, 8))
async def test_waits_that_are_natively_cancelled_after_some_turns_lose_nothing(turns: int) -> None:
    """A task that waits in ``anext()`` may be cancelled at any moment."""
    received: list[int] = []
    async with in_three_turns(range(40)) as results:
        while len(received) < 40:
            step = asyncio.ensure_future(anext(results))
            await ticks(turns)
            step.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                received.append(await step)
            await checkpoint()
        assert await anext(results, None) is None
    assert received == [*range(40)]


async def test_a_result_that_is_ready_is_not_given_to_another_loop() -> None:
    """It is refused there although nobody would have to wait, and is still here afterwards."""

    def elsewhere(results: Any) -> None:
        async def main() -> None:
            await anext(results)

        with pytest.raises(RuntimeError, match=r"^this stream belongs to another event loop"):
            anyio.run(main)

    async with same(range(10)) as results:
        await ticks(20)  # on asyncio the first lot would be one result
        assert await anext(results) == 0
        await anyio.to_thread.run_sync(elsewhere, results)
        assert await results.collect() == [*range(1, 10)]


# Sources and generators


async def test_a_generator_is_closed_though_somebody_keeps_it() -> None:
    """The function's generator is closed when its run is left, not when it is freed."""
    kept: list[Generator[int, None, None]] = []

    @single_task
    def endless(item: int) -> Any:
        kept.append(value for value in iter(int, 1))
        return kept[-1]

    async with endless([1]) as results:
        assert await anext(results) == 0
    assert [inspect.getgeneratorstate(each) for each in kept] == ["GEN_CLOSED"]


@pytest.mark.parametrize("way", ["collect", "break", "block", "aclose"])
async def test_a_source_is_closed_once(way: str) -> None:
    """However the run ends, its source's ``aclose()`` is called once and runs to its end."""
    source = Items(cleanup=1)
    stream = same(source)
    if way == "collect":
        assert await stream.collect() == [*range(10)]
    elif way == "break":
        async for _ in stream:
            break
        await anyio.sleep(2)
    elif way == "block":
        async with stream as results:
            assert await anext(results) == 0
    else:
        assert await anext(aiter(stream)) == 0
        await stream.aclose()
        await stream.aclose()
    assert (source.closing, source.closed) == (1, 1)


# Waiting for the end


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_aclose_that_is_natively_cancelled_waits_all_the_same() -> None:
    """It is cancelled when the run has ended, and no result is delivered afterwards."""
    source = Items(cleanup=5)
    stream = same(source)
    iterator = aiter(stream)
    await anext(iterator)
    await ticks(40)  # others are ready by now
    closing = asyncio.create_task(stream.aclose())
    await anyio.sleep(1)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert anyio.current_time() == 5
    assert source.closed == 1
    with pytest.raises(StreamClosedError):
        await anext(iterator)


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_anext_that_is_natively_cancelled_twice_delivers_nothing_more() -> None:
    """Not even what a call that shields itself has returned meanwhile."""

    @single_task
    async def shielded(item: int) -> int:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(1)
        return item

    iterator = aiter(shielded(Items(cleanup=5)))
    step = asyncio.ensure_future(anext(iterator))
    await anyio.sleep(0.5)
    step.cancel()
    await anyio.sleep(1.5)
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    with pytest.raises(StreamClosedError):
        await anext(iterator)


# Destructors run at any time, in any thread


async def test_an_iterator_dropped_in_another_thread_ends_its_run() -> None:
    """The run is ended on its own event loop."""
    if sniffio.current_async_library() == "asyncio":
        # There it is an error to call what is not made for other threads.
        asyncio.get_running_loop().set_debug(True)
    source = Items()
    holder = [aiter(same.with_context(max_in_flight=100)(source))]
    await anext(holder[0])
    await anyio.to_thread.run_sync(holder.clear)
    await ticks(10)
    assert source.closed == 1


def test_a_loop_that_has_ended_is_called_in_vain(anyio_backend_name: str) -> None:
    """What a destructor wants of a loop that has ended is neither done nor an error."""

    async def main() -> Any:
        return current_host()

    host = anyio.run(main, backend=anyio_backend_name)
    done: list[int] = []
    host.call_soon(lambda: done.append(1))
    assert done == []
