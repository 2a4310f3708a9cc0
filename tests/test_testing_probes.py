"""conveyor.testing: the source and the consumer that do what a test tells them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from conveyor import Pipeline, single_task
from conveyor.testing import ProbeConsumer, ProbeSource
from helpers import ticks


@single_task
async def double(item: int) -> int:
    return 2 * item


async def test_items_pass_from_source_to_consumer() -> None:
    """What is sent comes out, one by one, and then the end."""
    source: ProbeSource[int] = ProbeSource()
    async with ProbeConsumer(double(source)) as consumer, anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(source.send, number)
            assert await consumer.next() == 2 * number
        source.end()
        assert await consumer.request() == []
        assert (consumer.received, consumer.completed, consumer.error) == ([0, 2, 4], True, None)
        with pytest.raises(AssertionError, match=r"but it had ended after 3$"):
            await consumer.next()
    assert (source.taken, source.ended, source.closed, source.cancelled) == (3, True, True, 0)


async def test_the_error_of_a_source_reaches_the_consumer() -> None:
    """It is the same object; ``request()`` records it and ``next()`` raises it too."""
    source: ProbeSource[int] = ProbeSource()
    error = KeyError()
    source.fail(error)
    async with ProbeConsumer(double(source)) as consumer:
        assert await consumer.request(5) == []
        assert consumer.error is error
        with pytest.raises(KeyError) as caught:
            await consumer.next()
    assert caught.value is error
    assert not consumer.completed
    assert source.ended


async def test_demand_can_be_waited_for() -> None:
    """``demanded(n)`` returns when the n-th item has been asked for, not before."""
    source: ProbeSource[int] = ProbeSource()
    async with ProbeConsumer(double(source)) as consumer, anyio.create_task_group() as group:
        assert source.pulled == 0
        group.start_soon(consumer.request, 2)
        await source.demanded(1)
        assert source.pulled == 1
        with anyio.move_on_after(1) as scope:
            await source.demanded(2)
        assert scope.cancelled_caught
        await source.send(1)
        await source.demanded(2)
        await source.send(2)
    assert consumer.received == [2, 4]
    with pytest.raises(anyio.BrokenResourceError):
        await source.demanded(100)


async def test_sending_waits_for_demand_and_can_be_taken_back() -> None:
    """Without demand nothing is sent, and a cancelled ``send()`` leaves no item behind."""
    source: ProbeSource[str] = ProbeSource()
    with anyio.move_on_after(1) as scope:
        await source.send("first")
    assert scope.cancelled_caught
    async with anyio.create_task_group() as group:
        group.start_soon(source.send, "second")
        assert await anext(source) == "second"
    assert source.taken == 1


async def test_a_cancelled_pull_loses_nothing() -> None:
    """An item sent in the very turn in which the pull is cancelled is there for the next."""
    for turns in range(6):
        source: ProbeSource[int] = ProbeSource()
        received: list[int] = []

        async def pull(source: ProbeSource[int], received: list[int]) -> None:
            received.append(await anext(source))

        async with anyio.create_task_group() as group:
            async with anyio.create_task_group() as pulling:
                pulling.start_soon(pull, source, received)
                await source.demanded(1)
                group.start_soon(source.send, 7)
                await ticks(turns)
                pulling.cancel_scope.cancel()
            if not received:
                assert source.cancelled == 1
                await pull(source, received)
        assert received == [7]


async def test_a_second_pull_is_an_error() -> None:
    """A source has one reader; the error says so at once."""
    source: ProbeSource[int] = ProbeSource()
    async with anyio.create_task_group() as group:
        group.start_soon(anext, source)
        await source.demanded(1)
        with pytest.raises(RuntimeError, match=r"^anext\(\) was called while another anext\(\)"):
            await anext(source)
        with pytest.raises(RuntimeError, match=r"^aclose\(\) was called while anext\(\)"):
            await source.aclose()
        group.cancel_scope.cancel()
    await source.aclose()
    assert source.closed
    assert not source.ended


async def test_closing_a_source_ends_everything_about_it() -> None:
    """Who sends or waits for demand hears of it, and pulls get the end."""
    source: ProbeSource[int] = ProbeSource()
    heard: list[str] = []

    async def send() -> None:
        with pytest.raises(anyio.BrokenResourceError):
            await source.send(1)
        heard.append("send")

    async def wait() -> None:
        with pytest.raises(anyio.BrokenResourceError):
            await source.demanded(1)
        heard.append("demanded")

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        group.start_soon(wait)
        await ticks(3)
        await source.aclose()
    assert sorted(heard) == ["demanded", "send"]
    with pytest.raises(anyio.BrokenResourceError):
        source.end()
    assert await anext(source, None) is None


async def test_a_source_ends_once() -> None:
    """After ``end()`` or ``fail()`` there is nothing more to say."""
    for say in (lambda source: source.end(), lambda source: source.fail(KeyError())):
        source: ProbeSource[int] = ProbeSource()
        say(source)
        for again in (source.end, lambda source=source: source.fail(KeyError())):
            with pytest.raises(RuntimeError, match="has been told to end"):
                again()
        with pytest.raises(RuntimeError, match="has been told to end"):
            await source.send(1)


async def test_an_early_exit_closes_the_source() -> None:
    """Leaving the block closes a source that has not ended, and cancels its waiting pull."""
    source: ProbeSource[int] = ProbeSource()
    async with ProbeConsumer(double(source)), anyio.create_task_group():
        await source.demanded(1)
    assert (source.closed, source.ended, source.cancelled) == (True, False, 1)


@pytest.mark.parametrize("entered", [False, True])
async def test_cancel_ends_a_waiting_request(entered: bool) -> None:
    """``cancel()`` returns when the request has, with what it got, and the source is closed."""
    source: ProbeSource[int] = ProbeSource()
    consumer = ProbeConsumer(double(source))
    got: list[Any] = []

    async def request() -> None:
        got.append(await consumer.request(5))

    async def test() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(request)
            await source.send(1)
            await source.demanded(2)
            await ticks(10)
            with pytest.raises(RuntimeError, match="called while another was waiting"):
                await consumer.next()
            await consumer.cancel()
            assert got == [[2]]

    if entered:
        async with consumer:
            await test()
    else:
        await test()
    await consumer.cancel()
    assert consumer.cancelled
    assert source.closed
    assert not consumer.completed
    with pytest.raises(AssertionError, match=r"but it was cancelled after 1$"):
        await consumer.next()


async def test_any_async_iterable_can_be_consumed() -> None:
    """An async generator is iterated, and closed when the block is left."""
    closed: list[bool] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(10):
                yield number
        finally:
            closed.append(True)

    async with ProbeConsumer(numbers()) as consumer:
        assert await consumer.request(3) == [0, 1, 2]
        assert closed == []
    assert closed == [True]
    async with ProbeConsumer(Pipeline()([1, 2])) as consumer:
        assert await consumer.request(5) == [1, 2]
    with pytest.raises(ValueError, match="at least 1, got 0"):
        await consumer.request(0)


async def test_a_consumer_that_stops_stops_the_source() -> None:
    """The probes show the bound on what is read ahead."""
    source: ProbeSource[int] = ProbeSource()
    stream = double.with_context(max_in_flight=100)(source)

    async def feed() -> None:
        with pytest.raises(anyio.BrokenResourceError):
            for number in itertools.count():
                await source.send(number)

    async with anyio.create_task_group() as group:
        group.start_soon(feed)
        async with ProbeConsumer(stream) as consumer:
            await consumer.next()
            await ticks(1000)
            assert source.taken <= 101
