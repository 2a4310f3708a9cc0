"""``Tracing``: spans of runs and of some of their calls, as the SDK exports them."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import weakref
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler, SamplingResult
from opentelemetry.trace import StatusCode

from conveyor.observers import Tracing, tracing
from conveyor.observing import Observer, RetryInfo
from conveyor.statistics import RunStatistics
from told import ToldRun, stage_counts


class Boom(Exception):
    """What calls raise."""


class Exported:
    """A tracer provider, and what it has exported."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("test")

    @property
    def spans(self) -> list[ReadableSpan]:
        """In the order in which they have ended."""
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        [span] = self.named(name)
        return span


@pytest.fixture
def exported() -> Exported:
    return Exported()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def items(spans: list[ReadableSpan]) -> list[Any]:
    return [attributes(span)["conveyor.item.index"] for span in spans]


def is_child(span: ReadableSpan, parent: ReadableSpan) -> bool:
    return span.parent is not None and span.parent.span_id == parent.context.span_id


def linked(span: ReadableSpan, spans: list[ReadableSpan]) -> list[tuple[str, Any]]:
    """The calls that a span is linked to: task and item."""
    by_id = {each.context.span_id: each for each in spans}
    found = [by_id[link.context.span_id] for link in span.links]
    return [(each.name, attributes(each)["conveyor.item.index"]) for each in found]


# The run


def test_a_run_has_a_span_with_what_it_counted(exported: Exported) -> None:
    """Named after the tasks, with the run's id, its stages, counts and outcome."""
    run = ToldRun(Tracing(exported.provider), "fetch", "parse", run_id="the id", total=9)
    run.counts = RunStatistics(
        9,
        (
            stage_counts("fetch", skipped=1, retried=4, diverted=1),
            stage_counts("parse", dropped=2, failed=1),
        ),
        4,
    )
    assert exported.spans == []
    run.end()
    span = exported.one("fetch | parse")
    assert attributes(span) == {
        "conveyor.run.id": "the id",
        "conveyor.run.stages": ("fetch", "parse"),
        "conveyor.run.total": 9,
        "conveyor.outcome": "completed",
        "conveyor.run.items_in": 9,
        "conveyor.run.items_out": 4,
        "conveyor.run.skipped": 1,
        "conveyor.run.diverted": 1,
        "conveyor.run.failed": 1,
        "conveyor.run.dropped": 2,
        "conveyor.run.retried": 4,
    }
    assert span.status.status_code is StatusCode.UNSET
    assert span.parent is None
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "conveyor"


def test_the_span_of_a_run_can_be_named(exported: Exported) -> None:
    """The name that is given takes the place of the tasks'."""
    ToldRun(Tracing(exported.provider, name="import"), "fetch", "parse").end()
    assert exported.one("import")


def test_a_pipeline_without_tasks_has_a_span(exported: Exported) -> None:
    """It has a name all the same."""
    ToldRun(Tracing(exported.provider)).end()
    assert exported.one("pipeline")


def test_a_run_that_fails_has_the_status_of_an_error(exported: Exported) -> None:
    """With the type of the error, and nothing of its message."""
    run = ToldRun(Tracing(exported.provider), "fetch")
    run.end("failed", Boom("secret"))
    span = exported.one("fetch")
    name = f"{__name__}.Boom"
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description is None
    assert attributes(span)["conveyor.outcome"] == "failed"
    assert attributes(span)["error.type"] == name
    assert [(event.name, dict(event.attributes or {})) for event in span.events] == [
        ("exception", {"exception.type": name})
    ]
    assert "secret" not in span.to_json()


def test_an_error_of_the_language_is_named_without_a_module(exported: Exported) -> None:
    """``ValueError`` and not ``builtins.ValueError``."""
    ToldRun(Tracing(exported.provider), "fetch").end("failed", ValueError())
    assert attributes(exported.one("fetch"))["error.type"] == "ValueError"


def test_a_run_that_is_left_early_is_no_error(exported: Exported) -> None:
    """It says that it was stopped."""
    ToldRun(Tracing(exported.provider), "fetch").end("stopped")
    span = exported.one("fetch")
    assert span.status.status_code is StatusCode.UNSET
    assert attributes(span)["conveyor.outcome"] == "stopped"


def test_the_span_of_a_run_is_current_in_it(exported: Exported) -> None:
    """It is a child of the one that was current where it began, where that goes on being so."""
    with exported.tracer.start_as_current_span("outer") as outer:
        run = ToldRun(Tracing(exported.provider), "fetch")
        assert trace.get_current_span() is outer
        with run.context.run(lambda: exported.tracer.start_span("inner")):
            pass
        run.end()
    assert is_child(exported.one("inner"), exported.one("fetch"))
    assert is_child(exported.one("fetch"), exported.one("outer"))


def test_runs_that_overlap_have_their_own_spans(exported: Exported) -> None:
    """One observer keeps them apart."""
    tracing = Tracing(exported.provider, sample_calls=1)
    one, other = ToldRun(tracing, "one", run_id="1"), ToldRun(tracing, "other", run_id="2")
    call, other_call = one.call(0, 5), other.call(0, 5)
    one.returned(call)
    one.end()
    other.returned(other_call)
    other.end("failed", Boom())
    (call_of_one, one_span), (call_of_other, other_span) = map(exported.named, ("one", "other"))
    assert is_child(call_of_one, one_span)
    assert is_child(call_of_other, other_span)
    assert one_span.status.status_code is StatusCode.UNSET
    assert other_span.status.status_code is StatusCode.ERROR


def test_a_run_that_is_dropped_is_forgotten(exported: Exported) -> None:
    """Amid a call, too; an observer of many runs must not grow because some never end."""
    tracing = Tracing(exported.provider, sample_calls=1)
    run = ToldRun(tracing, "fetch", "parse")
    run.call(0, 0)
    info = weakref.ref(run.info)
    del run
    gc.collect()
    assert info() is None
    assert len(tracing._traces) == 0


def test_events_of_a_run_that_it_was_not_told_of_are_ignored(exported: Exported) -> None:
    """As if it had been attached too late."""
    run = ToldRun(Tracing(), "fetch")
    run.observer = Tracing(exported.provider, sample_calls=1)
    call = run.call(0, 0)
    run.observer.call_retried(RetryInfo(run.info, call.stage, (0,), 1, 0.0, Boom(), call))
    run.returned(call)
    run.end()
    assert exported.spans == []


# Calls


def test_calls_have_no_spans_by_default(exported: Exported) -> None:
    """Only the run has one, and it is current in the calls."""
    run = ToldRun(Tracing(exported.provider), "fetch", "parse")
    span = run.context.run(trace.get_current_span)
    call = run.call(0, 0)
    assert run.context.run(trace.get_current_span) is span
    run.returned(call)
    run.end()
    assert [span.name for span in exported.spans] == ["fetch | parse"]


def test_a_call_has_a_span_that_is_current_in_it(exported: Exported) -> None:
    """A child of the run's, which is current again afterwards."""
    run = ToldRun(Tracing(exported.provider, name="run", sample_calls=1), "fetch", run_id="id")
    before = run.context.run(trace.get_current_span)
    call = run.call(0, 7)
    inside = run.context.run(trace.get_current_span)
    assert inside is not before
    call.attempts = 3
    run.returned(call)
    assert run.context.run(trace.get_current_span) is before
    run.end()
    span = exported.one("fetch")
    assert inside.get_span_context() == span.context
    assert is_child(span, exported.one("run"))
    assert attributes(span) == {
        "conveyor.run.id": "id",
        "conveyor.task": "fetch",
        "conveyor.item.index": 7,
        "conveyor.outcome": "returned",
        "conveyor.call.attempts": 3,
    }
    assert span.status.status_code is StatusCode.UNSET


def test_baggage_of_the_consumer_is_seen_in_calls(exported: Exported) -> None:
    """A span takes the place of a span, not of all that is propagated."""
    token = context.attach(baggage.set_baggage("tenant", "acme"))
    run = ToldRun(Tracing(exported.provider, sample_calls=1), "fetch")
    context.detach(token)
    run.call(0, 0)
    assert run.context.run(baggage.get_baggage, "tenant") == "acme"


def test_a_call_that_fails_has_the_status_of_an_error(exported: Exported) -> None:
    """Also if the run goes on; with nothing of the message."""
    run = ToldRun(Tracing(exported.provider, name="run", sample_calls=1), "fetch")
    run.failed(run.call(0, 0), Boom("secret"))
    run.end()
    span = exported.one("fetch")
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["conveyor.outcome"] == "failed"
    assert attributes(span)["error.type"] == f"{__name__}.Boom"
    assert "secret" not in span.to_json()
    assert exported.one("run").status.status_code is StatusCode.UNSET


def test_a_call_that_is_cancelled_is_no_error(exported: Exported) -> None:
    """It says that it was cancelled."""
    run = ToldRun(Tracing(exported.provider, name="run", sample_calls=1), "fetch")
    call = run.call(0, 0)
    call.outcome = "cancelled"
    run.context.run(run.observer.call_ended, call)
    span = exported.one("fetch")
    assert span.status.status_code is StatusCode.UNSET
    assert attributes(span)["conveyor.outcome"] == "cancelled"


def test_retries_are_events_of_the_call(exported: Exported) -> None:
    """With number, delay and type of the error; those of other calls have nowhere to be."""
    run = ToldRun(Tracing(exported.provider, name="run", sample_calls=1), "fetch")
    call = run.call(0, 0)
    for call_or_none in (call, None):
        retry = RetryInfo(run.info, call.stage, (0,), 1, 2.5, Boom("secret"), call_or_none)
        run.context.run(run.observer.call_retried, retry)
    run.returned(call)
    run.end()
    span = exported.one("fetch")
    assert [(event.name, dict(event.attributes or {})) for event in span.events] == [
        (
            "retry",
            {
                "conveyor.retry.attempt": 1,
                "conveyor.retry.delay": 2.5,
                "error.type": f"{__name__}.Boom",
            },
        )
    ]
    assert "secret" not in span.to_json()
    assert exported.one("run").events == ()


@pytest.mark.parametrize("share", [0, 0.0, 0.01])
def test_it_asks_to_be_told_of_calls_only_if_some_are_chosen(share: float) -> None:
    """A method that is the base class's own is not called by the engine."""
    observer = Tracing(sample_calls=share)
    for name in ("call_started", "call_ended", "call_retried"):
        is_own = getattr(observer, name).__func__ is not getattr(Observer, name)
        assert is_own == (share > 0)


# Which calls


def make_calls(run: ToldRun, count: int, *positions: int) -> None:
    for index in range(count):
        for position in positions:
            run.returned(run.call(position, index))


@pytest.mark.parametrize("share", [0.01, 0.1, 1 / 3, 0.5, 0.9])
def test_a_fraction_of_the_items_is_chosen(exported: Exported, share: float) -> None:
    """As exactly as whole items allow, give or take a few, and all along the run."""
    make_calls(ToldRun(Tracing(exported.provider, sample_calls=share), "fetch"), 2000, 0)
    chosen = items(exported.named("fetch"))
    for start in range(0, 2000, 500):
        here = [index for index in chosen if start <= index < start + 500]
        assert abs(len(here) - share * 500) <= 3


def test_an_item_is_chosen_in_all_stages_or_in_none(exported: Exported) -> None:
    """So its way can be followed."""
    run = ToldRun(Tracing(exported.provider, sample_calls=0.3), "fetch", "parse")
    make_calls(run, 100, 0, 1)
    assert items(exported.named("fetch")) == items(exported.named("parse"))


def test_the_choice_depends_on_the_run_only(exported: Exported) -> None:
    """The same run chooses the same items, others choose others, and not always the first."""
    chosen: list[set[int]] = []
    for run_id in ("one", "one", *map(str, range(200))):
        exported = Exported()
        make_calls(
            ToldRun(Tracing(exported.provider, sample_calls=0.1), "fetch", run_id=run_id), 20, 0
        )
        chosen.append(set(items(exported.named("fetch"))))
    assert chosen[0] == chosen[1]
    for index in (0, 7, 19):
        assert 5 <= sum(index in each for each in chosen[2:]) <= 40  # 20 of 200 are to be expected


class Asked(Sampler):
    """Records nothing, but what it was asked for."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def should_sample(
        self, parent_context: Any, trace_id: int, name: str, *rest: Any, **named: Any
    ) -> SamplingResult:
        self.names.append(name)
        return ALWAYS_OFF.should_sample(parent_context, trace_id, name)

    def get_description(self) -> str:
        return "asked"


def test_calls_of_a_run_that_is_not_recorded_have_no_spans() -> None:
    """What the provider has decided against is not made, but its context is propagated."""
    sampler = Asked()
    provider = TracerProvider(sampler, shutdown_on_exit=False)
    run = ToldRun(Tracing(provider, name="run", sample_calls=1), "fetch")
    run.returned(run.call(0, 0))
    assert run.context.run(trace.get_current_span).get_span_context().is_valid
    run.end()
    assert sampler.names == ["run"]


# Links


def test_a_call_is_linked_to_the_one_in_the_stage_before(exported: Exported) -> None:
    """And to that only; the first one to none."""
    run = ToldRun(Tracing(exported.provider, sample_calls=1), "one", "two", "three")
    make_calls(run, 2, 0, 1, 2)
    calls = exported.spans
    assert [(call.name, linked(call, calls)) for call in calls] == [
        ("one", []),
        ("two", [("one", 0)]),
        ("three", [("two", 0)]),
        ("one", []),
        ("two", [("one", 1)]),
        ("three", [("two", 1)]),
    ]


def test_a_call_is_linked_past_stages_without_a_call(exported: Exported) -> None:
    """An item whose result was in a cache has none there."""
    run = ToldRun(Tracing(exported.provider, sample_calls=1), "one", "two", "three")
    make_calls(run, 1, 0, 2)
    assert linked(exported.one("three"), exported.spans) == [("one", 0)]


def test_what_an_item_became_is_linked_to_its_call(exported: Exported) -> None:
    """Also while a generator has not ended; not to its siblings."""
    run = ToldRun(Tracing(exported.provider, sample_calls=1), "many", "each", "last")
    generator = run.call(0, 0)
    first = run.call(1, 0)
    run.returned(first, run.call(1, 0), generator)
    calls = exported.spans
    assert [linked(call, calls) for call in exported.named("each")] == [[("many", 0)]] * 2


def test_a_batch_is_linked_to_the_calls_of_its_items(exported: Exported) -> None:
    """Those that were chosen, in the order of the batch."""
    run = ToldRun(Tracing(exported.provider, sample_calls=0.4), "fetch", "batched")
    make_calls(run, 10, 0)
    run.returned(run.call(1, *range(10)))
    chosen = items(exported.named("fetch"))
    assert 2 < len(chosen) < 6
    batch = exported.one("batched")
    assert linked(batch, exported.spans) == [("fetch", index) for index in chosen]
    assert attributes(batch)["conveyor.batch.size"] == 10
    assert attributes(batch)["conveyor.item.index"] == 0


def test_a_batch_without_a_chosen_item_has_no_span(exported: Exported) -> None:
    """One with a single one has."""
    run = ToldRun(Tracing(exported.provider, sample_calls=0.1), "fetch", "batched")
    make_calls(run, 100, 0)
    chosen = set(items(exported.named("fetch")))
    for start in range(0, 100, 2):
        run.returned(run.call(1, start, start + 1))
    assert items(exported.named("batched")) == sorted({index - index % 2 for index in chosen})


def test_a_batch_of_one_calls_results_is_linked_to_it_once(exported: Exported) -> None:
    """Items that stem from one item have its index."""
    run = ToldRun(Tracing(exported.provider, sample_calls=1), "many", "batched")
    run.returned(run.call(0, 0))
    run.returned(run.call(1, 0, 0, 0))
    assert linked(exported.one("batched"), exported.spans) == [("many", 0)]


def test_what_comes_out_of_a_batch_is_linked_to_it(exported: Exported) -> None:
    """Its index is that of the batch's first item."""
    run = ToldRun(Tracing(exported.provider, sample_calls=1), "fetch", "batched", "store")
    make_calls(run, 3, 0)
    run.returned(run.call(1, 0, 1, 2))
    run.returned(run.call(2, 0))
    assert linked(exported.one("store"), exported.spans) == [("batched", 0)]


def test_what_is_kept_for_links_is_bounded(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest are forgotten; nothing is kept of the last stage, or of a run that has ended."""
    monkeypatch.setattr(tracing, "MOST_LINKABLE", 3)
    observer = Tracing(exported.provider, sample_calls=1)
    run = ToldRun(observer, "fetch", "parse")
    make_calls(run, 5, 0)
    make_calls(run, 5, 1)
    parsed = exported.named("parse")
    assert [len(span.links) for span in parsed] == [0, 0, 1, 1, 1]
    (traced,) = observer._traces.values()
    assert len(traced._linkable) == 3
    assert traced.calls == {}
    run.end()
    assert len(observer._traces) == 0


# Settings


def test_the_global_provider_is_the_default(
    monkeypatch: pytest.MonkeyPatch, exported: Exported
) -> None:
    """Also if it is set later."""
    observer = Tracing()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", exported.provider)
    ToldRun(observer, "fetch").end()
    assert exported.one("fetch")


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"sample_calls": 5},
            ValueError,
            "sample_calls is a fraction of the items, from 0 to 1 (write 0.01 for 1 %), got 5",
        ),
        (
            {"sample_calls": -0.5},
            ValueError,
            "sample_calls is a fraction of the items, from 0 to 1 (write 0.01 for 1 %), got -0.5",
        ),
        (
            {"sample_calls": float("nan")},
            ValueError,
            "sample_calls is a fraction of the items, from 0 to 1 (write 0.01 for 1 %), got nan",
        ),
        (
            {"sample_calls": True},
            TypeError,
            "sample_calls must be a number from 0 to 1, got True",
        ),
        (
            {"sample_calls": "all"},
            TypeError,
            "sample_calls must be a number from 0 to 1, got 'all'",
        ),
        ({"name": 5}, TypeError, "name must be a str or None, got a int"),
    ],
)
def test_bad_settings_are_rejected(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    """Where the observer is made."""
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        Tracing(**settings)


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("Tracing", "opentelemetry", "otel"),
        ("Metrics", "opentelemetry", "otel"),
        ("PrometheusMetrics", "prometheus_client", "prometheus"),
    ],
)
def test_a_missing_package_is_named(name: str, package: str, extra: str) -> None:
    """The error says what to install."""
    program = f"import sys; sys.modules[{package!r}] = None; from conveyor.observers import {name}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: conveyor.observers.{name} needs ")
    assert last.endswith(f"; pip install 'conveyor-streaming[{extra}]'")
