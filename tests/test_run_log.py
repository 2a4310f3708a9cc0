"""What every run logs: its begin and end, retries and lost items; not too often, and no values."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from logging import INFO, WARNING
from typing import Any

import pytest
from anyio import sleep

from conveyor import single_task
from conveyor.observers.run_log import RunLog
from conveyor.observing import FailureInfo, Fate, RetryInfo, RunInfo, StageInfo
from conveyor.report import RunReport
from conveyor.statistics import RunStatistics

PARSE = StageInfo(0, "parse", "single")
STORE = StageInfo(1, "store", "batch")
EMPTY = RunStatistics(0, (), 0)


def a_run(run_id: str = "r1", total: int | None = None) -> RunInfo:
    return RunInfo(run_id, (PARSE, STORE), total, lambda: EMPTY)


def a_report(outcome: Any = "completed", error: BaseException | None = None) -> RunReport:
    return RunReport("r1", outcome, (), RunStatistics(12, (), 10, duration=1.5), error)


def retry(run: RunInfo, stage: StageInfo = PARSE, index: int = 17, **changes: Any) -> RetryInfo:
    fields = {"indexes": (index,), "attempt": 1, "delay": 0.5, "error": ValueError("secret")}
    return RetryInfo(run, stage, **{**fields, **changes})


def failure(
    run: RunInfo, fate: Fate = "skip_item", stage: StageInfo | None = PARSE, **changes: Any
) -> FailureInfo:
    fields = {"indexes": (17,), "attempts": 1, "error": ValueError("secret")}
    return FailureInfo(run, stage, fate=fate, **{**fields, **changes})


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(clock: Clock) -> RunLog:
    return RunLog(clock)


@pytest.fixture(autouse=True)
def at_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(INFO, "conveyor")


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What the package has added to a record."""
    return {
        name.removeprefix("conveyor_"): value
        for name, value in vars(record).items()
        if name.startswith("conveyor_")
    }


def test_a_retry_is_a_warning(log: RunLog, caplog: pytest.LogCaptureFixture) -> None:
    """With task, index, attempt and type of the error, in words and in fields."""
    log.call_retried(retry(a_run(), attempt=2))
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("conveyor", WARNING)
    assert record.getMessage() == (
        "task 'parse', item 17: attempt 2 has failed with ValueError, and is repeated in 500 ms"
    )
    assert fields_of(record) == {
        "event": "retry",
        "run_id": "r1",
        "task": "parse",
        "index": 17,
        "items": 1,
        "attempt": 2,
        "error": "ValueError",
        "unsaid": 0,
    }


@pytest.mark.parametrize(
    ("indexes", "subject"),
    [((), "task 'store'"), ((3,), "task 'store', item 3"), ((3, 4, 9), "task 'store', item 3 and")],
)
def test_a_batch_is_named_by_its_first_item(
    log: RunLog, caplog: pytest.LogCaptureFixture, indexes: tuple[int, ...], subject: str
) -> None:
    """And by how many more there are; if nobody knows the items, the task is enough."""
    log.call_retried(retry(a_run(), STORE, indexes=indexes, delay=0.0))
    (record,) = caplog.records
    more = " 2 more" if len(indexes) == 3 else ""
    assert record.getMessage() == (
        f"{subject}{more}: attempt 1 has failed with ValueError, and is repeated at once"
    )
    fields = fields_of(record)
    assert (fields["index"], fields["items"]) == (indexes[0] if indexes else None, len(indexes))


@pytest.mark.parametrize(
    ("fate", "level", "words"),
    [
        ("skip_item", WARNING, "skipped"),
        ("divert", WARNING, "diverted"),
        ("outcome", INFO, "a failure among the outcomes"),
        ("fail", INFO, "the run ends"),
    ],
)
def test_what_is_lost_is_a_warning(
    log: RunLog, caplog: pytest.LogCaptureFixture, fate: Fate, level: int, words: str
) -> None:
    """What the consumer gets, an outcome or the error itself, is not lost."""
    log.failed(failure(a_run(), fate, attempts=3))
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("conveyor", level)
    assert record.getMessage() == (
        f"task 'parse', item 17: failed with ValueError after 3 attempts; {words}"
    )
    assert fields_of(record) == {
        "event": fate,
        "run_id": "r1",
        "task": "parse",
        "index": 17,
        "items": 1,
        "attempt": 3,
        "error": "ValueError",
        "unsaid": 0,
    }


def test_a_failure_may_be_no_tasks(log: RunLog, caplog: pytest.LogCaptureFixture) -> None:
    """The source has no item and no attempts."""
    log.failed(failure(a_run(), "fail", None, indexes=(), attempts=0))
    (record,) = caplog.records
    assert record.getMessage() == "the run: failed with ValueError; the run ends"
    fields = fields_of(record)
    assert [fields[name] for name in ("task", "index", "items", "attempt")] == [None, None, 0, None]


def test_the_begin_of_a_run_is_logged(log: RunLog, caplog: pytest.LogCaptureFixture) -> None:
    """With its tasks, and the length of its data."""
    log.run_started(a_run(total=1000))
    log.run_started(a_run("r2"))
    assert [record.getMessage() for record in caplog.records] == [
        "run r1 begins: parse | store, 1,000 items",
        "run r2 begins: parse | store",
    ]
    first, second = map(fields_of, caplog.records)
    tasks = ["parse", "store"]
    assert first == {"event": "run_started", "run_id": "r1", "tasks": tasks, "total": 1000}
    assert second == {"event": "run_started", "run_id": "r2", "tasks": tasks, "total": None}
    assert {record.levelno for record in caplog.records} == {INFO}


def test_the_end_of_a_run_is_logged_with_the_report(
    log: RunLog, caplog: pytest.LogCaptureFixture
) -> None:
    """At INFO also if it has failed: the error is the consumer's."""
    error = ValueError("secret")
    log.run_ended(a_run(), a_report("failed", error))
    (record,) = caplog.records
    assert record.levelno == INFO
    assert record.getMessage() == f"run r1: {a_report('failed', error)}"
    assert fields_of(record) == {
        "event": "run_ended",
        "run_id": "r1",
        "outcome": "failed",
        "error": "ValueError",
        "duration": 1.5,
        "items_in": 12,
        "items_out": 10,
    }


def test_no_record_holds_an_error(log: RunLog, caplog: pytest.LogCaptureFixture) -> None:
    """Its message may hold a value, and handlers may keep, send and show what records hold."""
    run = a_run()
    log.run_started(run)
    log.call_retried(retry(run))
    for fate in ("skip_item", "divert", "outcome", "fail"):
        log.failed(failure(run, fate))
    log.run_ended(run, a_report("failed", ValueError("secret")))
    assert len(caplog.records) == 7
    for record in caplog.records:
        assert record.exc_info is None
        held = [*vars(record).values(), *(record.args or ())]
        assert {type(value) for value in held} <= {str, int, float, tuple, list, type(None)}
        assert "secret" not in repr(vars(record))


# Not too often


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().partition("is repeated ")[2] for record in caplog.records]


def test_there_is_one_line_in_a_second(
    log: RunLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The first at once; a later one says how many were left out; the end says what is left."""
    run = a_run()
    for step in range(25):
        clock.now = step / 10
        log.call_retried(retry(run, index=step))
    assert messages(caplog) == [
        "in 500 ms",
        "in 500 ms (9 more retries since the last line)",
        "in 500 ms (9 more retries since the last line)",
    ]
    assert [fields_of(record)["unsaid"] for record in caplog.records] == [0, 9, 9]
    caplog.clear()
    log.run_ended(run, a_report())
    record, _end = caplog.records
    assert record.levelno == WARNING
    assert record.getMessage() == "task 'parse': 4 more retries, not logged one by one"
    assert fields_of(record) == {
        "event": "retry",
        "run_id": "r1",
        "task": "parse",
        "index": None,
        "items": 0,
        "attempt": None,
        "error": None,
        "unsaid": 4,
    }


def test_what_is_rare_is_always_logged(
    log: RunLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """And nothing is left to say at the end."""
    run = a_run()
    for step in range(3):
        clock.now = float(step)
        log.call_retried(retry(run))
    log.run_ended(run, a_report())
    assert messages(caplog) == ["in 500 ms"] * 3 + [""]


def test_runs_tasks_and_kinds_do_not_silence_one_another(
    log: RunLog, caplog: pytest.LogCaptureFixture
) -> None:
    """Each has a first line of its own."""
    for run in (a_run("r1"), a_run("r2")):
        for stage in (PARSE, STORE):
            log.call_retried(retry(run, stage))
            log.failed(failure(run, "skip_item", stage))
            log.failed(failure(run, "divert", stage))
    assert len(caplog.records) == 12


def test_lost_items_are_counted_not_batches(
    log: RunLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A thousand batches of ten are ten thousand items."""
    run = a_run()
    for _ in range(1001):
        log.failed(failure(run, "skip_item", STORE, indexes=tuple(range(10))))
    clock.now = 1.0
    log.failed(failure(run, "skip_item", STORE, indexes=tuple(range(10))))
    assert caplog.records[-1].getMessage() == (
        "task 'store', item 0 and 9 more: failed with ValueError; skipped "
        "(10,000 more skipped items since the last line)"
    )


def test_one_more_is_one_more(log: RunLog, caplog: pytest.LogCaptureFixture) -> None:
    """Words that people read agree with their number."""
    run = a_run()
    for fate in ("skip_item", "divert"):
        log.failed(failure(run, fate))
        log.failed(failure(run, fate))
    log.run_ended(run, a_report())
    assert [record.getMessage() for record in caplog.records[2:4]] == [
        "task 'parse': 1 more skipped item, not logged one by one",
        "task 'parse': 1 more diverted item, not logged one by one",
    ]


def test_nothing_is_kept_of_runs_that_have_ended(log: RunLog) -> None:
    """However many there are."""
    run = a_run()
    log.call_retried(retry(run))
    log.run_ended(run, a_report())
    assert log._runs == {}


@pytest.mark.parametrize(("level", "expected"), [(WARNING, 2), (logging.ERROR, 0)])
def test_what_nobody_reads_is_not_made(
    log: RunLog, caplog: pytest.LogCaptureFixture, level: int, expected: int
) -> None:
    """Below the logger's level nothing is counted, and the report is not even drawn."""
    caplog.set_level(level, "conveyor")
    run = a_run()
    log.run_started(run)
    log.call_retried(retry(run))
    log.failed(failure(run))
    log.failed(failure(run, "outcome"))
    assert len(log._runs.get(run, {})) == expected
    report: Any = object()  # has nothing that could be logged
    log.run_ended(run, report)
    assert len(caplog.records) == expected


async def test_seconds_are_those_of_the_event_loop(caplog: pytest.LogCaptureFixture) -> None:
    """In virtual time they pass as quickly as the rest."""
    log, run = RunLog(), a_run()
    for _ in range(21):
        log.call_retried(retry(run))
        await sleep(0.125)
    assert len(caplog.records) == 3


# Real runs


async def check(item: int) -> int:
    await sleep(1)
    if item == 3:
        raise ValueError(f"secret {item}")
    return item


async def lines_of(caplog: pytest.LogCaptureFixture, stream: Any) -> list[str]:
    """Consume a stream; return what was logged, without the report's table."""
    caplog.clear()
    try:
        async for _ in stream:
            pass
    except ValueError:
        pass
    run_id = vars(caplog.records[0])["conveyor_run_id"]
    assert {vars(record)["conveyor_run_id"] for record in caplog.records} == {run_id}
    return [record.getMessage().partition("\n")[0] for record in caplog.records]


@pytest.mark.parametrize(
    ("options", "line", "end"),
    [
        ({"on_error": "skip_item"}, "skipped", "completed in 5 s: 5 items in, 4 out"),
        ({"on_error": "divert"}, "diverted", "completed in 5 s: 5 items in, 4 out"),
        ({"timeout": 9}, "the run ends", "failed after 4 s with ValueError: 5 items in, 3 out"),
    ],
)
async def test_every_run_is_logged(
    caplog: pytest.LogCaptureFixture, options: Any, line: str, end: str
) -> None:
    """Begin, what happens to items, and the end with the report; nobody has to ask for it."""
    stream = single_task(**options, concurrency_limit=1)(check)(range(5))
    lines = await lines_of(caplog, stream)
    run_id = vars(caplog.records[0])["conveyor_run_id"]
    assert lines == [
        f"run {run_id} begins: check, 5 items",
        f"task 'check', item 3: failed with ValueError; {line}",
        f"run {run_id}: pipeline {end}",
    ]
    assert caplog.records[-1].getMessage() == f"run {run_id}: {stream.report()}"


async def test_outcomes_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """At INFO, since the consumer has them."""
    lines = await lines_of(caplog, single_task(check).outcomes(range(5)))
    assert lines[1:-1] == [
        "task 'check', item 3: failed with ValueError; a failure among the outcomes"
    ]


async def test_a_failing_source_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It is no task's failure."""

    async def source() -> AsyncIterator[int]:
        yield 1
        raise ValueError("secret")

    lines = await lines_of(caplog, single_task(check)(source()))
    assert lines[1:-1] == ["the run: failed with ValueError; the run ends"]


async def test_retries_of_a_run_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    """One after another, ten in a second: two lines of one, and the rest at the end."""
    caplog.set_level(WARNING, "conveyor")
    tried: set[int] = set()

    @single_task(concurrency_limit=1, retry_attempts=2, retry_delay=0.0)
    async def flaky(item: int) -> int:
        await sleep(0.0625)
        if item not in tried:
            tried.add(item)
            raise ValueError("secret")
        return item

    assert [item async for item in flaky(range(10))] == [*range(10)]
    again = "attempt 1 has failed with ValueError, and is repeated at once"
    assert [record.getMessage() for record in caplog.records] == [
        f"task 'flaky', item 0: {again}",
        f"task 'flaky', item 8: {again} (7 more retries since the last line)",
        "task 'flaky': 1 more retry, not logged one by one",
    ]


async def test_logging_needs_no_timings(caplog: pytest.LogCaptureFixture) -> None:
    """A run that is logged is not slowed down by watching its calls."""
    stream = single_task(on_error="skip_item")(check)(range(5))
    await lines_of(caplog, stream)
    assert stream.report().statistics.timings is None


async def test_a_run_without_anything_to_log_knows_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is made for those that nobody tells anything."""
    caplog.set_level("WARNING", logger="conveyor")
    stream = single_task(str)(range(3))
    assert await stream.collect() == ["0", "1", "2"]
    assert stream._run is not None
    assert stream._run.observation._events is None


async def test_the_failure_of_a_plain_call_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """With its task and its item, as that of any other."""
    task = single_task(check)
    assert task.options.is_plain
    lines = await lines_of(caplog, task(range(5)))
    assert lines[1:-1] == ["task 'check', item 3: failed with ValueError; the run ends"]


def test_a_program_sees_warnings_and_no_more() -> None:
    """If it has not configured logging; errors it sees as exceptions."""
    program = (
        "import conveyor\n"
        "@conveyor.single_task(on_error='skip_item')\n"
        "def invert(item): return 1 / item\n"
        "print(invert.run([2, 0, 4]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[0.5, 0.25]\n"
    assert done.stderr == "task 'invert', item 1: failed with ZeroDivisionError; skipped\n"
