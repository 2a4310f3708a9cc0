"""Draining: nothing more is pulled, and what has been pulled comes out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from conveyor import AsyncStream, Pipeline, batch_task, single_task
from helpers import current_time, ticks


class Tap:
    """An endless source, one item per second, that says how far it came and how it was closed."""

    def __init__(self, cleanup: float = 0) -> None:
        self.pulled = 0
        self.ending = ""
        self.closed_at = -1.0
        self.cleanup = cleanup

    async def items(self, pause: float = 1) -> AsyncIterator[int]:
        try:
            while True:
                await anyio.sleep(pause)
                yield self.pulled
                self.pulled += 1
        except BaseException as error:
            self.ending = type(error).__name__
            if self.cleanup:
                await anyio.sleep(self.cleanup)
            raise
        finally:
            self.closed_at = current_time()

    def endless(self) -> Iterator[int]:
        try:
            while True:
                yield self.pulled
                self.pulled += 1
        finally:
            self.closed_at = current_time()


@single_task
async def slow(item: int) -> int:
    """Take ten seconds."""
    await anyio.sleep(10)
    return item


async def drain_at(when: float, results: Any, timeout: float | None = None) -> None:
    """Drain as another task would, a signal handler's, say."""
    await anyio.sleep(when)
    results.drain(timeout)


@pytest.mark.parametrize("mode", ["ordered", "as_completed"])
async def test_what_is_in_flight_comes_out(mode: Any) -> None:
    """Nothing is pulled after a drain, and all that was pulled comes out, in its own time."""
    tap = Tap()
    async with (
        anyio.create_task_group() as task_group,
        slow.with_execution_mode(mode)(tap.items()) as results,
    ):
        task_group.start_soon(drain_at, 4.5, results)
        received = [(current_time(), item) async for item in results]
        statistics = results.stats()
    assert received == [(11, 0), (12, 1), (13, 2), (14, 3)]
    assert (statistics.items_in, statistics.items_out) == (4, 4)
    assert tap.closed_at == 4.5


async def test_a_blocked_source_is_cancelled() -> None:
    """A source that is blocked inside its data is cancelled there."""
    tap = Tap()
    async with slow(tap.items()) as results:
        await anyio.sleep(1.5)
        results.drain()
        await ticks(10)
        assert tap.ending in ("CancelledError", "Cancelled")
        assert await results.collect() == [0]


@pytest.mark.parametrize("wrap", [aiter, AsyncStream])
async def test_a_waiting_source_is_closed_uncancelled(wrap: Any) -> None:
    """A source that waits at a ``yield`` may take its time to clean up."""
    tap = Tap(cleanup=5)
    pipeline = slow.replace(concurrency_limit=3).with_context(max_in_flight=3)
    async with pipeline(wrap(tap.items(pause=0))) as results:
        await anyio.sleep(1)
        results.drain()
        assert await results.collect() == [0, 1, 2]
    assert tap.ending == "GeneratorExit"
    assert tap.closed_at == 6


async def test_an_item_that_comes_all_the_same_is_the_last() -> None:
    """What a source gives in spite of its cancellation comes out too, and ends its iteration."""
    ending = []

    async def source() -> AsyncIterator[int]:
        try:
            yield 0
            with anyio.CancelScope(shield=True):
                await anyio.sleep(3)
            yield 1
            yield 2
        except GeneratorExit:
            await anyio.sleep(1)
            ending.append(current_time())
            raise

    async with Pipeline()(source()) as results:
        assert await anext(results) == 0
        await anyio.sleep(1)
        results.drain()
        assert await results.collect() == [1]
    assert ending == [4]


async def test_a_generator_is_closed() -> None:
    """A plain generator is pulled no further either."""
    tap = Tap()
    async with Pipeline().with_context(max_in_flight=4)(tap.endless()) as results:
        assert await anext(results) == 0
        results.drain()
        rest = await results.collect()
        assert tap.closed_at == 0
    assert rest == [*range(1, tap.pulled + 1)]


async def test_a_source_with_a_scope_of_its_own_is_drained() -> None:
    """Scopes that a source holds across its yields are left in order."""
    ended = []

    async def source() -> AsyncIterator[int]:
        async with anyio.create_task_group() as task_group:
            task_group.start_soon(anyio.sleep_forever)
            try:
                for item in range(1000):
                    await anyio.sleep(1)
                    yield item
            finally:
                ended.append(current_time())

    async with slow(source()) as results:
        await anyio.sleep(2.5)
        results.drain()
        assert await results.collect() == [0, 1]
    assert ended == [2.5]


async def test_the_consumer_can_drain() -> None:
    """The one that iterates asks, goes on and gets the rest; nothing waits for anything else."""
    tap = Tap()
    received = []
    async with slow(tap.items()) as results:
        async for item in results:
            received.append(item)
            results.drain()
    # By the time of the first result ten are on the way.
    assert received == [*range(tap.pulled)]
    assert current_time() == 10 + tap.pulled


async def test_a_partial_batch_comes_out() -> None:
    """A batch that is not full leaves as it does at the end of the data."""
    tap = Tap()
    gather = batch_task(max_size=4)(tuple)
    async with gather(tap.items()) as results:
        await anyio.sleep(6.5)
        results.drain()
        assert await results.collect() == [(0, 1, 2, 3), (4, 5)]
    assert current_time() == 6.5


async def test_a_remainder_below_min_size_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    """What is too little for a batch is dropped as at the end of the data, and not in silence."""
    tap = Tap()
    gather = batch_task(min_size=4, max_size=4)(tuple)
    async with gather(tap.items()) as results:
        await anyio.sleep(2.5)
        results.drain()
        assert await results.collect() == []
        assert results.stats().dropped == 2
    assert len(caplog.records) == 1


async def test_a_plain_iteration_is_drained_through_its_stream() -> None:
    """A bare ``async for`` ends by itself once its stream is drained."""
    tap = Tap()
    stream = slow(tap.items())
    received = []
    async for item in stream:
        received.append(item)
        stream.drain()
    assert received == [*range(tap.pulled)]


@pytest.mark.parametrize("task", [slow, slow | slow])
async def test_a_stream_that_is_drained_before_it_starts_is_empty(task: Any) -> None:
    """Nothing is pulled then, and the data is closed."""
    tap = Tap()
    items = tap.endless()
    stream = task(items)
    stream.drain(timeout=0)
    assert await stream.collect() == []
    with pytest.raises(StopIteration):
        next(items)


async def test_a_run_that_has_not_taken_its_first_step_is_drained() -> None:
    """Asked for at once, it gives nothing, and closes its data."""
    tap = Tap()
    async with slow(tap.items()) as results:
        results.drain()
        assert await results.collect() == []
    assert current_time() == 0


async def test_draining_again_changes_nothing() -> None:
    """It can be asked for again, also once the run has ended, and a timeout can be made shorter."""
    tap = Tap()
    stream = slow(tap.items())
    async with stream as results:
        await anyio.sleep(1.5)
        results.drain()
        results.drain(timeout=100)
        stream.drain()
        assert await results.collect() == [0]
        results.drain(timeout=0)
    results.drain(timeout=0)
    assert await results.collect() == []


# The timeout


@pytest.mark.parametrize("mode", ["ordered", "as_completed"])
async def test_what_takes_too_long_is_cancelled(mode: Any) -> None:
    """After the timeout the consumer gets what is ready, then the error; to the very instant."""
    cancelled = []

    @single_task
    async def uneven(item: int) -> int:
        try:
            await anyio.sleep(10 * item)
        except anyio.get_cancelled_exc_class():
            cancelled.append((item, current_time()))
            raise
        return item

    received = []
    async with uneven.with_execution_mode(mode)(Tap().items()) as results:
        await anyio.sleep(3.5)
        results.drain(timeout=9.5)
        with pytest.raises(TimeoutError) as caught:
            while True:
                item = await anext(results)
                received.append((current_time(), item))
        assert current_time() == 13
    assert received == [(3.5, 0), (12, 1)]
    assert cancelled == [(2, 13)]
    assert str(caught.value) == (
        "the run has not drained within 9.5 s; what was still in flight has been cancelled"
    )
    assert caught.value.__notes__ == ["raised while the pipeline was drained"]


async def test_the_earliest_timeout_holds() -> None:
    """A later call can make the time shorter, not longer."""
    async with slow(Tap().items()) as results:
        await anyio.sleep(5.5)
        results.drain(timeout=8)
        results.drain(timeout=2)
        results.drain(timeout=4)
        results.drain()
        with pytest.raises(TimeoutError, match=r"within 2 s"):
            await results.collect()
        assert current_time() == 7.5


async def test_a_source_that_shields_itself_is_waited_for() -> None:
    """The source is in flight until it has ended; what shields itself is waited for."""

    async def stubborn() -> AsyncIterator[int]:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(10)
        yield 0

    stream = slow(stubborn())
    async with stream as results:
        await anyio.sleep(1)
        results.drain(timeout=5)
        with pytest.raises(TimeoutError, match=r"within 5 s"):
            await results.collect()
    assert current_time() == 10  # nothing cancels what is shielded


@pytest.mark.parametrize("mode", ["ordered", "as_completed"])
async def test_a_slow_consumer_loses_nothing(mode: Any) -> None:
    """Results that only wait to be taken are not in flight; no timeout takes them away."""
    tap = Tap()
    async with slow.with_execution_mode(mode)(tap.items()) as results:
        await anyio.sleep(5.5)
        results.drain(timeout=10)
        await anyio.sleep(1000)
        assert await results.collect() == [0, 1, 2, 3, 4]


async def test_time_enough_is_no_timeout() -> None:
    """What ends in time ends as if there were no timeout."""
    async with slow(Tap().items()) as results:
        await anyio.sleep(1.5)
        results.drain(timeout=9.75)
        assert await results.collect() == [0]
        assert current_time() == 11


@pytest.mark.parametrize(
    ("timeout", "kind", "message"),
    [
        (-1, ValueError, "timeout must be 0 or more, or None for none, got -1"),
        (float("nan"), ValueError, "timeout must be 0 or more, or None for none, got nan"),
        ("5", TypeError, "timeout must be a number of seconds, or None for none, got '5'"),
        (True, TypeError, "timeout must be a number of seconds, or None for none, got True"),
    ],
)
async def test_a_timeout_that_is_none_is_refused(timeout: Any, kind: Any, message: str) -> None:
    """The message says what was wrong, and nothing is drained."""
    stream = Pipeline()([1])
    with pytest.raises(kind) as caught:
        stream.drain(timeout)
    assert str(caught.value) == message
    async with stream as results:
        with pytest.raises(kind):
            results.drain(timeout)
        assert await results.collect() == [1]


# Failures and other ends


async def test_an_error_of_a_task_is_raised() -> None:
    """A call that fails while the run drains fails it as ever."""

    @single_task
    async def fail(item: int) -> int:
        await anyio.sleep(10)
        raise KeyError(item)

    async with fail(Tap().items()) as results:
        await anyio.sleep(1.5)
        results.drain(timeout=100)
        with pytest.raises(KeyError):
            await results.collect()
        assert current_time() == 11


async def test_an_error_of_the_sources_cleanup_is_raised() -> None:
    """What the source raises when it is closed is not lost."""

    async def source() -> AsyncIterator[int]:
        try:
            yield 0
            await anyio.sleep_forever()
        finally:
            raise FileNotFoundError

    async with slow(source()) as results:
        await anyio.sleep(1)
        results.drain()
        with pytest.raises(FileNotFoundError):
            await results.collect()


async def test_a_drained_run_can_still_be_left() -> None:
    """Leaving the block cancels what drains."""
    async with slow(Tap().items()) as results:
        await anyio.sleep(1.5)
        results.drain()
    assert current_time() == 1.5


async def test_draining_is_refused_on_another_event_loop() -> None:
    """Like all else that concerns a run."""
    async with slow(Tap().items()) as results:
        with pytest.raises(RuntimeError, match="another event loop"):
            await anyio.to_thread.run_sync(results.drain)
