"""A function as ``on_error``: asked after the last attempt what becomes of the item."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from conveyor import FAIL, RETRY, SKIP, Decision, ErrorHandler, Replace, batch_task, single_task
from helpers import current_time


class TaskError(Exception):
    """Raised by tasks."""


class OtherError(Exception):
    """Raised by functions as ``on_error``."""


class Failing:
    """A function that fails at the first so many calls, and notes when it was called."""

    def __init__(self, failures: int = 999) -> None:
        self.failures = failures
        self.times: list[float] = []
        self.errors: list[TaskError] = []

    async def __call__(self, item: Any) -> Any:
        self.times.append(current_time())
        if len(self.times) <= self.failures:
            self.errors.append(TaskError())
            raise self.errors[-1]
        return item


class Answers:
    """A function as ``on_error`` that gives one answer after the other."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[Exception, Any]] = []

    def __call__(self, error: Exception, item: Any) -> Any:
        self.asked.append((error, item))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def work_of(function: Any, on_error: Any, **options: Any) -> Any:
    given: dict[str, Any] = {"retry_jitter": 0, "concurrency_limit": 1, **options}
    return single_task(function, task_name="work", on_error=on_error, **given)


async def test_fail_raises_the_error() -> None:
    """The very error of the last attempt comes out."""
    failing = Failing()
    answers = Answers(FAIL)
    with pytest.raises(TaskError) as caught:
        await work_of(failing, answers, retry_attempts=2)([7]).collect()
    assert caught.value is failing.errors[1]
    assert caught.value.__context__ is None
    assert answers.asked == [(failing.errors[1], 7)]


async def test_skip_leaves_the_item_out() -> None:
    """As ``"skip_item"``, and counted like it."""
    async with work_of(Failing(1), Answers(SKIP))(range(3)) as results:
        assert await results.collect() == [1, 2]
        assert results.stats().skipped == 1


async def test_skip_leaves_a_batch_out() -> None:
    """For a batch task it is the whole batch, which is not taken apart."""
    answers = Answers(SKIP)
    failing = Failing(1)
    async with batch_task(max_size=2, on_error=answers)(failing)(range(5)) as results:
        assert await results.collect() == [2, 3, 4]
        assert results.stats().skipped == 2
    assert answers.asked == [(failing.errors[0], [0, 1])]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("instead", ["instead"]), ([1, 2], [1, 2]), (None, []), (0, [0]), ((), [()])],
)
async def test_replace_takes_the_place_of_the_result(value: Any, expected: list[Any]) -> None:
    """The value goes on as if the function had returned it."""
    async with work_of(Failing(1), Answers(Replace(value)))([7, 8]) as results:
        assert await results.collect() == [*expected, 8]
        stats = results.stats()
        assert (stats.skipped, stats.stages[0].filtered) == (0, value is None)


async def test_retry_grants_an_attempt_each_time() -> None:
    """After the usual delay, which goes on growing; a success ends it."""
    failing = Failing(4)
    answers = Answers(RETRY)
    async with work_of(failing, answers, retry_attempts=2)([7]) as results:
        assert await results.collect() == [7]
        assert results.stats().stages[0].retried == 4
    assert failing.times == [0, 1, 3, 7, 15]
    assert [error for error, _ in answers.asked] == failing.errors[1:]


async def test_retry_may_be_followed_by_another_decision() -> None:
    """The function is asked anew after each attempt."""
    answers = Answers(RETRY, RETRY, Replace("enough"))
    assert await work_of(Failing(), answers)([7]).collect() == ["enough"]
    assert current_time() == 3


async def test_retry_is_bounded_by_number() -> None:
    """After a hundred granted attempts the error is final."""
    failing = Failing()
    with pytest.raises(TaskError) as caught:
        await work_of(failing, Answers(RETRY), retry_delay=0)([7]).collect()
    assert caught.value is failing.errors[100]
    assert len(failing.times) == 101


@pytest.mark.parametrize("deadline", [6, 7])
async def test_retry_is_bounded_by_the_deadline(deadline: float) -> None:
    """An attempt that would have no time left is not granted."""
    failing = Failing()
    with pytest.raises(TaskError):
        await work_of(failing, Answers(RETRY), deadline=deadline)([7]).collect()
    assert (failing.times, current_time()) == ([0, 1, 3], 3)


async def test_the_deadline_is_that_of_the_first_attempt() -> None:
    """Granted attempts are cut off at it, and the time for deciding counts."""
    times: list[float] = []

    async def function(item: int) -> None:
        times.append(current_time())
        await anyio.sleep(2)
        raise TaskError

    async def on_error(error: Exception, item: int) -> Decision:
        await anyio.sleep(1)
        return RETRY

    with pytest.raises(TimeoutError) as caught:
        await work_of(function, on_error, deadline=5, retry_delay=0)([7]).collect()
    assert (times, current_time()) == ([0, 3], 6)
    assert str(caught.value).startswith("the deadline of 5 s has passed")


async def test_a_generator_that_has_begun_is_not_retried() -> None:
    """Its values cannot be taken back, so the error is final."""

    async def values(item: int) -> AsyncIterator[int]:
        yield 1
        raise TaskError

    answers = Answers(RETRY)
    with pytest.raises(TaskError):
        await work_of(values, answers)([7]).collect()
    assert len(answers.asked) == 1


async def test_the_function_may_be_async() -> None:
    """It may await, outside of the call's timeout and deadline."""

    async def on_error(error: Exception, item: int) -> Replace:
        await anyio.sleep(60)
        return Replace(-item)

    assert await work_of(Failing(), on_error, timeout=1, deadline=2)([7]).collect() == [-7]


async def test_an_awaited_call_asks_too() -> None:
    """It is shown the item, and what it decides holds."""
    answers = Answers(Replace("instead"), SKIP, RETRY)
    task = work_of(Failing(3), answers)
    assert [await task(1), await task(2), await task(3)] == ["instead", None, 3]
    assert [item for _, item in answers.asked] == [1, 2, 3]


@pytest.mark.parametrize("answer", [None, True, "skip_item", (True, None), Replace], ids=repr)
async def test_a_bad_answer_fails_the_run(answer: Any) -> None:
    """The message says what to return, and the original error is the context."""
    failing = Failing()
    with pytest.raises(TypeError) as caught:
        await work_of(failing, Answers(answer))([7]).collect()
    assert str(caught.value) == (
        "on_error of task 'work' must return FAIL, SKIP, DIVERT, RETRY or Replace(value), "
        f"got a {type(answer).__name__}"
    )
    assert caught.value.__context__ is failing.errors[0]


async def test_a_function_that_raises_fails_the_run() -> None:
    """Its error comes out, the original one as its context."""
    failing = Failing()

    def on_error(error: Exception, item: int) -> Decision:
        raise OtherError

    with pytest.raises(OtherError) as caught:
        await work_of(failing, on_error)([7]).collect()
    assert caught.value.__context__ is failing.errors[0]


class Handler(ErrorHandler):
    """Puts in a value."""

    def __init__(self, value: Callable[[], Any]) -> None:
        self.value = value

    async def handle_error(
        self, error: Exception, item: Any, task_name: str, attempt: int
    ) -> tuple[bool, Any]:
        return True, self.value()


@pytest.mark.parametrize(
    ("options", "wording"),
    [
        (lambda value: {"on_error": lambda error, item: Replace(value())}, "Replace(value)"),
        (lambda value: {"error_handler": Handler(value)}, "(True, value)"),
    ],
    ids=["on_error", "handler"],
)
async def test_a_value_that_would_have_to_be_awaited_is_refused(options: Any, wording: str) -> None:
    """Nobody after the one who decides would await it."""
    task = single_task(**options(lambda: anyio.sleep(1)))(Failing())
    with pytest.raises(TypeError) as caught:
        await task([1]).collect()
    assert str(caught.value) == (
        f"task 'Failing': the value in {wording} must not be awaitable, got a coroutine; "
        "await it first, in an 'async def'"
    )
