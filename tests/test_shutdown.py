"""Endings: whatever ends a run, its workers end, its source is closed, and nothing is hidden."""

from __future__ import annotations

import gc
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskGroup

from conveyor import (
    RETRY,
    AsyncStream,
    BaseTask,
    CollectLimitError,
    Pipeline,
    RetryAfter,
    StreamClosedError,
    StreamConsumedError,
    batch_task,
    single_task,
)
from conveyor._engine.source import Source
from helpers import ticks


class TaskError(Exception):
    """Raised by tasks."""


class SourceError(Exception):
    """Raised by sources."""


class Probe:
    """An endless source that knows whether it is open, and counts the calls that are going on."""

    def __init__(self) -> None:
        self.pulled = 0
        self.opened = False
        self.closed = False
        self.calls = 0

    async def items(self) -> AsyncIterator[int]:
        self.opened = True
        try:
            while True:
                yield self.pulled
                self.pulled += 1
        finally:
            await anyio.lowlevel.checkpoint()  # cleanup that awaits
            self.closed = True

    async def work(self, item: int) -> int:
        self.calls += 1
        try:
            await anyio.sleep(1)
            return item
        finally:
            self.calls -= 1

    def pipeline(self) -> Pipeline[Any, Any]:
        first = single_task(self.work, task_name="first")
        return first | batch_task(max_size=3)(lambda batch: batch) | first

    @property
    def ended(self) -> bool:
        return self.opened and self.closed and not self.calls


@pytest.fixture
def probe() -> Probe:
    return Probe()


# Hazard 1: leaving a plain loop


async def test_break_ends_the_run(probe: Probe) -> None:
    """Ten ticks after a break all workers have ended and the source is closed."""
    async for _ in probe.pipeline()(probe.items()):
        break
    await ticks(10)
    assert probe.ended


async def test_return_ends_the_run(probe: Probe) -> None:
    """Leaving the function ends the run as well."""

    async def first() -> int:
        async for result in probe.pipeline()(probe.items()):
            return result
        raise AssertionError

    assert await first() == 0
    await ticks(10)
    assert probe.ended


async def test_exception_in_the_body_ends_the_run(probe: Probe) -> None:
    """An error of the loop body ends the run although its traceback is kept."""
    with pytest.raises(KeyError) as caught:
        async for _ in probe.pipeline()(probe.items()):
            raise KeyError
    await ticks(10)
    assert probe.ended
    assert caught.tb is not None


async def test_keeping_the_stream_does_not_keep_the_run(probe: Probe) -> None:
    """The handle does not hold the iterator: a break ends the run while the stream lives on."""
    stream = probe.pipeline()(probe.items())
    async for _ in stream:
        break
    await ticks(10)
    assert probe.ended
    with pytest.raises(StreamConsumedError):
        aiter(stream)


async def test_an_iterator_in_a_cycle_is_ended_by_the_collector(probe: Probe) -> None:
    """An iterator that only a reference cycle holds ends its run when it is collected."""
    iterator = aiter(probe.pipeline()(probe.items()))
    await anext(iterator)
    cycle: list[Any] = [iterator]
    cycle.append(cycle)
    del iterator, cycle
    gc.collect()
    await ticks(10)
    assert probe.ended


async def test_an_iterator_that_never_started_leaves_nothing(probe: Probe) -> None:
    """Making an iterator runs nothing, and the stream is still unused when it is dropped."""
    stream = probe.pipeline()(probe.items())
    aiter(stream)
    assert not probe.opened
    async with stream as results:
        assert await anext(results) == 0


async def leave_by_break(stream: AsyncStream[Any]) -> None:
    async for _ in stream:
        break


async def leave_by_return(stream: AsyncStream[Any]) -> Any:
    async for result in stream:
        return result


async def leave_by_error(stream: AsyncStream[Any]) -> None:
    with pytest.raises(KeyError):
        async for _ in stream:
            raise KeyError


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_return, leave_by_error])
async def test_leaving_a_loop_writes_nothing(
    leave: Any, probe: Probe, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Whichever way it is left: nothing on stderr, nothing in the log."""
    await leave(probe.pipeline()(probe.items()))
    await ticks(10)
    assert probe.ended
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


async def test_an_error_after_a_break_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A failure that nobody can be given any more is logged, without its message."""
    both = anyio.Event()

    @single_task
    async def fails_when_cancelled(item: int) -> int:
        if item == 0:
            await both.wait()
            return item
        both.set()
        try:
            await anyio.sleep_forever()
        finally:
            raise TaskError("secret")

    async for _ in fails_when_cancelled([0, 1]):
        break
    await ticks(10)
    assert [(record.name, record.levelno, record.getMessage()) for record in caplog.records] == [
        (
            "conveyor",
            logging.ERROR,
            "a pipeline whose results nobody waits for any more has failed with TaskError",
        )
    ]


# The structured form


async def test_leaving_the_block_has_ended_everything(probe: Probe) -> None:
    """When ``async with`` is left, everything has ended already."""
    async with probe.pipeline()(probe.items()) as results:
        async for _ in results:
            break
    assert probe.ended


async def test_return_from_the_block_has_ended_everything(probe: Probe) -> None:
    """The same if the function returns from inside of it."""

    async def first() -> int:
        async with probe.pipeline()(probe.items()) as results:
            async for result in results:
                return result
        raise AssertionError

    assert await first() == 0
    assert probe.ended


async def test_an_error_of_the_block_comes_out_bare(probe: Probe) -> None:
    """An exception of the body is not wrapped, and everything has ended when it comes out."""
    error = KeyError("x")
    with pytest.raises(KeyError) as caught:
        async with probe.pipeline()(probe.items()) as results:
            await anext(results)
            raise error
    assert caught.value is error
    assert probe.ended


async def test_a_block_that_reads_nothing_ends(probe: Probe) -> None:
    """A block need not consume anything."""
    async with probe.pipeline()(probe.items()):
        pass
    assert not probe.calls
    assert probe.opened == probe.closed


# Hazard 2: an error while the consumer is busy


@single_task
async def fail_on_two(item: int) -> int:
    await anyio.sleep(item)
    if item == 2:
        raise TaskError
    return item


async def test_a_failure_does_not_cancel_the_body() -> None:
    """The block's body goes on; the next ``anext`` raises the error after what was ready."""
    async with fail_on_two([1, 2, 3]) as results:
        await anyio.sleep(10)
        assert anyio.current_time() == 10
        assert await anext(results) == 1
        with pytest.raises(TaskError):
            await anext(results)


async def test_a_failure_nobody_read_is_raised_by_the_block() -> None:
    """A failure that the body does not meet is raised when the block is left."""
    reached = False
    with pytest.raises(TaskError):
        async with fail_on_two([1, 2, 3]) as results:
            assert await anext(results) == 1
            await anyio.sleep(10)
            reached = True
    assert reached


async def test_a_failure_is_raised_once() -> None:
    """A failure that the body has handled is not raised again by the block."""
    async with fail_on_two([2]) as results:
        with pytest.raises(TaskError):
            await anext(results)
        with pytest.raises(StreamClosedError):
            await anext(results)


# aclose()


async def test_aclose_ends_a_plain_iteration(probe: Probe) -> None:
    """``aclose()`` ends the run and waits; iterating on says so instead of stopping silently."""
    stream = probe.pipeline()(probe.items())
    iterator = aiter(stream)
    assert await anext(iterator) == 0
    await stream.aclose()
    assert probe.ended
    with pytest.raises(StreamClosedError):
        while True:
            await anext(iterator)


async def test_aclose_inside_the_block(probe: Probe) -> None:
    """The results can be closed early inside the block too, more than once."""
    async with probe.pipeline()(probe.items()) as results:
        await anext(results)
        await results.aclose()
        assert probe.ended
        await results.aclose()


# Hazards 8 and 11: sources


@pytest.mark.parametrize("index", range(5))
async def test_a_failing_source_reaches_the_consumer(index: int) -> None:
    """Whichever item the source fails at, its own error arrives."""

    async def source() -> AsyncIterator[int]:
        for item in range(index):
            yield item
        raise SourceError

    with pytest.raises(SourceError) as caught:
        await fail_on_two.replace(on_error="skip_item")(source()).collect()
    assert caught.value.__notes__ == [f"raised by the source after {index} item(s)"]


async def test_a_failing_cleanup_reaches_the_consumer() -> None:
    """An error in the source's ``finally`` is not lost, neither at the end nor on early exit."""

    async def source() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            raise SourceError

    with pytest.raises(SourceError):
        await Pipeline()(source()).collect()
    with pytest.raises(SourceError):
        async with Pipeline().with_context(max_in_flight=1)(source()) as results:
            await anext(results)


@pytest.mark.parametrize("wrap", [aiter, AsyncStream])
async def test_a_source_may_hold_a_task_group(wrap: Any) -> None:
    """A source with a task group of its own is closed in order, and quietly."""
    ended = []

    async def ticker(task_group: TaskGroup) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("ticker")

    async def source() -> AsyncIterator[int]:
        async with anyio.create_task_group() as task_group:
            task_group.start_soon(ticker, task_group)
            for item in range(100_000):
                yield item
        ended.append("source")

    async with Pipeline().with_context(max_in_flight=5)(wrap(source())) as results:
        assert await anext(results) == 0
    assert ended == ["ticker"]


async def test_a_plain_stream_of_a_source_that_holds_a_task_group() -> None:
    """It is closed as quietly by the stream's own ways."""

    async def source() -> AsyncIterator[int]:
        async with anyio.create_task_group() as task_group:
            task_group.start_soon(anyio.sleep_forever)
            yield 1
            yield 2

    async with AsyncStream(source()) as results:
        assert await anext(results) == 1
    with pytest.raises(KeyError):
        async with AsyncStream(source()) as results:
            assert await anext(results) == 1
            raise KeyError
    with pytest.raises(CollectLimitError):
        await AsyncStream(source()).collect(limit=1)
    stream = AsyncStream(source())
    assert await stream.first() == 1
    await stream.aclose()


@pytest.mark.parametrize("wrap", [aiter, AsyncStream])
async def test_cleanup_of_a_waiting_source_is_not_cancelled(wrap: Any) -> None:
    """A source that waits at a ``yield`` may take its time to clean up."""
    cleaned = []

    async def source() -> AsyncIterator[int]:
        try:
            for item in range(100_000):
                yield item
        finally:
            await anyio.sleep(5)
            cleaned.append(anyio.current_time())

    async with Pipeline().with_context(max_in_flight=2)(wrap(source())) as results:
        await anext(results)
    assert cleaned == [5]


@pytest.mark.parametrize("wrap", [aiter, AsyncStream])
async def test_cleanup_of_a_cancelled_source_that_yields_is_not_cancelled(wrap: Any) -> None:
    """Cancelled where it shields itself, the source gives one more item, and is closed there."""
    cleaned = []

    async def source() -> AsyncIterator[int]:
        try:
            yield 0
            with anyio.CancelScope(shield=True):
                await anyio.sleep(3)
            yield 1
        finally:
            await anyio.sleep(5)
            cleaned.append(anyio.current_time())

    async with Pipeline()(wrap(source())) as results:
        assert await anext(results) == 0
        await anyio.sleep(1)
    assert cleaned == [8]


async def test_closing_a_blocked_iterator_is_not_cancelled() -> None:
    """One that is no generator has not ended when it was cancelled where it waits for an item."""
    closed = []

    class Feed:
        async def __anext__(self) -> int:
            return await anyio.sleep_forever()

        def __aiter__(self) -> Feed:
            return self

        async def aclose(self) -> None:
            await anyio.sleep(5)
            closed.append(anyio.current_time())

    async with Pipeline()(Feed()):
        await anyio.sleep(1)
    assert closed == [6]


async def test_a_blocked_source_is_cancelled() -> None:
    """A source that is blocked inside itself is cancelled there."""
    cancelled = []

    async def source() -> AsyncIterator[int]:
        yield 1
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cancelled.append(True)
            raise

    async with Pipeline()(source()) as results:
        assert await anext(results) == 1
        await ticks(3)
    assert cancelled == [True]


@pytest.mark.parametrize("turns", range(4))
async def test_a_source_is_not_entered_once_the_run_ends(turns: int) -> None:
    """Not even if its task was started already: shielded inside the data, it would never end."""

    async def source() -> AsyncIterator[int]:
        await anyio.sleep_forever()
        yield 1

    async with single_task(str)(source()):
        await ticks(turns)


@pytest.mark.parametrize("turns", range(4))
async def test_nothing_is_read_once_the_run_ends(turns: int) -> None:
    """A generator gives no item that nobody would get."""
    read: list[int] = []

    def source() -> Iterator[int]:
        try:
            for number in range(100):
                read.append(number)
                yield number
        finally:
            read.append(-1)

    data = source()
    next(data)
    async with single_task(str)(data) as results:
        await ticks(turns)
        before = len(read)
        await results.aclose()
    assert read[before:] in ([], [-1])


async def test_a_synchronous_source_is_closed_on_early_exit() -> None:
    """A generator given as data is closed when the consumer leaves."""
    closed = []

    def source() -> Iterator[int]:
        try:
            yield from range(100_000)
        finally:
            closed.append(True)

    async for _ in Pipeline()(source()):
        break
    await ticks(10)
    assert closed == [True]


# Hazards 10 and 13


async def test_siblings_have_ended_when_the_error_arrives() -> None:
    """All calls in flight are cancelled and joined before the consumer sees the failure."""
    ended: list[int] = []

    @single_task
    async def work(item: int) -> int:
        try:
            await anyio.sleep(1 if item == 3 else 100)
            raise TaskError
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(7)
            ended.append(item)

    async for _ in work.as_completed([]):
        raise AssertionError
    with pytest.raises(TaskError):
        async for _ in work(range(10)):
            raise AssertionError
    assert sorted(ended) == list(range(10))
    assert anyio.current_time() == 15


async def test_no_call_starts_after_a_failure() -> None:
    """What is queued when a call fails is not begun, not even by calls that ignore their end."""
    begun: list[int] = []

    @single_task(concurrency_limit=2)
    async def work(item: int) -> int:
        begun.append(item)
        if item == 1:
            await anyio.sleep(1)
            raise TaskError
        try:
            await anyio.sleep(5)
        except anyio.get_cancelled_exc_class():
            if item != 0:
                raise
        return item

    with pytest.raises(TaskError):
        await work(range(10)).collect()
    assert begun == [0, 1]


@pytest.mark.parametrize(
    "options",
    [
        {"retry_attempts": 3, "retry_delay": 0},
        {"retry_attempts": 3, "retry_on": lambda error: 0},
        {"on_error": lambda error, item: RETRY},
        {"timeout": 9},
        {"max_size": 4, "on_error": "skip_item"},
    ],
    ids=["retry", "predicate", "on_error", "retry_after", "parts"],
)
async def test_no_attempt_begins_after_the_end(options: dict[str, Any]) -> None:
    """What fails in a shield, after the run was told to stop, is not tried again, nor its parts."""
    begun: list[float] = []

    async def work(item: Any) -> None:
        begun.append(anyio.current_time())
        with anyio.CancelScope(shield=True):
            await anyio.sleep(3)
        raise RetryAfter(0) if "timeout" in options else TaskError

    task: Any = (
        batch_task(**options)(work) if "max_size" in options else single_task(**options)(work)
    )
    async with task(range(4)):
        await anyio.sleep(1)
    assert set(begun) == {0}
    assert anyio.current_time() == 3


async def test_workers_cancelled_before_their_first_step() -> None:
    """A run that ends before its tasks have begun leaves nothing behind."""

    async def source() -> AsyncIterator[int]:
        yield 1
        raise AssertionError("never asked for")

    stream = fail_on_two(source())
    async with stream:
        pass
    with pytest.raises(StreamClosedError):
        aiter(stream)


class Passing(BaseTask[int, int]):
    """Tells when it is called, and passes everything on."""

    def __init__(self, called: list[Any]) -> None:
        super().__init__()
        self.called = called

    def process(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        self.called.append("process")
        return items


@pytest.mark.parametrize("mode", ["ordered", "as_completed"])
@pytest.mark.parametrize("kind", ["plain", "timeout", "side_input", "batch", "process"])
async def test_no_worker_begins_once_the_run_ends(kind: str, mode: Any) -> None:
    """Not even one that was summoned before, if results still come in before its first step."""
    called: list[Any] = []
    event = anyio.Event()

    async def wait(item: int) -> int:
        if kind != "side_input" or item:
            await event.wait()
        if item == 4:
            raise TaskError
        return item

    def call(item: Any, side: Any = None) -> Any:
        called.append(item)
        return item

    async def side() -> None:
        await event.wait()

    makers: dict[str, Callable[[], Any]] = {
        "plain": lambda: single_task(call),
        "timeout": lambda: single_task(call, timeout=9),
        "side_input": lambda: single_task(call).with_inputs(side()),
        "batch": lambda: batch_task(min_size=2)(call),
        "process": lambda: Passing(called),
    }
    pipeline: Pipeline[Any, Any] = single_task(wait) | makers[kind]()
    with pytest.raises(TaskError):
        async with pipeline.with_execution_mode(mode)(range(9)) as results:
            await ticks(20)
            event.set()
            async for _ in results:
                pass
    assert called == []


@pytest.mark.parametrize("kind", ["generator", "async_generator", "receive_stream", "stream"])
async def test_data_is_closed_though_the_run_ends_before_it_begins(kind: str) -> None:
    """Data that has been opened already is the run's to close, even if it has read nothing."""
    closed: list[bool] = []

    def numbers() -> Iterator[int]:
        try:
            yield from range(9)
        finally:
            closed.append(True)

    async def async_numbers() -> AsyncIterator[int]:
        for number in numbers():
            yield number
            await anyio.lowlevel.checkpoint()

    send, receive = anyio.create_memory_object_stream[int](9)
    data: Any
    if kind == "generator":
        data = numbers()
        next(data)
    elif kind == "receive_stream":
        data = receive
    else:
        data = async_numbers()
        await anext(data)
    if kind == "stream":
        data = AsyncStream(data)
    with send, receive:
        async with fail_on_two(data):
            pass
        if kind == "receive_stream":
            with pytest.raises(anyio.BrokenResourceError):
                send.send_nowait(1)
        else:
            assert closed == [True]


async def test_closing_a_run_that_never_began() -> None:
    """A run cancelled before its own first step counts as ended: nobody waits for it for ever."""
    stream = fail_on_two([1])
    with anyio.CancelScope() as scope:
        async with stream:
            scope.cancel()
            await anyio.sleep_forever()
    await stream.aclose()
    assert scope.cancelled_caught


@pytest.mark.parametrize("way", ["aclose", "block", "cancelled"])
async def test_nothing_is_delivered_after_the_end(way: str) -> None:
    """Results that were ready when the consumer closed the stream are gone: it is closed."""
    same = single_task(lambda item: item)
    stream = same(range(50))
    if way == "block":
        async with stream as results:
            assert await anext(results) == 0
            await ticks(5)
        iterator: AsyncIterator[int] = results
    elif way == "aclose":
        iterator = aiter(stream)
        assert await anext(iterator) == 0
        await stream.aclose()
    else:
        waiting = (single_task(lambda item: anyio.sleep(item * 1000)) | same)([1])
        iterator = aiter(waiting)
        with anyio.move_on_after(1):
            await anext(iterator)
    with pytest.raises(StreamClosedError):
        await anext(iterator)


async def test_a_task_cannot_close_its_own_stream() -> None:
    """Waiting for oneself would be waiting for ever; it is refused instead."""

    @single_task
    async def closing(item: int) -> int:
        await stream.aclose()
        return item

    stream = closing([1])
    with pytest.raises(RuntimeError) as caught:
        await stream.collect()
    assert str(caught.value) == (
        "a task cannot close the stream that it works for, since it would wait for itself; "
        "raise an error to end the run, or let its consumer end it"
    )


async def test_a_failure_of_the_machinery_is_an_error_of_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An error that bypasses all records reaches the consumer all the same, bare."""

    async def feed(source: Source) -> None:
        raise SourceError

    monkeypatch.setattr(Source, "feed", feed)
    with pytest.raises(SourceError) as caught:
        await fail_on_two([]).collect()
    assert caught.value.__notes__ == ["raised in the machinery of a pipeline"]


@pytest.mark.parametrize("mode", ["ordered", "as_completed"])
@pytest.mark.parametrize("kind", ["in_order", "batch", "filtering"])
async def test_the_end_of_a_long_pipeline_takes_no_deep_stack(kind: str, mode: Any) -> None:
    """Each order point that has ended ends the next one, over more of them than calls can nest."""
    task = {
        "in_order": single_task(in_order=True)(lambda item: item),
        "batch": batch_task(max_size=2)(lambda batch: batch),
        "filtering": batch_task(max_size=2)(lambda batch: None),
    }[kind]
    pipeline = Pipeline().add(*[task] * 2000).with_execution_mode(mode)
    assert await pipeline([0, 1, 2] if kind == "filtering" else []).collect() == []


@pytest.mark.parametrize("way", ["returns", "raises", "is collected later"])
def test_a_loop_may_end_while_an_iterator_is_alive(
    way: str, probe: Probe, anyio_backend_name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The end of the loop ends the run: its calls, its source; and dropping it later is silent."""
    kept: list[Any] = []

    @single_task
    async def work(item: int) -> int:
        probe.calls += 1
        try:
            if item:
                await anyio.sleep_forever()
            return item
        finally:
            probe.calls -= 1

    async def main() -> None:
        kept.append(aiter(work(numbers())))
        assert await anext(kept[0]) == 0
        await ticks(10)  # AnyIO does not close tasks that asyncio cancels before their first step
        if way == "is collected later":
            kept.append(kept)
        if way == "raises":
            raise TaskError

    async def numbers() -> AsyncIterator[int]:
        probe.opened = True
        try:
            for number in range(7):
                yield number
            await anyio.sleep_forever()
        finally:
            probe.closed = True

    try:
        anyio.run(main, backend=anyio_backend_name)
    except TaskError:
        assert way == "raises"
    assert probe.ended
    kept.clear()
    gc.collect()
    assert capfd.readouterr() == ("", "")


async def test_a_deadline_of_the_sources_own_may_pass_while_it_waits_for_us() -> None:
    """A source that ends itself after a while does so, however slow its consumer is."""

    async def source() -> AsyncIterator[str]:
        with anyio.move_on_after(5):
            for _ in range(50):
                yield "more"
                await ticks(1)
        yield "end"

    received: list[str] = []
    async with Pipeline().with_context(max_in_flight=2)(source()) as results:
        async for result in results:
            received.append(result)
            await anyio.sleep(2)
    assert received == ["more"] * (len(received) - 1) + ["end"]
    assert 3 <= len(received) <= 6


async def test_nothing_begins_with_a_share_that_comes_as_the_run_ends() -> None:
    """It is given back, or a generator that waits for one where nobody can cancel it would hang."""
    attempts: Counter[int] = Counter()
    called: list[int] = []

    @single_task(retry_attempts=2, retry_delay=5, retry_jitter=0)
    async def fetch(item: int) -> int:
        attempts[item] += 1
        if item in (1, 2) and attempts[item] == 1:
            raise TaskError
        if item == 2:
            await anyio.sleep(1)
        return item

    def fail_for_two(item: int) -> int:
        return 1 + item // (2 - item) ** 2

    @single_task(concurrency_limit=2, key=fail_for_two)
    async def expand(item: int) -> AsyncIterator[int]:
        called.append(item)
        await anyio.sleep(1)
        for value in range(100):
            yield value

    pipeline = (fetch | expand).with_context(max_in_flight=12, max_parallelism=1)
    async with pipeline(range(4)) as results:
        await anyio.sleep(6.5)
        for _ in range(8):
            await anext(results)
        # From here on 0 waits for the share of 2, after 1. At 7 it is free, and 2 ends the run.
        with pytest.raises(ZeroDivisionError):
            while True:
                await anext(results)
    assert called == [0]
