"""Circuit breakers: which calls begin, which fail or wait, and what those who wait hold."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from conveyor import (
    RETRY,
    SKIP,
    CircuitBreaker,
    CircuitOpenError,
    ConveyorError,
    Decision,
    ErrorHandler,
    Rate,
    RetryAfter,
    RetryConfig,
    TooManyErrorsError,
    batch_task,
    single_task,
)
from conveyor.testing import run
from helpers import current_time, ticks

make: Any = CircuitBreaker


class TaskError(Exception):
    """Raised by tasks."""


class OtherError(Exception):
    """Raised by tasks, and does not count."""


class Service:
    """A function that does what an item says, and notes when it was called with what."""

    def __init__(self, seconds: float = 0) -> None:
        self.calls: list[tuple[float, Any]] = []
        self.seconds = seconds
        self.is_down = False

    async def __call__(self, item: Any) -> Any:
        self.calls.append((current_time(), item))
        await anyio.sleep(self.seconds)
        if isinstance(item, Exception):
            raise item
        if self.is_down or item == "fail":
            raise TaskError
        return item

    @property
    def times(self) -> list[float]:
        return [time for time, _ in self.calls]


async def outcomes(task: Any, *items: Any) -> list[Any]:
    """Await one call of *task* after the other; return results, and the types of errors."""
    found: list[Any] = []
    for item in items:
        try:
            found.append(await task(item))
        except Exception as error:
            found.append(type(error))
    return found


def breaker_and_task(
    failures: int = 2, reset_after: float = 10, function: Any = None, **options: Any
) -> tuple[CircuitBreaker, Any, Service]:
    names = ("when_open", "counts")
    settings = {name: options.pop(name) for name in names if name in options}
    breaker = CircuitBreaker(failures, reset_after, **settings)
    service = function or Service()
    return (
        breaker,
        single_task(service, task_name="work", circuit_breaker=breaker, **options),
        service,
    )


# Failing at once


async def test_failures_in_a_row_open_it() -> None:
    """Then no call begins; a success in between begins the count anew."""
    breaker, task, service = breaker_and_task()
    assert await outcomes(task, "fail", "a", "fail") == [TaskError, "a", TaskError]
    assert breaker.state == "closed"
    assert await outcomes(task, "fail", "b", "c") == [TaskError, CircuitOpenError, CircuitOpenError]
    assert breaker.state == "open"
    assert len(service.calls) == 4


async def test_a_trial_closes_it_again() -> None:
    """After the pause one call is let through; if it succeeds, so are all."""
    breaker, task, service = breaker_and_task(function=Service(seconds=1))
    assert await outcomes(task, "fail", "fail") == [TaskError, TaskError]
    await anyio.sleep(9.5)
    assert await outcomes(task, "a") == [CircuitOpenError]
    await anyio.sleep(0.5)
    assert breaker.state == "half_open"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcomes, task, "b")
        await ticks(3)
        assert await outcomes(task, "c") == [CircuitOpenError]
        assert breaker.state == "half_open"
    assert breaker.state == "closed"
    assert await outcomes(task, "d", "fail", "e") == ["d", TaskError, "e"]
    assert [item for _, item in service.calls] == ["fail", "fail", "b", "d", "fail", "e"]


async def test_a_trial_that_fails_opens_it_again() -> None:
    """One failure is enough then, and the pause begins anew."""
    _, task, service = breaker_and_task()
    await outcomes(task, "fail", "fail")
    await anyio.sleep(10)
    assert await outcomes(task, "fail", "a") == [TaskError, CircuitOpenError]
    await anyio.sleep(9.5)
    assert await outcomes(task, "b") == [CircuitOpenError]
    await anyio.sleep(0.5)
    assert await outcomes(task, "c", "d") == ["c", "d"]
    assert service.times == [0, 0, 10, 20, 20]


async def test_the_error_tells_how_long_it_is_open() -> None:
    """While a trial is under way nobody knows: as long as it would be if that failed."""
    _, task, _ = breaker_and_task(function=Service(seconds=4))
    await outcomes(task, "fail", "fail")
    await anyio.sleep(2.5)
    with pytest.raises(CircuitOpenError) as caught:
        await task("a")
    assert isinstance(caught.value, ConveyorError)
    assert caught.value.retry_after == 7.5
    assert str(caught.value) == "the circuit is open, for another 7.5 s"
    await anyio.sleep(8)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcomes, task, "trial")
        await anyio.sleep(1)
        with pytest.raises(CircuitOpenError) as caught:
            await task("a")
        assert caught.value.retry_after == 10


async def test_in_a_run_an_open_circuit_fails_items_in_the_normal_way() -> None:
    """The error has a note; handler, ``on_error`` and fallback are asked, the function is not."""
    _, task, service = breaker_and_task()
    await outcomes(task, "fail", "fail")
    with pytest.raises(CircuitOpenError) as caught:
        await task(["a"]).collect()
    assert caught.value.__notes__ == ["raised by task 'work' for input item 0 after 1 attempt"]

    asked: list[tuple[Any, ...]] = []

    class Handler(ErrorHandler):
        async def handle_error(self, *args: Any) -> tuple[bool, Any]:
            asked.append(args)
            return True, "handled"

    assert await task.replace(error_handler=Handler())(["a"]).collect() == ["handled"]
    assert isinstance(asked[0][0], CircuitOpenError)
    backup = single_task(lambda item: f"{item}!")
    assert await task.replace(fallback=backup)(["a"]).collect() == ["a!"]
    assert await task.replace(on_error=lambda error, item: SKIP)(["a"]).collect() == []
    async with task.replace(on_error="skip_item")(["a", "b"]) as results:
        assert await results.collect() == []
        assert results.stats().skipped == 2
    assert len(service.calls) == 2


@pytest.mark.parametrize(
    ("retry_on", "error", "seconds"),
    [
        (Exception, CircuitOpenError, 2),
        (ConveyorError, TaskError, 0),
        ((TaskError, ConveyorError), CircuitOpenError, 2),
        ((TaskError, CircuitOpenError), CircuitOpenError, 3),
        (lambda error: True, CircuitOpenError, 3),
    ],
)
async def test_a_refusal_is_not_retried(
    retry_on: Any, error: type[Exception], seconds: int
) -> None:
    """Unless it is named itself, which no base class does, or a predicate says so."""
    _, task, _ = breaker_and_task(
        retry_attempts=4, retry_delay=1, retry_backoff=1, retry_jitter=0, retry_on=retry_on
    )
    # Two attempts open it; the third is refused, and the fourth and last is, if there is one.
    with pytest.raises(error):
        await task(["fail"]).collect()
    assert current_time() == seconds


async def test_a_predicate_may_wait_for_the_circuit() -> None:
    """The error tells how long."""
    _, task, service = breaker_and_task(
        retry_attempts=2,
        retry_on=lambda error: isinstance(error, CircuitOpenError) and error.retry_after,
    )
    await outcomes(task, "fail", "fail")
    await anyio.sleep(4)
    assert await task(["a"]).collect() == ["a"]
    assert service.calls[-1] == (10, "a")


async def test_on_error_may_ask_for_one_more_attempt() -> None:
    """``RETRY`` comes to the breaker as any other attempt does."""
    _, task, service = breaker_and_task(retry_delay=4, retry_backoff=1, retry_jitter=0)
    await outcomes(task, "fail", "fail")
    again = task.replace(on_error=lambda error, item: RETRY)
    assert await again(["a"]).collect() == ["a"]
    assert service.calls[-1] == (12, "a")


async def test_a_refusal_takes_nothing() -> None:
    """Neither a token of the rate limit, also if it opens while a call waits for that."""
    rate = Rate(1, per=5)
    _, task, service = breaker_and_task(function=Service(seconds=6), failures=1, rate_limit=rate)
    tasks_done: list[Any] = []

    async def call(item: Any) -> None:
        tasks_done.append((await outcomes(task, item), current_time()))

    async with anyio.create_task_group() as tasks:
        for item in ("fail", "second", "third"):
            tasks.start_soon(call, item)
            await ticks(3)
        await anyio.sleep(6.5)  # the second has its token at 5, the third waits for that of 10
        tasks.start_soon(call, "a")
        await ticks(5)
        assert tasks_done[-1] == ([CircuitOpenError], 6.5)
        await rate.acquire()
        assert current_time() == 10
    assert service.times == [0, 5]


async def test_a_share_is_given_back_by_a_refusal() -> None:
    """Other stages can go on with it."""
    _, task, _ = breaker_and_task(on_error="skip_item")
    await outcomes(task.replace(on_error="fail"), "fail", "fail")
    pipeline = (single_task(Service()) | task | single_task(Service())).with_context(
        max_parallelism=1
    )
    narrow = pipeline.with_context(max_parallelism=1)
    assert await narrow("abc" for _ in range(5)).collect() == []


# Waiting


async def test_calls_wait_for_the_trial() -> None:
    """None begins before the time; one is the trial, and the others follow if it succeeds."""
    calls: list[tuple[float, str]] = []

    async def function(item: str) -> str:
        calls.append((current_time(), item))
        await anyio.sleep(0.5 if item == "fail" else 1)
        if item == "fail":
            raise TaskError
        return item

    breaker, task, _ = breaker_and_task(
        1, when_open="wait", function=function, on_error="skip_item", concurrency_limit=3
    )
    assert await task(["fail", *"abcde"]).collect() == [*"abcde"]
    assert calls[1:3] == [(0, "a"), (0, "b")]  # ended as stragglers
    assert calls[3:] == [(10.5, "c"), (11.5, "d"), (11.5, "e")]
    assert breaker.state == "closed"


async def test_calls_wait_on_if_the_trial_fails() -> None:
    """Until the next one."""
    _, task, service = breaker_and_task(
        failures=1,
        when_open="wait",
        function=Service(seconds=1),
        on_error="skip_item",
        concurrency_limit=1,
    )
    assert await task(["fail", "fail", "a", "b"]).collect() == ["a", "b"]
    assert service.calls == [(0, "fail"), (11, "fail"), (22, "a"), (23, "b")]


async def test_who_waits_begins_in_order() -> None:
    """The trial is the first in line, and those behind begin in the order in which they came."""
    _, task, service = breaker_and_task(
        failures=1, when_open="wait", on_error="skip_item", in_order=True
    )
    items = ["fail", *range(60)]
    assert await task.with_context(max_parallelism=7)(items).collect() == [*range(60)]
    assert [item for _, item in service.calls] == items
    rated = task.replace(rate_limit=Rate(10, burst=3))
    assert await rated.with_context(max_parallelism=7)(items).collect() == [*range(60)]
    assert [item for _, item in service.calls[61:]] == items


async def test_who_waits_holds_no_share() -> None:
    """Other stages go on meanwhile, though there is but one share."""
    _, task, _ = breaker_and_task(when_open="wait")
    await outcomes(task, "fail", "fail")
    other = Service()
    pipeline = (single_task(other) | task).with_context(max_parallelism=1)
    assert await pipeline(range(5)).collect() == [*range(5)]
    assert other.times == [0] * 5
    assert current_time() == 10


async def test_who_waits_takes_no_token() -> None:
    """The rate limit is as free afterwards as if nobody had waited."""
    rate = Rate(1, per=100)
    breaker, task, service = breaker_and_task(when_open="wait", rate_limit=rate, failures=1)
    with anyio.move_on_after(3):
        await rate.acquire()
        breaker.gate.fail(breaker.gate.begin())
        await task("a")
    with anyio.move_on_after(200):
        await rate.acquire()
    assert (service.calls, current_time()) == ([], 100)


async def test_the_deadline_goes_on_while_a_call_waits() -> None:
    """From its first attempt on; what it waits for after that is cut off."""
    _, task, service = breaker_and_task(
        failures=1, when_open="wait", retry_attempts=2, retry_delay=0, deadline=4
    )
    with pytest.raises(TimeoutError) as caught:
        await task(["fail"]).collect()
    assert isinstance(caught.value.__context__, TaskError)
    assert (service.times, current_time()) == ([0], 4)


async def test_who_is_cancelled_while_waiting_is_no_trial() -> None:
    """A wait that is given up, also at the last moment, leaves nothing behind."""
    _, task, service = breaker_and_task(1, when_open="wait", function=Service(seconds=1))
    await outcomes(task, "fail")
    async with anyio.create_task_group() as tasks:

        async def call(item: str, patience: float) -> None:
            with anyio.move_on_after(patience):
                await task(item)

        for item, patience in (("a", 5), ("b", 99), ("c", 10), ("d", 99)):
            tasks.start_soon(call, item, patience)
            await ticks(3)
    assert sorted(item for _, item in service.calls if item != "c") == ["b", "d", "fail"]
    assert [time for time, item in service.calls if item in "bd"] == [11, 12]


# Trials


async def test_a_cancelled_trial_gives_its_place_to_the_next() -> None:
    """With those who wait, at once; the circuit stays half-open."""
    breaker, task, service = breaker_and_task(
        failures=1, when_open="wait", function=Service(seconds=5)
    )
    await outcomes(task, "fail")
    async with anyio.create_task_group() as tasks:
        with anyio.move_on_after(12):  # two seconds after the trial has begun
            await task("trial")
            pytest.fail("it takes five")
        assert breaker.state == "half_open"
        tasks.start_soon(outcomes, task, "a")
        await ticks(3)
        tasks.start_soon(outcomes, task, "b")
    assert service.calls[1:] == [(15, "trial"), (17, "a"), (22, "b")]
    assert breaker.state == "closed"


async def test_a_run_that_ends_amid_the_trial_gives_its_place_to_another() -> None:
    """Whatever ends it."""
    breaker, task, _ = breaker_and_task(function=Service(seconds=5), failures=1)
    await outcomes(task, "fail")
    await anyio.sleep(10)
    with anyio.move_on_after(1):
        await task(["trial"]).collect()
    assert breaker.state == "half_open"
    assert await task(["a"]).collect() == ["a"]
    assert breaker.state == "closed"


async def test_a_trial_that_tells_nothing_gives_its_place_to_the_next() -> None:
    """It tells nothing about the service."""
    breaker, task, _ = breaker_and_task(counts=TaskError)
    await outcomes(task, "fail", "fail")
    await anyio.sleep(10)
    assert await outcomes(task, OtherError()) == [OtherError]
    assert breaker.state == "half_open"
    assert await outcomes(task, "fail") == [TaskError]
    assert breaker.state == "open"


async def test_stragglers_of_the_outage_tell_nothing() -> None:
    """Calls that began before it opened, and end while it is open or on trial."""
    breaker = CircuitBreaker(2, 10)

    @single_task(circuit_breaker=breaker)
    async def work(item: tuple[float, bool]) -> str:
        seconds, fails = item
        await anyio.sleep(seconds)
        if fails:
            raise TaskError
        return "fine"

    seen: list[tuple[float, str]] = []
    async with anyio.create_task_group() as tasks:
        for item in ((1, True), (2, True), (5, False), (8, True), (13, False), (14.5, True)):
            tasks.start_soon(outcomes, work, item)
        await anyio.sleep(12)
        tasks.start_soon(outcomes, work, (2, False))  # the trial, until 14
        for when in (12.5, 13.5, 14.25, 15):
            await anyio.sleep(when - current_time())
            seen.append((when, breaker.state))
    assert seen == [
        (12.5, "half_open"),
        (13.5, "half_open"),
        (14.25, "closed"),
        (15, "closed"),
    ]


async def test_a_generator_that_waits_for_room_is_no_trial_any_more() -> None:
    """Who makes that room waits for the circuit: without that nobody would ever go on."""
    breaker = CircuitBreaker(1, 10, when_open="wait")
    begun: list[int] = []

    @single_task(circuit_breaker=breaker, retry_attempts=2, retry_delay=20, retry_jitter=0)
    async def values(item: int) -> AsyncIterator[int]:
        begun.append(item)
        if item == 0 and begun.count(0) == 1:
            raise TaskError
        await anyio.sleep(1)
        for value in range(5):
            yield 10 * item + value

    stream = values.with_context(max_in_flight=3, max_parallelism=2)([0, 1, 2])
    assert await stream.collect() == [*range(5), *range(10, 15), *range(20, 25)]
    assert current_time() < 60


# What counts


@pytest.mark.parametrize(
    ("counts", "is_counted"),
    [
        (Exception, [True, True, False]),
        (TaskError, [True, False, False]),
        ((OtherError, KeyError), [False, True, False]),
        ((TaskError, RetryAfter), [True, False, True]),
        (lambda error: not isinstance(error, TaskError), [False, True, True]),
    ],
)
async def test_only_errors_that_count_open_it(counts: Any, is_counted: list[bool]) -> None:
    """Others neither count nor begin the count anew; ``RetryAfter`` has to be named itself."""
    for error, counted in zip((TaskError(), OtherError(), RetryAfter(0)), is_counted, strict=True):
        breaker, task, _ = breaker_and_task(1, counts=counts, deadline=1)
        with pytest.raises((TaskError, OtherError, RetryAfter, CircuitOpenError)):
            await task(error)
        assert breaker.state == ("open" if counted else "closed")


async def test_errors_that_do_not_count_do_not_begin_anew() -> None:
    """Two failures in a row are two, whatever neutral ones are in between."""
    breaker, task, _ = breaker_and_task(counts=TaskError)
    await outcomes(task, "fail", OtherError(), "fail")
    assert breaker.state == "open"


async def test_each_attempt_counts() -> None:
    """So the attempts of one item can open it, and those that are left are refused."""
    _, task, service = breaker_and_task(retry_attempts=5, retry_delay=1, retry_jitter=0)
    with pytest.raises(CircuitOpenError):
        await task(["fail"]).collect()
    assert service.times == [0, 1]
    assert current_time() == 1 + 2


async def test_timeouts_count() -> None:
    """Those of an attempt, and a deadline that cuts one off; not one that cuts off a delay."""
    for options, counted in (
        ({"timeout": 1}, True),
        ({"deadline": 1}, True),
        ({"deadline": 1, "counts": TaskError}, False),
    ):
        breaker, task, _ = breaker_and_task(1, function=Service(seconds=9), **options)
        assert await outcomes(task, "a") == [TimeoutError]
        assert breaker.state == ("open" if counted else "closed")
    breaker, task, _ = breaker_and_task(2, rate_limit=Rate(1, per=9), deadline=5, max_retries=2)
    assert await outcomes(task, "fail") == [TimeoutError]
    assert await outcomes(task, "a", "fail") == ["a", TimeoutError]
    assert breaker.state == "closed"


async def test_what_the_outage_leaks_counts() -> None:
    """A cancellation that nobody asked for is an ordinary error."""

    async def leak(item: Any) -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            try:
                await anyio.sleep(1)
            except anyio.get_cancelled_exc_class() as error:
                leaked = error
        raise leaked

    breaker, task, _ = breaker_and_task(1, function=leak)
    with pytest.raises(RuntimeError):
        await task([1]).collect()
    assert breaker.state == "open"


async def test_a_predicate_that_raises_fails_the_run() -> None:
    """It is a mistake in the settings, so nobody is asked what becomes of the item."""

    def broken(error: Exception) -> bool:
        raise KeyError

    _, task, _ = breaker_and_task(counts=broken, on_error="skip_item", retry_attempts=3)
    with pytest.raises(KeyError) as caught:
        await task(["fail"]).collect()
    assert caught.value.__notes__ == ["raised by task 'work' for input item 0 after 1 attempt"]


async def test_a_pause_comes_with_it() -> None:
    """``RetryAfter`` pauses the stage; an open circuit holds it back for longer."""
    _, task, service = breaker_and_task(
        1, when_open="wait", counts=(TaskError, RetryAfter), retry_attempts=2
    )
    service.is_down = False
    asked = RetryAfter(15)

    async def function(item: Any) -> Any:
        service.calls.append((current_time(), item))
        if len(service.calls) == 1:
            raise asked
        return item

    task = single_task(function, circuit_breaker=task.circuit_breaker, retry_attempts=2)
    assert await task(["a"]).collect() == ["a"]
    assert service.times == [0, 15]


# Sharing


async def test_tasks_and_runs_share_a_circuit() -> None:
    """What one finds out, the others know; batches and a fallback are calls, too."""
    breaker, task, _ = breaker_and_task()
    await outcomes(task, "fail", "fail")

    @batch_task(max_size=2, circuit_breaker=breaker, on_error="skip_item")
    async def batches(batch: list[int]) -> list[int]:
        return batch

    other = single_task(Service(), circuit_breaker=breaker, fallback=task)
    assert await batches(range(4)).collect() == []
    assert await outcomes(other, "a") == [CircuitOpenError]
    await anyio.sleep(10)
    assert await batches(range(4)).collect() == [0, 1, 2, 3]
    assert breaker.state == "closed"


async def test_one_trial_for_all_stages() -> None:
    """Of several stages that wait for one circuit, one makes the trial."""
    breaker, task, service = breaker_and_task(
        1, when_open="wait", function=Service(seconds=1), concurrency_limit=2
    )
    await outcomes(task, "fail")
    other = single_task(service, circuit_breaker=breaker)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(task(["a", "b"]).collect)
        tasks.start_soon(other(["c", "d"]).collect)
    times = service.times[1:]
    assert sorted(times) == [11, 12, 12, 12]


def test_a_circuit_goes_on_on_another_event_loop(anyio_backend_name: str) -> None:
    """As if no time had passed between, whatever the clocks read."""
    breaker, task, _ = breaker_and_task(1)

    async def first() -> None:
        await anyio.sleep(100)
        await outcomes(task, "fail")
        await anyio.sleep(4)
        assert await outcomes(task, "a") == [CircuitOpenError]

    async def second() -> None:
        assert await outcomes(task, "b") == [CircuitOpenError]
        await anyio.sleep(5.5)
        assert await outcomes(task, "c") == [CircuitOpenError]
        await anyio.sleep(0.5)
        assert breaker.state == "half_open"
        assert await outcomes(task, "d") == ["d"]

    run(first, backend=anyio_backend_name)
    assert breaker.state == "open"
    run(second, backend=anyio_backend_name)
    assert breaker.state == "closed"


@pytest.mark.parametrize("when_open", ["fail", "wait"])
async def test_two_loops_at_once_are_refused(when_open: str) -> None:
    """While a trial is under way here, or calls wait, no other event loop can use it."""
    _, task, _ = breaker_and_task(1, when_open=when_open, function=Service(seconds=5))
    await outcomes(task, "fail")
    await anyio.sleep(10 if when_open == "fail" else 0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcomes, task, "a")
        await ticks(3)
        with pytest.raises(RuntimeError) as caught:
            await anyio.to_thread.run_sync(anyio.run, call(task))
    assert str(caught.value) == (
        "this CircuitBreaker is being used on another event loop; "
        "use it on one at a time, or make one CircuitBreaker for each"
    )


def call(task: Any) -> Callable[[], Any]:
    async def main() -> None:
        await task("b")

    return main


# Settings


def test_a_breaker_shows_what_it_is() -> None:
    """Its settings are attributes, cannot be set, and are in its repr."""
    breaker = CircuitBreaker(3)
    assert repr(breaker) == (
        "CircuitBreaker(failures=3, reset_after=30.0, when_open='fail', counts=<class 'Exception'>)"
    )
    assert breaker.state == "closed"
    for name in ("failures", "state"):
        with pytest.raises(AttributeError):
            setattr(breaker, name, 5)
    assert CircuitBreaker().failures == 5


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"failures": "5"}, TypeError, "failures must be an int, got '5'"),
        ({"failures": True}, TypeError, "failures must be an int, got True"),
        ({"failures": 0}, ValueError, "failures must be at least 1, got 0"),
        ({"reset_after": None}, TypeError, "reset_after must be a number, got None"),
        ({"reset_after": 0}, ValueError, "reset_after must be more than 0 and finite, got 0"),
        (
            {"reset_after": float("inf")},
            ValueError,
            "reset_after must be more than 0 and finite, got inf",
        ),
        ({"when_open": "skip"}, ValueError, "when_open must be 'fail' or 'wait', got 'skip'"),
        (
            {"counts": "all"},
            TypeError,
            (
                "counts must be an Exception type, a tuple of them, or a predicate taking the "
                "error, got 'all'"
            ),
        ),
        (
            {"counts": KeyboardInterrupt},
            TypeError,
            (
                "counts must be an Exception type, a tuple of them, or a predicate taking the "
                "error, got <class 'KeyboardInterrupt'>"
            ),
        ),
    ],
)
def test_bad_breakers_are_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    """The message names the argument, the value and the fix."""
    with pytest.raises(error, match=f"^{re.escape('CircuitBreaker: ' + message)}$"):
        make(**arguments)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (CircuitBreaker, f"{CircuitBreaker!r}; write circuit_breaker=CircuitBreaker()"),
        (5, "5; write circuit_breaker=CircuitBreaker(failures=5)"),
        ("on", "'on'"),
    ],
)
def test_what_is_no_breaker_is_refused(value: Any, message: str) -> None:
    """The message shows the right call."""
    with pytest.raises(TypeError) as caught:
        single_task(len, circuit_breaker=value)
    assert str(caught.value) == (
        f"task 'len': circuit_breaker must be a CircuitBreaker, got {message}"
    )


def test_a_breaker_is_no_error_handler() -> None:
    """The message says where it belongs."""
    handler: Any = CircuitBreaker()
    with pytest.raises(TypeError) as caught:
        single_task(len, error_handler=handler)
    assert str(caught.value).endswith("; write circuit_breaker=...")


def test_a_task_tells_its_breaker() -> None:
    """As an attribute, kept by ``replace()`` unless it is replaced."""
    breaker, task, _ = breaker_and_task()
    assert task.circuit_breaker is breaker
    assert task.replace(timeout=3).circuit_breaker is breaker
    assert task.replace(circuit_breaker=None).circuit_breaker is None


def test_a_retry_config_says_what_is_worth_a_retry() -> None:
    """Of an open circuit, no base class does."""
    refusal = CircuitOpenError(5)
    assert not RetryConfig().is_retryable(refusal)
    assert not RetryConfig(retry_on=(OSError, ConveyorError)).is_retryable(refusal)
    assert RetryConfig(retry_on=(OSError, CircuitOpenError)).is_retryable(refusal)
    assert RetryConfig(retry_on=CircuitOpenError).is_retryable(refusal)
    assert not RetryConfig(retry_on=CircuitOpenError).is_retryable(OSError())


async def test_nobody_is_asked_about_a_refusal_once_the_run_has_stopped() -> None:
    """One call's last attempt has ended the run; the other's next one was about to begin."""
    asked: list[int] = []

    def decide(error: Exception, item: int) -> Decision:
        asked.append(item)
        return SKIP

    @single_task(
        concurrency_limit=2,
        retry_attempts=2,
        retry_delay=1,
        retry_jitter=False,
        circuit_breaker=CircuitBreaker(failures=2),
        on_error=decide,
    )
    async def work(item: int) -> int:
        await anyio.sleep(1)
        if item in (0, 2):
            raise TaskError
        return item

    with pytest.raises(TooManyErrorsError):
        await work.with_context(max_errors=0, max_parallelism=3)(range(4)).collect()
    assert len(asked) == 1
