"""Figures summed up over runs, and what monitoring systems get of them."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import textwrap
import threading
import urllib.request
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Sum
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    generate_latest,
    start_http_server,
)
from prometheus_client.parser import text_string_to_metric_families

from conveyor.observers import Metrics, PrometheusMetrics, prometheus
from conveyor.observers.figures import FIGURES, FiguresObserver, RunFigures
from conveyor.statistics import RunStatistics, RunTimings, StageTimings
from told import ToldRun, stage_counts


def counts(*tasks: str, **figures: Any) -> RunStatistics:
    """Counts of a run with the same figures for each of its tasks."""
    return RunStatistics(
        figures.get("items_in", 0), tuple(stage_counts(name, **figures) for name in tasks), 0
    )


class Summed:
    """Figures, and an observer that has them counted."""

    def __init__(self) -> None:
        self.figures = RunFigures()
        self.observer = FiguresObserver(self.figures)

    def __call__(self, name: str) -> dict[tuple[str, ...], float]:
        return self.figures.read()[name]


@pytest.fixture
def summed() -> Summed:
    return Summed()


# The sums


def test_runs_that_go_on_and_runs_that_have_ended_are_added_up(summed: Summed) -> None:
    """By task, over all runs that have one of that name."""
    one, other = ToldRun(summed.observer, "a", "b"), ToldRun(summed.observer, "b")
    one.counts, other.counts = counts("a", "b", calls=3), counts("b", calls=10)
    assert summed("stage.calls") == {("a",): 3, ("b",): 13}
    one.counts = counts("a", "b", calls=4)
    one.end()
    assert summed("stage.calls") == {("a",): 4, ("b",): 14}
    other.end()
    assert summed("stage.calls") == {("a",): 4, ("b",): 14}
    third = ToldRun(summed.observer, "b")
    third.counts = counts("b", calls=1)
    assert summed("stage.calls") == {("a",): 4, ("b",): 15}


def test_tasks_of_the_same_name_in_one_run_are_one(summed: Summed) -> None:
    """Their counts are added."""
    run = ToldRun(summed.observer, "a", "a")
    run.counts = counts("a", "a", calls=3)
    assert summed("stage.calls") == {("a",): 6}
    run.end()
    assert summed("stage.calls") == {("a",): 6}


def test_what_there_is_at_present_is_nothing_when_the_run_has_ended(summed: Summed) -> None:
    """It is 0 then, and not unknown."""
    run = ToldRun(summed.observer, "a")
    run.counts = replace(counts("a", in_flight=2, queued=3, limit=4), held=5)
    names = ["run.active", "run.held", "stage.in_flight", "stage.queued", "stage.limit"]
    assert [list(summed(name).values()) for name in names] == [[1], [5], [2], [3], [4]]
    run.end()
    assert [list(summed(name).values()) for name in names] == [[0]] * 5


def test_runs_are_counted_by_how_they_ended(summed: Summed) -> None:
    """Each once, however often it is told of."""
    runs = [ToldRun(summed.observer, "a") for _ in range(4)]
    assert summed("run.ended") == {}
    for run, outcome in zip(runs, ["completed", "failed", "completed"], strict=False):
        run.end(outcome)  # type: ignore[arg-type]
    runs[0].end("completed")
    assert summed("run.ended") == {("completed",): 2, ("failed",): 1}
    assert summed("run.active") == {(): 1}


def test_a_run_that_is_told_of_twice_is_counted_once(summed: Summed) -> None:
    """As if two observers were attached that share their figures."""
    run = ToldRun(summed.observer, "a")
    run.context.run(summed.observer.run_started, run.info)
    run.counts = counts("a", calls=3)
    assert summed("stage.calls") == {("a",): 3}
    run.end()
    run.end()
    assert summed("stage.calls") == {("a",): 3}


def test_times_are_there_if_they_are_measured(summed: Summed) -> None:
    """Those of stages by state, those of the run by what was waited for."""
    run = ToldRun(summed.observer, "a")
    assert summed("stage.time") == summed("stage.busy") == summed("run.source_wait") == {}
    timings = StageTimings(
        busy=9.0, saturated=1.0, held=2.0, blocked=3.0, starved=4.0, blocking=5.0, latency=None
    )
    run.counts = replace(
        counts("a", timings=timings),
        timings=RunTimings(
            source_wait=1.5, source_blocked=2.5, consumer_wait=3.5, cpu=0.0, peak_memory=None
        ),
    )
    assert summed("stage.busy") == {("a",): 9.0}
    assert summed("stage.blocking") == {("a",): 5.0}
    assert summed("stage.time") == {
        ("a", "saturated"): 1.0,
        ("a", "held"): 2.0,
        ("a", "blocked"): 3.0,
        ("a", "starved"): 4.0,
    }
    assert summed("run.source_wait") == {(): 1.5}
    assert summed("run.source_blocked") == {(): 2.5}
    assert summed("run.consumer_wait") == {(): 3.5}


def test_batches_are_told_apart_by_their_trigger(summed: Summed) -> None:
    """As the statistics do."""
    run = ToldRun(summed.observer, "batched")
    run.counts = counts("batched", triggers={"size": 3, "end": 1}, batch_items=31)
    assert summed("stage.batches") == {("batched", "size"): 3, ("batched", "end"): 1}
    assert summed("stage.batch_items") == {("batched",): 31}


def test_every_figure_is_read_from_its_own_place(summed: Summed) -> None:
    """A different number in each field of the statistics comes out under the field's name."""
    counted = [each for each in FIGURES if each.labels == ("task",) and each.unit != "s"]
    names = [each.name.removeprefix("stage.") for each in counted]
    fields = {name: place for place, name in enumerate(names, start=1)}
    run = ToldRun(summed.observer, "a")
    run.counts = counts("a", **fields)
    read = summed.figures.read()
    assert {name: read[f"stage.{name}"][("a",)] for name in fields} == fields
    run.counts = RunStatistics(1, (), 2, held=3)
    names = ["run.items_in", "run.items_out", "run.held"]
    assert [summed(name)[()] for name in names] == [1, 2, 3]


# Runs that are dropped


def test_a_run_that_is_dropped_is_not_kept_alive(summed: Summed) -> None:
    """What it had counted when it was last read stays counted, so that no counter falls."""
    run = ToldRun(summed.observer, "a")
    run.counts = counts("a", calls=3, in_flight=1)
    assert summed("stage.calls") == {("a",): 3}
    run.counts = counts("a", calls=5)
    info = weakref.ref(run.info)
    del run
    gc.collect()
    assert info() is None
    for _ in range(2):
        assert summed("stage.calls") == {("a",): 3}
    assert summed("stage.in_flight") == {("a",): 0}
    assert summed("run.active") == {(): 0}
    assert summed("run.ended") == {}


def test_dropped_runs_do_not_pile_up(summed: Summed) -> None:
    """Nor if nobody reads the figures."""
    for _ in range(3):
        ToldRun(summed.observer, "a")
        gc.collect()
    assert len(summed.figures._live) <= 1


# Threads


def test_a_run_that_ends_while_it_is_read_is_counted_once(summed: Summed) -> None:
    """A reader that has its snapshot already leaves it to what the run says at its end."""
    run = ToldRun(summed.observer, "a")
    run.counts = counts("a", calls=3)

    def stats() -> RunStatistics:
        run.info.stats = lambda: counts("a", calls=3)
        run.counts = counts("a", calls=4)
        run.end()
        return counts("a", calls=3)

    run.info.stats = stats
    assert summed("stage.calls") == {("a",): 4}
    assert summed("stage.calls") == {("a",): 4}


def test_counters_never_fall_whoever_reads_them(summed: Summed) -> None:
    """Several threads read while runs begin, count and end."""
    falls: list[tuple[float, float]] = []
    is_over = threading.Event()
    readings = [0] * 3

    def read(number: int) -> None:
        last = 0.0
        while not is_over.is_set():
            now = summed("stage.calls").get(("a",), 0)
            if now < last:
                falls.append((last, now))
            last = now
            readings[number] += 1

    threads = [threading.Thread(target=read, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    total = 0
    while total < 900 or min(readings) < 50:
        run = ToldRun(summed.observer, "a")
        for calls in range(10):
            run.counts = counts("a", calls=calls)
        total += 9
        run.end()
    is_over.set()
    for thread in threads:
        thread.join()
    assert falls == []
    assert summed("stage.calls") == {("a",): total}


# OpenTelemetry


class Collected:
    """A meter provider whose reader collects when it is asked."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)

    @property
    def metrics(self) -> dict[str, Any]:
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        [resource] = data.resource_metrics
        [scope] = resource.scope_metrics
        assert scope.scope.name == "conveyor"
        return {metric.name: metric for metric in scope.metrics}

    def values(self, name: str) -> list[tuple[dict[str, Any], float]]:
        points = self.metrics[name].data.data_points
        return [(dict(point.attributes), point.value) for point in points]


@pytest.fixture
def collected() -> Collected:
    return Collected()


def some_run(observer: Any) -> ToldRun:
    run = ToldRun(observer, "fetch", "batched")
    timings = StageTimings(
        busy=9.5, saturated=1.5, held=0.0, blocked=0.0, starved=0.0, blocking=0.0, latency=None
    )
    run.counts = RunStatistics(
        7,
        (
            stage_counts("fetch", calls=7, in_flight=2, timings=timings),
            stage_counts("batched", calls=2, triggers={"size": 2}),
        ),
        5,
    )
    return run


def test_metrics_are_exported_to_opentelemetry(collected: Collected) -> None:
    """With attributes for task, state, trigger and outcome."""
    run = some_run(Metrics(collected.provider))
    assert collected.values("conveyor.run.items_in") == [({}, 7)]
    assert collected.values("conveyor.stage.calls") == [
        ({"conveyor.task": "fetch"}, 7),
        ({"conveyor.task": "batched"}, 2),
    ]
    assert collected.values("conveyor.stage.batches") == [
        ({"conveyor.task": "batched", "conveyor.trigger": "size"}, 2)
    ]
    assert ({"conveyor.task": "fetch", "conveyor.state": "saturated"}, 1.5) in collected.values(
        "conveyor.stage.time"
    )
    assert collected.values("conveyor.run.active") == [({}, 1)]
    run.end("failed")
    assert collected.values("conveyor.run.active") == [({}, 0)]
    assert collected.values("conveyor.run.ended") == [({"conveyor.outcome": "failed"}, 1)]
    assert collected.values("conveyor.run.items_in") == [({}, 7)]


def test_instruments_say_what_they_are(collected: Collected) -> None:
    """Counters are monotonic sums, levels sums that may fall; all with unit and description."""
    run = some_run(Metrics(collected.provider))
    run.end()
    run = some_run(run.observer)
    exported = collected.metrics
    for figure in FIGURES:
        metric = exported.get(f"conveyor.{figure.name}")
        if metric is None:
            assert figure.name in ("run.source_wait", "run.source_blocked", "run.consumer_wait")
            continue
        assert metric.unit == figure.unit
        assert metric.description == figure.description
        assert isinstance(metric.data, Sum)
        assert metric.data.is_monotonic is not figure.is_level


def test_figures_are_read_once_each_time_metrics_are_collected(collected: Collected) -> None:
    """Not once for each instrument."""
    run = some_run(Metrics(collected.provider))
    read = run.info.stats
    readings: list[RunStatistics] = []

    def stats() -> RunStatistics:
        readings.append(read())
        return readings[-1]

    run.info.stats = stats
    for count in (1, 2, 3):
        assert collected.metrics
        assert len(readings) == count


def test_observers_of_one_meter_provider_share_their_figures(collected: Collected) -> None:
    """An instrument can be made once; a run that both are told of counts once."""
    one, other = Metrics(collected.provider), Metrics(collected.provider)
    run = some_run(one)
    run.context.run(other.run_started, run.info)
    some_run(other).end()
    assert collected.values("conveyor.run.items_in") == [({}, 14)]


def test_meter_providers_have_figures_of_their_own(collected: Collected) -> None:
    """What is counted for one is not shown by another."""
    other = Collected()
    some_run(Metrics(collected.provider)).end()
    observer = Metrics(other.provider)
    assert "conveyor.run.items_in" not in other.metrics
    some_run(observer).end()
    for each in (collected, other):
        assert each.values("conveyor.run.items_in") == [({}, 7)]


def test_the_global_meter_provider_is_the_default() -> None:
    """However it is named, and whether it is set before or later, there is one sum for it."""
    program = """
        from opentelemetry import metrics
        from conveyor.observers import Metrics
        from test_figures import Collected, some_run

        collected = Collected()
        some_run(Metrics()).end()
        metrics.set_meter_provider(collected.provider)
        some_run(Metrics()).end()
        some_run(Metrics(collected.provider)).end()
        print(collected.values("conveyor.run.items_in"))
    """
    # A process has one global provider, once and for all.
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("[({}, 21)]\n", "")


# Prometheus


def scraped(registry: CollectorRegistry) -> dict[str, float]:
    """Samples by how the page writes them."""
    return samples(generate_latest(registry).decode())


def samples(page: str) -> dict[str, float]:
    return {
        sample.name + str(sample.labels or ""): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_metrics_are_scraped_by_prometheus() -> None:
    """Really, over HTTP, while the run goes on and after it."""
    registry = CollectorRegistry()
    run = some_run(PrometheusMetrics(registry))
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        pages: list[str] = []
        for step in (lambda: None, lambda: run.end("failed")):
            step()
            with urllib.request.urlopen(url, timeout=30) as response:
                pages.append(response.read().decode())
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    before, after = map(samples, pages)
    assert before["conveyor_run_active"] == 1
    assert before["conveyor_run_items_in_total"] == 7
    assert before["conveyor_stage_calls_total{'task': 'fetch'}"] == 7
    assert before["conveyor_stage_in_flight{'task': 'fetch'}"] == 2
    assert before["conveyor_stage_busy_seconds_total{'task': 'fetch'}"] == 9.5
    state = "{'state': 'saturated', 'task': 'fetch'}"
    assert before[f"conveyor_stage_time_seconds_total{state}"] == 1.5
    assert before["conveyor_stage_batches_total{'task': 'batched', 'trigger': 'size'}"] == 2
    assert after["conveyor_run_active"] == after["conveyor_stage_in_flight{'task': 'fetch'}"] == 0
    assert after["conveyor_run_ended_total{'outcome': 'failed'}"] == 1
    assert after["conveyor_stage_calls_total{'task': 'fetch'}"] == 7
    assert "# TYPE conveyor_stage_calls_total counter" in pages[0]
    assert "# TYPE conveyor_stage_in_flight gauge" in pages[0]
    assert "# HELP conveyor_stage_in_flight Calls being made at present." in pages[0]


def test_names_are_what_prometheus_allows() -> None:
    """Letters, digits and underscores; times in seconds, and counters say that they are."""
    registry = CollectorRegistry()
    PrometheusMetrics(registry)
    names = re.findall(r"^# TYPE (\S+) (\w+)$", generate_latest(registry).decode(), re.MULTILINE)
    assert len(names) == len(FIGURES)
    for name, kind in names:
        assert re.fullmatch(r"conveyor_(run|stage)_[a-z_]+", name)
        assert name.endswith("_total") == (kind == "counter")


def test_task_names_of_any_kind_are_labels() -> None:
    """What Prometheus has to escape, too."""
    registry = CollectorRegistry()
    name = 'a "task"\\ of\ntwo lines'
    run = ToldRun(PrometheusMetrics(registry), name)
    run.counts = counts(name, calls=1)
    assert scraped(registry)[f"conveyor_stage_calls_total{ {'task': name} }"] == 1


def test_observers_of_one_registry_share_their_figures() -> None:
    """A name can be registered once; a run that both are told of counts once."""
    registry = CollectorRegistry()
    one, other = PrometheusMetrics(registry), PrometheusMetrics(registry)
    run = some_run(one)
    run.context.run(other.run_started, run.info)
    some_run(other).end()
    assert scraped(registry)["conveyor_run_items_in_total"] == 14


def test_the_global_registry_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library's own metrics are."""
    assert prometheus.REGISTRY is REGISTRY
    registry = CollectorRegistry()
    monkeypatch.setattr(prometheus, "REGISTRY", registry)
    some_run(PrometheusMetrics()).end()
    assert scraped(registry)["conveyor_run_items_in_total"] == 7


def test_names_that_are_taken_are_refused() -> None:
    """As with any other metric; registering reads no figures."""
    registry = CollectorRegistry(auto_describe=True)
    Counter("conveyor_run_items_in", "Somebody else's.", registry=registry)
    with pytest.raises(ValueError, match="conveyor_run_items_in"):
        PrometheusMetrics(registry)
    with pytest.raises(ValueError, match="conveyor_run_items_in"):
        PrometheusMetrics(registry)


@pytest.mark.parametrize(
    ("make", "observer"),
    [(lambda: Collected().provider, Metrics), (CollectorRegistry, PrometheusMetrics)],
)
def test_places_that_are_dropped_are_forgotten(
    make: Callable[[], Any], observer: Callable[[Any], Any]
) -> None:
    """An observer does not keep its provider or registry, nor is that kept for the next one."""
    place = make()
    some_run(observer(place))
    forgotten = weakref.ref(place)
    del place
    gc.collect()
    assert forgotten() is None


def test_every_figure_is_documented() -> None:
    """With its unit; and nothing else is."""
    page = Path(__file__).parent.parent / "docs" / "observing.rst"
    rows = re.findall(
        r"^``conveyor\.((?:run|stage)\.\w+)`` +(\{\w+\}|s) ", page.read_text(), re.MULTILINE
    )
    assert sorted(rows) == sorted((figure.name, figure.unit) for figure in FIGURES)
