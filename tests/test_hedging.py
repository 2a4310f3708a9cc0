"""``hedge_after``: a second attempt of a call whose first takes long."""

from __future__ import annotations

import asyncio
import functools
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from conveyor import (
    Adaptive,
    CircuitBreaker,
    Rate,
    Replace,
    RetryAfter,
    batch_task,
    single_task,
)
from conveyor._engine.breaking import Passage
from conveyor._engine.hedging import Hedge
from conveyor._engine.pacing import Pacing
from helpers import collect, current_time, three_ways

variable: ContextVar[str] = ContextVar("variable", default="unset")


class Boom(Exception):
    """What attempts raise."""


class Attempts:
    """
    A function whose attempts do, one after another, what a script says.

    Each takes so many seconds, and then returns its number or raises; with a cleanup it takes
    longer to be cancelled. What happened is in ``log``: when, number of the attempt, and what.
    """

    def __init__(self, *script: float | tuple[float, BaseException], cleanup: float = 0) -> None:
        self.script = script
        self.cleanup = cleanup
        self.log: list[tuple[float, int, str]] = []
        self.count = 0

    def note(self, number: int, what: str) -> None:
        self.log.append((current_time(), number, what))

    async def __call__(self, item: Any) -> Any:
        number = self.count
        self.count += 1
        step = self.script[number]
        self.note(number, "begins")
        seconds, error = step if isinstance(step, tuple) else (step, None)
        try:
            await anyio.sleep(seconds)
        except anyio.get_cancelled_exc_class():
            try:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(self.cleanup)
            finally:  # a native cancellation passes through shields
                self.note(number, "is cancelled")
            raise
        if error is not None:
            self.note(number, "fails")
            raise error
        self.note(number, "returns")
        return number


def task_of(function: Any, after: float = 2, **options: Any) -> Any:
    return single_task(function, task_name="work", hedge_after=after, **options)


async def awaited(task: Any) -> list[Any]:
    """Await one call of a task."""
    return [await task(7)]


async def in_a_run(task: Any) -> list[Any]:
    """Run a task over one item."""
    return await collect(task([7]))


both_ways = pytest.mark.parametrize("use", [awaited, in_a_run])


# Who wins


@both_ways
async def test_a_call_that_is_fast_has_one_attempt(use: Callable[..., Any]) -> None:
    """There is no second one if the first is back by then, whatever it brings."""
    attempts = Attempts(1.5)
    assert await use(task_of(attempts)) == [0]
    assert attempts.log == [(0, 0, "begins"), (1.5, 0, "returns")]


@both_ways
async def test_the_second_attempt_wins(use: Callable[..., Any]) -> None:
    """It begins when it is time, and the first one is cancelled when it returns."""
    attempts = Attempts(9, 1)
    assert await use(task_of(attempts)) == [1]
    assert attempts.log == [
        (0, 0, "begins"),
        (2, 1, "begins"),
        (3, 1, "returns"),
        (3, 0, "is cancelled"),
    ]


@both_ways
async def test_the_first_attempt_wins(use: Callable[..., Any]) -> None:
    """It goes on, and the second one is cancelled when it returns."""
    attempts = Attempts(3, 9)
    assert await use(task_of(attempts)) == [0]
    assert attempts.log == [
        (0, 0, "begins"),
        (2, 1, "begins"),
        (3, 0, "returns"),
        (3, 1, "is cancelled"),
    ]


@both_ways
@pytest.mark.parametrize(("script", "winner"), [((9, 1), 1), ((3, 9), 0)])
async def test_the_item_goes_on_when_the_loser_has_cleaned_up(
    use: Callable[..., Any], script: tuple[float, float], winner: int
) -> None:
    """Until then the call is in flight."""
    attempts = Attempts(*script, cleanup=4)
    assert await use(task_of(attempts)) == [winner]
    assert attempts.log[-1] == (7, 1 - winner, "is cancelled")
    assert current_time() == 7


@both_ways
@pytest.mark.parametrize(
    ("script", "expected", "time"),
    [
        (((3, Boom()), 9), 1, 11),
        ((9, (1, Boom())), 0, 9),
        (((2.5, Boom()), 1), 1, 3),
    ],
)
async def test_if_one_fails_the_other_is_waited_for(
    use: Callable[..., Any], script: Any, expected: int, time: float
) -> None:
    """An error of one attempt is none of the call."""
    assert await use(task_of(Attempts(*script))) == [expected]
    assert current_time() == time


@both_ways
@pytest.mark.parametrize("seconds", [(3, 4), (5, 1)])
async def test_if_both_fail_the_error_of_the_first_counts(
    use: Callable[..., Any], seconds: tuple[float, float]
) -> None:
    """Whichever failed first; the other one is shown where it came from."""
    errors = [Boom("first"), Boom("second")]
    cause = OSError()
    errors[0].__context__ = cause
    with pytest.raises(Boom) as caught:
        await use(task_of(Attempts(*zip(seconds, errors, strict=True))))
    assert caught.value is errors[0]
    assert caught.value.__context__ is cause
    assert cause.__context__ is errors[1]
    assert "after 1 attempt" in caught.value.__notes__[0]


@both_ways
async def test_the_same_error_twice_is_its_own_context_not(use: Callable[..., Any]) -> None:
    """Two attempts may raise one object."""
    error = Boom()
    with pytest.raises(Boom) as caught:
        await use(task_of(Attempts((3, error), (2, error))))
    assert caught.value is error
    assert error.__context__ is None


@both_ways
async def test_a_first_attempt_that_fails_early_has_no_second(use: Callable[..., Any]) -> None:
    """That is what retries are for."""
    attempts = Attempts((1, Boom()))
    with pytest.raises(Boom):
        await use(task_of(attempts))
    assert (attempts.count, current_time()) == (1, 1)


@both_ways
async def test_each_attempt_of_a_retried_call_is_hedged(use: Callable[..., Any]) -> None:
    """Two fail at 4 and 5; after the delay of ten seconds there are two again."""
    attempts = Attempts((5, Boom()), (2, Boom()), 9, 1)
    task = task_of(attempts, max_retries=1, retry_delay=10, retry_jitter=0)
    assert await use(task) == [3]
    assert [(when, number) for when, number, what in attempts.log if what == "begins"] == [
        (0, 0),
        (2, 1),
        (15, 2),
        (17, 3),
    ]


async def test_second_attempts_are_counted() -> None:
    """Those that have begun; they are no retries."""
    attempts = Attempts(1, 9, 1, 9, (1, Boom()))
    async with task_of(attempts, concurrency_limit=1)(range(3)) as results:
        assert await results.collect() == [0, 2, 3]
        (stage,) = results.stats().stages
        assert (stage.hedged, stage.retried, stage.calls) == (2, 0, 3)


# What each attempt needs


@both_ways
async def test_the_timeout_of_each_begins_with_it(use: Callable[..., Any]) -> None:
    """The first is out of time at 3, the second at 5."""
    attempts = Attempts(9, 9)
    with pytest.raises(TimeoutError):
        await use(task_of(attempts, timeout=3))
    assert attempts.log[2:] == [(3, 0, "is cancelled"), (5, 1, "is cancelled")]
    assert await use(task_of(Attempts(9, 2.5), timeout=3)) == [1]


@both_ways
async def test_the_deadline_is_that_of_both(use: Callable[..., Any]) -> None:
    """What has not come by then is cancelled, cleanup and all."""
    attempts = Attempts(9, 9, cleanup=1)
    with pytest.raises(TimeoutError, match=r"^the deadline of 4 s has passed\n"):
        await use(task_of(attempts, deadline=4))
    assert sorted(attempts.log[2:]) == [(5, 0, "is cancelled"), (5, 1, "is cancelled")]


@both_ways
@pytest.mark.parametrize(("script", "winner"), [((9, 1), 1), ((3, 9), 0)])
async def test_a_deadline_takes_no_result_back(
    use: Callable[..., Any], script: tuple[float, float], winner: int
) -> None:
    """A result is there at 3, while the loser cleans up until 7."""
    attempts = Attempts(*script, cleanup=4)
    assert await use(task_of(attempts, deadline=5)) == [winner]
    assert current_time() == 7


async def test_the_second_attempt_needs_a_token() -> None:
    """It waits in the line of the rate; the next item comes after it."""
    begun: list[tuple[float, int]] = []

    async def work(item: int) -> None:
        begun.append((current_time(), item))
        await anyio.sleep(20 if (0, item) == begun[-1] else 1)

    task = task_of(work, rate_limit=Rate(1, per=5), concurrency_limit=1)
    assert await task([0, 1]).collect() == []
    assert begun == [(0, 0), (5, 0), (10, 1)]


@pytest.mark.parametrize("limited", ["rate", "parallelism", "pause"])
async def test_a_second_attempt_that_waits_gives_up_when_the_first_is_back(limited: str) -> None:
    """It has taken nothing: no token, no share, no turn."""
    begun: list[tuple[float, int]] = []

    async def work(item: int) -> int:
        begun.append((current_time(), item))
        if limited == "pause" and item == 1 and current_time() == 0:
            await anyio.sleep(1)
            raise RetryAfter(9)
        await anyio.sleep(4)
        return item

    options: dict[str, Any] = {"rate": {"rate_limit": Rate(1, per=5)}}.get(limited, {})
    task = task_of(work, concurrency_limit=2 if limited == "pause" else 1, **options)
    if limited == "parallelism":
        task = task.with_context(max_parallelism=1)
    async with task(range(2)) as results:
        assert await results.collect() == [0, 1]
        assert results.stats().stages[0].hedged == (limited == "pause")
    assert (
        begun
        == {
            "rate": [(0, 0), (5, 1)],
            "parallelism": [(0, 0), (4, 1)],
            "pause": [(0, 0), (0, 1), (10, 1), (12, 1)],
        }[limited]
    )


async def test_a_second_attempt_that_gives_up_is_no_trial() -> None:
    """It has just been let through a circuit that is half open when the first is back."""
    breaker = CircuitBreaker(failures=1, reset_after=1)
    Passage(breaker).fail(Boom())
    await anyio.sleep(1)
    hedge, pacing = Hedge(1, lambda error: error), Pacing(None)
    pacing.passage = Passage(breaker)
    assert breaker.gate.is_open()
    hedge._second.scope.cancel()
    with hedge._second.scope:
        await hedge.begin_second(pacing)
    assert not breaker.gate.is_open()


async def test_a_second_attempt_has_a_share_of_the_parallelism() -> None:
    """With a share for each two at a time run, over the whole of the run."""
    running = most = 0

    async def work(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            await anyio.sleep(5 if item % 2 else 1)
        finally:
            running -= 1
        return item

    task = task_of(work).with_context(max_parallelism=3)
    assert await task(range(20)).collect() == list(range(20))
    assert (most, running) == (3, 0)


async def test_second_attempts_do_not_count_for_the_concurrency_limit() -> None:
    """So at most twice as many calls run."""
    begun: Counter[float] = Counter()

    async def work(item: int) -> None:
        begun[current_time()] += 1
        await anyio.sleep(3)

    assert await task_of(work, concurrency_limit=2)(range(4)).collect() == []
    assert begun == {0: 2, 2: 2, 3: 2, 5: 2}


async def test_second_attempts_count_for_a_limit_that_is_found_by_trying() -> None:
    """It is what the other side can take, whoever asks: the second one waits for the first."""
    begun: list[float] = []

    async def work(item: int) -> None:
        begun.append(current_time())
        await anyio.sleep(3)

    task = task_of(work, concurrency_limit=Adaptive(1, 1))
    assert await task(range(2)).collect() == []
    assert begun == [0, 3]


async def test_batches_are_hedged() -> None:
    """A batch is an item like any other."""
    attempts = Attempts(9, 1, 1)
    task = batch_task(max_size=2, hedge_after=2)(attempts)
    assert await task(range(4)).collect() == [1, 2]


async def test_what_fails_in_both_attempts_is_handled_once() -> None:
    """Handlers see the call, not its attempts."""
    asked: list[Exception] = []

    def on_error(error: Exception, item: int) -> Replace:
        asked.append(error)
        return Replace("replaced")

    error = Boom()
    task = task_of(Attempts((3, error), (3, Boom())), on_error=on_error)
    assert await task([1]).collect() == ["replaced"]
    assert asked == [error]


# What else may be raised


@both_ways
@pytest.mark.parametrize("position", [0, 1])
async def test_an_interrupt_comes_out_of_either(use: Callable[..., Any], position: int) -> None:
    """Nothing makes up for it; the other attempt is cancelled, and has ended."""
    script: list[Any] = [9, 9]
    interrupt = KeyboardInterrupt()
    script[position] = (3, interrupt)
    attempts = Attempts(*script, cleanup=1)
    with pytest.raises(KeyboardInterrupt) as caught:
        await use(task_of(attempts, max_retries=3, on_error="skip_item"))
    assert caught.value is interrupt
    assert attempts.log[-1][1:] == (1 - position, "is cancelled")


@both_ways
async def test_an_interrupt_in_the_cleanup_of_the_loser_is_raised(use: Callable[..., Any]) -> None:
    """Though there is a result."""

    async def work(item: int) -> int:
        try:
            await anyio.sleep(9 if current_time() == 0 else 1)
        except anyio.get_cancelled_exc_class():
            raise KeyboardInterrupt from None
        return item

    with pytest.raises(KeyboardInterrupt):
        await use(task_of(work))


@both_ways
async def test_an_error_in_the_cleanup_of_the_loser_is_no_error_of_the_call(
    use: Callable[..., Any],
) -> None:
    """The result is there."""

    async def work(item: int) -> int:
        try:
            await anyio.sleep(9 if current_time() == 0 else 1)
        except anyio.get_cancelled_exc_class():
            raise Boom from None
        return item

    assert await use(task_of(work)) == [7]


@both_ways
async def test_a_loser_that_will_not_be_cancelled_changes_nothing(use: Callable[..., Any]) -> None:
    """The first success is the result, also if there is another one."""

    async def work(item: int) -> float:
        began = current_time()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(9 if began == 0 else 1)
        return began

    assert await use(task_of(work)) == [2]
    assert current_time() == 9


@both_ways
@pytest.mark.parametrize("position", [0, 1])
async def test_a_leaked_cancellation_is_an_error_like_any_other(
    use: Callable[..., Any], position: int
) -> None:
    """Nobody has asked the attempt to stop; so the other one is waited for."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep(1)
        except anyio.get_cancelled_exc_class() as error:
            leaked = error
    if sys.version_info < (3, 11) and isinstance(leaked, asyncio.CancelledError):
        use = in_a_run  # in a task of the user's own there is no telling
    if position == 0:
        assert await use(task_of(Attempts((3, leaked), 4))) == [1]
    else:
        assert await use(task_of(Attempts(9, (4, leaked)))) == [0]


@both_ways
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_second_attempt_that_is_cancelled_natively_has_failed(
    use: Callable[..., Any],
) -> None:
    """Its task belongs to nobody but us, so nobody can have meant the call."""
    began: list[float] = []

    async def work(item: int) -> int:
        began.append(current_time())
        if len(began) == 2:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        await anyio.sleep(9)
        return item

    assert await use(task_of(work)) == [7]
    assert current_time() == 9


async def test_a_cancelled_call_leaves_no_attempt_behind() -> None:
    """Both have ended when the one who awaited it goes on."""
    attempts = Attempts(9, 9, cleanup=1)
    with anyio.move_on_after(4) as scope:
        await task_of(attempts)(7)
    assert scope.cancelled_caught
    assert sorted(attempts.log[2:]) == [(5, 0, "is cancelled"), (5, 1, "is cancelled")]


untold = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="no scope can tell the requests apart"
)


@pytest.mark.parametrize("moment", [1, 2, 3, pytest.param(4.5, marks=untold)])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_native_cancellation_waits_for_both_attempts(moment: float, times: int) -> None:
    """Whenever it comes, also while the loser cleans up: both have ended, and it is raised."""
    attempts = Attempts(9, 2, cleanup=3)
    task = asyncio.ensure_future(call(task_of(attempts)))
    await anyio.sleep(moment)
    for _ in range(times):
        task.cancel()
        await anyio.sleep(0.5)
    with pytest.raises(asyncio.CancelledError):
        await task
    begun = [number for _, number, what in attempts.log if what == "begins"]
    ended = [number for _, number, what in attempts.log if what != "begins"]
    assert sorted(begun) == sorted(ended)


async def call(task: Any) -> Any:
    return await task(7)


@pytest.mark.parametrize("moment", [1, 2, 3])
@three_ways
async def test_a_failing_run_leaves_no_attempt_behind(
    consume: Callable[..., Any], moment: float
) -> None:
    """Before, as, and after the second attempts begin."""
    running = 0

    async def work(item: int) -> None:
        nonlocal running
        running += 1
        try:
            await anyio.sleep(moment - current_time() if item == 2 else 9)
        finally:
            running -= 1
        raise Boom

    with pytest.raises(Boom):
        await consume(task_of(work)(range(3)))
    assert (running, current_time()) == (0, moment)


# Isolation


async def test_context_variables_are_those_of_the_attempt() -> None:
    """Whichever wins, the next item sees nothing of what either has set."""
    seen: list[tuple[int, str]] = []

    async def work(item: int) -> int:
        seen.append((item, variable.get()))
        variable.set(f"set for {item}")
        slow = item % 2 == 0 and current_time() % 10 < 2
        await anyio.sleep(7 if slow else 1)
        await anyio.sleep(10 - current_time() % 10)
        return item

    variable.set("the caller's")
    task = task_of(work, concurrency_limit=1)
    assert await task(range(6)).collect() == list(range(6))
    assert len(seen) > 6
    assert {value for _, value in seen} == {"the caller's"}


async def test_an_awaited_call_sets_no_variable_by_its_second_attempt() -> None:
    """What the second attempt sets is its own."""

    async def work(item: int) -> int:
        if current_time() == 2:
            variable.set("second")
        await anyio.sleep(9 if current_time() == 0 else 1)
        return item

    assert await task_of(work)(7) == 7
    assert variable.get() == "unset"


# What cannot be hedged

NEVER = "so there would never be a second attempt; give a shorter one, or leave hedge_after out"
IN_ORDER = (
    "with in_order=True there is no hedge_after, since a second attempt begins after the calls of "
    "later items; leave one of them out"
)


async def asynchronous(item: int) -> int:
    return item


def synchronous(item: int) -> int:
    return item


def generator(item: int) -> Iterator[int]:
    yield item


async def async_generator(item: int) -> AsyncIterator[int]:
    yield item


@functools.wraps(asynchronous)
def wrapped(item: int) -> Any:
    return asynchronous(item)


class Callables:
    async def method(self, item: int) -> int:
        return item

    @classmethod
    async def class_method(cls, item: int) -> int:
        return item

    def plain_method(self, item: int) -> int:
        return item


class PlainCallable:
    def __call__(self, item: int) -> int:
        return item


@pytest.mark.parametrize(
    "function",
    [
        asynchronous,
        wrapped,
        functools.partial(asynchronous),
        Callables().method,
        Callables.class_method,
        Callables.__dict__["class_method"],
        Attempts(),
    ],
)
def test_what_returns_a_coroutine_can_be_hedged(function: Any) -> None:
    """However it is wrapped."""
    assert task_of(function).hedge_after == 2


@pytest.mark.parametrize(
    "function",
    [
        synchronous,
        functools.partial(synchronous),
        Callables().plain_method,
        PlainCallable(),
        len,
        int,
    ],
)
def test_what_is_known_to_be_synchronous_is_refused(function: Any) -> None:
    """While it runs, nothing else does, no second attempt either."""
    with pytest.raises(TypeError) as caught:
        task_of(function)
    assert str(caught.value) == (
        "task 'work': hedge_after needs an 'async def', since nothing else runs while a plain "
        "function does; write one that awaits anyio.to_thread.run_sync(...)"
    )


@pytest.mark.parametrize("function", [generator, async_generator, functools.partial(generator)])
def test_generator_functions_are_refused(function: Any) -> None:
    """Their values would have gone on by then."""
    with pytest.raises(TypeError) as caught:
        task_of(function)
    assert str(caught.value) == (
        "task 'work': hedge_after is for calls that return a result, and values of a generator go "
        "on before it has ended; return a list instead"
    )


@both_ways
@pytest.mark.parametrize("function", [generator, async_generator])
async def test_a_generator_that_is_returned_is_an_error(
    use: Callable[..., Any], function: Any
) -> None:
    """It cannot be seen before."""

    async def work(item: int) -> Any:
        return function(item)

    with pytest.raises(TypeError) as caught:
        await use(task_of(work))
    assert str(caught.value) == (
        "task 'work' with hedge_after returned a generator, which has done nothing yet that a "
        "second attempt could be faster at; return a list"
    )


async def test_a_list_that_is_returned_is_spread() -> None:
    """As always."""

    async def work(item: int) -> list[int]:
        await anyio.sleep(3)
        return [item, item]

    assert await task_of(work)([1, 2]).collect() == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"after": "2"}, TypeError, "hedge_after must be a number, got '2'"),
        (
            {"after": 0},
            ValueError,
            "hedge_after must be more than 0, got 0; leave hedge_after out for none",
        ),
        (
            {"timeout": 2},
            ValueError,
            f"hedge_after=2 is not shorter than timeout=2, {NEVER}",
        ),
        (
            {"deadline": 1},
            ValueError,
            f"hedge_after=2 is not shorter than deadline=1, {NEVER}",
        ),
        (
            {"in_order": True},
            ValueError,
            IN_ORDER,
        ),
    ],
)
def test_bad_options_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """With a message that says what was wrong."""
    with pytest.raises(error, match=f"^task 'work': {re.escape(message)}$"):
        task_of(asynchronous, **options)


async def test_a_stream_as_a_side_input_is_refused() -> None:
    """Each attempt would take a value from it; wherever it is given."""

    async def work(item: int, side: Any) -> int:
        return item

    task = task_of(work)
    message = (
        "task 'work': with hedge_after there is no stream as a side input, since a second attempt "
        "would take a value of its own from it; leave hedge_after out"
    )
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        task.with_inputs(async_generator(1))
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        task | task(async_generator(1))
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        (task | asynchronous_task)([1], async_generator(1))
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        single_task(work, task_name="work").with_inputs(async_generator(1)).replace(hedge_after=2)


asynchronous_task = single_task(asynchronous)
