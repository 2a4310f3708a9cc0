"""Of the items that wait, the most urgent is called first, and none waits for ever."""

from __future__ import annotations

import itertools
import math
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from conveyor import Pipeline, RetryAfter, batch_task, get_current_context, single_task
from conveyor._engine.lanes import PATIENCE
from helpers import current_time

both_modes = pytest.mark.parametrize("mode", ["ordered", "as_completed"])


def itself(item: Any) -> Any:
    return item


def number_in(text: str) -> int:
    return int(text[1:])


@single_task
def same(item: Any) -> Any:
    return item


@both_modes
@pytest.mark.parametrize("options", [{}, {"retry_attempts": 2}, {"timeout": 9}])
@pytest.mark.parametrize("before", [Pipeline(), same, same.replace(timeout=1)])
async def test_the_most_urgent_item_is_called_first(
    before: Any, options: dict[str, Any], mode: Any
) -> None:
    """Whoever brings the items, and whatever is around the calls; the results stay in order."""
    begun: list[str] = []

    @single_task(priority=number_in, concurrency_limit=1, **options)
    async def work(item: str) -> str:
        begun.append(item)
        await anyio.sleep(1)
        return item

    items = ["a3", "b2", "c0", "d1", "e0", "f2"]
    by_urgency = ["c0", "e0", "d1", "b2", "f2", "a3"]
    results = await (before | work).with_execution_mode(mode)(items).collect()
    # The first burst of the source is one item, which begins before the others have come.
    wanted = ["a3", *by_urgency[:-1]]
    assert begun == wanted
    assert results == (items if mode == "ordered" else wanted)


@both_modes
async def test_children_of_an_item_are_called_by_urgency(mode: Any) -> None:
    """They come several at a time."""
    begun: list[int] = []

    @single_task
    async def spread(_: int) -> list[int]:
        return [2, 1, 0, 1]

    @single_task(priority=itself, concurrency_limit=1)
    async def work(item: int) -> int:
        begun.append(item)
        return item

    results = await (spread | work).with_execution_mode(mode)([0]).collect()
    assert begun == [0, 1, 1, 2]
    assert results == ([2, 1, 0, 1] if mode == "ordered" else begun)


@pytest.mark.parametrize("priority", [1, 2.5])
async def test_an_item_waits_for_a_bounded_number_of_more_urgent_ones(priority: float) -> None:
    """Though there is no end of them: at most PATIENCE × priority that came after it."""
    begun: list[int] = []

    @single_task(priority=lambda item: priority if item == 50 else 0, concurrency_limit=1)
    async def work(item: int) -> int:
        begun.append(item)
        await anyio.sleep(1)
        return item

    async with work.as_completed(itertools.count()) as results:
        async for result in results:
            if result == 50:
                break
    before = begun[: begun.index(50)]
    assert len([item for item in before if item > 50]) == PATIENCE * priority - 1


async def test_in_an_ordered_run_urgent_results_wait_for_their_turn() -> None:
    """Within the window, which the less urgent items before them fill meanwhile."""

    @single_task(priority=lambda item: 9 if item == 0 else 0, concurrency_limit=1)
    async def work(item: int) -> int:
        await anyio.sleep(0 if item == -1 else 1)
        return item

    stream = work.with_context(max_in_flight=6)([-1, *range(9)])
    received = [(current_time(), result) async for result in stream]
    assert [result for _, result in received] == [-1, *range(9)]
    # Six fit into the window; when all but the first of them are done, nobody is more urgent.
    assert received[1][0] == 6


@both_modes
@pytest.mark.parametrize("limit", [1, 2])
async def test_the_head_is_served_though_it_is_the_least_urgent(limit: int, mode: Any) -> None:
    """All workers' generators wait for the room that only the head can make."""

    @single_task(priority=lambda item: 9 if item == 0 else 0, concurrency_limit=limit)
    async def work(item: int) -> AsyncIterator[int]:
        for number in range(5):
            yield 10 * item + number

    @single_task
    async def first(item: int) -> int:
        await anyio.sleep(1)  # so that several come at once
        return item

    pipeline = (first | work).with_context(max_in_flight=3, execution_mode=mode)
    results = await pipeline(range(5)).collect()
    assert sorted(results) == sorted(10 * item + number for item in range(5) for number in range(5))
    if mode == "ordered":
        assert results == sorted(results)


async def test_with_keys_the_most_urgent_of_those_that_are_ready_is_called() -> None:
    """Within a key the order is that of the input all the same."""
    begun: list[str] = []

    @single_task(key=lambda item: item[0], priority=number_in, concurrency_limit=1)
    async def work(item: str) -> str:
        begun.append(item)
        await anyio.sleep(1)
        return item

    await work(["x0", "a3", "a0", "b2", "b1", "c9", "d1"]).collect()
    assert begun == ["x0", "d1", "b2", "b1", "a3", "a0", "c9"]


async def test_under_max_parallelism_urgency_is_looked_at_when_a_call_may_begin() -> None:
    """Not when a worker begins to wait for its share."""
    begun: list[int] = []

    @single_task(priority=itself)
    async def work(item: int) -> int:
        begun.append(item)
        await anyio.sleep(1)
        return item

    async def source() -> AsyncIterator[int]:
        for item in [5, 4, 3]:
            yield item
        await anyio.sleep(0.5)
        yield 0

    await work.with_context(max_parallelism=1)(source()).collect()
    assert begun == [5, 0, 3, 4]


# The priority function


@both_modes
@pytest.mark.parametrize("before", [Pipeline(), same, same.replace(timeout=1)])
async def test_a_priority_function_that_fails_ends_the_run(before: Any, mode: Any) -> None:
    """With that error itself, whatever on_error says, and a note that names task and item."""
    broken = ValueError("broken")
    asked: list[int] = []

    def urgency(item: int) -> int:
        asked.append(item)
        if item == 3:
            raise broken
        return 1

    @single_task(priority=urgency, on_error="skip_item", task_name="send")
    async def work(item: int) -> int:
        return item

    with pytest.raises(ValueError, match="broken") as caught:
        await (before | work).with_execution_mode(mode)(range(20)).collect()
    assert caught.value is broken
    assert broken.__notes__ == ["raised by priority of task 'send' for input item 3"]
    assert asked == [0, 1, 2, 3]


@pytest.mark.parametrize("options", [{}, {"timeout": 9}])
async def test_failing_in_order_calls_what_comes_before_the_failure(
    options: dict[str, Any],
) -> None:
    """Though an item whose priority cannot be told was the first to come."""

    @single_task(concurrency_limit=5)
    async def slow(item: int) -> int:
        await anyio.sleep(3 - item)
        return item

    def urgency(item: int) -> int:
        return [1, 0][item]  # and none for the third

    pipeline = slow | single_task(priority=urgency, **options)(itself)
    async with pipeline.with_context(failure="in_order")(range(3)) as results:
        assert [await anext(results), await anext(results)] == [0, 1]
        with pytest.raises(IndexError):
            await anext(results)


@pytest.mark.parametrize(
    ("priority", "error", "message"),
    [
        ("secret", TypeError, "priority must return a number, got a str"),
        (None, TypeError, "priority must return a number, got a NoneType"),
        (True, TypeError, "priority must return a number, got a bool"),
        (-1, ValueError, "priority must return 0 or more, and finite; 0 is the most urgent"),
        (math.nan, ValueError, "priority must return 0 or more, and finite; 0 is the most urgent"),
        (math.inf, ValueError, "priority must return 0 or more, and finite; 0 is the most urgent"),
    ],
)
async def test_a_priority_that_makes_no_sense_fails_the_run(
    priority: Any, error: type[Exception], message: str
) -> None:
    """The message says what is wrong, without the priority itself, which may be the item."""
    task = single_task(priority=lambda _: priority, on_error="skip_item", task_name="send")(itself)
    with pytest.raises(error) as caught:
        await task([1]).collect()
    assert str(caught.value) == message
    assert caught.value.__notes__ == ["raised by priority of task 'send' for input item 0"]


async def test_of_several_children_none_is_asked_about_after_a_failure() -> None:
    """The run has ended."""
    asked: list[int] = []

    def urgency(item: int) -> int:
        asked.append(item)
        raise ArithmeticError

    pipeline = single_task(lambda _: [1, 2, 3]) | single_task(priority=urgency)(itself)
    with pytest.raises(ArithmeticError):
        await pipeline([0]).collect()
    assert asked == [1]


async def test_urgency_counts_after_a_pause() -> None:
    """For those that came before it, and for those that come meanwhile."""
    begun: list[tuple[float, str]] = []

    async def items() -> AsyncIterator[str]:
        yield "a0"
        await anyio.sleep(1)
        for item in ("b3", "c1"):
            yield item
        await anyio.sleep(5)
        for item in ("d2", "e0"):
            yield item

    @single_task(priority=number_in, concurrency_limit=1, max_retries=1)
    async def work(item: str) -> str:
        begun.append((current_time(), item))
        await anyio.sleep(3)
        if len(begun) == 1:
            raise RetryAfter(10)
        return item

    await work(items()).collect()
    assert begun == [(0, "a0"), (13, "a0"), (16, "e0"), (19, "c1"), (22, "d2"), (25, "b3")]


async def test_the_priority_function_runs_in_the_context_of_the_run() -> None:
    """It sees the run's data, and none of what an item's call has set."""
    variable: ContextVar[int] = ContextVar("variable", default=0)
    seen: list[int] = []

    @single_task
    async def sets(item: int) -> int:
        variable.set(item)
        return item

    def urgency(item: int) -> int:
        seen.append(variable.get())
        context = get_current_context()
        assert context is not None
        return context["urgency"][item]

    task = sets | single_task(priority=urgency)(itself)
    await task.with_context(urgency={1: 1, 2: 0})([1, 2]).collect()
    assert seen == [0, 0]


# Settings


def test_a_task_shows_its_priority_function() -> None:
    """As all other options."""
    assert single_task(priority=itself)(itself).priority is itself
    assert single_task(itself).priority is None


async def stream() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"priority": 1}, "priority must be a function of the item, got 1"),
        (
            {"priority": itself, "in_order": True},
            (
                "with priority items go before others that wait, and in_order=True starts calls in "
                "input order; leave one of them out"
            ),
        ),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    """At decoration, saying what was wrong and what to write instead."""
    with pytest.raises(TypeError) as caught:
        single_task(task_name="send", **options)(itself)
    assert str(caught.value) == f"task 'send': {message}"


def test_batch_tasks_have_no_priorities() -> None:
    """An option of single tasks."""
    with pytest.raises(TypeError) as caught:
        batch_task(max_size=2, priority=itself)(itself)
    assert str(caught.value) == (
        "task 'itself': priority is an option of single tasks; give it to the task before or after"
    )


async def test_a_shared_stream_cannot_go_with_priorities() -> None:
    """Calls that share it start in input order."""
    task = single_task(priority=itself, task_name="send")(lambda item, side: item)
    with pytest.raises(TypeError) as caught:
        task.with_inputs(stream())
    assert str(caught.value) == (
        "task 'send': with priority items go before others that wait, and a stream as a side input "
        "makes calls start in input order; leave priority out, or take from the stream in a task "
        "before this one"
    )


async def test_a_source_has_no_priority() -> None:
    """It is called without an item."""
    task = single_task(priority=itself, task_name="read")(lambda: [1, 2])
    with pytest.raises(TypeError) as caught:
        await task().collect()
    assert str(caught.value) == (
        "task 'read' begins a pipeline without data, so it is called once and without an item, and "
        "priority has nothing to look at; leave priority out"
    )
