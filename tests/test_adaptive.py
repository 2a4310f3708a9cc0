"""``concurrency_limit=Adaptive(...)``: the number of calls in flight is found by trying."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from conveyor import Adaptive, Rate, RetryAfter, batch_task, single_task
from conveyor._engine.adaptive_limit import AdaptiveLimit
from helpers import arriving, current_time, ticks


class Overloaded(Exception):
    """There is too much to do."""


class Service:
    """
    A service with so many places, and what was seen of the calls to it.

    A call beyond them is refused at once, if it *refuses*, or else takes longer: as many times
    longer as there are calls per place.
    """

    def __init__(self, capacity: int = 1000, refuses: bool = False) -> None:
        self.capacity = capacity
        self.refuses = refuses
        self.in_flight = 0
        self.begun: list[float] = []
        self.limits: list[int] = []
        self.results: Any = None

    async def __call__(self, item: Any, seconds: float = 1) -> Any:
        self.begun.append(current_time())
        if self.results is not None:
            self.limits.append(self.results.stats().stages[0].limit)
        self.in_flight += 1
        try:
            if self.in_flight > self.capacity and self.refuses:
                raise Overloaded
            await anyio.sleep(seconds * max(1, self.in_flight / self.capacity))
        finally:
            self.in_flight -= 1
        return item

    async def serve(self, task: Any, count: int) -> None:
        """Run a task that calls this service, over so many items."""
        async with task(range(count)) as self.results:
            assert await self.results.collect() == list(range(count))


def task_of(function: Any, limit: Any, **options: Any) -> Any:
    return single_task(function, task_name="work", concurrency_limit=limit, **options)


# The limit finds what the service can take


async def test_it_finds_the_capacity_of_a_service_that_refuses() -> None:
    """It rises from 5 until the 21st call is refused, falls to int(0.75 * 21) and rises again."""
    service = Service(20, refuses=True)
    limit = Adaptive(5, 100, throttled_by=Overloaded)
    task = task_of(service, limit, max_retries=9, retry_delay=1, retry_jitter=0)
    await service.serve(task, 1000)
    first = service.limits.index(21)
    assert service.limits[:first] == sorted(service.limits[:first])
    assert set(service.limits[:first]) == set(range(5, 21))
    assert set(service.limits[first:]) == set(range(15, 22))


async def test_it_finds_the_capacity_of_a_service_that_slows_down() -> None:
    """With 21 calls for 10 places they take more than twice as long; soon it falls to 15 or 16."""
    service = Service(10)
    await service.serve(task_of(service, Adaptive(5, 100)), 700)
    first = service.limits.index(21)
    assert service.limits[:first] == sorted(service.limits[:first])
    # The average may have calls in it from when there were fewer; but not for longer than a round.
    assert 21 <= max(service.limits) <= 22
    assert 15 <= min(service.limits[first:]) <= 16


async def test_calls_that_differ_by_themselves_do_not_hold_it_down() -> None:
    """One of them takes five times as long as another, however many there are at a time."""
    limits: list[int] = []

    async def work(item: int) -> int:
        await anyio.sleep(1 + item % 5)
        limits.append(results.stats().stages[0].limit)
        return item

    async with task_of(work, Adaptive(5, 20))(range(900)) as results:
        assert await results.collect() == list(range(900))
    assert limits == sorted(limits)
    assert limits[-1] == 20


async def test_two_tasks_share_a_service() -> None:
    """One has most of it when the other comes; they come to share it equally, and use it well."""
    service = Service(20, refuses=True)
    limits = [Adaptive(initial, 100, throttled_by=Overloaded) for initial in (2, 18)]
    served: list[list[float]] = [[], []]

    async def run(number: int) -> None:
        task = task_of(service, limits[number], max_retries=99, retry_delay=0.5)
        with anyio.move_on_after(100):
            async with task(range(9999)).as_completed() as results:
                async for _ in results:
                    served[number].append(current_time())

    async with anyio.create_task_group() as group:
        group.start_soon(run, 0)
        group.start_soon(run, 1)
    # Each call takes a second. At three quarters of 20 they would serve 15 per second.
    late = [sum(when > 50 for when in each) for each in served]
    assert 15 * 50 <= sum(late) <= 20 * 50
    assert max(late) <= 1.25 * min(late)


# Exact sequences, derived by hand


async def test_it_rises_by_one_per_round() -> None:
    """Two calls come back, so three begin; they come back, so four begin; there it ends."""
    service = Service()
    await service.serve(task_of(service, Adaptive(2, 4)), 15)
    assert Counter(service.begun) == {0: 2, 1: 3, 2: 4, 3: 4, 4: 2}
    assert service.results.stats().stages[0].limit == 4


async def test_it_does_not_rise_while_it_is_not_reached() -> None:
    """Items that come one by one need no more than one call at a time."""
    service = Service()
    async with task_of(service, Adaptive(2, 9))(
        arriving(*((2 * n, n) for n in range(9)))
    ) as results:
        assert await results.collect() == list(range(9))
        assert results.stats().stages[0].limit == 2


async def test_when_it_falls_calls_in_flight_go_on_and_none_begin() -> None:
    """Of four the first is throttled, so there may be two: the next begins when two have ended."""
    begun: list[float] = []

    async def function(item: int) -> int:
        begun.append(current_time())
        await anyio.sleep(1 + item)
        if item == 0:
            raise Overloaded
        return item

    limit = Adaptive(4, throttled_by=Overloaded, backoff=0.5, tolerance=None)
    async with task_of(function, limit, on_error="skip_item")([0, 1, 2, 3, 4, 5]) as results:
        await results.collect()
        # At 1 the first is throttled, so three are left, and the limit is two; at 2 it is reached.
        assert begun == [0, 0, 0, 0, 3, 4]


@pytest.mark.parametrize(
    ("throttled_by", "expected"),
    [
        (Overloaded, 2),
        ((OSError, Overloaded), 2),
        (lambda error: isinstance(error, Overloaded), 2),
        (lambda error: None, 4),
        (OSError, 4),
        ((), 4),
    ],
)
async def test_only_what_throttles_lowers_it(throttled_by: Any, expected: int) -> None:
    """Errors of the user's own change nothing."""

    async def function(item: int) -> None:
        raise Overloaded

    limit = Adaptive(4, throttled_by=throttled_by, backoff=0.5)
    async with task_of(function, limit, on_error="skip_item")([1]) as results:
        assert await results.collect() == []
        assert results.stats().stages[0].limit == expected


async def test_other_errors_are_no_good_calls_either() -> None:
    """They do not count for a round, nor is what they took a measure."""

    async def function(item: float) -> float:
        await anyio.sleep(abs(item))
        if item < 0:
            raise OSError
        return item

    task = task_of(function, Adaptive(1, 9), on_error="skip_item")
    async with task([-0.1, -0.1, 3, 3]) as results:
        assert await results.collect() == [3, 3]
        assert results.stats().stages[0].limit == 2


async def test_by_default_timeouts_and_retry_after_throttle() -> None:
    """Both are what a service does that has too much to do."""

    async def function(item: int) -> None:
        if item == 0:
            await anyio.sleep(9)
        if item == 1 and not results.stats().stages[0].retried:
            raise RetryAfter(1)

    task = task_of(function, Adaptive(8, backoff=0.5), timeout=2, on_error="skip_item")
    async with task([0]) as results:
        await results.collect()
        assert results.stats().stages[0].limit == 4
    async with task([1]) as results:
        await results.collect()
        assert results.stats().stages[0].limit == 4


async def test_it_is_an_option_about_calls() -> None:
    """So a task that has no other repeats an item after a pause, in a run and awaited."""
    pauses = [RetryAfter(1), RetryAfter(2)]

    async def function(item: int) -> float:
        if current_time() in (0, 1):
            raise pauses.pop()
        return current_time()

    task = task_of(function, Adaptive())
    assert await task(0) == 2
    pauses.append(RetryAfter(1))
    assert await task([0]).collect() == [2]


async def test_repeated_attempts_wait_for_their_share() -> None:
    """Three calls are refused at once, so there may be one; they are repeated one after another."""
    running: Counter[float] = Counter()

    async def function(item: int) -> float:
        if current_time() == 0:
            await checkpoint()
            raise Overloaded
        running[current_time()] += 1
        await anyio.sleep(1)
        return item

    limit = Adaptive(3, 3, throttled_by=Overloaded, backoff=0.1)
    task = task_of(function, limit, max_retries=1, retry_delay=5, retry_jitter=0)
    assert await task(range(3)).collect() == [0, 1, 2]
    # The limit is one until the first is back, then two.
    assert running == {5: 1, 6: 2}


# What is measured is an attempt by itself


async def test_waiting_for_the_rate_is_not_latency() -> None:
    """A call that begins late is not slow."""
    service = Service()
    task = task_of(service, Adaptive(4), rate_limit=Rate(1, per=10))
    await service.serve(task, 5)
    assert service.begun == [0, 10, 20, 30, 40]
    assert service.limits == [4] * 5


async def test_pauses_and_delays_are_not_latency() -> None:
    """Each attempt is measured by itself."""
    calls = Counter[int]()

    async def function(item: int) -> int:
        await anyio.sleep(1)
        calls[item] += 1
        if calls[item] == 1:
            raise (OSError if item % 2 else RetryAfter(30))
        return item

    limit = Adaptive(1, throttled_by=())
    task = task_of(function, limit, max_retries=1, retry_delay=50)
    async with task(range(4)) as results:
        assert await results.collect() == [0, 1, 2, 3]
        assert results.stats().stages[0].limit > 1


@pytest.mark.parametrize("is_async", [True, False])
async def test_waiting_for_room_is_not_latency(is_async: bool) -> None:
    """Generators whose consumer is slow are not slow; while they wait, others may run."""

    def generator(item: int) -> Iterator[int]:
        yield from [item] * 3

    async def async_generator(item: int) -> AsyncIterator[int]:
        for each in generator(item):
            await anyio.sleep(0.5)
            yield each

    function: Any = async_generator if is_async else generator
    task = task_of(function, Adaptive(2, 2)).with_context(max_in_flight=2)
    async with task(range(20)) as results:
        received: list[int] = []
        async for result in results:
            received.append(result)
            await anyio.sleep(len(received))  # slower and slower
            assert results.stats().stages[0].limit == 2
    assert received == [n for n in range(20) for _ in range(3)]


async def test_a_generator_that_waits_for_room_is_not_in_flight() -> None:
    """One at a time runs, however many wait, so a limit of two is never reached."""

    async def expand(item: int) -> AsyncIterator[int]:
        for child in range(3):
            await anyio.sleep(1)
            yield child

    task = task_of(expand, Adaptive(2, 9)).with_context(max_in_flight=9, max_parallelism=1)
    async with task(range(20)) as results:
        async for _ in results:
            await anyio.sleep(2)
            assert results.stats().stages[0].limit == 2


async def test_waiting_for_the_parallelism_of_the_run_is_not_latency() -> None:
    """A call that has no share of it does not run, and does not count for reaching the limit."""
    service = Service()
    task = task_of(service, Adaptive(3, 9)).with_context(max_parallelism=2)
    await service.serve(task, 8)
    assert service.begun == [0, 0, 1, 1, 2, 2, 3, 3]
    assert service.limits == [3] * 8


# Together with the rest of the engine


async def test_it_holds_for_batch_tasks() -> None:
    """Batches, too, begin as the limit allows; the window is large enough for the most of them."""
    begun: list[float] = []

    @batch_task(max_size=400, concurrency_limit=Adaptive(1, 3))
    async def work(batch: list[int]) -> int:
        begun.append(current_time())
        await anyio.sleep(1)
        return len(batch)

    assert await work(range(3200)).collect() == [400] * 8
    assert begun == [0, 1, 1, 2, 2, 2, 3, 3]


async def test_a_full_window_does_not_stop_the_head_of_the_line() -> None:
    """Generators that wait for room have no share, so the head gets one though the limit is one."""

    async def expand(item: int) -> AsyncIterator[int]:
        await anyio.sleep(0.3 * (item % 3))
        if item == 4:
            raise Overloaded
        for child in range(item):
            yield child

    limit = Adaptive(5, 5, throttled_by=Overloaded, backoff=0.1)
    task = task_of(expand, limit, on_error="skip_item").with_context(max_in_flight=5)
    results = await task(range(20)).collect()
    assert results == [child for item in range(20) if item != 4 for child in range(item)]


async def test_calls_begin_in_order() -> None:
    """However the limit changes meanwhile."""
    begun: list[int] = []

    @single_task(in_order=True, concurrency_limit=Adaptive(1, throttled_by=Overloaded))
    async def work(item: int) -> int:
        begun.append(item)
        await anyio.sleep(item % 3)
        return item

    assert await work(range(100)).collect() == begun == list(range(100))


async def test_each_run_finds_its_own() -> None:
    """A description holds no state, so it can be shared."""
    service = Service()
    limit = Adaptive(2, 9)
    pipeline = task_of(service, limit) | task_of(service, limit)
    for _ in range(2):
        async with pipeline(range(30)) as results:
            first = results.stats().stages
            assert [stage.limit for stage in first] == [2, 2]
            await results.collect()
            assert all(stage.limit > 2 for stage in results.stats().stages)


async def test_the_present_limit_of_every_stage_is_visible() -> None:
    """A plain limit stays what it is."""
    service = Service()
    pipeline = (
        single_task(service)
        | task_of(service, 7)
        | batch_task(max_size=1)(service)
        | task_of(service, Adaptive(3, 4))
    )
    async with pipeline(range(2)) as results:
        await results.collect()
        assert [stage.limit for stage in results.stats().stages] == [100, 7, 1, 3]


async def test_who_waits_for_a_share_can_be_cancelled() -> None:
    """The others get theirs; nothing is left behind."""
    service = Service()
    task = task_of(service, Adaptive(1, 1), max_retries=1).with_context(max_parallelism=1)
    async with task(range(9)) as results:
        assert await anext(results) == 0
        await anyio.sleep(0.5)
    assert (service.begun, service.in_flight) == ([0, 1], 0)


@pytest.mark.parametrize("cancelled", [0, 1, 2])
async def test_a_share_that_comes_with_the_end_of_the_wait_is_given_back(cancelled: int) -> None:
    """Whoever is cancelled in the very turn in which they get one leaves it to the next."""
    limit = AdaptiveLimit(Adaptive(1), None, anyio.Event)
    got: list[int] = []
    scopes = [anyio.CancelScope() for _ in range(3)]

    async def want(number: int) -> None:
        with scopes[number]:
            await limit.acquire()
            got.append(number)
            limit.release()

    await limit.acquire()
    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(want, number)
            await ticks(3)
        limit.release()
        scopes[cancelled].cancel()
    # On Trio who has got what they wait for goes on, and notices the next time that they wait.
    assert set(got) >= {0, 1, 2} - {cancelled}
    limit.acquire_nowait()


async def test_a_share_is_no_longer_good_when_the_limit_has_fallen() -> None:
    """Who has one, but still waits for the run's, begins when fewer are in flight."""
    begun: list[float] = []

    async def work(item: int) -> None:
        begun.append(current_time())
        await anyio.sleep(2 if item == 0 else 3)
        if item == 0:
            raise Overloaded

    # Two run and two have a share of four when the first is throttled at 2: there may be one then.
    limit = Adaptive(4, throttled_by=Overloaded, backoff=0.25, tolerance=None)
    task = task_of(work, limit, on_error="skip_item").with_context(max_parallelism=2)
    assert await task(range(4)).collect() == []
    # One round of one raises it to two at 6, but only the last is left by then.
    assert begun == [0, 0, 3, 6]


async def test_a_share_of_one_limit_is_not_kept_without_that_of_the_other() -> None:
    """Who waits for the run's share and is cancelled, or would have to wait, holds nothing."""
    outer = anyio.Semaphore(0)
    limit = AdaptiveLimit(Adaptive(1), outer, anyio.Event)
    with anyio.move_on_after(1) as scope:
        await limit.acquire()
    assert scope.cancelled_caught
    with pytest.raises(anyio.WouldBlock):
        limit.acquire_nowait()
    outer.release()
    limit.acquire_nowait()
    assert outer.value == 0
    limit.release()
    assert outer.value == 1


async def test_an_awaited_call_takes_no_part() -> None:
    """No concurrency limit holds there."""
    service = Service()
    task = task_of(service, Adaptive(1, 1))

    async def call() -> None:
        assert await task(5) == 5

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        group.start_soon(call)
    assert service.begun == [0, 0]


async def test_a_predicate_that_raises_fails_the_run() -> None:
    """The mistake is in the settings, not in one item, so nothing is retried or skipped."""

    def predicate(error: Exception) -> bool:
        raise ZeroDivisionError

    service = Service(0, refuses=True)
    limit = Adaptive(throttled_by=predicate)
    task = task_of(service, limit, max_retries=3, on_error="skip_item")
    with pytest.raises(ZeroDivisionError) as caught:
        await task([1]).collect()
    assert len(service.begun) == 1
    assert caught.value.__notes__ == ["raised by task 'work' for input item 0 after 1 attempt"]


# Settings

TAKES = "throttled_by must be an Exception type, a tuple of them, or a predicate taking the error"


def test_it_is_a_frozen_description() -> None:
    """It shows what it was made with, equals another such, and cannot be changed."""
    limit = Adaptive(5, 50)
    assert repr(limit) == (
        "Adaptive(initial=5, max=50, min=1, throttled_by=(<class "
        "'conveyor.error_handling.RetryAfter'>, <class 'TimeoutError'>), tolerance=2.0, "
        "backoff=0.75)"
    )
    assert limit == Adaptive(5, 50)
    assert Adaptive() == Adaptive(10, 100, min=1)
    assert task_of(print, limit).concurrency_limit is limit
    with pytest.raises(AttributeError):
        limit.max = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"initial": 2.5}, TypeError, "initial must be an int, got 2.5"),
        ({"max": True}, TypeError, "max must be an int, got True"),
        ({"min": None}, TypeError, "min must be an int, got None"),
        ({"min": 0}, ValueError, "min must be at least 1, got 0"),
        (
            {"initial": 5, "max": 4},
            ValueError,
            "initial must be from min to max, got min=1, initial=5, max=4",
        ),
        (
            {"initial": 5, "min": 6},
            ValueError,
            "initial must be from min to max, got min=6, initial=5, max=100",
        ),
        ({"tolerance": "2"}, TypeError, "tolerance must be a number, got '2'"),
        (
            {"tolerance": 1},
            ValueError,
            "tolerance must be more than 1 and finite, got 1; None goes by errors alone",
        ),
        (
            {"tolerance": float("inf")},
            ValueError,
            "tolerance must be more than 1 and finite, got inf; None goes by errors alone",
        ),
        ({"backoff": None}, TypeError, "backoff must be a number, got None"),
        ({"backoff": 1}, ValueError, "backoff must be between 0 and 1, got 1"),
        ({"backoff": 0.0}, ValueError, "backoff must be between 0 and 1, got 0.0"),
        (
            {"throttled_by": (OSError, "x")},
            TypeError,
            f"{TAKES}, got (<class 'OSError'>, 'x')",
        ),
        (
            {"throttled_by": KeyboardInterrupt},
            TypeError,
            f"{TAKES}, got <class 'KeyboardInterrupt'>",
        ),
    ],
)
def test_bad_settings_are_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    """With a message that says what was wrong."""
    with pytest.raises(error, match=f"^Adaptive: {re.escape(message)}$"):
        Adaptive(**arguments)


def test_a_size_found_by_measuring_goes_by_errors_alone() -> None:
    """What calls take changes with the size of their batches."""
    with pytest.raises(TypeError) as caught:
        batch_task(max_size="auto", target_duration=1, concurrency_limit=Adaptive())(print)
    assert str(caught.value) == (
        "task 'print': max_size='auto' changes what calls take, so it cannot show whether there "
        "are too many; write concurrency_limit=Adaptive(..., tolerance=None) to go by errors "
        "alone, or give max_size a number"
    )
    limit = Adaptive(tolerance=None)
    batch_task(max_size="auto", target_duration=1, concurrency_limit=limit)(print)


async def test_the_window_has_to_have_room_for_the_most() -> None:
    """One that is too small is refused, as with a plain limit."""
    task = task_of(Service(), Adaptive(1, 50)).with_context(max_in_flight=49)
    with pytest.raises(ValueError, match=r"^max_in_flight=49 is too small for task 'work', which "):
        await task([1]).collect()


@pytest.mark.parametrize(
    "options",
    [
        {"cache": True},
        {"key": str},
        {"priority": abs},
        {"max_retries": 1},
        {"circuit_breaker": None},
    ],
)
async def test_it_bounds_the_calls_of_every_kind_of_stage(options: dict[str, Any]) -> None:
    """Whatever else surrounds them."""
    if "cache" in options:
        options = {"cache": {}}
    running: list[int] = []

    async def work(item: int) -> int:
        running.append(item)
        await anyio.sleep(1)
        return item

    task = single_task(work, concurrency_limit=Adaptive(2, 9), **options)
    async with task(range(9)) as results:
        await anyio.sleep(0.5)
        assert running == [0, 1]
        assert await results.collect() == list(range(9))
