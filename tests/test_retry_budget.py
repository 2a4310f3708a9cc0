"""Retry budgets: what takes tokens, what puts them back, and what happens without."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor import (
    FAIL,
    RETRY,
    ErrorHandler,
    RetryAfter,
    RetryBudget,
    RetryConfig,
    batch_task,
    single_task,
)
from conveyor.testing import run
from helpers import current_time

make: Any = RetryBudget


class TaskError(Exception):
    """Raised by tasks."""


class OtherError(Exception):
    """Not worth a retry."""


class Failing:
    """A function whose first calls with an item fail, as many as the item says."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error or TaskError()
        self.calls: list[int] = []

    async def __call__(self, item: int) -> int:
        self.calls.append(item)
        if self.calls.count(item) <= item:
            raise self.error
        return item


def task_of(function: Any, **options: Any) -> Any:
    given = {"retry_attempts": 9, "retry_delay": 0, "concurrency_limit": 1}
    return single_task(function, task_name="work", **{**given, **options})


async def test_each_retry_takes_a_token_and_each_success_puts_some_back() -> None:
    """Item n fails n times; what it took is gone, and a success is worth a quarter."""
    budget = RetryBudget(tokens=10, per_success=0.25)
    assert budget.tokens_left == 10
    task = task_of(Failing(), retry_budget=budget)
    assert await task([2, 0, 3]).collect() == [2, 0, 3]
    # 10 - 2 + 1/4 + 1/4 - 3 + 1/4
    assert budget.tokens_left == 5.75


async def test_without_a_token_nothing_is_repeated() -> None:
    """The item has failed for good, with the error that it has, at once."""
    failing = Failing()
    task = task_of(failing, retry_budget=RetryBudget(2, 0), retry_delay=1, retry_jitter=0)
    with pytest.raises(TaskError) as caught:
        await task([5]).collect()
    assert (len(failing.calls), current_time()) == (3, 1 + 2)
    assert caught.value is failing.error
    assert caught.value.__notes__ == ["raised by task 'work' for input item 0 after 3 attempts"]


async def test_an_outage_does_not_multiply_the_load() -> None:
    """All items are called once, and as many are repeated as there were tokens."""
    failing = Failing()
    task = task_of(failing, retry_budget=RetryBudget(7, 0), on_error="skip_item")
    async with task([99] * 50) as results:
        assert await results.collect() == []
        stage = results.stats().stages[0]
    assert (len(failing.calls), stage.retried, stage.skipped) == (57, 7, 50)


async def test_successes_make_retries_possible_again() -> None:
    """Ten successes at a tenth of a token each are a whole one, and nine are not."""
    for successes, attempts in ((9, 1), (10, 2)):
        budget = RetryBudget(1, 0.1)
        assert budget.take()
        failing = Failing()
        task = task_of(failing, retry_budget=budget, on_error="skip_item")
        assert await task([0] * successes).collect() == [0] * successes
        await task([9]).collect()
        assert failing.calls.count(9) == attempts


async def test_the_bucket_does_not_overflow() -> None:
    """Successes put back what was taken, and no more."""
    budget = RetryBudget(2, 5)
    assert await task_of(Failing(), retry_budget=budget)([1, 0, 0]).collect() == [1, 0, 0]
    assert budget.tokens_left == 2


async def test_tasks_and_runs_share_a_budget() -> None:
    """What one spends, another lacks; an awaited call and a batch pay as well."""
    budget = RetryBudget(3, 0)
    options: Any = {"retry_attempts": 2, "retry_delay": 0, "retry_budget": budget}
    one, two = single_task(Failing(), **options), single_task(Failing(), **options)
    assert await one([1]).collect() == [1]
    assert await two(1) == 1

    calls: list[list[int]] = []

    @batch_task(max_size=3, **options)
    async def batches(items: list[int]) -> list[int]:
        calls.append(items)
        if len(calls) == 1:
            raise TaskError
        return items

    assert await batches([1, 2, 3]).collect() == [1, 2, 3]
    assert budget.tokens_left == 0
    with pytest.raises(TaskError):
        await single_task(Failing(), **options)(1)


def test_a_budget_goes_on_on_another_event_loop(anyio_backend_name: str) -> None:
    """It knows no event loop."""
    budget = RetryBudget(2, 0)
    for left in (1, 0):

        async def main() -> None:
            await task_of(Failing(), retry_budget=budget)([1]).collect()

        run(main, backend=anyio_backend_name)
        assert budget.tokens_left == left


async def test_what_is_not_worth_a_retry_takes_nothing() -> None:
    """Errors that ``retry_on`` does not name, and the last attempt."""
    budget = RetryBudget(5, 0)
    task = task_of(Failing(OtherError()), retry_on=TaskError, retry_budget=budget)
    with pytest.raises(OtherError):
        await task([5]).collect()
    assert budget.tokens_left == 5
    with pytest.raises(TaskError):
        await task_of(Failing(), retry_attempts=3, retry_budget=budget)([5]).collect()
    assert budget.tokens_left == 3


async def test_a_retry_that_comes_too_late_takes_nothing() -> None:
    """There is none if its delay would end behind the deadline."""
    budget = RetryBudget(5, 0)
    task = task_of(Failing(), retry_budget=budget, retry_delay=3, deadline=3)
    with pytest.raises(TaskError):
        await task([5]).collect()
    assert (budget.tokens_left, current_time()) == (5, 0)


async def test_repetitions_that_the_service_asks_for_are_free() -> None:
    """``RetryAfter`` says itself when to come back, even with an empty bucket."""
    budget = RetryBudget(1, 0)
    assert budget.take()
    task = task_of(Failing(RetryAfter(2)), retry_budget=budget)
    assert await task([3]).collect() == [3]
    assert (budget.tokens_left, current_time()) == (0, 6)


async def test_on_error_pays_for_what_it_asks() -> None:
    """``RETRY`` takes a token; without one the error is raised."""
    asked: list[Exception] = []

    def decide(error: Exception, item: int) -> Any:
        asked.append(error)
        return RETRY if isinstance(error, TaskError) else FAIL

    budget = RetryBudget(2, 0)
    failing = Failing()
    task = task_of(failing, retry_attempts=1, on_error=decide, retry_budget=budget)
    assert await task([2]).collect() == [2]
    assert budget.tokens_left == 0
    with pytest.raises(TaskError):
        await task([7]).collect()
    assert (failing.calls, len(asked)) == ([2, 2, 2, 7], 3)


async def test_a_handler_is_asked_when_the_bucket_is_empty() -> None:
    """It is told how many attempts were made."""
    asked: list[int] = []

    class Handler(ErrorHandler):
        async def handle_error(self, *args: Any) -> tuple[bool, Any]:
            asked.append(args[3])
            return True, "replaced"

    task = task_of(Failing(), retry_budget=RetryBudget(2, 0), error_handler=Handler())
    assert await task([5]).collect() == ["replaced"]
    assert asked == [3]


async def test_a_generator_succeeds_at_its_end() -> None:
    """One that fails behind its first value puts nothing back, and is not repeated."""
    budget = RetryBudget(4, 1)
    for _ in range(3):
        assert budget.take()

    @single_task(max_retries=2, retry_delay=0, retry_budget=budget, on_error="skip_item")
    async def values(item: int) -> AsyncIterator[int]:
        yield item
        if item < 0:
            raise TaskError

    assert await values([-1]).collect() == [-1]
    assert budget.tokens_left == 1
    assert await values([1]).collect() == [1]
    assert budget.tokens_left == 2


@given(
    st.integers(1, 5),
    st.sampled_from([0, 0.001, 0.1, 0.25, 1, 3]),
    st.lists(st.booleans(), max_size=60),
)
def test_tokens_add_up(tokens: int, per_success: float, events: list[bool]) -> None:
    """Exactly, as fractions do, also if a float cannot say what a success is worth."""
    budget = RetryBudget(tokens, per_success)
    worth, left = Fraction(str(per_success)), Fraction(tokens)
    for is_success in events:
        if is_success:
            budget.put_back()
            left = min(Fraction(tokens), left + worth)
        else:
            assert budget.take() == (left >= 1)
            left -= left >= 1
        assert budget.tokens_left == float(left)


def test_a_budget_shows_what_it_is() -> None:
    """Its settings are attributes, cannot be set, and are in its repr."""
    budget = RetryBudget()
    assert (budget.tokens, budget.per_success, budget.tokens_left) == (100, 0.1, 100)
    assert repr(budget) == "RetryBudget(tokens=100, per_success=0.1)"
    for name in ("tokens", "per_success", "tokens_left"):
        with pytest.raises(AttributeError):
            setattr(budget, name, 5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"tokens": "5"}, TypeError, "tokens must be a number, got '5'"),
        ({"tokens": True}, TypeError, "tokens must be a number, got True"),
        ({"tokens": 0.5}, ValueError, "tokens must be at least 1 and finite, got 0.5"),
        ({"tokens": float("inf")}, ValueError, "tokens must be at least 1 and finite, got inf"),
        ({"per_success": None}, TypeError, "per_success must be a number, got None"),
        ({"per_success": -1}, ValueError, "per_success must be at least 0 and finite, got -1"),
        (
            {"per_success": float("nan")},
            ValueError,
            "per_success must be at least 0 and finite, got nan",
        ),
    ],
)
def test_bad_budgets_are_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    """The message names the argument, the value and the fix."""
    with pytest.raises(error, match=f"^{re.escape('RetryBudget: ' + message)}$"):
        make(**arguments)


@pytest.mark.parametrize(
    "options",
    [{}, {"max_retries": 0}, {"retry_config": RetryConfig(max_attempts=1)}, {"timeout": 5}],
)
def test_a_budget_without_retries_is_refused(options: dict[str, Any]) -> None:
    """There would be nothing to pay for."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared
        single_task(len, retry_budget=RetryBudget(), **options)
    assert str(caught.value) == (
        "task 'len': a retry budget without retries has no effect; give max_retries"
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (50, "retry_budget must be a RetryBudget, got 50; write retry_budget=RetryBudget(50)"),
        ("much", "retry_budget must be a RetryBudget, got 'much'"),
    ],
)
def test_what_is_no_budget_is_refused(value: Any, message: str) -> None:
    """The message shows the right call."""
    with pytest.raises(TypeError) as caught:
        batch_task(max_size=3, max_retries=2, retry_budget=value)(sum)
    assert str(caught.value) == f"task 'sum': {message}"


def test_a_task_tells_its_budget() -> None:
    """As an attribute, kept by ``replace()`` unless it is replaced."""
    budget = RetryBudget(3)
    task = single_task(max_retries=1, retry_budget=budget)(len)
    assert task.retry_budget is budget
    assert task.replace(timeout=3).retry_budget is budget
    assert task.replace(retry_budget=None, max_retries=0).retry_budget is None
    assert single_task(len).retry_budget is None
