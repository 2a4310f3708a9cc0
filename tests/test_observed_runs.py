"""``Tracing``, ``Metrics`` and ``PrometheusMetrics`` attached to pipelines that really run."""

from __future__ import annotations

import urllib.request
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest
from anyio import to_thread
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry, start_http_server

from conveyor import Adaptive, CircuitBreaker, Rate, batch_task, single_task
from conveyor.observers import Metrics, PrometheusMetrics, Tracing
from conveyor.observing import CallInfo, FailureInfo, Observer, RetryInfo, RunInfo
from conveyor.report import RunReport
from helpers import plain, three_ways, ticks
from test_figures import Collected, samples
from test_tracing import Exported, attributes, is_child, items, linked


class Boom(Exception):
    """What calls raise."""


@pytest.fixture
def exported() -> Exported:
    return Exported()


@pytest.fixture
def collected() -> Collected:
    return Collected()


def current() -> int:
    return trace.get_current_span().get_span_context().span_id


# Spans of runs


@three_ways
async def test_the_runs_span_is_where_the_stream_is_consumed(
    exported: Exported, consume: Any
) -> None:
    """Its parent is current where it is consumed, not where it was made, and stays current."""

    @single_task
    async def double(x: int) -> int:
        return 2 * x

    stream = double.with_observer(Tracing(exported.provider, name="run"))([1, 2])
    with exported.tracer.start_as_current_span("outer") as outer:
        assert await consume(stream) == [2, 4]
        assert trace.get_current_span() is outer
    run = exported.one("run")
    assert is_child(run, exported.one("outer"))
    assert attributes(run)["conveyor.run.items_in"] == 2
    assert attributes(run)["conveyor.run.items_out"] == 2
    assert attributes(run)["conveyor.run.total"] == 2
    assert attributes(run)["conveyor.outcome"] == "completed"


async def test_the_runs_span_is_current_in_all_that_it_calls(exported: Exported) -> None:
    """In the source, in functions of all kinds, in worker threads; and not in the consumer."""
    seen: dict[str, set[int]] = {}

    def note(where: str) -> None:
        seen.setdefault(where, set()).add(current())

    async def source() -> AsyncIterator[int]:
        for number in range(5):
            note("source")
            await ticks(1)
            yield number

    @single_task(concurrency_limit=3)
    async def one(x: int) -> int:
        note("before waiting")
        await anyio.sleep(1)
        note("after waiting")
        return x

    @single_task(retry_attempts=2)
    def two(x: int) -> Iterator[int]:
        note("generator")
        yield x
        yield x

    @single_task
    async def three(x: int) -> int:
        await to_thread.run_sync(note, "thread")
        return x

    @batch_task(max_size=2)
    async def four(batch: list[int]) -> list[int]:
        note("batch")
        return batch

    pipeline = (one | two | three | four).with_observer(Tracing(exported.provider, name="run"))
    async for _ in pipeline(source()):
        note("consumer")
    run = exported.one("run").context.span_id
    assert seen.pop("consumer") == {0}
    where = ["source", "before waiting", "after waiting", "generator", "thread", "batch"]
    assert seen == {each: {run} for each in where}


async def test_a_run_that_fails_says_so(exported: Exported) -> None:
    """In its span, and by the type of the error only."""

    @single_task
    async def fail(x: int) -> int:
        raise Boom(f"secret {x}")

    with pytest.raises(Boom):
        await fail.with_observer(Tracing(exported.provider, name="run"))([1]).collect()
    run = exported.one("run")
    assert run.status.status_code is StatusCode.ERROR
    assert attributes(run)["conveyor.outcome"] == "failed"
    assert attributes(run)["error.type"] == f"{__name__}.Boom"
    assert "secret" not in run.to_json()


async def test_a_run_that_is_left_early_is_exported(exported: Exported) -> None:
    """As stopped, with what was counted, and with the calls that were cancelled."""

    @single_task(concurrency_limit=3)
    async def wait(x: int) -> int:
        await anyio.sleep(x)
        return x

    observer = Tracing(exported.provider, name="run", sample_calls=1)
    async with wait.with_observer(observer)([1, 100, 100]) as results:
        assert await anext(results) == 1
    run = exported.one("run")
    assert attributes(run)["conveyor.outcome"] == "stopped"
    assert run.status.status_code is StatusCode.UNSET
    outcomes = [attributes(call)["conveyor.outcome"] for call in exported.named("wait")]
    assert sorted(outcomes) == ["cancelled", "cancelled", "returned"]
    assert len(observer._traces) == 0


async def test_a_pipeline_inside_a_call_is_traced_below_it(exported: Exported) -> None:
    """The span of its run is a child of the call's."""
    observer = Tracing(exported.provider, sample_calls=1)

    @single_task
    async def inner(x: int) -> int:
        return x + 1

    inside = inner.with_observer(Tracing(exported.provider, name="inside"))

    @single_task(concurrency_limit=2)
    async def outer(x: int) -> int:
        return sum(await inside([x, x]).collect())

    assert await outer.with_observer(observer)([1, 5]).collect() == [4, 12]
    # Each has its own: the spans of two calls that overlap are not mixed up.
    calls = [span for span in exported.named("outer") if "conveyor.task" in attributes(span)]
    assert len(calls) == 2
    for call in calls:
        assert len([run for run in exported.named("inside") if is_child(run, call)]) == 1


# Spans of calls


async def test_each_call_sees_its_own_span(exported: Exported) -> None:
    """However many overlap, before and after they wait; spans made in it are its children."""

    @single_task(concurrency_limit=4)
    async def work(x: int) -> int:
        before = current()
        with exported.tracer.start_as_current_span("inner", attributes={"x": x}):
            await anyio.sleep((x * 7) % 5)
        assert current() == before
        return before

    observer = Tracing(exported.provider, name="run", sample_calls=1)
    spans = await work.with_observer(observer)(range(20)).collect()
    calls = {attributes(call)["conveyor.item.index"]: call for call in exported.named("work")}
    assert [calls[index].context.span_id for index in range(20)] == spans
    for inner in exported.named("inner"):
        assert is_child(inner, calls[attributes(inner)["x"]])
    for call in calls.values():
        assert is_child(call, exported.one("run"))


@pytest.mark.parametrize(
    ("task_options", "settings"),
    [
        ({"timeout": 50.0}, {}),
        ({"deadline": 50.0}, {}),
        ({"hedge_after": 0.5}, {}),
        ({"key": lambda x: x % 3}, {}),
        ({"priority": lambda x: 12 - x}, {}),
        ({"key": lambda x: x, "cache": {}}, {}),
        ({"rate_limit": Rate(2)}, {}),
        ({"concurrency_limit": Adaptive(2, max=8)}, {}),
        ({"circuit_breaker": CircuitBreaker()}, {}),
        ({}, {"max_parallelism": 2}),
        ({}, {"failure": "in_order"}),
        ({}, {"execution_mode": "as_completed"}),
    ],
    ids=lambda options: ", ".join(options) or "-",
)
async def test_whatever_surrounds_a_call_its_span_is_current_in_it(
    exported: Exported,
    caplog: pytest.LogCaptureFixture,
    task_options: dict[str, Any],
    settings: dict[str, Any],
) -> None:
    """From its beginning to its end, and it is left in the context in which it was entered."""
    seen: set[tuple[int, int]] = set()
    task_options.get("cache", {}).clear()

    @single_task(**{"concurrency_limit": 4, **task_options})
    async def work(x: int) -> int:
        seen.add((x, current()))
        await anyio.sleep(x % 4)
        seen.add((x, current()))
        return x

    observer = Tracing(exported.provider, name="run", sample_calls=1)
    pipeline = work.with_observer(observer).with_context(**settings)
    assert sorted(await pipeline(range(12)).collect()) == list(range(12))
    calls = exported.named("work")
    assert len(calls) == 12
    assert seen == {
        (attributes(call)["conveyor.item.index"], call.context.span_id) for call in calls
    }
    assert caplog.records == []


async def test_a_call_that_is_not_chosen_sees_the_runs_span(exported: Exported) -> None:
    """Also in a worker that has just made a call that was."""

    @single_task
    def look(x: int) -> int:
        return current()

    observer = Tracing(exported.provider, name="run", sample_calls=0.3)
    spans = await look.with_observer(observer)(range(100)).collect()
    run = exported.one("run").context.span_id
    chosen = items(exported.named("look"))
    assert 27 <= len(chosen) <= 33
    assert [index for index, span in enumerate(spans) if span != run] == chosen


async def test_observers_are_told_of_the_end_of_a_call_in_reverse() -> None:
    """So that context variables which they set for the call are set back one after another."""
    told: list[str] = []

    class Telling(Observer):
        def __init__(self, name: str) -> None:
            self.name = name

        def call_started(self, call: CallInfo) -> None:
            told.append(f"{self.name} started")

        def call_ended(self, call: CallInfo) -> None:
            told.append(f"{self.name} ended")

    @single_task
    async def double(x: int) -> int:
        return 2 * x

    await double.with_observer(Telling("one"), Telling("other"))([1]).collect()
    assert told == ["one started", "other started", "other ended", "one ended"]


class Untimed(Observer):
    """Needs no timings, and writes down what it is told of."""

    timings = False
    interval = 1.0

    def __init__(self) -> None:
        self.told: list[str] = []

    def run_started(self, run: RunInfo) -> None:
        self.told.append("run_started")

    def call_retried(self, retry: RetryInfo) -> None:
        self.told.append(f"call_retried {retry.indexes}")

    def failed(self, failure: FailureInfo) -> None:
        self.told.append(f"failed {failure.indexes}")

    def tick(self, run: RunInfo) -> None:
        self.told.append("tick")

    def run_ended(self, run: RunInfo, report: RunReport) -> None:
        self.told.append(f"run_ended {report.outcome}")


class ToldOfCalls(Untimed):
    """Needs timings all the same, since they are in what it is told of."""

    def call_ended(self, call: CallInfo) -> None:
        self.told.append("call_ended")


@pytest.mark.parametrize(
    ("observers", "timings", "is_timed"),
    [
        ([Observer()], False, True),
        ([Untimed()], False, False),
        ([ToldOfCalls()], False, True),
        ([Untimed(), Observer()], False, True),
        ([Untimed()], True, True),
        ([Metrics(MeterProvider(shutdown_on_exit=False))], False, False),
        ([PrometheusMetrics(CollectorRegistry())], False, False),
        ([Tracing()], False, False),
        ([Tracing(sample_calls=0.5)], False, True),
    ],
)
async def test_runs_are_timed_if_an_observer_needs_it(
    observers: list[Observer], timings: bool, is_timed: bool
) -> None:
    """Or if they were told to be."""

    @single_task
    async def double(x: int) -> int:
        return 2 * x

    stream = double.with_observer(*observers).with_context(timings=timings)([1])
    await stream.collect()
    assert (stream.stats().timings is not None) == is_timed
    assert (stream.stats().stages[0].timings is not None) == is_timed


async def test_an_observer_without_timings_is_told_of_what_it_defines() -> None:
    """Of all that is not about calls."""

    @single_task(retry_attempts=2, retry_delay=1.5, retry_jitter=0, on_error="skip_item")
    async def fail(x: int) -> int:
        raise Boom

    observer = Untimed()
    assert await fail.with_observer(observer)([1]).collect() == []
    assert observer.told == [
        "run_started",
        "call_retried (0,)",
        "tick",
        "failed (0,)",
        "run_ended completed",
    ]


async def test_two_traces_of_a_run_are_nested(exported: Exported) -> None:
    """What the second sets is set back before what the first does: no span outlives its call."""

    @single_task
    def look(x: int) -> int:
        return current()

    outer = Tracing(exported.provider, name="outer", sample_calls=0.3)
    inner = Tracing(exported.provider, name="inner", sample_calls=0.3)
    spans = await look.with_observer(outer, inner)(range(20)).collect()
    assert is_child(exported.one("inner"), exported.one("outer"))
    calls = exported.named("look")
    assert len(calls) >= 10
    inmost = {
        attributes(call)["conveyor.item.index"]: call.context.span_id
        for call in calls
        if is_child(call, exported.one("inner"))
    }
    run = exported.one("inner").context.span_id
    assert spans == [inmost.get(index, run) for index in range(20)]


async def test_retries_of_a_call_are_events_of_its_span(exported: Exported) -> None:
    """With the delays; all attempts are in the one span."""
    attempts: list[int] = []

    @single_task(retry_attempts=3, retry_delay=1.0, retry_jitter=0)
    async def flaky(x: int) -> int:
        attempts.append(current())
        if len(attempts) < 3:
            raise Boom(f"secret {x}")
        return x

    observer = Tracing(exported.provider, name="run", sample_calls=1)
    assert await flaky.with_observer(observer)([7]).collect() == [7]
    call = exported.one("flaky")
    assert attempts == [call.context.span_id] * 3
    assert [dict(event.attributes or {}) for event in call.events] == [
        {
            "conveyor.retry.attempt": attempt,
            "conveyor.retry.delay": delay,
            "error.type": f"{__name__}.Boom",
        }
        for attempt, delay in ((1, 1.0), (2, 2.0))
    ]
    assert attributes(call)["conveyor.call.attempts"] == 3
    assert attributes(call)["conveyor.outcome"] == "returned"
    assert call.status.status_code is StatusCode.UNSET
    assert attributes(exported.one("run"))["conveyor.run.retried"] == 2
    assert "secret" not in call.to_json()


async def test_a_call_whose_item_is_skipped_has_failed(exported: Exported) -> None:
    """The run has not."""

    @single_task(on_error="skip_item")
    async def fail(x: int) -> int:
        raise Boom

    observer = Tracing(exported.provider, name="run", sample_calls=1)
    assert await fail.with_observer(observer)([1]).collect() == []
    assert exported.one("fail").status.status_code is StatusCode.ERROR
    run = exported.one("run")
    assert run.status.status_code is StatusCode.UNSET
    assert attributes(run)["conveyor.run.skipped"] == 1


async def test_batches_are_linked_to_the_calls_of_their_items(exported: Exported) -> None:
    """And so on, from the last result back to the first call."""

    @single_task
    async def fetch(x: int) -> int:
        return x

    @batch_task(max_size=2)
    async def pair(batch: list[int]) -> list[int]:
        return batch

    @single_task
    async def store(x: int) -> int:
        return x

    observer = Tracing(exported.provider, name="run", sample_calls=1)
    pipeline = (fetch | pair | store).with_observer(observer)
    assert await pipeline(range(4)).collect() == [0, 1, 2, 3]
    spans: list[ReadableSpan] = exported.spans
    pairs = sorted(exported.named("pair"), key=lambda span: attributes(span)["conveyor.item.index"])
    assert [linked(span, spans) for span in pairs] == [
        [("fetch", 0), ("fetch", 1)],
        [("fetch", 2), ("fetch", 3)],
    ]
    assert sorted(linked(span, spans) for span in exported.named("store")) == [
        [("pair", 0)],
        [("pair", 0)],
        [("pair", 2)],
        [("pair", 2)],
    ]


# Metrics


async def test_a_run_is_measured_while_it_goes_on(collected: Collected) -> None:
    """From another thread, at any time, and its counts stay when it has ended."""

    @single_task(concurrency_limit=2)
    async def double(x: int) -> int:
        await anyio.sleep(1)
        return 2 * x

    pipeline = double.with_observer(Metrics(collected.provider))
    task = {"conveyor.task": "double"}

    async def read(name: str) -> list[tuple[dict[str, Any], float]]:
        return await to_thread.run_sync(collected.values, f"conveyor.{name}")

    async with pipeline(range(10)) as results:
        assert await anext(results) == 0
        assert await read("run.active") == [({}, 1)]
        assert await read("stage.limit") == [(task, 2)]
        [(_, calls)] = await read("stage.calls")
        assert 2 <= calls <= 4
    [(_, calls)] = await read("stage.calls")
    assert await read("run.active") == [({}, 0)]
    assert await read("run.items_out") == [({}, 1)]
    assert await read("run.ended") == [({"conveyor.outcome": "stopped"}, 1)]
    assert len(await plain(pipeline(range(10)))) == 10
    assert await read("stage.calls") == [(task, calls + 10)]
    assert await read("run.ended") == [
        ({"conveyor.outcome": "stopped"}, 1),
        ({"conveyor.outcome": "completed"}, 1),
    ]


async def test_a_run_that_goes_on_is_scraped(collected: Collected) -> None:
    """Over HTTP; with timings if they are measured, whose states add up to its duration."""

    @single_task(concurrency_limit=2)
    async def double(x: int) -> int:
        await anyio.sleep(1)
        return 2 * x

    @batch_task(max_size=3)
    async def add_up(batch: list[int]) -> int:
        return sum(batch)

    registry = CollectorRegistry()
    observer = PrometheusMetrics(registry)
    pipeline = (double | add_up).with_observer(observer).with_context(timings=True)
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)

    def scrape() -> dict[str, float]:
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        with urllib.request.urlopen(url, timeout=30) as response:
            return samples(response.read().decode())

    try:
        async with pipeline(range(6)) as results:
            assert await anext(results) == 6
            page = await to_thread.run_sync(scrape)
            assert page["conveyor_run_active"] == 1
            assert page["conveyor_run_items_out_total"] == 1
            assert await anext(results) == 24
            assert await anext(results, None) is None
        page = await to_thread.run_sync(scrape)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert page["conveyor_run_active"] == 0
    assert page["conveyor_run_ended_total{'outcome': 'completed'}"] == 1
    assert page["conveyor_stage_calls_total{'task': 'double'}"] == 6
    assert page["conveyor_stage_batches_total{'task': 'add_up', 'trigger': 'size'}"] == 2
    assert page["conveyor_stage_busy_seconds_total{'task': 'double'}"] == pytest.approx(6)
    states = [value for name, value in page.items() if "'state'" in name and "double" in name]
    assert sum(states) == pytest.approx(3)
