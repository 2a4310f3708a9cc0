"""``on_error="divert"``: failed items leave the pipeline by the side, and the rest goes on."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from conveyor import (
    DIVERT,
    FAIL,
    ErrorHandler,
    Failure,
    Failures,
    Pipeline,
    Success,
    batch_task,
    single_task,
)
from helpers import current_time


class TaskError(Exception):
    """Raised by tasks."""


class OtherError(Exception):
    """Raised by functions as ``on_failure``."""


class Interrupt(BaseException):
    """Is to end the program."""


@single_task(on_error="divert", task_name="work")
async def work(item: Any) -> Any:
    """Fail with words."""
    if isinstance(item, str):
        raise TaskError(item)
    return item


def fails(options: dict[str, Any] | None = None) -> Any:
    """Return a task that fails with each item, one after the other, after so many seconds."""

    @single_task(**{"on_error": "divert", "concurrency_limit": 1, **(options or {})})
    async def fail(item: float) -> None:
        await anyio.sleep(item)
        raise TaskError

    return fail


def items_of(failures: Any) -> list[Any]:
    return [each.item for each in failures]


async def test_a_failed_item_leaves_and_the_rest_goes_on() -> None:
    """The failure says all there is to know; counts tell of it."""
    async with work([1, "bad", 2]) as results:
        assert await results.collect() == [1, 2]
        [failure] = results.failures
        stats = results.stats()
    assert isinstance(failure, Failure)
    assert (failure.error.args, failure.item, failure.index) == (("bad",), "bad", 1)
    assert (failure.task_name, failure.attempts) == ("work", 1)
    assert (stats.diverted, stats.stages[0].diverted, stats.skipped) == (1, 1, 0)
    assert (stats.items_in, stats.items_out) == (3, 2)


async def test_streams_show_the_failures_of_their_run() -> None:
    """Before, while and after it runs, and whichever way it is consumed."""
    stream = work(["a", 1, "b"])
    failures = stream.failures
    assert (len(failures), failures.total) == (0, 0)
    assert await stream.collect() == [1]
    assert items_of(failures) == ["a", "b"]
    assert stream.failures is failures

    pipeline_stream = (work | work)(["a", 1])
    async for result in pipeline_stream:
        assert (result, items_of(pipeline_stream.failures)) == (1, ["a"])


async def test_failures_come_in_the_order_in_which_they_failed() -> None:
    """At once, and not in input order."""
    async with fails({"concurrency_limit": 3})([3, 1, 2]) as results:
        seen: list[list[int]] = []
        await anyio.sleep(0.5)
        for _ in range(4):
            seen.append(items_of(results.failures))
            await anyio.sleep(1)
    assert seen == [[], [1], [1, 2], [1, 2, 3]]


async def test_a_function_may_decide_it() -> None:
    """By ``DIVERT``, after the last attempt."""

    def decide(error: Exception, item: str) -> Any:
        return DIVERT if item == "bad" else FAIL

    task = work.replace(on_error=decide, max_retries=1, retry_delay=0)
    async with task([1, "bad", "worse"]) as results:
        with pytest.raises(TaskError, match="worse"):
            await results.collect()
        assert items_of(results.failures) == ["bad"]
        assert results.failures[0].attempts == 2


async def test_a_handler_wins() -> None:
    """It is asked, and not ``on_error``."""

    class Handler(ErrorHandler):
        async def handle_error(self, *args: Any) -> tuple[bool, Any]:
            return True, 0

    async with work.replace(error_handler=Handler())([1, "bad"]) as results:
        assert await results.collect() == [1, 0]
        assert results.failures.total == 0


async def test_all_items_of_a_failing_batch_leave() -> None:
    """Each with an index of its own."""

    @single_task
    def keep_odd(item: int) -> int | None:
        return item if item % 2 else None

    @batch_task(max_size=2, on_error="divert")
    def store(batch: list[int]) -> list[int]:
        if 5 in batch:
            raise TaskError
        return batch

    async with (keep_odd | store)(range(12)) as results:
        assert await results.collect() == [1, 3, 9, 11]
        assert [(each.item, each.index) for each in results.failures] == [(5, 5), (7, 7)]
        stats = results.stats()
        assert (stats.diverted, stats.stages[1].diverted) == (2, 2)
        assert results._run.window.held == 0


async def test_diverted_items_are_not_among_the_outcomes() -> None:
    """They are in ``failures``; those of other tasks are outcomes."""
    strict = work.replace(on_error="fail")

    @single_task
    def word(item: int) -> Any:
        return "late" if item == 2 else item

    async with (work | word | strict).outcomes([1, "bad", 2]) as results:
        first, second = await results.collect()
        assert first == Success(1, 0)
        assert isinstance(second, Failure)
        assert second.item == "late"
        assert items_of(results.failures) == ["bad"]


async def test_a_generator_keeps_what_it_has_given() -> None:
    """Only the rest is missing."""

    @single_task(on_error="divert")
    async def values(item: int) -> AsyncIterator[int]:
        yield item
        if item == 1:
            raise TaskError
        yield -item

    async with values([1, 2]) as results:
        assert await results.collect() == [1, 2, -2]
        assert items_of(results.failures) == [1]


async def test_an_awaited_call_raises() -> None:
    """Outside of a run there is nowhere to go."""
    with pytest.raises(TaskError):
        await work("bad")


# What is kept


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Of what was logged, all but the lines about items that every run writes."""
    messages = [record.getMessage() for record in caplog.records]
    return [message for message in messages if not message.startswith("task 'work'")]


async def test_the_first_ones_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    """The rest is counted, and one warning says so, without any value."""
    data = ["secret0", "secret1", 1, "secret2", "secret3", "secret4"]
    stream = work.with_context(max_failures=2)(data)
    with caplog.at_level(logging.WARNING, logger="conveyor"):
        assert await stream.collect() == [1]
    assert items_of(stream.failures) == ["secret0", "secret1"]
    assert (stream.failures.total, len(stream.failures)) == (5, 2)
    assert repr(stream.failures) == "<Failures: 5 in total, 2 kept>"
    [message] = warnings_in(caplog)
    assert message == (
        "more than max_failures=2 items have been diverted; those that come now are counted "
        "(failures.total), but not kept"
    )


async def test_as_many_as_fit_are_no_reason_to_warn(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is missing then."""
    stream = work.with_context(max_failures=2)(["a", "b"])
    with caplog.at_level(logging.WARNING, logger="conveyor"):
        assert await stream.collect() == []
    assert (items_of(stream.failures), warnings_in(caplog)) == (["a", "b"], [])


async def test_a_thousand_are_kept_by_default() -> None:
    """The memory of a run is bounded."""
    stream = work.replace(concurrency_limit=1)(str(number) for number in range(1005))
    logging.getLogger("conveyor").disabled = True
    try:
        await stream.collect()
    finally:
        logging.getLogger("conveyor").disabled = False
    assert items_of(stream.failures) == [str(number) for number in range(1000)]
    assert stream.failures.total == 1005


def test_failures_are_a_sequence_to_read() -> None:
    """There is no way to change them."""
    failures = work.pipeline()([]).failures
    assert isinstance(failures, Failures)
    assert (failures[:], [*reversed(failures)], 1 in failures) == ([], [], False)
    for name in ("append", "clear", "pop", "__setitem__", "__delitem__"):
        assert not hasattr(failures, name)


# What is streamed


async def test_failures_may_be_streamed() -> None:
    """To a function, which gets them in the order in which they failed; none is kept."""
    told: list[tuple[Any, int]] = []

    def on_failure(failure: Failure) -> None:
        told.append((failure.item, failure.index))

    async with work.with_context(on_failure=on_failure)(["a", 1, "b"]) as results:
        assert await results.collect() == [1]
        assert told == [("a", 0), ("b", 2)]
        assert (len(results.failures), results.failures.total) == (0, 2)
        assert results.stats().diverted == 2


async def test_the_worker_waits_for_the_function() -> None:
    """So whoever cannot keep up holds the stage back."""
    told: list[tuple[float, Any]] = []

    async def on_failure(failure: Failure) -> None:
        await anyio.sleep(5)
        told.append((current_time(), failure.item))

    @batch_task(max_size=2, on_error="divert")
    def store(batch: list[int]) -> None:
        raise TaskError

    assert await store.with_context(on_failure=on_failure)(range(4)).collect() == []
    assert told == [(5, 0), (10, 1), (15, 2), (20, 3)]


async def test_an_item_has_its_place_until_the_function_is_done() -> None:
    """The source is held back, too."""
    pulled: list[int] = []

    async def source() -> AsyncIterator[str]:
        for number in range(9):
            pulled.append(number)
            yield str(number)

    async def on_failure(failure: Failure) -> None:
        await anyio.sleep(1)

    pipeline = work.with_context(on_failure=on_failure, max_in_flight=3)
    async with pipeline.with_context(max_parallelism=1)(source()):
        await anyio.sleep(0.5)
        assert len(pulled) == 3


async def test_a_function_that_raises_ends_the_run() -> None:
    """With its error; the context is the item's, and a note says which."""

    async def on_failure(failure: Failure) -> None:
        raise OtherError

    with pytest.raises(OtherError) as caught:
        await work.with_context(on_failure=on_failure)([1, "bad", 2]).collect()
    assert type(caught.value.__context__) is TaskError
    assert caught.value.__notes__ == [
        "raised by on_failure for input item 1, which failed in task 'work'"
    ]


@pytest.mark.parametrize("error", [StopIteration, Interrupt])
async def test_special_errors_of_the_function(error: type[BaseException]) -> None:
    """They are examined like those of tasks."""

    def on_failure(failure: Failure) -> None:
        raise error

    with pytest.raises(RuntimeError if error is StopIteration else Interrupt) as caught:
        await work.with_context(on_failure=on_failure)(["bad"]).collect()
    if error is StopIteration:
        assert str(caught.value).startswith("on_failure raised StopIteration")


async def test_the_function_is_cancelled_with_the_run() -> None:
    """Nothing is told after that."""
    told: list[Any] = []

    async def on_failure(failure: Failure) -> None:
        told.append(failure.item)
        await anyio.sleep(5)

    pipeline = fails().with_context(on_failure=on_failure)
    async with pipeline([1, 1]):
        await anyio.sleep(2)
    assert (told, current_time()) == ([1], 2)


# Settings


@pytest.mark.parametrize(
    ("field", "value", "error", "message"),
    [
        ("max_failures", -1, ValueError, "max_failures must be at least 0, got -1"),
        ("max_failures", None, TypeError, "max_failures must be an int, got None"),
        ("max_failures", True, TypeError, "max_failures must be an int, got True"),
        ("on_failure", 3, TypeError, "on_failure must be a function of a Failure, or None, got 3"),
        (
            "on_failure",
            Pipeline(),
            TypeError,
            f"on_failure must be a function of a Failure, or None, got {Pipeline()!r}",
        ),
        (
            "on_failure",
            single_task(print),
            TypeError,
            f"on_failure must be a function of a Failure, or None, got {single_task(print)!r}",
        ),
        (
            "on_failure",
            Failure,
            TypeError,
            "on_failure must be a function of a Failure, or None, got the class Failure",
        ),
    ],
)
def test_bad_settings_are_refused(field: str, value: Any, error: Any, message: str) -> None:
    """When the pipeline is made."""
    with pytest.raises(error) as caught:
        work.with_context(**{field: value})
    assert str(caught.value) == message
