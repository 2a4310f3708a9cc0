"""Calling a task is lazy: how the call is used decides what it means."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from conveyor import (
    AsyncStream,
    ErrorHandler,
    Pipeline,
    StreamConsumedError,
    batch_task,
    single_task,
)
from helpers import current_time


class TaskError(Exception):
    """Raised by tasks."""


@single_task
async def add(item: int, other: int = 1) -> int:
    return item + other


@single_task
def double(item: int) -> int:
    return 2 * item


# Awaited


@pytest.mark.parametrize("value", [6, None, [1, 2], [], (1, 2), {"a": 1}, "text", False], ids=repr)
@pytest.mark.parametrize("is_async", [True, False])
async def test_an_awaited_call_gives_the_result_as_it_is(value: Any, is_async: bool) -> None:
    """What the function returns comes back itself: not spread, not filtered."""

    async def work(item: int) -> Any:
        return value

    def sync_work(item: int) -> Any:
        return value

    assert await single_task(work if is_async else sync_work)(5) is value


async def test_an_awaited_call_takes_any_arguments() -> None:
    """The arguments are the function's, the first one included."""
    assert await add(5) == 6
    assert await add(5, 10) == 15
    assert await add(5, other=20) == 25
    assert await add(item=5, other=30) == 35


async def test_an_awaited_call_without_arguments() -> None:
    """A function without parameters is called with none."""

    @single_task
    async def now() -> float:
        return current_time()

    await anyio.sleep(3)
    assert await now() == 3


async def test_an_awaited_call_does_not_iterate_its_argument() -> None:
    """A list is one argument; only iterating makes it data."""

    @single_task
    def length(items: list[int]) -> int:
        return len(items)

    assert await length([1, 2, 3]) == 3


async def test_an_awaited_batch_call_gets_its_batch() -> None:
    """A batch task is called once with the list it is given, whatever its sizes."""

    @batch_task(min_size=2, max_size=2)
    async def total(batch: list[int]) -> list[int]:
        return [sum(batch)]

    assert await total([1, 2, 3, 4, 5]) == [15]


async def test_an_awaited_call_of_a_generator_gives_the_generator() -> None:
    """Nothing is spread, so generators come back unstarted."""

    @single_task
    def values(item: int) -> Iterator[int]:
        yield item

    @single_task
    async def async_values(item: int) -> AsyncIterator[int]:
        yield item

    assert list(await values(1)) == [1]
    assert [value async for value in await async_values(2)] == [2]


async def test_an_awaited_call_can_be_awaited_again() -> None:
    """Each ``await`` is one more call."""
    calls: list[int] = []
    call = single_task(calls.append)(7)
    await call
    await call
    assert calls == [7, 7]


async def test_an_awaited_call_is_timed() -> None:
    """The timeout of the task holds."""

    @single_task(timeout=2)
    async def slow(item: int) -> None:
        await anyio.sleep(5)

    with pytest.raises(TimeoutError):
        await slow(1)
    assert current_time() == 2


async def test_an_awaited_call_is_retried() -> None:
    """The retry settings of the task hold."""
    times: list[float] = []

    @single_task(retry_attempts=3, retry_jitter=0)
    async def work(item: int) -> int:
        times.append(current_time())
        if len(times) < 3:
            raise TaskError
        return item

    assert await work(4) == 4
    assert times == [0, 1, 3]


async def test_a_skipped_awaited_call_gives_none() -> None:
    """With ``skip_item`` or ``skip_batch`` there is no result, which is ``None``."""

    @single_task(on_error="skip_item")
    async def work(item: int) -> None:
        raise TaskError

    @batch_task(max_size=2, on_error="skip_batch")
    async def work_on_batch(batch: list[int]) -> None:
        raise TaskError

    assert await work(1) is None
    assert await work_on_batch([1, 2]) is None


@pytest.mark.parametrize("value", [None, "instead", [1, 2]], ids=repr)
async def test_an_awaited_call_asks_the_handler(value: Any) -> None:
    """The handler gets the item, as in a run, and its value is the result, as it is."""
    error = TaskError()
    asked: list[Any] = []

    class Handler(ErrorHandler):
        async def handle_error(self, *args: Any) -> tuple[bool, Any]:
            asked.extend(args)
            return True, value

    @single_task(error_handler=Handler())
    async def work(item: int, other: int = 0) -> None:
        raise error

    assert await work(1, 2) is value
    assert asked == [error, 1, "work", 1]


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({}, "raised by task 'work' after 1 attempt"),
        ({"retry_attempts": 2, "retry_delay": 0}, "raised by task 'work' after 2 attempts"),
    ],
)
async def test_a_failing_awaited_call_raises_the_very_error(
    options: dict[str, Any], note: str
) -> None:
    """The exception itself arrives, with a note that names the task and the attempts."""
    error = TaskError()

    async def work(item: int) -> None:
        raise error

    with pytest.raises(TaskError) as caught:
        await single_task(work, **options)("secret")
    assert caught.value is error
    assert caught.value.__notes__ == [note]  # type: ignore[attr-defined]
    assert (error.__cause__, error.__context__) == (None, None)


async def test_an_awaited_call_has_the_side_inputs_of_the_task() -> None:
    """Inputs bound with ``with_inputs`` come after the arguments."""

    async def ten() -> int:
        return 10

    assert await add.with_inputs(ten())(5) == 15


async def test_a_cancelled_awaited_call_is_cancelled() -> None:
    """The caller's cancellation goes through the call, retried or not."""
    calls: list[int] = []

    @single_task(retry_attempts=5, on_error="skip_item")
    async def work(item: int) -> None:
        calls.append(item)
        await anyio.sleep(100)

    with anyio.move_on_after(3) as scope:
        await work(1)
    assert scope.cancelled_caught
    assert (calls, current_time()) == ([1], 3)


# A stream over the first argument


async def test_an_iterated_call_is_a_stream() -> None:
    """Iterating runs a pipeline of the task alone over the first argument as data."""
    assert [result async for result in add([1, 2, 3])] == [2, 3, 4]


async def test_a_collected_call_is_a_stream() -> None:
    """So does ``collect()``; further arguments go to every call."""
    assert await add([1, 2, 3], 10).collect() == [11, 12, 13]
    assert await add([1, 2, 3], other=20).collect() == [21, 22, 23]


async def test_an_entered_call_is_a_stream() -> None:
    """So does ``async with``."""
    async with add([1, 2, 3]) as results:
        assert [result async for result in results] == [2, 3, 4]


async def test_a_call_in_completion_order() -> None:
    """A call can be switched to completion order as any stream can, and so can the task."""

    @single_task
    async def work(item: int) -> int:
        await anyio.sleep(item)
        return item

    assert await work([3, 1, 2]).collect() == [3, 1, 2]
    assert await work([3, 1, 2]).as_completed().collect() == [1, 2, 3]
    assert await work.as_completed([3, 1, 2]).collect() == [1, 2, 3]


async def test_a_stream_spreads_and_filters_as_a_pipeline_does() -> None:
    """As a stream, lists are spread and ``None`` is filtered out."""

    @single_task
    def work(item: int) -> list[int] | None:
        return [item] * item if item else None

    assert await work(range(4)).collect() == [1, 2, 2, 3, 3, 3]


async def test_a_batch_call_is_a_stream_of_batches() -> None:
    """For a batch task the data is cut into batches."""

    @batch_task(max_size=2)
    async def total(batch: list[int]) -> int:
        return sum(batch)

    assert await total([1, 2, 3, 4, 5]).collect() == [3, 7, 5]


async def test_a_call_is_consumed_once() -> None:
    """As a stream it is used once, like the stream of any pipeline."""
    call = add([1])
    assert await call.collect() == [2]
    with pytest.raises(StreamConsumedError):
        await call.collect()


async def test_a_call_given_as_data() -> None:
    """As another pipeline's data, a call is the stream it stands for."""
    assert await double(add([1, 2, 3])).collect() == [4, 6, 8]
    assert await (double | add)(add([1, 2, 3], 5)).collect() == [13, 15, 17]


async def test_a_call_given_as_a_side_input() -> None:
    """As a side input, it is asked for its first item."""
    assert await add.with_inputs(double([50, 60]))([1, 2]).collect() == [101, 102]
    assert await add([1, 2], double([50])).collect() == [101, 102]


async def test_a_call_around_which_a_stream_is_put() -> None:
    """A call is an async iterable."""
    assert await AsyncStream(add([1, 2])).collect() == [2, 3]


async def test_a_call_without_data_is_a_source() -> None:
    """Iterated without an argument, the task is called once with no item."""

    @single_task
    async def count(start: int = 0, stop: int = 3) -> AsyncIterator[int]:
        for number in range(start, stop):
            yield number

    assert await count().collect() == [0, 1, 2]
    assert await count(stop=2).collect() == [0, 1]
    assert await (count | double)().collect() == [0, 2, 4]
    assert await (count | double)(stop=2).collect() == [0, 2]


async def test_a_source_may_return_anything() -> None:
    """A source without data may be any function; the table of results holds."""
    assert await single_task(lambda: [1, 2])().collect() == [1, 2]
    assert await single_task(lambda: None)().collect() == []
    assert await single_task(lambda: "abc")().collect() == ["abc"]


async def test_a_batch_task_is_no_source() -> None:
    """Without data there is no batch, and the message says so."""

    @batch_task(max_size=2)
    async def total(batch: list[int]) -> int:
        return sum(batch)

    with pytest.raises(TypeError) as caught:
        await total().collect()
    assert str(caught.value) == (
        "a pipeline that begins with batch task 'total' needs data; "
        "only a single task can be a source"
    )


# Part of a "|" expression


@pytest.mark.parametrize(
    ("pipeline", "expected"),
    [
        (add(10) | double, [22, 24]),
        (double | add(10), [12, 14]),
        (double | add(10) | double, [24, 28]),
        (add(10) | add(other=20), [31, 32]),
        (Pipeline() | add(10), [11, 12]),
        (add(10) | Pipeline().add(double), [22, 24]),
        (Pipeline().add(double) | add(10), [12, 14]),
        (Pipeline().add(add(10), add(20)), [31, 32]),
    ],
    ids=["first", "last", "middle", "both", "empty", "left", "right", "added"],
)
async def test_a_call_in_a_pipe_binds_its_arguments_after_the_item(
    pipeline: Any, expected: list[int]
) -> None:
    """In any position of ``|`` the arguments are bound as with ``with_inputs``, run after run."""
    assert await pipeline([1, 2]).collect() == expected
    assert await pipeline([1, 2]).collect() == expected


async def test_a_call_in_a_pipe_may_hold_a_stream() -> None:
    """An async iterator is shared by the calls, as with ``with_inputs``."""

    async def letters() -> AsyncIterator[str]:
        for letter in "abc":
            yield letter

    @single_task
    async def pair(item: int, others: AsyncIterator[str]) -> tuple[int, str]:
        return item, await anext(others)

    pipeline = double | pair(source := letters())
    assert await pipeline([1, 2, 3]).collect() == [(2, "a"), (4, "b"), (6, "c")]
    await source.aclose()  # type: ignore[attr-defined]


async def test_a_call_can_be_reused_after_it_was_piped() -> None:
    """Piping a call takes nothing from it."""
    call = add(10)
    pipeline = double | call
    assert await pipeline([1]).collect() == [12]
    assert await call == 11


def test_an_unused_call_says_nothing() -> None:
    """A call that is never awaited or iterated is no coroutine, so nothing warns."""

    @single_task
    async def work(item: int) -> None:
        raise AssertionError

    call = work([1])
    del call
    work(1)


# What a task can be made of


class Service:
    """Methods as tasks."""

    def __init__(self, offset: int) -> None:
        self.offset = offset

    @single_task
    async def add(self, item: int) -> int:
        return item + self.offset

    @batch_task(max_size=2)
    def total(self, batch: list[int]) -> int:
        return sum(batch) + self.offset

    @single_task(task_name="spread")
    async def values(self, item: int, times: int = 1) -> AsyncIterator[int]:
        for _ in range(times):
            yield item + self.offset


async def test_methods_are_bound_to_their_instances() -> None:
    """Each instance has its own task; awaited, iterated and piped."""
    ten, twenty = Service(10), Service(20)
    assert await ten.add(1) == 11
    assert await twenty.add(1) == 21
    assert await ten.add([1, 2]).collect() == [11, 12]
    assert await (ten.add | twenty.add)([1, 2]).collect() == [31, 32]
    assert await twenty.total([1, 2, 3]).collect() == [23, 23]
    assert await ten.values(2).collect() == [12]
    assert await (ten.add | ten.values(2))([1]).collect() == [21, 21]


async def test_a_bound_task_keeps_options_and_side_inputs() -> None:
    """Binding changes the function and nothing else; the class has the unbound task."""
    assert Service(1).values.task_name == "spread"
    assert Service(1).total.max_size == 2
    assert await Service(1).values.with_inputs(3)([4]).collect() == [5, 5, 5]
    assert await Service.add(Service(5), 1) == 6
    assert Service(1).values.replace(task_name="other").task_name == "other"
    assert Service.values.task_name == "spread"


async def test_a_bound_method_can_be_made_a_task() -> None:
    """A method of an instance is a function like any other."""
    received: list[int] = []
    assert await single_task(received.append)([1, 2]).collect() == []
    assert received == [1, 2]


async def test_partials_are_tasks() -> None:
    """A partial is called with its arguments and named after its function."""

    async def power(base: int, exponent: int) -> int:
        return base**exponent

    task = single_task(functools.partial(power, exponent=3))
    assert task.task_name == "power"
    assert await task([1, 2, 3]).collect() == [1, 8, 27]
    assert await single_task(functools.partial(power, 2))(5) == 32


async def test_partials_of_generators_are_tasks() -> None:
    """What comes back decides, not what kind of function it is."""

    def values(times: int, item: int) -> Iterator[int]:
        yield from [item] * times

    assert await single_task(functools.partial(values, 2))([1, 2]).collect() == [1, 1, 2, 2]


async def test_callable_objects_are_tasks() -> None:
    """An object with a coroutine ``__call__`` is a task named after its class."""

    class Adder:
        def __init__(self, offset: int) -> None:
            self.offset = offset

        async def __call__(self, item: int) -> int:
            return item + self.offset

    task = single_task(Adder(5))
    assert task.task_name == "Adder"
    assert await task([1, 2]).collect() == [6, 7]
    assert await task(1) == 6


async def test_lambdas_are_tasks() -> None:
    """A lambda may return a value, or a coroutine that is awaited."""
    assert await single_task(lambda item: -item)([1, 2]).collect() == [-1, -2]
    assert await single_task(lambda item: add(item))([1, 2]).collect() == [2, 3]


async def test_a_task_that_returns_the_call_of_another_awaits_it() -> None:
    """A call that comes back is awaited, as a coroutine would be, by functions of both kinds."""

    @single_task
    def delegate(item: int) -> Any:
        return add(item)

    assert await delegate([1, 2]).collect() == [2, 3]
    assert await delegate(1) == 2


# A task as a pipeline of one


async def test_process_returns_an_async_iterable() -> None:
    """``await task.process(items)`` is the stream of a pipeline of the task alone."""
    stream = await add.process([1, 2])
    assert [result async for result in stream] == [2, 3]


async def test_with_context_and_with_execution_mode_make_pipelines() -> None:
    """Both give a pipeline of the task alone and leave the task as it is."""
    pipeline = add.with_context(max_parallelism=3, key="value")
    assert isinstance(pipeline, Pipeline)
    assert pipeline.context.max_parallelism == 3
    assert pipeline.context.data == {"key": "value"}
    assert add.with_execution_mode("as_completed").context.execution_mode == "as_completed"
    assert add.pipeline().context.data == {}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_task_runs_from_synchronous_code(backend: str) -> None:
    """``task.run(data)`` needs no event loop."""
    assert add.run([1, 2], backend=backend) == [2, 3]
