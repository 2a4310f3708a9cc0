"""Timelines: what is in the file, whatever becomes of the run, and how much of it."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from conveyor import BaseTask, Observer, batch_task, record_timeline, single_task
from conveyor.observers import Timeline
from conveyor.observers.trace_events import Call, Recording, lines
from conveyor.observing import CallInfo, RunInfo, StageInfo
from conveyor.report import RunReport
from conveyor.statistics import RunStatistics, StageStatistics
from helpers import block, current_time, plain, three_ways
from timelines import read_trace


class Trouble(Exception):
    """What functions raise here; its message has a value in it."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.json"


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def old_file(path: Path) -> None:
    path.write_text("old", encoding="utf-8")


async def slow(x: int) -> int:
    await anyio.sleep(1)
    return x


async def quick(x: int) -> int:
    await anyio.sleep(0.25)
    return x


@three_ways
async def test_a_timeline_tells_when_calls_began_and_ended(consume: Any, path: Path) -> None:
    """To the microsecond, from the run's start, with the index of each item."""
    await anyio.sleep(7)

    async def varied(x: int) -> int:
        await anyio.sleep(1 + x / 2)
        return x

    timeline = record_timeline(path)
    pipeline = single_task(varied, concurrency_limit=2) | single_task(quick)
    assert await consume(pipeline.with_observer(timeline)(range(3))) == [0, 1, 2]
    trace = read_trace(path)
    assert trace.process == "varied | quick"
    assert trace.threads == {1: "run", 2: "varied", 3: "quick"}
    returned = {"outcome": "returned"}
    assert trace.calls("varied") == [
        (0, 1, {"index": 0} | returned),
        (0, 1.5, {"index": 1} | returned),
        (1, 3, {"index": 2} | returned),
    ]
    assert trace.calls("quick") == [
        (1, 1.25, {"index": 0} | returned),
        (1.5, 1.75, {"index": 1} | returned),
        (3, 3.25, {"index": 2} | returned),
    ]
    assert (trace.run["ts"], trace.run["dur"]) == (0, 3.25e6)
    summary = trace.run["args"]
    assert summary == {
        "run_id": summary["run_id"],
        "outcome": "completed",
        "items_in": 3,
        "items_out": 3,
        "calls": 6,
        "calls_shown": 6,
    }
    assert trace.about == summary | {
        "format": "conveyor timeline 1",
        "stages": ["varied", "quick"],
    }
    assert timeline.written == path
    assert trace.instants() == []


async def test_stages_of_one_name_have_tracks_of_their_own(path: Path) -> None:
    """Viewers put calls of one name on one track, so the position is added."""
    task = single_task(quick, concurrency_limit=1)
    await (
        (task | single_task(slow, concurrency_limit=1) | task)
        .with_observer(record_timeline(path))([5])
        .collect()
    )
    trace = read_trace(path)
    assert [*trace.threads.values()] == ["run", "quick (1)", "slow", "quick (3)"]
    assert [trace.calls(name)[0][0] for name in ("quick (1)", "slow", "quick (3)")] == [
        0,
        0.25,
        1.25,
    ]
    assert trace.counters("quick (3)")[0][0] == 0


@pytest.mark.parametrize(
    "name", ['a "b" \\ c', "naïve ☃ 😀", "line\nbreak\t\0", "</script><b>&", "\ud800", "x" * 5000]
)
async def test_names_may_be_anything(name: str, path: Path) -> None:
    """What JSON has to escape, and what it need not."""
    await single_task(quick, task_name=name).with_observer(record_timeline(path))([1]).collect()
    trace = read_trace(path)
    assert trace.process == trace.threads[2] == name
    assert len(trace.calls(name)) == 1
    assert trace.counters(name)


async def test_a_batch_tells_its_items(path: Path) -> None:
    """How many, the first and the last; one item alone is told as such."""

    @batch_task(max_size=3)
    async def store(numbers: list[int]) -> None:
        await anyio.sleep(1)

    await store.with_observer(record_timeline(path))(range(7)).collect()
    assert read_trace(path).calls("store") == [
        (0, 1, {"items": 3, "first_index": 0, "last_index": 2, "outcome": "returned"}),
        (1, 2, {"items": 3, "first_index": 3, "last_index": 5, "outcome": "returned"}),
        (2, 3, {"index": 6, "outcome": "returned"}),
    ]


async def test_retries_and_failures_are_instants_on_the_track_of_their_stage(path: Path) -> None:
    """With the index, the attempt and the error's type, at the time at which it was raised."""

    @single_task(
        concurrency_limit=1, retry_attempts=2, retry_delay=3, retry_jitter=0, on_error="skip_item"
    )
    async def fragile(x: int) -> int:
        await anyio.sleep(1)
        if x == 101:
            raise Trouble(x)
        return x

    pipeline = (fragile | single_task(quick, concurrency_limit=1)).with_observer(
        record_timeline(path)
    )
    assert await pipeline([100, 101, 102]).collect() == [100, 102]
    trace = read_trace(path)
    assert trace.instants() == [
        (2, "fragile", "retry: Trouble", {"index": 1, "attempt": 1, "error": "Trouble"}),
        (
            6,
            "fragile",
            "failure: Trouble",
            {"index": 1, "attempts": 2, "error": "Trouble", "fate": "skip_item"},
        ),
    ]
    failed = {"index": 1, "outcome": "failed", "error": "Trouble", "attempts": 2}
    assert trace.calls("fragile")[1] == (1, 6, failed)


@three_ways
async def test_a_failed_run_has_a_timeline(consume: Any, path: Path) -> None:
    """With the failure, and the calls that it cancelled."""

    @single_task(concurrency_limit=3)
    async def fragile(x: int) -> int:
        await anyio.sleep(1 + x)
        if x == 1:
            raise Trouble("of the item's value")
        return x

    with pytest.raises(Trouble):
        await consume(fragile.with_observer(record_timeline(path))(range(9)))
    trace = read_trace(path)
    assert [(end, args["outcome"]) for _, end, args in trace.calls()] == [
        (1, "returned"),
        (2, "failed"),
        (2, "cancelled"),
        (2, "cancelled"),
    ]
    assert trace.instants() == [
        (
            2,
            "fragile",
            "failure: Trouble",
            {"index": 1, "attempts": 1, "error": "Trouble", "fate": "fail"},
        )
    ]
    assert (trace.about["outcome"], trace.about["error"]) == ("failed", "Trouble")


async def test_a_failure_of_the_source_is_on_the_track_of_the_run(path: Path) -> None:
    """It belongs to no stage, and to no item."""

    async def source() -> AsyncIterator[int]:
        yield 0
        await anyio.sleep(2)
        raise Trouble

    with pytest.raises(Trouble):
        await (
            single_task(slow, concurrency_limit=1)
            .with_observer(record_timeline(path))(source())
            .collect()
        )
    arguments = {"attempts": 0, "error": "Trouble", "fate": "fail"}
    assert read_trace(path).instants() == [(2, "run", "failure: Trouble", arguments)]


@pytest.mark.parametrize("consume", [plain, block])
async def test_a_cancelled_run_has_a_timeline(consume: Any, path: Path) -> None:
    """Its calls end when they were cancelled."""
    with anyio.move_on_after(1.5):
        await consume(
            single_task(slow, concurrency_limit=1).with_observer(record_timeline(path))(range(9))
        )
    trace = read_trace(path)
    assert [(end, args["outcome"]) for _, end, args in trace.calls()] == [
        (1, "returned"),
        (1.5, "cancelled"),
    ]


async def test_a_run_that_is_left_early_has_a_timeline(path: Path) -> None:
    """It says that it was ended early."""
    async with single_task(slow, concurrency_limit=1).with_observer(record_timeline(path))(
        range(9)
    ) as results:
        async for _ in results:
            break
    trace = read_trace(path)
    assert trace.about["outcome"] == "stopped"
    assert [args["outcome"] for _, _, args in trace.calls()] == ["returned", "cancelled"]


async def test_counters_show_queues_calls_and_what_is_held(path: Path) -> None:
    """At the start, at each interval, and at the end."""
    pipeline = single_task(quick, concurrency_limit=3) | single_task(slow, concurrency_limit=1)
    timeline = record_timeline(path, interval=0.5)
    await pipeline.with_observer(timeline)([1, 2, 3]).collect()
    trace = read_trace(path)
    assert trace.counters("slow") == [
        (0, {"queued": 0, "in flight": 0}),
        (0.5, {"queued": 2, "in flight": 1}),
        (1, {"queued": 2, "in flight": 1}),
        (1.5, {"queued": 1, "in flight": 1}),
        (2, {"queued": 1, "in flight": 1}),
        (2.5, {"queued": 0, "in flight": 1}),
        (3, {"queued": 0, "in flight": 1}),
        (3.25, {"queued": 0, "in flight": 0}),
    ]
    assert [at for at, _ in trace.counters("quick")] == [at for at, _ in trace.counters("items")]


async def test_counters_show_what_is_held_and_what_is_ready(path: Path) -> None:
    """So one sees when the consumer is what is slow."""
    task = single_task(quick, concurrency_limit=3)
    async with task.with_observer(record_timeline(path, interval=0.5))([1, 2, 3]) as results:
        async for _ in results:
            await anyio.sleep(1)
    counts = read_trace(path).counters("items")
    # Taken at 0.25, 1.25 and 2.25; what is taken may count as held for a while.
    ready = [(0, 0), (0.5, 2), (1, 2), (1.5, 1), (2, 1), (2.5, 0)]
    assert [(at, args["ready"]) for at, args in counts[:6]] == ready
    assert counts[1][1]["held"] == 3
    assert all(args["ready"] <= args["held"] <= 3 for _, args in counts)


async def test_without_an_interval_there_are_no_counters(path: Path) -> None:
    """Nobody looks."""
    timeline = record_timeline(path, interval=None)
    await single_task(slow, concurrency_limit=1).with_observer(timeline)([1]).collect()
    assert {event["ph"] for event in read_trace(path).events} == {"X", "b", "e"}


async def test_a_generator_tells_how_long_it_waited_for_room(path: Path) -> None:
    """Its call takes as long as its values are being taken."""

    @single_task
    async def expand(x: int) -> AsyncIterator[int]:
        for part in range(4):
            yield part

    pipeline = (expand | single_task(slow, concurrency_limit=1)).with_context(max_in_flight=2)
    await pipeline.with_observer(record_timeline(path))([1]).collect()
    ((begin, end, args),) = read_trace(path).calls("expand")
    assert args["paused_us"] == (end - begin) * 1e6 > 0


async def test_a_process_is_one_call(path: Path) -> None:
    """It is about no item in particular, and kept in any case."""

    class Sums(BaseTask[int, int]):
        async def process(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
            async for item in items:
                yield item

    timeline = record_timeline(path, max_events=100)
    await (
        (single_task(quick, concurrency_limit=1) | Sums())
        .with_observer(timeline)(range(100))
        .collect()
    )
    ((begin, end, args),) = read_trace(path).calls("Sums")
    assert (begin, end) == (0.25, 25)
    assert "index" not in args


# How much is kept


@pytest.mark.parametrize(("max_events", "interval"), [(100, 0.05), (150, None), (1000, 0.05)])
async def test_a_long_run_is_shown_by_evenly_spread_items(
    path: Path, max_events: int, interval: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Never more events than were asked for, and all calls of nearly each item that is shown."""
    caplog.set_level(logging.INFO, "conveyor")
    pipeline = single_task(quick, concurrency_limit=4) | single_task(quick, concurrency_limit=3)
    timeline = record_timeline(path, max_events=max_events, interval=interval)
    await pipeline.with_observer(timeline)(range(2000)).collect()
    trace = read_trace(path)
    assert 0.8 * max_events <= len(trace.events) - 1 <= max_events
    calls = Counter(args["index"] for _, _, args in trace.calls())
    assert sum(number == 2 for number in calls.values()) >= len(calls) - 1
    mean = 2000 / len(calls)
    assert max(after - before for before, after in pairwise([*sorted(calls), 2000])) < 3 * mean
    shown = len(trace.calls())
    assert trace.run["args"]["calls"] == 4000
    assert trace.run["args"]["calls_shown"] == shown
    assert trace.run["args"]["note"] == "evenly spread items only, with all of their calls"
    assert f"with {shown} of its 4000 calls" in caplog.text


async def test_one_item_that_becomes_many_does_not_fill_the_timeline(path: Path) -> None:
    """The calls with what each item became are shown, from the first to the last."""

    @single_task(concurrency_limit=2)
    async def expand(x: int) -> AsyncIterator[int]:
        for part in range(500):
            yield part

    timeline = record_timeline(path, max_events=200, interval=None)
    await (
        (expand | single_task(quick, concurrency_limit=1))
        .with_observer(timeline)(range(4))
        .collect()
    )
    trace = read_trace(path)
    calls = trace.calls("quick")
    assert len(calls) >= 95
    indexes = Counter(args["index"] for _, _, args in calls)
    assert sorted(indexes) == [0, 1, 2, 3]
    assert min(indexes.values()) >= 15
    begins = sorted(begin for begin, _, _ in calls)
    assert max(after - before for before, after in pairwise([0, *begins, 500])) < 5 * 500 / 100


async def test_retries_are_bounded_too(path: Path) -> None:
    """A call that is repeated for ever does not fill the memory."""

    @single_task(
        retry_attempts=1000,
        retry_delay=0.01,
        retry_exponential_backoff=False,
        on_error="skip_item",
    )
    async def fragile(x: int) -> None:
        raise Trouble

    timeline = record_timeline(path, max_events=100)
    await fragile.with_observer(timeline)(range(3)).collect()
    assert len(read_trace(path).events) - 1 <= 100


async def test_the_failure_that_ends_the_run_is_always_shown(path: Path) -> None:
    """However many items there were, and whichever it was."""

    @single_task
    async def fragile(x: int) -> None:
        if x == 1234:
            raise Trouble

    timeline = record_timeline(path, max_events=100)
    with pytest.raises(Trouble):
        await fragile.with_observer(timeline)(range(2000)).collect()
    ((_, _, _, args),) = read_trace(path).instants()
    assert args["index"] == 1234


class Stub:
    """A run of one stage, for what no real one does."""

    def __init__(self) -> None:
        self.stage = StageInfo(0, "stub", "single")
        self.info = RunInfo("1", (self.stage,), None, self.stats)

    def stats(self) -> RunStatistics:
        stage = StageStatistics("stub", 0, 0, 0, 0, 0, 0)
        return RunStatistics(0, (stage,), 0, duration=current_time() - 5)

    def report(self) -> RunReport:
        return RunReport("1", "completed", (self.stage,), self.stats())


async def test_a_call_without_an_end_ends_with_the_run(path: Path) -> None:
    """So that whatever begins in the file ends in it."""
    await anyio.sleep(5)
    timeline, run = Timeline(path), Stub()
    timeline.run_started(run.info)
    timeline.call_started(CallInfo(run.info, run.stage, (3,), current_time()))
    await anyio.sleep(2)
    timeline.run_ended(run.info, run.report())
    assert read_trace(path).calls() == [(0, 2, {"index": 3, "outcome": "running"})]


async def test_times_are_never_before_the_start(path: Path) -> None:
    """Viewers refuse what is."""
    await anyio.sleep(5)
    timeline, run = Timeline(path), Stub()
    timeline.run_started(run.info)
    call = CallInfo(run.info, run.stage, (3,), current_time() - 1)
    timeline.call_started(call)
    call.ended_at = current_time() - 0.5
    timeline.call_ended(call)
    timeline.run_ended(run.info, run.report())
    assert [(begin, end) for begin, end, _ in read_trace(path).calls()] == [(0, 0)]


async def test_no_more_is_remembered_than_is_kept() -> None:
    """Neither calls for which there is no room nor errors, which hold what they were about."""
    timeline, run = Timeline("unused", max_events=100, interval=None), Stub()
    timeline.run_started(run.info)
    for index in range(1000):
        call = CallInfo(run.info, run.stage, (index,), current_time())
        timeline.call_started(call)
        call.error, call.ended_at = Trouble(index), current_time()
        timeline.call_ended(call)
        assert len(timeline._runs[run.info]._open) == 0
        assert len(timeline._runs[run.info]._sample) <= 50
    late = [CallInfo(run.info, run.stage, (index,), current_time()) for index in range(1000, 3000)]
    for call in late:
        timeline.call_started(call)
    assert len(timeline._runs[run.info]._open) < 0.1 * len(late)
    kept = [*timeline._runs[run.info]._sample]
    assert not any(isinstance(value, BaseException) for call in kept for value in call)


# The file


async def test_nothing_in_the_file_is_a_value_or_a_message(path: Path) -> None:
    """Values may be secret, and messages hold them."""

    @single_task(on_error="skip_item", retry_attempts=2, retry_delay=0)
    async def login(password: str) -> str:
        if password.endswith("!"):
            raise Trouble(f"wrong: {password}")
        return password

    timeline = record_timeline(path)
    await login.with_observer(timeline)(["hunter2", "hunter2!"]).collect()
    assert "hunter2" not in text_of(path)
    assert "wrong" not in text_of(path)


async def test_each_run_has_a_file_if_the_name_has_its_id(tmp_path: Path) -> None:
    """Also if they overlap."""
    timeline = record_timeline(tmp_path / "trace {run_id}.json")
    pipeline = single_task(slow, concurrency_limit=1).with_observer(timeline)
    async with anyio.create_task_group() as group:
        group.start_soon(pipeline(range(3)).collect)
        await anyio.sleep(0.5)
        group.start_soon(pipeline(range(2)).collect)
    traces = [read_trace(tmp_path / name) for name in names_in(tmp_path)]
    assert sorted(len(trace.calls()) for trace in traces) == [2, 3]
    assert {*names_in(tmp_path)} == {f"trace {trace.about['run_id']}.json" for trace in traces}
    assert {begin for trace in traces for begin, _, _ in trace.calls()} == {0, 1, 2}
    assert timeline._runs == {}


async def test_an_id_does_not_lead_elsewhere(tmp_path: Path) -> None:
    """What is no letter, digit, dot or dash is replaced."""
    run = Stub()
    run.info.run_id = "../a b/é"
    timeline = Timeline(tmp_path / "{run_id}.json")
    timeline.run_started(run.info)
    timeline.run_ended(run.info, run.report())
    assert names_in(tmp_path) == [".._a_b_é.json"]


async def test_without_the_id_the_run_that_ends_last_is_told(path: Path) -> None:
    """Each replaces what was there."""
    pipeline = single_task(slow, concurrency_limit=1).with_observer(record_timeline(path))
    for number in (5, 2):
        await pipeline(range(number)).collect()
    assert len(read_trace(path).calls()) == 2


async def test_missing_directories_are_made(tmp_path: Path) -> None:
    """A long run must not be lost for that."""
    path = tmp_path / "a" / "b" / "trace.json"
    await (
        single_task(slow, concurrency_limit=1)
        .with_observer(record_timeline(os.fspath(path)))([1])
        .collect()
    )
    read_trace(path)


async def test_a_file_that_cannot_be_written_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run goes on; what was written so far is taken away."""
    path = tmp_path / "trace.json"
    path.mkdir()
    timeline = record_timeline(path)
    assert await single_task(slow, concurrency_limit=1).with_observer(timeline)([1]).collect() == [
        1
    ]
    (record,) = (each for each in caplog.records if each.name == "conveyor")
    assert record.levelno == logging.ERROR
    assert re.match(r"observer Timeline has raised \w+Error in run_ended\(\)", record.getMessage())
    assert names_in(tmp_path) == ["trace.json"]
    assert timeline.written is None
    assert timeline._runs == {}


async def test_an_old_file_stays_until_the_new_one_is_complete(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever reads it sees one or the other."""
    old_file(path)

    def broken(recording: Any) -> Iterator[str]:
        yield "begin"
        assert path.read_text() == "old"
        raise Trouble

    monkeypatch.setattr("conveyor.observers.timeline.lines", broken)
    await single_task(slow, concurrency_limit=1).with_observer(record_timeline(path))([1]).collect()
    assert text_of(path) == "old"
    assert names_in(path.parent) == [path.name]
    assert "Timeline has raised Trouble in run_ended()" in caplog.text


async def test_it_says_where_the_file_is(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """To whoever logs at INFO."""
    caplog.set_level(logging.INFO, "conveyor")
    timeline = record_timeline(path)
    assert repr(timeline) == f"<Timeline {os.fspath(path)!r}>"
    await single_task(slow, concurrency_limit=1).with_observer(timeline)([1]).collect()
    run_id = read_trace(path).about["run_id"]
    message = f"The timeline of run {run_id} is in {path}, with 1 of its 1 calls"
    assert ("conveyor", logging.INFO, message) in caplog.record_tuples


# What is given


make: Any = record_timeline


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"path": 3}, TypeError, "path must be the name of a file, got 3"),
        ({"max_events": 1e5}, TypeError, "max_events must be an int, got 100000.0"),
        ({"max_events": True}, TypeError, "max_events must be an int, got True"),
        ({"max_events": 99}, ValueError, "max_events must be at least 100, got 99"),
        (
            {"interval": "1"},
            TypeError,
            "interval must be a number of seconds, or None, got '1'",
        ),
        (
            {"interval": True},
            TypeError,
            "interval must be a number of seconds, or None, got True",
        ),
        (
            {"interval": 0},
            ValueError,
            "interval must be more than 0, got 0; with None there are no counters",
        ),
        (
            {"interval": float("nan")},
            ValueError,
            "interval must be more than 0, got nan; with None there are no counters",
        ),
    ],
)
def test_bad_settings_are_refused(
    arguments: dict[str, Any], kind: type[Exception], message: str
) -> None:
    """At once, and not when the run has ended."""
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        make(**{"path": "trace.json"} | arguments)


def test_the_settings_can_be_read() -> None:
    """As they were given."""
    timeline = record_timeline("a/b.json", max_events=500, interval=1)
    assert isinstance(timeline, Observer)
    assert (timeline.path, timeline.max_events, timeline.interval) == (Path("a/b.json"), 500, 1)
    assert (timeline.written, record_timeline("c").max_events) == (None, 100_000)


def test_nothing_is_imported_before_it_is_needed() -> None:
    """Neither timelines by the package, nor matplotlib by timelines."""
    program = (
        "import sys, conveyor; print('conveyor.observers' in sys.modules); "
        "conveyor.record_timeline('x'); print('matplotlib' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"] * 3


def test_the_observers_are_listed() -> None:
    """Whoever looks into the package finds them."""
    import conveyor.observers

    assert conveyor.record_timeline is conveyor.observers.record_timeline
    assert {*conveyor.observers.__all__} <= {*dir(conveyor.observers)}
    with pytest.raises(AttributeError, match=r"^module 'conveyor.observers' has no attribute 'x'$"):
        _ = conveyor.observers.x  # type: ignore[attr-defined]


def test_numbers_in_the_file_are_json() -> None:
    """Those of very short and of very long runs, too."""
    stage = StageInfo(0, "stub", "single")
    statistics = RunStatistics(0, (StageStatistics("stub", 0, 0, 0, 0, 0, 0),), 0)
    report = RunReport("1", "completed", (stage,), statistics)
    call = Call(0, 1e-9, 1e15, 0, 0, 1, 1, "returned", None, 0.0)
    content = json.loads("".join(lines(Recording(report, 1e15, [call], [], [], 1))))
    assert [event["ts"] for event in content["traceEvents"][-2:]] == [0.001, 1e21]
