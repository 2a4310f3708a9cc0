"""What observers are told: every call, retry, failure, run and tick, and by whom."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import Any, ClassVar

import anyio
import pytest

from conveyor import (
    FAIL,
    SKIP,
    BaseTask,
    CircuitBreaker,
    Failed,
    Observer,
    Pipeline,
    Rate,
    RetryAfter,
    RunReport,
    TooManyErrorsError,
    batch_task,
    single_task,
)
from conveyor.observing import CallInfo, FailureInfo, RetryInfo, RunInfo, StageInfo
from helpers import current_time, plain, three_ways, ticks

METHODS = [
    name for name, value in vars(Observer).items() if callable(value) and not name.startswith("_")
]


class Boom(Exception):
    """Raised by tasks."""


class Log(Observer):
    """Keeps all that it is told, and checks what must always hold."""

    def __init__(self, interval: float | None = None) -> None:
        self.interval = interval
        self.events: list[tuple[Any, ...]] = []
        self.calls: list[CallInfo] = []
        self.open: list[CallInfo] = []
        self.runs: list[RunInfo] = []
        self.reports: list[RunReport] = []
        self.retries: list[RetryInfo] = []
        self.failures: list[FailureInfo] = []
        self.ticks: list[float] = []

    @property
    def names(self) -> list[str]:
        return [name for name, *_ in self.events]

    @property
    def ended(self) -> list[tuple[Any, ...]]:
        """Task, indexes, attempts, outcome and type of the error of the calls, as they began."""
        assert not self.open
        return [
            (
                call.stage.task_name,
                call.indexes,
                call.attempts,
                call.outcome,
                type(call.error) if call.error else None,
            )
            for call in self.calls
        ]

    @property
    def lost(self) -> list[tuple[Any, ...]]:
        """Task, indexes, attempts and fate of what has failed."""
        return [
            (each.stage and each.stage.task_name, each.indexes, each.attempts, each.fate)
            for each in self.failures
        ]

    def run_started(self, run: RunInfo) -> None:
        self.events.append(("run_started",))
        self.runs.append(run)

    def stage_started(self, run: RunInfo, stage: StageInfo) -> None:
        assert run in self.runs
        self.events.append(("stage_started", stage.task_name))

    def call_started(self, call: CallInfo) -> None:
        assert call.run in self.runs
        assert (call.outcome, call.ended_at, call.error) == ("running", None, None)
        self.events.append(("call_started", *call.indexes))
        self.calls.append(call)
        self.open.append(call)

    def call_ended(self, call: CallInfo) -> None:
        self.open.remove(call)
        assert call.ended_at == current_time()
        assert call.outcome != "running"
        assert (call.outcome == "failed") == (call.error is not None)
        self.events.append(("call_ended", *call.indexes))

    def call_retried(self, retry: RetryInfo) -> None:
        assert retry.run in self.runs
        self.events.append(("call_retried", *retry.indexes))
        self.retries.append(retry)

    def failed(self, failure: FailureInfo) -> None:
        self.events.append(("failed", *failure.indexes))
        self.failures.append(failure)

    def tick(self, run: RunInfo) -> None:
        assert run in self.runs
        self.ticks.append(current_time())

    def run_ended(self, run: RunInfo, report: RunReport) -> None:
        assert run.run_id == report.run_id
        assert report.outcome != "running"
        self.events.append(("run_ended", report.outcome))
        self.reports.append(report)


async def observe(task: Any, data: Any, *, gives_outcomes: bool = False, **settings: Any) -> Log:
    """Run a pipeline to its end, whatever that is, with an observer."""
    log = Log()
    pipeline = Pipeline().add(task).with_observer(log).with_context(**settings)
    stream = pipeline.outcomes(data) if gives_outcomes else pipeline(data)
    with suppress(Boom, LookupError, TimeoutError, TooManyErrorsError):
        await stream.collect()
    assert log.names[0] == "run_started"
    assert log.names[-1] == "run_ended"
    assert log.names.count("run_started") == log.names.count("run_ended") == 1
    return log


# Calls of each kind


async def test_the_events_of_a_run_in_their_order() -> None:
    """From the beginning of the run to its end."""

    @single_task(task_name="fetch", concurrency_limit=1)
    async def fetch(item: int) -> int:
        await anyio.sleep(1)
        return item

    log = await observe(fetch, [7, 8])
    assert log.events == [
        ("run_started",),
        ("stage_started", "fetch"),
        ("call_started", 0),
        ("call_ended", 0),
        ("call_started", 1),
        ("call_ended", 1),
        ("run_ended", "completed"),
    ]
    first, second = log.calls
    assert (first.started_at, first.ended_at, first.paused) == (0, 1, 0)
    assert (second.started_at, second.ended_at) == (1, 2)
    assert (first.is_batch, first.stage.kind, first.stage.position) == (False, "single", 0)
    assert repr(first) == "<CallInfo 'fetch' [0] returned>"
    assert log.runs[0].total == 2
    assert repr(log.runs[0]) == "<RunInfo fetch>"


def single_tasks() -> Iterator[tuple[str, Any]]:
    async def is_async(item: int) -> int:
        await ticks(1)
        return item

    def is_sync(item: int) -> int:
        return item

    def gives_later(item: int) -> Any:
        return is_async(item)

    def filters(item: int) -> int | None:
        return item if item % 2 else None

    def spreads(item: int) -> list[int]:
        return [item] * item

    def generates(item: int) -> Iterator[int]:
        yield from [item] * item

    async def generates_later(item: int) -> AsyncIterator[int]:
        for each in [item] * item:
            await ticks(1)
            yield each

    for function in (
        is_async,
        is_sync,
        gives_later,
        filters,
        spreads,
        generates,
        generates_later,
    ):
        yield function.__name__, single_task(function, task_name="task")
    for name, options in {
        "key": {"key": lambda item: item % 2},
        "priority": {"priority": lambda item: item},
        "cache": {"cache": {}},
        "in_order": {"in_order": True},
        "rate": {"rate_limit": Rate(2, 1)},
        "breaker": {"circuit_breaker": CircuitBreaker(failures=2)},
        "hedged": {"hedge_after": 1},
        "timeout": {"timeout": 1, "deadline": 3},
        "hooks": {"before": lambda item: item, "after": lambda item, result: result},
        "fallback": {"fallback": single_task(is_sync, task_name="other")},
    }.items():
        yield name, single_task(is_async, task_name="task", **options)  # type: ignore[call-overload]


TASKS = dict(single_tasks())


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("parallelism", [None, 1])
async def test_every_item_has_its_call(name: str, parallelism: int | None) -> None:
    """Of whatever kind the function is, and whatever surrounds it."""
    log = await observe(TASKS[name], range(5), max_parallelism=parallelism)
    calls = [("task", (index,), 1, "returned", None) for index in range(5)]
    if name == "cache":
        assert sorted(log.ended) in (calls, [])  # the second time it has everything
    else:
        assert sorted(log.ended) == calls
    assert log.reports[0].outcome == "completed"


async def test_what_a_cache_has_is_not_called() -> None:
    """And the items that wait for the call of an equal one are not, either."""

    @single_task(cache={2: 2})
    async def fetch(item: int) -> int:
        await anyio.sleep(1)
        return item

    log = await observe(fetch, [1, 2, 1, 3])
    assert [call.indexes for call in log.calls] == [(0,), (3,)]


async def test_a_generator_ends_with_its_last_value() -> None:
    """What it waits for room in between is told."""

    @single_task
    async def expand(item: int) -> AsyncIterator[int]:
        for n in range(3):
            await anyio.sleep(1)
            yield n

    log = Log()
    pipeline = Pipeline().add(expand.replace(concurrency_limit=1)).with_observer(log)
    async with pipeline.with_context(max_in_flight=1)([0]) as results:
        async for _ in results:
            await anyio.sleep(2)
    [call] = log.calls
    assert call.ended_at is not None
    assert call.ended_at - call.started_at - call.paused == 3
    assert call.paused > 0


async def test_children_have_the_index_of_their_item() -> None:
    """What became of an item that became many."""

    @single_task(task_name="spread")
    def spread(item: int) -> list[int]:
        return [item, item]

    @single_task(task_name="keep")
    def keep(item: int) -> int:
        return item

    log = await observe(spread | keep, [5, 6])
    assert [call.indexes for call in log.calls if call.stage.position == 1] == [
        (0,),
        (0,),
        (1,),
        (1,),
    ]


async def test_a_batch_is_one_call_with_all_its_indexes() -> None:
    """In the order of its items."""

    @batch_task(task_name="store", max_size=2)
    async def store(batch: list[int]) -> list[int]:
        return batch

    log = await observe(store, range(3))
    assert log.ended == [
        ("store", (0, 1), 1, "returned", None),
        ("store", (2,), 1, "returned", None),
    ]
    assert log.calls[0].is_batch


async def test_parts_of_a_failing_batch_are_calls() -> None:
    """Each of them has its items, and the last ones fail."""

    @batch_task(task_name="store", max_size=4, on_error="skip_item")
    async def store(batch: list[int]) -> list[int]:
        if 2 in batch:
            raise Boom
        return batch

    log = await observe(store, range(4))
    assert log.ended == [
        ("store", (0, 1, 2, 3), 1, "failed", Boom),
        ("store", (0, 1), 1, "returned", None),
        ("store", (2, 3), 1, "failed", Boom),
        ("store", (2,), 1, "failed", Boom),
        ("store", (3,), 1, "returned", None),
    ]
    assert log.lost == [("store", (2,), 1, "skip_item")]


async def test_items_that_a_batch_names_failed_are_retried_in_the_same_call() -> None:
    """And those that fail for good are told each for itself."""
    tried: Counter[int] = Counter()

    @batch_task(
        task_name="store",
        max_size=3,
        on_error="divert",
        retry_attempts=2,
        retry_delay=1,
        retry_jitter=0,
    )
    async def store(batch: list[int]) -> list[Any]:
        tried.update(batch)
        return [
            Failed(Boom()) if item == 1 or (item == 2 and tried[2] == 1) else item for item in batch
        ]

    log = await observe(store, range(3))
    assert log.ended == [("store", (0, 1, 2), 2, "returned", None)]
    [retry] = log.retries
    assert (retry.indexes, retry.attempt, retry.delay) == ((0, 1, 2), 1, 1)
    assert log.lost == [("store", (1,), 2, "divert")]


async def test_a_process_is_one_call_about_nobody() -> None:
    """It takes all items."""

    class Double(BaseTask[int, int]):
        async def process(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
            async for item in items:
                await anyio.sleep(1)
                yield 2 * item

    async def slowly() -> AsyncIterator[int]:
        for item in range(3):
            await anyio.sleep(2)
            yield item

    log = await observe(Double(task_name="double"), slowly())
    assert log.ended == [("double", (), 1, "returned", None)]
    [call] = log.calls
    assert call.ended_at is not None
    assert (call.stage.kind, call.ended_at - call.started_at - call.paused) == ("process", 3)


async def test_a_process_that_fails() -> None:
    """As any call, and the run fails with it."""

    class Fails(BaseTask[int, int]):
        async def process(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
            async for item in items:
                yield item
                raise Boom

    log = await observe(Fails(task_name="fails"), range(3))
    assert log.ended == [("fails", (), 1, "failed", Boom)]
    assert [each.fate for each in log.failures] == ["fail"]
    assert log.reports[0].outcome == "failed"


async def test_a_task_that_is_the_source() -> None:
    """Is called once, for an item that is none."""

    @single_task(task_name="numbers")
    async def numbers() -> AsyncIterator[int]:
        yield 1
        yield 2

    log = Log()
    assert await Pipeline().add(numbers).with_observer(log)().collect() == [1, 2]
    assert log.ended == [("numbers", (0,), 1, "returned", None)]


# Attempts, and what fails


def failing(*attempts: int, error: Callable[[], Exception] = Boom) -> Callable[[int], Any]:
    """Return a function that fails in these attempts of item 1."""
    tried: Counter[int] = Counter()

    async def call(item: int) -> int:
        tried[item] += 1
        await ticks(1)
        if item == 1 and tried[item] in attempts:
            raise error()
        return item

    return call


def task(function: Callable[[int], Any], **options: Any) -> Any:
    return single_task(function, task_name="task", **options)  # type: ignore[call-overload]


async def test_attempts_are_one_call() -> None:
    """Each retry says which attempt has failed with what, and how long it will be."""
    options = {"retry_attempts": 3, "retry_delay": 2, "retry_jitter": 0}
    log = await observe(task(failing(1, 2), **options), range(3))
    assert sorted(log.ended)[1] == ("task", (1,), 3, "returned", None)
    assert [(each.attempt, each.indexes) for each in log.retries] == [(1, (1,)), (2, (1,))]
    assert [type(each.error) for each in log.retries] == [Boom, Boom]
    assert log.retries[0].delay == 2
    assert log.retries[0].call is next(call for call in log.calls if call.indexes == (1,))
    assert log.reports[0].statistics.retried == 2
    assert not log.failures


async def test_a_pause_that_an_error_asks_for_is_the_delay() -> None:
    """At least, since the whole stage waits."""
    pause: Any = lambda: RetryAfter(5)  # noqa: E731
    log = await observe(task(failing(1, error=pause), retry_attempts=2), range(2))
    assert [each.delay for each in log.retries] == [5]


FATES = {"skip_item": "skip_item", "divert": "divert", "fail": "fail"}


@pytest.mark.parametrize("on_error", FATES)
@pytest.mark.parametrize("failure", ["fast", "in_order"])
async def test_what_becomes_of_items_that_fail_for_good(on_error: str, failure: Any) -> None:
    """After all attempts."""
    each = task(failing(1, 2), on_error=on_error, retry_attempts=2, concurrency_limit=1)
    log = await observe(each, range(3), failure=failure)
    assert log.lost == [("task", (1,), 2, FATES[on_error])]
    assert ("task", (1,), 2, "failed", Boom) in log.ended
    assert log.reports[0].outcome == ("failed" if on_error == "fail" else "completed")


async def test_failures_among_the_outcomes() -> None:
    """The run goes on."""
    log = await observe(task(failing(1)), range(3), gives_outcomes=True)
    assert log.lost == [("task", (1,), 1, "outcome")]
    assert log.reports[0].statistics.failed == 1


async def test_a_failure_that_ends_the_run_is_told_once() -> None:
    """Also if others fail while it ends, or earlier ones after it in a run that fails in order."""

    @single_task(task_name="task", on_error="fail")
    async def fails(item: int) -> int:
        await anyio.sleep(5 - item)
        raise Boom(item)

    log = await observe(fails, range(3), failure="in_order")
    assert log.lost == [("task", (index,), 1, "fail") for index in (2, 1, 0)]
    assert log.reports[0].error is log.failures[-1].error

    @single_task(task_name="task")
    async def cleans_up(item: int) -> int:
        try:
            await anyio.sleep(item)
            raise Boom(item)
        finally:
            if item:
                raise LookupError(item)

    log = await observe(cleans_up, range(3))
    assert log.lost.count(("task", (0,), 1, "fail")) == 1
    assert all(stage == "task" for stage, *_ in log.lost)


async def test_what_fails_as_the_run_ends_does_not_make_it_be_told_again() -> None:
    """A call that cannot be cancelled fails after the one that has ended the run."""

    @single_task(task_name="task")
    async def fails(item: int) -> int:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(1 + item)
        raise Boom(item)

    log = await observe(fails, range(2))
    assert log.lost == [("task", (0,), 1, "fail"), ("task", (1,), 1, "fail")]
    assert log.reports[0].error is log.failures[0].error


async def test_skipped_items_after_a_failure_do_not_make_it_be_told_again() -> None:
    """An earlier item is left out after the one that ends a run in order."""

    def decide(error: Exception, item: int) -> Any:
        return FAIL if item == 1 else SKIP

    @single_task(task_name="task", on_error=decide)
    async def fails(item: int) -> int:
        await anyio.sleep(2 - item)
        raise Boom

    log = await observe(fails, range(2), failure="in_order")
    assert log.lost == [("task", (1,), 1, "fail"), ("task", (0,), 1, "skip_item")]


async def test_too_many_errors_are_a_failure_of_no_stage() -> None:
    """After those of the items."""
    log = await observe(task(failing(1), on_error="skip_item"), range(3), max_errors=0)
    assert log.lost == [("task", (1,), 1, "skip_item"), (None, (), 0, "fail")]
    assert isinstance(log.failures[-1].error, TooManyErrorsError)


async def test_a_source_that_fails() -> None:
    """Has no stage."""

    def source() -> Iterator[int]:
        yield 0
        raise Boom

    log = await observe(task(failing()), source())
    assert log.lost == [(None, (), 0, "fail")]
    assert log.reports[0].error is log.failures[0].error


async def test_a_timeout_and_a_deadline_end_the_call() -> None:
    """With the error of the last attempt."""

    async def hang(item: int) -> int:
        await anyio.sleep_forever()
        return item

    log = await observe(task(hang, timeout=1, retry_attempts=2, retry_delay=0), [0])
    assert log.ended == [("task", (0,), 2, "failed", TimeoutError)]
    log = await observe(task(hang, deadline=3), [0])
    assert log.ended == [("task", (0,), 1, "failed", TimeoutError)]
    [call] = log.calls
    assert call.ended_at is not None
    assert call.ended_at - call.started_at == 3


async def test_a_fallback_is_part_of_the_call() -> None:
    """It has returned if the fallback has; what that retries has no call of its own."""
    tried: list[int] = []

    @single_task(task_name="other", retry_attempts=2, retry_delay=0)
    async def other(item: int) -> int:
        tried.append(item)
        if len(tried) == 1:
            raise LookupError
        return -item

    log = await observe(task(failing(1), fallback=other), range(2))
    assert ("task", (1,), 1, "returned", None) in log.ended
    [retry] = log.retries
    assert (retry.stage.task_name, retry.indexes, retry.call) == ("task", (), None)
    assert not log.failures


async def test_a_hedged_call_is_one_call() -> None:
    """Of which one attempt is made, and another one beside it."""

    async def slow(item: int) -> int:
        await anyio.sleep(3)
        return item

    log = await observe(task(slow, hedge_after=1), range(2))
    assert sorted(log.ended) == [("task", (n,), 1, "returned", None) for n in range(2)]
    assert log.reports[0].statistics.stages[0].hedged == 2


async def test_refusals_of_a_circuit_breaker_fail() -> None:
    """They count as calls, here as in the statistics."""
    breaker = CircuitBreaker(failures=1, reset_after=100)
    each = task(failing(1), circuit_breaker=breaker, concurrency_limit=1, on_error="skip_item")
    log = await observe(each, [1, 2, 3])
    assert [outcome for *_, outcome, _ in log.ended] == ["failed"] * 3
    assert log.reports[0].statistics.stages[0].calls == 3


async def test_halted_keys_have_no_call() -> None:
    """But they fail."""
    each = task(failing(1), key=lambda _: 0, on_key_error="halt_key", on_error="skip_item")
    log = await observe(each, [1, 2])
    assert [call.indexes for call in log.calls] == [(0,)]
    assert log.lost == [("task", (0,), 1, "skip_item"), ("task", (1,), 0, "skip_item")]


async def test_a_side_input_that_fails() -> None:
    """No call has begun."""

    async def broken() -> int:
        raise Boom

    with_side = single_task(lambda item, side: item, task_name="task").with_inputs(side=broken())
    log = await observe(with_side, range(2))
    assert log.ended == []
    assert log.lost == [(None, (), 0, "fail")]


# How runs end


async def hang(item: int) -> int:
    await anyio.sleep_forever()
    return item


async def test_a_run_that_is_left_is_told_to_end() -> None:
    """The calls that it cuts off are cancelled."""
    log = Log()
    async with task(hang).with_observer(log)(range(2)):
        await anyio.sleep(1)
    assert log.ended == [("task", (n,), 1, "cancelled", None) for n in range(2)]
    assert log.events[-1] == ("run_ended", "stopped")
    assert log.names.count("run_ended") == 1


async def test_a_run_that_is_cancelled_is_told_to_end() -> None:
    """By whoever waits for it."""
    log = Log()
    with anyio.move_on_after(1):
        await task(hang).with_observer(log)(range(2)).collect()
    assert log.ended == [("task", (n,), 1, "cancelled", None) for n in range(2)]
    assert log.events[-1] == ("run_ended", "stopped")
    log = Log()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await task(hang).with_observer(log)(range(2)).collect()
    assert log.names.count("run_started") == log.names.count("run_ended")


async def test_a_stream_that_is_dropped_is_told_to_end() -> None:
    """In the event loop, as soon as it has ended."""
    log = Log()

    async def drop() -> None:
        async for _ in task(failing()).with_observer(log)(range(10)):
            break

    await drop()
    gc.collect(1)
    await ticks(5)
    assert log.events[-1] == ("run_ended", "stopped")
    assert log.names.count("run_started") == log.names.count("run_ended") == 1
    assert not log.open


async def test_a_run_that_drains_completes() -> None:
    """With what it has pulled."""
    log = Log()
    stream = task(failing()).with_observer(log)(iter(range(10_000)))
    async with stream as results:
        await anext(results)
        stream.drain()
        async for _ in results:
            pass
    assert log.events[-1] == ("run_ended", "completed")
    assert len(log.calls) == log.reports[0].statistics.items_in < 10_000


async def test_what_never_began_is_not_told() -> None:
    """Neither its beginning nor its end."""
    log = Log()
    stream = task(failing()).with_observer(log)(range(3))
    await stream.aclose()
    assert log.events == []


@three_ways
async def test_every_way_of_consuming_is_observed(consume: Callable[..., Any]) -> None:
    """Plainly, in a block, and collecting."""
    log = Log()
    assert await consume(task(failing()).with_observer(log)(range(3))) == [0, 1, 2]
    assert len(log.ended) == 3
    assert log.events[-1] == ("run_ended", "completed")


async def test_an_interrupt_in_a_call_is_its_failure() -> None:
    """And that of the run."""

    async def interrupt(item: int) -> int:
        raise KeyboardInterrupt

    log = Log()
    with pytest.raises(KeyboardInterrupt):
        await plain(task(interrupt).with_observer(log)(range(1)))
    assert log.ended == [("task", (0,), 1, "failed", KeyboardInterrupt)]
    assert [each.fate for each in log.failures] == ["fail"]
    assert log.events[-1] == ("run_ended", "failed")


# Context variables

user: ContextVar[str] = ContextVar("user", default="nobody")
span: ContextVar[int] = ContextVar("span", default=-1)


async def test_variables_set_at_the_beginning_are_seen_by_all() -> None:
    """Source, tasks and hooks; not by the consumer."""
    seen: list[str] = []

    def source() -> Iterator[int]:
        seen.append(f"source {user.get()}")
        yield 1

    def first(item: int) -> int:
        seen.append(f"first {user.get()}")
        return item

    async def second(batch: list[int]) -> list[int]:
        seen.append(f"second {user.get()}")
        return batch

    class Sets(Observer):
        def run_started(self, run: RunInfo) -> None:
            user.set("somebody")

    key: Any = lambda item: seen.append(f"key {user.get()}")  # noqa: E731
    pipeline = task(first, key=key) | batch_task(max_size=1)(second)
    await pipeline.with_observer(Sets())(source()).collect()
    assert seen == [f"{who} somebody" for who in ("source", "key", "first", "second")]
    assert user.get() == "nobody"


async def test_variables_set_for_a_call_are_seen_by_it_alone() -> None:
    """They are set back at its end; and if not, no other call sees them."""
    seen: list[tuple[int, int]] = []

    class Spans(Observer):
        tokens: ClassVar[dict[CallInfo, Token[int]]] = {}
        sets_back = True

        def call_started(self, call: CallInfo) -> None:
            before = span.get()
            assert before == -1
            self.tokens[call] = span.set(call.indexes[0])

        def call_ended(self, call: CallInfo) -> None:
            assert span.get() == call.indexes[0]
            if self.sets_back:
                span.reset(self.tokens.pop(call))

    async def look(item: int) -> int:
        seen.append((item, span.get()))
        await anyio.sleep(item % 3)
        seen.append((item, span.get()))
        return item

    for Spans.sets_back in (True, False):
        for each in (task(look, concurrency_limit=2), task(look, retry_attempts=2)):
            seen.clear()
            await each.with_observer(Spans())(range(8)).collect()
            assert len(seen) == 16
            assert all(item == value for item, value in seen)
    assert span.get() == -1


# Ticks


async def test_ticks_come_at_their_interval() -> None:
    """From the beginning of the run to its end."""
    log = Log(interval=2.5)

    async def slow(item: int) -> int:
        await anyio.sleep(11)
        return item

    await task(slow).with_observer(log)([1]).collect()
    assert log.ticks == [2.5, 5, 7.5, 10]
    await anyio.sleep(20)
    assert len(log.ticks) == 4


async def test_each_observer_has_its_interval() -> None:
    """And none has no ticks."""
    logs = [Log(interval) for interval in (1, None, 3)]

    async def slow(item: int) -> int:
        await anyio.sleep(3.5)
        return item

    await task(slow).with_observer(*logs)([1]).collect()
    assert [each.ticks for each in logs] == [[1, 2, 3], [], [3]]


# Observers that raise


class Raises(Observer):
    """Raises in one method, each time."""

    interval = 1

    def __init__(self, method: str, error: Callable[[], BaseException]) -> None:
        self.times = 0

        def fail(*args: Any) -> None:
            self.times += 1
            raise error()

        setattr(self, method, fail)


async def every_event(*observers: Observer) -> list[int]:
    """Have a run in which everything happens."""
    options = {"retry_attempts": 2, "retry_delay": 0, "on_error": "skip_item"}

    async def work(item: int) -> int:
        await anyio.sleep(1.5)
        if item == 1:
            raise Boom("secret")
        return item

    each = task(work, **options, concurrency_limit=1)
    result: list[int] = await each.with_observer(*observers)(range(3)).collect()
    return result


@pytest.mark.parametrize("error", [Boom, StopIteration, GeneratorExit, asyncio.CancelledError])
@pytest.mark.parametrize("method", METHODS)
async def test_an_observer_that_raises_hurts_nobody(
    method: str, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """
    It is logged once, without the message; it goes on to be called, and so do the others.

    Nor does what steers coroutines steer the run, such as the cancellation of a future it looks at.
    """
    raises, log = Raises(method, lambda: error("secret")), Log(interval=1)
    alone = Log(interval=1)
    assert await every_event(alone) == [0, 2]
    caplog.clear()
    assert await every_event(raises, log) == [0, 2]
    assert log.events == alone.events
    assert len(log.ticks) == len(alone.ticks) > 0
    errors = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert len(errors) == 1
    text = errors[0].getMessage()
    assert text.startswith(f"observer Raises has raised {error.__name__} in {method}() (")
    assert "secret" not in text
    assert errors[0].exc_info is None
    count = log.names.count(method) if method != "tick" else len(log.ticks)
    assert raises.times == count > 0


@pytest.mark.parametrize("method", METHODS)
async def test_an_interrupt_from_an_observer_ends_the_program(method: str) -> None:
    """Whoever waits gets it; the others are told all that happens until the end."""
    log = Log()
    raises = Raises(method, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        await every_event(raises, log)
    assert raises.times >= 1
    assert log.names.count("run_started") == log.names.count("run_ended") == 1
    assert log.names[-1] == "run_ended"
    assert not log.open
    assert log.names.count("call_started") == log.names.count("call_ended")


async def test_one_run_does_not_silence_the_next(caplog: pytest.LogCaptureFixture) -> None:
    """Errors of observers are logged once for each run."""
    raises = Raises("call_ended", Boom)
    for count in (1, 2):
        await every_event(raises)
        errors = [each for each in caplog.records if each.levelno == logging.ERROR]
        assert len(errors) == count


async def test_an_observer_that_takes_the_wrong_arguments_hurts_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is as if it had raised."""

    class Wrong(Observer):
        def call_started(self) -> None:  # type: ignore[override]
            """Take nothing."""

    assert await every_event(Wrong()) == [0, 2]
    assert "observer Wrong has raised TypeError in call_started() (" in caplog.text


# What can be an observer


def test_only_observers_observe() -> None:
    """The messages say what to write."""
    pipeline = Pipeline()
    wrong: Any = Log
    with pytest.raises(TypeError, match=r"^an observer must be an instance of .*; write Log\(\)$"):
        pipeline.with_observer(wrong)
    wrong = object()
    with pytest.raises(TypeError, match=r"^an observer must be an instance of a subclass of Obser"):
        pipeline.with_observer(wrong)
    wrong = Log()
    with pytest.raises(
        TypeError,
        match=r"^observers must be a list of observers, got a Log; write with_observer\(one, ano",
    ):
        pipeline.with_context(observers=wrong)


def test_methods_of_observers_are_plain() -> None:
    """One that is never awaited would do nothing."""

    class Async(Observer):
        async def call_ended(self, call: CallInfo) -> None:  # type: ignore[override]
            """Never awaited."""

    class Generator(Observer):
        def run_ended(self, run: RunInfo, report: RunReport) -> Iterator[int]:  # type: ignore[override]
            yield 1

    class Nothing(Observer):
        tick = None  # type: ignore[assignment]

    hint = (
        " must be a plain method, since observers are called and not awaited; write "
        "def %s(self, ...), without async and without yield"
    )
    with pytest.raises(TypeError) as raised:
        Pipeline().with_observer(Async())
    assert str(raised.value) == "Async.call_ended" + hint % "call_ended"
    with pytest.raises(TypeError) as raised:
        Pipeline().with_observer(Generator())
    assert str(raised.value) == "Generator.run_ended" + hint % "run_ended"
    with pytest.raises(TypeError) as raised:
        Pipeline().with_observer(Nothing())
    assert str(raised.value) == "Nothing.tick must be a method, got None"


@pytest.mark.parametrize(
    ("interval", "error", "text"),
    [
        ("1", TypeError, "Log.interval must be a number of seconds or None, got '1'"),
        (True, TypeError, "Log.interval must be a number of seconds or None, got True"),
        (0, ValueError, "Log.interval must be more than 0 and finite, got 0"),
        (-1, ValueError, "Log.interval must be more than 0 and finite, got -1"),
        (float("inf"), ValueError, "Log.interval must be more than 0 and finite, got inf"),
        (float("nan"), ValueError, "Log.interval must be more than 0 and finite, got nan"),
    ],
)
def test_intervals_are_numbers(interval: Any, error: type[Exception], text: str) -> None:
    """Or there are no ticks."""
    with pytest.raises(error) as raised:
        Pipeline().with_observer(Log(interval))
    assert str(raised.value) == text


# Several observers, and several runs


async def test_several_observers_are_told_the_same() -> None:
    """In the order in which they were given."""
    logs = [Log(), Log()]
    order: list[int] = []

    class First(Observer):
        def run_started(self, run: RunInfo) -> None:
            order.append(1)

    class Second(Observer):
        def run_started(self, run: RunInfo) -> None:
            order.append(2)

    pipeline = task(failing()).with_observer(logs[0], First()).with_observer(Second(), logs[1])
    await pipeline(range(3)).collect()
    assert order == [1, 2]
    assert logs[0].events == logs[1].events
    assert logs[0].calls == logs[1].calls


async def test_with_observer_leaves_the_pipeline_as_it_is() -> None:
    """It returns another one."""
    log = Log()
    quiet = Pipeline().add(task(failing()))
    observed = quiet.with_observer(log)
    await quiet(range(3)).collect()
    assert log.events == []
    await observed(range(3)).collect()
    assert len(log.calls) == 3


async def test_one_observer_sees_overlapping_runs_apart() -> None:
    """By the run, and by the run of each call."""
    log = Log()

    async def slow(item: int) -> int:
        await anyio.sleep(1)
        return item

    pipeline = task(slow).with_observer(log)
    async with anyio.create_task_group() as runs:
        runs.start_soon(pipeline(range(2)).collect)
        runs.start_soon(pipeline(range(3)).collect)
    assert len(log.runs) == len({run.run_id for run in log.runs}) == 2
    assert sorted(Counter(call.run for call in log.calls).values()) == [2, 3]
    assert sorted(run.stats().items_out for run in log.runs) == [2, 3]
    assert log.names[:2] == ["run_started", "run_started"]


async def test_observers_see_no_values() -> None:
    """Nothing that they are given refers to an item, a result or a function of the user's."""

    class Secret:
        """An item."""

    @batch_task(max_size=2)
    async def keep(batch: list[Any]) -> list[Any]:
        for call in log.open:
            fields = [getattr(call, name) for name in CallInfo.__slots__]
            assert not any(isinstance(each, (Secret, list)) for each in fields)
        return batch

    log = Log()
    await (task(failing()) | keep).with_observer(log)([Secret(), Secret()]).collect()
    assert len(log.calls) == 3
    assert "Secret" not in repr(log.calls) + repr(log.runs) + str(log.reports[0])


async def test_what_a_stage_is() -> None:
    """Its kind, whether its limit is found by trying, and what may hold its calls back."""
    each = task(failing(), rate_limit=Rate(5, 1), circuit_breaker=CircuitBreaker(), key=abs)
    log = await observe(each, [1], max_parallelism=3)
    assert log.runs[0].stages == (
        StageInfo(
            0, "task", "single", False, ("rate_limit", "circuit breaker", "key", "max_parallelism")
        ),
    )
    log = await observe(task(failing(), cache={}), [1])
    assert log.runs[0].stages[0].brakes == ("cache",)
