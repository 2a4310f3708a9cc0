"""One call: attempts with backoff, then the error handler, then ``on_error``."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from conveyor import (
    SKIP,
    ErrorHandler,
    LoggingErrorHandler,
    RetryConfig,
    batch_task,
    single_task,
)
from conveyor._engine.call import Call
from helpers import current_time


class TaskError(Exception):
    """Raised by tasks."""


class OtherError(Exception):
    """Raised by tasks too, or by handlers."""


class Flaky:
    """A function that fails a number of times, takes its time, and notes when it was called."""

    def __init__(self, *errors: BaseException, seconds: float = 0) -> None:
        self.errors = list(errors)
        self.seconds = seconds
        self.times: list[float] = []

    async def __call__(self, item: Any) -> Any:
        number = len(self.times)
        self.times.append(current_time())
        if self.seconds:
            await anyio.sleep(self.seconds)
        if number < len(self.errors):
            raise self.errors[number]
        return item


class Answer(ErrorHandler):
    """A handler that gives one answer and notes what it was asked."""

    def __init__(self, *answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[Any, ...]] = []

    async def handle_error(self, *args: Any) -> Any:
        self.asked.append(args)
        return self.answer


# Attempts and their delays


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({}, [0]),
        ({"retry_attempts": 1}, [0]),
        ({"max_retries": 0}, [0]),
        ({"retry_attempts": 4}, [0, 1, 3, 7]),
        ({"max_retries": 3}, [0, 1, 3, 7]),
        ({"on_error": "retry"}, [0, 1, 3, 7]),
        ({"on_error": "retry", "max_retries": 1}, [0, 1]),
        ({"on_error": "retry", "retry_attempts": 3}, [0, 1, 3]),
        ({"retry_attempts": 4, "retry_delay": 0.5, "retry_backoff": 4}, [0, 0.5, 2.5, 10.5]),
        ({"retry_attempts": 4, "retry_exponential_backoff": False}, [0, 1, 2, 3]),
        ({"retry_attempts": 5, "retry_max_delay": 3}, [0, 1, 3, 6, 9]),
        ({"retry_attempts": 3, "retry_delay": 0}, [0, 0, 0]),
        ({"retry_attempts": 3, "retry_delay": 100}, [0, 60, 120]),
    ],
)
async def test_attempts_come_after_exact_delays(
    options: dict[str, Any], times: list[float]
) -> None:
    """Without jitter every attempt has its exact time, and the last error comes out."""
    errors = [TaskError() for _ in range(9)]
    flaky = Flaky(*errors)
    with pytest.raises(TaskError) as caught:
        await single_task(flaky, retry_jitter=0, **options)([1]).collect()
    assert flaky.times == times
    assert caught.value is errors[len(times) - 1]


async def test_retry_config_says_the_same_as_the_keywords() -> None:
    """A ``RetryConfig`` sets attempts, base, multiplier and cap."""
    flaky = Flaky(TaskError(), TaskError(), TaskError(), seconds=1)
    config = RetryConfig(max_attempts=4, base_delay=8, backoff_multiplier=3, max_delay=25, jitter=0)
    assert await single_task(flaky, retry_config=config)(["x"]).collect() == ["x"]
    # Each attempt takes a second; the delay begins when it has failed.
    assert flaky.times == [0, 1 + 8, 10 + 24, 35 + 25]


@pytest.mark.parametrize("jitter", [0.5, True])
async def test_jitter_keeps_the_delay_within_its_bounds(jitter: float | bool) -> None:
    """A fraction lengthens the delay, full jitter draws it from zero; never beyond the cap."""
    flaky = Flaky(*[TaskError()] * 30)
    task = single_task(
        flaky,
        retry_attempts=31,
        retry_delay=4,
        retry_exponential_backoff=False,
        retry_max_delay=5,
        retry_jitter=jitter,
    )
    assert await task([0]).collect() == [0]
    delays = [later - earlier for earlier, later in zip(flaky.times, flaky.times[1:], strict=False)]
    low = 0 if jitter is True else 4
    assert all(low <= delay <= 5.000001 for delay in delays)
    assert len(set(delays)) > 1


async def test_other_items_go_on_during_a_delay() -> None:
    """An item that waits for its next attempt holds up no other one."""

    @single_task(retry_attempts=2, retry_delay=10, retry_jitter=0)
    async def work(item: int) -> tuple[int, float]:
        if item == 0 and current_time() == 0:
            raise TaskError
        return item, current_time()

    assert await work.as_completed(range(3)).collect() == [(1, 0), (2, 0), (0, 10)]


@pytest.mark.parametrize(
    ("options", "begins_plainly"),
    [
        ({"retry_attempts": 3}, True),
        ({"on_error": "skip_item"}, True),
        ({"on_error": lambda error, item: SKIP}, True),
        ({"fallback": single_task(lambda item: item)}, True),
        ({"timeout": 9}, False),
        ({"deadline": 9}, False),
        ({"key": lambda item: item}, False),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_options_that_count_only_on_failure_surround_no_call(
    options: dict[str, Any], begins_plainly: bool
) -> None:
    """A first attempt is made as without them, so they cost it nothing."""
    task = single_task(lambda item: item, **options)
    assert Call(task.func, task.options).begins_plainly is begins_plainly


@pytest.mark.parametrize("options", [{}, {"timeout": 9}], ids=["plain", "general"])
@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
async def test_attempts_do_not_know_of_one_another(kind: str, options: dict[str, Any]) -> None:
    """The error of one is not the context of the next one's."""

    def fail(item: int) -> int:
        raise TaskError

    async def fail_later(item: int) -> int:
        await anyio.sleep(1)
        raise TaskError

    function = fail if kind == "plain" else fail_later
    task = single_task(retry_attempts=3, retry_delay=0, **options)(function)
    with pytest.raises(TaskError) as caught:
        await task([1]).collect()
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


async def test_retries_are_counted() -> None:
    """The statistics count the attempts after the first."""
    task = single_task(Flaky(TaskError(), TaskError()), retry_attempts=3, retry_delay=0)
    async with task([1, 2]) as results:
        assert await results.collect() == [1, 2]
        assert results.stats().stages[0].retried == 2


async def test_a_batch_is_retried_whole() -> None:
    """Every attempt of a batch task gets the same batch."""
    seen: list[list[int]] = []

    @batch_task(max_size=2, retry_attempts=2, retry_jitter=0)
    async def work(batch: list[int]) -> int:
        seen.append(batch)
        if len(seen) == 1:
            raise TaskError
        return sum(batch)

    assert await work([1, 2, 3]).collect() == [3, 3]
    assert seen == [[1, 2], [1, 2], [3]]


# retry_on


@pytest.mark.parametrize(
    "retry_on",
    [TaskError, (KeyError, TaskError), lambda error: type(error) is TaskError],
    ids=["type", "tuple", "predicate"],
)
async def test_only_matching_errors_are_retried(retry_on: Any) -> None:
    """An error that does not match ``retry_on`` is the last one."""
    last = OtherError()
    flaky = Flaky(TaskError(), last, TaskError())
    task = single_task(flaky, retry_attempts=9, retry_delay=0, retry_on=retry_on)
    with pytest.raises(OtherError) as caught:
        await task([1]).collect()
    assert caught.value is last
    assert len(flaky.times) == 2


async def test_the_predicate_gets_the_error_itself() -> None:
    """A predicate is shown the very exception, once per failed attempt that has a successor."""
    errors = [TaskError(), TaskError(), TaskError()]
    shown: list[Exception] = []
    task = single_task(
        Flaky(*errors),
        retry_attempts=3,
        retry_delay=0,
        on_error="skip_item",
        retry_on=lambda error: shown.append(error) or True,
    )
    assert await task([1]).collect() == []
    assert [id(error) for error in shown] == [id(error) for error in errors[:2]]


async def test_a_predicate_may_return_the_delay() -> None:
    """A number is waited for instead of the backoff, whatever its cap; 0 is at once."""
    answers: list[Any] = [100, 0, 0.5, True, 0.0, False]
    flaky = Flaky(*[TaskError() for _ in range(9)])
    task = single_task(
        flaky, retry_attempts=9, retry_jitter=0, retry_on=lambda error: answers.pop(0)
    )
    with pytest.raises(TaskError):
        await task([1]).collect()
    # The fourth delay is the usual one: 1 s, doubled three times.
    assert flaky.times == [0, 100, 100, 100.5, 108.5, 108.5]


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf")])
async def test_a_predicate_with_a_bad_delay_fails_the_run(delay: float) -> None:
    """A delay that is none is a mistake in the settings."""
    task = single_task(
        Flaky(TaskError()), retry_attempts=3, retry_on=lambda error: delay, on_error="skip_item"
    )
    with pytest.raises(ValueError, match="the delay") as caught:
        await task([1]).collect()
    assert str(caught.value) == (
        f"the delay that retry_on returns must be 0 or more and finite, got {delay}"
    )


async def test_a_predicate_that_raises_fails_the_run() -> None:
    """A broken predicate is no fault of the item: neither retried, nor handled, nor skipped."""
    broken = OtherError("predicate")

    def predicate(error: Exception) -> bool:
        raise broken

    handler = Answer(True, None)
    flaky = Flaky(TaskError(), TaskError())
    task = single_task(
        flaky, retry_attempts=3, retry_on=predicate, on_error="skip_item", error_handler=handler
    )
    with pytest.raises(OtherError) as caught:
        await task([1]).collect()
    assert caught.value is broken
    assert (len(flaky.times), handler.asked) == (1, [])


async def test_cancellation_is_not_retried() -> None:
    """A cancelled call is over: no attempt, no handler, no predicate, whatever the settings."""
    handler = Answer(True, "handled")
    asked: list[Exception] = []
    flaky = Flaky(seconds=10)
    task = single_task(
        flaky,
        retry_attempts=5,
        retry_delay=0,
        retry_on=lambda error: asked.append(error) or True,
        error_handler=handler,
    )
    for consume in (task([1]).collect, lambda: _awaited(task(1))):
        with anyio.move_on_after(4) as scope:
            await consume()
        assert scope.cancelled_caught
    assert flaky.times == [0, 4]
    assert (asked, handler.asked) == ([], [])


async def _awaited(call: Any) -> Any:
    return await call


# Timeout


async def test_a_timeout_is_a_timeout_error() -> None:
    """A call that takes too long is cancelled and fails with the built-in ``TimeoutError``."""
    ended: list[float] = []

    @single_task(timeout=2)
    async def work(item: int) -> None:
        try:
            await anyio.sleep(5)
        finally:
            ended.append(current_time())

    with pytest.raises(TimeoutError) as caught:
        await work([1]).collect()
    assert ended == [2]
    assert type(caught.value) is TimeoutError
    assert str(caught.value) == "the call took longer than 2 s, its timeout"
    assert caught.value.__notes__ == ["raised by task 'work' for input item 0 after 1 attempt"]


async def test_the_timeout_is_per_attempt() -> None:
    """Attempts that are each short enough may take longer together, delays included."""
    flaky = Flaky(TaskError(), TaskError(), seconds=3)
    task = single_task(flaky, timeout=4, retry_attempts=3, retry_jitter=0, retry_delay=8)
    assert await task([1]).collect() == [1]
    assert flaky.times == [0, 3 + 8, 14 + 16]


async def test_a_timeout_is_retried() -> None:
    """A timeout counts as a failed attempt like any other."""
    times: list[float] = []

    @single_task(timeout=2, retry_attempts=2, retry_jitter=0, retry_on=TimeoutError)
    async def work(item: int) -> int:
        times.append(current_time())
        await anyio.sleep(5 if len(times) == 1 else 1)
        return item

    assert await work([1]).collect() == [1]
    assert times == [0, 3]


async def test_a_timeout_is_skipped_and_handled() -> None:
    """``on_error`` and the handler see a timeout as they see any error."""
    slow = single_task(Flaky(seconds=5), timeout=2)
    assert await slow.replace(on_error="skip_item")([1]).collect() == []
    handler = Answer(True, "late")
    assert await slow.replace(error_handler=handler, task_name="slow")([1]).collect() == ["late"]
    ((error, *rest),) = handler.asked
    assert type(error) is TimeoutError
    assert rest == [1, "slow", 1]


async def test_a_timeout_ends_before_its_time() -> None:
    """A call that takes exactly less than its timeout is not touched by it."""
    assert await single_task(Flaky(seconds=2), timeout=2.5)([1]).collect() == [1]


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_slow_consumer_never_times_a_generator_out(is_async: bool) -> None:
    """The clock of a generator stands still while its values wait for the consumer."""

    def values(item: int) -> Iterator[int]:
        yield from range(6)

    async def slow_values(item: int) -> AsyncIterator[int]:
        for value in range(6):
            await anyio.sleep(0.125)
            yield value

    task = single_task(slow_values if is_async else values, timeout=1)
    received: list[int] = []
    async with task.with_context(max_in_flight=100)([0]) as results:
        async for value in results:
            await anyio.sleep(10)
            received.append(value)
    narrow = task.replace(concurrency_limit=1).with_context(max_in_flight=1)
    async for value in narrow([0]):
        await anyio.sleep(10)
        received.append(value)
    assert received == [*range(6), *range(6)]


async def test_waiting_for_room_downstream_never_times_a_call_out() -> None:
    """Neither plain calls nor generators are timed while later stages are slow."""

    @single_task(timeout=1, concurrency_limit=2)
    async def expand(item: int) -> AsyncIterator[int]:
        for value in range(4):
            await anyio.sleep(0.125)
            yield 10 * item + value

    @single_task(timeout=4, concurrency_limit=1)
    async def slow(item: int) -> int:
        await anyio.sleep(3)
        return item

    pipeline = (expand | slow).with_context(max_in_flight=2)
    assert await pipeline(range(2)).collect() == [0, 1, 2, 3, 10, 11, 12, 13]


async def test_spreading_a_list_is_no_part_of_the_call() -> None:
    """A list that has to wait for room is neither timed nor attempted again."""
    flaky = Flaky(TaskError())
    task = single_task(flaky, timeout=1, retry_attempts=2, retry_delay=0)
    received: list[int] = []
    async for value in task.with_context(max_in_flight=100)([list(range(300))]):
        received.append(value)
        await anyio.sleep(5)
    assert received == list(range(300))
    assert flaky.times == [0, 0]


async def test_waiting_for_a_share_of_the_parallelism_never_times_a_call_out() -> None:
    """The clock starts when the run's ``max_parallelism`` lets the call begin."""
    task = single_task(Flaky(seconds=3), timeout=4)
    assert await task.with_context(max_parallelism=1)(range(4)).collect() == [0, 1, 2, 3]
    assert current_time() == 12


async def test_a_generators_own_time_counts() -> None:
    """What a generator itself takes is timed over all its values, however long it is paused."""

    @single_task(timeout=1)
    async def values(item: int) -> AsyncIterator[int]:
        for value in range(6):
            await anyio.sleep(0.375)
            yield value

    received: list[tuple[int, float]] = []

    async def consume_slowly() -> None:
        async for value in values.with_context(max_in_flight=1)([0]):
            received.append((value, current_time()))
            await anyio.sleep(10)

    with pytest.raises(TimeoutError):
        await consume_slowly()
    # 0.75 s of its own for two values, 0.25 s more, and a pause of 10 s in which it had a value.
    assert received == [(0, 0.375), (1, 10.375)]


# Error handlers


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, []),
        ("instead", ["instead"]),
        (0, [0]),
        (False, [False]),
        ("", [""]),
        ([], []),
        ([1, None, [2]], [1, None, [2]]),
        ((1, 2), [(1, 2)]),
    ],
)
async def test_a_handler_that_continues(value: Any, expected: list[Any]) -> None:
    """``(True, None)`` skips the item; any other value goes downstream like a result."""
    handler = Answer(True, value)
    task = single_task(Flaky(TaskError()), error_handler=handler, concurrency_limit=1)
    async with task(["first", "second"]) as results:
        assert await results.collect() == [*expected, "second"]
        assert results.stats().skipped == (value is None)


async def test_a_handlers_list_stays_whole_without_flatten() -> None:
    """The value of a handler is treated as the task's results are."""
    task = single_task(Flaky(TaskError()), error_handler=Answer(True, [1, 2]), flatten=False)
    assert await task([0]).collect() == [[1, 2]]


@pytest.mark.parametrize("value", [None, "ignored"])
@pytest.mark.parametrize("on_error", ["fail", "skip_item"])
async def test_a_handler_that_refuses_raises_the_error(value: Any, on_error: Any) -> None:
    """``(False, anything)`` raises the very error; the handler wins over ``on_error``."""
    error = TaskError()
    handler = Answer(False, value)
    task = single_task(Flaky(error), error_handler=handler, on_error=on_error)
    with pytest.raises(TaskError) as caught:
        await task([1]).collect()
    assert caught.value is error
    assert caught.value.__context__ is None


async def test_what_a_handler_is_told() -> None:
    """It gets the last error itself, the item, the task's name and the number of attempts."""
    errors = [TaskError(), OtherError()]
    handler = Answer(True, None)
    task = single_task(
        Flaky(*errors), task_name="flaky", retry_attempts=2, retry_delay=0, error_handler=handler
    )
    item = object()
    assert await task([item]).collect() == []
    ((error, *rest),) = handler.asked
    assert error is errors[1]
    assert rest == [item, "flaky", 2]


async def test_the_handler_comes_after_all_attempts_and_before_on_error() -> None:
    """Attempts, then the handler, once; ``on_error`` has no say after it."""
    order: list[str] = []

    class Handler(ErrorHandler):
        async def handle_error(self, *args: Any) -> tuple[bool, Any]:
            order.append("handler")
            return True, "handled"

    @single_task(retry_attempts=3, retry_delay=0, on_error="skip_item", error_handler=Handler())
    async def work(item: int) -> None:
        order.append("attempt")
        raise TaskError

    assert await work([1]).collect() == ["handled"]
    assert order == ["attempt", "attempt", "attempt", "handler"]


async def test_without_a_handler_on_error_comes_after_all_attempts() -> None:
    """``skip_item`` drops the item only once its attempts are used up."""
    flaky = Flaky(TaskError(), TaskError(), TaskError())
    task = single_task(flaky, retry_attempts=3, retry_jitter=0, on_error="skip_item")
    assert await task.replace(concurrency_limit=1)([1, 2]).collect() == [2]
    assert flaky.times == [0, 1, 3, 3]


async def test_a_handler_may_be_synchronous_and_of_any_class() -> None:
    """Any object with a plain ``handle_error`` method will do."""

    class Handler:
        def handle_error(
            self, error: Exception, item: int, task_name: str, attempt: int
        ) -> tuple[bool, int]:
            return True, -item

    task = single_task(Flaky(TaskError()), error_handler=Handler(), concurrency_limit=1)
    assert await task([7, 8]).collect() == [-7, 8]


async def test_a_handler_may_take_its_time() -> None:
    """A handler may await, and the call's timeout does not apply to it."""

    class Handler(ErrorHandler):
        async def handle_error(self, *args: Any) -> tuple[bool, float]:
            await anyio.sleep(60)
            return True, current_time()

    task = single_task(Flaky(TaskError()), error_handler=Handler(), timeout=1)
    assert await task(["a"]).collect() == [60]


async def test_a_cancelled_handler_is_cancelled() -> None:
    """A run that is cancelled while a handler awaits ends at once, as cancelled."""

    class Handler(ErrorHandler):
        async def handle_error(self, *args: Any) -> tuple[bool, Any]:
            await anyio.sleep_forever()
            raise AssertionError

    task = single_task(Flaky(TaskError(), TaskError()), error_handler=Handler())
    for consume in (task([1]).collect, lambda: _awaited(task(1))):
        with anyio.move_on_after(2) as scope:
            await consume()
        assert scope.cancelled_caught
    assert current_time() == 4


async def test_the_handler_of_a_batch_task_gets_the_batch() -> None:
    """For a batch task the item is the whole batch, as a list, and it is not split."""
    handler = Answer(True, "replaced")
    flaky = Flaky(TaskError())
    task = batch_task(max_size=3, on_error="skip_item", error_handler=handler, flatten=False)
    assert await task(flaky)(range(5)).collect() == ["replaced", [3, 4]]
    assert [asked[1] for asked in handler.asked] == [[0, 1, 2]]


async def test_a_handler_that_skips_a_batch_skips_it_whole() -> None:
    """The handler wins: where it says to skip, ``skip_item`` does not take the batch apart."""
    handler = Answer(True, None)
    flaky = Flaky(TaskError())
    task = batch_task(max_size=3, on_error="skip_item", error_handler=handler)(flaky)
    async with task(range(5)) as results:
        assert await results.collect() == [3, 4]
        assert results.stats().skipped == 3
    assert (len(flaky.times), len(handler.asked)) == (2, 1)


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("on_error", ["fail", "skip_item"])
async def test_a_handler_that_raises_fails_the_run(is_async: bool, on_error: Any) -> None:
    """Its error comes out, with the original as its context, even where items are skipped."""
    original, broken = TaskError(), OtherError("handler")

    class Async(ErrorHandler):
        async def handle_error(self, *args: Any) -> tuple[bool, Any]:
            await anyio.sleep(1)
            raise broken

    class Sync:
        def handle_error(self, *args: Any) -> tuple[bool, Any]:
            raise broken

    handler = Async() if is_async else Sync()
    task = single_task(Flaky(original), error_handler=handler, on_error=on_error)
    with pytest.raises(OtherError) as caught:
        await task([1]).collect()
    assert caught.value is broken
    assert caught.value.__context__ is original


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(None, "NoneType"), (True, "bool"), ((True,), "tuple"), ([True, None], "list")],
)
async def test_a_handler_with_a_bad_answer_fails_the_run(answer: Any, kind: str) -> None:
    """Anything but a pair is a mistake, and the message says what was expected."""

    class Handler(ErrorHandler):
        async def handle_error(self, *args: Any) -> Any:
            return answer

    original = TaskError()
    task = single_task(
        Flaky(original), error_handler=Handler(), task_name="work", on_error="skip_item"
    )
    with pytest.raises(TypeError) as caught:
        await task([1]).collect()
    assert str(caught.value) == (
        f"error handler Handler of task 'work' must return (should_continue, value), got a {kind}"
    )
    assert caught.value.__context__ is original


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize(
    "options",
    [
        {"on_error": "skip_item"},
        {"error_handler": Answer(True, None)},
        {"retry_attempts": 3, "retry_delay": 0, "retry_on": lambda error: True},
    ],
    ids=["skipping", "handled", "retried"],
)
async def test_the_end_of_the_program_is_no_failure_of_an_item(
    error: Any, options: dict[str, Any]
) -> None:
    """``KeyboardInterrupt`` and ``SystemExit`` are neither retried, nor handled, nor skipped."""
    flaky = Flaky(error())
    with pytest.raises(error):
        await single_task(flaky, **options)([1]).collect()
    assert flaky.times == [0]


async def test_the_base_class_says_what_to_define() -> None:
    """A handler without its method fails with a message that shows the signature."""

    class Handler(ErrorHandler):
        pass

    with pytest.raises(NotImplementedError) as caught:
        await single_task(Flaky(TaskError()), error_handler=Handler())([1]).collect()
    assert str(caught.value) == (
        "Handler must define 'async def handle_error(self, error, item, task_name, attempt)'"
    )


# Generators


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_generator_is_retried_before_its_first_value(is_async: bool) -> None:
    """As long as nothing has been passed on, a generator is attempted again."""
    attempts: list[int] = []

    async def async_values(item: int) -> AsyncIterator[int]:
        attempts.append(item)
        if len(attempts) < 3:
            raise TaskError
        yield item
        yield item + 1

    def values(item: int) -> Iterator[int]:
        attempts.append(item)
        if len(attempts) < 3:
            raise TaskError
        yield item
        yield item + 1

    function = async_values if is_async else values
    task = single_task(function, retry_attempts=3, retry_delay=0)
    assert await task([5]).collect() == [5, 6]
    assert attempts == [5, 5, 5]


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"on_error": "skip_item"}, ["a", "b"]),
        ({"error_handler": Answer(True, None)}, ["a", "b"]),
        ({"error_handler": Answer(True, "rest")}, ["a", "b", "rest"]),
    ],
    ids=["skipped", "skipped_by_handler", "replaced"],
)
async def test_a_generator_is_not_retried_after_its_first_value(
    is_async: bool, options: dict[str, Any], expected: list[str]
) -> None:
    """What has been passed on stays; the rest is skipped or replaced, at the item's place."""
    attempts: list[str] = []

    def values(item: str) -> Iterator[str]:
        if item == "other":
            yield item
            return
        attempts.append(item)
        yield "a"
        yield "b"
        raise TaskError

    async def async_values(item: str) -> AsyncIterator[str]:
        for value in values(item):
            yield value

    task = single_task(async_values if is_async else values, retry_attempts=5, **options)
    assert await task(["x", "other"]).collect() == [*expected, "other"]
    assert attempts == ["x"]


async def test_a_generator_that_fails_after_its_first_value_fails_the_run() -> None:
    """The values passed on are delivered first, then the error, with one attempt in its note."""

    @single_task(retry_attempts=5)
    async def values(item: int) -> AsyncIterator[int]:
        yield 1
        yield 2
        raise TaskError

    async with values([0]) as results:
        assert [await anext(results), await anext(results)] == [1, 2]
        with pytest.raises(TaskError) as caught:
            await anext(results)
    assert caught.value.__notes__ == ["raised by task 'values' for input item 0 after 1 attempt"]


# LoggingErrorHandler


def test_a_value_in_place_of_the_logger_is_refused() -> None:
    """It is as likely meant to be the replacement."""
    with pytest.raises(TypeError) as caught:
        LoggingErrorHandler(5)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "LoggingErrorHandler: logger must be a logging.Logger, got 5; write replacement_value=... "
        "for what is to take the place of results"
    )


@pytest.mark.parametrize(("replacement", "expected"), [(None, []), ("instead", ["instead"])])
async def test_the_logging_handler_logs_no_value(
    replacement: Any, expected: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The record has the task, the attempts and the type of the error; nothing of the item."""
    handler = LoggingErrorHandler(replacement_value=replacement)
    flaky = Flaky(TaskError("first secret"), OtherError("secret"))
    task = single_task(
        flaky, task_name="work", retry_attempts=2, retry_delay=0, error_handler=handler
    )
    assert await task(["secret"]).collect() == expected
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (record.name, record.getMessage()) == (
        "conveyor",
        "Error in work (attempt 2): OtherError",
    )
    assert "secret" not in str(vars(record))


async def test_the_logging_handler_takes_a_logger(caplog: pytest.LogCaptureFixture) -> None:
    """A logger of the user's is used in place of the library's own."""
    handler = LoggingErrorHandler(logging.getLogger("mine"), replacement_value=0)
    task = single_task(Flaky(TaskError()), task_name="work", error_handler=handler)
    assert await task(["x"]).collect() == [0]
    assert [record.name for record in caplog.records] == ["mine"]
