"""Streams: the ways of consuming them, once, and what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from conveyor import (
    AsyncStream,
    CollectLimitError,
    ConveyorError,
    Observer,
    Pipeline,
    RunStatistics,
    StageStatistics,
    StreamClosedError,
    StreamConsumedError,
    Success,
    batch_task,
    single_task,
)
from conveyor._engine.ordering import OrderedChain
from conveyor._engine.run import Run
from helpers import block, collect, current_time, plain, ticks


@single_task
async def slow(item: int) -> int:
    """Take a second per unit."""
    await anyio.sleep(item)
    return item


@single_task
async def echo(item: Any) -> Any:
    return item


async def every_second(item: Any) -> Any:
    await anyio.sleep(1)
    return item


@single_task
async def uneven(item: int) -> int:
    """Let later items overtake earlier ones."""
    await anyio.sleep(item * 5 % 7)
    return -item


class Track:
    """A source that says how far it came and whether it is closed."""

    def __init__(self) -> None:
        self.given = 0
        self.closed = False

    async def items(self, count: int = 1_000_000) -> AsyncIterator[int]:
        try:
            for number in range(count):
                self.given += 1
                yield number
        finally:
            self.closed = True


async def block_collect(stream: Any) -> list[Any]:
    async with stream as results:
        return await results.collect()


WAYS = [plain, block, collect, block_collect]
every_way = pytest.mark.parametrize("consume", WAYS)


# The ways of consuming


@every_way
@pytest.mark.parametrize("count", [0, 1, 2, 127, 128, 129, 1000, 3000])
async def test_every_way_gives_all_results(consume: Any, count: int) -> None:
    """Each way of consuming delivers every result in order, over any number of them."""
    pipeline = echo | single_task(lambda item: [item, -item])
    expected = [result for item in range(count) for result in (item, -item)]
    assert await consume(pipeline(range(count))) == expected


@every_way
async def test_many_more_results_than_the_window_holds(consume: Any) -> None:
    """Places are used again and again, and each result still comes from its own item."""
    stream = (uneven | echo).with_context(max_in_flight=7)(range(500))
    assert await consume(stream) == [-item for item in range(500)]


@every_way
async def test_every_way_runs_concurrently(consume: Any) -> None:
    """Each way takes as long as the slowest item."""
    assert await consume(slow([3, 1, 2])) == [3, 1, 2]
    assert current_time() == 3


def counted_lots(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record how many results each look at the last chain has brought."""
    lots: list[int] = []
    take_all = OrderedChain.take_all

    def counting(chain: OrderedChain, limit: int = sys.maxsize) -> list[Any]:
        values = take_all(chain, limit)
        lots.append(len(values))
        return values

    monkeypatch.setattr(OrderedChain, "take_all", counting)
    return lots


@pytest.mark.parametrize("is_block", [False, True])
async def test_who_collects_is_woken_for_several_results_at_once(
    is_block: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    For as many as the source waits for: an eighth of the window, here ten.

    The first comes while it has yet to be seen who waits; then nine are missing.
    """
    lots = counted_lots(monkeypatch)
    task = single_task(every_second, concurrency_limit=1)
    stream = task.with_context(max_in_flight=80)(range(100))
    assert await (block_collect if is_block else collect)(stream) == list(range(100))
    assert lots == [0, 1, 9, *[10] * 9, 0]
    assert current_time() == 100


@pytest.mark.parametrize("observers", [[Observer()], []])
async def test_results_are_taken_one_by_one_while_somebody_watches(
    observers: list[Observer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an observer does, or timings, from which it would look as if the consumer were slow."""
    lots = counted_lots(monkeypatch)
    task = single_task(every_second, concurrency_limit=1)
    pipeline = task.with_context(max_in_flight=80, observers=observers, timings=not observers)
    assert await pipeline(range(20)).collect() == list(range(20))
    assert lots == [0, *[1] * 20, 0]


@pytest.mark.parametrize("is_elsewhere", [False, True])
async def test_who_asks_for_the_figures_sees_each_result_from_then_on(is_elsewhere: bool) -> None:
    """Although they are collected, and it is no observer who asks, but perhaps another thread."""
    task = single_task(every_second, concurrency_limit=1)
    stream = task.with_context(max_in_flight=80)(range(9))
    async with anyio.create_task_group() as group:
        group.start_soon(stream.collect)
        await anyio.sleep(0.5)
        if is_elsewhere:
            await anyio.to_thread.run_sync(stream.stats)
        else:
            stream.stats()
        for count in range(1, 10):
            await anyio.sleep(1)
            assert stream.stats().items_out == count


async def test_a_slow_head_is_waited_for_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What overtakes it wakes nobody a second time; what it held up comes at once.

    Item 1 is late. Item 9 completes what the source waits for, but nothing can be taken then; nor
    can anything when item 8 is there, and item 7.
    """
    lots = counted_lots(monkeypatch)

    @single_task(concurrency_limit=10)
    async def late(item: int) -> int:
        await anyio.sleep({0: 1, 1: 100}.get(item, max(1, 20 - item)))
        return item

    stream = late.with_context(max_in_flight=80)(range(100))
    assert await stream.collect() == list(range(100))
    assert lots[:4] == [0, 1, 0, 79]


async def test_expansions_get_their_turn_while_results_are_collected() -> None:
    """
    Though there are fewer results before one than the source waits for.

    The first task lets items fill the window before the others come to them. While an expansion
    waits for room, the only worker does, so nothing behind it gets on. It begins to wait while
    results of the one before it are being collected.
    """

    @single_task(concurrency_limit=1)
    async def five_of(item: int) -> AsyncIterator[int]:
        await anyio.sleep(1.5)
        for _ in range(5):
            yield item

    together = single_task(every_second, concurrency_limit=80)
    task = single_task(every_second, concurrency_limit=1)
    stream = (together | five_of | task).with_context(max_in_flight=80)(range(80))
    assert await stream.collect() == [item for item in range(80) for _ in range(5)]


async def test_collecting_keeps_expansions_from_no_room() -> None:
    """As above, with expansions that take no time: the last task always has something to do."""

    @single_task(concurrency_limit=1)
    def five_of(item: int) -> Iterator[int]:
        yield from [item] * 5

    together = single_task(every_second, concurrency_limit=80)
    task = single_task(every_second, concurrency_limit=1)
    stream = (together | five_of | task).with_context(max_in_flight=80)(range(80))
    assert await stream.collect() == [item for item in range(80) for _ in range(5)]
    assert current_time() == 1 + 400


async def test_who_takes_over_from_a_cancelled_collect_gets_each_result_at_its_time() -> None:
    """What was waited for at last, the next ten, is of no concern any more."""
    task = single_task(every_second, concurrency_limit=1)
    async with task.with_context(max_in_flight=80)(range(20)) as results:
        with anyio.move_on_after(3.5):
            await results.collect()
        times = []
        async for _ in results:
            times.append(current_time())  # noqa: PERF401 - at its own time
        assert times == [3.5] * 3 + [float(second) for second in range(4, 21)]


async def test_the_first_item_has_the_loop_to_itself() -> None:
    """No other item is worked on, or hardly one, before the first result is here."""
    async with (echo | echo | echo | echo)(itertools.count()) as results:
        assert await anext(results) == 0
        assert results.stats().items_in <= 3


@pytest.mark.parametrize("is_block", [False, True])
async def test_first_results_come_while_others_are_worked_on(is_block: bool) -> None:
    """A result is delivered at its own time, long before the last item is done."""
    received: list[tuple[int, float]] = []

    async def read(results: Any) -> None:
        async for result in results:
            received.append((result, current_time()))  # noqa: PERF401 - at its own time

    stream = slow([1, 3, 2, 50])
    if is_block:
        async with stream as results:
            await read(results)
    else:
        await read(stream)
    assert received == [(1, 1), (3, 3), (2, 3), (50, 50)]


@pytest.mark.parametrize("is_block", [False, True])
async def test_the_end_is_repeated(is_block: bool) -> None:
    """After the last result every further ``anext`` says that there is none."""

    async def read(results: Any) -> None:
        assert await anext(results) == 1
        for _ in range(3):
            with pytest.raises(StopAsyncIteration):
                await anext(results)
        assert await anext(results, "default") == "default"

    if is_block:
        async with echo([1]) as results:
            await read(results)
    else:
        await read(aiter(echo([1])))


async def test_results_can_be_read_in_turns() -> None:
    """Inside the block, ``anext``, loops and ``collect()`` go on where the last one stopped."""
    async with echo(range(10)) as results:
        assert await anext(results) == 0
        async for result in results:
            if result == 3:
                break
        assert await results.collect() == [4, 5, 6, 7, 8, 9]
        assert await results.collect() == []


async def test_the_stream_can_be_iterated_inside_its_block() -> None:
    """Inside its own block, iterating the stream is iterating the results."""
    stream = echo(range(4))
    async with stream as results:
        assert await anext(results) == 0
        assert aiter(stream) is results
        assert [result async for result in stream] == [1, 2, 3]
    with pytest.raises(StreamConsumedError):
        aiter(stream)


async def test_nothing_runs_before_it_is_consumed() -> None:
    """Making a stream, or an iterator of it, starts nothing."""
    track = Track()
    stream = echo(track.items(3))
    iterator = aiter(stream)
    await ticks(10)
    assert track.given == 0
    assert await anext(iterator) == 0
    assert [result async for result in iterator] == [1, 2]


async def test_first_gives_one_result() -> None:
    """``first()`` runs until there is a result, and ends the run."""
    track = Track()
    assert await echo(track.items()).first() == 0
    assert track.closed
    assert await echo([]).first() is None
    assert await slow([5, 1]).as_completed().first() == 1
    assert current_time() == 1


# collect(limit)


LIMIT = "there are more than limit=2 results; iterate the stream, or raise the limit"


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_collect_gives_up_to_the_limit(count: int) -> None:
    """As many results as the limit are fine."""
    assert await echo(range(count)).collect(limit=2) == list(range(count))
    assert await echo(range(count)).collect(2) == list(range(count))
    async with echo(range(count)) as results:
        assert await results.collect(limit=2) == list(range(count))


async def test_collect_raises_beyond_the_limit() -> None:
    """One result more is an error, and the run has ended when it is raised."""
    track = Track()
    with pytest.raises(CollectLimitError) as caught:
        await echo(track.items()).collect(limit=2)
    assert str(caught.value) == LIMIT
    assert track.closed
    assert isinstance(caught.value, ConveyorError)
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.parametrize("window", [1, 3, 1000])
async def test_collect_in_a_block_raises_beyond_the_limit(window: int) -> None:
    """Inside a block all results can still be read, in order, and those before are not repeated."""
    async with echo.with_context(max_in_flight=window)(range(30)) as results:
        for number in range(3):
            assert await anext(results) == number
            with pytest.raises(CollectLimitError) as caught:
                await results.collect(limit=2)
            assert str(caught.value) == LIMIT
        assert results.stats().items_out == 3
        assert await results.collect(limit=27) == [*range(3, 30)]
        assert results.stats().items_out == 30


@pytest.mark.parametrize("limit", [None, 9])
async def test_what_a_cancelled_collect_has_read_can_be_read(limit: int | None) -> None:
    """As after a cancelled ``anext()``, the iteration goes on with the next one, in order."""
    async with slow([1, 2, 3, 4]) as results:
        assert await anext(results) == 1
        with anyio.move_on_after(2.5) as scope:
            await results.collect(limit=limit)
        assert scope.cancelled_caught
        assert current_time() == 3.5
        assert await anext(results) == 2
        assert await results.collect(limit=limit) == [3, 4]
        assert current_time() == 4


@pytest.mark.parametrize("limit", [None, 40])
@pytest.mark.parametrize("pause", [0, 5])
@pytest.mark.parametrize("turns", range(1, 8))
async def test_collect_may_be_cancelled_at_any_moment(
    turns: int, pause: int, limit: int | None
) -> None:
    """Also when all results are there, and only the end of the run is waited for."""

    @single_task
    async def in_three_turns(item: int) -> int:
        await ticks(item % 3)
        return item

    collected: list[int] | None = None
    scope = anyio.CancelScope()

    async def cancel_in_a_while() -> None:
        for _ in range(20):
            await ticks(turns)
            scope.cancel()

    async with anyio.create_task_group() as group, in_three_turns(range(40)) as results:
        group.start_soon(cancel_in_a_while)
        while collected is None:
            with anyio.CancelScope() as scope:
                collected = await results.collect(limit=limit)
            await ticks(pause)
    assert collected == [*range(40)]


@pytest.mark.parametrize("limit", [None, 9])
async def test_what_a_failed_collect_has_read_is_gone(limit: int | None) -> None:
    """A failure comes after all results, so nothing comes after it."""

    @single_task
    async def positive(item: int) -> int:
        await anyio.sleep(1)
        if item < 0:
            raise ZeroDivisionError
        return item

    async with positive.replace(concurrency_limit=1)([1, 2, -3]) as results:
        with pytest.raises(ZeroDivisionError):
            await results.collect(limit=limit)
        with pytest.raises(StreamClosedError):
            await anext(results)


@pytest.mark.parametrize("turns", range(1, 6))
async def test_what_a_second_reader_takes_is_left_to_the_first(turns: int) -> None:
    """``collect()`` beside a task that waits already is refused, also if that is being woken."""
    gate = anyio.Event()
    received: list[int] = []

    @single_task
    async def held(item: int) -> int:
        await gate.wait()
        return item

    async def read(results: Any) -> None:
        received.extend([result async for result in results])

    async with held(range(3)) as results, anyio.create_task_group() as group:
        group.start_soon(read, results)
        await ticks(10)
        gate.set()
        await ticks(turns)
        with contextlib.suppress(RuntimeError):
            received.extend(await results.collect())
    assert received == [0, 1, 2]


async def test_collect_with_limit_zero() -> None:
    """Zero is a limit: no result may come."""
    assert await echo([]).collect(limit=0) == []
    with pytest.raises(CollectLimitError):
        await echo([1]).collect(limit=0)


@pytest.mark.parametrize("limit", [-1, 1.5, "2", True], ids=repr)
async def test_a_bad_limit_is_refused(limit: Any) -> None:
    """The message says what a limit is, and the stream can still be collected."""
    for stream in (echo([1]), AsyncStream(echo([1]))):
        with pytest.raises(ValueError, match="limit") as caught:
            await stream.collect(limit=limit)
        assert str(caught.value) == f"limit must be None or an int of at least 0, got {limit!r}"
        assert await stream.collect() == [1]
    async with echo([1]) as results:
        with pytest.raises(ValueError, match="limit"):
            await results.collect(limit=limit)
        assert await results.collect() == [1]


# Used once


CONSUMED = (
    "this stream has been iterated already; call the pipeline again for a new one, "
    "or collect() the results to use them twice"
)
CLOSED = "this stream is closed; call the pipeline again for a new one"


async def partly(stream: Any) -> None:
    async for _ in stream:
        break
    await ticks(10)


@pytest.mark.parametrize("again", [*WAYS, lambda stream: stream.first()])
@pytest.mark.parametrize("consume", [*WAYS, partly])
async def test_a_run_is_used_once(consume: Any, again: Any) -> None:
    """Whatever way it was consumed, entirely or not, a second time is an error."""
    stream = echo([1, 2, 3])
    await consume(stream)
    with pytest.raises(StreamConsumedError) as caught:
        await again(stream)
    assert str(caught.value) == CONSUMED
    assert isinstance(caught.value, ConveyorError)
    assert isinstance(caught.value, RuntimeError)


async def test_a_stream_being_iterated_is_used() -> None:
    """A second iterator is refused as soon as the first one has begun."""
    stream = echo([1, 2])
    first, second = aiter(stream), aiter(stream)
    assert await anext(first) == 1
    with pytest.raises(StreamConsumedError):
        await anext(second)
    with pytest.raises(StreamConsumedError):
        await stream.collect()
    assert await anext(first) == 2


@pytest.mark.parametrize("again", [*WAYS, lambda stream: stream.first()])
async def test_a_closed_stream_cannot_be_consumed(again: Any) -> None:
    """After ``aclose()``, every way of consuming is refused; the data was never touched."""
    track = Track()
    stream = echo(track.items())
    await stream.aclose()
    with pytest.raises(StreamClosedError) as caught:
        await again(stream)
    assert str(caught.value) == CLOSED
    assert isinstance(caught.value, ConveyorError)
    assert isinstance(caught.value, RuntimeError)
    assert track.given == 0


async def test_a_stream_is_closed_after_its_iteration_was_cancelled() -> None:
    """A cancelled plain iteration closes the stream: iterator and stream say so."""
    stream = slow([1, 10])
    iterator = aiter(stream)
    assert await anext(iterator) == 1
    with anyio.move_on_after(2) as scope:
        await anext(iterator)
    assert scope.cancelled_caught
    for _ in range(2):
        with pytest.raises(StreamClosedError) as caught:
            await anext(iterator)
        assert str(caught.value) == "this stream was closed, or its run cancelled, before its end"
    with pytest.raises(StreamClosedError) as caught:
        aiter(stream)
    assert str(caught.value) == CLOSED


async def leave_by_cancellation(stream: Any) -> None:
    with anyio.move_on_after(2):
        await stream.collect()


async def leave_by_error(stream: Any) -> None:
    with pytest.raises(KeyError):
        async with stream:
            raise KeyError


async def leave_by_return(stream: Any) -> None:
    async with stream as results:
        assert await anext(results) == 1


@pytest.mark.parametrize("leave", [leave_by_cancellation, leave_by_error, leave_by_return])
async def test_a_stream_is_closed_after_its_block_was_left_early(leave: Any) -> None:
    """Whatever the reason: the results that are missing were never given."""
    stream = slow([1, 10])
    await leave(stream)
    with pytest.raises(StreamClosedError) as caught:
        await stream.collect()
    assert str(caught.value) == CLOSED


async def test_aclose_is_idempotent() -> None:
    """Before the start, amid it, and after the end, once or several times."""
    for consumed in (0, 1, 3):
        track = Track()
        stream = echo(track.items(3))
        iterator = aiter(stream)
        for _ in range(consumed):
            await anext(iterator)
        await stream.aclose()
        assert track.closed is (consumed > 0)
        await stream.aclose()
        with pytest.raises(StreamClosedError):
            aiter(stream)


async def test_aclose_after_the_end_changes_nothing_for_the_iterator() -> None:
    """An iteration that has reached its end still says that it is the end."""
    stream = echo([1])
    iterator = aiter(stream)
    assert [result async for result in iterator] == [1]
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)


async def test_concurrent_acloses_all_wait() -> None:
    """Each ``aclose()`` returns only when everything has ended."""

    @single_task
    async def work(item: int) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(5)

    ended: list[float] = []

    async def close() -> None:
        await stream.aclose()
        ended.append(current_time())

    stream = work([1])
    async with anyio.create_task_group() as task_group, stream:
        await ticks(5)
        task_group.start_soon(close)
        task_group.start_soon(close)
    assert ended == [5, 5]


async def test_a_block_is_left_only_once_entered() -> None:
    """Leaving a block that was not entered is a clear error."""
    stream = echo([1])
    with pytest.raises(RuntimeError) as caught:
        await stream.__aexit__(None, None, None)
    assert str(caught.value) == "this stream's block has not been entered"


# as_completed() on a stream


@every_way
async def test_a_stream_can_be_switched_to_completion_order(consume: Any) -> None:
    """``as_completed()`` before the start switches the very stream, as often as one likes."""
    stream = slow([3, 1, 2])
    assert stream.as_completed() is stream
    assert stream.as_completed() is stream
    assert await consume(stream) == [1, 2, 3]


async def test_switching_a_stream_leaves_the_pipeline_alone() -> None:
    """The next stream of the pipeline is ordered again."""
    pipeline = Pipeline().add(slow)
    assert await pipeline([2, 1]).as_completed().collect() == [1, 2]
    assert await pipeline([2, 1]).collect() == [2, 1]


async def test_a_started_stream_cannot_be_switched() -> None:
    """Once the run has begun its order is settled; closed streams are closed."""
    stream = echo([1, 2])
    iterator = aiter(stream)
    await anext(iterator)
    with pytest.raises(StreamConsumedError):
        stream.as_completed()
    await stream.aclose()
    with pytest.raises(StreamClosedError):
        stream.as_completed()


def test_another_event_loop_of_the_thread_is_refused() -> None:
    """Also while results are ready: not one of them is given there."""
    mine, other = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        iterator: Any = aiter(echo(range(1000)))
        assert mine.run_until_complete(anext(iterator)) == 0
        with pytest.raises(RuntimeError, match="another event loop"):
            other.run_until_complete(anext(iterator))
        assert mine.run_until_complete(anext(iterator)) == 1
        mine.run_until_complete(iterator.aclose())
    finally:
        mine.close()
        other.close()


# AsyncStream around plain async iterables


class Numbers:
    """An async iterable that can be iterated again and again, each time by a generator."""

    def __init__(self, count: int = 3) -> None:
        self.count = count
        self.open = 0

    async def __aiter__(self) -> AsyncIterator[int]:
        self.open += 1
        try:
            for number in range(self.count):
                yield number
        finally:
            await ticks(1)
            self.open -= 1


async def test_a_plain_stream_iterates_its_source_again() -> None:
    """Around an iterable, each iteration is a new one."""
    stream = AsyncStream(Numbers())
    for _ in range(2):
        assert await plain(stream) == [0, 1, 2]
        assert await stream.collect() == [0, 1, 2]
        assert await block(stream) == [0, 1, 2]


@pytest.mark.parametrize("first", ["quick", "patient"])
async def test_a_plain_stream_can_be_iterated_by_several_tasks_at_once(first: str) -> None:
    """Whoever ends first closes an iterator of its own, and nobody else's."""
    numbers = Numbers(30)
    stream = AsyncStream(numbers)
    pauses = {"quick": 0, "patient": 3}
    received: dict[str, list[int]] = {name: [] for name in pauses}

    async def in_a_block(name: str) -> None:
        async with stream as results:
            async for result in results:
                received[name].append(result)
                await ticks(pauses[name])

    async def as_data(name: str) -> None:
        async with Pipeline().with_context(max_in_flight=1)(stream) as results:
            async for result in results:
                received[name].append(result)
                await ticks(pauses[name])

    for way in (in_a_block, as_data):
        received = {name: [] for name in pauses}
        async with anyio.create_task_group() as group:
            for name in sorted(pauses, key=lambda name: name != first):
                group.start_soon(way, name)
                await ticks(2)
        assert received == {name: [*range(30)] for name in pauses}
        assert numbers.open == 0


async def test_a_plain_streams_block_may_be_left_by_another_task() -> None:
    """As an exit stack that is handed on does."""
    numbers = Numbers(30)
    stream = AsyncStream(numbers)
    async with contextlib.AsyncExitStack() as stack:

        async def enter() -> None:
            assert await anext(await stack.enter_async_context(stream)) == 0

        async with anyio.create_task_group() as group:
            group.start_soon(enter)
        assert numbers.open == 1
    assert numbers.open == 0


async def test_a_plain_stream_of_an_exhausted_generator_gives_nothing() -> None:
    """Around a generator, the second iteration finds nothing."""
    stream = AsyncStream(Track().items(2))
    assert await stream.collect() == [0, 1]
    assert await stream.collect() == []
    assert await stream.first() is None


async def test_a_plain_stream_has_the_methods_of_a_stream() -> None:
    """``first``, ``as_completed`` and ``collect(limit)`` work on it as well."""
    stream = AsyncStream(Track().items(3))
    assert stream.as_completed() is stream
    assert await stream.first() == 0
    with pytest.raises(CollectLimitError):
        await stream.collect(limit=1)
    await stream.aclose()


async def test_a_plain_stream_closes_its_source() -> None:
    """``aclose()`` and the end of a block close what can be closed."""
    for way in ("aclose", "block"):
        track = Track()
        stream = AsyncStream(track.items())
        if way == "aclose":
            assert await stream.first() == 0
            await stream.aclose()
        else:
            async with stream as results:
                assert await anext(results) == 0
        assert track.closed
    await AsyncStream(Numbers()).aclose()


async def test_a_plain_stream_closes_the_iterators_it_makes() -> None:
    """What only the stream can know of is closed by it: in blocks, after ``first()``, as data."""
    numbers = Numbers()
    stream = AsyncStream(numbers)
    assert await stream.first() == 0
    assert numbers.open == 0
    async with stream as results:
        assert await anext(results) == 0
    assert numbers.open == 0
    with pytest.raises(CollectLimitError):
        await stream.collect(limit=1)
    assert numbers.open == 0
    # More than there is room for, lest leaving meets the iterator amid its own cleanup.
    numbers.count = 1000
    async with echo.with_context(max_in_flight=100)(stream) as results:
        assert await anext(results) == 0
    assert numbers.open == 0


async def test_a_stream_around_a_pipelines_stream_is_used_once() -> None:
    """Wrapping changes nothing about what is wrapped."""
    stream = AsyncStream(echo([1, 2]))
    assert await stream.collect() == [1, 2]
    with pytest.raises(StreamConsumedError):
        await stream.collect()


def generate() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    "source", [[1], "text", 5, None, generate()], ids=lambda s: type(s).__name__
)
def test_a_stream_needs_an_async_iterable(source: Any) -> None:
    """Anything else is refused, and the message says what takes it."""
    with pytest.raises(TypeError) as caught:
        AsyncStream(source)
    assert str(caught.value) == (
        f"AsyncStream needs an async iterable, got a {type(source).__name__}; "
        "for other data call a pipeline: Pipeline()(data)"
    )


# Two consumers, and other event loops


TWO = (
    "another task is waiting for a result of this stream; a stream has one consumer "
    "(let one task iterate it and hand the items on)"
)


@pytest.mark.parametrize("is_block", [False, True])
async def test_two_consumers_at_once_are_refused(is_block: bool) -> None:
    """The second one to wait gets an error, the first one goes on undisturbed."""
    errors: list[str] = []
    received: list[int] = []

    async def disturb(results: Any) -> None:
        try:
            await anext(results)
        except RuntimeError as error:
            errors.append(str(error))

    async def read(results: Any) -> None:
        async with anyio.create_task_group() as task_group:
            task_group.start_soon(disturb_later, results)
            received.extend([result async for result in results])

    async def disturb_later(results: Any) -> None:
        await anyio.sleep(0.5)
        await disturb(results)
        await anyio.sleep(1)
        await disturb(results)

    if is_block:
        async with slow([1, 2, 3]) as results:
            await read(results)
    else:
        await read(aiter(slow([1, 2, 3])))
    assert errors == [TWO, TWO]
    assert received == [1, 2, 3]


@pytest.mark.parametrize("way", ["anext", "collect"])
async def test_a_second_consumer_takes_nothing_from_one_who_collects(way: str) -> None:
    """Who collects leaves what is ready in place for a while; it is nobody else's all the same."""
    pauses = {0: 0.5, 40: 9.0}

    @single_task(concurrency_limit=100)
    async def work(item: int) -> int:
        await anyio.sleep(pauses.get(item, 1))
        return item

    async def disturb(results: Any) -> None:
        await anyio.sleep(5)
        with pytest.raises(RuntimeError, match="another task is waiting"):
            await (anext(results) if way == "anext" else results.collect())

    async with work(range(41)) as results, anyio.create_task_group() as tasks:
        tasks.start_soon(disturb, results)
        assert await results.collect() == [*range(41)]


def elsewhere(backend: str, function: Any, *args: Any) -> Any:
    """Await *function* on an event loop of its own; for use in a thread."""

    async def main() -> Any:
        return await function(*args)

    return anyio.run(main, backend=backend)


@pytest.mark.parametrize("other", ["asyncio", "trio"])
@pytest.mark.parametrize("is_block", [False, True])
async def test_another_event_loop_is_refused(is_block: bool, other: str) -> None:
    """Waiting for a result on another loop is an error there, and harmless here."""
    go = anyio.Event()

    @single_task
    async def work(item: int) -> int:
        if item == 2:
            await go.wait()
        return item

    async def read(results: Any) -> None:
        assert await anext(results) == 1
        await ticks(5)
        with pytest.raises(RuntimeError) as caught:
            await anyio.to_thread.run_sync(elsewhere, other, anext, results)
        assert str(caught.value) == ("this stream belongs to another event loop; consume it there")
        go.set()
        assert await anext(results) == 2
        assert await anext(results, None) is None

    if is_block:
        async with work([1, 2]) as results:
            await read(results)
    else:
        await read(aiter(work([1, 2])))


@pytest.mark.parametrize("other", ["asyncio", "trio"])
@pytest.mark.parametrize("method", ["anext", "collect", "aclose"])
async def test_everything_else_is_refused_on_another_event_loop(
    method: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even with results at hand, no other loop may take them, or end the run."""
    stop, home = Run.stop, threading.get_ident()

    def checked_stop(run: Run) -> None:
        # Stopping across threads may leave this loop spinning; fail instead.
        assert threading.get_ident() == home
        stop(run)

    async def use(results: Any) -> Any:
        return await (anext(results) if method == "anext" else getattr(results, method)())

    monkeypatch.setattr(Run, "stop", checked_stop)
    async with echo(range(5)) as results:
        assert await anext(results) == 0
        await ticks(5)
        with pytest.raises(RuntimeError) as caught:
            await anyio.to_thread.run_sync(elsewhere, other, use, results)
        assert str(caught.value) == ("this stream belongs to another event loop; consume it there")
        assert await results.collect() == [1, 2, 3, 4]


def test_a_loop_that_has_ended_has_ended_the_run(anyio_backend_name: str) -> None:
    """An iterator that outlives its loop is neither at its end nor waits for ever on the next."""

    async def begin() -> Any:
        iterator = aiter(single_task(wait_for_one)([0, 1]))
        assert await anext(iterator) == 0
        return iterator

    async def wait_for_one(item: int) -> int:
        if item:
            await anyio.sleep_forever()
        return item

    iterator = anyio.run(begin, backend=anyio_backend_name)
    # Python 3.10 cannot tell the end of the loop from a leaked cancellation, hence no match.
    with pytest.raises(RuntimeError):
        anyio.run(functools.partial(anext, iterator, 7), backend=anyio_backend_name)


def test_a_stream_may_be_made_outside_of_any_loop(anyio_backend_name: str) -> None:
    """A stream belongs to the loop that consumes it, not to where it was made."""
    stream = echo([1, 2])
    assert anyio.run(stream.collect, backend=anyio_backend_name) == [1, 2]


# Statistics


async def test_statistics_count_every_item() -> None:
    """What came in, what became of it in each stage, and what came out."""

    @single_task(on_error="skip_item", retry_attempts=2, retry_delay=0)
    async def choose(item: int) -> int | list[int] | None:
        if item == 0:
            raise ValueError
        return {1: None, 2: [2, 2]}.get(item, item)

    @batch_task(min_size=2, max_size=3, task_name="total")
    async def sum_up(batch: list[int]) -> int:
        return sum(batch)

    # The second stage gets 2, 2, 3, 4: one batch of three, and one too few for another.
    stream = (choose | sum_up)(range(5))
    async with stream as results:
        assert await results.collect() == [2 + 2 + 3]
    expected = RunStatistics(
        items_in=5,
        stages=(
            StageStatistics(
                task_name="choose",
                items_in=5,
                calls=5,
                filtered=1,
                skipped=1,
                dropped=0,
                retried=1,
                limit=100,
                items_out=4,
                items_done=5,
            ),
            StageStatistics(
                task_name="total",
                items_in=4,
                calls=1,
                filtered=0,
                skipped=0,
                dropped=1,
                retried=0,
                triggers={"size": 1},
                batch_size=3,
                limit=1,
                items_out=1,
                items_done=4,
                batch_items=3,
            ),
        ),
        items_out=1,
        window=1000,
    )
    assert stream.stats() == results.stats() == expected
    assert (expected.skipped, expected.dropped) == (1, 1)


async def test_statistics_are_a_snapshot() -> None:
    """They can be asked for amid the run and do not change afterwards."""
    stream = slow([1, 2, 3])
    iterator = aiter(stream)
    await anext(iterator)
    before = stream.stats()
    assert (before.items_in, before.items_out, before.stages[0].calls) == (3, 1, 3)
    assert [result async for result in iterator] == [2, 3]
    assert (before.items_out, stream.stats().items_out) == (1, 3)


@pytest.mark.parametrize("way", ["block", "aclose", "break"])
async def test_results_that_were_never_taken_are_not_counted(way: str) -> None:
    """Results that were ready when the consumer left have not gone out."""
    stream = echo(range(500))
    if way == "block":
        async with stream as results:
            assert await anext(results) == 0
    else:
        async for _ in stream:
            break
        if way == "aclose":
            await stream.aclose()
    await ticks(10)
    assert stream.stats().items_out == 1


def test_there_are_no_statistics_before_the_start() -> None:
    """A stream that nobody has consumed has nothing to tell."""
    with pytest.raises(RuntimeError) as caught:
        echo([1]).stats()
    assert str(caught.value) == "there are no statistics yet; the stream has not been iterated"


# run()


def test_run_returns_the_list(anyio_backend_name: str) -> None:
    """From synchronous code, ``run`` needs the data, and a backend if not asyncio."""
    pipeline = echo | single_task(lambda item, factor=1: [item * factor])
    assert pipeline.run([1, 2], backend=anyio_backend_name) == [1, 2]
    assert pipeline.run(range(3)) == [0, 1, 2]
    assert single_task(lambda: [1, 2]).pipeline().run(backend=anyio_backend_name) == [1, 2]


def test_run_passes_arguments_on(anyio_backend_name: str) -> None:
    """Extra arguments go to the first task, as when calling the pipeline."""
    scale = single_task(lambda item, factor, offset=0: item * factor + offset)
    pipeline = scale | echo
    assert pipeline.run([1, 2], 10, offset=1, backend=anyio_backend_name) == [11, 21]
    assert scale.run([1, 2], 10, offset=1, backend=anyio_backend_name) == [11, 21]


async def test_a_task_passes_arguments_on() -> None:
    """As a pipeline of it alone does."""
    scale = single_task(lambda item, factor, offset=0: item * factor + offset)
    assert await scale.as_completed([1, 2], 10, offset=1).collect() == [11, 21]
    assert await scale.outcomes([1, 2], 10, offset=1).collect() == [Success(11, 0), Success(21, 1)]


def test_run_uses_the_backend(anyio_backend_name: str) -> None:
    """The tasks run on the event loop that was asked for; asyncio by default."""
    name = single_task(lambda item: anyio.get_cancelled_exc_class().__module__.partition(".")[0])
    assert name.run([1], backend=anyio_backend_name) == [anyio_backend_name]
    assert name.run([1]) == ["asyncio"]
    assert (name | echo).run([1]) == ["asyncio"]


def test_run_raises_the_very_error(anyio_backend_name: str) -> None:
    """An error comes out of ``run`` itself, bare."""
    error = KeyError("x")

    def fail(item: int) -> None:
        raise error

    with pytest.raises(KeyError) as caught:
        (single_task(fail) | echo).run([1], backend=anyio_backend_name)
    assert caught.value is error


async def test_run_is_refused_inside_a_running_loop() -> None:
    """Within a coroutine there is ``collect()``; ``run`` says so instead of blocking."""
    for runner in (echo, echo | echo):
        for backend in ("asyncio", "trio"):
            with pytest.raises(RuntimeError) as caught:
                runner.run([1], backend=backend)
            assert str(caught.value) == (
                "an event loop is running in this thread already, as in a notebook; "
                "write 'await pipeline(data).collect()' instead of 'pipeline.run(data)'"
            )


@pytest.mark.parametrize("backend", ["curio", "", None, "uvloop"])
def test_an_unknown_backend_is_refused(backend: Any) -> None:
    """The message names those there are."""
    for runner in (echo, echo | echo):
        with pytest.raises(ValueError, match="backend") as caught:
            runner.run([1], backend=backend)
        assert str(caught.value) == f"backend must be 'asyncio' or 'trio', got {backend!r}"


def test_a_backend_that_is_not_installed_is_named() -> None:
    """Without Trio, asking for it says how to get it, and asyncio works."""
    program = """
import sys
sys.modules["trio"] = None
from conveyor import single_task
task = single_task(lambda item: -item)
print(task.run([1]))
try:
    task.run([1], backend="trio")
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (
        "[-1]\nbackend 'trio' is not installed; pip install 'conveyor-streaming[trio]'\n",
        "",
    )
