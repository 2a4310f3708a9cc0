"""Batches by weight in a run: what is in them, when they leave, and what asking may go wrong."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from conveyor import batch_task, single_task
from helpers import current_time

both_modes = pytest.mark.parametrize("mode", ["ordered", "as_completed"])


class Log:
    """A batch function that records when it was called with what."""

    def __init__(self, duration: float = 0) -> None:
        self.duration = duration
        self.calls: list[tuple[float, list[Any]]] = []

    async def __call__(self, batch: list[Any]) -> list[Any]:
        self.calls.append((current_time(), batch))
        await anyio.sleep(self.duration)
        return batch

    @property
    def batches(self) -> list[list[Any]]:
        return [batch for _, batch in self.calls]


async def arriving(*schedule: tuple[float, Any]) -> AsyncIterator[Any]:
    """Yield each item at its time."""
    for when, item in schedule:
        await anyio.sleep(when - current_time())
        yield item


def itself(item: Any) -> Any:
    return item


# Weight


@both_modes
async def test_batches_are_bounded_in_weight(mode: Any) -> None:
    """Items stay in order; what does not fit is in the next batch; the reasons are counted."""
    log = Log()
    task = batch_task(max_size=3, weight=itself, max_weight=10)(log).with_execution_mode(mode)
    async with task([5, 5, 6, 6, 1, 1, 1, 12, 1]) as results:
        assert await results.collect() == [5, 5, 6, 6, 1, 1, 1, 12, 1]
        (stage,) = results.stats().stages
    assert log.batches == [[5, 5], [6], [6, 1, 1], [1], [12], [1]]
    assert stage.triggers == {"weight": 4, "size": 1, "end": 1}
    assert (stage.items_in, stage.calls, stage.dropped) == (9, 6, 0)


async def test_in_an_ordered_run_items_are_weighed_in_input_order() -> None:
    """Once each, as they come to the batch task, as the task before has left them."""
    weighed: list[int] = []

    def weigh(item: int) -> int:
        weighed.append(item)
        return item

    @single_task
    async def backwards(item: int) -> int:
        await anyio.sleep(10 - item)
        return 2 * item

    log = Log()
    task = batch_task(max_size=9, weight=weigh, max_weight=7, retry_attempts=2)(log)
    assert await (backwards | task)(range(5)).collect() == [0, 2, 4, 6, 8]
    assert weighed == [0, 2, 4, 6, 8]
    assert log.batches == [[0, 2, 4], [6], [8]]


@both_modes
async def test_a_batch_that_does_not_weigh_enough_waits_for_its_time(mode: Any) -> None:
    """max_wait counts from the first item of the batch; one that is full leaves at once."""
    log = Log()
    task = batch_task(max_size=9, max_wait=5, weight=itself, max_weight=10)(log)
    schedule = [(0.0, 4), (1.0, 4), (2.0, 4), (8.0, 10), (20.0, 1)]
    assert await task.with_execution_mode(mode)(arriving(*schedule)).collect() == [4, 4, 4, 10, 1]
    assert log.calls == [(2, [4, 4]), (7, [4]), (8, [10]), (20, [1])]


async def test_while_the_stage_is_busy_a_due_batch_fills_up_to_its_weight() -> None:
    """As it does up to max_size."""
    log = Log(duration=10)
    task = batch_task(max_size=9, max_wait=0.5, weight=itself, max_weight=3)(log)
    schedule = [(float(second), 1) for second in range(6)]
    await task(arriving(*schedule)).collect()
    assert log.calls == [(0.5, [1]), (10.5, [1, 1, 1]), (20.5, [1, 1])]


async def test_with_a_wait_of_zero_weight_is_a_bound_all_the_same() -> None:
    """A free stage takes what is there, as far as it fits."""
    log = Log(duration=10)
    task = batch_task(max_size=9, max_wait=0, weight=itself, max_weight=5)(log)
    schedule = [(0.0, 1), (1.0, 3), (2.0, 1), (3.0, 3), (4.0, 1)]
    await task(arriving(*schedule)).collect()
    assert log.calls == [(0, [1]), (10, [3, 1]), (20, [3, 1])]


async def test_a_remainder_that_is_too_small_is_dropped() -> None:
    """A batch that is full by weight needs no min_size, the last one does."""
    log = Log()
    task = batch_task(min_size=2, max_size=4, weight=itself, max_weight=10)(log)
    async with task([10, 3, 3, 5]) as results:
        assert await results.collect() == [10, 3, 3]
        (stage,) = results.stats().stages
    assert (stage.triggers, stage.dropped) == ({"weight": 2}, 1)


@both_modes
@pytest.mark.parametrize("limit", [1, 2])
async def test_weighed_batches_share_a_window_as_small_as_can_be(limit: int, mode: Any) -> None:
    """A batch rests on fewer places than max_size, whatever its items weigh."""
    task = batch_task(max_size=4, weight=itself, max_weight=5, concurrency_limit=limit)(Log(1))
    pipeline = (task | task).with_context(max_in_flight=4 * limit + 3, execution_mode=mode)
    items = [number % 7 for number in range(100)]
    assert sorted(await pipeline(items).collect()) == sorted(items)


@pytest.mark.parametrize("on_error", ["fail", "skip_item", "skip_batch"])
@both_modes
async def test_a_weight_function_that_fails_ends_the_run(on_error: Any, mode: Any) -> None:
    """With that error itself, whatever on_error says, and a note that names task and item."""
    broken = ValueError("broken")

    def weigh(item: int) -> int:
        if item == 5:
            raise broken
        return 1

    log = Log()
    task = batch_task(max_size=2, weight=weigh, max_weight=9, on_error=on_error, task_name="send")(
        log
    )
    with pytest.raises(ValueError, match="broken") as caught:
        await (single_task(itself) | task).with_execution_mode(mode)(range(20)).collect()
    assert caught.value is broken
    assert broken.__notes__ == ["raised by weight of task 'send' for input item 5"]


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        ("secret", TypeError, "weight must return a number, got a str"),
        (None, TypeError, "weight must return a number, got a NoneType"),
        (True, TypeError, "weight must return a number, got a bool"),
        (-1, ValueError, "weight must return 0 or more"),
        (math.nan, ValueError, "weight must return 0 or more"),
    ],
)
async def test_a_weight_that_makes_no_sense_fails_the_run(
    weight: Any, error: type[Exception], message: str
) -> None:
    """The message says what is wrong, without the weight itself, which may be the item."""
    task = batch_task(max_size=2, weight=lambda _: weight, max_weight=9)(Log())
    with pytest.raises(error) as caught:
        await task([1]).collect()
    assert str(caught.value) == message


@pytest.mark.parametrize("steering", [StopIteration, StopAsyncIteration, GeneratorExit])
async def test_a_weight_function_cannot_end_an_iteration(steering: type[BaseException]) -> None:
    """What would end one becomes an ordinary error, also in the source's own iteration."""

    def weigh(item: int) -> int:
        raise steering

    task = batch_task(max_size=2, weight=weigh, max_weight=9, task_name="send")(Log())
    with pytest.raises(RuntimeError, match=f"^weight of task 'send' raised {steering.__name__}"):
        await task([1]).collect()


async def test_an_awaited_call_weighs_nothing() -> None:
    """It is given its batch by the caller."""

    def weigh(item: int) -> int:
        raise AssertionError

    assert await batch_task(max_size=2, weight=weigh, max_weight=9)(Log())([1, 2, 3]) == [1, 2, 3]
