"""Side inputs: what a task's function gets besides the item."""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import anyio
import anyio.to_thread
import pytest

from conveyor import AsyncStream, Pipeline, batch_task, single_task
from helpers import current_time, ticks


class InputError(Exception):
    """Raised by side inputs."""


@single_task
def pair(item: Any, *others: Any, **named: Any) -> tuple[Any, ...]:
    return (item, *others, *named.items())


@single_task
async def pair_with_next(item: Any, others: AsyncIterator[Any]) -> tuple[Any, Any]:
    return item, await anext(others, None)


class Counted:
    """A coroutine function that counts how often it was begun."""

    def __init__(self, value: Any = "value", *, seconds: float = 0) -> None:
        self.value = value
        self.seconds = seconds
        self.calls = 0

    async def __call__(self) -> Any:
        self.calls += 1
        await anyio.sleep(self.seconds)
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


async def letters(text: str = "abcdef", seconds: float = 0) -> AsyncIterator[str]:
    for letter in text:
        await anyio.sleep(seconds)
        yield letter


class Numbers:
    """An endless async iterator that needs no closing."""

    def __init__(self) -> None:
        self.number = 0

    def __aiter__(self) -> Numbers:
        return self

    async def __anext__(self) -> int:
        self.number += 1
        return self.number


# Plain values


@pytest.mark.parametrize("value", [1, None, "text", [1, 2], {"a": 1}, range(3), iter([1]), len])
async def test_a_plain_value_is_passed_as_it_is(value: Any) -> None:
    """Anything that is neither coroutine, stream nor async iterator is passed itself."""
    ((_, given),) = await pair.with_inputs(value)([0]).collect()
    assert given is value


async def test_several_inputs_come_after_the_item() -> None:
    """Positional and named arguments follow the item, in their order."""
    task = pair.with_inputs(1, 2, x=3, y=4)
    assert await task(["a"]).collect() == [("a", 1, 2, ("x", 3), ("y", 4))]
    assert await task("a") == ("a", 1, 2, ("x", 3), ("y", 4))


async def test_a_batch_task_gets_them_after_the_batch() -> None:
    """The batch is the first argument, the side inputs follow."""

    @batch_task(max_size=2)
    def total(batch: list[int], factor: int, *, offset: int) -> int:
        return sum(batch) * factor + offset

    assert await total.with_inputs(10, offset=1)([1, 2, 3]).collect() == [31, 31]


# Coroutines


async def test_a_coroutine_is_awaited_once_for_all_items() -> None:
    """Every call of every item gets the one value."""
    load = Counted()
    task = pair.with_inputs(load())
    assert await task(range(5)).collect() == [(n, "value") for n in range(5)]
    assert load.calls == 1


async def test_the_value_of_a_coroutine_is_kept_for_later_runs() -> None:
    """A configured task awaits it once in its life, awaited calls included."""
    load = Counted()
    task = pair.with_inputs(load())
    for _ in range(3):
        assert await task([0]).collect() == [(0, "value")]
    assert await task(0) == (0, "value")
    assert load.calls == 1


@pytest.mark.parametrize("value", [None, 0, []], ids=repr)
async def test_a_falsy_value_is_a_value(value: Any) -> None:
    """A coroutine may give anything, and it is kept all the same."""
    load = Counted(value)
    task = pair.with_inputs(key=load())
    for _ in range(2):
        assert await task([0]).collect() == [(0, ("key", value))]
    assert load.calls == 1


async def test_a_coroutine_is_awaited_by_one_caller_only() -> None:
    """Concurrent runs and calls wait for the same single flight."""
    load = Counted(seconds=5)
    task = pair.with_inputs(load())
    results: list[Any] = []

    async def consume() -> None:
        results.append((await task(range(3)).collect(), current_time()))

    async with anyio.create_task_group() as task_group:
        for _ in range(3):
            task_group.start_soon(consume)
    assert results == [([(0, "value"), (1, "value"), (2, "value")], 5)] * 3
    assert load.calls == 1


async def test_a_coroutine_that_fails_fails_every_run() -> None:
    """Its error reaches each consumer itself; it is not awaited again."""
    error = InputError()
    load = Counted(error)
    task = pair.with_inputs(load())
    for consume in (task([0]).collect, task([0, 1]).collect):
        with pytest.raises(InputError) as caught:
            await consume()
        assert caught.value is error
    with pytest.raises(InputError):
        await task(0)
    assert load.calls == 1


async def test_a_failing_coroutine_is_no_failure_of_an_item() -> None:
    """Neither ``on_error`` nor retries have a say: without inputs there is no call."""
    load = Counted(InputError())
    task = pair.with_inputs(load()).replace(on_error="skip_item", retry_attempts=3)
    with pytest.raises(InputError):
        await task([0]).collect()
    assert load.calls == 1


async def test_a_coroutine_cancelled_before_it_had_a_value() -> None:
    """It cannot be awaited again, so later runs say what happened and what to do."""
    load = Counted(seconds=10)
    task = pair.with_inputs(load())
    with anyio.move_on_after(5) as scope:
        await task([0]).collect()
    assert scope.cancelled_caught
    for _ in range(2):
        with pytest.raises(RuntimeError) as caught:
            await task([0]).collect()
        assert str(caught.value) == (
            "a side input was cancelled before it had a value; configure the task again "
            "with with_inputs(...)"
        )
    assert load.calls == 1


async def test_the_run_that_asked_first_may_be_cancelled() -> None:
    """The flight goes on for the runs that still wait for it."""
    load = Counted(seconds=5)
    task = pair.with_inputs(load())

    async def cancelled() -> None:
        with anyio.move_on_after(1):
            await task([0]).collect()

    async with anyio.create_task_group() as task_group:
        task_group.start_soon(cancelled)
        await ticks(3)
        assert await task([1]).collect() == [(1, "value")]
    assert (load.calls, current_time()) == (1, 5)


async def test_a_side_input_that_needs_itself_is_refused() -> None:
    """It would wait for itself, in a run or in an awaited call."""
    tasks: list[Any] = []

    async def load(by_run: bool) -> Any:
        task = tasks[-1]
        return await task([0]).collect() if by_run else await task(0)

    for by_run in (True, False):
        tasks.append(pair.with_inputs(load(by_run)))
        with pytest.raises(RuntimeError) as caught:
            await tasks[-1]([1]).collect()
        assert str(caught.value) == "a side input needs its own value to get it"


async def test_the_last_run_to_leave_waits_for_the_flights_end() -> None:
    """Nothing is left alive, cleanup that awaits included."""
    ended: list[float] = []

    async def load() -> str:
        try:
            await anyio.sleep(10)
            return "value"
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(2)
            ended.append(current_time())

    task = pair.with_inputs(load())
    with anyio.move_on_after(1):
        await task([0]).collect()
    assert (ended, current_time()) == ([3], 3)


@pytest.mark.parametrize("second", ["asyncio", "trio"])
@pytest.mark.parametrize("first", ["asyncio", "trio"])
def test_inputs_are_kept_from_one_event_loop_to_the_next(first: Any, second: Any) -> None:
    """Values and iterators alike; a run cut short leaves nothing locked."""
    load = Counted()
    numbers = Numbers()

    @single_task
    async def work(item: int, value: str, others: AsyncIterator[int]) -> tuple[int, str, int]:
        number = await anext(others)
        if item == 1:
            raise InputError
        return item, value, number

    task = work.with_inputs(load(), numbers)
    assert task.run([0], backend=first) == [(0, "value", 1)]
    with pytest.raises(InputError):
        task.run([1, 2, 3], backend=second)
    assert task.run([4], backend=first) == [(4, "value", numbers.number)]
    assert load.calls == 1


async def test_a_cancelled_waiter_leaves_the_flight_alone() -> None:
    """A run that is cancelled while another one awaits the coroutine changes nothing."""
    load = Counted(seconds=10)
    task = pair.with_inputs(load())
    results: list[Any] = []

    async def consume() -> None:
        results.append(await task([0]).collect())

    async with anyio.create_task_group() as task_group:
        task_group.start_soon(consume)
        await ticks(5)
        with anyio.move_on_after(3) as scope:
            await task([0]).collect()
        assert scope.cancelled_caught
    assert results == [[(0, "value")]]


async def test_each_configuration_awaits_its_own_coroutine() -> None:
    """Two configured tasks of one function have nothing in common."""
    first, second = Counted("first"), Counted("second")
    one, two = pair.with_inputs(first()), pair.with_inputs(second())
    assert await (one | two)([0]).collect() == [((0, "first"), "second")]
    assert (first.calls, second.calls) == (1, 1)


# Streams


@pytest.mark.parametrize(
    "stream",
    [
        lambda: AsyncStream(Numbers()),
        lambda: pair(["a"]),
        lambda: Pipeline()(["a"]),
        lambda: (pair | pair)(["a"]),
    ],
    ids=["stream", "call", "empty_pipeline", "pipeline"],
)
async def test_a_stream_is_asked_for_its_first_item(stream: Any) -> None:
    """An ``AsyncStream`` of any kind stands for its first item, the same for every call."""
    first = await stream().first()
    assert first is not None
    task = pair.with_inputs(stream())
    for _ in range(2):
        assert await task([0, 1]).collect() == [(0, first), (1, first)]


@pytest.mark.parametrize(
    "stream",
    [lambda: AsyncStream(letters("")), lambda: pair([]), lambda: Pipeline()([])],
    ids=["stream", "call", "pipeline"],
)
async def test_an_empty_stream_gives_none(stream: Any) -> None:
    """Where there is no first item the value is ``None``."""
    assert await pair.with_inputs(stream())([0]).collect() == [(0, None)]


async def test_only_the_first_item_is_asked_for() -> None:
    """The pipeline behind a stream ends when it has given one item, and its source is closed."""
    closed: list[float] = []

    async def source() -> AsyncIterator[int]:
        try:
            for number in range(1000):
                yield number
                await anyio.sleep(1)
        finally:
            closed.append(current_time())

    task = pair.with_inputs(Pipeline()(source()))
    assert await task(["x"]).collect() == [("x", 0)]
    assert closed == [0]


async def test_a_plain_stream_is_asked_for_its_first_item_and_left() -> None:
    """What a plain ``AsyncStream`` wraps keeps its other items, for whoever made it."""
    source = letters("abc")
    assert await pair.with_inputs(AsyncStream(source))([0, 1]).collect() == [(0, "a"), (1, "a")]
    assert [letter async for letter in source] == ["b", "c"]


async def test_a_stream_that_fails_fails_the_run() -> None:
    """The error of the pipeline behind the stream arrives itself."""
    error = InputError()

    @single_task
    def fail(item: int) -> None:
        raise error

    with pytest.raises(InputError) as caught:
        await pair.with_inputs(fail([0]))([0]).collect()
    assert caught.value is error


# Async iterators


async def test_an_async_iterator_is_shared_in_input_order() -> None:
    """The calls, which run at once, take its items in the order of their own."""
    source = letters(seconds=1)
    result = await pair_with_next.with_inputs(source)(range(6)).collect()
    assert result == list(enumerate("abcdef"))
    await source.aclose()  # type: ignore[attr-defined]


async def test_an_async_iterator_is_shared_in_input_order_after_overtaking() -> None:
    """Order is restored before the task, however items overtook one another upstream."""

    @single_task
    async def scramble(item: int) -> int | None:
        await anyio.sleep((7 * item) % 5)
        return None if item == 2 else item

    source = letters()
    pipeline = scramble | pair_with_next.with_inputs(source)
    assert await pipeline(range(7)).collect() == list(
        zip([0, 1, 3, 4, 5, 6], "abcdef", strict=True)
    )
    await source.aclose()  # type: ignore[attr-defined]


async def test_an_async_iterator_goes_on_in_the_next_run() -> None:
    """The iterator is handed on as it is: a later run takes what is left."""
    source = letters("abc")
    task = pair_with_next.with_inputs(source)
    assert await task([0, 1]).collect() == [(0, "a"), (1, "b")]
    assert await task([0, 1]).collect() == [(0, "c"), (1, None)]


async def test_concurrent_runs_share_an_async_iterator() -> None:
    """Calls of different runs queue up as well, where the bare iterator would raise."""
    source = letters(seconds=1)
    task = pair_with_next.with_inputs(source)
    taken: list[Any] = []

    async def consume() -> None:
        taken.extend([letter for _, letter in await task(range(3)).collect()])

    async with anyio.create_task_group() as task_group:
        task_group.start_soon(consume)
        task_group.start_soon(consume)
    assert sorted(taken) == list("abcdef")
    await source.aclose()  # type: ignore[attr-defined]


async def test_a_shared_iterator_has_the_attributes_of_the_iterator() -> None:
    """What a function gets iterates, ends, and can be asked what the original can."""
    send, receive = anyio.create_memory_object_stream[int](4)
    send.send_nowait(7)

    @single_task
    async def look(item: int, stream: Any) -> tuple[int, list[int]]:
        waiting = stream.statistics().current_buffer_used
        send.close()
        return waiting, [number async for number in stream]

    assert await look.with_inputs(receive)([0]).collect() == [(1, [7])]
    receive.close()


async def test_an_async_iterator_that_fails_is_a_failing_call() -> None:
    """It is the call that asks, so the error is the call's and can be skipped."""

    async def failing() -> AsyncIterator[str]:
        yield "a"
        raise InputError

    task = pair_with_next.with_inputs(failing()).replace(on_error="skip_item")
    assert await task([0, 1, 2]).collect() == [(0, "a"), (2, None)]


# Given at the call, replaced, kept


async def test_a_value_that_is_being_fetched_elsewhere_is_refused() -> None:
    """A run on another event loop cannot wait for it, and is told so; here it arrives."""
    gate = anyio.Event()

    async def fetch() -> int:
        await gate.wait()
        return 1

    def elsewhere(task: Any) -> None:
        with pytest.raises(RuntimeError, match=r"^a value that is needed here is being fetched on"):
            task.run([5], backend="asyncio")

    @single_task
    async def add(item: int, value: int) -> int:
        return item + value

    task = add.with_inputs(fetch())
    async with task([7]) as results:
        await ticks(5)
        await anyio.to_thread.run_sync(elsewhere, task)
        gate.set()
        assert await results.collect() == [8]


async def test_extra_call_arguments_are_side_inputs_of_one_run() -> None:
    """Arguments after the data go to the first task, and do not leak into the next run."""
    pipeline = pair | single_task(str)
    assert await pipeline([0], 1, key=2).collect() == ["(0, 1, ('key', 2))"]
    assert await pipeline([0]).collect() == ["(0,)"]


async def test_extra_call_arguments_are_laid_over_those_bound_before() -> None:
    """For one run: positional ones in place of positional ones, named ones by their names."""
    task = pair.with_inputs(1, a=2, b=3)
    assert await task([0], 10).collect() == [(0, 10, ("a", 2), ("b", 3))]
    assert await task([0], b=30).collect() == [(0, 1, ("a", 2), ("b", 30))]
    assert await task([0]).collect() == [(0, 1, ("a", 2), ("b", 3))]


async def test_extra_call_arguments_may_be_of_every_kind() -> None:
    """Coroutines are awaited and streams asked, as with ``with_inputs``."""
    load = Counted()
    result = await Pipeline().add(pair)([0, 1], load(), key=pair(["k"])).collect()
    assert result == [(0, "value", ("key", ("k",))), (1, "value", ("key", ("k",)))]
    assert load.calls == 1


async def test_a_run_with_extra_arguments_keeps_a_coroutines_value() -> None:
    """A coroutine bound before is the same one, once, whatever is added for a run."""
    load = Counted()
    task = pair.with_inputs(load())
    assert await task([0], key=1).collect() == [(0, "value", ("key", 1))]
    assert await task([0]).collect() == [(0, "value")]
    assert load.calls == 1


async def test_with_inputs_replaces_all_inputs() -> None:
    """The new ones take the place of the old ones, positional and named."""
    task = pair.with_inputs(1, a=2)
    assert await task.with_inputs(b=3)([0]).collect() == [(0, ("b", 3))]
    assert await task.with_inputs(4)([0]).collect() == [(0, 4)]
    assert await task.with_inputs()([0]).collect() == [(0,)]


async def test_with_inputs_leaves_the_task_alone() -> None:
    """A task is immutable: it has the inputs it had."""
    task = pair.with_inputs(1)
    task.with_inputs(2)
    pair.with_inputs(3)
    assert await task([0]).collect() == [(0, 1)]
    assert await pair([0]).collect() == [(0,)]


async def test_replace_keeps_the_inputs() -> None:
    """Other options, same inputs; a coroutine among them is not awaited again."""
    load = Counted()
    task = pair.with_inputs(load(), key=1)
    renamed = task.replace(task_name="renamed")
    assert await task([0]).collect() == [(0, "value", ("key", 1))]
    assert await renamed([0]).collect() == [(0, "value", ("key", 1))]
    assert (renamed.task_name, load.calls) == ("renamed", 1)


class Letters:
    """An async iterator that can be copied."""

    def __init__(self) -> None:
        self.rest = list("abc")

    def __aiter__(self) -> Letters:
        return self

    async def __anext__(self) -> str:
        if not self.rest:
            raise StopAsyncIteration
        return self.rest.pop(0)


async def test_the_iterator_of_a_task_that_is_copied_is_copied_too() -> None:
    """The copy has the same inputs, as far as they can be copied."""
    task = pair_with_next.with_inputs(Letters())
    other = copy.deepcopy(task)
    assert await task([1, 2]).collect() == [(1, "a"), (2, "b")]
    assert await other([1, 2]).collect() == [(1, "a"), (2, "b")]


async def test_a_source_gets_its_inputs_without_an_item() -> None:
    """A task that runs without data is called with its side inputs only."""

    @single_task
    async def count(start: int, stop: int) -> AsyncIterator[int]:
        for number in range(start, stop):
            yield number

    assert await count.with_inputs(2, stop=4).pipeline()().collect() == [2, 3]
    assert await count.with_inputs(Counted(2)(), stop=Counted(4)()).pipeline()().collect() == [2, 3]


async def slow_letters() -> AsyncGenerator[str, None]:
    for letter in "abcdef":
        await anyio.sleep(1)
        yield letter


async def test_an_iterator_given_in_several_places_is_shared_by_all() -> None:
    """By two tasks, two arguments and two runs: whoever asks first is given the next one."""
    letters = slow_letters()
    both = pair_with_next.with_inputs(letters) | pair_with_next.with_inputs(letters)
    assert await both([1, 2]).collect() == [((1, "a"), "c"), ((2, "b"), "d")]
    results: list[Any] = []

    async def run(item: int) -> None:
        results.extend(await pair_with_next.pipeline()([item], letters).collect())

    async with anyio.create_task_group() as group:
        group.start_soon(run, 3)
        group.start_soon(run, 4)
    assert sorted(letter for _, letter in results) == ["e", "f"]
    await letters.aclose()

    @single_task
    async def from_both(item: int, one: AsyncIterator[str], *, two: AsyncIterator[str]) -> Any:
        received: list[str] = []

        async def take(letters: AsyncIterator[str]) -> None:
            received.append(await anext(letters))

        async with anyio.create_task_group() as group:
            group.start_soon(take, one)
            group.start_soon(take, two)
        return sorted(received)

    letters = slow_letters()
    assert await from_both.with_inputs(letters, two=letters)([1]).collect() == ["a", "b"]
    await letters.aclose()


async def test_a_call_with_a_coroutine_may_be_composed_more_than_once() -> None:
    """It is awaited once, whether the call is bound in one pipeline or in two."""
    load = Counted()
    call = pair(load())
    assert await (call | call)([0]).collect() == [((0, "value"), "value")]
    one, two = call | pair, pair | call
    assert await one([1]).collect() == [((1, "value"),)]
    assert await two([2]).collect() == [((2,), "value")]
    assert load.calls == 1


@pytest.mark.parametrize("stand_in", [AsyncMock(return_value="x"), MagicMock(return_value="x")])
async def test_a_stand_in_is_a_value_like_any_other(stand_in: Any) -> None:
    """Though those of unittest.mock can do everything, be async iterators for instance."""

    @single_task
    async def call(item: int, function: Any) -> Any:
        result = function(item)
        return await result if isinstance(function, AsyncMock) else result

    task = call.with_inputs(stand_in)
    assert await task([1, 2]).collect() == ["x", "x"]
    assert "in order" not in task.describe()
