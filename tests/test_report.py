"""Reports: what limits a run, what to change, and that changing it helps."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import anyio
import pytest

from conveyor import (
    Adaptive,
    BaseTask,
    Pipeline,
    Rate,
    RetryAfter,
    RunReport,
    batch_task,
    single_task,
)
from conveyor.observing import StageInfo
from conveyor.report_table import seconds
from conveyor.statistics import (
    Latency,
    RunStatistics,
    RunTimings,
    StageStatistics,
    StageTimings,
)
from helpers import current_time

# Reports made by hand, of runs of ten seconds

TEN = 10.0
QUICK = Latency(0.02, 0.05, 0.08, 0.1)
IDLE = StageTimings(
    busy=0.0, saturated=0.0, held=0.0, blocked=0.0, starved=TEN, blocking=0.0, latency=QUICK
)
COUNTS = StageStatistics(
    task_name="fetch",
    items_in=100,
    items_out=100,
    calls=100,
    filtered=0,
    skipped=0,
    dropped=0,
    retried=0,
    limit=4,
)
WAITS = RunTimings(
    source_wait=0.0, source_blocked=0.0, consumer_wait=TEN, cpu=1.0, peak_memory=64_000_000
)
STATISTICS = RunStatistics(
    items_in=1000, stages=(COUNTS,), items_out=990, duration=TEN, window=50, timings=WAITS
)
STAGE = StageInfo(0, "fetch", "single")


def report_of(
    timings: StageTimings = IDLE,
    counts: StageStatistics = COUNTS,
    stage: StageInfo = STAGE,
    **waits: float | None,
) -> RunReport:
    """Return a report of a run of one stage."""
    statistics = replace(
        STATISTICS,
        stages=(replace(counts, timings=timings),),
        timings=replace(WAITS, **waits),
    )
    return RunReport("id", "completed", (stage,), statistics)


def advice_of(report: RunReport) -> str:
    assert report.bottleneck is not None
    assert report.bottleneck.advice == report.advice
    return report.advice


def test_a_slow_source_is_named() -> None:
    """It was waited for, for most of the time."""
    report = report_of(source_wait=9.5)
    assert advice_of(report) == (
        "The source limits this run: for 95% of the time its next item was waited for. Let it "
        "fetch more at a time, or ahead; a blocking iterator is read ahead by from_thread()."
    )
    bottleneck = report.bottleneck
    assert bottleneck is not None
    assert (bottleneck.kind, bottleneck.position, bottleneck.task_name) == ("source", None, None)
    assert bottleneck.share == pytest.approx(0.95)


def test_a_slow_consumer_is_named() -> None:
    """It did not wait, for most of the time."""
    assert advice_of(report_of(consumer_wait=1.0)) == (
        "The consumer limits this run: for 90% of the time it was busy with results it had, and "
        "not waiting. Do less with each of them, or make that a task of the pipeline."
    )


def saturated(share: float = 0.8, **others: Any) -> StageTimings:
    return replace(IDLE, saturated=share * TEN, starved=(1 - share) * TEN, **others)


def test_a_saturated_task_is_named() -> None:
    """All the calls that it may have were in flight."""
    report = report_of(saturated())
    assert advice_of(report) == (
        "Task 'fetch' limits this run: for 80% of the time all of its 4 calls were in flight "
        "(median 20 ms). Raise its concurrency_limit (4 at present) or make its calls shorter."
    )
    bottleneck = report.bottleneck
    assert bottleneck is not None
    assert (bottleneck.kind, bottleneck.position, bottleneck.task_name) == ("stage", 0, "fetch")


def test_a_limit_of_one_is_one_call() -> None:
    """And before the first has ended nobody knows how long they take."""
    report = report_of(saturated(latency=None), replace(COUNTS, limit=1))
    assert advice_of(report) == (
        "Task 'fetch' limits this run: for 80% of the time its one call was in flight. Raise its "
        "concurrency_limit (1 at present) or make its calls shorter."
    )


BATCHES = replace(COUNTS, limit=1, batch_size=10, batch_items=80)


@pytest.mark.parametrize(
    ("trigger", "cure"),
    [
        ("size", "Let its batches hold more than 10 items (max_size), raise"),
        ("weight", "Let its batches weigh more (max_weight; 4 items on average), raise"),
        ("age", "Let its batches wait longer to fill up (max_wait; 4 items on average), raise"),
        (
            "room",
            (
                "Let the run hold more items, so that batches fill up (max_in_flight; 4 items on "
                "average), raise"
            ),
        ),
        ("end", "Raise"),
    ],
)
def test_batches_should_be_larger(trigger: Any, cure: str) -> None:
    """It depends on why they left as small as they were."""
    stage = replace(STAGE, kind="batch")
    report = report_of(saturated(), replace(BATCHES, triggers={trigger: 20}), stage)
    assert f"(median 20 ms). {cure} its concurrency_limit (1 at present) or make" in report.advice


def test_an_adaptive_limit_needs_no_raise() -> None:
    """It is as high as it should be."""
    report = report_of(saturated(), stage=replace(STAGE, is_adaptive=True))
    assert report.advice.endswith(
        "Its Adaptive limit has come to 4, so more would not help: make its calls shorter."
    )


@pytest.mark.parametrize(("cpu", "named"), [(9.0, "parse"), (1.0, "store")])
def test_of_tasks_that_compute_the_busiest_is_named(cpu: float, named: str) -> None:
    """They slow each other down, so which of them is saturated longest says little."""
    busy = replace(COUNTS, task_name="parse", timings=saturated(0.9, busy=18.0))
    slowed = replace(COUNTS, task_name="store", timings=saturated(0.95, busy=9.5))
    waits = replace(WAITS, cpu=cpu)
    statistics = replace(STATISTICS, stages=(busy, slowed), timings=waits)
    stages = (StageInfo(0, "parse", "single"), StageInfo(1, "store", "batch"))
    bottleneck = RunReport("id", "completed", stages, statistics).bottleneck
    assert bottleneck is not None
    assert bottleneck.task_name == named


def test_what_may_compute_is_told_of_processes() -> None:
    """If much is computed, but others may be using the processors as well."""
    advice = report_of(saturated(), cpu=5.0).advice
    assert "concurrency_limit" in advice
    assert advice.endswith(
        " If they compute (this process did, for 50% of the time), they are quicker in other "
        "processes, with anyio.to_process.run_sync()."
    )
    assert "to_process" not in report_of(saturated(), cpu=3.9).advice


def test_what_computes_needs_processes() -> None:
    """More calls at once share the same interpreter."""
    report = report_of(saturated(), cpu=9.0)
    assert "all of its 4 calls were in flight" in report.advice
    assert report.advice.endswith(
        "let other processes do the work, with anyio.to_process.run_sync()."
    )


def test_a_process_task_is_to_be_split() -> None:
    """It has one call and no limit that could be raised."""
    report = report_of(saturated(), stage=replace(STAGE, kind="process"))
    assert advice_of(report) == (
        "Task 'fetch' limits this run: for 80% of the time it worked on the stream. Make it "
        "quicker, or split it into tasks."
    )


@pytest.mark.parametrize("limit", [1, 4])
def test_a_blocking_function_is_named(limit: int) -> None:
    """More calls at once would not help, also where all that may be were in flight."""
    timings = saturated(0.82 if limit == 1 else 0.0, blocking=0.8 * TEN)
    assert advice_of(report_of(timings, replace(COUNTS, limit=limit))) == (
        "Task 'fetch' limits this run: for 80% of the time the event loop stood still in its "
        "function, which is not async. Let it run in a worker thread, with "
        "anyio.to_thread.run_sync(), or in a process if it computes."
    )


def test_a_little_blocking_is_not_the_reason() -> None:
    """The calls take longer than the event loop stands still for them."""
    report = report_of(saturated(0.9, blocking=0.5 * TEN))
    assert "all of its 4 calls were in flight" in report.advice


HELD = replace(IDLE, held=0.7 * TEN, starved=0.3 * TEN)


@pytest.mark.parametrize(
    ("brakes", "text"),
    [
        (
            ("rate_limit",),
            "for its rate_limit. Raise its rate_limit, if the other side can take more.",
        ),
        (("circuit breaker",), "for its circuit breaker. See why so many of its calls fail."),
        (("key",), "for earlier items of their key. Choose a key that fewer items share."),
        (("cache",), "for equal items before them. Let fewer of those come together."),
        (("max_parallelism",), "for the run's max_parallelism. Raise max_parallelism."),
        (
            ("rate_limit", "max_parallelism"),
            (
                "for its rate_limit or the run's max_parallelism. Raise its rate_limit, if the "
                "other side can take more; or raise max_parallelism."
            ),
        ),
        (
            (),
            ", since errors asked for a pause (RetryAfter). Call less often, with a rate_limit.",
        ),
    ],
)
def test_what_holds_calls_back_is_named(brakes: tuple[str, ...], text: str) -> None:
    """Each setting by which a task may be held back, and what to do about it."""
    waited = "its calls waited" + ("" if text[0] == "," else " ")
    assert advice_of(report_of(HELD, stage=replace(STAGE, brakes=brakes))) == (
        f"Task 'fetch' limits this run: for 70% of the time {waited}{text}"
    )


def test_a_window_that_is_too_small_is_named() -> None:
    """Only if nobody else is the reason for its being full."""
    report = report_of(source_blocked=9.0)
    assert report.bottleneck is not None
    assert report.bottleneck.kind == "window"
    assert advice_of(report) == (
        "The window limits this run: for 90% of the time it held as many items as it may (50), "
        "although no task had all the calls that it may have. Raise max_in_flight; or, if one "
        "slow item keeps the others waiting for their turn, take the results as they are completed."
    )
    report = report_of(saturated(0.5), source_blocked=9.0)
    assert report.bottleneck is not None
    assert report.bottleneck.kind == "stage"


def test_nothing_stands_out() -> None:
    """Whatever has taken less than two fifths of the time is no bottleneck."""
    report = report_of(saturated(0.39), source_wait=3.9, source_blocked=3.9, consumer_wait=6.1)
    assert report.bottleneck is None
    assert report.advice == "Nothing limits this run for most of its time."
    report = report_of(cpu=9.0)
    assert report.advice == (
        "Nothing limits this run for most of its time. It computes all the time: what its "
        "functions do, and the event loop, take it."
    )


def test_without_timings_nothing_is_known() -> None:
    """And it says how to know it."""
    statistics = replace(STATISTICS, timings=None)
    report = RunReport("id", "completed", (STAGE,), statistics)
    assert report.bottleneck is None
    assert report.advice == (
        "What limits this run is not known, since nothing was timed; with_context(timings=True) "
        "tells."
    )


def test_of_several_the_worst_is_named() -> None:
    """The one that took the largest share of the time."""
    second = replace(COUNTS, task_name="store", timings=saturated(0.9))
    statistics = replace(
        STATISTICS, stages=(replace(COUNTS, timings=saturated(0.6)), second), timings=WAITS
    )
    stages = (STAGE, StageInfo(1, "store", "single"))
    report = RunReport("id", "completed", stages, statistics)
    assert report.bottleneck is not None
    assert (report.bottleneck.position, report.bottleneck.task_name) == (1, "store")


# The table


def test_the_table_shows_what_there_is() -> None:
    """Columns that say nothing are left out."""
    counts = replace(COUNTS, items_in=1234, skipped=3, retried=40)
    assert str(report_of(saturated(busy=31.0), counts)).splitlines()[:5] == [
        "pipeline completed in 10 s: 1,000 items in, 990 out",
        (
            "waited 0 for the source, 0 for room, consumer waited 10 s; processor time 1 s, peak "
            "memory 64 MB"
        ),
        "",
        (
            "task      in  out  calls  skipped  retried  limit  busy  saturated  starved    p50"
            "    p95    p99"
        ),
        (
            "fetch  1,234  100    100        3       40      4  31 s        8 s      2 s  20 ms"
            "  50 ms  80 ms"
        ),
    ]


def test_the_table_without_timings() -> None:
    """Counts, and how to get more."""
    report = RunReport("id", "completed", (STAGE,), replace(STATISTICS, timings=None))
    assert str(report).splitlines() == [
        "pipeline completed in 10 s: 1,000 items in, 990 out",
        "",
        "task    in  out  calls  limit",
        "fetch  100  100    100      4",
        "",
        report.advice,
    ]


def test_names_keep_their_place_in_the_table() -> None:
    """Whatever they are made of."""
    odd = replace(COUNTS, task_name="a\nb\tc")
    lines = str(replace(report_of(counts=odd), stages=(replace(STAGE, task_name="a"),)))
    assert "\n'a\\nb\\tc'  100" in lines


def test_a_peak_that_is_not_known_is_left_out() -> None:
    """Not every system tells."""
    assert str(report_of(peak_memory=None)).splitlines()[1].endswith("processor time 1 s")


def test_batches_show_how_full_they_are() -> None:
    """How many items there were on average, of how many there may be."""
    counts = replace(BATCHES, triggers={"age": 20})
    assert "4/10" in str(report_of(counts=counts))
    counts = replace(BATCHES, triggers={"size": 2}, batch_items=24_690, batch_size=12_345)
    assert "12,345/12,345" in str(report_of(counts=counts))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1e-9, "0.001 us"),
        (0.0000015, "1.5 us"),
        (0.00099949, "999 us"),
        (0.0009996, "1 ms"),
        (0.0204, "20.4 ms"),
        (0.9994, "999 ms"),
        (0.99951, "1 s"),
        (1, "1 s"),
        (12.34, "12.3 s"),
        (99.96, "100 s"),
        (1234.5, "1,234 s"),
    ],
)
def test_times_for_people(value: float, text: str) -> None:
    """Three digits, or as many as there are before the point."""
    assert seconds(value) == text


# Real runs, in virtual time


async def report_on(pipeline: Any, data: Any, **settings: Any) -> RunReport:
    """Run a pipeline with timings to its end."""
    stream = pipeline.with_context(timings=True, **settings)(data)
    await stream.collect()
    report: RunReport = stream.report()
    assert report.outcome == "completed"
    return report


def task(name: str, duration: float = 0.0, limit: int = 100, **options: Any) -> BaseTask[Any, Any]:
    """Return a task whose calls take so long."""

    @single_task(task_name=name, concurrency_limit=limit, **options)
    async def call(item: Any) -> Any:
        await anyio.sleep(duration)
        return item

    return call


async def arriving_every(interval: float, count: int = 20) -> AsyncIterator[int]:
    for item in range(count):
        await anyio.sleep(interval)
        yield item


async def test_acting_on_a_slow_source_helps() -> None:
    """It is waited for all the time; if it gives more at a time, the run is faster."""
    pipeline = task("work", 0.2) | task("more", 0.2)
    slow = await report_on(pipeline, arriving_every(1.0))
    assert slow.bottleneck is not None
    assert (slow.bottleneck.kind, slow.statistics.duration) == ("source", 20.4)
    quick = await report_on(pipeline, arriving_every(0.1))
    assert quick.statistics.duration == pytest.approx(2.4)


async def test_acting_on_a_slow_task_helps() -> None:
    """Its limit is raised until it is not the bottleneck any more."""

    def pipeline(limit: int) -> Any:
        return task("load", 0.1) | task("fetch", 1.0, limit) | task("store", 0.1)

    slow = await report_on(pipeline(2), range(20))
    assert slow.bottleneck is not None
    assert slow.bottleneck.task_name == "fetch"
    assert slow.statistics.duration == pytest.approx(10.2)
    assert "all of its 2 calls were in flight (median " in slow.advice
    assert "Raise its concurrency_limit (2 at present)" in slow.advice
    quick = await report_on(pipeline(20), range(20))
    assert quick.statistics.duration == pytest.approx(1.2)


async def test_acting_on_a_slow_consumer_helps() -> None:
    """What it does with each result becomes a task, which does it many times at once."""

    async def run(pipeline: Any, duration: float) -> tuple[RunReport, float]:
        begun = current_time()
        async with pipeline.with_context(timings=True)(range(20)) as results:
            async for _ in results:
                await anyio.sleep(duration)
        return results.report(), current_time() - begun

    report, slow = await run(Pipeline().add(task("fetch", 0.1)), 1.0)
    assert report.bottleneck is not None
    assert report.bottleneck.kind == "consumer"
    _, quick = await run(task("fetch", 0.1) | task("keep", 1.0), 0)
    assert (slow, quick) == (pytest.approx(20.1), pytest.approx(1.1))


async def test_acting_on_small_batches_helps() -> None:
    """Larger ones make fewer calls."""

    def pipeline(size: int) -> Any:
        @batch_task(task_name="store", max_size=size)
        async def store(batch: list[Any]) -> list[Any]:
            await anyio.sleep(1)
            return batch

        return Pipeline().add(store)

    slow = await report_on(pipeline(2), range(20))
    assert "Let its batches hold more than 2 items (max_size), raise" in slow.advice
    quick = await report_on(pipeline(20), range(20))
    assert (slow.statistics.duration, quick.statistics.duration) == (10, 1)


async def test_acting_on_a_rate_limit_helps() -> None:
    """Calls that wait for it are not in flight."""
    slow = await report_on(Pipeline().add(task("fetch", 0.1, rate_limit=Rate(2, 1))), range(20))
    assert "its calls waited for its rate_limit. Raise its rate_limit" in slow.advice
    quick = await report_on(Pipeline().add(task("fetch", 0.1, rate_limit=Rate(20, 1))), range(20))
    assert quick.statistics.duration < slow.statistics.duration / 4


async def test_acting_on_max_parallelism_helps() -> None:
    """The stage that waits for shares is named, and the setting."""
    pipeline = Pipeline().add(task("fetch", 1.0, 10))
    slow = await report_on(pipeline, range(20), max_parallelism=2)
    assert "its calls waited for the run's max_parallelism. Raise max_parallelism." in slow.advice
    quick = await report_on(pipeline, range(20), max_parallelism=10)
    assert (slow.statistics.duration, quick.statistics.duration) == (10, 2)


async def test_acting_on_a_small_window_helps() -> None:
    """It lets too few calls be in flight for all tasks together."""
    pipeline = task("fetch", 1.0, 10) | task("parse", 1.0, 10) | task("store", 1.0, 10)
    slow = await report_on(pipeline, range(200), max_in_flight=10)
    assert slow.bottleneck is not None
    assert slow.bottleneck.kind == "window"
    quick = await report_on(pipeline, range(200))
    assert quick.statistics.duration < slow.statistics.duration / 2


async def test_a_slow_item_at_the_head_fills_the_window() -> None:
    """Results as they are completed do not wait for their turn."""

    @single_task(concurrency_limit=10)
    async def fetch(item: int) -> int:
        await anyio.sleep(10 if item % 20 == 0 else 0.1)
        return item

    pipeline = Pipeline().add(fetch)
    slow = await report_on(pipeline, range(100), max_in_flight=10)
    assert slow.bottleneck is not None
    assert slow.bottleneck.kind == "window"
    quick = await report_on(pipeline, range(100), max_in_flight=10, execution_mode="as_completed")
    assert quick.statistics.duration < slow.statistics.duration / 2


async def test_pauses_are_named() -> None:
    """Where nothing but errors has asked for them."""
    asked: list[int] = []

    @single_task(concurrency_limit=1, retry_attempts=2)
    async def fetch(item: int) -> int:
        if item not in asked:
            asked.append(item)
            raise RetryAfter(5)
        await anyio.sleep(0.1)
        return item

    report = await report_on(Pipeline().add(fetch), range(3))
    assert "its calls waited, since errors asked for a pause (RetryAfter)" in report.advice
    assert report.statistics.duration == pytest.approx(15.3)


async def test_halted_by_keys() -> None:
    """Items of one key come one at a time."""
    slow = await report_on(Pipeline().add(task("fetch", 1, key=lambda _: 0)), range(10))
    assert "its calls waited for earlier items of their key." in slow.advice
    quick = await report_on(Pipeline().add(task("fetch", 1, key=lambda each: each)), range(10))
    assert (slow.statistics.duration, quick.statistics.duration) == (10, 1)


async def test_equal_items_wait_for_the_first() -> None:
    """With a cache they do so although there is no key."""
    cache: dict[Any, Any] = {}
    report = await report_on(Pipeline().add(task("fetch", 1, cache=cache)), [0] * 10)
    assert "its calls waited for equal items before them." in report.advice
    assert report.statistics.duration == 1


async def test_a_process_task_can_be_the_bottleneck() -> None:
    """Which waits neither for items nor for room."""

    class Slow(BaseTask[int, int]):
        async def process(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
            async for item in items:
                await anyio.sleep(1)
                yield item

    report = await report_on(task("load", 0.1) | Slow(task_name="slow"), range(10))
    assert report.bottleneck is not None
    assert report.bottleneck.task_name == "slow"
    assert "it worked on the stream" in report.advice
    timings = report.statistics.stages[1].timings
    assert timings is not None
    assert (timings.busy, timings.saturated, timings.starved) == (
        pytest.approx(10),
        pytest.approx(10),
        pytest.approx(0.1),
    )


@pytest.mark.parametrize("limit", [1, 100])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_function_that_blocks_is_named_in_real_time(backend: str, limit: int) -> None:
    """However many of its calls may be in flight; threads let them be so at once."""

    @single_task(task_name="load", concurrency_limit=limit)
    def block(item: int) -> int:
        time.sleep(0.01)
        return item

    @single_task(task_name="load", concurrency_limit=10)
    async def in_thread(item: int) -> int:
        await anyio.to_thread.run_sync(time.sleep, 0.01)
        return item

    async def main(each: Any) -> RunReport:
        return await report_on(Pipeline().add(each), range(20))

    slow = anyio.run(main, block, backend=backend)
    assert "the event loop stood still in its function" in slow.advice
    quick = anyio.run(main, in_thread, backend=backend)
    assert quick.statistics.duration < slow.statistics.duration
    assert quick.statistics.stages[0].timings is not None
    assert quick.statistics.stages[0].timings.blocking < 0.1


async def test_an_adaptive_limit_is_not_to_be_raised() -> None:
    """Its own search has ended where it is."""
    limit = Adaptive(2, 2)
    report = await report_on(Pipeline().add(task("fetch", 1.0, limit)), range(10))  # type: ignore[arg-type]
    assert "Its Adaptive limit has come to 2, so more would not help" in report.advice


# Endings


async def test_how_a_run_has_ended() -> None:
    """To its end, early, with an error, or not yet."""
    pipeline = Pipeline().add(task("fetch", 1.0, 1)).with_context(timings=True)
    stream = pipeline(range(3))
    async with stream as results:
        await anext(results)
        assert results.report().outcome == "running"
        assert str(results.report()).startswith("pipeline running for 1 s: 3 items in, 1 out")
    report = stream.report()
    assert (report.outcome, report.error) == ("stopped", None)
    assert str(report).startswith("pipeline ended early after 1 s: 3 items in, 1 out")

    def failing() -> Iterator[int]:
        yield 0
        raise LookupError("a value")

    stream = pipeline(failing())
    with pytest.raises(LookupError):
        await stream.collect()
    report = stream.report()
    assert report.outcome == "failed"
    assert isinstance(report.error, LookupError)
    assert str(report).startswith("pipeline failed after 0 with LookupError: 1 item in, 0 out")
    assert "a value" not in str(report)


@pytest.mark.parametrize("timings", [False, True])
async def test_a_run_without_stages_or_items(timings: bool) -> None:
    """There is a report all the same."""
    for pipeline in (Pipeline(), Pipeline().add(task("fetch"))):
        empty: Callable[..., Any] = pipeline.with_context(timings=timings)
        for data in ([], [1]):
            stream = empty(data)
            assert await stream.collect() == data
            report = stream.report()
            assert report.outcome == "completed"
            assert report.bottleneck is None
            assert f"completed in 0: {len(data)} item{'s' * (not data)} in, {len(data)} out" in str(
                report
            )
            assert ("task" in str(report)) == bool(report.stages)
