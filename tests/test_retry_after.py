"""``RetryAfter``: the stage pauses and the item is repeated."""

from __future__ import annotations

import pickle
import re
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from conveyor import Rate, RetryAfter, batch_task, single_task
from helpers import current_time

LIMIT = 100


class Throttled:
    """A function that asks for pauses at given calls, and notes when it is called with what."""

    def __init__(self, pauses: dict[int, float], seconds: float = 0) -> None:
        self.pauses = pauses
        self.seconds = seconds
        self.calls: list[tuple[float, Any]] = []

    async def __call__(self, item: Any) -> Any:
        number = len(self.calls)
        self.calls.append((current_time(), item))
        await anyio.sleep(self.seconds)
        if number in self.pauses:
            raise RetryAfter(self.pauses[number])
        return item


def task_of(function: Any, **options: Any) -> Any:
    return single_task(function, task_name="work", **{"max_retries": 1, **options})


async def test_the_whole_stage_pauses() -> None:
    """Calls in flight go on, no other one begins, and the item is repeated after the pause."""
    calls: list[tuple[float, int]] = []

    @single_task(max_retries=1, concurrency_limit=2)
    async def work(item: int) -> float:
        calls.append((current_time(), item))
        await anyio.sleep(1 + item)
        if (item, len(calls)) == (0, 2):
            raise RetryAfter(10)
        return current_time()

    async with work(range(4)) as results:
        assert await results.collect() == [12, 2, 14, 16]
        assert results.stats().stages[0].retried == 1
    assert calls == [(0, 0), (0, 1), (11, 0), (11, 2), (12, 3)]


async def test_items_that_come_after_a_pause_are_called() -> None:
    """By workers that have been waiting for them since before."""

    async def items() -> AsyncIterator[int]:
        yield 0
        yield 1
        await anyio.sleep(100)
        yield 2
        yield 3
        await anyio.sleep(100)

    work = Throttled({0: 10}, seconds=1)
    assert await task_of(work, concurrency_limit=2)(items()).collect() == [0, 1, 2, 3]
    assert work.calls == [(0, 0), (0, 1), (11, 0), (100, 2), (100, 3)]


async def test_other_stages_go_on() -> None:
    """The pause is that of the stage whose function asked for it."""
    times: list[float] = []

    @single_task(concurrency_limit=1)
    async def before(item: int) -> int:
        times.append(current_time())
        await anyio.sleep(item)
        return item

    pipeline = before | task_of(Throttled({0: 10}))
    assert await pipeline(range(4)).collect() == [0, 1, 2, 3]
    assert (times, current_time()) == ([0, 0, 1, 3], 10)


async def test_it_uses_up_no_attempt() -> None:
    """After any number of pauses the item has the attempts and delays that it had before."""
    throttled = Throttled({0: 5, 1: 5, 3: 5})
    failed: list[float] = []

    async def function(item: int) -> None:
        await throttled(item)
        failed.append(current_time())
        raise OSError

    with pytest.raises(OSError) as caught:  # noqa: PT011 - raised above
        await task_of(function, max_retries=2, retry_jitter=0)([7]).collect()
    assert failed == [10, 16, 18]
    assert caught.value.__notes__ == ["raised by task 'work' for input item 0 after 6 attempts"]


async def test_the_longest_pause_holds() -> None:
    """A call in flight may prolong a pause, and does not shorten it."""
    throttled = Throttled({0: 10, 1: 20, 2: 5}, seconds=1)
    assert await task_of(throttled, concurrency_limit=3)(range(4)).collect() == [0, 1, 2, 3]
    assert [time for time, _ in throttled.calls] == [0, 0, 0, 21, 21, 21, 22]


async def test_a_pause_may_be_prolonged_while_it_lasts() -> None:
    """Those who wait for its end wait on."""

    @single_task(max_retries=1, concurrency_limit=2)
    async def work(item: int) -> float:
        if current_time() == 0:
            await anyio.sleep(3 * item)
            raise RetryAfter(4)
        return current_time()

    assert await work([1, 2]).collect() == [10, 10]


@pytest.mark.parametrize("options", [{"max_retries": 2}, {"timeout": 9}, {"on_error": "skip_item"}])
async def test_any_option_about_calls_will_do(options: dict[str, Any]) -> None:
    """A task that knows more than to call its function knows what a pause is."""
    throttled = Throttled({0: 5})
    assert await single_task(throttled, **options)([7]).collect() == [7]
    assert throttled.calls == [(0, 7), (5, 7)]


async def test_without_options_it_is_an_error() -> None:
    """A task without options about its calls makes each of them once."""
    throttled = Throttled({0: 5})
    with pytest.raises(RetryAfter) as caught:
        await single_task(throttled)([7]).collect()
    assert str(caught.value) == "to be tried again in 5 s"
    assert throttled.calls == [(0, 7)]


async def test_it_is_bounded_by_number() -> None:
    """After a hundred repetitions of an item it is an ordinary failure, retried and skipped."""
    throttled = Throttled(dict.fromkeys(range(999), 1))
    task = task_of(throttled, retry_delay=50, retry_jitter=0, on_error="skip_item")
    async with task([7]) as results:
        assert await results.collect() == []
        assert (results.stats().skipped, results.stats().stages[0].retried) == (1, LIMIT + 1)
    assert [time for time, _ in throttled.calls] == [*range(LIMIT + 1), LIMIT + 50]


@pytest.mark.parametrize("deadline", [3, 4])
async def test_it_is_bounded_by_the_deadline(deadline: float) -> None:
    """A pause that would end behind the deadline makes the error final at once."""
    throttled = Throttled({0: 2, 1: 2})
    with pytest.raises(RetryAfter):
        await task_of(throttled, deadline=deadline)([7]).collect()
    assert (throttled.calls, current_time()) == ([(0, 7), (2, 7)], 2)


async def test_the_pause_of_another_item_counts_for_the_deadline() -> None:
    """An item that was to be repeated meanwhile is out of time when the pause ends."""

    @single_task(max_retries=1, retry_jitter=0, deadline=5, on_error="skip_item")
    async def work(item: int) -> int:
        if current_time() == 0:
            raise RetryAfter(4) if item else OSError
        await anyio.sleep(2 * (1 - item))
        return item

    assert await work([0, 1]).collect() == [1]
    assert current_time() == 5


@pytest.mark.parametrize("rate", [None, 1000])
async def test_items_wait_in_order(rate: float | None) -> None:
    """Calls that start in order do so after a pause, too."""
    throttled = Throttled({3: 10, 25: 10}, seconds=1)
    limit = rate and Rate(rate, burst=rate)
    task = task_of(throttled, in_order=True, concurrency_limit=8, rate_limit=limit)
    pipeline = task.with_context(max_parallelism=5)
    assert await pipeline(range(40)).collect() == [*range(40)]
    first_calls = list(dict.fromkeys(item for _, item in throttled.calls))
    assert first_calls == [*range(40)]


async def test_a_pause_comes_before_the_rate() -> None:
    """What waits for the pause has no tokens yet, so there is no burst after it."""
    throttled = Throttled({1: 10})
    await task_of(throttled, rate_limit=Rate(1))(range(4)).collect()
    assert throttled.calls == [(0, 0), (1, 1), (11, 1), (12, 2), (13, 3)]


async def test_nothing_is_held_during_a_pause() -> None:
    """The stage's shares of the parallelism are free for others."""
    times: list[float] = []

    @single_task
    async def after(item: int) -> int:
        await anyio.sleep(1)
        times.append(current_time())
        return item

    pipeline = task_of(Throttled({1: 10})) | after
    assert await pipeline.with_context(max_parallelism=1)(range(3)).collect() == [0, 1, 2]
    assert times[0] == 1


async def test_a_batch_is_repeated_whole() -> None:
    """For a batch task the batch is the item."""
    throttled = Throttled({0: 3})
    task = batch_task(max_size=2, on_error="skip_item")(throttled)
    assert await task(range(3)).collect() == [0, 1, 2]
    assert throttled.calls == [(0, [0, 1]), (3, [0, 1]), (3, [2])]


async def test_a_generator_that_has_begun_is_not_repeated() -> None:
    """The stage pauses all the same."""
    times: list[float] = []

    @single_task(on_error="skip_item", concurrency_limit=1)
    async def values(item: int) -> AsyncIterator[int]:
        times.append(current_time())
        yield item
        if item == 0:
            raise RetryAfter(5)

    assert await values(range(2)).collect() == [0, 1]
    assert times == [0, 5]


async def test_an_awaited_call_waits_and_repeats() -> None:
    """There is no stage around it, but it has the same sense."""
    throttled = Throttled({0: 5})
    assert await task_of(throttled)(7) == 7
    assert throttled.calls == [(0, 7), (5, 7)]


async def test_a_pause_can_be_cancelled() -> None:
    """A run that is cancelled during a pause ends at once."""
    throttled = Throttled({0: 1000})
    with anyio.move_on_after(5) as scope:
        await task_of(throttled)(range(3)).collect()
    assert scope.cancelled_caught
    assert current_time() == 5


async def test_only_the_exception_itself_counts() -> None:
    """As the cause of another one it is no request; a subclass is."""

    class Mine(RetryAfter):
        pass

    times: list[float] = []

    @single_task(on_error="skip_item", concurrency_limit=1)
    async def work(item: int) -> None:
        times.append(current_time())
        if len(times) == 1:
            raise Mine(5)
        raise OSError from RetryAfter(9)

    assert await work([0]).collect() == []
    assert times == [0, 5]


@pytest.mark.parametrize(
    ("seconds", "error", "message"),
    [
        ("5", TypeError, "RetryAfter: seconds must be a number, got '5'"),
        (None, TypeError, "RetryAfter: seconds must be a number, got None"),
        (-1, ValueError, "RetryAfter: seconds must be 0 or more and finite, got -1"),
        (float("inf"), ValueError, "RetryAfter: seconds must be 0 or more and finite, got inf"),
    ],
)
def test_seconds_are_checked(seconds: Any, error: type[Exception], message: str) -> None:
    """What is no time to wait is refused where it is raised."""
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        RetryAfter(seconds)


def test_it_can_be_pickled() -> None:
    """So that it may come out of a worker process."""
    copy = pickle.loads(pickle.dumps(RetryAfter(2.5)))
    assert (copy.seconds, str(copy)) == (2.5, "to be tried again in 2.5 s")
