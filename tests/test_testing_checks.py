"""conveyor.testing: the checks pass on what behaves, and name what does not."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import anyio
import pytest
import sniffio
import trio

from conveyor import BaseTask, batch_task, single_task, testing

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


class Same(BaseTask[Any, Any]):
    async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for item in items:
            yield item


class Returned(BaseTask[Any, Any]):
    async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        return Same().process(items)


@single_task
async def later(item: int) -> int:
    await anyio.sleep(item % 3)
    return item


@batch_task(max_size=2)
async def add_up(numbers: list[int]) -> int:
    return sum(numbers)


@single_task
async def nothing(item: int) -> None:
    pass


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (Same(), [0, 1, 2, 3, 4]),
        (Returned(), [0, 1, 2, 3, 4]),
        (later, [0, 1, 2, 3, 4]),
        (add_up, [1, 5, 4]),
        (later | Same(), [0, 1, 2, 3, 4]),
    ],
)
async def test_tasks_that_behave_pass(task: Any, expected: list[int]) -> None:
    """Every kind of task passes, with an expectation and without."""
    await testing.check_task(task, range(5), expected)
    await testing.check_task(task, range(5), ticks=3)


async def test_tasks_of_their_own_kind_pass_with_the_right_options() -> None:
    """Tasks that end early, or give little, are told of by an option."""

    class First(BaseTask[Any, Any]):
        async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
            async for item in items:
                yield item
                return

    await testing.check_task(First(), range(5), [0], takes_all=False)
    await testing.check_task(nothing, range(5), [], window=None)


class Swallows(BaseTask[Any, Any]):
    async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        try:
            async for item in items:
                yield item
        except Exception:
            return


class Replaces(BaseTask[Any, Any]):
    async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        try:
            async for item in items:
                yield item
        except Exception as error:
            raise type(error) from None


class Loses(BaseTask[Any, Any]):
    async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for item in items:
            if item != 2:
                yield item


class Reverses(BaseTask[Any, Any]):
    async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        for item in reversed([item async for item in items]):
            yield item


class ReadsAll(BaseTask[Any, Any]):
    async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        for item in [item async for item in items]:
            yield item


class NeedsItems(BaseTask[Any, Any]):
    async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        yield await anext(items)
        async for item in items:
            yield item


class NeverEnds(BaseTask[Any, Any]):
    async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for item in items:
            yield item
        await anyio.sleep_forever()


class EndsEarly(BaseTask[Any, Any]):
    async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        yield await anext(items, None)


class FailsWhenLeft(BaseTask[Any, Any]):
    async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        try:
            async for item in items:
                yield item
        except (GeneratorExit, anyio.get_cancelled_exc_class()):
            raise KeyError from None


background: set[Any] = set()


def leave_task() -> None:
    if sniffio.current_async_library() == "trio":
        trio.lowlevel.spawn_system_task(trio.sleep, 100)
    else:
        background.add(asyncio.ensure_future(asyncio.sleep(100)))


class LeavesTask(BaseTask[Any, Any]):
    async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        leave_task()
        async for item in items:
            yield item


class LeavesTaskWhenCancelled(BaseTask[Any, Any]):
    async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        try:
            async for item in items:
                yield item
        except (GeneratorExit, anyio.get_cancelled_exc_class()):
            leave_task()
            raise


@BACKENDS
@pytest.mark.parametrize(
    ("task", "message"),
    [
        (
            Swallows(),
            (
                "'process() with items that fail': expected the error of the items, "
                "but process() swallowed it"
            ),
        ),
        (
            Replaces(),
            (
                "'process() with items that fail': expected the very error of the items, "
                "but another object"
            ),
        ),
        (
            Loses(),
            (
                "'all items, ordered': expected the 5 results that were given, "
                "but there were 4, not the same"
            ),
        ),
        (
            Reverses(),
            "'all items, ordered': expected the results in order, but they came in another order",
        ),
        (
            ReadsAll(),
            (
                "'a slow consumer with max_in_flight=100': expected the source to wait, "
                "but all of its 1000 items were read"
            ),
        ),
        (NeedsItems(), "'no items': expected no error, but a RuntimeError was raised"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_broken_task_fails_its_check(backend: str, task: Any, message: str) -> None:
    """The error names the task and the check, and says what was expected."""
    with pytest.raises(AssertionError) as caught:
        testing.run(testing.check_task, task, range(5), list(range(5)), backend=backend)
    assert str(caught.value) == f"task {type(task).__name__!r} fails the check {message}"


@BACKENDS
def test_a_task_left_behind_is_noticed(backend: str) -> None:
    """Whatever still runs after a check fails it."""
    with pytest.raises(AssertionError, match="'no items': expected every task to have ended, but"):
        testing.run(testing.check_task, LeavesTask(), range(3), backend=backend)
    background.clear()


@BACKENDS
def test_a_task_that_misses_the_failure_of_its_source_is_noticed(backend: str) -> None:
    """One that may end early has to be checked with ``takes_all=False``."""
    with pytest.raises(AssertionError) as caught:
        testing.run(testing.check_task, EndsEarly(), range(3), [0], backend=backend)
    assert re.fullmatch(
        r"task 'EndsEarly' fails the check 'a source that fails after \d items, ordered': "
        r"expected the error of the source, but the run ended without it",
        str(caught.value),
    )


@BACKENDS
def test_a_task_that_fails_when_it_is_left_is_noticed(backend: str) -> None:
    """A cleanup that raises is found by a consumer that leaves."""
    with pytest.raises(AssertionError, match="the check 'leaving after 1 results, ordered'") as it:
        testing.run(testing.check_task, FailsWhenLeft(), range(5), backend=backend)
    assert str(it.value).endswith("expected no error, but a KeyError was raised")


@BACKENDS
def test_what_a_cancelled_task_leaves_behind_is_noticed(backend: str) -> None:
    """Whatever still runs after a run that ended before its time fails the check."""
    with pytest.raises(AssertionError, match="expected every task to have ended, but") as caught:
        testing.run(testing.check_task, LeavesTaskWhenCancelled(), range(3), backend=backend)
    background.clear()
    assert "the check 'a source that fails after 1 items, ordered'" in str(caught.value)


@BACKENDS
def test_a_task_that_never_ends_is_noticed(backend: str) -> None:
    """The check is given up after its time, or at once where nothing goes on."""
    with pytest.raises(AssertionError) as caught:
        testing.run(testing.check_task, NeverEnds(), range(3), backend=backend)
    message = "task 'NeverEnds' fails the check 'no items': expected an end within 3600 s, but"
    assert str(caught.value).startswith(message)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:Exception ignored:ResourceWarning")
@BACKENDS
def test_a_task_that_cannot_be_stopped_is_noticed(backend: str) -> None:
    """One that swallows its cancellation is ended with the loop; the error names the check."""

    async def stubborn(item: int) -> int:
        # Far longer than it is waited for, but not for ever: it is closed without a loop at last.
        for _ in range(20_000):
            with suppress(BaseException):
                await anyio.sleep_forever()
        return item

    with pytest.raises((AssertionError, testing.TickLimitError)) as caught:
        testing.run(testing.check_task, single_task(stubborn), [1], backend=backend, max_ticks=1000)
    assert "the check 'one item'" in str(caught.value)
    caught = None  # type: ignore[assignment]
    gc.collect()


async def numbers() -> AsyncIterator[int]:
    for number in range(5):
        await anyio.sleep(1)
        yield number


async def test_sources_that_behave_pass() -> None:
    """An async generator passes, and so does one without end."""

    async def endless() -> AsyncIterator[int]:
        number = 0
        while True:
            await anyio.lowlevel.checkpoint()
            yield number
            number += 1

    await testing.check_source(numbers, [0, 1, 2, 3, 4])
    await testing.check_source(numbers)
    await testing.check_source(endless, [0, 1, 2])
    await testing.check_source(endless, limit=3)


async def failing() -> AsyncIterator[int]:
    yield 0
    raise KeyError


async def failing_when_left() -> AsyncIterator[int]:
    try:
        for number in range(5):
            await anyio.lowlevel.checkpoint()
            yield number
    except GeneratorExit:
        raise KeyError from None


async def leaving_a_task() -> AsyncIterator[int]:
    leave_task()
    yield 0


async def hanging() -> AsyncIterator[int]:
    yield 0
    await anyio.sleep_forever()


@BACKENDS
@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (failing, "'all items': expected no error, but a KeyError was raised"),
        (failing_when_left, r"'\w+ after \d .*': expected no error, but a KeyError was raised"),
        (leaving_a_task, "'all items': expected every task to have ended, but still alive are "),
        (hanging, "'all items': expected an end within 3600 s, but there was none"),
    ],
)
def test_a_source_that_misbehaves_fails_its_check(factory: Any, message: str, backend: str) -> None:
    """What is wrong with the life of a source is found as well."""
    with pytest.raises(AssertionError) as caught:
        testing.run(testing.check_source, factory, backend=backend)
    background.clear()
    assert re.match(f"the source fails the check {message}", str(caught.value))


class GoesOn:
    """A source that cannot be closed, although it says so."""

    def __init__(self) -> None:
        self.number = 0

    def __aiter__(self) -> AsyncIterator[int]:
        return self  # type: ignore[return-value]

    async def __anext__(self) -> int:
        self.number += 1
        if self.number > 3:
            raise StopAsyncIteration
        return self.number

    async def aclose(self) -> None:
        pass


class ClosesOnce(GoesOn):
    closed = False

    async def aclose(self) -> None:
        if self.closed:
            raise KeyError
        self.closed = True


def changing() -> Callable[[], AsyncIterator[int]]:
    runs = iter(range(100))

    async def source() -> AsyncIterator[int]:
        yield next(runs)

    return source


@pytest.mark.parametrize(
    ("factory", "expected", "message"),
    [
        (numbers, [0, 1], None),
        (
            numbers,
            [0, 2],
            ("'all items': expected the 2 items that were given, but the 2 that came differ"),
        ),
        (
            changing(),
            None,
            (
                "'all items, again': expected the 1 items that were given, "
                "but the 1 that came differ"
            ),
        ),
        (
            GoesOn,
            None,
            "'closing after 0 items': expected no item after aclose(), but one came",
        ),
        (ClosesOnce, None, "'closing after 0 items': expected no error, but a KeyError was raised"),
    ],
)
async def test_a_broken_source_fails_its_check(
    factory: Any, expected: list[int] | None, message: str | None
) -> None:
    """The error names the check, and says what was expected."""
    if message is None:
        return await testing.check_source(factory, expected)
    with pytest.raises(AssertionError) as caught:
        await testing.check_source(factory, expected)
    assert str(caught.value) == f"the source fails the check {message}"


async def test_a_stream_is_a_source_that_passes_its_check() -> None:
    """After it has been closed it says so, rather than that it is over."""
    await testing.check_source(lambda: single_task(abs)([1, 2]), [1, 2])


class ReadsAhead(BaseTask[Any, Any]):
    """Has a task of its own to read the items; what that raises comes out in a group."""

    async def process(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        send, receive = anyio.create_memory_object_stream[Any](1)

        async def read() -> None:
            async with send:
                async for item in items:
                    await send.send(item)

        async with anyio.create_task_group() as tasks, receive:
            tasks.start_soon(read)
            async for item in receive:
                yield item


async def test_a_process_may_hold_a_task_group() -> None:
    """The error of the items is in a group then, as anywhere."""
    await testing.check_task(ReadsAhead(), [1, 2, 3], [1, 2, 3])
