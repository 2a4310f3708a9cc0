"""The data of a pipeline: what is iterated, what is one item, and what is refused."""

from __future__ import annotations

import functools
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from types import MappingProxyType
from typing import Any

import anyio
import pytest

from conveyor import AsyncStream, Pipeline, batch_task, single_task
from helpers import ticks


@single_task
def echo(item: Any, *rest: Any, **named: Any) -> Any:
    return (item, rest, named) if rest or named else (item,)


async def items(pipeline: Any, data: Any) -> list[Any]:
    """Return the items that *pipeline*, which wraps each in a tuple, found in *data*."""
    return [item for (item,) in await pipeline(data).collect()]


class Sequence:
    """Iterable by index only."""

    def __getitem__(self, index: int) -> int:
        return [7, 8, 9][index]


class Custom:
    """An iterable that is no iterator."""

    def __iter__(self) -> Iterator[int]:
        return iter([1, 2])


class AsyncCustom:
    """An async iterable that makes a new async generator each time."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed = 0

    async def __aiter__(self) -> AsyncIterator[int]:
        self.opened += 1
        try:
            for number in range(1000):
                yield number
        finally:
            await ticks(1)
            self.closed += 1


class Track:
    """Makes generators that say how far they came and whether they are closed."""

    def __init__(self) -> None:
        self.given = 0
        self.closed = False

    def generator(self, count: int) -> Iterator[int]:
        try:
            for number in range(count):
                self.given += 1
                yield number
        finally:
            self.closed = True

    async def async_generator(self, count: int) -> AsyncIterator[int]:
        try:
            for number in self.generator(count):
                yield number
        finally:
            await ticks(1)


# What is iterated


ITERABLES: dict[str, tuple[Any, list[Any]]] = {
    "list": (lambda: [1, 2], [1, 2]),
    "empty_list": (list, []),
    "tuple": (lambda: (1, 2), [1, 2]),
    "set": (lambda: {3}, [3]),
    "frozenset": (lambda: frozenset({3}), [3]),
    "range": (lambda: range(3), [0, 1, 2]),
    "deque": (lambda: deque([1, 2]), [1, 2]),
    "iterator": (lambda: iter([1, 2]), [1, 2]),
    "map": (lambda: map(abs, [-1, -2]), [1, 2]),
    "items": (lambda: {"a": 1}.items(), [("a", 1)]),
    "keys": (lambda: {"a": 1}.keys(), ["a"]),
    "iterable": (lambda: Custom(), [1, 2]),
    "sequence": (lambda: Sequence(), [7, 8, 9]),
    "falsy_items": (lambda: [None, 0, "", [], ()], [None, 0, "", [], ()]),
    "texts": (lambda: ["ab", b"cd", {"e": 1}], ["ab", b"cd", {"e": 1}]),
    "nested": (lambda: [[1, 2], (3, 4), range(2)], [[1, 2], (3, 4), range(2)]),
}


@pytest.mark.parametrize(("make_data", "expected"), ITERABLES.values(), ids=ITERABLES)
async def test_iterables_are_iterated(make_data: Any, expected: list[Any]) -> None:
    """Each element of an iterable is an item, as it is: not looked into, not filtered."""
    assert await items(echo, make_data()) == expected


async def test_a_set_is_iterated() -> None:
    """The items of a set come in the order in which it is iterated."""
    data = {"a", "b", "c"}
    assert await items(echo, data) == list(data)


async def test_a_generator_is_iterated() -> None:
    """A generator gives its items and is closed."""
    track = Track()
    assert await items(echo, track.generator(3)) == [0, 1, 2]
    assert track.closed


async def test_an_async_generator_is_iterated() -> None:
    """So does an async generator."""
    track = Track()
    assert await items(echo, track.async_generator(3)) == [0, 1, 2]
    assert track.closed


async def test_an_async_iterable_is_iterated() -> None:
    """The iterator that is made of an async iterable is closed, at the end and early."""
    data = AsyncCustom()
    assert len(await echo(data).collect()) == 1000
    assert (data.opened, data.closed) == (1, 1)
    async with echo.with_context(max_in_flight=100)(data) as results:
        await anext(results)
    assert (data.opened, data.closed) == (2, 2)


async def test_a_receive_stream_is_iterated_until_its_senders_close() -> None:
    """An AnyIO stream is data while it is being sent to, and is closed at the end."""
    send, receive = anyio.create_memory_object_stream[int]()

    async def produce() -> None:
        async with send:
            for number in range(3):
                await anyio.sleep(1)
                await send.send(number)

    async with anyio.create_task_group() as task_group:
        task_group.start_soon(produce)
        assert await items(echo, receive) == [0, 1, 2]
    with pytest.raises(anyio.ClosedResourceError):
        receive.receive_nowait()


async def test_a_receive_stream_is_closed_on_early_exit() -> None:
    """A consumer that leaves closes it too, which the sender notices."""
    send, receive = anyio.create_memory_object_stream[int](10)
    async with send:
        send.send_nowait(1)
        async with echo(receive) as results:
            assert await anext(results) == (1,)
        with pytest.raises(anyio.BrokenResourceError):
            send.send_nowait(2)


async def test_another_pipelines_stream_is_iterated() -> None:
    """The results of one pipeline are the data of another, in their order."""

    @single_task
    async def slow(item: int) -> int:
        await anyio.sleep(9 - item % 9)
        return 10 * item

    assert await items(echo, slow(range(4))) == [0, 10, 20, 30]
    assert await items(echo, (slow | slow)(range(2))) == [0, 100]
    assert await items(echo, slow.as_completed(range(3))) == [20, 10, 0]
    assert await items(echo, Pipeline()([5, 6])) == [5, 6]


async def test_another_pipelines_run_ends_with_ours() -> None:
    """Leaving early ends the run whose stream was given, and closes its source."""
    track = Track()
    inner = single_task(lambda item: item)(track.async_generator(100_000))
    async with echo(inner) as results:
        assert await anext(results) == (0,)
    assert track.closed
    assert track.given < 10_000


async def test_an_async_stream_is_iterated() -> None:
    """An ``AsyncStream`` around an async iterable is iterated and closed."""
    track = Track()
    assert await items(echo, AsyncStream(track.async_generator(3))) == [0, 1, 2]
    assert track.closed


@pytest.mark.parametrize("wrap", [AsyncStream, lambda source: source], ids=["stream", "bare"])
async def test_an_async_source_is_closed_on_early_exit(wrap: Any) -> None:
    """When the block is left, an async generator has been closed, inside a stream or bare."""
    track = Track()
    async with echo(wrap(track.async_generator(100_000))) as results:
        await anext(results)
    assert track.closed


async def test_a_synchronous_generator_is_closed_on_early_exit() -> None:
    """A synchronous generator is closed when the block is left, not when it is collected."""
    track = Track()
    source = track.generator(100_000)
    async with echo(source) as results:
        await anext(results)
    assert track.closed
    assert track.given < 10_000


@pytest.mark.parametrize("kind", ["generator", "async_generator"])
async def test_a_generator_is_closed_after_a_failure(kind: str) -> None:
    """A failing call closes the source before the consumer sees the error."""
    track = Track()

    @single_task
    async def fail(item: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail(getattr(track, kind)(100_000)).collect()
    assert track.closed


@pytest.mark.parametrize("kind", ["generator", "async_generator"])
async def test_data_is_iterated_lazily(kind: str) -> None:
    """Nothing is pulled before the stream is consumed, and no more than the window after."""
    track = Track()
    stream = echo.with_context(max_in_flight=100)(getattr(track, kind)(100_000))
    assert track.given == 0
    async with stream as results:
        assert await anext(results) == (0,)
        await ticks(50)
        assert track.given <= 101
        for _ in range(500):
            await anext(results)
        await ticks(50)
        assert 500 < track.given <= 601


async def test_a_stream_that_is_never_consumed_touches_no_data() -> None:
    """Calling a pipeline starts nothing, so there is nothing to close."""
    track = Track()
    stream = echo(source := track.generator(3))
    del stream
    assert list(source) == [0, 1, 2]


# What is one item


@pytest.mark.parametrize(
    "data",
    [
        "text",
        "",
        b"bytes",
        bytearray(b"bytes"),
        memoryview(b"bytes"),
        {"a": 1},
        {},
        OrderedDict(a=1),
        MappingProxyType({"a": 1}),
        None,
        0,
        5,
        2.5,
        True,
        object(),
        len,
        ValueError("x"),
    ],
    ids=lambda data: f"{type(data).__name__}",
)
async def test_strings_mappings_and_non_iterables_are_one_item(data: Any) -> None:
    """They are given to the first task once, as they are."""
    (given,) = await items(echo, data)
    assert given is data


async def test_none_is_an_item_on_its_way_in() -> None:
    """Only a task's ``None`` is filtered out; one in the data reaches the task."""
    assert await echo([None, None]).collect() == [(None,), (None,)]
    assert await echo(None).collect() == [(None,)]
    assert await batch_task(max_size=2)(lambda batch: tuple(batch))([None, 1]).collect() == [
        (None, 1)
    ]


# No data at all


async def test_without_data_the_first_task_is_the_source() -> None:
    """It is called once with no item, and its results are the data of the next one."""

    @single_task
    async def numbers() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    assert await (numbers | echo)().collect() == [(0,), (1,), (2,)]
    assert await (numbers | echo).as_completed().collect() == [(0,), (1,), (2,)]


async def test_without_data_the_source_gets_named_arguments() -> None:
    """Keyword arguments of the call are those of the source."""

    @single_task
    def numbers(*, stop: int) -> Iterator[int]:
        yield from range(stop)

    assert await (numbers | echo)(stop=2).collect() == [(0,), (1,)]


async def test_a_source_task_is_called_once() -> None:
    """One call, whatever it returns, and as lazily as any."""
    calls: list[int] = []
    task = single_task(lambda: calls.append(0))
    stream = task()
    assert calls == []
    assert await stream.collect() == []
    assert calls == [0]


def test_a_batch_task_cannot_be_the_source() -> None:
    """The call fails at once and says why."""
    total = batch_task(max_size=2)(sum)
    with pytest.raises(TypeError) as caught:
        (total | echo)()
    assert str(caught.value) == (
        "a pipeline that begins with batch task 'sum' needs data; "
        "only a single task can be a source"
    )


# What iterators say of their length


class Hinting:
    """An iterator over some numbers that says the same of their number at all times."""

    def __init__(self, count: int, hint: Any) -> None:
        self._numbers = iter(range(count))
        self._hint = hint

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        return next(self._numbers)

    def __length_hint__(self) -> int:
        if isinstance(self._hint, Exception):
            raise self._hint
        hint: int = self._hint
        return hint


async def turns_of_a_run(data: Any) -> int:
    """Return how many turns of the event loop a bystander gets while a run goes on."""
    turns = 0

    async def stand_by() -> None:
        nonlocal turns
        while True:
            await ticks(1)
            turns += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stand_by)
        await ticks(1)
        assert await echo(data).collect() == [(1,)]
        tasks.cancel_scope.cancel()
    return turns


async def test_the_end_of_a_list_takes_no_turns() -> None:
    """Who lets others run before it asks for the end makes every short run longer."""
    assert await turns_of_a_run([1]) < await turns_of_a_run(number for number in [1])


@pytest.mark.parametrize("hint", [0, -1, 5000, NotImplemented, TypeError(), ValueError("broken")])
@pytest.mark.parametrize("window", [3, 1000])
async def test_an_iterator_may_be_wrong_about_its_length(hint: Any, window: int) -> None:
    """Everything comes all the same: it is an estimate."""
    pipeline = Pipeline().add(echo).with_context(max_in_flight=window)
    assert await items(pipeline, Hinting(2500, hint)) == list(range(2500))
    assert await items(pipeline, Hinting(0, hint)) == []


async def test_an_endless_iterator_that_says_it_is_at_its_end() -> None:
    """It lets others run as soon as the window is full."""
    async with echo(Hinting(10**9, 0)) as results:
        assert [await anext(results) for _ in range(2000)] == [(n,) for n in range(2000)]


# Extra arguments


async def test_extra_arguments_go_to_the_first_task() -> None:
    """Arguments after the data reach every call of the first task and no other one."""
    pipeline = echo | single_task(lambda item: [item])
    assert await pipeline([1, 2], "x", key="y").collect() == [
        (1, ("x",), {"key": "y"}),
        (2, ("x",), {"key": "y"}),
    ]
    assert await pipeline.as_completed([1], "x").collect() == [(1, ("x",), {})]
    assert await pipeline([1]).collect() == [(1,)]


# Empty pipelines


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([1, None, [2, 3]], [1, None, [2, 3]]),
        ("text", ["text"]),
        (None, [None]),
        ([], []),
        (range(3000), list(range(3000))),
    ],
    ids=["list", "str", "none", "nothing", "range"],
)
async def test_an_empty_pipeline_passes_its_data_through(data: Any, expected: list[Any]) -> None:
    """Nothing is spread or filtered where there is no task; all three ways of consuming agree."""
    assert await Pipeline()(data).collect() == expected
    assert [item async for item in Pipeline()(data)] == expected
    assert await Pipeline().as_completed(data).collect() == expected


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), (([1], 2), {}), (([1],), {"key": 2})], ids=repr
)
def test_an_empty_pipeline_takes_data_and_nothing_else(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Without a task nobody could be the source or take arguments."""
    with pytest.raises(TypeError) as caught:
        Pipeline()(*args, **kwargs)
    assert str(caught.value) == (
        "an empty pipeline has no task that could take arguments or be the source; "
        "write Pipeline()(data), or add a task"
    )


# What is refused


EXPECTED = "a pipeline's data must be an iterable, an async iterable or one item"


async def rows() -> list[int]:
    return [1]


class Later:
    """Can be iterated, but only to be awaited; as a task or future of asyncio can."""

    def __iter__(self) -> Iterator[None]:
        yield

    __await__ = __iter__


def numbers() -> Iterator[int]:
    yield 1


async def async_numbers() -> AsyncIterator[int]:
    yield 1


refused = pytest.mark.parametrize(
    ("make_data", "reason"),
    [
        (lambda: rows(), "got a coroutine; await it first: pipeline(await rows())"),
        (lambda: Later(), "got a Later; await it first: pipeline(await it)"),
        (lambda: numbers, "got a generator function; call it: pipeline(numbers())"),
        (lambda: async_numbers, "got a generator function; call it: pipeline(async_numbers())"),
        (
            lambda: functools.partial(numbers),
            "got a generator function; call it: pipeline(numbers())",
        ),
        (
            lambda: functools.partial(async_numbers),
            "got a generator function; call it: pipeline(async_numbers())",
        ),
        (
            lambda: echo,
            "got a SingleTask; compose with '|', or give its results: second(first(data))",
        ),
        (
            lambda: batch_task(max_size=2)(sum),
            "got a BatchTask; compose with '|', or give its results: second(first(data))",
        ),
        (
            lambda: echo | echo,
            "got a Pipeline; compose with '|', or give its results: second(first(data))",
        ),
    ],
    ids=[
        "coroutine",
        "awaitable",
        "generator_function",
        "async_generator_function",
        "partial_generator_function",
        "partial_async_generator_function",
        "task",
        "batch_task",
        "pipeline",
    ],
)


@refused
@pytest.mark.parametrize("pipeline", [echo | echo, Pipeline()], ids=["pipeline", "empty"])
def test_what_cannot_be_meant_as_data_is_refused(
    pipeline: Any, make_data: Any, reason: str
) -> None:
    """The call itself fails, with what was expected and what to write; nothing warns."""
    for call in (pipeline, pipeline.as_completed, pipeline.run):
        with pytest.raises(TypeError) as caught:
            call(make_data())
        assert str(caught.value) == f"{EXPECTED}, {reason}"


@refused
async def test_what_cannot_be_meant_as_a_tasks_data_is_refused(make_data: Any, reason: str) -> None:
    """For the lazy call of a task the same error comes when it is iterated."""
    with pytest.raises(TypeError) as caught:
        await echo(make_data()).collect()
    assert str(caught.value) == f"{EXPECTED}, {reason}"


async def test_a_type_error_of_the_datas_own_is_not_taken_for_an_item() -> None:
    """What is iterable is iterated, and what that raises reaches the consumer."""
    error = TypeError("mine")

    class Broken:
        def __iter__(self) -> Iterator[int]:
            raise error

    with pytest.raises(TypeError) as caught:
        await Pipeline()(Broken()).collect()
    assert caught.value is error


async def test_the_older_sequence_protocol_is_iterated() -> None:
    """An object with ``__getitem__`` only is iterable too."""

    class Squares:
        def __getitem__(self, index: int) -> int:
            if index == 3:
                raise IndexError
            return index * index

    assert await Pipeline()(Squares()).collect() == [0, 1, 4]


# Iterators of a user's own class


class FromTheStart:
    """The iterator of many a tutorial: asked for an iterator, it begins anew."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked = 0

    def __iter__(self) -> FromTheStart:
        self.asked += 1
        self.next = 0
        return self

    def __next__(self) -> int:
        if self.next == self.count:
            raise StopIteration
        self.next += 1
        return self.next - 1


class Bare:
    """An iterator, synchronous and not, that knows no more than to give the next value."""

    def __init__(self) -> None:
        self.values = iter([1, 2, 3])

    def __next__(self) -> int:
        return next(self.values)

    async def __anext__(self) -> int:
        await ticks(1)
        try:
            return next(self.values)
        except StopIteration:
            raise StopAsyncIteration from None


class Over:
    """What can be iterated, by an iterator that cannot."""

    def __iter__(self) -> Any:
        return Bare()


class AsyncOver:
    def __aiter__(self) -> Any:
        return Bare()


@pytest.mark.parametrize("timings", [False, True])
async def test_an_iterator_that_begins_anew_is_iterated_once(timings: bool) -> None:
    """Over many bursts, like a ``for`` loop does it, whoever looks on."""
    data = FromTheStart(3000)
    found = await items(echo.with_context(timings=timings), data)
    assert found == [*range(3000)]
    assert data.asked == 1


@pytest.mark.parametrize("timings", [False, True])
@pytest.mark.parametrize("data", [Over(), AsyncOver()])
async def test_an_iterator_needs_no_more_than_its_next(data: Any, timings: bool) -> None:
    """As for ``for`` and ``async for``."""
    assert await items(echo.with_context(timings=timings), data) == [1, 2, 3]
