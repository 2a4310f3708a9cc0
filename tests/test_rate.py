"""Rate limits: when calls begin, in which order, and what those who wait hold."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import anyio
import pytest

from conveyor import Rate, batch_task, single_task
from conveyor.testing import run
from helpers import current_time, ticks

make: Any = Rate


class CostError(Exception):
    """Raised by functions that tell what a call costs."""


class Recorder:
    """A function that notes when it is called with what."""

    def __init__(self, seconds: float = 0) -> None:
        self.calls: list[tuple[float, Any]] = []
        self.seconds = seconds

    async def __call__(self, item: Any) -> Any:
        self.calls.append((current_time(), item))
        await anyio.sleep(self.seconds)
        return item

    @property
    def times(self) -> list[float]:
        return [time for time, _ in self.calls]


async def test_calls_begin_at_the_rate() -> None:
    """Evenly spaced, whatever the concurrency."""
    record = Recorder(seconds=10)
    assert await single_task(record, rate_limit=Rate(4))(range(6)).collect() == [*range(6)]
    assert record.calls == [(n / 4, n) for n in range(6)]


async def test_a_burst_begins_at_once() -> None:
    """After a pause as many begin at once as the burst says, and not more however long it was."""
    record = Recorder()
    task = single_task(record, rate_limit=Rate(4, per=2, burst=3))
    await task(range(5)).collect()
    await anyio.sleep(99)
    await task(range(4)).collect()
    assert record.times == [0, 0, 0, 0.5, 1, 100, 100, 100, 100.5]


async def test_each_attempt_counts() -> None:
    """A retry is a call: it waits for its turn behind those who came before."""
    record = Recorder()

    @single_task(rate_limit=Rate(2), retry_attempts=2, retry_delay=0.25, retry_jitter=0)
    async def work(item: int) -> int:
        await record(item)
        if item == 0 and len(record.calls) < 3:
            raise OSError
        return item

    assert await work(range(4)).collect() == [0, 1, 2, 3]
    assert record.calls == [(0, 0), (0.5, 1), (1, 2), (1.5, 3), (2, 0)]


async def test_the_cost_comes_from_the_item() -> None:
    """What costs more puts off those behind it, who do not overtake it."""
    record = Recorder()
    rate = Rate(10, burst=5, cost=lambda item: item)
    assert await single_task(record, rate_limit=rate)([5, 5, 1, 0, 4]).collect() == [5, 5, 1, 0, 4]
    assert record.times == pytest.approx([0, 0.5, 0.6, 0.6, 1.0])


async def test_a_batch_is_one_call() -> None:
    """Of a batch task, the cost is asked for the batch."""
    record = Recorder()
    rate = Rate(2, burst=4, cost=len)
    await batch_task(max_size=4, rate_limit=rate)(record)(range(10)).collect()
    assert record.calls == [(0, [0, 1, 2, 3]), (2, [4, 5, 6, 7]), (3, [8, 9])]


async def test_tasks_share_a_rate_first_come_first_served() -> None:
    """One object is one limit for all tasks and runs that use it."""
    rate = Rate(1)
    record = Recorder()
    one = single_task(record, rate_limit=rate)
    two = single_task(record, rate_limit=rate)

    async def use(task: Any, items: list[str]) -> None:
        await task(items).collect()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(use, one, ["a", "b"])
        await anyio.sleep(0.5)
        tasks.start_soon(use, two, ["c"])
        await anyio.sleep(0.25)
        tasks.start_soon(use, one, ["d"])
    assert record.calls == [(0, "a"), (1, "b"), (2, "c"), (3, "d")]


async def test_who_does_not_want_to_wait_is_told() -> None:
    """Without waiting a call is counted, or is not if it would exceed the rate."""
    rate = Rate(1, burst=3, cost=len)
    assert [rate.acquire_nowait("ab"), rate.acquire_nowait("ab")] == [True, False]
    await anyio.sleep(1)
    assert [rate.acquire_nowait("ab"), rate.acquire_nowait("")] == [True, True]
    await rate.acquire("abc")
    assert current_time() == 4


async def test_an_awaited_call_waits_too() -> None:
    """The cost of an awaited call is that of its item."""
    record = Recorder()
    rate = Rate(1, burst=3, cost=len)
    task = single_task(record, rate_limit=rate)
    assert [await task("abc"), await task("ab")] == ["abc", "ab"]
    assert record.times == [0, 2]


async def test_who_is_cancelled_lets_the_others_move_up() -> None:
    """A wait that is given up, at the front or in the middle, has taken nothing."""
    rate = Rate(1)
    begun: list[tuple[str, float]] = []

    async def wait(name: str, seconds: float = 99) -> None:
        with anyio.move_on_after(seconds):
            await rate.acquire()
            begun.append((name, current_time()))

    async with anyio.create_task_group() as tasks:
        for name, seconds in [("a", 99), ("b", 0.5), ("c", 99), ("d", 0.25), ("e", 99)]:
            tasks.start_soon(wait, name, seconds)
            await ticks(3)
    assert begun == [("a", 0), ("c", 1), ("e", 2)]


async def test_a_run_that_ends_leaves_its_place() -> None:
    """A stopped run takes no tokens for what it will not call any more."""
    rate = Rate(1)
    record = Recorder()
    async with single_task(record, rate_limit=rate)(range(50)) as results:
        assert await anext(results) == 0
    await rate.acquire()
    assert (record.calls, current_time()) == ([(0, 0)], 1)


async def test_nothing_is_held_while_waiting() -> None:
    """A call that waits for the rate leaves the run's parallelism to other tasks."""
    record = Recorder(seconds=1)
    slow = single_task(Recorder(), rate_limit=Rate(1, per=10))
    pipeline = (slow | single_task(record)).with_context(max_parallelism=1)
    assert await pipeline(range(3)).collect() == [0, 1, 2]
    assert record.times == [0, 10, 20]


async def test_tokens_do_not_pile_up_while_there_is_no_share() -> None:
    """Calls that had to wait for a share do not begin in a burst when there is one."""
    record = Recorder()

    @single_task(concurrency_limit=1)
    async def feed(item: int) -> int:
        await anyio.sleep(10 if item == 4 else 0)
        return item

    pipeline = feed | single_task(record, rate_limit=Rate(1))
    assert await pipeline.with_context(max_parallelism=1)(range(6)).collect() == [*range(6)]
    times = record.times
    assert times[-2] > 10
    assert all(later - earlier >= 1 for earlier, later in pairwise(times))


async def test_the_timeout_does_not_count_the_wait() -> None:
    """The clock of an attempt starts when it begins."""
    task = single_task(Recorder(seconds=1), rate_limit=Rate(1, per=9), timeout=2)
    assert await task(range(3)).collect() == [0, 1, 2]


@pytest.mark.parametrize("burst", [1, 40])
async def test_calls_in_order_stay_in_order(burst: float) -> None:
    """Under a rate and ``max_parallelism`` calls that start in order still do."""
    record = Recorder(seconds=3)
    task = single_task(record, rate_limit=Rate(1, burst=burst), in_order=True)
    pipeline = task.with_context(max_parallelism=4)
    assert await pipeline(range(40)).collect() == [*range(40)]
    assert [item for _, item in record.calls] == [*range(40)]


@pytest.mark.parametrize(
    ("cost", "error", "message"),
    [
        (lambda item: "1", TypeError, "cost must return a number, got a str"),
        (lambda item: True, TypeError, "cost must return a number, got a bool"),
        (lambda item: -1, ValueError, "cost must return 0 or more"),
        (lambda item: float("nan"), ValueError, "cost must return 0 or more"),
        (
            lambda item: 5,
            ValueError,
            "a call that costs more than burst=4 could never begin; give a larger burst",
        ),
        (lambda item: item.size, AttributeError, "'int' object has no attribute 'size'"),
    ],
)
async def test_a_bad_cost_fails_the_run(
    cost: Callable[[Any], Any], error: type[Exception], message: str
) -> None:
    """A mistake in the settings is no fault of the item, so it is not skipped."""
    record = Recorder()
    rate = Rate(1, burst=4, cost=cost)
    task = single_task(record, task_name="work", rate_limit=rate, on_error="skip_item")
    with pytest.raises(error) as caught:
        await task([7]).collect()
    assert (str(caught.value), record.calls) == (message, [])
    notes = ["raised by task 'work' for input item 0 after 0 attempts"]
    assert caught.value.__notes__ == notes


async def test_a_bad_cost_keeps_no_share() -> None:
    """It is asked once more when the share has come; a generator waits for that, uncancellable."""
    asked: list[int] = []

    def cost(item: int) -> float:
        asked.append(item)
        if asked.count(2) == 2:
            raise CostError
        return 0

    @single_task
    async def endless(item: int) -> AsyncIterator[int]:
        for number in itertools.count():
            yield number

    @single_task(rate_limit=Rate(1, burst=1, cost=cost))
    async def rated(item: int) -> int:
        await anyio.sleep(0 if item == 0 else 10)
        return item

    pipeline = (endless | rated).with_context(max_parallelism=1, max_in_flight=4)
    with pytest.raises(CostError):
        async with pipeline([0]) as results:
            await anyio.sleep(5)
            assert await anext(results) == 0  # makes room for the generator, behind item 2
            assert await anext(results) == 1
            await anext(results)
    assert asked.count(2) == 2
    assert current_time() == 10


def test_a_rate_goes_on_on_another_event_loop(anyio_backend_name: str) -> None:
    """What was spent on one loop is spent on the next one, whatever its clock reads."""
    rate = Rate(1, burst=2)
    record = Recorder()
    for start in (0, 50):

        async def main() -> None:
            await anyio.sleep(start)  # noqa: B023 - run at once
            await single_task(record, rate_limit=rate)(range(3)).collect()

        run(main, backend=anyio_backend_name)
    assert record.times == [0, 0, 1, 51, 52, 53]


async def test_two_loops_at_once_are_refused() -> None:
    """A rate that is waited for here cannot be used by another event loop meanwhile."""
    rate = Rate(1)
    await rate.acquire()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rate.acquire)
        await ticks(3)
        with pytest.raises(RuntimeError) as caught:
            await anyio.to_thread.run_sync(anyio.run, rate.acquire)
    assert str(caught.value) == (
        "this Rate is being waited for on another event loop; "
        "use it on one at a time, or make one Rate for each"
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"limit": "5"}, TypeError, "limit must be a number, got '5'"),
        ({"limit": True}, TypeError, "limit must be a number, got True"),
        ({"limit": 0}, ValueError, "limit must be more than 0 and finite, got 0"),
        (
            {"limit": 10**400},
            ValueError,
            f"limit must be more than 0 and finite, got {10**400}",
        ),
        (
            {"limit": 1, "burst": 10**400},
            ValueError,
            f"burst must be more than 0 and finite, got {10**400}",
        ),
        (
            {"limit": 1e-200, "per": 1e200},
            ValueError,
            (
                "the seconds for each call, per / limit, must be more than 0 and finite, got "
                "limit=1e-200, per=1e+200"
            ),
        ),
        (
            {"limit": 1e-200, "per": 10**200},
            ValueError,
            (
                "the seconds for each call, per / limit, must be more than 0 and finite, got "
                f"limit=1e-200, per={10**200}"
            ),
        ),
        ({"limit": 5, "per": -1}, ValueError, "per must be more than 0 and finite, got -1"),
        (
            {"limit": 5, "burst": float("inf")},
            ValueError,
            "burst must be more than 0 and finite, got inf",
        ),
        (
            {"limit": 5, "burst": 0.5},
            ValueError,
            "burst must be at least 1, the cost of a call, got 0.5",
        ),
        (
            {"limit": 5, "cost": 3},
            TypeError,
            "cost must be a function of the item that returns a number, got 3",
        ),
        (
            {"limit": 5, "cost": len},
            TypeError,
            (
                "with cost, burst has to say what the most expensive call may cost; "
                "write Rate(5, per=1.0, burst=..., cost=...)"
            ),
        ),
    ],
)
def test_bad_rates_are_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    """The message names the argument, the value and the fix."""
    with pytest.raises(error, match=f"^{re.escape('Rate: ' + message)}$"):
        make(**arguments)


def test_a_rate_shows_what_it_is() -> None:
    """Its settings are attributes, cannot be set, and are in its repr."""
    rate = Rate(10, per=2)
    assert repr(rate) == "Rate(limit=10, per=2, burst=1, cost=None)"
    with pytest.raises(AttributeError):
        rate.limit = 5  # type: ignore[misc]


async def test_nobody_overtakes_those_who_wait() -> None:
    """Nor takes away meanwhile what they wait for: the bound holds for all together."""
    rate: Any = Rate(1, burst=10, cost=lambda cost: cost)
    begun: list[tuple[float, int]] = []

    async def begin(cost: int) -> None:
        await rate.acquire(cost)
        begun.append((current_time(), cost))

    async with anyio.create_task_group() as group:
        for cost in (10, 10):
            group.start_soon(begin, cost)
            await ticks(3)
        await anyio.sleep(5)
        assert not rate.acquire_nowait(1)
        group.start_soon(begin, 1)
    assert begun == [(0, 10), (10, 10), (11, 1)]
    await anyio.sleep(1)
    assert rate.acquire_nowait(1)


@pytest.mark.parametrize("timings", [False, True])
async def test_what_waits_for_a_rate_is_no_call(timings: bool) -> None:
    """It is queued; and if the run ends meanwhile, the function has never been called with it."""
    called: list[int] = []

    @single_task(rate_limit=Rate(1, per=10))
    async def work(item: int) -> int:
        called.append(item)
        return item

    async with work.with_context(timings=timings)(range(20)) as results:
        assert [await anext(results) for _ in range(2)] == [0, 1]
        await anyio.sleep(1)
        statistics = results.stats()
        assert (statistics.stages[0].calls, statistics.stages[0].queued) == (2, 18)
        assert statistics.held == 18
    statistics = results.stats()
    assert (statistics.stages[0].calls, statistics.held) == (len(called), 0)
    assert called == [0, 1]
