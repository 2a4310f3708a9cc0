"""Blocking iterators as data: pulled and closed in worker threads, by one thread at a time."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from conveyor import (
    AsyncStream,
    Pipeline,
    StreamConsumedError,
    from_thread,
    get_current_context,
    single_task,
)
from conveyor._engine import pulling
from conveyor.testing import hold_clock
from helpers import three_ways, ticks

#: Real seconds after which a thread that should have been let go fails the test instead.
PATIENCE = 5


class Blocking:
    """A generator that blocks where it is told to, and notes which threads use it, and how."""

    def __init__(self, count: int = 1_000_000, blocks_at: int = -1) -> None:
        self.count = count
        self.blocks_at = blocks_at
        self.gate = threading.Event()
        self.blocked = threading.Event()
        self.closed = threading.Event()
        self.pulled = 0
        self.threads: list[int] = []
        self.problems: list[str] = []
        # Of one token, so that whoever gets it knows that nobody waits for a thread any more.
        self.limiter = anyio.CapacityLimiter(1)
        self._users = 0

    @contextmanager
    def used(self) -> Iterator[None]:
        self._users += 1
        self.threads.append(threading.get_ident())
        if self._users > 1:
            self.problems.append("used by two threads at once")
        try:
            yield
        finally:
            self._users -= 1

    def items(self) -> Generator[int, None, None]:
        try:
            for number in range(self.count):
                with self.used():
                    if number == self.blocks_at:
                        self.blocked.set()
                        if not self.gate.wait(PATIENCE):
                            self.problems.append("nobody let it go")
                    self.pulled += 1
                yield number
        finally:
            with self.used():
                self.closed.set()

    async def until_blocked(self) -> None:
        assert await anyio.to_thread.run_sync(self.blocked.wait, PATIENCE)

    async def until_closed(self) -> None:
        assert await anyio.to_thread.run_sync(self.closed.wait, PATIENCE)
        async with self.limiter:
            pass

    def check(self) -> None:
        assert self.problems == []
        assert threading.get_ident() not in self.threads


@pytest.fixture
def hops(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One number for each change of threads, for the iterator to count its items."""
    brought: list[int] = []
    pull = pulling.Pulling._pull

    def pull_counted(self: Any) -> None:
        brought.append(0)
        pull(self)

    monkeypatch.setattr(pulling.Pulling, "_pull", pull_counted)
    return brought


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock for the bursts, moved by hand."""
    now = [0.0]
    monkeypatch.setattr(pulling, "monotonic", lambda: now[0])
    return now


@single_task
async def echo(item: Any) -> Any:
    return item


# What comes out


@three_ways
@pytest.mark.parametrize("count", [0, 1, 2, 3, 100, 1000])
async def test_every_item_comes_in_order(consume: Any, count: int) -> None:
    """As data of a pipeline, it gives what the iterator gives."""
    source = Blocking(count)
    assert await consume(echo(from_thread(source.items()))) == [*range(count)]
    source.check()


@three_ways
async def test_it_can_be_iterated_by_itself(consume: Any) -> None:
    """It is a stream of its own, too."""
    assert await consume(from_thread([3, None, 5])) == [3, None, 5]


async def test_it_is_a_stream() -> None:
    """With all the ways of consuming one."""
    stream = from_thread(range(10))
    assert isinstance(stream, AsyncStream)
    assert await stream.first() == 0
    assert await stream.collect() == [*range(10)]


async def test_an_iterator_is_iterated_once() -> None:
    """A second iteration would be a second thread in the same iterator."""
    stream = from_thread(iter([1, 2]))
    assert await stream.collect() == [1, 2]
    with pytest.raises(StreamConsumedError, match="has been iterated already"):
        await stream.collect()


async def test_the_older_protocol_of_sequences_is_iterated() -> None:
    """Whatever ``for`` takes."""

    class Squares:
        def __getitem__(self, index: int) -> int:
            if index > 3:
                raise IndexError
            return index * index

    assert await from_thread(Squares()).collect() == [0, 1, 4, 9]  # type: ignore[arg-type, unused-ignore] # pyright: ignore[reportArgumentType]


async def test_iter_is_called_in_a_thread() -> None:
    """Making the iterator may block as well."""
    threads = []

    class Query:
        def __iter__(self) -> Iterator[int]:
            threads.append(threading.get_ident())
            return iter([1])

    assert await from_thread(Query()).collect() == [1]
    assert threads
    assert threading.get_ident() not in threads


# Bursts


async def test_a_brief_iterator_is_pulled_in_growing_bursts(
    hops: list[int], watch: list[float]
) -> None:
    """One item at first, then twice as many each time, up to the limit."""

    def brief() -> Iterator[int]:
        for number in range(1000):
            hops[-1] += 1
            yield number

    assert await from_thread(brief()).collect() == [*range(1000)]
    assert hops == [1, 2, 4, 8, 16, 32, 64, *[101] * 8, 65]


async def test_a_slow_iterator_is_asked_for_one_item_at_a_time(
    hops: list[int], watch: list[float]
) -> None:
    """No item waits for a slow one that comes after it."""

    def slow() -> Iterator[int]:
        for number in range(20):
            if number >= 7:
                watch[0] += 1
            hops[-1] += 1
            yield number

    assert await from_thread(slow()).collect() == [*range(20)]
    assert hops == [1, 2, 4, *[1] * 13, 0]


async def test_the_burst_after_a_slow_item_is_shorter(hops: list[int], watch: list[float]) -> None:
    """It is half of the one that the slow item has ended, and then they grow again."""

    def uneven() -> Iterator[int]:
        for number in range(40):
            watch[0] += number == 15
            hops[-1] += 1
            yield number

    assert await from_thread(uneven()).collect() == [*range(40)]
    assert hops == [1, 2, 4, 8, 1, 8, 16, 0]


@pytest.mark.parametrize("read_ahead", [0, 1, 5])
async def test_the_read_ahead_is_bounded(read_ahead: int, watch: list[float]) -> None:
    """A consumer that stops asking stops the iterator."""
    source = Blocking()
    async with from_thread(source.items(), read_ahead=read_ahead) as items:
        for number in range(50):
            assert await anext(items) == number
            await anyio.sleep(1)  # the clock stands still while a thread is at work
            assert source.pulled <= number + 1 + read_ahead
        assert source.pulled >= 50


async def test_nothing_is_pulled_before_it_is_asked_for(watch: list[float]) -> None:
    """Not even the first item, and with the first no other."""
    source = Blocking()
    async with from_thread(source.items()) as items:
        await anyio.sleep(1)
        assert source.pulled == 0
        await anext(items)
        await anyio.sleep(1)
        assert source.pulled == 1


@pytest.mark.parametrize("blocks_at", [1, 2, 3, 5])
async def test_items_before_one_that_blocks_are_not_held_up(
    blocks_at: int, watch: list[float]
) -> None:
    """What a thread has pulled is delivered while the thread blocks in the same burst."""
    source = Blocking(10, blocks_at)
    async with from_thread(source.items()) as items:
        assert [await anext(items) for _ in range(blocks_at)] == [*range(blocks_at)]
        assert not source.gate.is_set()
        source.gate.set()
        assert [item async for item in items] == [*range(blocks_at, 10)]
    source.check()


# Errors


@pytest.mark.parametrize("index", [0, 1, 2, 3, 7])
async def test_an_error_comes_after_the_items_before_it(index: int) -> None:
    """The very exception arrives, at its place, once."""
    error = OSError("disk")

    def broken() -> Iterator[int]:
        yield from range(index)
        raise error

    received = []
    items = aiter(from_thread(broken()))
    with pytest.raises(OSError, match="disk") as caught:
        while True:
            received.append(await anext(items))
    assert caught.value is error
    assert received == [*range(index)]
    assert await anext(items, None) is None


async def test_an_error_fails_the_run() -> None:
    """In a pipeline it is an error of the source."""

    def broken() -> Iterator[int]:
        yield 1
        raise KeyError("x")

    with pytest.raises(KeyError) as caught:
        await echo(from_thread(broken())).collect()
    assert caught.value.__notes__ == ["raised by the source after 1 item(s)"]


async def test_an_error_of_iter_arrives() -> None:
    """So does what making the iterator raises."""

    class Broken:
        def __iter__(self) -> Iterator[int]:
            raise LookupError

    with pytest.raises(LookupError):
        await from_thread(Broken()).collect()


@pytest.mark.parametrize("kind", [StopAsyncIteration, GeneratorExit, "cancelled"])
async def test_an_error_does_not_end_the_iteration_in_silence(kind: Any) -> None:
    """What would steer the machinery is an error."""
    kind = anyio.get_cancelled_exc_class() if kind == "cancelled" else kind

    class Broken:
        def __iter__(self) -> Iterator[int]:
            return self

        def __next__(self) -> int:
            raise kind.__new__(kind)

    with pytest.raises(RuntimeError, match=r"^the iterator given to from_thread\(\) raised"):
        await from_thread(Broken()).collect()


async def test_an_error_of_the_cleanup_arrives() -> None:
    """What closing the generator raises reaches whoever closes it."""

    def broken() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            raise LookupError("cleanup")

    with pytest.raises(LookupError, match="cleanup"):
        async with Pipeline().with_context(max_in_flight=2)(from_thread(broken())) as results:
            await anext(results)


# Closing


async def drop(stream: AsyncStream[int]) -> None:
    async for _ in stream:
        break


async def leave_block(stream: AsyncStream[int]) -> None:
    async with stream as items:
        await anext(items)


async def leave_run(stream: AsyncStream[int]) -> None:
    async with echo(stream) as results:
        await anext(results)


async def close_run(stream: AsyncStream[int]) -> None:
    results = echo(stream)
    async for _ in results:
        await results.aclose()
        break


async def drain_run(stream: AsyncStream[int]) -> None:
    async with echo(stream) as results:
        await anext(results)
        results.drain()
        async for _ in results:
            pass


async def close_stream(stream: AsyncStream[int]) -> None:
    iterator = aiter(stream)
    await anext(iterator)
    await stream.aclose()
    assert await anext(iterator, None) is None


@pytest.mark.parametrize(
    "leave",
    [leave_block, leave_run, close_run, drain_run, close_stream],
)
async def test_a_generator_is_closed_in_a_thread(leave: Any) -> None:
    """However it is left early, and before whoever leaves it goes on."""
    source = Blocking()
    await leave(from_thread(source.items()))
    assert source.closed.is_set()
    source.check()


async def test_a_dropped_iteration_is_closed_in_a_thread() -> None:
    """A ``break`` out of a bare loop closes it too, soon."""
    source = Blocking()
    generator = source.items()  # kept, so that nothing but us closes it
    await drop(from_thread(generator, limiter=source.limiter))
    await source.until_closed()
    source.check()


async def test_a_generator_that_was_never_asked_is_closed() -> None:
    """A stream that is closed, or a run that ends, before it begins."""
    generator = Blocking().items()
    await from_thread(generator).aclose()
    with pytest.raises(StopIteration):
        next(generator)
    generator = Blocking().items()
    async with echo(from_thread(generator)):
        pass
    with pytest.raises(StopIteration):
        next(generator)


async def test_an_iterator_that_can_be_closed_but_is_no_generator_is_left_open() -> None:
    """A file belongs to whoever has opened it."""

    class File:
        closed = False

        def __iter__(self) -> Iterator[int]:
            return self

        def __next__(self) -> int:
            return 1

        def close(self) -> None:
            self.closed = True

    file = File()
    await leave_block(from_thread(file))
    assert not file.closed


# Cancellation


async def test_a_wait_that_is_cancelled_loses_nothing() -> None:
    """The item is there for the next ``anext()``."""
    source = Blocking(5, blocks_at=1)
    received = []
    async with from_thread(source.items()) as items:
        received.append(await anext(items))
        async with anyio.create_task_group() as task_group:
            task_group.start_soon(anext, items)
            await source.until_blocked()
            task_group.cancel_scope.cancel()
        assert not source.gate.is_set()
        source.gate.set()
        received += [item async for item in items]
    assert received == [0, 1, 2, 3, 4]
    source.check()


async def let_go_later(source: Blocking, leaving: anyio.Event, log: list[str]) -> None:
    """Let the iterator go once the run has had its turns to end."""
    await leaving.wait()
    await ticks(20)
    log.append("let go")
    source.gate.set()


@pytest.mark.parametrize("leave_by", ["leave", "cancel", "drain", "fail"])
async def test_a_run_waits_for_a_blocked_thread_and_closes_the_iterator(leave_by: str) -> None:
    """Nothing can interrupt ``next()``; once it has returned, the iterator is closed."""
    source = Blocking(blocks_at=1)
    leaving = anyio.Event()
    log: list[str] = []

    async def consume() -> None:
        async with echo(from_thread(source.items())) as results:
            await anext(results)
            await source.until_blocked()
            leaving.set()
            if leave_by == "cancel":
                scope.cancel()
                await anyio.sleep_forever()
            if leave_by == "fail":
                raise KeyError
            if leave_by == "drain":
                results.drain()
                assert await results.collect() == []

    async with anyio.create_task_group() as task_group:
        task_group.start_soon(let_go_later, source, leaving, log)
        with anyio.CancelScope() as scope:
            if leave_by == "fail":
                with pytest.raises(KeyError):
                    await consume()
            else:
                await consume()
        log.append("left")
        assert source.closed.is_set()
    assert log == ["let go", "left"]
    assert source.pulled == 2
    source.check()


@pytest.mark.parametrize("leave_by", ["leave", "cancel"])
async def test_an_abandoned_thread_closes_the_iterator(leave_by: str) -> None:
    """Nobody waits for it then; as soon as ``next()`` returns, the same thread closes."""
    source = Blocking(blocks_at=1)
    stream = from_thread(source.items(), abandon_on_cancel=True, limiter=source.limiter)
    with anyio.CancelScope() as scope:
        async with echo(stream) as results:
            await anext(results)
            await source.until_blocked()
            if leave_by == "cancel":
                scope.cancel()
                await anyio.sleep_forever()
    assert not source.closed.is_set()
    source.gate.set()
    await source.until_closed()
    assert source.pulled == 2
    source.check()


async def test_a_dropped_iteration_is_closed_when_the_thread_comes_back() -> None:
    """Dropping it while ``next()`` blocks leaves the closing to that thread."""
    source = Blocking(blocks_at=1)
    items = aiter(from_thread(source.items(), limiter=source.limiter))
    await anext(items)
    async with anyio.create_task_group() as task_group:
        task_group.start_soon(items.__anext__)
        await source.until_blocked()
        task_group.cancel_scope.cancel()
    del items
    gc.collect()  # the cancelled wait may be part of a cycle
    source.gate.set()
    await source.until_closed()
    source.check()


async def test_an_error_that_nobody_gets_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """What an abandoned iterator raises is named in the log, without its message."""
    source = Blocking(blocks_at=1)

    def broken() -> Iterator[int]:
        for item in source.items():
            if item:
                raise KeyError("secret")
            yield item

    stream = from_thread(broken(), abandon_on_cancel=True, limiter=source.limiter)
    async with stream as items:
        await anext(items)
        async with anyio.create_task_group() as task_group:
            task_group.start_soon(anext, items)
            await source.until_blocked()
            task_group.cancel_scope.cancel()
    source.gate.set()
    await source.until_closed()
    assert [(each.name, each.levelno, each.getMessage()) for each in caplog.records] == [
        (
            "conveyor",
            logging.ERROR,
            "a blocking iterator that nobody waits for any more has failed with KeyError",
        )
    ]


async def test_a_stop_in_the_last_moment_of_a_visit_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread that has pulled its burst closes, if nobody wants more before it has let go."""
    source = Blocking()
    work = pulling.Pulling._work

    def work_and_be_abandoned(self: Any) -> None:
        work(self)
        if not self.stopped:
            self.abandon()

    monkeypatch.setattr(pulling.Pulling, "_work", work_and_be_abandoned)
    items = aiter(from_thread(source.items(), limiter=source.limiter))
    await anext(items, None)
    await source.until_closed()
    source.check()


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize("tick", range(6))
@pytest.mark.parametrize("closes", [False, True])
async def test_a_natively_cancelled_visit_leaves_nobody_waiting(tick: int, closes: bool) -> None:
    """Whoever cancels the task that waits for the thread: the thread is sent, once."""

    async def cancel_visits() -> None:
        await ticks(tick)
        for task in asyncio.all_tasks():
            if "_send_thread" in repr(task.get_coro()):
                task.cancel()

    source = Blocking(20)
    # Held, since nobody who holds it waits for a thread whose task is gone.
    with hold_clock():
        async with anyio.create_task_group() as task_group, from_thread(source.items()) as items:
            if closes:
                await anext(items)
                task_group.start_soon(cancel_visits)
            else:
                task_group.start_soon(cancel_visits)
                assert [item async for item in items] == [*range(20)]
    assert source.closed.is_set()
    source.check()


async def test_no_thread_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """When no thread can be had, the consumer is told."""

    async def refuse(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(anyio.to_thread, "run_sync", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        await from_thread([1]).collect()


# Where it runs


async def test_the_iterator_sees_the_callers_variables() -> None:
    """Those of whoever asked first, and what it has set itself, however threads change."""
    variable: ContextVar[str] = ContextVar("variable")
    variable.set("caller")
    seen = []

    def items() -> Iterator[int]:
        seen.append(variable.get())
        variable.set("iterator")
        for number in range(20):
            yield number
            seen.append(variable.get())

    assert len(await from_thread(items(), read_ahead=0).collect()) == 20
    assert seen == ["caller", *["iterator"] * 20]
    assert variable.get() == "caller"


async def test_the_iterator_sees_the_context_of_the_run() -> None:
    """As data of a pipeline it can ask for the run's context."""

    def items() -> Iterator[Any]:
        yield get_current_context().get("tenant")

    assert await echo.with_context(tenant="t1")(from_thread(items())).collect() == ["t1"]


async def test_the_iterator_may_call_back() -> None:
    """It runs in one of AnyIO's worker threads, from which the event loop can be reached."""

    def items() -> Iterator[float]:
        for _ in range(3):
            anyio.from_thread.run(anyio.lowlevel.checkpoint)
            yield anyio.from_thread.run_sync(anyio.current_time)

    assert await from_thread(items()).collect() == [0.0, 0.0, 0.0]


async def test_the_limiter_bounds_the_threads() -> None:
    """Iterators that share a limiter take turns, one burst each."""
    limiter = anyio.CapacityLimiter(1)
    inside = most = 0

    def items() -> Iterator[int]:
        nonlocal inside, most
        for number in range(50):
            inside += 1
            most = max(most, inside)
            inside -= 1
            yield number

    async with anyio.create_task_group() as task_group:
        for _ in range(5):
            task_group.start_soon(from_thread(items(), limiter=limiter).collect)
    assert most == 1
    assert limiter.borrowed_tokens == 0


async def test_a_second_consumer_is_refused() -> None:
    """Two tasks that wait at once would share out the items by chance."""
    source = Blocking(3, blocks_at=0)
    async with from_thread(source.items()) as items, anyio.create_task_group() as task_group:
        task_group.start_soon(anext, items)
        await source.until_blocked()
        with pytest.raises(RuntimeError, match="another task is waiting"):
            await anext(items)
        source.gate.set()


async def test_another_event_loop_is_refused(anyio_backend_name: str) -> None:
    """An iteration that is going on belongs to one event loop."""
    async with from_thread(range(3), read_ahead=0) as items:
        assert await anext(items) == 0

        async def elsewhere() -> int:
            return await anext(items)

        def run() -> int:
            return anyio.run(elsewhere, backend=anyio_backend_name)

        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            await anyio.to_thread.run_sync(run)
        assert await anext(items) == 1


# What is refused


async def agen() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (
            lambda: from_thread(agen()),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
            TypeError,
            (
                "from_thread() is for blocking iterables, got a async_generator, which is "
                "asynchronous; give it to the pipeline as it is"
            ),
        ),
        (
            lambda: from_thread(5),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
            TypeError,
            "from_thread() needs an iterable, got a int",
        ),
        (
            lambda: from_thread(Blocking().items),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
            TypeError,
            "from_thread() needs an iterable, got a method; call it: from_thread(function())",
        ),
        (
            lambda: from_thread([], limiter=3),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
            TypeError,
            (
                "limiter must be an anyio.CapacityLimiter, got 3; "
                "write limiter=anyio.CapacityLimiter(4), for instance"
            ),
        ),
        (
            lambda: from_thread([], abandon_on_cancel="no"),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
            TypeError,
            "abandon_on_cancel must be True or False, got 'no'",
        ),
        (
            lambda: from_thread([], read_ahead=-1),
            ValueError,
            "read_ahead must be 0 or more, got -1",
        ),
        (
            lambda: from_thread([], read_ahead=1.5),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
            TypeError,
            "read_ahead must be an int, got 1.5",
        ),
    ],
)
def test_what_cannot_be_iterated_is_refused(
    make: Callable[[], Any], kind: Any, message: str
) -> None:
    """At once, with a message that says what to write instead."""
    with pytest.raises(kind) as caught:
        make()
    assert str(caught.value) == message
