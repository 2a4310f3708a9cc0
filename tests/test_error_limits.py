"""How many errors are too many: the pure rules, and the runs that they end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from fractions import Fraction
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor import (
    ConveyorError,
    Failed,
    Replace,
    TooManyErrorsError,
    batch_task,
    single_task,
)
from conveyor._engine.error_limits import ErrorLimits


class TaskError(Exception):
    """Raised by tasks."""


@single_task(on_error="skip_item", task_name="work", concurrency_limit=1)
async def work(item: Any) -> Any:
    """Fail with words."""
    if isinstance(item, str):
        raise TaskError(item)
    return item


# The rules


@pytest.mark.parametrize(
    ("most", "rate", "sample", "failed", "items", "reason"),
    [
        (None, None, 100, 999, 999, None),
        (2, None, 100, 2, 5, None),
        (2, None, 100, 3, 5, "3 of 5 items failed, more than max_errors=2"),
        (0, None, 100, 0, 1, None),
        (0, None, 100, 1, 1, "1 of 1 item failed, more than max_errors=0"),
        (2, None, 100, 3, 1, "3 failures of 1 item, more than max_errors=2"),
        (11, None, 100, 12, 340, "12 of 340 items failed, more than max_errors=11"),
        (None, 0.5, 4, 3, 3, None),
        (None, 0.5, 4, 2, 4, None),
        (None, 0.5, 4, 3, 4, "3 of 4 items failed, more than max_error_rate=0.5"),
        (None, 0, 1, 0, 9, None),
        (None, 0, 1, 1, 9, "1 of 9 items failed, more than max_error_rate=0"),
        (5, 0.5, 4, 6, 10, "6 of 10 items failed, more than max_errors=5"),
        (5, 0.25, 4, 4, 10, "4 of 10 items failed, more than max_error_rate=0.25"),
    ],
)
def test_the_rules(
    most: int | None, rate: float | None, sample: int, failed: int, items: int, reason: str | None
) -> None:
    """More than so many, or more than such a fraction of enough items."""
    limits = ErrorLimits(most, rate, sample)
    assert limits.exceeded(failed, items) == reason
    assert limits.are_set == (most is not None or rate is not None)


@given(
    rate=st.sampled_from([0, 0.125, 0.25, 0.5, 0.75]),
    sample=st.integers(1, 20),
    failed=st.integers(0, 50),
    items=st.integers(1, 50),
)
def test_the_rate_is_a_fraction(rate: float, sample: int, failed: int, items: int) -> None:
    """As one would work it out by hand."""
    expected = items >= sample and Fraction(failed, items) > Fraction(rate)
    assert (ErrorLimits(None, rate, sample).exceeded(failed, items) is not None) == expected


# The runs


async def test_one_more_than_allowed_ends_the_run() -> None:
    """After the results that were ready; the last error is the cause."""
    pipeline = work.with_context(max_errors=1, max_in_flight=1)  # so that it is known what came in
    received = []
    with pytest.raises(TooManyErrorsError) as caught:
        async for result in pipeline([1, "a", 2, "b", 3]):
            received.append(result)  # noqa: PERF401 - each counts, though an error follows
    assert received == [1, 2]
    assert str(caught.value) == "2 of 4 items failed, more than max_errors=1"
    assert isinstance(caught.value.__cause__, TaskError)
    assert caught.value.__cause__.args == ("b",)
    assert caught.value.__notes__ == [
        "the last one was raised by task 'work' for input item 3 after 1 attempt"
    ]
    assert isinstance(caught.value, ConveyorError)
    assert isinstance(caught.value, RuntimeError)


async def test_as_many_as_allowed_do_not_end_it() -> None:
    """The bound is what may be."""
    assert await work.with_context(max_errors=2)([1, "a", 2, "b", 3]).collect() == [1, 2, 3]
    assert await work.with_context(max_errors=0)([1, 2]).collect() == [1, 2]


async def test_it_stops_at_once() -> None:
    """No further item is called."""
    calls: list[Any] = []

    @single_task(on_error="skip_item", concurrency_limit=1)
    async def slow(item: int) -> None:
        calls.append(item)
        await anyio.sleep(1)
        raise TaskError

    with pytest.raises(TooManyErrorsError):
        await slow.with_context(max_errors=1)(range(9)).collect()
    assert (calls, anyio.current_time()) == ([0, 1], 2)


@pytest.mark.parametrize("way", ["skip", "handler", "divert", "on_failure", "outcomes"])
async def test_whatever_becomes_of_the_item_counts(way: str) -> None:
    """Left out, diverted, or a failure among the outcomes."""

    class Handler:
        async def handle_error(self, *args: Any) -> tuple[bool, Any]:
            return True, None

    options: dict[str, dict[str, Any]] = {
        "skip": {},
        "handler": {"error_handler": Handler()},
        "outcomes": {"on_error": "fail"},
    }
    task = work.replace(**options.get(way, {"on_error": "divert"}))
    told: list[Any] = []
    pipeline = task.with_context(max_errors=1)
    if way == "on_failure":
        pipeline = pipeline.with_context(on_failure=told.append)
    make: Any = pipeline.outcomes if way == "outcomes" else pipeline
    assert len(await make([1, "a", 2]).collect()) == (3 if way == "outcomes" else 2)
    with pytest.raises(TooManyErrorsError, match=r"^2 of \d items failed, more than max_errors=1"):
        await make([1, "a", "b", 2]).collect()


async def test_errors_that_are_made_good_do_not_count() -> None:
    """An attempt that is repeated, or a value in place of the result."""
    attempts: list[Any] = []

    @single_task(max_retries=1, retry_delay=0, on_error=lambda error, item: Replace(item))
    async def flaky(item: int) -> int:
        attempts.append(item)
        if attempts.count(item) == 1 or item == 2:
            raise TaskError
        return item

    assert await flaky.with_context(max_errors=0)([1, 2]).collect() == [1, 2]


async def test_items_of_batches_count() -> None:
    """All of a batch that is left out, and those alone that are isolated or named."""

    def store(batch: list[int]) -> list[int]:
        if 5 in batch:
            raise TaskError
        return batch

    def name(batch: list[int]) -> list[Any]:
        return [Failed(TaskError()) if item == 5 else item for item in batch]

    whole = batch_task(max_size=3, on_error="skip_batch")(store)
    with pytest.raises(TooManyErrorsError, match=r"^3 of \d items failed, more than max_errors=2"):
        await whole.with_context(max_errors=2)(range(9)).collect()
    single = [0, 1, 2, 3, 4, 6, 7, 8]
    for function in (store, name):
        task = batch_task(max_size=3, on_error="skip_item")(function)
        assert await task.with_context(max_errors=1)(range(9)).collect() == single
        with pytest.raises(TooManyErrorsError, match=r"^1 of \d items failed"):
            await task.with_context(max_errors=0)(range(9)).collect()


async def test_the_rate_holds_from_the_sample_on() -> None:
    """Before, the first failure would be a hundred per cent."""
    pipeline = work.with_context(max_error_rate=0.5, min_error_sample=4, max_in_flight=1)
    assert await pipeline(["a", "b", 1]).collect() == [1]
    with pytest.raises(TooManyErrorsError) as caught:
        await pipeline(["a", "b", 1, "c", 2, 3]).collect()
    assert str(caught.value) == "3 of 4 items failed, more than max_error_rate=0.5"


async def test_the_rate_holds_at_the_end() -> None:
    """Also if the sample was complete only after the last error."""
    pipeline = work.with_context(max_error_rate=0.5, min_error_sample=4, max_in_flight=1)
    received = []
    with pytest.raises(TooManyErrorsError) as caught:
        async for result in pipeline(["a", "b", "c", 1]):
            received.append(result)  # noqa: PERF401 - each counts, though an error follows
    assert received == [1]
    assert str(caught.value) == "3 of 4 items failed, more than max_error_rate=0.5"
    assert str(caught.value.__cause__) == "c"
    assert await pipeline(["a", "b", "c", 1, 2, 3]).collect() == [1, 2, 3]


async def test_the_rate_looks_at_a_hundred_items_by_default() -> None:
    """Fewer say little."""
    pipeline = work.with_context(max_error_rate=0.01)
    assert await pipeline(["bad"] * 99).collect() == []
    with pytest.raises(TooManyErrorsError):
        await pipeline(["bad"] * 100).collect()


async def test_a_generator_that_fails_counts_once() -> None:
    """Its item has failed, although there are results."""

    @single_task(on_error="skip_item")
    async def values(item: int) -> AsyncIterator[int]:
        yield item
        raise TaskError

    with pytest.raises(TooManyErrorsError, match=r"^2 of 2 items"):
        await values.with_context(max_errors=1)([1, 2]).collect()


FRACTION = (
    "max_error_rate is a fraction of the items, 0 or more and less than 1 (write 0.05 for 5 %), "
    "or None"
)


@pytest.mark.parametrize(
    ("field", "value", "error", "message"),
    [
        ("max_errors", -1, ValueError, "max_errors must be at least 0, or None, got -1"),
        ("max_errors", 1.5, TypeError, "max_errors must be an int or None, got 1.5"),
        ("max_errors", False, TypeError, "max_errors must be an int or None, got False"),
        ("max_error_rate", "5%", TypeError, "max_error_rate must be a number or None, got '5%'"),
        ("max_error_rate", True, TypeError, "max_error_rate must be a number or None, got True"),
        *(
            (
                "max_error_rate",
                value,
                ValueError,
                f"{FRACTION}, got {value!r}",
            )
            for value in (5, 1, -0.1, float("nan"))
        ),
        ("min_error_sample", 0, ValueError, "min_error_sample must be at least 1, got 0"),
        ("min_error_sample", None, TypeError, "min_error_sample must be an int, got None"),
    ],
)
def test_bad_settings_are_refused(field: str, value: Any, error: Any, message: str) -> None:
    """When the pipeline is made."""
    with pytest.raises(error) as caught:
        work.with_context(**{field: value})
    assert str(caught.value) == message
