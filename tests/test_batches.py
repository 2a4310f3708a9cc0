"""Batches in a run: what is in them, when they leave, and what becomes of those that fail."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import anyio
import pytest

from conveyor import SKIP, ErrorHandler, Failure, batch_task, single_task
from conveyor._engine.ordering import OrderedChain
from helpers import BatchLog, arriving, current_time, ticks

both_modes = pytest.mark.parametrize("mode", ["ordered", "as_completed"])


class Poison(Exception):
    """What some items make a batch fail with."""


@single_task
async def backwards(item: int) -> int:
    """Let later items overtake earlier ones."""
    await anyio.sleep(100 - item)
    return item


@single_task(concurrency_limit=50)
async def forwards(item: int) -> int:
    """One after the other."""
    await anyio.sleep(item + 1)
    return item


# What is in them


@pytest.mark.parametrize(
    ("count", "options", "expected"),
    [
        (0, {"max_size": 3}, []),
        (1, {"max_size": 3}, [[0]]),
        (3, {"max_size": 3}, [[0, 1, 2]]),
        (7, {"max_size": 3}, [[0, 1, 2], [3, 4, 5], [6]]),
        (3, {}, [[0], [1], [2]]),
        (6, {"min_size": 3}, [[0, 1, 2], [3, 4, 5]]),
        (8, {"min_size": 2, "max_size": 3}, [[0, 1, 2], [3, 4, 5], [6, 7]]),
    ],
)
@both_modes
async def test_batches_are_as_full_as_they_can_be(
    count: int, options: dict[str, Any], expected: list[list[int]], mode: Any
) -> None:
    """max_size items each, by default min_size; the last one has what is left."""
    log = BatchLog()
    task = batch_task(**options)(log).with_execution_mode(mode)
    assert await task(range(count)).collect() == list(range(count))
    assert log.batches == expected


async def test_in_an_ordered_run_a_batch_holds_consecutive_items() -> None:
    """Although they arrive the other way round."""
    log = BatchLog()
    pipeline = backwards | batch_task(max_size=3)(log)
    assert await pipeline(range(8)).collect() == list(range(8))
    assert log.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]


async def one_a_second(item: int) -> AsyncIterator[int]:
    """Become several, one after the other."""
    for number in range(6):
        await anyio.sleep(1)
        yield number


async def two_a_second(item: int) -> list[int]:
    """Become several at once."""
    await anyio.sleep(1)
    return [item, item]


@pytest.mark.parametrize(
    ("function", "size", "when"), [(one_a_second, 3, [3, 6]), (two_a_second, 5, [3, 5])]
)
async def test_a_batch_is_full_when_enough_items_are_there_whatever_they_stem_from(
    function: Any, size: int, when: list[float]
) -> None:
    """It leaves at that moment, though items that came before others became are not there yet."""
    log = BatchLog()
    pipeline = single_task(function, concurrency_limit=1) | batch_task(max_size=size)(log)
    await pipeline(range(9)).collect()
    assert [time for time, _ in log.calls][:2] == when


async def test_items_are_taken_in_for_a_whole_batch_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first one tells how many are missing; from then on there is nothing to do until then."""
    lots: list[int] = []
    take_slots = OrderedChain.take_slots

    def counting(chain: OrderedChain, limit: int = sys.maxsize) -> Any:
        slots = take_slots(chain, limit)
        lots.append(len(slots))
        return slots

    monkeypatch.setattr(OrderedChain, "take_slots", counting)
    log = BatchLog()
    pipeline = forwards | batch_task(max_size=10)(log)
    assert await pipeline(range(50)).collect() == [*range(50)]
    assert [time for time, _ in log.calls] == [10, 20, 30, 40, 50]
    assert [each for each in lots if each] == [1, 9, 10, 10, 10, 10]


@pytest.mark.parametrize(
    ("max_wait", "expected"),
    [
        (0, [(1, [0]), (2, [1]), (3, [2])]),
        (2.5, [(3.5, [0, 1, 2]), (6.5, [3, 4, 5]), (9.5, [6, 7, 8])]),
    ],
)
async def test_a_batch_that_may_be_smaller_takes_what_is_ready(
    max_wait: float, expected: list[tuple[float, list[int]]]
) -> None:
    """Items come in one by one then, each as soon as it is ready."""
    log = BatchLog()
    pipeline = forwards | batch_task(max_size=20, max_wait=max_wait)(log)
    assert await pipeline(range(50)).collect() == [*range(50)]
    assert log.calls[:3] == expected


async def test_as_completed_batches_form_as_items_arrive() -> None:
    """The first to come are in the first batch, at the time when it is full."""
    log = BatchLog()
    pipeline = backwards | batch_task(max_size=3)(log)
    assert await pipeline.as_completed(range(8)).collect() == list(range(7, -1, -1))
    assert log.calls == [(95, [7, 6, 5]), (98, [4, 3, 2]), (100, [1, 0])]


@both_modes
async def test_filtered_items_leave_no_gap_in_a_batch(mode: Any) -> None:
    """A batch is filled from what is left; children count one by one."""
    log = BatchLog()

    @single_task
    def some(item: int) -> list[int] | None:
        return [item] * item if item != 2 else None

    pipeline = (some | batch_task(max_size=4)(log)).with_execution_mode(mode)
    await pipeline(range(5)).collect()
    assert log.batches == [[1, 3, 3, 3], [4, 4, 4, 4]]


async def test_results_of_a_batch_are_batched_anew() -> None:
    """Batch tasks in a row each have sizes of their own."""
    first, second = BatchLog(), BatchLog()
    pipeline = batch_task(max_size=4)(first) | batch_task(max_size=3)(second)
    assert await pipeline(range(10)).collect() == list(range(10))
    assert first.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert second.batches == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


async def test_a_batch_is_a_list_of_its_own() -> None:
    """A function may change what it is given."""

    @batch_task(max_size=3)
    def reversed_in_place(batch: list[int]) -> list[int]:
        assert type(batch) is list
        batch.reverse()
        return batch

    assert await reversed_in_place(range(6)).collect() == [2, 1, 0, 5, 4, 3]


# How many at once


@both_modes
@pytest.mark.parametrize(("limit", "times"), [(None, [0, 2, 4, 6]), (1, [0, 2, 4, 6])])
async def test_batches_run_one_after_another(
    limit: int | None, times: list[float], mode: Any
) -> None:
    """By default; each starts when the one before it has ended."""
    log = BatchLog(duration=2)
    task = batch_task(max_size=5, concurrency_limit=limit)(log).with_execution_mode(mode)
    assert await task(range(20)).collect() == list(range(20))
    assert [when for when, _ in log.calls] == times


async def test_with_a_limit_that_many_batches_run_at_once() -> None:
    """Two at a time; their results come in order although the second is the faster one."""
    calls: list[tuple[float, int]] = []

    @batch_task(max_size=2, concurrency_limit=2)
    async def paced(batch: list[int]) -> list[int]:
        calls.append((current_time(), batch[0]))
        await anyio.sleep(3 if batch[0] == 0 else 1)
        return batch

    async with paced(range(8)) as results:
        timeline = [(current_time(), result) async for result in results]
    assert calls == [(0, 0), (0, 2), (1, 4), (2, 6)]
    assert timeline == [(3, item) for item in range(8)]


async def test_as_completed_the_faster_batch_comes_first() -> None:
    """Nothing is restored, neither before a batch task nor after it."""

    @batch_task(max_size=2, concurrency_limit=2)
    async def paced(batch: list[int]) -> list[int]:
        await anyio.sleep(3 if batch[0] == 0 else 1)
        return batch

    assert await paced.as_completed(range(4)).collect() == [2, 3, 0, 1]


# When they leave


async def calls_for(
    schedule: list[tuple[float, Any]], duration: float = 0, mode: Any = "ordered", **options: Any
) -> list[tuple[float, list[Any]]]:
    """Return when a batch task was called with what, its items arriving on schedule."""
    log = BatchLog(duration)
    task = batch_task(**options)(log).with_execution_mode(mode)
    items = [item for _, item in schedule]
    assert await task(arriving(*schedule)).collect() == items
    return log.calls


@both_modes
async def test_the_timer_starts_with_the_first_item(mode: Any) -> None:
    """An idle stream, then a burst: the batch leaves max_wait after the burst began."""
    schedule = [(10.0, "a"), (11.0, "b"), (11.0, "c"), (100.0, "d"), (109.0, "e")]
    assert await calls_for(schedule, max_size=9, max_wait=2, mode=mode) == [
        (12, ["a", "b", "c"]),
        (102, ["d"]),
        (109, ["e"]),  # the end of the input
    ]


@both_modes
async def test_a_full_batch_does_not_wait(mode: Any) -> None:
    """The timer only sends what is not full; the next batch has a timer of its own."""
    schedule = [(0.0, "a"), (1.0, "b"), (1.5, "c"), (20.0, "d"), (21.0, "e"), (40.0, "f")]
    assert await calls_for(schedule, max_size=2, max_wait=4, mode=mode) == [
        (1, ["a", "b"]),
        (5.5, ["c"]),
        (21, ["d", "e"]),
        (40, ["f"]),
    ]


async def test_leftovers_wait_from_their_own_arrival() -> None:
    """Not from that of the batch which they were too late for, nor from when that left."""
    schedule = [(0.0, "a"), (1.0, "b"), (1.0, "c"), (50.0, "d")]
    calls = await calls_for(schedule, max_size=2, max_wait=4, duration=2)
    assert calls == [(1, ["a", "b"]), (5, ["c"]), (50, ["d"])]


async def test_while_the_stage_is_busy_a_due_batch_keeps_filling() -> None:
    """Up to max_size; it leaves when the stage is free, and no sliver leaves before."""
    schedule = [(float(second), second) for second in range(12)]
    assert await calls_for(schedule, max_size=4, max_wait=0.5, duration=3.125) == [
        (0.5, [0]),
        (3.625, [1, 2, 3]),
        (6.75, [4, 5, 6]),
        (9.875, [7, 8, 9]),
        (13, [10, 11]),
    ]


async def test_a_batch_that_fills_up_while_the_stage_is_busy_leaves_full() -> None:
    """What came after it stays, overdue or not, and is next."""
    schedule = [(float(second), second) for second in range(8)]
    assert await calls_for(schedule, max_size=3, max_wait=0.5, duration=5.25) == [
        (0.5, [0]),
        (5.75, [1, 2, 3]),
        (11, [4, 5, 6]),
        (16.25, [7]),
    ]


async def test_another_free_worker_takes_a_due_batch() -> None:
    """With two calls allowed, the second does not wait for the first."""
    schedule = [(0.0, "a"), (1.0, "b"), (20.0, "c")]
    calls = await calls_for(schedule, max_size=5, max_wait=0.5, duration=9, concurrency_limit=2)
    assert calls == [(0.5, ["a"]), (1.5, ["b"]), (20, ["c"])]


@pytest.mark.parametrize("steps", [1, 2])
async def test_a_batch_that_is_full_as_its_time_comes_is_called_once(steps: int) -> None:
    """The worker whose wait is over may have been summoned at that very moment."""
    log = BatchLog()

    async def source() -> AsyncIterator[int]:
        for item in range(40):
            if item % 2:
                # In how many steps decides whether the worker's own time comes first.
                for _ in range(steps):
                    await anyio.sleep(1 / steps)
            else:
                await anyio.sleep(5)
            yield item

    work = batch_task(max_size=2, max_wait=1)(log)
    assert await work(source()).collect() == [*range(40)]
    assert [item for batch in log.batches for item in batch] == [*range(40)]


async def test_a_due_batch_waits_until_it_has_min_size() -> None:
    """Then it leaves at once, if its first item has waited long enough."""
    schedule = [(0.0, "a"), (5.0, "b"), (6.0, "c"), (6.5, "d"), (30.0, "e"), (31.0, "f")]
    assert await calls_for(schedule, min_size=2, max_size=9, max_wait=2) == [
        (5, ["a", "b"]),
        (8, ["c", "d"]),
        (31, ["e", "f"]),
    ]


async def test_with_a_wait_of_zero_nothing_is_held_back() -> None:
    """Items that come one by one leave one by one."""
    schedule = [(0.0, "a"), (1.0, "b"), (2.0, "c")]
    assert await calls_for(schedule, max_size=9, max_wait=0) == [
        (0, ["a"]),
        (1, ["b"]),
        (2, ["c"]),
    ]


@pytest.mark.parametrize(
    ("options", "duration", "expected"),
    [
        (
            {},
            2.125,
            [
                (0, [0]),
                (2.125, [1, 2]),
                (4.25, [3, 4]),
                (6.375, [5, 6]),
                (8.5, [7, 8]),
                (10.625, [9]),
            ],
        ),
        ({}, 5.5, [(0, [0]), (5.5, [1, 2, 3, 4]), (11, [5, 6, 7, 8]), (16.5, [9])]),
        ({"min_size": 2}, 0, [(second, [second - 1, second]) for second in (1, 3, 5, 7, 9)]),
    ],
)
@both_modes
async def test_with_a_wait_of_zero_a_free_stage_takes_what_is_there(
    options: dict[str, Any], duration: float, expected: Any, mode: Any
) -> None:
    """While it is busy items gather, up to max_size; and min_size holds all the same."""
    schedule = [(float(second), second) for second in range(10)]
    options = {"max_size": 4, "max_wait": 0, **options}
    assert await calls_for(schedule, duration=duration, mode=mode, **options) == expected


async def test_with_a_wait_of_zero_items_of_one_moment_go_together() -> None:
    """Not one by one: what has come when the stage gets its turn is in the batch."""
    schedule = [(second, item) for second in (0.0, 1.0, 2.0) for item in "abc"]
    log = BatchLog()
    task = single_task(same_item) | batch_task(max_size=9, max_wait=0)(log)

    async def bursts() -> AsyncIterator[list[str]]:
        for second in range(3):
            await anyio.sleep(second - current_time())
            yield ["a", "b", "c"]

    assert await task(bursts()).collect() == [item for _, item in schedule]
    assert log.calls == [(second, ["a", "b", "c"]) for second in range(3)]


async def test_with_a_wait_of_zero_no_clock_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage needs none to take what is there."""

    def broken() -> float:
        raise AssertionError

    monkeypatch.setattr("conveyor._engine.batch_stage.current_time", broken)
    task = batch_task(max_size=3, max_wait=0)(listed)
    assert await task(range(10)).collect() == list(range(10))


async def test_what_a_free_stage_is_about_to_take_makes_room() -> None:
    """A generator at the head of the line waits for it, instead of going beyond the window."""
    most = held = 0

    @single_task
    async def many(item: int) -> AsyncIterator[int]:
        nonlocal most, held
        for number in range(20):
            held += 1
            most = max(most, held)
            yield number

    @batch_task(max_size=4, max_wait=0)
    async def store(batch: list[int]) -> None:
        nonlocal held
        await anyio.sleep(1)
        held -= len(batch)

    pipeline = (many | store).with_context(max_in_flight=6)
    assert await pipeline([0]).collect() == []
    assert most <= 7  # one is on its way


async def test_without_max_wait_a_batch_waits_for_more() -> None:
    """For as long as it takes, or for the end of the input."""
    schedule = [(0.0, "a"), (500.0, "b"), (900.0, "c")]
    assert await calls_for(schedule, max_size=2) == [(500, ["a", "b"]), (900, ["c"])]


async def test_the_age_counts_from_the_arrival_at_the_batch_task() -> None:
    """Not from when the item entered the pipeline."""
    log = BatchLog()

    @single_task
    async def slow(item: int) -> int:
        await anyio.sleep(10)
        return item

    pipeline = slow | batch_task(max_size=9, max_wait=3)(log)
    await pipeline(arriving((0.0, 0), (1.0, 1), (50.0, 2))).collect()
    assert log.calls == [(13, [0, 1]), (60, [2])]


async def test_many_timers_leave_nothing_behind() -> None:
    """An idle stage with a timer is not woken before its time, nor does it miss it."""
    schedule = [(100.0 * number, number) for number in range(50)]
    calls = await calls_for(schedule, max_size=3, max_wait=7, concurrency_limit=3)
    assert calls == [(100.0 * number + 7, [number]) for number in range(49)] + [(4900, [49])]


# Why they left


async def triggers_of(stream: Any) -> dict[str, int]:
    """Return how many batches of the first stage left for which reason."""
    async with stream as results:
        await results.collect()
        return dict(results.stats().stages[0].triggers)


@both_modes
async def test_the_reasons_why_batches_left_are_counted(mode: Any) -> None:
    """One count for each trigger that there was; at the end of the input a full batch is full."""
    schedule = [(0.0, 0), (0.0, 1), (0.0, 2), (10.0, 3), (20.0, 4), (30.0, 5), (30.0, 6)]
    task = batch_task(max_size=2, max_wait=1)(BatchLog()).with_execution_mode(mode)
    assert await triggers_of(task(arriving(*schedule))) == {"size": 2, "age": 3}
    task = batch_task(max_size=3)(BatchLog()).with_execution_mode(mode)
    assert await triggers_of(task(range(7))) == {"size": 2, "end": 1}
    assert await triggers_of(task(range(6))) == {"size": 2}
    assert await triggers_of(task(())) == {}


async def test_a_batch_that_is_split_has_left_once() -> None:
    """Neither its parts nor repeated attempts count, nor whether the call failed."""
    task = batch_task(max_size=4, on_error="skip_item", retry_attempts=2, retry_delay=0)
    assert await triggers_of(task(failing_on(1))(range(4))) == {"size": 1}


async def test_the_counted_reasons_are_a_snapshot_and_single_tasks_have_none() -> None:
    """What was read once does not change."""
    task = batch_task(max_size=2)(listed)
    async with (task | single_task(same_item))(arriving((0, 0), (0, 1), (9, 2), (9, 3))) as results:
        assert await anext(results) == 0
        early = results.stats()
        assert await results.collect() == [1, 2, 3]
        late = results.stats()
    assert [stage.triggers for stage in early.stages] == [{"size": 1}, {}]
    assert [stage.triggers for stage in late.stages] == [{"size": 2}, {}]
    assert hash(early.stages[0]) == hash(early.stages[0])


# What is too little at the end


def warnings(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int, str]]:
    return [record for record in caplog.record_tuples if record[0] == "conveyor"]


@both_modes
async def test_a_remainder_below_min_size_is_dropped_with_one_warning(
    caplog: pytest.LogCaptureFixture, mode: Any
) -> None:
    """Not processed, but said and counted, without the items themselves."""
    log = BatchLog()
    task = batch_task(min_size=3, max_size=4, task_name="store")(log).with_execution_mode(mode)
    async with task(["secret"] * 10) as results:
        assert len(await results.collect()) == 8
        stats = results.stats()
    message = (
        "task 'store': 2 item(s) left at the end of the input are fewer than min_size=3 "
        "and were dropped"
    )
    assert warnings(caplog) == [("conveyor", logging.WARNING, message)]
    assert (stats.items_in, stats.items_out, stats.dropped) == (10, 8, 2)
    assert (stats.stages[0].items_in, stats.stages[0].dropped, stats.skipped) == (10, 2, 0)


async def test_an_input_below_min_size_is_dropped_whole(caplog: pytest.LogCaptureFixture) -> None:
    """The function is not called at all."""
    log = BatchLog()
    assert await batch_task(min_size=5)(log)(range(4)).collect() == []
    assert log.calls == []
    message = (
        "task 'BatchLog': 4 item(s) left at the end of the input are fewer than min_size=5 "
        "and were dropped"
    )
    assert warnings(caplog) == [("conveyor", logging.WARNING, message)]


async def test_each_batch_task_says_what_it_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """One warning each, and the sum in the statistics."""
    pipeline = batch_task(min_size=4, task_name="fours")(BatchLog()) | batch_task(
        min_size=3, task_name="threes"
    )(BatchLog())
    async with pipeline(range(11)) as results:
        assert await results.collect() == [0, 1, 2, 3, 4, 5]
        stats = results.stats()
    assert [message.split(" left")[0] for *_, message in warnings(caplog)] == [
        "task 'fours': 3 item(s)",
        "task 'threes': 2 item(s)",
    ]
    assert [stage.dropped for stage in stats.stages] == [3, 2]
    assert stats.dropped == 5


@pytest.mark.parametrize("count", [0, 3, 4, 8])
async def test_nothing_is_said_if_nothing_is_dropped(
    count: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither for a remainder that suffices nor for no remainder."""
    task = batch_task(min_size=3, max_size=4)(BatchLog())
    assert await task(range(count)).collect() == list(range(count))
    assert warnings(caplog) == []


async def test_nothing_is_said_when_the_consumer_leaves(caplog: pytest.LogCaptureFixture) -> None:
    """What is not processed then is what the consumer did not want."""
    items = arriving(*[(0.0, number) for number in range(5)], (1000.0, 5))
    async with batch_task(min_size=3)(BatchLog())(items) as results:
        assert [await anext(results) for _ in range(3)] == [0, 1, 2]
    assert warnings(caplog) == []


# Those that fail


def failing_on(*poison: int, log: list[list[int]] | None = None) -> Callable[..., Any]:
    """Return a batch function that fails if one of these items is in the batch."""

    async def function(batch: list[int]) -> list[int]:
        await ticks(1)
        if log is not None:
            log.append(list(batch))
        if any(item in poison for item in batch):
            raise Poison
        return batch

    return function


async def test_a_failing_batch_fails_the_run() -> None:
    """With a note that names the task and the first item, filtered ones counted."""

    @single_task
    def odd(item: int) -> int | None:
        return item if item % 2 else None

    failing = batch_task(max_size=2, task_name="store")(failing_on(7))
    with pytest.raises(Poison) as caught:
        await (odd | failing)(range(20)).collect()
    assert caught.value.__notes__ == ["raised by task 'store' for input item 5 after 1 attempt"]


async def test_skip_batch_drops_the_batch_and_goes_on() -> None:
    """All its items, counted as skipped, and nothing else."""
    calls: list[list[int]] = []
    task = batch_task(max_size=3, on_error="skip_batch")(failing_on(4, 5, 9, log=calls))
    async with task(range(10)) as results:
        assert await results.collect() == [0, 1, 2, 6, 7, 8]
        stats = results.stats()
    assert calls == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert (stats.items_in, stats.skipped, stats.items_out) == (10, 4, 6)


@pytest.mark.parametrize("on_error", ["skip_batch", "skip_item"])
async def test_a_batch_is_retried_before_it_is_skipped(on_error: Any) -> None:
    """Every attempt with the same items, after its delay; a success ends it."""
    calls: list[tuple[float, list[int]]] = []

    @batch_task(max_size=2, on_error=on_error, retry_attempts=3, retry_delay=1, retry_jitter=0)
    async def third_time_lucky(batch: list[int]) -> list[int]:
        calls.append((current_time(), list(batch)))
        if len(calls) < 3:
            raise Poison
        return batch

    async with third_time_lucky(range(4)) as results:
        assert await results.collect() == [0, 1, 2, 3]
        assert results.stats().stages[0].retried == 2
        assert results.stats().skipped == 0
    assert calls == [(0, [0, 1]), (1, [0, 1]), (3, [0, 1]), (3, [2, 3])]


async def test_the_note_on_a_batch_counts_its_attempts() -> None:
    """As for single items."""
    task = batch_task(max_size=2, task_name="store", retry_attempts=3, retry_delay=0)(failing_on(3))
    with pytest.raises(Poison) as caught:
        await task(range(4)).collect()
    assert caught.value.__notes__ == ["raised by task 'store' for input item 2 after 3 attempts"]


# Isolating the poison


def listed(batch: list[int]) -> list[int]:
    return batch


def same_item(item: int) -> int:
    return item


def as_tuple(batch: list[int]) -> tuple[int, ...]:
    return tuple(batch)


def generated(batch: list[int]) -> Iterator[int]:
    yield from batch


async def generated_later(batch: list[int]) -> AsyncIterator[int]:
    for item in batch:
        await anyio.sleep(1)
        yield item


def flat(results: list[Any]) -> list[int]:
    """Spread the tuples among the results."""
    return [item for each in results for item in (each if isinstance(each, tuple) else (each,))]


POISON = [(), (0,), (7,), (3, 4), (0, 7), (1, 2, 5), tuple(range(8)), (8,), (10,)]


@pytest.mark.parametrize("size", [1, 2, 3, 8, 11])
@pytest.mark.parametrize("answer", [listed, as_tuple, generated, generated_later])
async def test_skip_item_drops_only_items_that_fail_by_themselves(
    answer: Callable[..., Any], size: int
) -> None:
    """All others are in one result each, in order; the ledger and the counts agree."""
    for poison in POISON:

        def function(batch: list[int], poison: tuple[int, ...] = poison) -> Any:
            if any(item in poison for item in batch):
                raise Poison
            return answer(batch)

        task = batch_task(max_size=size, on_error="skip_item")(function)
        async with task(range(11)) as results:
            received = await results.collect()
            stats = results.stats()
        assert flat(received) == [item for item in range(11) if item not in poison]
        assert (stats.items_in, stats.skipped, stats.dropped) == (11, len(poison), 0)
        assert (stats.stages[0].items_in, stats.items_out) == (11, len(received))


async def test_items_that_fail_only_together_are_all_kept() -> None:
    """A batch that is too large for the function is split until its parts are not."""

    @batch_task(max_size=8, on_error="skip_item")
    def at_most_three(batch: list[int]) -> list[int]:
        if len(batch) > 3:
            raise Poison
        return batch

    async with at_most_three(range(20)) as results:
        assert await results.collect() == list(range(20))
        assert results.stats().skipped == 0


async def test_an_item_is_found_with_few_calls() -> None:
    """Of 64 items one is poison: 2 × log2(64) further calls, not 64."""
    calls: list[list[int]] = []
    task = batch_task(max_size=64, on_error="skip_item")(failing_on(37, log=calls))
    assert await task(range(64)).collect() == [item for item in range(64) if item != 37]
    assert len(calls) == 1 + 2 * 6


async def test_parts_are_called_in_order_and_one_at_a_time() -> None:
    """The concurrency limit holds for the parts of a batch as well."""
    running = most = 0
    firsts: list[int] = []

    @batch_task(max_size=4, on_error="skip_item")
    async def store(batch: list[int]) -> list[int]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(1)
        running -= 1
        if 2 in batch:
            raise Poison
        firsts.append(batch[0])
        return batch

    assert await store(range(8)).collect() == [0, 1, 3, 4, 5, 6, 7]
    assert most == 1
    assert firsts == sorted(firsts)


@both_modes
@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("answer", [listed, generated, generated_later])
async def test_poison_is_isolated_in_a_window_as_small_as_can_be(
    answer: Callable[..., Any], limit: int, mode: Any
) -> None:
    """Parts, results and further batches share the window without waiting for one another."""

    async def function(batch: list[int]) -> Any:
        await anyio.sleep(batch[0] % 3)
        if any(item % 5 == 2 for item in batch):
            raise Poison
        return answer(batch)

    task = batch_task(max_size=4, on_error="skip_item", concurrency_limit=limit)(function)
    pipeline = (task | batch_task(max_size=3)(listed)).with_context(
        max_in_flight=4 * limit + 2, execution_mode=mode
    )
    received = await pipeline(range(50)).collect()
    assert sorted(received) == [item for item in range(50) if item % 5 != 2]
    if mode == "ordered":
        assert received == sorted(received)


async def test_a_filtered_part_counts_as_filtered() -> None:
    """A part that gives ``None`` is no failure."""

    @batch_task(max_size=4, on_error="skip_item")
    def store(batch: list[int]) -> list[int] | None:
        if 1 in batch:
            raise Poison
        return None if 2 in batch else batch

    async with store(range(8)) as results:
        assert await results.collect() == [0, 4, 5, 6, 7]
        stats = results.stats()
    assert (stats.skipped, stats.stages[0].filtered) == (1, 1)


def give_each(batch: list[int]) -> Iterator[int]:
    for item in batch:
        if item == 1:
            raise Poison
        yield item


async def give_each_later(batch: list[int]) -> AsyncIterator[int]:
    for item in give_each(batch):
        await anyio.sleep(1)
        yield item


@pytest.mark.parametrize("function", [give_each, give_each_later])
@pytest.mark.parametrize("window", [3, 1000])
async def test_the_batch_of_a_generator_is_split_too(function: Any, window: int) -> None:
    """What it gives before it fails is not passed on, so nothing comes twice or goes missing."""
    task = batch_task(max_size=3, on_error="skip_item")(function)
    async with task.with_context(max_in_flight=window)(range(6)) as results:
        assert await results.collect() == [0, 2, 3, 4, 5]
        assert results.stats().skipped == 1


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_a_generator_of_many_values_is_not_kept_back(asynchronous: bool) -> None:
    """If it gives more than a thousand they go on; then the batch cannot be split any more."""

    def give(batch: list[int]) -> Iterator[int]:
        yield from range(1001)
        if batch[0] == 0:
            raise Poison
        yield 1001

    async def give_later(batch: list[int]) -> AsyncIterator[int]:
        for value in give(batch):
            await anyio.sleep(1)
            yield value

    task = batch_task(max_size=2, on_error="skip_item")(give_later if asynchronous else give)
    async with task.with_context(max_in_flight=5)(range(4)) as results:
        assert await results.collect() == [*range(1001), *range(1002)]
        assert results.stats().skipped == 2


async def test_a_generator_that_is_split_can_be_retried() -> None:
    """Nothing was passed on, so each attempt starts from nothing."""
    attempts: list[list[int]] = []

    @batch_task(max_size=3, on_error="skip_item", retry_attempts=2, retry_jitter=0)
    def store(batch: list[int]) -> Iterator[int]:
        attempts.append(batch)
        yield from batch
        if len(attempts) == 1:
            raise Poison

    assert await store(range(3)).collect() == [0, 1, 2]
    assert attempts == [[0, 1, 2], [0, 1, 2]]


async def test_an_error_handler_decides_before_anything_is_split() -> None:
    """It is given the whole batch, and wins over on_error."""
    seen: list[list[int]] = []

    class Decide(ErrorHandler):
        async def handle_error(self, error: Exception, item: Any, *_: Any) -> tuple[bool, Any]:
            seen.append(item)
            return True, None

    task = batch_task(max_size=4, on_error="skip_item", error_handler=Decide())(failing_on(1))
    async with task(range(8)) as results:
        assert await results.collect() == [4, 5, 6, 7]
        assert results.stats().skipped == 4
    assert seen == [[0, 1, 2, 3]]


# Functions that change the list that they are given


async def consume(batch: list[int]) -> list[int]:
    """Empty the batch; fail at 1."""
    done: list[int] = []
    while batch:
        done.append(batch.pop())
        if done[-1] == 1:
            raise Poison
    return done[::-1]


async def refuse(given: list[Any], batch: Any) -> None:
    """Note what comes, and fail."""
    given.append(batch)
    raise Poison


def told(error: Exception, batch: list[int]) -> Any:
    """Skip the batch, and leave nothing of the list."""
    batch.clear()
    return SKIP


@pytest.mark.parametrize(
    ("options", "results", "skipped"),
    [
        ({"on_error": "skip_batch"}, [4, 5, 6, 7], 4),
        ({"on_error": "skip_item"}, [0, 2, 3, 4, 5, 6, 7], 1),
        ({"on_error": told}, [4, 5, 6, 7], 4),
        ({"fallback": batch_task(max_size=4)(list)}, [0, 1, 2, 3, 4, 5, 6, 7], 0),
    ],
    ids=["skip_batch", "skip_item", "function", "fallback"],
)
async def test_a_function_may_empty_its_batch(options: Any, results: Any, skipped: int) -> None:
    """The list is its own; what becomes of the items is decided of the batch as it was."""
    task = batch_task(max_size=4, max_retries=1, retry_delay=0, **options)(consume)
    async with task(range(8)) as stream:
        assert await stream.collect() == results
        (stage,) = stream.stats().stages
    assert stage.skipped == skipped


async def test_what_a_function_that_empties_its_batch_raises_is_what_comes_out() -> None:
    """Nothing that follows from the empty list takes its place."""
    with pytest.raises(Poison):
        await batch_task(max_size=4)(consume)(range(8)).collect()


async def test_the_failures_of_a_batch_that_was_sorted_are_those_of_its_items() -> None:
    """Each with the index that it has in the input."""

    def sort_and_fail(batch: list[int]) -> None:
        batch.sort()
        raise Poison

    outcomes = await batch_task(max_size=4)(sort_and_fail).outcomes([30, 20, 10]).collect()
    failures = [each for each in outcomes if isinstance(each, Failure)]
    assert [(each.item, each.index) for each in failures] == [(30, 0), (20, 1), (10, 2)]


async def test_an_awaited_call_leaves_the_list_alone() -> None:
    """Its second attempt needs it, and so may the caller; what is no list is passed as it is."""
    batch = [1, 2]
    task = batch_task(max_size=4, max_retries=1, retry_delay=0, on_error="skip_batch")(consume)
    assert await task(batch) is None
    assert batch == [1, 2]
    given: list[Any] = []
    with pytest.raises(Poison):
        await batch_task(max_size=4)(partial(refuse, given))((1, 2))
    assert await batch_task(max_size=4, on_error="skip_batch")(partial(refuse, given))(5) is None
    assert given == [(1, 2), 5]


async def test_parts_that_wait_for_leave_were_called_with_before() -> None:
    """They are no calls of their own, neither when they are made nor while they wait."""

    @single_task(concurrency_limit=1)
    async def fetch(item: int) -> int:
        await anyio.sleep(1 if item < 3 else 5)
        return item

    @batch_task(max_size=2, on_error="skip_item")
    async def store(batch: list[int]) -> list[int]:
        await anyio.sleep(0.5)
        if 0 in batch:
            raise ValueError
        return batch

    calls: list[int] = []
    pipeline = (fetch | store).with_context(max_parallelism=1)
    async with pipeline(range(6)) as results, anyio.create_task_group() as tasks:
        tasks.start_soon(results.collect)
        for _ in range(48):
            await anyio.sleep(0.5)
            calls.append(results.stats().stages[1].calls)
    assert sorted(calls) == calls
    assert (calls[0], calls[-1]) == (0, 3)
