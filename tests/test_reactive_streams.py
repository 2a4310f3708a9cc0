"""
The rules of the Reactive Streams specification (JVM 1.0.4), as far as a library that is pulled has
something for them to be about.

A source is the publisher to a run, and the run is the publisher to its consumer; ``anext()`` is
``request(1)``, ``StopAsyncIteration`` is ``onComplete``, an exception is ``onError``, and leaving
the block, ``aclose()`` or dropping the iterator is ``cancel``.

Rules that are not here, and why:

=================  ================================================================================
1.9, 2.5, 2.12     there is no ``subscribe()`` or ``onSubscribe``: making the iterator is all
2.2, 2.3, 2.4      about code of subscribers, which is the user's
2.6                a second subscription is refused (1.10), so there is none to cancel
2.11, 3.4, 3.5     about memory visibility and the time that calls take: one thread, and each
                   ``anext()`` may wait
2.13, 3.15, 3.16   on ``null`` and on calls that must not throw: an exception is how Python signals
                   an error; ``aclose()`` raises one that nobody has been told of yet
3.9, 3.17, 3.8     demand is not a number here: each ``anext()`` asks for one
3.11, 3.14         on handles that are shared by several subscriptions, of which a run has one
4.1, 4.2           a stage is subscriber and publisher at once, so all of these hold for it
=================  ================================================================================
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from conveyor import Pipeline, StreamClosedError, StreamConsumedError, batch_task, single_task
from helpers import ticks

MODES = pytest.mark.parametrize("mode", ["ordered", "as_completed"])


class SourceError(Exception):
    """Raised by the source."""


class Item:
    """Can be referred to weakly."""


class Publisher(AsyncIterator[Any]):
    """
    A source that notices if it is asked for two items at once, or for one after its end.

    :param count: items before the end
    :param error: raised there instead of ending
    """

    def __init__(self, count: int = 1_000_000, error: Exception | None = None) -> None:
        self.count = count
        self.error = error
        self.given = 0
        self.inside = 0
        self.most_inside = 0
        self.asked_after_end = 0
        self.is_over = False
        self.closed = 0

    async def __anext__(self) -> int:
        self.asked_after_end += self.is_over
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            if self.given % 3 == 0:
                await ticks(2)
            if self.given == self.count:
                self.is_over = True
                raise self.error or StopAsyncIteration
            self.given += 1
            return self.given - 1
        finally:
            self.inside -= 1

    async def aclose(self) -> None:
        self.closed += 1


@single_task(concurrency_limit=4)
async def same(item: Any) -> Any:
    await ticks(1)
    return item


pairs = batch_task(max_size=2)(lambda batch: batch)
pipeline: Pipeline[Any, Any] = same | pairs | same


# 1. Publisher


@MODES
@pytest.mark.parametrize("window", [4, 10, 64])
async def test_rule_1_01_never_more_than_was_demanded(window: int, mode: Any) -> None:
    """However little the consumer takes, the source is ahead of it by the window at most."""
    publisher = Publisher()
    run = pipeline.with_context(max_in_flight=window, execution_mode=mode)
    async with run(publisher) as results:
        for taken in range(3 * window):
            assert publisher.given <= taken + window
            await ticks(30)
            assert publisher.given <= taken + window
            await anext(results)


async def test_rule_1_02_fewer_than_demanded_if_there_are_no_more() -> None:
    """A consumer that asks for more than there is gets what there is, and the end."""
    async with pipeline(Publisher(3)) as results:
        assert [await anext(results, "end") for _ in range(5)] == [0, 1, 2, "end", "end"]


@MODES
async def test_rule_1_03_signals_are_serial(mode: Any) -> None:
    """The source is never asked for an item before it has given the last one, nor after its end."""
    publisher = Publisher(50)
    results = await pipeline.with_execution_mode(mode)(publisher).collect()
    assert sorted(results) == list(range(50))
    assert (publisher.most_inside, publisher.asked_after_end) == (1, 0)


@MODES
@pytest.mark.parametrize("is_block", [False, True])
async def test_rule_1_04_a_failure_is_signalled(is_block: bool, mode: Any) -> None:
    """The consumer gets the source's very error, whichever way it reads."""
    error = SourceError()
    stream = pipeline.with_execution_mode(mode)(Publisher(5, error))
    with pytest.raises(SourceError) as caught:
        if is_block:
            async with stream as results:
                assert len([result async for result in results]) < 6
        else:
            async for _ in stream:
                pass
    assert caught.value is error


@pytest.mark.parametrize("count", [0, 1, 7])
async def test_rule_1_05_the_end_is_signalled(count: int) -> None:
    """After the last result, and after none, the iteration ends."""
    assert [result async for result in pipeline(Publisher(count))] == list(range(count))


@pytest.mark.parametrize("error", [None, SourceError()], ids=["end", "error"])
async def test_rule_1_06_an_ended_source_is_closed_once(error: Exception | None) -> None:
    """Once it has ended or failed, the source is closed, once, and never asked again."""
    publisher = Publisher(5, error)
    async with pipeline(publisher) as results:
        with contextlib.suppress(SourceError):
            assert await results.collect() == list(range(5))
        await ticks(20)
    assert (publisher.closed, publisher.asked_after_end) == (1, 0)


@MODES
async def test_rule_1_07_nothing_after_an_error(mode: Any) -> None:
    """An error is told once; after it there is neither a result, nor an end, nor that error."""
    async with pipeline.with_execution_mode(mode)(Publisher(9, SourceError())) as results:
        with pytest.raises(SourceError):
            while True:
                await anext(results)
        for _ in range(3):
            with pytest.raises(StreamClosedError):
                await anext(results)


async def test_rule_1_07_nothing_after_the_end() -> None:
    """The end is followed by nothing but the end."""
    iterator = aiter(pipeline(Publisher(2)))
    assert [result async for result in iterator] == [0, 1]
    for _ in range(3):
        with pytest.raises(StopAsyncIteration):
            await anext(iterator)


@pytest.mark.parametrize("way", ["aclose", "block", "drop"])
async def test_rule_1_08_a_cancelled_source_stops(way: str) -> None:
    """Whichever way the consumer leaves, the source is not asked for another item, but closed."""
    publisher = Publisher()
    stream = pipeline.with_context(max_in_flight=10)(publisher)
    if way == "block":
        async with stream as results:
            await anext(results)
    else:
        iterator = aiter(stream)
        await anext(iterator)
        if way == "aclose":
            await stream.aclose()
        del iterator
        await ticks(10)
    given = publisher.given
    await ticks(50)
    assert (publisher.given, publisher.closed, publisher.inside) == (given, 1, 0)


async def test_rule_1_10_a_stream_is_subscribed_to_once() -> None:
    """A second iteration is refused, amid the first one and after it."""
    stream = pipeline(Publisher(4))
    iterator = aiter(stream)
    assert await anext(iterator) == 0
    with pytest.raises(StreamConsumedError):
        aiter(stream)
    assert [result async for result in iterator] == [1, 2, 3]
    with pytest.raises(StreamConsumedError):
        aiter(stream)


async def test_rule_1_11_a_pipeline_serves_many_subscribers() -> None:
    """Each stream of a pipeline is a run of its own; they share nothing."""
    received: dict[int, list[int]] = {}

    async def read(count: int) -> None:
        received[count] = [result async for result in pipeline(Publisher(count))]

    async with anyio.create_task_group() as task_group:
        for count in range(5):
            task_group.start_soon(read, count)
    assert received == {count: list(range(count)) for count in range(5)}


# 2. Subscriber


async def test_rule_2_01_no_signal_without_demand() -> None:
    """Until the first ``anext()`` the source is not touched."""
    publisher = Publisher()
    iterator = aiter(pipeline(publisher))
    await ticks(30)
    assert publisher.given == 0
    assert await anext(iterator) == 0


async def test_rule_2_07_demand_is_serial() -> None:
    """A second ``anext()`` at the same time is refused, and the first one undisturbed."""
    gate = anyio.Event()

    @single_task
    async def wait(item: int) -> int:
        await gate.wait()
        return item

    async with wait([1]) as results, anyio.create_task_group() as task_group:
        received: list[int] = []

        async def read() -> None:
            received.append(await anext(results))

        task_group.start_soon(read)
        await ticks(5)
        with pytest.raises(RuntimeError, match="one consumer"):
            await anext(results)
        gate.set()
    assert received == [1]


async def test_rule_2_08_results_under_way_when_cancelled_are_dropped() -> None:
    """What was ready when the consumer cancelled is not delivered; the stream says it is closed."""
    stream = pipeline(Publisher())
    iterator = aiter(stream)
    assert await anext(iterator) == 0
    await ticks(20)
    await stream.aclose()
    with pytest.raises(StreamClosedError):
        await anext(iterator)


@pytest.mark.parametrize("error", [None, SourceError()], ids=["end", "error"])
async def test_rules_2_09_and_2_10_the_end_needs_no_demand(error: Exception | None) -> None:
    """A source that ends or fails at once ends the run, though nobody has asked for anything."""
    publisher = Publisher(0, error)
    stream = same(publisher)
    with contextlib.suppress(SourceError):
        async with stream:
            await ticks(20)
            assert publisher.closed == 1
    assert publisher.is_over


# 3. Subscription


async def test_rule_3_02_demand_from_within_a_delivery() -> None:
    """The body of a loop may ask for more itself."""
    received: list[tuple[int, int]] = []
    async with pipeline(Publisher(6)) as results:
        async for result in results:
            received.append((result, await anext(results)))  # noqa: PERF401
    assert received == [(0, 1), (2, 3), (4, 5)]


def without_debugging() -> None:
    """Turn off what takes ten times as long as all the rest."""
    with contextlib.suppress(RuntimeError):  # on Trio
        asyncio.get_running_loop().set_debug(False)


STAGES = {
    "plain": same,
    "in_order": single_task(in_order=True)(lambda item: item),
    "batch": pairs,
    "generator": single_task(lambda item: (each for each in [item])),
}


@MODES
@pytest.mark.parametrize("kind", STAGES)
async def test_rule_3_03_long_pipelines_do_not_recurse(kind: str, mode: Any) -> None:
    """Two thousand stages start, pass on and end on a stack of ordinary depth."""
    stages = Pipeline().add(*[STAGES[kind]] * 2000).with_execution_mode(mode)
    without_debugging()
    assert await stages([]).collect() == []
    assert await stages([7]).collect() == [7]


async def test_rule_3_03_long_pipelines_are_cancelled_without_recursion() -> None:
    """Two thousand stages are left in the middle like two."""
    without_debugging()
    publisher = Publisher()
    stages = Pipeline().add(*[STAGES["in_order"]] * 2000).with_context(max_in_flight=3)
    async with stages(publisher) as results:
        assert await anext(results) == 0
    assert publisher.closed == 1


@MODES
@pytest.mark.parametrize("is_block", [False, True])
async def test_rule_3_03_many_items_do_not_recurse(is_block: bool, mode: Any) -> None:
    """A hundred thousand results that are ready at once are delivered on a flat stack."""
    double = single_task(lambda item: 2 * item).with_execution_mode(mode)
    total = 0
    if is_block:
        async with double(range(100_000)) as results:
            async for result in results:
                total += result
    else:
        async for result in double(range(100_000)):
            total += result
    assert total == 100_000 * 99_999


async def test_rule_3_06_cancelling_again_does_nothing() -> None:
    """A second ``aclose()`` returns at once and closes nothing twice."""
    publisher = Publisher()
    stream = pipeline(publisher)
    async with stream as results:
        await anext(results)
        for _ in range(3):
            await results.aclose()
        await stream.aclose()
    await stream.aclose()
    assert publisher.closed == 1


async def test_rule_3_07_demand_after_cancelling_has_no_effect() -> None:
    """Asking a closed stream for more is refused and starts nothing."""
    publisher = Publisher()
    stream = pipeline(publisher)
    await stream.aclose()
    for _ in range(2):
        with pytest.raises(StreamClosedError):
            await anext(stream)
    assert publisher.given == 0


async def test_rule_3_12_cancelling_is_timely() -> None:
    """Ten ticks after the iterator is dropped every call has ended, though each takes hours."""
    calls = 0

    @single_task
    async def slow(item: int) -> int:
        nonlocal calls
        calls += 1
        try:
            await anyio.sleep(3600 * item)
            return item
        finally:
            calls -= 1

    async for _ in slow(Publisher(50)):
        break
    await ticks(10)
    assert calls == 0


@pytest.mark.parametrize("way", ["end", "aclose", "block", "drop"])
async def test_rule_3_13_references_are_dropped(way: str) -> None:
    """After a run, neither the stream nor anything else keeps source, items or iterator alive."""
    publisher = Publisher()
    objects: list[weakref.ref[Any]] = [weakref.ref(publisher)]

    @single_task
    async def make(item: int) -> Item | None:
        if item > 20 and way == "end":
            return None
        objects.append(weakref.ref(made := Item()))
        return made

    if way == "end":
        publisher.count = 50
    stream = (make | pairs)(publisher)
    del publisher
    if way == "block":
        async with stream as results:
            await anext(results)
        objects.append(weakref.ref(results))
        del results
    else:
        iterator = aiter(stream)
        await anext(iterator)
        objects.append(weakref.ref(iterator))
        if way == "end":
            async for _ in iterator:
                pass
            del _
        elif way == "aclose":
            await stream.aclose()
        del iterator
    await ticks(10)
    gc.collect()
    assert [each() for each in objects if each() is not None] == []


async def test_cancel_from_any_thread() -> None:
    """Wherever the last reference to an iterator goes, its run ends, soon, on its own loop."""
    publisher = Publisher()
    home = threading.get_ident()
    closed_in: list[int] = []

    async def aclose() -> None:
        closed_in.append(threading.get_ident())

    publisher.aclose = aclose  # type: ignore[method-assign]
    iterators: list[Any] = [aiter(pipeline(publisher))]
    await anext(iterators[0])
    await anyio.to_thread.run_sync(iterators.clear)
    await ticks(10)
    assert closed_in == [home]
