"""Batches by weight and key in a run: what is in them, and when they leave."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from conveyor import batch_task, get_current_context, single_task
from helpers import BatchLog, arriving, current_time

both_modes = pytest.mark.parametrize("mode", ["ordered", "as_completed"])


def itself(item: Any) -> Any:
    return item


@pytest.mark.parametrize("option", ["weight", "batch_by"])
async def test_options_are_asked_in_the_variables_of_the_run(option: str) -> None:
    """Not in those of the call that an item comes from, or of another one; nor do they set any."""
    variable: ContextVar[str] = ContextVar("variable", default="unset")
    seen: list[str] = []

    @single_task
    async def make(item: int) -> AsyncIterator[int]:
        variable.set(f"item {item}")
        for number in range(2):
            await anyio.sleep(1 if item == 0 else 0.1)
            assert variable.get() == f"item {item}"
            yield number

    def ask(item: int) -> int:
        seen.append(variable.get())
        variable.set("asked")
        return 1

    options: dict[str, Any] = {
        "weight": {"weight": ask, "max_weight": 2},
        "batch_by": {option: ask},
    }
    pack = batch_task(max_size=2, **options[option])(itself)
    variable.set("run")
    assert await (make | pack)(range(3)).collect() == [0, 1, 0, 1, 0, 1]
    assert seen == ["run"] * 6


# Weight


@both_modes
async def test_batches_are_bounded_in_weight(mode: Any) -> None:
    """Items stay in order; what does not fit is in the next batch; the reasons are counted."""
    log = BatchLog()
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

    log = BatchLog()
    task = batch_task(max_size=9, weight=weigh, max_weight=7, retry_attempts=2)(log)
    assert await (backwards | task)(range(5)).collect() == [0, 2, 4, 6, 8]
    assert weighed == [0, 2, 4, 6, 8]
    assert log.batches == [[0, 2, 4], [6], [8]]


@both_modes
async def test_a_batch_that_does_not_weigh_enough_waits_for_its_time(mode: Any) -> None:
    """max_wait counts from the first item of the batch; one that is full leaves at once."""
    log = BatchLog()
    task = batch_task(max_size=9, max_wait=5, weight=itself, max_weight=10)(log)
    schedule = [(0.0, 4), (1.0, 4), (2.0, 4), (8.0, 10), (20.0, 1)]
    assert await task.with_execution_mode(mode)(arriving(*schedule)).collect() == [4, 4, 4, 10, 1]
    assert log.calls == [(2, [4, 4]), (7, [4]), (8, [10]), (20, [1])]


async def test_while_the_stage_is_busy_a_due_batch_fills_up_to_its_weight() -> None:
    """As it does up to max_size."""
    log = BatchLog(duration=10)
    task = batch_task(max_size=9, max_wait=0.5, weight=itself, max_weight=3)(log)
    schedule = [(float(second), 1) for second in range(6)]
    await task(arriving(*schedule)).collect()
    assert log.calls == [(0.5, [1]), (10.5, [1, 1, 1]), (20.5, [1, 1])]


async def test_with_a_wait_of_zero_weight_is_a_bound_all_the_same() -> None:
    """A free stage takes what is there, as far as it fits."""
    log = BatchLog(duration=10)
    task = batch_task(max_size=9, max_wait=0, weight=itself, max_weight=5)(log)
    schedule = [(0.0, 1), (1.0, 3), (2.0, 1), (3.0, 3), (4.0, 1)]
    await task(arriving(*schedule)).collect()
    assert log.calls == [(0, [1]), (10, [3, 1]), (20, [3, 1])]


async def test_a_remainder_that_is_too_small_is_dropped() -> None:
    """A batch that is full by weight needs no min_size, the last one does."""
    log = BatchLog()
    task = batch_task(min_size=2, max_size=4, weight=itself, max_weight=10)(log)
    async with task([10, 3, 3, 5]) as results:
        assert await results.collect() == [10, 3, 3]
        (stage,) = results.stats().stages
    assert (stage.triggers, stage.dropped) == ({"weight": 2}, 1)


@both_modes
@pytest.mark.parametrize("limit", [1, 2])
async def test_weighed_batches_share_a_window_as_small_as_can_be(limit: int, mode: Any) -> None:
    """A batch rests on fewer places than max_size, whatever its items weigh."""
    task = batch_task(max_size=4, weight=itself, max_weight=5, concurrency_limit=limit)(BatchLog(1))
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

    log = BatchLog()
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
    task = batch_task(max_size=2, weight=lambda _: weight, max_weight=9)(BatchLog())
    with pytest.raises(error) as caught:
        await task([1]).collect()
    assert str(caught.value) == message


@pytest.mark.parametrize("steering", [StopIteration, StopAsyncIteration, GeneratorExit])
async def test_a_weight_function_cannot_end_an_iteration(steering: type[BaseException]) -> None:
    """What would end one becomes an ordinary error, also in the source's own iteration."""

    def weigh(item: int) -> int:
        raise steering

    task = batch_task(max_size=2, weight=weigh, max_weight=9, task_name="send")(BatchLog())
    with pytest.raises(RuntimeError, match=f"^weight of task 'send' raised {steering.__name__}"):
        await task([1]).collect()


async def test_an_awaited_call_weighs_nothing() -> None:
    """It is given its batch by the caller."""

    def weigh(item: int) -> int:
        raise AssertionError

    assert await batch_task(max_size=2, weight=weigh, max_weight=9)(BatchLog())([1, 2, 3]) == [
        1,
        2,
        3,
    ]


# Keys


def first_letter(item: str) -> str:
    return item[0]


@both_modes
async def test_each_key_has_batches_of_its_own(mode: Any) -> None:
    """They leave when they are full, what is left at the end by the order of first items."""
    log = BatchLog()
    task = batch_task(max_size=2, batch_by=first_letter)(log).with_execution_mode(mode)
    async with task(["a0", "b1", "c2", "b3", "b4", "a5", "a6"]) as results:
        received = await results.collect()
        (stage,) = results.stats().stages
    assert log.batches == [["b1", "b3"], ["a0", "a5"], ["c2"], ["b4"], ["a6"]]
    assert received == ["b1", "b3", "a0", "a5", "c2", "b4", "a6"]
    assert stage.triggers == {"size": 2, "end": 3}


async def test_results_come_in_the_order_in_which_batches_leave() -> None:
    """Also if a later one is done first; within a key that is input order."""

    @batch_task(max_size=2, batch_by=first_letter, concurrency_limit=3)
    async def store(batch: list[str]) -> list[str]:
        await anyio.sleep({"a": 5, "b": 3, "c": 1}[batch[0][0]])
        return batch

    items = ["c0", "a1", "b2", "a3", "b4", "c5", "a6", "a7"]
    async with store(items) as results:
        timeline = [(current_time(), result) async for result in results]
    assert timeline == [
        (5, "a1"),
        (5, "a3"),
        (5, "b2"),
        (5, "b4"),
        (5, "c0"),
        (5, "c5"),
        (6, "a6"),
        (6, "a7"),
    ]


@both_modes
async def test_a_key_with_few_items_holds_up_no_other(mode: Any) -> None:
    """Its batch is open for the whole run, and the results of the others come as they are ready."""
    task = batch_task(max_size=2, batch_by=first_letter)(BatchLog())
    schedule = [(0.0, "rare"), *((float(n), f"b{n}") for n in range(6))]
    stream = task.with_execution_mode(mode)(arriving(*schedule))
    async with stream as results:
        timeline = [(current_time(), result) async for result in results]
    assert timeline == [
        (1, "b0"), (1, "b1"), (3, "b2"), (3, "b3"), (5, "b4"), (5, "b5"), (5, "rare"),
    ]  # fmt: skip


async def test_each_batch_has_a_timer_of_its_own() -> None:
    """From its own first item; one that is full does not move that of another."""
    log = BatchLog()
    task = batch_task(max_size=3, max_wait=10, batch_by=first_letter)(log)
    schedule = [(0.0, "a0"), (2.0, "b1"), (3.0, "a2"), (4.0, "b3"), (5.0, "b4"), (6.0, "c5")]
    await task(arriving(*schedule, (30.0, "d6"))).collect()
    assert log.calls == [(5, ["b1", "b3", "b4"]), (10, ["a0", "a2"]), (16, ["c5"]), (30, ["d6"])]


async def test_under_load_a_due_batch_is_not_left_behind() -> None:
    """Batches that fill up all the time do not keep a small one waiting."""
    log = BatchLog(duration=2)
    task = batch_task(max_size=2, max_wait=3, batch_by=first_letter)(log)
    schedule = [(0.0, "rare"), *((0.5 + n / 2, f"b{n}") for n in range(20))]
    await task(arriving(*schedule)).collect()
    # Full at 1, 2, 3 and so on; due at 3, so before the one that is full at 4.
    assert log.batches[:5] == [["b0", "b1"], ["b2", "b3"], ["b4", "b5"], ["rare"], ["b6", "b7"]]


async def test_with_a_wait_of_zero_a_free_stage_takes_the_oldest_key() -> None:
    """What is there of that key, and no other."""
    log = BatchLog(duration=10)
    task = batch_task(max_size=5, max_wait=0, batch_by=first_letter)(log)
    schedule = [(0.0, "a0"), (1.0, "b1"), (2.0, "a2"), (3.0, "b3")]
    await task(arriving(*schedule)).collect()
    assert log.calls == [(0, ["a0"]), (10, ["b1", "b3"]), (20, ["a2"])]


@both_modes
async def test_batches_by_key_are_bounded_in_weight(mode: Any) -> None:
    """Each key by itself."""
    log = BatchLog()
    task = batch_task(max_size=9, batch_by=lambda item: item % 2, weight=itself, max_weight=10)(
        log
    ).with_execution_mode(mode)
    await task([2, 3, 4, 5, 6, 7, 8, 9]).collect()
    assert log.batches == [[2, 4], [3, 5], [6], [7], [8], [9]]


@both_modes
@pytest.mark.parametrize("window", [4, 5, 6, 8, 20, None])
async def test_more_keys_than_places_do_not_stop_the_run(window: int | None, mode: Any) -> None:
    """When too much rests in open batches the oldest one leaves, and the reason is counted."""
    task = batch_task(max_size=4, batch_by=itself)(BatchLog())
    pipeline = task.with_context(max_in_flight=window, execution_mode=mode)
    items = [number % 700 for number in range(1400)]
    async with pipeline(items) as results:
        assert sorted(await results.collect()) == sorted(items)
        (stage,) = results.stats().stages
    assert stage.triggers["room"] > 0
    assert sum(stage.triggers.values()) == stage.calls


@both_modes
async def test_the_source_is_read_on_although_open_batches_rest(mode: Any) -> None:
    """It waits for room to gather, but not for items that wait for more."""
    task = batch_task(max_size=82, batch_by=itself)(BatchLog())
    pipeline = task.with_context(max_in_flight=100, execution_mode=mode)
    assert sorted(await pipeline(range(300)).collect()) == list(range(300))


async def test_half_of_the_window_is_for_open_batches() -> None:
    """And what one batch needs; the same ones leave early, whatever the times are."""
    for duration in (0, 3):
        log = BatchLog(duration)
        task = batch_task(max_size=3, batch_by=first_letter)(log)
        # One batch rests on 2 places and 1 is for what moves; half of the other 8, and 3, are 7.
        pipeline = task.with_context(max_in_flight=11)
        async with pipeline(["a0", "b1", "a2", "c3", "d4", "e5", "f6", "g7", "h8"]) as results:
            await results.collect()
            (stage,) = results.stats().stages
        assert log.batches == [["a0", "a2"], ["b1"], ["c3"], ["d4"], ["e5"], ["f6"], ["g7"], ["h8"]]
        assert stage.triggers == {"room": 2, "end": 6}


@both_modes
@pytest.mark.parametrize("spare", [0, 1, 5, 40])
@pytest.mark.parametrize("limit", [1, 3])
async def test_keyed_batches_in_a_row_share_the_smallest_window(
    limit: int, spare: int, mode: Any
) -> None:
    """Among others that gather, expand and filter; none takes all places for itself."""

    @single_task
    async def twice(item: int) -> AsyncIterator[int]:
        for _ in range(2):
            await anyio.sleep(item % 3)
            yield item

    keyed = batch_task(max_size=4, batch_by=lambda item: item % 9, concurrency_limit=limit)(
        BatchLog(1)
    )
    plain = batch_task(max_size=3)(BatchLog(1))
    small = batch_task(max_size=2, batch_by=itself)(BatchLog(1))
    smallest = max(4 * limit, 3 + 2 + 1 + 1)
    pipeline = (keyed | twice | plain | small).with_context(
        max_in_flight=smallest + spare, execution_mode=mode
    )
    assert sorted(await pipeline(range(60)).collect()) == sorted([*range(60), *range(60)])


async def test_a_window_too_small_for_one_batch_of_each_is_refused() -> None:
    """As without keys."""
    keyed = batch_task(max_size=4, batch_by=itself)(BatchLog())
    message = (
        "max_in_flight=6 is too small for the batch tasks of this pipeline together; use "
        "with_context(max_in_flight=7) or more"
    )
    with pytest.raises(ValueError, match=r"^max_in_flight") as caught:
        await (keyed | keyed).with_context(max_in_flight=6)(range(9)).collect()
    assert str(caught.value) == message


async def test_poison_is_isolated_within_its_key() -> None:
    """Parts of a batch are of its key."""
    parts: list[list[str]] = []

    @batch_task(max_size=4, batch_by=first_letter, on_error="skip_item")
    def store(batch: list[str]) -> list[str]:
        parts.append(batch)
        if "a4" in batch:
            raise ValueError
        return batch

    items = ["a0", "b1", "a2", "b3", "a4", "a5"]
    assert await store(items).collect() == ["a0", "a2", "a5", "b1", "b3"]
    assert parts == [
        ["a0", "a2", "a4", "a5"],
        ["a0", "a2"],
        ["a4", "a5"],
        ["a4"],
        ["a5"],
        ["b1", "b3"],
    ]


class Touchy:
    """A key that can be hashed but not compared."""

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        raise ArithmeticError


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        (["secret"], TypeError, "batch_by must return something hashable, got a list"),
        ({}, TypeError, "batch_by must return something hashable, got a dict"),
    ],
)
async def test_a_key_that_cannot_be_one_fails_the_run(
    key: Any, error: type[Exception], message: str
) -> None:
    """The message names the type, not the key, which may be the item."""
    task = batch_task(max_size=2, batch_by=lambda _: key, on_error="skip_item")(BatchLog())
    with pytest.raises(error) as caught:
        await task([1]).collect()
    assert str(caught.value) == message


@pytest.mark.parametrize("fails", ["function", "comparison"])
async def test_a_key_function_that_fails_ends_the_run(fails: str) -> None:
    """With that error itself, and a note that names task and item."""

    def key_of(item: int) -> Any:
        if fails == "function" and item == 1:
            raise ArithmeticError
        return Touchy()

    task = batch_task(max_size=2, batch_by=key_of, on_error="skip_batch", task_name="send")(
        BatchLog()
    )
    with pytest.raises(ArithmeticError) as caught:
        await task(range(5)).collect()
    assert caught.value.__notes__ == ["raised by batch_by of task 'send' for input item 1"]


async def test_keys_see_the_context_of_the_run() -> None:
    """As the task's function does."""
    task = batch_task(max_size=9, batch_by=lambda item: get_current_context()["names"][item])(
        BatchLog()
    )
    pipeline = task.with_context(names=["a", "b", "a", "b"])
    assert await pipeline(range(4)).collect() == [0, 2, 1, 3]


def test_a_task_shows_its_key_function() -> None:
    """As all other options."""
    assert batch_task(max_size=2, batch_by=first_letter)(BatchLog()).batch_by is first_letter
    assert batch_task(max_size=2)(BatchLog()).batch_by is None
