"""``failure="in_order"``: earlier items come out, then the error; later ones are cancelled."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from conveyor import (
    DIVERT,
    FAIL,
    SKIP,
    BaseTask,
    Context,
    Decision,
    Failed,
    Failure,
    Pipeline,
    PipelineContext,
    Replace,
    RetryAfter,
    StreamClosedError,
    Success,
    TooManyErrorsError,
    batch_task,
    single_task,
)
from helpers import current_time, ticks

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup


class Boom(Exception):
    """What fails."""


class Log:
    """A function with times and failures by item, that says what became of its calls."""

    def __init__(
        self,
        seconds: dict[int, float] | None = None,
        fails: tuple[int, ...] = (),
        cleanup: float = 0,
    ) -> None:
        self.seconds = seconds or {}
        self.fails = fails
        self.cleanup = cleanup
        self.begun: list[int] = []
        self.cancelled: list[tuple[int, float]] = []
        self.cleaned_at: list[float] = []

    async def __call__(self, item: int) -> int:
        self.begun.append(item)
        try:
            await anyio.sleep(self.seconds.get(item, 1))
        except anyio.get_cancelled_exc_class():
            self.cancelled.append((item, current_time()))
            if self.cleanup:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(self.cleanup)
                self.cleaned_at.append(current_time())
            raise
        if item in self.fails:
            raise Boom(item)
        return item


async def outcome(pipeline: Any, data: Any, **context: Any) -> tuple[list[Any], BaseException]:
    """Return the results with their times, and the error, whose time is that of the clock."""
    received = []
    async with pipeline.with_context(failure="in_order", **context)(data) as results:
        try:
            async for item in results:
                received.append((current_time(), item))  # noqa: PERF401 - kept if it fails
        except BaseException as error:
            return received, error
    raise AssertionError(f"no error after {received}")


def values(received: list[tuple[float, Any]]) -> list[Any]:
    return [value for _, value in received]


async def test_earlier_items_are_finished_and_later_ones_cancelled() -> None:
    """Those before the failed item take their time; those behind it end when it fails."""
    log = Log({0: 1, 1: 5, 2: 2, 3: 9, 4: 3}, fails=(2,))
    received, error = await outcome(single_task(log), range(5))
    assert received == [(1, 0), (5, 1)]
    assert (type(error), error.args) == (Boom, (2,))
    assert current_time() == 5
    assert sorted(log.cancelled) == [(3, 2), (4, 2)]


async def test_at_once_is_the_default() -> None:
    """Without the option the first failure cancels earlier items, too."""
    log = Log({0: 5, 1: 2}, fails=(1,))
    assert PipelineContext().failure == "fast"
    with pytest.raises(Boom):
        await single_task(log)(range(2)).collect()
    assert log.cancelled == [(0, 2)]


async def test_an_earlier_failure_takes_the_place_of_a_later_one() -> None:
    """A sequential program would have met that one first, and never have come to the other."""
    log = Log({0: 1, 1: 5, 2: 3, 3: 2, 4: 9}, fails=(1, 3))
    received, error = await outcome(single_task(log), range(5))
    assert received == [(1, 0)]
    assert error.args == (1,)
    assert current_time() == 5
    assert log.cancelled == [(4, 2)]
    assert error.__notes__ == ["raised by task 'Log' for input item 1 after 1 attempt"]


async def test_a_failure_that_is_forgotten_leaves_no_note() -> None:
    """One error for all items is told where the first of them stands, and nowhere else."""
    error = Boom()

    @single_task
    async def fail(item: int) -> int:
        await anyio.sleep(10 - item)
        if item:
            raise error
        return item

    received, raised = await outcome(fail, range(4))
    assert received == [(10, 0)]
    assert raised is error
    assert error.__notes__ == ["raised by task 'fail' for input item 1 after 1 attempt"]


async def test_items_in_the_queue_are_never_started() -> None:
    """Later items that wait for a call have none; earlier ones that wait do."""
    arrivals = Log({3: 1, 4: 2, 5: 2.5, 0: 2.25, 1: 20, 2: 2.75})
    log = Log({3: 3}, fails=(3,))
    pipeline = single_task(arrivals) | single_task(log, concurrency_limit=1)
    received, error = await outcome(pipeline, range(6))
    # When 3 fails, at 4, the queue is 4, 0, 5, 2, and 1 has yet to come.
    assert log.begun == [3, 0, 2, 1]
    assert received == [(5, 0), (21, 1), (21, 2)]
    assert error.args == (3,)


async def test_nothing_more_is_pulled() -> None:
    """The source is closed when the item fails, not when the error arrives."""
    closed = []

    async def source() -> AsyncIterator[int]:
        try:
            for item in range(100):
                yield item
                await anyio.sleep(1)
        finally:
            closed.append(current_time())

    log = Log({0: 50, 2: 1.5}, fails=(2,))
    received, error = await outcome(single_task(log), source())
    assert received == [(50, 0), (50, 1)]
    assert error.args == (2,)
    assert log.begun == [0, 1, 2, 3]
    assert closed == [3.5]


async def test_a_waiting_source_is_closed_uncancelled() -> None:
    """One that waits for room is asked for nothing more, and its cleanup may await."""
    endings = []

    async def source() -> AsyncIterator[int]:
        try:
            for item in range(100):
                yield item
        except BaseException as error:
            await anyio.sleep(3)
            endings.append((current_time(), type(error)))
            raise

    log = Log({0: 2, 1: 1}, fails=(1,))
    task = single_task(log, concurrency_limit=3)
    received, error = await outcome(task, source(), max_in_flight=3)
    assert received == [(2, 0)]
    assert error.args == (1,)
    assert endings == [(4, GeneratorExit)]
    assert current_time() == 4


async def test_the_cleanup_of_later_calls_is_awaited() -> None:
    """It holds up no earlier result, and has ended when the error arrives."""
    log = Log({0: 3, 1: 2, 2: 9}, fails=(1,), cleanup=10)
    received, _ = await outcome(single_task(log), range(3))
    assert received == [(3, 0)]
    assert log.cleaned_at == [12]
    assert current_time() == 12


@pytest.mark.parametrize("is_last", [True, False])
async def test_a_result_in_spite_of_the_cancellation_goes_nowhere(is_last: bool) -> None:
    """A later call that cannot be cancelled is not passed on, and nothing is called with it."""

    @single_task
    async def stubborn(item: int) -> int:
        if item == 1:
            await anyio.sleep(1)
            raise Boom
        with anyio.CancelScope(shield=True):
            await anyio.sleep(5)
        return item

    second = Log()
    pipeline: Any = stubborn if is_last else stubborn | single_task(second)
    async with pipeline.with_context(failure="in_order")(range(4)) as results:
        await anyio.sleep(5.5)
        assert second.begun == ([] if is_last else [0])
        assert results._run.window.held == 1
        assert await anext(results) == 0
        with pytest.raises(Boom):
            await anext(results)


@pytest.mark.parametrize("shape", [list, tuple, "generator"])
async def test_an_expansion_in_spite_of_the_cancellation_goes_nowhere(shape: Any) -> None:
    """Neither the elements of a list nor the values of a generator."""

    @single_task(concurrency_limit=4)
    async def stubborn(item: int) -> Any:
        if item == 1:
            await anyio.sleep(1)
            raise Boom
        with anyio.CancelScope(shield=True):
            await anyio.sleep(5)
        if shape == "generator":
            return iter_twice(item)
        return [item, item]

    def iter_twice(item: int) -> Iterator[int]:
        yield item
        yield item

    second = Log()
    await outcome(stubborn | single_task(second), range(4))
    assert second.begun == [0, 0]


async def test_a_generator_that_cannot_be_cancelled_is_closed() -> None:
    """A value that comes after its item was dropped is the last, and goes nowhere."""
    asked = []

    @single_task
    async def values_of(item: int) -> AsyncIterator[int]:
        if item == 1:
            await anyio.sleep(1)
            raise Boom
        for number in range(3):
            asked.append((item, number))
            with anyio.CancelScope(shield=True):
                await anyio.sleep(5)
            yield number

    second = Log()
    received, _ = await outcome(values_of | single_task(second), range(3))
    assert values(received) == [0, 1, 2]
    assert second.begun == [0, 1, 2]
    assert [each for each in asked if each[0] == 2] == [(2, 0)]


@pytest.mark.parametrize("is_async", [True, False])
async def test_children_before_the_failure_are_delivered(is_async: bool) -> None:
    """A generator that fails on the way has given what it has given."""

    async def expand(item: int) -> AsyncIterator[str]:
        yield f"{item}a"
        await anyio.sleep(1)
        if item == 1:
            raise Boom(item)
        yield f"{item}b"

    def spread(item: int) -> Iterator[str]:
        yield f"{item}a"
        if item == 1:
            raise Boom(item)
        yield f"{item}b"

    @single_task
    async def slow(child: str) -> str:
        await anyio.sleep(5)
        return child

    task: Any = single_task(expand if is_async else spread)
    received, error = await outcome(task | slow, range(3))
    assert values(received) == ["0a", "0b", "1a"]
    assert error.args == (1,)


async def test_a_failing_child_ends_its_siblings() -> None:
    """Those before it come out; the generator that gives those behind it is closed."""
    closed = []

    @single_task
    async def expand(item: int) -> AsyncIterator[int]:
        try:
            for child in range(10):
                yield 10 * item + child
                await anyio.sleep(1)
        finally:
            closed.append((item, current_time()))

    log = Log({0: 20, 10: 1, 11: 1, 12: 3}, fails=(12,))
    received, error = await outcome(expand | single_task(log), range(3))
    assert values(received) == [*range(10), 10, 11]
    assert error.args == (12,)
    assert sorted(closed) == [(0, 10), (1, 5), (2, 5)]


# The window


async def test_a_failing_child_ends_its_siblings_that_wait() -> None:
    """A generator that waits for room, which may take for ever, is closed when it is dropped."""
    closed = []

    @single_task(concurrency_limit=2)
    async def expand(item: int) -> AsyncIterator[int]:
        try:
            if item == 0:
                await anyio.sleep(1)
            for child in range(14):
                yield 20 * item + child
        finally:
            closed.append((item, current_time()))

    log = Log(dict.fromkeys(range(40), 100) | {20: 5}, fails=(20,))
    # So large that nobody is woken for the one place that the failed item gives back.
    pipeline = expand.with_context(failure="in_order", max_in_flight=16) | single_task(log)
    async with pipeline(range(2)) as results:
        await anyio.sleep(50)
        assert closed == [(1, 5), (0, 5)]
        assert results._run.window.held == 14


async def test_dropped_items_give_their_places_back() -> None:
    """An earlier generator that waits for room gets it when the later items are dropped."""
    given = []

    @single_task(concurrency_limit=3)
    async def expand(item: int) -> AsyncIterator[int]:
        for child in range(6):
            if item == 0:
                await anyio.sleep(1)
            yield 10 * item + child
            if item == 0:
                given.append(current_time())

    log = Log(dict.fromkeys(range(100), 0) | {10: 5, 0: 20}, fails=(10,))
    second = single_task(log, concurrency_limit=1)
    received, error = await outcome(expand | second, range(3), max_in_flight=9)
    # The window is full of later items, most of them in the queue, until 10 fails.
    assert values(received) == [*range(6)]
    assert error.args == (10,)
    assert given == [5, 6, 7, 8, 9, 10]
    assert current_time() == 25


@pytest.mark.parametrize("window", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("shape", ["list", "generator", "async_generator"])
async def test_expansions_that_wait_for_room_are_dropped(
    window: int, limit: int, shape: str
) -> None:
    """In windows however small, those behind the failure let the others through, and end."""
    open_calls = []

    def children(item: int) -> Iterator[int]:
        open_calls.append(item)
        try:
            for child in range(4):
                yield 10 * item + child
        finally:
            open_calls.remove(item)

    async def children_slowly(item: int) -> AsyncIterator[int]:
        for child in children(item):
            await anyio.sleep(1)
            yield child

    shapes: dict[str, Any] = {
        "list": lambda item: [*children(item)],
        "generator": children,
        "async_generator": children_slowly,
    }
    task: Any = single_task(shapes[shape], concurrency_limit=limit)
    log = Log({0: 7, 12: 2}, fails=(12,))
    received, error = await outcome(
        task | single_task(log), range(8), max_in_flight=max(window, limit)
    )
    assert values(received) == [0, 1, 2, 3, 10, 11]
    assert error.args == (12,)


async def test_whoever_passed_on_a_list_that_was_dropped_serves_others() -> None:
    """Its worker goes on with the earlier items, which are yet to come."""

    @single_task(concurrency_limit=1)
    def spread(item: int) -> list[int]:
        return [10 * item + child for child in range(9)]

    log = Log({10: 1}, fails=(10,))
    pipeline = single_task(Log({0: 7, 1: 0})) | spread | single_task(log)
    received, error = await outcome(pipeline, range(2), max_in_flight=5)
    assert values(received) == [*range(9)]
    assert error.args == (10,)


async def test_shares_of_the_parallelism_are_given_back() -> None:
    """What dropped items held, and what they waited for, is there for the earlier ones."""
    first = Log({0: 5, 1: 1, 2: 100, 3: 100}, fails=(1,))
    second = Log()
    received, _ = await outcome(
        single_task(first) | single_task(second), range(9), max_parallelism=3
    )
    assert received == [(6, 0)]


# Retries, handlers, timeouts


async def test_it_fails_once_it_fails_for_good() -> None:
    """Not before the last attempt; a timeout is a failure like any other."""
    times = []

    @single_task(retry_attempts=2, retry_delay=1, retry_jitter=0, timeout=2)
    async def slow(item: int) -> int:
        times.append((item, current_time()))
        await anyio.sleep(0 if item == 0 else 10)
        return item

    received, error = await outcome(slow, range(3))
    assert received == [(0, 0)]
    assert type(error) is TimeoutError
    assert error.__notes__ == ["raised by task 'slow' for input item 1 after 2 attempts"]
    assert sorted(times) == [(0, 0), (1, 0), (1, 3), (2, 0), (2, 3)]
    assert current_time() == 5


async def test_a_dropped_item_is_not_repeated() -> None:
    """Neither after its delay, nor at once, nor shown to the handler."""
    calls = []
    asked = []

    class Handler:
        async def handle_error(
            self, error: Exception, item: Any, task_name: str, attempt: int
        ) -> tuple[bool, Any]:
            asked.append(item)
            return False, None

    @single_task(retry_attempts=9, retry_delay=2, retry_jitter=0, error_handler=Handler())
    async def flaky(item: int) -> int:
        calls.append((item, current_time()))
        if item == 3:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(4)
            raise RetryAfter(0)
        if item == 2:
            raise OSError
        await anyio.sleep(50 if item == 0 else 1)
        if item == 1:
            raise KeyError
        return item

    fatal = flaky.replace(retry_on=OSError)
    received, error = await outcome(fatal, range(4))
    assert received == [(50, 0)]
    assert type(error) is KeyError
    assert asked == [1]
    assert calls == [(0, 0), (1, 0), (2, 0), (3, 0)]


@pytest.mark.parametrize("fails", [0, 1])
async def test_a_generator_in_the_place_of_a_result(fails: int) -> None:
    """What a function as ``on_error`` puts there fails, and is dropped, like a call."""
    closed = []

    async def replace(item: int) -> AsyncIterator[int]:
        try:
            yield 10 * item
            await anyio.sleep(1 + item)
            if item == fails:
                raise Boom(item)
            yield 10 * item + 1
        finally:
            closed.append((item, current_time()))

    @single_task(on_error=lambda error, item: Replace(replace(item)))
    def fail(item: int) -> int:
        raise ValueError

    received, error = await outcome(fail, range(4))
    assert error.args == (fails,)
    assert error.__notes__ == ["raised by what took the place of a result of task 'fail'"]
    assert values(received) == [0, 1, 10][: 2 * fails + 1]
    assert sorted(closed) == [(item, min(item, fails) + 1) for item in range(4)]


async def test_cancellations_of_a_dropped_call_are_no_error() -> None:
    """Neither one in a group, nor one that leaks, nor what its cleanup raises."""

    async def grouped() -> None:
        async with anyio.create_task_group() as task_group:
            task_group.start_soon(anyio.sleep_forever)
            await anyio.sleep_forever()

    async def broken() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ZeroDivisionError

    async def wrapped() -> None:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class() as error:
            raise BaseExceptionGroup("", [error, ValueError()]) from None

    ways = [grouped, broken, wrapped]

    @single_task
    async def work(item: int) -> int:
        if item > 1:
            await ways[item % 3]()
        await anyio.sleep(5 if item == 0 else 1)
        if item == 1:
            raise Boom
        return item

    received, error = await outcome(work, range(8))
    assert received == [(5, 0)]
    assert type(error) is Boom


async def test_a_leaked_cancellation_of_a_dropped_call_is_no_error() -> None:
    """It cannot be told from the one that was asked for, and need not be."""
    leaked: list[BaseException] = []

    @single_task
    async def work(item: int) -> int:
        if item == 2:
            with anyio.CancelScope() as scope:
                scope.cancel()
                try:
                    await anyio.sleep(1)
                except anyio.get_cancelled_exc_class() as error:
                    leaked.append(error)
            with anyio.CancelScope(shield=True):
                await anyio.sleep(2)
            if isinstance(leaked[0], asyncio.CancelledError):
                raise asyncio.CancelledError("of nobody's scope")
            raise leaked[0]
        await anyio.sleep(5 if item == 0 else 1)
        if item == 1:
            raise Boom
        return item

    received, error = await outcome(work, range(3))
    assert received == [(5, 0)]
    assert type(error) is Boom


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, BaseException])
async def test_the_end_of_the_program_waits_for_nothing(kind: type[BaseException]) -> None:
    """What is no ``Exception`` ends everything at once, also while a failure is pending."""

    seconds = [1, 9, 4, 3, 2]

    @single_task
    async def work(item: int) -> int:
        await anyio.sleep(seconds[item])
        if item == 4:
            raise Boom
        if item == 2:
            raise kind
        return item

    received, error = await outcome(work, range(5))
    assert type(error) is kind
    assert received == [(1, 0)]
    assert current_time() == 4


async def test_what_is_behind_the_end_of_the_program_is_not_delivered() -> None:
    """The results that are ready in order, and no others."""

    @single_task
    async def work(item: int) -> int:
        if item == 1:
            await anyio.sleep(5)
            raise KeyboardInterrupt
        return item

    received, error = await outcome(work, range(5))
    assert type(error) is KeyboardInterrupt
    assert received == [(0, 0)]


async def test_a_dropped_call_may_end_the_program() -> None:
    """Even then; unlike an error, that is not forgotten."""

    @single_task
    async def work(item: int) -> int:
        try:
            await anyio.sleep([9, 2, 5][item])
        except anyio.get_cancelled_exc_class():
            if item == 2:
                raise KeyboardInterrupt from None
            raise
        raise Boom

    received, error = await outcome(work, range(3))
    assert (received, type(error)) == ([], KeyboardInterrupt)
    assert current_time() == 2


# Order points


async def test_everything_in_later_chains_is_earlier() -> None:
    """What has passed an order point goes on when something fails before it."""
    first = Log({3: 2}, fails=(3,))
    second = Log({0: 5, 1: 5, 2: 5})
    third = Log({0: 2})
    pipeline = (
        single_task(first)
        | single_task(second, in_order=True, concurrency_limit=1)
        | single_task(third, in_order=True)
    )
    received, error = await outcome(pipeline, range(9))
    assert received == [(8, 0), (12, 1), (17, 2)]
    assert error.args == (3,)
    assert current_time() == 17


async def test_everything_in_chains_before_is_later() -> None:
    """It is cancelled, dropped, or not begun; and what fails in there meanwhile is forgotten."""
    first = Log({3: 30, 4: 30, 5: 1.5, 6: 30}, fails=(5,))
    second = Log({0: 9, 1: 1}, fails=(1,))
    pipeline = single_task(first) | single_task(second, in_order=True)
    received, error = await outcome(pipeline, range(7))
    assert received == [(10, 0)]
    assert error.args == (1,)
    assert sorted(first.cancelled) == [(3, 2), (4, 2), (6, 1.5)]


async def test_a_batch_that_is_being_gathered_leaves_as_at_the_end() -> None:
    """What is before the failed item is processed in a smaller batch."""
    log = Log({5: 3, 6: 1}, fails=(5,))
    received, error = await outcome(single_task(log) | batch_task(max_size=4)(tuple), range(9))
    assert received == [(1, (0, 1, 2, 3)), (3, (4,))]
    assert error.args == (5,)


async def test_a_remainder_below_min_size_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """As at the end of the data: not in silence, and counted."""
    log = Log(fails=(5,))
    gather = batch_task(min_size=2, max_size=4)(tuple)
    pipeline = (single_task(log) | gather).with_context(failure="in_order")
    async with pipeline(range(9)) as results:
        assert await anext(results) == (0, 1, 2, 3)
        with pytest.raises(Boom):
            await anext(results)
        assert results.stats().dropped == 1
    [record] = caplog.records
    assert record.getMessage() == (
        "task 'tuple': 1 item(s) left at the end of the input are fewer than min_size=2 "
        "and were dropped"
    )


async def test_a_batch_with_a_timer_does_not_wait_for_it() -> None:
    """There is nothing more to come."""
    log = Log({5: 3}, fails=(5,))
    gather = batch_task(max_size=4, max_wait=60)(tuple)
    received, _ = await outcome(single_task(log) | gather, range(9))
    assert received == [(1, (0, 1, 2, 3)), (3, (4,))]


async def test_a_failing_batch() -> None:
    """Earlier batches are finished; later ones, and what is gathered for them, are dropped."""
    calls = []

    @batch_task(max_size=2, concurrency_limit=3)
    async def work(batch: list[int]) -> list[int]:
        calls.append((current_time(), batch))
        await anyio.sleep({0: 5, 2: 1, 4: 3}[batch[0]])
        if batch[0] == 2:
            raise Boom
        return batch

    async def source() -> AsyncIterator[int]:
        for item in range(20):
            await anyio.sleep(0.125)
            yield item

    received, error = await outcome(work, source())
    assert calls == [(0.25, [0, 1]), (0.5, [2, 3]), (0.75, [4, 5])]
    assert received == [(5.25, 0), (5.25, 1)]
    assert error.__notes__ == ["raised by task 'work' for input item 2 after 1 attempt"]


async def test_poison_that_is_fatal() -> None:
    """The parts of a batch before the one that fails come out; those behind it are not tried."""
    calls = []

    def check(error: Exception) -> bool:
        if str(error) == "5":
            raise Boom
        return False

    @batch_task(max_size=8, on_error="skip_item", max_retries=1, retry_on=check)
    def work(batch: list[int]) -> list[int]:
        calls.append(batch)
        if 2 in batch:
            raise ValueError(2)
        if batch[0] >= 4:
            raise ValueError(5)
        return batch

    received, error = await outcome(work, range(8))
    assert values(received) == [0, 1, 3]
    assert type(error) is Boom
    assert calls == [[*range(8)], [0, 1, 2, 3], [0, 1], [2, 3], [2], [3], [4, 5, 6, 7]]


@pytest.mark.parametrize("option", ["weight", "batch_by"])
async def test_a_failing_weight_has_the_place_of_its_item(option: str) -> None:
    """What was before it is in batches, and leaves as at the end."""

    def measure(item: int) -> int:
        if item == 3:
            raise Boom(item)
        return 0

    options: Any = {option: measure}
    if option == "weight":
        options["max_weight"] = 10
    pulled = []

    def source() -> Iterator[int]:
        for item in range(50):
            pulled.append(item)
            yield item

    gather = batch_task(max_size=2, **options)(tuple)
    async with gather.with_context(failure="in_order")(source()) as results:
        assert await anext(results) == (0, 1)
        await ticks(5)
        # All that came with it in one burst of the source is dropped.
        assert len(pulled) < 50
        assert results._run.window.held <= 2  # its two batches
        assert await anext(results) == (2,)
        with pytest.raises(Boom) as caught:
            await anext(results)
    assert caught.value.__notes__ == [f"raised by {option} of task 'tuple' for input item 3"]
    received, error = await outcome(single_task(Log({0: 9})) | gather, range(9))
    assert received == [(9, (0, 1)), (9, (2,))]
    assert error.args == (3,)


class Pairs(BaseTask[int, Any]):
    """Takes items in pairs; the last one may come alone."""

    def __init__(self, most: int = 1000, fails_at: int | None = None) -> None:
        super().__init__(task_name="pairs")
        self.most = most
        self.fails_at = fails_at
        self.ending = ""

    async def process(self, items: AsyncIterator[int]) -> AsyncIterator[Any]:
        pair: list[int] = []
        taken = 0
        try:
            while taken < self.most:
                try:
                    pair.append(await anext(items))
                except StopAsyncIteration:
                    break
                taken += 1
                if pair[-1] == self.fails_at:
                    raise Boom(pair[-1])
                if len(pair) == 2:
                    yield tuple(pair)
                    pair.clear()
            if pair:
                yield tuple(pair)
            self.ending = "end"
        except BaseException as error:
            self.ending = type(error).__name__
            raise


async def test_a_process_sees_the_end_of_its_items() -> None:
    """It has all items before the failed one, and what it makes of their end comes out."""
    pairs = Pairs()
    log = Log({0: 3}, fails=(3,))
    received, error = await outcome(single_task(log) | pairs, range(9))
    assert received == [(3, (0, 1)), (3, (2,))]
    assert error.args == (3,)
    assert pairs.ending == "end"


async def test_a_failing_process() -> None:
    """What it has given comes out before."""
    pairs = Pairs(fails_at=5)

    @single_task
    async def slow(pair: tuple[int, int]) -> tuple[int, int]:
        await anyio.sleep(7)
        return pair

    received, error = await outcome(single_task(Log()) | pairs | slow, range(9))
    assert received == [(8, (0, 1)), (8, (2, 3))]
    assert error.args == (5,)


async def test_a_process_behind_a_failure_is_closed() -> None:
    """When one of its results fails, what it would have given is later."""
    pairs = Pairs()

    @single_task
    async def check(pair: tuple[int, int]) -> tuple[int, int]:
        await anyio.sleep(5 if pair == (0, 1) else 1)
        if pair == (2, 3):
            raise Boom
        return pair

    async def source() -> AsyncIterator[int]:
        for item in range(20):
            await anyio.sleep(0.5)
            yield item

    received, error = await outcome(pairs | check, source())
    assert received == [(6, (0, 1))]
    assert type(error) is Boom
    assert pairs.ending in ("CancelledError", "Cancelled")


@pytest.mark.parametrize("most", [0, 2, 4])
async def test_a_process_that_has_enough_never_comes_to_the_failure(most: int) -> None:
    """What it did not ask for has no place in the results, failures included."""
    log = Log({0: 5}, fails=(4,))
    pipeline = (single_task(log) | Pairs(most)).with_context(failure="in_order")
    async with pipeline(range(9)) as results:
        assert await results.collect() == [(0, 1), (2, 3)][: most // 2]


async def test_a_process_that_asks_once_more_comes_to_the_failure() -> None:
    """The failed item is the next one that it asks for."""
    received, _ = await outcome(single_task(Log({0: 5}, fails=(4,))) | Pairs(5), range(9))
    assert values(received) == [(0, 1), (2, 3)]


async def test_processes_that_have_enough_one_before_the_other() -> None:
    """What the last of them did not ask for has no place, whatever one before it leaves too."""

    async def source() -> AsyncIterator[int]:
        for item in range(100):
            await anyio.sleep(1)
            yield item

    @single_task
    async def check(pair: tuple[int, int]) -> tuple[int, int]:
        await anyio.sleep(1)
        if pair == (2, 3):
            raise Boom
        return pair

    @single_task
    async def slow(pair: Any) -> Any:
        await anyio.sleep(20)
        return pair

    class First(Pairs):
        async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
            yield await anext(items)

    pipeline = Pairs(4) | check | First() | slow
    assert await pipeline.with_context(failure="in_order")(source()).collect() == [(0, 1)]
    assert current_time() == 23


# Sources and side inputs


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_failing_source_comes_after_all_that_it_gave(is_async: bool) -> None:
    """It has its place behind them; none of them is cancelled."""

    async def slowly() -> AsyncIterator[int]:
        for item in range(3):
            yield item
        raise Boom

    def at_once() -> Iterator[int]:
        yield from range(3)
        raise Boom

    log = Log({1: 7})
    data: Any = slowly() if is_async else at_once()
    received, error = await outcome(single_task(log) | batch_task(max_size=2)(tuple), data)
    assert received == [(7, (0, 1)), (7, (2,))]
    assert error.__notes__ == ["raised by the source after 3 item(s)"]


async def test_an_item_that_fails_goes_before_its_source() -> None:
    """Also if the source has failed first."""

    async def source() -> AsyncIterator[int]:
        for item in range(3):
            yield item
        raise KeyError

    received, error = await outcome(single_task(Log({1: 7}, fails=(1,))), source())
    assert received == [(1, 0)]
    assert type(error) is Boom


@pytest.mark.parametrize("fails", [(), (1,)])
async def test_a_failing_cleanup_of_the_source(fails: tuple[int, ...]) -> None:
    """It has its place at the end, and gives way to any item's failure, which closes the source."""
    closed = []

    async def source() -> AsyncIterator[int]:
        try:
            for item in range(3):
                yield item
            await anyio.sleep(3)
        finally:
            closed.append(current_time())
            raise KeyError

    received, error = await outcome(single_task(Log({0: 9}, fails=fails)), source())
    if fails:
        assert (received, type(error), closed) == ([(9, 0)], Boom, [1])
    else:
        assert (values(received), type(error), closed) == ([0, 1, 2], KeyError, [3])


async def test_an_item_in_spite_of_the_cancellation_goes_nowhere() -> None:
    """A source that cannot be cancelled gives one more, which is dropped, and is then closed."""

    async def source() -> AsyncIterator[int]:
        yield 0
        yield 1
        with anyio.CancelScope(shield=True):
            await anyio.sleep(4)
        yield 2
        raise AssertionError

    log = Log({0: 9}, fails=(1,))
    async with single_task(log).with_context(failure="in_order")(source()) as results:
        await anyio.sleep(5)
        assert results._run.window.held == 1
        assert await anext(results) == 0
        with pytest.raises(Boom):
            await anext(results)
    assert log.begun == [0, 1]


async def test_places_of_a_burst_that_fails_are_given_back() -> None:
    """A source that fails amid a burst holds nobody up who waits for room."""

    def source() -> Iterator[int]:
        yield 0
        yield 1
        raise KeyError

    @single_task(concurrency_limit=2)
    async def expand(item: int) -> AsyncIterator[int]:
        for child in range(3):
            await anyio.sleep(1)
            yield child

    async with expand.with_context(failure="in_order", max_in_flight=10)(source()) as results:
        await anyio.sleep(100)
        # The children of the two, who have ended: nothing else has a place.
        assert results._run.window.held == 6
        assert results._handoff.is_settled


async def test_a_failing_side_input_has_the_place_of_the_first_who_needs_it() -> None:
    """What does not come there is delivered; whoever comes first gets the error."""

    async def fetch() -> int:
        await anyio.sleep(3)
        raise Boom

    @single_task
    async def first(item: int) -> int | None:
        await anyio.sleep(9 if item == 2 else 0)
        return item if item > 1 else None

    @single_task
    async def add(item: int, other: int) -> int:
        return item + other

    @batch_task(max_size=2)
    def gather(batch: list[int], other: int) -> list[int]:
        return batch

    async with (first | add(fetch())).with_context(failure="in_order")(range(5)) as results:
        with pytest.raises(Boom) as caught:
            await anext(results)
    assert current_time() == 9
    assert caught.value.__notes__ == ["raised by a side input of task 'add'"]
    received, error = await outcome(single_task(Log()) | gather(fetch()), range(5))
    assert received == []
    assert error.__notes__ == ["raised by a side input of task 'gather'"]


# The consumer


async def test_a_slow_consumer_gets_all_of_it() -> None:
    """Results that wait to be taken are as good as delivered."""
    pipeline = single_task(Log(fails=(3,))).with_context(failure="in_order")
    received = []
    async with pipeline(range(9)) as results:
        await anyio.sleep(100)
        with pytest.raises(Boom):
            async for item in results:
                received.append(item)
                await anyio.sleep(100)
    assert received == [0, 1, 2]


async def test_whoever_leaves_before_does_not_come_to_the_failure() -> None:
    """Like a loop over a generator that is left before the generator fails."""
    log = Log({0: 1, 1: 9, 2: 2, 3: 3}, fails=(2, 3))
    pipeline = single_task(log).with_context(failure="in_order")
    async with pipeline(range(5)) as results:
        assert await anext(results) == 0
        await anyio.sleep(4)
    assert log.cancelled[-1] == (1, 5)
    assert current_time() == 5
    assert await pipeline(range(5)).first() == 0
    async for item in pipeline(range(5)):
        assert item == 0
        break


async def test_closing_while_it_winds_down() -> None:
    """``aclose()`` cancels the earlier items, too, and the failure comes to nobody."""
    log = Log({0: 20, 1: 2}, fails=(1,))
    stream = single_task(log).with_context(failure="in_order")(range(5))
    async with anyio.create_task_group() as task_group:
        task_group.start_soon(close_at, 5, stream)
        with pytest.raises(StreamClosedError):
            async for _ in stream:
                pass
    assert (0, 5) in log.cancelled
    assert current_time() == 5


async def test_a_failure_of_a_call_that_is_cancelled_comes_to_nobody() -> None:
    """Whoever closes the stream does not come to the place where that item would have been."""

    @single_task
    async def work(item: int) -> int:
        try:
            await anyio.sleep(5)
        finally:
            raise Boom

    async with work.with_context(failure="in_order")(range(5)):
        await anyio.sleep(1)


async def test_a_source_that_cannot_be_closed_fails_whoever_closes_it() -> None:
    """As ever: its place is where the data end, and that is here now."""

    async def source() -> AsyncIterator[int]:
        try:
            yield 0
            await anyio.sleep_forever()
        finally:
            raise Boom

    with pytest.raises(Boom):
        async with single_task(Log()).with_context(failure="in_order")(source()) as results:
            assert await anext(results) == 0


async def close_at(when: float, stream: Any) -> None:
    await anyio.sleep(when)
    await stream.aclose()


@pytest.mark.parametrize("timeout", [None, 100])
async def test_draining_while_it_winds_down(timeout: float | None) -> None:
    """It is under way already; the failure comes at its place."""
    pipeline = single_task(Log({0: 20, 1: 2}, fails=(1,))).with_context(failure="in_order")
    async with pipeline(range(5)) as results:
        await anyio.sleep(5)
        results.drain(timeout)
        assert await anext(results) == 0
        with pytest.raises(Boom):
            await anext(results)
    assert current_time() == 20


async def test_a_drain_that_takes_too_long_while_it_winds_down() -> None:
    """Its time is up before the place of the failure is reached."""
    pipeline = single_task(Log({0: 20, 1: 2}, fails=(1,))).with_context(failure="in_order")
    async with pipeline(range(5)) as results:
        await anyio.sleep(5)
        results.drain(timeout=5)
        with pytest.raises(TimeoutError, match="has not drained within 5 s"):
            await anext(results)
    assert current_time() == 10


async def test_a_wait_that_is_cancelled_loses_nothing() -> None:
    """A timeout per result, as ever."""
    pipeline = single_task(Log({0: 9, 1: 2}, fails=(1,))).with_context(failure="in_order")
    async with pipeline(range(5)) as results:
        with anyio.move_on_after(4):
            await anext(results)
        assert await anext(results) == 0
        with pytest.raises(Boom):
            await anext(results)


async def test_after_the_failure_the_stream_is_closed() -> None:
    """It is raised once."""
    pipeline = single_task(Log(fails=(0,))).with_context(failure="in_order")
    async with pipeline(range(5)) as results:
        with pytest.raises(Boom):
            await anext(results)
        with pytest.raises(StreamClosedError):
            await anext(results)


async def test_what_is_counted() -> None:
    """Dropped items have come in, and have not come out; no place in the window is lost."""
    log = Log({0: 9, 3: 30}, fails=(2,))
    stream = single_task(log).with_context(failure="in_order")(range(5))
    async with stream as results:
        assert await anext(results) == 0
        await ticks(5)
        assert await anext(results) == 1
        assert stream._run.window.held == 0
        with pytest.raises(Boom):
            await anext(results)
        statistics = results.stats()
    assert (statistics.items_in, statistics.items_out) == (5, 2)
    assert (statistics.stages[0].items_in, statistics.skipped, statistics.dropped) == (5, 0, 0)


async def test_a_run_without_failures() -> None:
    """It is like any other, its ledger included."""
    pipeline = single_task(Log()) | batch_task(max_size=2)(list) | single_task(Log())
    stream = pipeline.with_context(failure="in_order")(range(7))
    assert await stream.collect() == [*range(7)]
    assert stream.stats().items_out == 7


async def test_context_variables_are_kept_apart() -> None:
    """A call whose variables have to be kept from the next one can be dropped all the same."""
    number: ContextVar[int] = ContextVar("number", default=-1)
    before = []
    log = Log({0: 9, 4: 1, 5: 20}, fails=(4,))

    @single_task(concurrency_limit=3)
    async def work(item: int) -> int:
        before.append(number.get())
        number.set(item)
        return await log(item)

    received, error = await outcome(work, range(9))
    assert values(received) == [0, 1, 2, 3]
    assert error.args == (4,)
    assert set(before) == {-1}


# Settings


def test_other_policies_are_refused() -> None:
    """The message says which there are."""
    with pytest.raises(ValueError, match=r"^failure must be 'fast' or 'in_order', got 'slow'$"):
        Pipeline().with_context(failure="slow")
    with pytest.raises(ValueError, match=r"^failure must be 'fast' or 'in_order', got True$"):
        PipelineContext(failure=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "combine",
    [
        lambda: PipelineContext(failure="in_order", execution_mode="as_completed"),
        lambda: Context({}, failure="in_order", execution_mode="as_completed"),
        lambda: Pipeline().with_context(failure="in_order").with_execution_mode("as_completed"),
        lambda: Pipeline().with_execution_mode("as_completed").with_context(failure="in_order"),
        lambda: Pipeline().with_context(failure="in_order").as_completed([]),
        lambda: Pipeline().with_context(failure="in_order")([]).as_completed(),
    ],
)
def test_completion_order_is_refused(combine: Any) -> None:
    """There is no place in it at which an error could be raised."""
    with pytest.raises(ValueError, match=r"^failure='in_order' needs execution_mode='ordered'"):
        combine()


async def test_completion_order_is_refused_at_the_latest_by_the_run() -> None:
    """A context can be changed where nobody looks."""
    pipeline = Pipeline().with_context(failure="in_order")
    pipeline.context.execution_mode = "as_completed"
    with pytest.raises(ValueError, match=r"^failure='in_order' needs execution_mode='ordered'"):
        await pipeline([]).collect()


# Other ways for failed items


class Odd(Exception):
    """What does not end a run."""


def decide(error: Exception, item: Any) -> Decision:
    return SKIP if isinstance(error, Odd) else FAIL


async def test_an_item_that_is_skipped_ends_nothing() -> None:
    """Neither before the failure nor behind it; and one that was dropped is not counted."""

    @single_task(on_error=decide)
    async def work(item: int) -> int:
        try:
            await anyio.sleep([1, 4, 9, 3, 1, 9][item])
        except anyio.get_cancelled_exc_class():
            raise Odd from None
        if item in (1, 4):
            raise Odd
        if item == 3:
            raise Boom(item)
        return item

    pipeline = work.with_context(failure="in_order")
    async with pipeline(range(6)) as results:
        assert [await anext(results), await anext(results)] == [0, 2]
        with pytest.raises(Boom):
            await anext(results)
        assert results.stats().skipped == 2
    assert current_time() == 9


async def test_whoever_is_told_of_a_dropped_item_is_cancelled() -> None:
    """A function that is told of diverted items works on those items."""
    told: list[tuple[int, str, float]] = []

    async def tell(failure: Failure) -> None:
        try:
            await anyio.sleep(5)
        except anyio.get_cancelled_exc_class():
            told.append((failure.index, "cancelled", current_time()))
            raise
        told.append((failure.index, "done", current_time()))

    @single_task(on_error=lambda error, _: DIVERT if isinstance(error, Odd) else FAIL)
    async def work(item: int) -> int:
        await anyio.sleep([1, 2, 9, 3, 1][item])
        if item in (1, 4):
            raise Odd
        if item == 3:
            raise Boom
        return item

    received, error = await outcome(work, range(5), on_failure=tell)
    assert (received, type(error)) == ([(1, 0), (9, 2)], Boom)
    assert told == [(4, "cancelled", 3), (1, "done", 7)]


async def test_a_function_that_is_told_fails_at_the_place_of_its_item() -> None:
    """As the task itself would; later items are dropped, earlier ones are delivered."""
    log = Log({0: 5, 1: 1, 2: 9}, fails=(1,))

    async def tell(failure: Failure) -> None:
        await anyio.sleep(1)
        raise Odd

    received, error = await outcome(single_task(log, on_error="divert"), range(3), on_failure=tell)
    assert (received, type(error)) == ([(5, 0)], Odd)
    assert log.cancelled == [(2, 2)]
    assert type(error.__context__) is Boom
    assert error.__notes__ == ["raised by on_failure for input item 1, which failed in task 'Log'"]


async def test_a_function_that_is_told_ends_the_program() -> None:
    """At once, as from anywhere."""

    def tell(failure: Failure) -> None:
        raise KeyboardInterrupt

    log = Log({0: 5}, fails=(1,))
    received, error = await outcome(single_task(log, on_error="divert"), range(2), on_failure=tell)
    assert (received, type(error)) == ([], KeyboardInterrupt)
    assert current_time() == 1


async def test_failures_among_the_results_end_nothing() -> None:
    """They have their places already."""
    log = Log({0: 3, 1: 2, 2: 1}, fails=(1, 2))
    stream = single_task(log).with_context(failure="in_order").outcomes(range(4))
    assert [type(each) for each in await stream.collect()] == [Success, Failure, Failure, Success]
    assert not log.cancelled


@pytest.mark.parametrize("option", ["weight", "batch_by"])
async def test_what_ends_a_run_of_outcomes_does_so_in_order(option: str) -> None:
    """A mistake in the settings has its place, with the failures of items before and behind it."""

    def measure(item: int) -> int:
        if item == 5:
            raise Odd
        return 1

    options: dict[str, Any] = {"max_weight": 2} if option == "weight" else {}
    gather = batch_task(max_size=2, **{option: measure}, **options)(list)
    # All of them come to the batches together.
    first = Log({0: 5}, fails=(1, 4, 6))
    pipeline = single_task(first) | gather
    stream = pipeline.with_context(failure="in_order", max_in_flight=20).outcomes(range(10))
    received = []
    with pytest.raises(Odd):
        async for each in stream:
            received.append(each.value if isinstance(each, Success) else each.index)  # noqa: PERF401
    assert received == [1, 0, 2, 4, 3]
    assert stream._run.window.held == 0


async def test_failures_behind_full_batches_are_dropped_with_those() -> None:
    """They come later than the batch that fails."""
    first = Log(fails=(4, 5, 8))

    def broken(error: BaseException) -> bool:
        raise Odd

    @batch_task(max_size=2, max_retries=1, retry_on=broken)
    async def second(batch: list[int]) -> list[int]:
        await anyio.sleep(1)
        if batch[0] == 2:
            raise Boom
        return batch

    pipeline = (single_task(first) | second).with_context(failure="in_order")
    stream = pipeline.outcomes(range(9))
    received = []
    with pytest.raises(Odd):
        async for each in stream:
            received.append(each.value)  # noqa: PERF401
    assert received == [0, 1]
    assert stream._run.window.held == 0


@pytest.mark.parametrize("flatten", [True, False])
async def test_items_of_a_batch_that_fail(flatten: bool) -> None:
    """The results of the items before one come out, if they are results of their own."""

    @batch_task(max_size=4, flatten=flatten, concurrency_limit=3)
    async def work(batch: list[int]) -> list[Any]:
        await anyio.sleep(10 - batch[0])
        return [Failed(Boom(item)) if item in (5, 6, 9) else item for item in batch]

    received, error = await outcome(work, range(12))
    assert values(received) == ([0, 1, 2, 3, 4] if flatten else [[0, 1, 2, 3]])
    assert error.args == (5,)


@pytest.mark.parametrize("limit", [{"max_errors": 1}, {"max_error_rate": 0.1}])
async def test_too_many_errors_are_none_of_an_item(limit: dict[str, Any]) -> None:
    """They end the run at once, also while it winds down."""
    seconds = [9, 3, 4, 2, 5]

    @single_task(on_error=decide)
    async def work(item: int) -> int:
        await anyio.sleep(seconds[item])
        raise Boom if item == 3 else Odd

    limit = {"min_error_sample": 1, **limit}
    received, error = await outcome(work, range(5), **limit)
    assert (received, type(error)) == ([], TooManyErrorsError)
    assert current_time() == (4 if "max_errors" in limit else 3)


async def test_the_rate_is_not_looked_at_behind_a_failure() -> None:
    """What the consumer gets is the failure that the run ends with."""

    @single_task(on_error=decide)
    def work(item: int) -> int:
        raise Boom if item else Odd

    _, error = await outcome(work, range(2), max_error_rate=0.1, min_error_sample=100)
    assert type(error) is Boom


# Keys, priorities, caches, hedges


async def test_items_that_wait_for_their_key_are_never_started() -> None:
    """Neither those that wait for a call that is cancelled, nor for one that goes on."""
    log = Log({0: 5, 1: 2, 3: 9}, fails=(1,))
    pipeline = single_task(log, key=lambda item: item % 2).with_context(failure="in_order")
    async with pipeline(range(8)) as results:
        assert await anext(results) == 0
        with pytest.raises(Boom):
            await anext(results)
        assert results.stats().stages[0].items_in == 2
    assert log.begun == [0, 1]
    assert current_time() == 5


async def test_earlier_items_go_on_in_their_lanes() -> None:
    """Only those behind the failed one are forgotten."""
    log = Log({0: 2, 1: 2, 2: 2, 6: 9}, fails=(4,))
    received, error = await outcome(single_task(log, key="ababcad".__getitem__), range(7))
    assert (received, error.args) == ([(2, 0), (2, 1), (4, 2), (4, 3)], (4,))
    assert sorted(log.begun) == [0, 1, 2, 3, 4, 6]
    assert log.cancelled == [(6, 1)]


@pytest.mark.parametrize("option", ["key", "priority"])
@pytest.mark.parametrize("shape", ["source", "list", "item"])
async def test_a_failing_key_has_the_place_of_its_item(option: str, shape: str) -> None:
    """It waits nowhere, and nobody works on it; nor on what came with it."""

    asked = []

    def measure(item: int) -> int:
        asked.append(item)
        if item == 3:
            raise Boom(item)
        return item

    log = Log({0: 5, 2: 3})
    options: dict[str, Any] = {option: measure}
    last: Any = single_task(log, **options)
    pipeline: Any = {
        "source": last,
        "list": single_task(lambda _: [*range(6)]) | last,
        "item": single_task(lambda item: item) | last,
    }[shape]
    pipeline = pipeline.with_context(failure="in_order")
    received = []
    async with pipeline([0] if shape == "list" else range(6)) as results:
        run = results._run
        with pytest.raises(Boom) as caught:
            async for item in results:
                received.append(item)  # noqa: PERF401
    assert received == [0, 1, 2]
    assert caught.value.__notes__[0].startswith(f"raised by {option} of task 'Log'")
    assert asked == [0, 1, 2, 3]
    assert log.begun == [0, 1, 2]
    assert run.window.held == 0


async def test_a_failing_side_input_of_a_task_with_a_cache() -> None:
    """It fails at the first item that comes to the task, also if its result is known."""

    async def broken() -> int:
        raise Boom

    @single_task(cache={0: 0})
    async def work(item: int, side: int) -> int:
        return item

    received, error = await outcome(work.with_inputs(side=broken()), range(3))
    assert (received, type(error)) == ([], Boom)
    assert error.__notes__ == ["raised by a side input of task 'work'"]


async def test_a_dropped_item_is_not_looked_up() -> None:
    """A store that takes its time is left like a call."""
    asked: list[tuple[str, int]] = []

    class Store:
        async def get(self, key: int, default: Any) -> Any:
            try:
                await anyio.sleep(key)
            except anyio.get_cancelled_exc_class():
                asked.append(("cancelled", key))
                raise
            return default

        async def set(self, key: int, value: Any) -> None:
            asked.append(("set", key))

    @single_task(cache=Store())
    async def work(item: int) -> int:
        if item == 2:
            raise Boom
        return item

    received, error = await outcome(work, [3, 1, 2, 4])
    assert (values(received), type(error)) == ([3, 1], Boom)
    assert asked == [("set", 1), ("cancelled", 4), ("set", 3)]


async def test_a_dropped_item_with_a_cache_is_not_repeated() -> None:
    """Also where nothing has been awaited since it was dropped."""
    calls = []

    @single_task(cache={}, max_retries=2)
    async def flaky(item: int) -> int:
        calls.append(item)
        if item == 2:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(4)
            raise RetryAfter(0)
        await anyio.sleep([9, 1][item])
        raise Boom if item else Odd

    fatal = flaky.replace(retry_on=OSError)
    _, error = await outcome(fatal, range(3))
    assert type(error) is Odd
    assert calls == [0, 1, 2]


async def test_both_attempts_of_a_dropped_item_are_cancelled() -> None:
    """The second, in a task of its own, as well."""
    log = Log({0: 9, 1: 5, 2: 20}, fails=(1,))
    received, error = await outcome(single_task(log, hedge_after=3), range(3))
    assert (received, error.args) == ([(9, 0)], (1,))
    # The first attempt with item 1 fails at 5, which leaves it to the second.
    assert log.cancelled == [(2, 8), (2, 8), (0, 9)]
