"""Where the time of a run goes, exactly; and its figures, which add up at any moment."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable
from importlib.util import find_spec
from typing import Any

import anyio
import pytest

from conveyor import (
    Adaptive,
    BaseTask,
    CircuitBreaker,
    Pipeline,
    Rate,
    RetryAfter,
    RunStatistics,
    SingleTask,
    StageStatistics,
    batch_task,
    single_task,
)
from conveyor._engine.stopwatch import Stopwatch
from conveyor.statistics import HeadOfLine, RunTimings, StageTimings
from helpers import current_time, ticks

LOOPS = ["asyncio", "trio"]
if find_spec("uvloop") is not None:
    LOOPS.append("uvloop")


def task(name: str, duration: float = 0.0, limit: Any = 100, **options: Any) -> BaseTask[Any, Any]:
    """Return a task whose calls take so long."""

    @single_task(task_name=name, concurrency_limit=limit, **options)
    async def call(item: Any) -> Any:
        await anyio.sleep(duration)
        return item

    return call


def timings_of(stats: RunStatistics, position: int = 0) -> StageTimings:
    timings = stats.stages[position].timings
    assert timings is not None
    return timings


def states_of(stats: RunStatistics, position: int = 0) -> tuple[float, float, float, float]:
    """Return how long the stage was saturated, held, blocked and starved."""
    times = timings_of(stats, position)
    states = times.saturated, times.held, times.blocked, times.starved
    assert sum(states) == pytest.approx(stats.duration)
    return tuple(round(each, 6) for each in states)  # type: ignore[return-value]


def waits_of(stats: RunStatistics) -> RunTimings:
    assert stats.timings is not None
    return stats.timings


async def finish(pipeline: Any, data: Any, **settings: Any) -> RunStatistics:
    """Run to the end, timed, and return the figures."""
    stream = Pipeline().add(pipeline).with_context(timings=True, **settings)(data)
    await stream.collect()
    stats: RunStatistics = stream.stats()
    return stats


async def every(interval: float, count: int) -> AsyncIterator[int]:
    for item in range(count):
        await anyio.sleep(interval)
        yield item


# The states of a stage


async def test_a_stage_is_saturated_by_as_many_calls_as_may_be() -> None:
    """Not by fewer: the last call of five is alone."""
    stats = await finish(task("fetch", 1.0, 2), range(5))
    assert stats.duration == 3
    assert states_of(stats) == (2, 0, 0, 1)
    assert timings_of(stats).busy == 5


async def test_a_stage_that_waits_for_the_source_is_starved() -> None:
    """And the source is what is waited for."""
    stats = await finish(task("fetch", 1.0, 1), every(3.0, 2))
    assert stats.duration == 7
    assert states_of(stats) == (2, 0, 0, 5)
    assert (waits_of(stats).source_wait, waits_of(stats).source_blocked) == (6, 0)
    assert waits_of(stats).consumer_wait == 7


async def test_a_stage_behind_a_slow_one_is_starved() -> None:
    """Although the source waits for room; the one before the slow one is blocked."""
    pipeline = task("before", 0, 1) | task("slow", 1.0, 1) | task("behind", 0.25, 1)
    stats = await finish(pipeline, range(10), max_in_flight=3)
    assert stats.duration == 10.25
    assert states_of(stats, 1) == (10, 0, 0, 0.25)
    assert states_of(stats, 2) == (2.5, 0, 0, 7.75)
    saturated, held, blocked, _ = states_of(stats, 0)
    assert (saturated, held) == (0, 0)
    assert blocked == round(waits_of(stats).source_blocked, 6) > 6


async def test_stages_before_a_slow_consumer_are_blocked() -> None:
    """Their results wait, and the source waits for room."""
    pipeline = (task("a", 0, 1) | task("b", 0, 1)).with_context(timings=True, max_in_flight=2)
    async with pipeline(range(6)) as results:
        async for _ in results:
            await anyio.sleep(1)
    stats = results.stats()
    assert stats.duration == 6
    assert waits_of(stats).consumer_wait == 0
    assert waits_of(stats).source_blocked == 4
    assert states_of(stats, 0) == states_of(stats, 1) == (0, 0, 4, 2)


async def test_a_generator_that_waits_for_room_is_blocked() -> None:
    """That is not part of its call, and not of its latency."""

    @single_task(concurrency_limit=1)
    async def expand(item: int) -> AsyncIterator[int]:
        for n in range(4):
            await anyio.sleep(0.5)
            yield n

    async def source() -> AsyncIterator[int]:
        yield 0
        await anyio.sleep(20)

    pipeline = Pipeline().add(expand).with_context(timings=True, max_in_flight=3)
    async with pipeline(source()) as results:
        async for _ in results:
            await anyio.sleep(2)
    stats = results.stats()
    assert timings_of(stats).busy == states_of(stats)[0] == 2
    assert waits_of(stats).source_blocked == 0
    blocked = states_of(stats)[2]
    assert states_of(stats) == (2, 0, blocked, 18 - blocked)
    assert blocked > 0.5
    latency = timings_of(stats).latency
    assert latency is not None
    assert latency.longest == 2


async def test_a_rate_limit_holds() -> None:
    """The time at which nothing is called although there is something."""
    stats = await finish(task("fetch", 0.25, 1, rate_limit=Rate(1, 1)), range(4))
    assert stats.duration == 3.25
    assert states_of(stats) == (1, 2.25, 0, 0)
    assert timings_of(stats).busy == 1


async def test_max_parallelism_holds() -> None:
    """Two stages, of which one may be at work."""
    pipeline = task("a", 1.0, 2) | task("b", 1.0, 2)
    stats = await finish(pipeline, range(2), max_parallelism=1)
    assert stats.duration == 4
    for position in (0, 1):
        assert timings_of(stats, position).busy == 2
        assert states_of(stats, position)[0] == 0
    assert sum(states_of(stats, n)[1] for n in (0, 1)) > 1


async def test_a_batch_stage_is_held_only_if_it_has_a_batch() -> None:
    """One that gathers waits for no share of the run's parallelism."""

    @batch_task(max_size=4)
    async def store(batch: list[int]) -> list[int]:
        await anyio.sleep(1)
        return batch

    stats = await finish(task("fetch", 1.0, 1) | store, range(4), max_parallelism=1)
    assert stats.duration == 5
    assert states_of(stats, 1) == (1, 0, 0, 4)


async def test_a_pause_holds() -> None:
    """The call that asked for it waits, and takes up no place meanwhile."""
    asked: list[int] = []

    @single_task(concurrency_limit=1, retry_attempts=2)
    async def fetch(item: int) -> int:
        if not asked:
            asked.append(item)
            raise RetryAfter(5)
        await anyio.sleep(1)
        return item

    stats = await finish(fetch, range(2))
    assert stats.duration == 7
    assert states_of(stats) == (2, 5, 0, 0)
    assert stats.stages[0].retried == 1


def failing_once(**options: Any) -> SingleTask[int, int]:
    """Return a task of one call at a time, of which the first fails and is repeated."""
    calls: list[int] = []

    @single_task(concurrency_limit=1, retry_attempts=2, **options)
    async def fetch(item: int) -> int:
        calls.append(item)
        await anyio.sleep(1)
        if len(calls) == 1:
            raise OSError
        return item

    return fetch


async def test_an_open_circuit_holds() -> None:
    """With ``when_open="wait"``."""
    breaker = CircuitBreaker(failures=1, reset_after=4, when_open="wait")
    stats = await finish(failing_once(retry_delay=0, circuit_breaker=breaker), range(2))
    assert stats.duration == 7
    assert states_of(stats) == (3, 4, 0, 0)


async def test_a_delay_before_another_attempt_is_part_of_the_call() -> None:
    """It takes up its place."""
    stats = await finish(failing_once(retry_delay=3, retry_jitter=0), range(1))
    assert states_of(stats) == (5, 0, 0, 0)
    assert timings_of(stats).busy == 5


async def test_a_key_holds() -> None:
    """Items of one key come one at a time, although there is room for more calls."""
    stats = await finish(task("fetch", 1.0, 3, key=lambda item: item % 2), range(5))
    assert stats.duration == 3
    # Two calls of two keys with others behind them, and one at last with nothing behind it.
    assert states_of(stats) == (0, 2, 0, 1)


async def test_a_look_into_a_cache_is_work_but_no_call() -> None:
    """A slow store makes the stage busy, and its calls take no longer."""

    class Store:
        def __init__(self) -> None:
            self.kept: dict[Any, Any] = {0: "kept"}

        async def get(self, key: Any, default: Any) -> Any:
            await anyio.sleep(2)
            return self.kept.get(key, default)

        async def set(self, key: Any, value: Any) -> None:
            self.kept[key] = value

    stats = await finish(task("fetch", 1.0, 1, cache=Store()), range(2))
    assert stats.duration == 5
    assert states_of(stats) == (5, 0, 0, 0)
    assert timings_of(stats).busy == 1
    assert (stats.stages[0].calls, stats.stages[0].cache_hits) == (1, 1)
    # Nor does the item wait for itself.
    stats = await finish(task("fetch", 1.0, 2, cache=Store()), [0])
    assert states_of(stats) == (0, 0, 0, 2)


async def test_an_adaptive_limit_counts_as_it_was() -> None:
    """When it falls, what was below it before was so."""

    @single_task(concurrency_limit=Adaptive(4, max=4, throttled_by=OSError), on_error="skip_item")
    async def fetch(item: int) -> int:
        await anyio.sleep(1)
        raise OSError

    stats = await finish(fetch, range(3))
    assert stats.stages[0].limit < 4
    assert states_of(stats) == (0, 0, 0, 1)


async def test_a_process_task_that_waits_for_items_is_starved() -> None:
    """And one that reads ahead while it gives is paused as long as it waits for either."""

    class ReadsAhead(BaseTask[int, int]):
        async def process(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
            send, receive = anyio.create_memory_object_stream[int](100)

            async def read() -> None:
                async with send:
                    async for item in items:
                        await send.send(item)

            async with anyio.create_task_group() as readers:
                readers.start_soon(read)
                async with receive:
                    async for item in receive:
                        yield item

    pipeline = Pipeline().add(ReadsAhead(task_name="ahead"))
    pipeline = pipeline.with_context(timings=True, max_in_flight=3)
    async with pipeline(every(1.0, 6)) as results:
        async for _ in results:
            await anyio.sleep(3)
            assert results.stats().stages[0].in_flight in (0, 1)
    stats = results.stats()
    assert stats.duration == 19
    assert timings_of(stats).busy == states_of(stats)[0] == 0


async def test_the_first_stage_of_an_idle_run_is_starved() -> None:
    """What is waited for is the source, wherever a stage is."""
    stats = await finish(task("a") | task("b"), every(5, 1))
    assert states_of(stats, 0) == states_of(stats, 1) == (0, 0, 0, 5)


async def test_in_many_stages_each_moment_is_charged_once() -> None:
    """Also when a long line of them is blocked at once, and goes on at once."""
    pipeline = Pipeline().add(*[task(f"task{n}", 0, 1) for n in range(200)])
    async with pipeline.with_context(timings=True, max_in_flight=1)(range(3)) as results:
        async for _ in results:
            await anyio.sleep(1)
    stats = results.stats()
    assert {states_of(stats, n) for n in range(200)} == {(0, 0, 2, 1)}


# What is not of a stage


@pytest.mark.parametrize("kind", [iter, list])
async def test_a_source_that_does_not_wait(kind: Callable[..., Any]) -> None:
    """The source may be of any kind."""
    stats = await finish(task("fetch", 1.0, 1), kind(range(3)), max_in_flight=1)
    assert (waits_of(stats).source_wait, waits_of(stats).source_blocked) == (0, 3)
    assert states_of(stats) == (3, 0, 0, 0)


async def test_the_consumer_waits_for_what_is_not_ready() -> None:
    """What it does with results is left of the duration."""
    async with (
        Pipeline().add(task("fetch", 2.0, 1)).with_context(timings=True)(range(3)) as results
    ):
        async for _ in results:
            await anyio.sleep(0.5)
    stats = results.stats()
    assert stats.duration == 6.5
    assert waits_of(stats).consumer_wait == 5


async def test_cpu_and_memory_are_those_of_the_process() -> None:
    """More than none, and the same after the end."""
    stats = await finish(task("fetch"), range(1000))
    assert 0 < waits_of(stats).cpu < 60
    peak = waits_of(stats).peak_memory
    assert peak is None or peak > 1_000_000


def test_a_function_that_stands_in_the_way_is_measured() -> None:
    """For how long the event loop stood still in it; not the time that it awaits."""
    now = 0.0

    def block() -> None:
        nonlocal now
        now += 3

    stopwatch = Stopwatch(lambda: now)
    with stopwatch:
        block()
        assert stopwatch.elapsed == 3
    now += 5
    assert stopwatch.elapsed == 3
    assert not stopwatch.is_running
    with pytest.raises(LookupError), stopwatch:
        now += 1
        raise LookupError
    assert stopwatch.elapsed == 4


# Latencies


async def test_latencies_are_those_of_calls_with_their_retries() -> None:
    """Quantiles to one per cent, and the longest exactly."""

    @single_task
    async def fetch(item: int) -> int:
        await anyio.sleep(item / 100)
        return item

    stats = await finish(fetch, range(101))
    latency = timings_of(stats).latency
    assert latency is not None
    assert latency.p50 == pytest.approx(0.5, rel=0.01)
    assert latency.p95 == pytest.approx(0.95, rel=0.01)
    assert latency.p99 == pytest.approx(0.99, rel=0.01)
    assert latency.longest == 1


async def test_before_a_call_has_ended_there_is_no_latency() -> None:
    """And the figures count up to now."""
    stream = Pipeline().add(task("fetch", 5.0, 1)).with_context(timings=True)(range(2))
    async with stream as results:
        assert stream.stats().duration == 0
        await anyio.sleep(2)
        stats = results.stats()
        assert states_of(stats) == (2, 0, 0, 0)
        assert timings_of(stats).latency is None
        assert waits_of(stats).consumer_wait == 0
        await anext(results)
        assert waits_of(results.stats()).consumer_wait == 3


# However a run ends, the figures stay as they are


async def endings() -> list[RunStatistics]:
    """Return the figures of runs that have failed, been left or cancelled after two seconds."""
    pipeline = Pipeline().add(task("fetch", 5.0, 1)).with_context(timings=True)

    async def failing() -> AsyncIterator[int]:
        yield 0
        await anyio.sleep(2)
        raise LookupError

    failed = pipeline(failing())
    with pytest.raises(LookupError):
        await failed.collect()
    left = pipeline(range(2))
    async with left:
        await anyio.sleep(2)
    cancelled = pipeline(range(2))
    with anyio.move_on_after(2):
        await cancelled.collect()
    found = [each.stats() for each in (failed, left, cancelled)]
    await anyio.sleep(10)
    assert [each.stats() for each in (failed, left, cancelled)] == found
    return found


async def test_figures_stay_as_they_are_after_the_end() -> None:
    """A run that fails, is left or cancelled has had its time until then."""
    for stats in await endings():
        assert stats.duration == 2
        assert states_of(stats) == (2, 0, 0, 0)
        assert (stats.head, stats.ready, stats.stages[0].in_flight) == (None, 0, 0)
        assert stats.stages[0].items_out == 0


async def test_no_count_goes_back_when_a_run_ends() -> None:
    """What waits in queues and batches has come in, though nobody will take it."""

    @batch_task(max_size=5)
    async def store(batch: list[int]) -> list[int]:
        return batch

    pipeline = Pipeline().add(task("fetch", 1.0, 3)) | store
    async with pipeline(range(10)) as results:
        await anyio.sleep(1.5)
        before = results.stats()
    after = results.stats()
    assert [each.items_in for each in before.stages] == [10, 3]
    for old, new in zip(before.stages, after.stages, strict=True):
        assert (old.items_in, old.items_out) == (new.items_in, new.items_out)
        assert (new.queued, new.in_flight) == (0, 0)


# Figures that add up at any moment, also without timings


def check_sums(stats: RunStatistics) -> None:
    """Check a run of stages in one chain, whose items become one or none."""
    before = stats.items_in
    for stage in stats.stages:
        assert stage.items_in == before
        gone = stage.filtered + stage.skipped + stage.diverted + stage.failed
        assert stage.items_in == stage.items_out + gone + stage.in_flight + stage.queued
        before = stage.items_out
    failed = sum(stage.failed for stage in stats.stages)
    assert stats.items_out + stats.ready == before + failed
    gone = stats.items_in - before - failed
    inside = sum(stage.in_flight + stage.queued for stage in stats.stages)
    left = sum(stage.filtered + stage.skipped + stage.diverted for stage in stats.stages)
    assert gone == inside + left


@pytest.mark.parametrize("timings", [False, True])
@pytest.mark.parametrize("is_plain", [False, True])
@pytest.mark.parametrize("outcomes", [False, True])
async def test_counts_add_up_wherever_they_are_taken(
    timings: bool, is_plain: bool, outcomes: bool
) -> None:
    """In a function, by the consumer, and by another task; on the fast path and on the general."""
    taken: list[RunStatistics] = []
    options: dict[str, Any] = {} if is_plain else {"retry_attempts": 2, "retry_delay": 1}

    def look() -> None:
        taken.append(stream.stats())
        check_sums(taken[-1])

    @single_task(concurrency_limit=3, on_error="fail" if outcomes else "skip_item", **options)
    async def first(item: int) -> int | None:
        look()
        await anyio.sleep(item % 4)
        look()
        if item % 5 == 1:
            raise LookupError
        return None if item % 5 == 2 else item

    @single_task(concurrency_limit=2)
    def second(item: int) -> int:
        look()
        return item

    @single_task(concurrency_limit=2, rate_limit=Rate(2, 1))
    async def third(item: int) -> int:
        look()
        await ticks(item % 3)
        return item

    pipeline = (first | second | third).with_context(timings=timings, max_in_flight=7)
    stream = (pipeline.outcomes if outcomes else pipeline)(range(30))
    async with anyio.create_task_group() as others:

        async def watch() -> None:
            while True:
                await anyio.sleep(0.3)
                look()

        async with stream as results:
            others.start_soon(watch)
            async for _ in results:
                look()
                await anyio.sleep(0.1)
        others.cancel_scope.cancel()
    look()
    assert stream.stats().items_in == 30
    assert any(stats.ready for stats in taken)
    assert any(stats.stages[0].queued for stats in taken)
    assert any(stats.held for stats in taken)
    assert stream.stats().held == 0


async def test_an_item_of_many_keys_is_in_one_figure() -> None:
    """Those that wait for their key are queued."""
    stream = Pipeline().add(task("fetch", 1.0, 3, key=lambda item: item % 2))(range(6))
    async with stream as results:
        await anyio.sleep(0.5)
        check_sums(results.stats())
        stage = results.stats().stages[0]
        assert (stage.items_in, stage.in_flight, stage.queued) == (6, 2, 4)
        async for _ in results:
            check_sums(results.stats())


async def test_a_process_gives_what_it_gives() -> None:
    """What it has taken has not been passed on by that; and it is one call."""
    seen: list[StageStatistics] = []

    class Sum(BaseTask[int, int]):
        async def process(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
            total = 0
            async for item in items:
                total += item
                seen.append(stream.stats().stages[0])
            yield total

    stream = Pipeline().add(Sum(task_name="sum"))([1, 2, 3])
    assert await stream.collect() == [6]
    assert [(each.items_in, each.items_out, each.in_flight) for each in seen] == [
        (1, 0, 1),
        (2, 0, 1),
        (3, 0, 1),
    ]
    last = stream.stats().stages[0]
    assert (last.items_in, last.items_out, last.in_flight) == (3, 1, 0)


async def test_parts_of_a_failing_batch_have_not_been_passed_on() -> None:
    """While the halves are being tried."""
    seen: list[int] = []

    @batch_task(max_size=4, on_error="skip_item")
    async def store(batch: list[int]) -> list[int]:
        seen.append(stream.stats().stages[0].items_out)
        await ticks(3)
        if 2 in batch:
            raise LookupError
        return batch

    stream = Pipeline().add(store)(range(4))
    assert await stream.collect() == [0, 1, 3]
    # The whole, the first half, the second one, and its items.
    assert seen == [0, 0, 2, 2, 2]
    stage = stream.stats().stages[0]
    assert (stage.items_in, stage.items_out, stage.skipped) == (4, 3, 1)


async def test_a_second_attempt_that_waits_leaves_the_first_in_flight() -> None:
    """Nor is the item queued because of it."""
    pipeline = Pipeline().add(task("fetch", 4.0, 1, hedge_after=1, rate_limit=Rate(1, 3)))
    async with pipeline.with_context(timings=True)(range(1)) as results:
        await anyio.sleep(2)
        stage = results.stats().stages[0]
        assert (stage.in_flight, stage.queued, stage.hedged) == (1, 0, 0)
        assert states_of(results.stats()) == (2, 0, 0, 0)
        await anyio.sleep(1.5)
        assert results.stats().stages[0].hedged == 1


async def test_a_retry_that_waits_for_a_rate_is_queued() -> None:
    """It is not in flight, and takes up no place."""

    @single_task(concurrency_limit=1, retry_attempts=2, retry_delay=0, rate_limit=Rate(1, 10))
    async def fetch(item: int) -> int:
        if current_time() < 5:
            raise LookupError
        return item

    async with Pipeline().add(fetch).with_context(timings=True)(range(1)) as results:
        await anyio.sleep(6)
        stage = results.stats().stages[0]
        assert (stage.in_flight, stage.queued, stage.items_in) == (0, 1, 1)
        assert states_of(results.stats()) == (0, 6, 0, 0)
        assert await anext(results) == 0


@pytest.mark.parametrize("timings", [False, True])
async def test_another_thread_may_look(timings: bool) -> None:
    """As often as it likes, while the run goes on; nothing is lost or charged by that."""

    @batch_task(max_size=3, batch_by=lambda item: item % 7)
    async def store(batch: list[int]) -> list[int]:
        return batch

    @single_task(key=lambda item: item % 5)
    async def keyed(item: int) -> int:
        await ticks(1)
        return item

    pipeline = keyed | store | task("fetch", 0, 2)
    stream = pipeline.with_context(timings=timings, max_in_flight=40)(range(500))
    problems: list[BaseException] = []
    is_over = threading.Event()
    looks = 0

    def look() -> None:
        nonlocal looks
        while not is_over.is_set():
            try:
                stats = results.stats()
                str(results.report())
                # What changes meanwhile may be seen in one figure and not yet in another, but no
                # item is seen further on than it has come.
                assert stats.items_in >= stats.items_out >= 0
                if timings:
                    assert min(states_of_any(stats)) >= 0
                looks += 1
            except BaseException as error:
                problems.append(error)
                return

    async with stream as results:
        looker = threading.Thread(target=look)
        looker.start()
        try:
            count = len([each async for each in results])
        finally:
            is_over.set()
            looker.join()
    assert not problems
    assert (count, looks > 0) == (500, True)


def states_of_any(stats: RunStatistics) -> list[float]:
    """Return the times of all stages at a moment at which others may change them."""
    return [
        time
        for stage in stats.stages
        if stage.timings is not None
        for time in (stage.timings.saturated, stage.timings.held, stage.timings.starved)
    ]


# The head of the line


async def test_the_head_of_an_ordered_run() -> None:
    """The first item that is not delivered; where it is, and for how long, if that is known."""

    @single_task(task_name="fetch", concurrency_limit=3)
    async def fetch(item: int) -> int:
        await anyio.sleep(10 if item == 0 else 1)
        return item

    pipeline = Pipeline().add(fetch) | task("store", 2.0, 1)
    async with pipeline.with_context(timings=True)(range(3)) as results:
        await anyio.sleep(4)
        assert results.stats().head == HeadOfLine(0, "fetch", 4)
        assert results.stats().ready == 1
        await anyio.sleep(1.5)
        assert results.stats().ready == 2
        await anyio.sleep(5.5)
        assert results.stats().head == HeadOfLine(0, "store", 1)
        await anyio.sleep(2)
        assert results.stats().head == HeadOfLine(0, None)
        assert results.stats().ready == 3
        assert await anext(results) == 0
        # The others have left the line with it.
        assert (results.stats().head, results.stats().ready) == (None, 2)


async def test_the_head_without_timings() -> None:
    """It is known where it is as long as one task only is at work."""
    pipeline = task("fetch", 1.0, 1) | task("store", 1.0, 1)
    async with pipeline(range(1)) as results:
        await anyio.sleep(0.5)
        assert results.stats().head == HeadOfLine(0, "fetch")
        await anyio.sleep(1)
        assert results.stats().head == HeadOfLine(0, "store")
    assert results.stats().head is None


async def test_the_head_is_queued() -> None:
    """Behind the calls of items that become later ones' predecessors no more."""

    async with Pipeline().add(task("fetch", 1.0, 1, key=lambda _: 0))(range(2)) as results:
        assert await anext(results) == 0
        assert results.stats().head == HeadOfLine(1, "fetch")


async def test_the_head_is_what_one_who_collects_waits_for() -> None:
    """Not a result that stays in the line only since the consumer takes several at once."""

    @single_task(concurrency_limit=100)
    async def fetch(item: int) -> int:
        await (anyio.sleep_forever() if item == 40 else anyio.sleep(1 if item else 0.5))
        return item

    async with fetch(range(41)) as results, anyio.create_task_group() as tasks:
        tasks.start_soon(results.collect)
        await anyio.sleep(9)
        assert results.stats().head == HeadOfLine(40, "fetch")
        tasks.cancel_scope.cancel()


async def test_the_head_is_being_gathered() -> None:
    """The item that has waited for longest for a batch."""

    @batch_task(task_name="store", max_size=3)
    async def store(batch: list[int]) -> list[int]:
        return batch

    async with Pipeline().add(store)(every(1.0, 3)) as results:
        await anyio.sleep(2.5)
        stats = results.stats()
        assert stats.head == HeadOfLine(0, "store")
        assert (stats.stages[0].items_in, stats.stages[0].queued) == (2, 2)


@pytest.mark.parametrize(
    "options", [{"batch_by": lambda item: item}, {"max_weight": 9, "weight": int}]
)
async def test_the_head_is_being_gathered_with_others_like_it(options: dict[str, Any]) -> None:
    """Of several batches the one that began first."""

    @batch_task(task_name="store", max_size=3, **options)
    async def store(batch: list[int]) -> list[int]:
        return batch

    async with Pipeline().add(store)(every(1.0, 3)) as results:
        await anyio.sleep(2.5)
        assert results.stats().head == HeadOfLine(0, "store")


async def test_without_an_order_there_is_no_head() -> None:
    """Nobody waits for anybody."""
    pipeline = Pipeline().add(task("fetch", 1.0, 1)).with_context(execution_mode="as_completed")
    async with pipeline(range(2)) as results:
        await anyio.sleep(0.5)
        assert results.stats().head is None


async def test_what_is_held_is_within_the_window() -> None:
    """Both can be seen, also while the consumer keeps a lot of results for itself."""
    pipeline = task("fetch").with_context(max_in_flight=100)
    async with pipeline(range(1000)) as results:
        async for _ in results:
            stats = results.stats()
            assert 0 <= stats.held <= stats.window == 100
            assert stats.ready <= stats.held
    assert results.stats().held == results.stats().ready == 0


# Real clocks


@pytest.mark.parametrize("backend", LOOPS)
def test_real_clocks_measure_what_stands_still(backend: str) -> None:
    """Also one that shows the same time during a turn of the event loop."""

    @single_task(concurrency_limit=1)
    def block(item: int) -> int:
        time.sleep(0.02)
        return item

    async def main() -> RunStatistics:
        return await finish(block, range(3))

    options = {"use_uvloop": True} if backend == "uvloop" else {}
    name = "asyncio" if options else backend
    stats = anyio.run(main, backend=name, backend_options=options)
    assert 0.06 <= timings_of(stats).blocking <= timings_of(stats).busy <= stats.duration < 5
    latency = timings_of(stats).latency
    assert latency is not None
    assert latency.longest >= 0.02


async def test_the_length_is_told_only_if_it_is_known() -> None:
    """Not of data that is being iterated by then, as if it were one item."""
    stream = task("fetch")(range(3))
    await stream.collect()
    run: Any = stream._run  # type: ignore[attr-defined]
    assert run.source.total is None
