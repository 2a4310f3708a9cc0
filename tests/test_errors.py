"""Failures: the very exception arrives, bare, whatever raised it and however it is consumed."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from conveyor import (
    BaseTask,
    ErrorHandler,
    Pipeline,
    StreamClosedError,
    StreamConsumedError,
    batch_task,
    single_task,
)
from helpers import current_time, ticks

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup


class TaskError(Exception):
    """Raised by tasks."""


class SourceError(Exception):
    """Raised by sources."""


async def plain(stream: Any, received: list[Any]) -> None:
    async for result in stream:
        received.append(result)  # noqa: PERF401 - each counts, though an error may follow


async def block(stream: Any, received: list[Any]) -> None:
    async with stream as results:
        await plain(results, received)


async def collect(stream: Any, received: list[Any]) -> None:
    received += await stream.collect()


three_ways = pytest.mark.parametrize("consume", [plain, block, collect])


def raiser(error: BaseException) -> Any:
    """Return a function that raises *error* for whatever it is given."""

    def function(*args: Any) -> Any:
        raise error

    return function


def raising_async(error: BaseException) -> Any:
    """As :func:`raiser`, as a coroutine function that has awaited something before."""

    async def function(*args: Any) -> Any:
        await ticks(1)
        raise error

    return function


def raising_generator(error: BaseException, values: int = 0) -> Any:
    """As :func:`raiser`, as a generator function that yields some values before."""

    def function(*args: Any) -> Iterator[int]:
        yield from range(values)
        raise error

    return function


def raising_async_generator(error: BaseException, values: int = 0) -> Any:
    """As :func:`raising_generator`, as an async generator function."""

    async def function(*args: Any) -> AsyncIterator[int]:
        for value in range(values):
            yield value
        raise error

    return function


class Numbers:
    """An iterator and async iterator that is no generator: some numbers, then an error."""

    def __init__(self, count: int, error: BaseException) -> None:
        self.numbers = iter(range(count))
        self.error = error

    def __next__(self) -> int:
        for number in self.numbers:
            return number
        raise self.error


class SyncNumbers(Numbers):
    def __iter__(self) -> SyncNumbers:
        return self


class AsyncNumbers(Numbers):
    def __aiter__(self) -> AsyncNumbers:
        return self

    async def __anext__(self) -> int:
        return self.__next__()


def echo(item: Any, *rest: Any) -> Any:
    return item


# "fail": the very exception, bare


PLACES: dict[str, Any] = {
    "function": lambda error: single_task(raiser(error))([0]),
    "coroutine": lambda error: single_task(raising_async(error))([0]),
    "function_with_options": lambda error: single_task(raiser(error), timeout=9)([0]),
    "coroutine_with_options": lambda error: single_task(raising_async(error), timeout=9)([0]),
    "last_attempt": lambda error: single_task(
        raising_async(error), retry_attempts=2, retry_delay=0
    )([0]),
    "limited": lambda error: single_task(raiser(error)).with_context(max_parallelism=1)([0]),
    "batch": lambda error: batch_task(max_size=2)(raiser(error))([0, 1]),
    "async_batch": lambda error: batch_task(max_size=2)(raising_async(error))([0, 1]),
    "generator": lambda error: single_task(raising_generator(error))([0]),
    "async_generator": lambda error: single_task(raising_async_generator(error))([0]),
    "late_generator": lambda error: single_task(raising_generator(error, 2))([0]),
    "late_async_generator": lambda error: single_task(raising_async_generator(error, 2))([0]),
    "batch_generator": lambda error: batch_task(max_size=2)(raising_async_generator(error))([0]),
    "task_as_source": lambda error: single_task(raising_async_generator(error, 1))(),
    "second_stage": lambda error: (single_task(echo) | single_task(raiser(error)))([0]),
    "source": lambda error: single_task(echo)(SyncNumbers(1, error)),
    "async_source": lambda error: single_task(echo)(AsyncNumbers(1, error)),
    "source_pipeline": lambda error: single_task(echo)(single_task(raiser(error))([0])),
    "side_input": lambda error: single_task(echo).with_inputs(raising_async(error)())([0]),
    "side_stream": lambda error: single_task(echo).with_inputs(
        single_task(raising_async(error))([0])
    )([0]),
}

everywhere = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)


@everywhere
@three_ways
async def test_the_very_exception_arrives(place: Any, consume: Any) -> None:
    """Whoever raises it and however results are consumed, the consumer gets that object."""
    error = TaskError("x")
    with pytest.raises(TaskError) as caught:
        await consume(place(error), [])
    assert caught.value is error
    assert error.args == ("x",)
    assert (error.__cause__, error.__context__) == (None, None)


@everywhere
async def test_a_users_exception_group_arrives_as_it_is(place: Any) -> None:
    """A group that the user raises is neither unwrapped, nor split, nor wrapped."""
    leaves = [TaskError(), ValueError()]
    group = ExceptionGroup("mine", leaves)
    with pytest.raises(ExceptionGroup) as caught:
        await place(group).collect()
    assert caught.value is group
    assert list(group.exceptions) == leaves


@everywhere
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
async def test_the_end_of_the_program_arrives_as_itself(place: Any, kind: Any) -> None:
    """``KeyboardInterrupt`` and ``SystemExit`` come out of the consumer's ``await``."""
    error = kind(3)
    with pytest.raises(kind) as caught:
        await place(error).collect()
    assert caught.value is error


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("place", ["handler", "async_handler", "predicate"])
async def test_the_end_of_the_program_out_of_settings_arrives_as_itself(
    place: str, kind: Any
) -> None:
    """Raised by a handler or a predicate they come out as well."""
    error = kind(3)
    with pytest.raises(kind) as caught:
        await ASKED[place](error).collect()
    assert caught.value is error


async def test_the_group_of_a_users_own_task_group_arrives() -> None:
    """A function's task group raises a group; that is the function's business."""

    @single_task
    async def work(item: int) -> None:
        async with anyio.create_task_group() as task_group:
            task_group.start_soon(raising_async(TaskError()))

    with pytest.raises(ExceptionGroup) as caught:
        await work([0]).collect()
    assert [type(each) for each in caught.value.exceptions] == [TaskError]


@three_ways
@pytest.mark.parametrize("timeout", [None, 9], ids=["plain", "with_options"])
async def test_three_failures_in_one_tick_give_one_bare_error(
    consume: Any, timeout: float | None
) -> None:
    """Of several failures at the same moment the first one arrives, never a group."""
    errors: list[TaskError] = []
    go = anyio.Event()

    @single_task(timeout=timeout)
    async def work(item: int) -> None:
        if item == 2:
            go.set()
        await go.wait()
        errors.append(TaskError(item))
        raise errors[-1]

    with pytest.raises(TaskError) as caught:
        await consume(work(range(3)), [])
    assert caught.value is errors[0]
    # No line in what the consumer prints says anything of the others.
    assert caught.value.__context__ is None


@three_ways
async def test_failures_during_the_shutdown_do_not_replace_the_first(consume: Any) -> None:
    """Calls that fail while they are being cancelled change nothing."""
    first = TaskError("first")

    @single_task
    async def work(item: int) -> None:
        try:
            await anyio.sleep(1 if item == 2 else 9)
        finally:
            raise first if item == 2 else ValueError(item)

    with pytest.raises(TaskError) as caught:
        await consume(work(range(4)), [])
    assert caught.value is first


@three_ways
async def test_siblings_are_joined_before_the_error_is_seen(consume: Any) -> None:
    """When the error arrives, every call in flight has ended, its cleanup included."""
    ended: list[int] = []

    @single_task
    async def work(item: int) -> None:
        try:
            await anyio.sleep(1 if item == 1 else 100)
            raise TaskError
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(item)
            ended.append(item)

    with pytest.raises(TaskError):
        await consume(work(range(5)), [])
    assert sorted(ended) == [0, 1, 2, 3, 4]
    # It fails after 1 s and cleans up for 1 s; the longest of the others then takes 4 s.
    assert current_time() == 1 + 1 + 4


async def test_siblings_are_joined_for_a_consumer_who_asks_meanwhile() -> None:
    """Asked while the others are still ending, the stream waits for them before it raises."""

    @single_task
    async def work(item: int) -> int:
        if item == 1:
            await anyio.sleep(1)
            raise TaskError
        if item == 2:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(10)
        return item

    async with work(range(3)) as results:
        await anyio.sleep(5)
        assert await anext(results) == 0
        with pytest.raises(TaskError):
            await anext(results)
        assert current_time() == 10


@pytest.mark.parametrize("consume", [plain, block])
async def test_results_in_order_come_first(consume: Any) -> None:
    """What was in order when the call failed is delivered; what lay behind the gap is not."""

    @single_task
    async def work(item: int) -> int:
        await anyio.sleep({0: 1, 1: 2, 3: 2, 2: 3}.get(item, 9))
        if item == 2:
            raise TaskError
        return item

    received: list[int] = []
    stream = work(range(6))
    with pytest.raises(TaskError):
        await consume(stream, received)
    assert received == [0, 1]


@single_task
async def fail_at_four(item: int) -> int:
    await anyio.sleep(item)
    if item == 4:
        raise TaskError
    return item


async def test_a_late_plain_consumer_gets_what_was_in_order_first() -> None:
    """Results that wait for a consumer who looks late are delivered before the error."""
    received: list[int] = []

    async def consume_slowly() -> None:
        async for result in fail_at_four(range(6)):
            received.append(result)
            await anyio.sleep(10)

    with pytest.raises(TaskError):
        await consume_slowly()
    assert received == [0, 1, 2, 3]


async def test_a_late_block_gets_what_was_in_order_first() -> None:
    """The same in a block, where they wait from the start."""
    received: list[int] = []
    async with fail_at_four(range(6)) as results:
        await anyio.sleep(10)
        with pytest.raises(TaskError):
            await plain(results, received)
    assert received == [0, 1, 2, 3]


async def test_as_completed_delivers_what_was_ready() -> None:
    """Without order, all results that were ready come before the error."""

    @single_task
    async def work(item: int) -> int:
        await anyio.sleep(5 - item)
        if item == 1:
            raise TaskError
        return item

    received: list[int] = []
    with pytest.raises(TaskError):
        await plain(work.as_completed(range(5)), received)
    assert received == [4, 3, 2]


# Notes


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({}, "raised by task 'work' for input item 2 after 1 attempt"),
        ({"task_name": "mine"}, "raised by task 'mine' for input item 2 after 1 attempt"),
        ({"retry_attempts": 1}, "raised by task 'work' for input item 2 after 1 attempt"),
        (
            {"retry_attempts": 3, "retry_delay": 0},
            "raised by task 'work' for input item 2 after 3 attempts",
        ),
    ],
)
@three_ways
async def test_the_note_names_task_index_and_attempts(
    consume: Any, options: dict[str, Any], note: str
) -> None:
    """One note says where the error comes from, and nothing of the item's value."""

    def work(item: str) -> str:
        if item == "secret":
            raise TaskError
        return item

    with pytest.raises(TaskError) as caught:
        await consume(single_task(work, **options)(["a", "b", "secret", "c"]), [])
    assert caught.value.__notes__ == [note]


async def test_the_note_has_the_index_of_the_input_item() -> None:
    """After filtering, expansion and batching it is still the index in the data that counts."""

    @single_task
    def keep_odd(item: int) -> int | None:
        return item if item % 2 else None

    @single_task
    def twice(item: int) -> list[int]:
        return [item, item]

    @batch_task(max_size=3)
    def fail_on_seven(batch: list[int]) -> list[int]:
        if 7 in batch:
            raise TaskError
        return batch

    received: list[int] = []
    with pytest.raises(TaskError) as caught:
        await plain((keep_odd | twice | fail_on_seven)(range(10)), received)
    # 1 1 3 | 3 5 5 | 7 7 9: the batch begins with the first child of item 7.
    assert received == [1, 1, 3, 3, 5, 5]
    assert caught.value.__notes__ == [
        "raised by task 'fail_on_seven' for input item 7 after 1 attempt"
    ]


async def test_notes_of_the_user_are_kept() -> None:
    """Our note comes after those that the exception has."""
    error = TaskError()
    error.__notes__ = ["mine"]  # type: ignore[attr-defined]
    with pytest.raises(TaskError):
        await single_task(raiser(error), task_name="t")([0]).collect()
    assert error.__notes__ == [  # type: ignore[attr-defined]
        "mine",
        "raised by task 't' for input item 0 after 1 attempt",
    ]


async def test_an_error_raised_again_and_again_does_not_gather_equal_notes() -> None:
    """One exception object that fails many runs in the same way keeps one note."""
    error = TaskError()
    for _ in range(3):
        with pytest.raises(TaskError):
            await single_task(raiser(error), task_name="t")([0]).collect()
    assert len(error.__notes__) == 1  # type: ignore[attr-defined]


class TakesNoNotes(Exception):
    """Refuses notes."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "__notes__":
            raise AttributeError(name)
        super().__setattr__(name, value)


class HasNoneForNotes(Exception):
    """Has something else where notes should be."""

    __notes__ = None


@everywhere
@pytest.mark.parametrize("kind", [TakesNoNotes, HasNoneForNotes])
async def test_an_exception_that_takes_no_notes_arrives_all_the_same(
    place: Any, kind: type[Exception]
) -> None:
    """A note that cannot be added is left out; the error itself is what matters."""
    error = kind()
    with pytest.raises(kind) as caught:
        await place(error).collect()
    assert caught.value is error


# What would steer the machinery


END_OF_ITERATION = [StopIteration, StopAsyncIteration, GeneratorExit]


def handled(handle_error: Any) -> Any:
    """Return a stream whose one call fails and is shown to *handle_error*."""
    handler = ErrorHandler()
    handler.handle_error = handle_error  # type: ignore[method-assign]
    return single_task(raiser(TaskError()), error_handler=handler, on_error="skip_item")([0])


ASKED: dict[str, Any] = {
    "handler": lambda error: handled(raiser(error)),
    "async_handler": lambda error: handled(raising_async(error)),
    "predicate": lambda error: single_task(
        raiser(TaskError()), retry_attempts=2, retry_on=raiser(error), on_error="skip_item"
    )([0]),
}


# There it is how an iterator ends.
REGULAR = [("source", StopIteration), ("async_source", StopAsyncIteration)]


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        pytest.param(place, kind, id=f"{name}-{kind.__name__}")
        for name, place in {**PLACES, **ASKED}.items()
        for kind in END_OF_ITERATION
        if (name, kind) not in REGULAR
    ],
)
async def test_the_end_of_an_iteration_becomes_a_runtime_error(place: Any, kind: Any) -> None:
    """What would silently end an iteration is a ``RuntimeError`` from it, wherever it is raised."""
    error = kind()
    with pytest.raises(RuntimeError) as caught:
        await place(error).collect()
    assert type(caught.value) is RuntimeError
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("kind", END_OF_ITERATION)
@pytest.mark.parametrize("function", [raiser, raising_async])
@pytest.mark.parametrize("options", [{}, {"timeout": 9}], ids=["plain", "with_options"])
async def test_a_function_does_not_truncate_the_results(
    kind: Any, function: Any, options: dict[str, Any]
) -> None:
    """Results before it are delivered, and then there is an error, not an end."""
    fail = function(kind())
    task = single_task(lambda item: fail() if item == 2 else item, **options)
    received: list[int] = []
    with pytest.raises(RuntimeError) as caught:
        await plain(task(range(5)), received)
    assert type(caught.value.__cause__) is kind  # found where it was raised, not by the ledger
    assert received == [0, 1]


async def test_the_runtime_error_says_who_and_what() -> None:
    """The message names the task and what to do; the notes are those of any failure."""
    with pytest.raises(RuntimeError) as caught:
        await single_task(raiser(StopAsyncIteration()), task_name="work")([0]).collect()
    assert str(caught.value) == (
        "task 'work' raised StopAsyncIteration, which would end an iteration; "
        "catch it, or return instead"
    )
    assert caught.value.__notes__ == [  # type: ignore[attr-defined]
        "raised by task 'work' for input item 0 after 1 attempt"
    ]


@pytest.mark.parametrize(
    ("place", "kind", "culprit"),
    [
        ("handler", StopAsyncIteration, "error handler of task 'function'"),
        ("handler", GeneratorExit, "error handler of task 'function'"),
        ("async_handler", StopAsyncIteration, "error handler of task 'function'"),
        ("async_handler", GeneratorExit, "error handler of task 'function'"),
        ("predicate", StopIteration, "retry_on of task 'function'"),
        ("predicate", StopAsyncIteration, "retry_on of task 'function'"),
        ("predicate", GeneratorExit, "retry_on of task 'function'"),
        ("source", StopAsyncIteration, "the source"),
        ("source", GeneratorExit, "the source"),
        ("async_source", GeneratorExit, "the source"),
        ("side_input", StopAsyncIteration, "a side input of task 'echo'"),
        ("side_input", GeneratorExit, "a side input of task 'echo'"),
    ],
)
async def test_the_runtime_error_names_the_culprit(place: str, kind: Any, culprit: str) -> None:
    """Handlers, predicates, sources and side inputs are called by their names."""
    with pytest.raises(RuntimeError) as caught:
        await (PLACES | ASKED)[place](kind()).collect()
    assert str(caught.value) == (
        f"{culprit} raised {kind.__name__}, which would end an iteration; "
        "catch it, or return instead"
    )


@pytest.mark.parametrize("kind", END_OF_ITERATION)
@pytest.mark.parametrize("function", [raiser, raising_async])
async def test_the_end_of_an_iteration_out_of_an_awaited_call(kind: Any, function: Any) -> None:
    """An awaited call turns it into a ``RuntimeError`` as a run does."""
    error = kind()
    with pytest.raises(RuntimeError) as caught:
        await single_task(function(error))(1)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("kind", END_OF_ITERATION)
@pytest.mark.parametrize("place", ["handler", "predicate"])
async def test_the_end_of_an_iteration_out_of_an_awaited_calls_settings(
    kind: Any, place: str
) -> None:
    """Neither do the handler and the predicate of an awaited call let it through."""
    error = kind()
    handler = ErrorHandler()
    handler.handle_error = raiser(error)  # type: ignore[method-assign]
    options: dict[str, Any] = (
        {"error_handler": handler}
        if place == "handler"
        else {"retry_on": raiser(error), "retry_attempts": 2}
    )
    with pytest.raises(RuntimeError) as caught:
        await single_task(raiser(TaskError()), **options)(1)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("kind", END_OF_ITERATION)
async def test_the_end_of_an_iteration_can_be_retried_and_skipped(kind: Any) -> None:
    """As a ``RuntimeError`` it is an ordinary error for ``retry_on`` and ``on_error``."""
    calls: list[int] = []

    def work(item: int) -> int:
        calls.append(item)
        if item == 0:
            raise kind
        return item

    task = single_task(
        work, retry_attempts=2, retry_delay=0, retry_on=RuntimeError, on_error="skip_item"
    ).replace(concurrency_limit=1)
    assert await task([0, 1]).collect() == [1]
    assert calls == [0, 0, 1]


# Leaked cancellation


async def leak_cancellation(*args: Any) -> Any:
    """Raise a cancellation that nobody has asked for."""
    leaked: BaseException
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep(1)
        except anyio.get_cancelled_exc_class() as error:
            leaked = error
    raise leaked


async def await_cancelled_future(*args: Any) -> Any:
    """Await what somebody else has cancelled; asyncio only."""
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


leaks = pytest.mark.parametrize(
    ("anyio_backend", "leak"),
    [
        pytest.param("asyncio", leak_cancellation, id="asyncio"),
        pytest.param("trio", leak_cancellation, id="trio"),
        pytest.param("asyncio", await_cancelled_future, id="asyncio_future"),
    ],
    indirect=["anyio_backend"],
)


@leaks
@three_ways
@pytest.mark.parametrize("options", [{}, {"timeout": 9}], ids=["plain", "with_options"])
async def test_a_leaked_cancellation_is_an_error(
    leak: Any, consume: Any, options: dict[str, Any]
) -> None:
    """It reaches the consumer as a ``RuntimeError`` from it instead of vanishing."""
    task = single_task(leak, task_name="leaky", **options)
    with pytest.raises(RuntimeError) as caught:
        await consume(task([0, 1]), [])
    cancelled = anyio.get_cancelled_exc_class()
    assert isinstance(caught.value.__cause__, cancelled)
    assert str(caught.value) == (
        f"task 'leaky' raised {cancelled.__name__}, although nothing cancelled it; it probably "
        "awaited something that was cancelled"
    )


@leaks
async def test_a_leaked_cancellation_does_not_truncate_the_results(leak: Any) -> None:
    """The results before it are delivered, then the error."""

    async def work(item: int) -> int:
        return await leak() if item == 2 else item

    received: list[int] = []
    with pytest.raises(RuntimeError) as caught:
        await plain(single_task(work)(range(5)), received)
    assert isinstance(caught.value.__cause__, anyio.get_cancelled_exc_class())
    assert received == [0, 1]


@leaks
async def test_a_leaked_cancellation_can_be_retried(leak: Any) -> None:
    """It is a failed attempt like any other."""
    calls: list[float] = []

    @single_task(retry_attempts=3, retry_jitter=0)
    async def work(item: int) -> int:
        calls.append(current_time())
        return item if len(calls) == 3 else await leak()

    assert await work([7]).collect() == [7]
    assert calls == [0, 1, 3]


@leaks
@pytest.mark.parametrize("is_batch", [False, True])
async def test_a_leaked_cancellation_can_be_skipped(leak: Any, is_batch: bool) -> None:
    """It is skipped like any other error, in single and batch tasks."""

    async def work(item: Any) -> Any:
        return await leak() if item in (1, [1]) else item

    task: Any = (
        batch_task(on_error="skip_batch")(work)
        if is_batch
        else single_task(work, on_error="skip_item")
    )
    assert await task(range(3)).collect() == [0, 2]


@leaks
async def test_a_leaked_cancellation_out_of_an_awaited_call(leak: Any) -> None:
    """An awaited call does not look cancelled either, where a leak can be told."""
    if sys.version_info < (3, 11) and anyio.get_cancelled_exc_class() is asyncio.CancelledError:
        # The task is the caller's, and asyncio does not say whether somebody has cancelled it.
        with pytest.raises(asyncio.CancelledError):
            await single_task(leak)(1)
        return
    with pytest.raises(RuntimeError):
        await single_task(leak)(1)
    assert await single_task(leak, on_error="skip_item")(1) is None


@leaks
async def test_a_leaked_cancellation_of_a_source(leak: Any) -> None:
    """A source that leaks one fails, after the items it gave."""

    async def source() -> AsyncIterator[int]:
        yield 1
        await leak()

    received: list[int] = []
    with pytest.raises(RuntimeError) as caught:
        await plain(Pipeline()(source()), received)
    assert received == [1]
    assert isinstance(caught.value.__cause__, anyio.get_cancelled_exc_class())


@leaks
@pytest.mark.parametrize(
    ("place", "culprit"),
    [("side_input", "a side input"), ("handler", "error handler of task 'f'")],
)
async def test_a_leaked_cancellation_of_what_surrounds_a_call(
    leak: Any, place: str, culprit: str
) -> None:
    """Side inputs and handlers fail the run, and the message says which it was."""
    if place == "side_input":
        stream = single_task(echo).with_inputs(leak())([0])
    else:
        handler = ErrorHandler()
        handler.handle_error = leak
        stream = single_task(raiser(TaskError()), error_handler=handler, task_name="f")([0])
    with pytest.raises(RuntimeError) as caught:
        await stream.collect()
    assert str(caught.value).startswith(f"{culprit} raised ")


# Calls that natively cancel the task they run in


async def cancel_me(item: int) -> int:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await checkpoint()
    return item


async def cancel_me_and_return(item: int) -> int:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    return item


natively = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
OWNED = "because something cancelled the worker it runs in, which belongs to the run"
if sys.version_info < (3, 11):  # cancellations are not counted there, so it looks like a leak
    OWNED = "although nothing cancelled it; it probably awaited something that was cancelled"


@natively
@three_ways
@pytest.mark.parametrize("options", [{}, {"timeout": 9}], ids=["plain", "with_options"])
async def test_a_call_that_cancels_its_worker_is_an_error(
    consume: Any, options: dict[str, Any]
) -> None:
    """The worker is the run's, so nobody has asked the run to stop."""
    task = single_task(cancel_me, task_name="cancelling", **options)
    with pytest.raises(RuntimeError) as caught:
        await consume(task([0, 1]), [])
    assert str(caught.value) == f"task 'cancelling' raised CancelledError, {OWNED}"


@natively
async def test_a_call_that_cancels_its_worker_can_be_skipped() -> None:
    """The worker goes on with the next item, also to wait for it and under a timeout."""

    async def work(item: int) -> int:
        await anyio.sleep(1)
        return await cancel_me(item) if item % 2 else item

    task = single_task(on_error="skip_item", timeout=5, concurrency_limit=1)(work)
    assert await task(range(6)).collect() == [0, 2, 4]


@natively
async def test_a_worker_that_is_cancelled_behind_a_call_fails_the_run() -> None:
    """No silent end, whatever was already delivered."""
    received: list[int] = []
    with pytest.raises(RuntimeError, match="CancelledError"):
        await plain(single_task(cancel_me_and_return)(itertools.count()), received)


# Sources


def generator(count: int, error: BaseException) -> Iterator[int]:
    yield from range(count)
    raise error


async def async_generator(count: int, error: BaseException) -> AsyncIterator[int]:
    for number in range(count):
        yield number
    raise error


async def slow_generator(count: int, error: BaseException) -> AsyncIterator[int]:
    for number in range(count):
        await anyio.sleep(1)
        yield number
    await anyio.sleep(1)
    raise error


sources = pytest.mark.parametrize(
    "source", [generator, async_generator, slow_generator, SyncNumbers, AsyncNumbers]
)


@sources
@pytest.mark.parametrize("index", [*range(20), 127, 128, 129, 300])
async def test_a_source_that_fails_at_any_index(source: Any, index: int) -> None:
    """All items before the failure come out, then the very error, which says how many."""
    error = SourceError()
    received: list[int] = []
    with pytest.raises(SourceError) as caught:
        await plain(Pipeline()(source(index, error)), received)
    assert received == list(range(index))
    assert caught.value is error
    assert caught.value.__notes__ == [  # type: ignore[attr-defined]
        f"raised by the source after {index} item(s)"
    ]


@sources
@three_ways
async def test_a_failing_source_is_seen_by_every_consumer(source: Any, consume: Any) -> None:
    """A failing source cancels and joins what is in flight, whichever way results are read."""
    begun: list[int] = []
    ended: list[int] = []
    error = SourceError()

    @single_task
    async def work(item: int) -> None:
        begun.append(item)
        try:
            await anyio.sleep(100)
        finally:
            ended.append(item)

    with pytest.raises(SourceError) as caught:
        await consume(work(source(3, error)), [])
    assert caught.value is error
    assert current_time() < 100
    assert sorted(ended) == sorted(begun)
    # A source that never suspends may fail before a call has begun.
    assert len(begun) == 3 or source is not slow_generator


class Unclosable:
    """A source whose ``aclose()`` fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __aiter__(self) -> Unclosable:
        return self

    async def __anext__(self) -> int:
        return 1

    async def aclose(self) -> None:
        raise self.error


def unclosable_generator(error: Exception) -> Iterator[int]:
    try:
        while True:
            yield 1
    finally:
        raise error


async def unclosable_async_generator(error: Exception) -> AsyncIterator[int]:
    try:
        while True:
            yield 1
    finally:
        raise error


@pytest.mark.parametrize("source", [Unclosable, unclosable_generator, unclosable_async_generator])
async def test_a_failing_cleanup_of_a_source_is_raised(source: Any) -> None:
    """Leaving the block early raises what closing the source raised."""
    error = SourceError()
    with pytest.raises(SourceError) as caught:
        async with single_task(echo).with_context(max_in_flight=100)(source(error)) as results:
            assert await anext(results) == 1
    assert caught.value is error


@pytest.mark.parametrize("source", [Unclosable, unclosable_async_generator])
async def test_an_error_of_the_body_wins_over_a_failing_cleanup(
    source: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The body's own error comes out; the other one is logged, by its type."""

    async def leave_with_an_error() -> None:
        pipeline = single_task(echo).with_context(max_in_flight=100)
        async with pipeline(source(SourceError("secret"))) as results:
            await anext(results)
            raise KeyError

    with pytest.raises(KeyError):
        await leave_with_an_error()
    assert [record.getMessage() for record in caplog.records] == [
        "a pipeline whose results nobody waits for any more has failed with SourceError"
    ]


async def test_a_cancellation_wins_over_a_failing_cleanup(caplog: pytest.LogCaptureFixture) -> None:
    """What closing the source raised is logged, as for an error of the body."""
    pipeline = single_task(echo).with_context(max_in_flight=100)
    with anyio.CancelScope() as scope:
        async with pipeline(Unclosable(SourceError("secret"))) as results:
            await anext(results)
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert [record.getMessage() for record in caplog.records] == [
        "a pipeline whose results nobody waits for any more has failed with SourceError"
    ]


async def test_a_failing_cleanup_is_told_once_if_leaving_is_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By the log if the cancellation is raised, as on asyncio, else as the error that it is."""
    told: list[str] = []
    pipeline = single_task(echo).with_context(max_in_flight=100)
    with anyio.CancelScope() as scope:
        try:
            async with pipeline(Unclosable(SourceError("secret"))) as results:
                await anext(results)
                scope.cancel()
        except SourceError as error:
            told.append(type(error).__name__)
    told += [record.getMessage().split()[-1] for record in caplog.records]
    assert told == ["SourceError"]


async def test_a_failing_cleanup_does_not_replace_the_failure_of_a_call() -> None:
    """The first failure stays the first."""
    error = TaskError()
    with pytest.raises(TaskError) as caught:
        await single_task(raiser(error))(Unclosable(SourceError())).collect()
    assert caught.value is error


async def test_a_source_that_cannot_be_iterated_fails() -> None:
    """An error of ``__aiter__`` is a failing source as well."""

    class Broken:
        def __aiter__(self) -> Any:
            raise SourceError

    with pytest.raises(SourceError):
        await Pipeline()(Broken()).collect()


class ClosingError(Exception):
    """Raised where something is closed."""


class FailsTwice:
    """Fails after two values, and once more when it is closed."""

    def __init__(self) -> None:
        self.count = 0

    def __aiter__(self) -> FailsTwice:
        return self

    async def __anext__(self) -> int:
        self.count += 1
        if self.count > 2:
            raise SourceError
        return self.count

    async def aclose(self) -> None:
        raise ClosingError


async def test_a_source_that_fails_and_cannot_be_closed() -> None:
    """The first failure counts; the other one is shown with it."""
    with pytest.raises(SourceError) as caught:
        await Pipeline()(FailsTwice()).collect()
    assert isinstance(caught.value.__context__, ClosingError)


async def test_what_a_process_gives_fails_and_cannot_be_closed() -> None:
    """As a source."""

    class Unclosed(BaseTask[Any, Any]):
        def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
            return aiter(FailsTwice())

    with pytest.raises(SourceError) as caught:
        await Unclosed()([0]).collect()
    assert isinstance(caught.value.__context__, ClosingError)


async def test_a_source_that_is_left_and_cannot_be_closed_fails() -> None:
    """Nothing else has failed."""
    with pytest.raises(ClosingError):
        async with Pipeline()(FailsTwice()) as results:
            await anext(results)


async def test_an_error_that_many_items_fail_with_does_not_grow() -> None:
    """It may be one object, and a run may have any number of items."""
    error = TaskError()
    stream = single_task(raiser(error), on_error="divert")(range(200))
    assert await stream.collect() == []
    assert len(error.__notes__) == 20  # type: ignore[attr-defined]


async def test_a_failing_side_input_names_the_task() -> None:
    """The note says which task's worker met the failure."""
    task = single_task(echo).with_inputs(raising_async(TaskError())())
    with pytest.raises(TaskError) as caught:
        await task([0]).collect()
    assert caught.value.__notes__ == [  # type: ignore[attr-defined]
        "raised in a worker of task 'echo'"
    ]


# After the error


async def test_after_an_error_a_plain_iteration_is_over() -> None:
    """The error is raised once; then the iterator and the stream say that it has been."""
    stream = single_task(raiser(TaskError()))([0])
    iterator = aiter(stream)
    with pytest.raises(TaskError):
        await anext(iterator)
    for _ in range(2):
        with pytest.raises(StreamClosedError) as caught:
            await anext(iterator)
        assert str(caught.value) == "this stream has ended with an error, which it has raised"
    with pytest.raises(StreamConsumedError):
        aiter(stream)
    await stream.aclose()


async def test_after_an_error_the_results_of_a_block_are_over() -> None:
    """Inside a block too the error is raised once, and ``aclose()`` does not repeat it."""
    async with single_task(raiser(TaskError()))([0]) as results:
        with pytest.raises(TaskError):
            await anext(results)
        with pytest.raises(StreamClosedError):
            await anext(results)
        await results.aclose()


async def test_an_error_leaves_the_pipeline_usable() -> None:
    """A run that failed leaves nothing in the description: the next run is as good as new."""

    @single_task
    def work(item: int) -> int:
        return 1 // item

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await work([1, 0]).collect()
        assert await work([1, 1]).collect() == [1, 1]
