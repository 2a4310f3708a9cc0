"""Deadlines: the time for all attempts of an item together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from conveyor import ErrorHandler, Rate, batch_task, single_task
from helpers import current_time

LATE = "the deadline of 4 s has passed"


class TaskError(Exception):
    """Raised by tasks."""


class Failing:
    """A function that takes its time, fails whenever it can, and notes when it was called."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.times: list[float] = []
        self.errors: list[TaskError] = []

    async def __call__(self, item: Any) -> None:
        self.times.append(current_time())
        await anyio.sleep(self.seconds)
        self.errors.append(TaskError())
        raise self.errors[-1]


def patient(function: Any, **options: Any) -> Any:
    given = {"retry_attempts": 99, "retry_exponential_backoff": False, "retry_jitter": 0}
    return single_task(function, task_name="work", **{**given, **options})


async def test_an_attempt_is_cut_off_at_the_deadline() -> None:
    """The item's time is up in the middle of an attempt: a ``TimeoutError``, and no other one."""
    failing = Failing(seconds=1.5)
    with pytest.raises(TimeoutError) as caught:
        await patient(failing, deadline=4)([7]).collect()
    assert (failing.times, current_time()) == ([0, 2.5], 4)
    assert str(caught.value) == LATE
    assert caught.value.__context__ is failing.errors[0]
    assert caught.value.__notes__ == ["raised by task 'work' for input item 0 after 2 attempts"]


@pytest.mark.parametrize("deadline", [4, 5])
async def test_a_delay_that_would_end_behind_it_is_not_begun(deadline: float) -> None:
    """The last error is final at once if no time would be left after the delay."""
    failing = Failing(seconds=0.5)
    task = patient(failing, deadline=deadline, retry_delay=2)
    with pytest.raises(TaskError) as caught:
        await task([7]).collect()
    assert (failing.times, current_time()) == ([0, 2.5], 3)
    assert caught.value is failing.errors[1]


async def test_each_item_has_its_own() -> None:
    """An item's clock starts with its first attempt; waiting for a worker does not count."""
    failing = Failing(seconds=9)
    task = patient(failing, deadline=4, on_error="skip_item", concurrency_limit=1)
    async with task(range(3)) as results:
        assert await results.collect() == []
        assert results.stats().skipped == 3
    assert (failing.times, current_time()) == ([0, 4, 8], 12)


async def test_a_handler_is_asked_after_it() -> None:
    """The handler is shown the ``TimeoutError`` and may take its time."""

    class Handler(ErrorHandler):
        async def handle_error(self, *args: Any) -> tuple[bool, Any]:
            await anyio.sleep(60)
            return True, [str(args[0]), *args[1:]]

    task = patient(Failing(seconds=2), deadline=4, error_handler=Handler())
    assert await task(["item"]).collect() == [LATE, "item", "work", 2]


async def test_waits_before_the_first_attempt_do_not_count() -> None:
    """Neither the rate limit nor the run's parallelism eats up an item's time."""
    function = Sleeping(3)
    task = single_task(function, deadline=4, rate_limit=Rate(1, per=5))
    assert await task(range(3)).collect() == [0, 1, 2]
    task = single_task(function, deadline=4)
    assert await task.with_context(max_parallelism=1)(range(3)).collect() == [0, 1, 2]


class Sleeping:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def __call__(self, item: Any) -> Any:
        await anyio.sleep(self.seconds)
        return item


async def test_a_wait_for_the_rate_between_attempts_is_cut_off() -> None:
    """From the first attempt on, everything counts; the place in the line is given up."""
    rate = Rate(1, per=10)
    failing = Failing(seconds=1)
    with pytest.raises(TimeoutError, match=f"^{LATE}\n"):
        await patient(failing, deadline=4, rate_limit=rate)([7]).collect()
    assert (failing.times, current_time()) == ([0], 4)
    await rate.acquire()
    assert current_time() == 10


async def test_a_wait_for_a_share_between_attempts_is_cut_off() -> None:
    """While another stage has all the shares, an item's time goes by."""
    failing = Failing(seconds=0)

    @single_task(retry_attempts=2, retry_jitter=0, deadline=4, on_error="skip_item")
    async def work(item: int) -> int:
        if item == 1:
            await failing(item)
        return item

    pipeline = (work | single_task(Sleeping(9))).with_context(max_parallelism=1)
    assert await pipeline([1, 2]).collect() == [2]
    assert failing.times == [0]


async def test_a_generator_that_waits_for_room_stops_the_clock() -> None:
    """Only the generator's own time counts, over all its values."""

    @single_task(deadline=4, timeout=4)
    async def values(item: int) -> AsyncIterator[int]:
        for value in range(9):
            await anyio.sleep(0.375)
            yield value

    received: list[int] = []
    async for value in values.with_context(max_in_flight=1)([0]):
        received.append(value)
        await anyio.sleep(10)
    assert received == [*range(9)]


async def test_a_generators_own_time_counts() -> None:
    """The pauses put the deadline off, they do not take it away."""

    @single_task(deadline=1)
    async def values(item: int) -> AsyncIterator[int]:
        for value in range(6):
            await anyio.sleep(0.375)
            yield value

    received: list[int] = []

    async def consume_slowly() -> None:
        async for value in values.with_context(max_in_flight=1)([0]):
            received.append(value)
            await anyio.sleep(10)

    with pytest.raises(TimeoutError):
        await consume_slowly()
    assert received == [0, 1]


async def test_the_timeout_holds_beside_it() -> None:
    """Attempts are cut off by the one and the item by the other, whichever comes first."""
    failing = Failing(seconds=9)
    task = patient(failing, timeout=1.25, deadline=4)
    with pytest.raises(TimeoutError) as caught:
        await task([7]).collect()
    assert (failing.times, current_time()) == ([0, 2.25], 3.5)
    assert str(caught.value) == "the call took longer than 1.25 s, its timeout"


async def test_a_batch_has_one_deadline() -> None:
    """The batch is the item; the parts that it is split into have deadlines of their own."""

    @batch_task(max_size=2, deadline=4, on_error="skip_item")
    async def work(batch: list[int]) -> list[int]:
        await anyio.sleep(3 * len(batch))
        return batch

    assert await work([1, 2, 3]).collect() == [1, 2, 3]
    assert current_time() == 4 + 3 + 3 + 3


async def test_an_awaited_call_has_one_too() -> None:
    """``await task(x)`` is under the same deadline."""
    failing = Failing(seconds=1.5)
    with pytest.raises(TimeoutError, match=f"^{LATE}\n"):
        await patient(failing, deadline=4)(7)
    assert failing.times == [0, 2.5]


async def test_a_cancellation_is_no_deadline() -> None:
    """Who is cancelled from outside at the very moment of the deadline is cancelled."""
    task = patient(Failing(seconds=9), deadline=4, on_error="skip_item")
    for consume in (task([1, 2]).collect, lambda: _awaited(task(1))):
        with anyio.move_on_after(4) as scope:
            await consume()
        assert scope.cancelled_caught


async def _awaited(call: Any) -> None:
    await call


async def test_a_call_in_time_is_left_alone() -> None:
    """A success after some failures is a success."""
    times: list[float] = []

    async def function(item: int) -> int:
        times.append(current_time())
        if len(times) < 4:
            raise TaskError
        return item

    assert await patient(function, deadline=4)([7]).collect() == [7]
    assert times == [0, 1, 2, 3]
