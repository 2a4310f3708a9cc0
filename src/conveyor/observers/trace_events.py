"""
What was kept of a run, as JSON in the Trace Event Format.

======================== ========================================================================
process                  the run
thread                   a stage, with retries and failures on it as instants; the first one is for
                         the run as a whole
``"b"``, ``"e"``         begin and end of a call: async events, which may overlap, paired by their
                         ``id``. All calls of a stage have its name, since viewers put those of one
                         name on one track, one above the other where they overlap
``"i"``                  a retry, or a failure. Not an async event (``"n"``) inside its call, since
                         Perfetto would rename the call's track after it
``"C"``                  a counter for each argument
======================== ========================================================================

Times are microseconds since the run's start. Events are sorted by them, and each is on a line of
its own. Names need not be unique, so stages of the same name get their position behind it.

Source: "Trace Event Format" (the Chromium project), and what Perfetto's importer makes of it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from ..observing import CallOutcome
    from ..report import RunReport

__all__ = ["FORMAT", "Call", "Mark", "MarkKind", "Recording", "State", "lines"]

FORMAT = "conveyor timeline 1"
"""Says in the file who has written it, and what it holds."""

MarkKind = Literal["retry", "fail", "skip_item", "divert", "outcome"]
"""What a mark is: a retry, or what became of items that failed for good."""

_Args: TypeAlias = dict[str, Any]

_RUN = 1  # number of the process, and of its first thread
_FIRST_STAGE = 2


class Call(NamedTuple):
    """A call that has ended; times in seconds since the run's start."""

    position: int
    began: float
    ended: float
    first: int | None
    last: int | None
    items: int
    attempts: int
    outcome: CallOutcome
    error: str | None
    paused: float


class Mark(NamedTuple):
    """Something that happened at a moment."""

    kind: MarkKind
    position: int | None
    at: float
    item: int | None
    attempt: int
    error: str


class State(NamedTuple):
    """What the counters said at a moment: queued and in flight for each stage."""

    at: float
    held: int
    ready: int
    stages: tuple[tuple[int, int], ...]


class Recording(NamedTuple):
    """What was kept of a run."""

    report: RunReport
    duration: float
    calls: list[Call]
    marks: list[Mark]
    states: list[State]
    calls_made: int


def lines(recording: Recording) -> Iterator[str]:
    """
    Yield the lines of the file, ASCII only.

    :param recording: of the run
    """
    yield '{"displayTimeUnit":"ms",\n"traceEvents":['
    separator = "\n"
    for event in _events(recording):
        yield separator + event
        separator = ",\n"
    # Last, since some readers stop at what they do not know.
    yield f'\n],\n"otherData":{_encode(_about(recording))}}}\n'


_encode: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def _about(recording: Recording) -> _Args:
    return {
        "format": FORMAT,
        "stages": _names(recording.report),
        **_summary(recording),
    }


def _summary(recording: Recording) -> _Args:
    report, made = recording.report, recording.calls_made
    kept = len(recording.calls)
    return {
        "run_id": report.run_id,
        "outcome": report.outcome,
        **({} if report.error is None else {"error": type(report.error).__name__}),
        "items_in": report.statistics.items_in,
        "items_out": report.statistics.items_out,
        "calls": made,
        "calls_shown": kept,
        **({} if kept == made else {"note": "evenly spread items only, with all of their calls"}),
    }


def _names(report: RunReport) -> list[str]:
    """Return a name for each stage, all of them different."""
    names = [stage.task_name for stage in report.stages]
    # Until none is there twice, since a task may be called like another one and its position.
    while max(Counter(names).values(), default=1) > 1:
        count = Counter(names)
        names = [
            f"{name} ({position})" if count[name] > 1 else name
            for position, name in enumerate(names, 1)
        ]
    return names


def _events(recording: Recording) -> Iterator[str]:
    names = _names(recording.report)
    yield from _descriptions(names)
    yield _encode(
        {
            "ph": "X",
            "cat": "run",
            "name": "run",
            "pid": _RUN,
            "tid": _RUN,
            "ts": 0,
            "dur": _microseconds(recording.duration),
            "args": _summary(recording),
        }
    )
    # What is sorted is small; the text is made piece by piece.
    moments: list[tuple[float, Callable[[Any, int], str], int, Any]] = []
    begin, end = _halves(names)
    for number, call in enumerate(recording.calls, 1):
        moments.append((call.began, begin, number, call))
        moments.append((call.ended, end, number, call))
    moments += [(mark.at, _instant, 0, mark) for mark in recording.marks]
    counters = _counters(names)
    for state in recording.states:
        moments += [(state.at, show, 0, state) for show in counters]
    # Stable, so the end of a call that took no time comes behind its begin.
    moments.sort(key=itemgetter(0))
    for _, show, number, what in moments:
        yield show(what, number)


def _descriptions(names: list[str]) -> Iterator[str]:
    """Say what the process and its threads are, and in which order they are to be shown."""
    threads = ["run", *names]
    descriptions: list[tuple[str, int, _Args]] = [
        ("process_name", _RUN, {"name": " | ".join(names)}),
        *(("thread_name", _RUN + place, {"name": name}) for place, name in enumerate(threads)),
        *(
            ("thread_sort_index", _RUN + place, {"sort_index": place})
            for place in range(len(threads))
        ),
    ]
    for name, thread, args in descriptions:
        yield _encode({"ph": "M", "name": name, "pid": _RUN, "tid": thread, "args": args})


def _halves(names: list[str]) -> tuple[Callable[[Call, int], str], Callable[[Call, int], str]]:
    """Return what writes the begin of a call, and its end; by hand, since there are many."""
    common = [
        f'"cat":"call","name":{_encode(name)},"pid":{_RUN},"tid":{_FIRST_STAGE + position}'
        for position, name in enumerate(names)
    ]

    def begin(call: Call, number: int) -> str:
        items = ""
        if call.items == 1:
            items = f'"index":{call.first}'
        elif call.items:
            items = f'"items":{call.items},"first_index":{call.first},"last_index":{call.last}'
        return (
            f'{{"ph":"b",{common[call.position]},"id":"{number}",'
            f'"ts":{_microseconds(call.began)},"args":{{{items}}}}}'
        )

    def end(call: Call, number: int) -> str:
        error = "" if call.error is None else f',"error":{_encode(call.error)}'
        attempts = f',"attempts":{call.attempts}' if call.attempts > 1 else ""
        paused = f',"paused_us":{_microseconds(call.paused)}' if call.paused else ""
        return (
            f'{{"ph":"e",{common[call.position]},"id":"{number}",'
            f'"ts":{_microseconds(call.ended)},'
            f'"args":{{"outcome":"{call.outcome}"{error}{attempts}{paused}}}}}'
        )

    return begin, end


def _instant(mark: Mark, _: int) -> str:
    is_retry = mark.kind == "retry"
    args: _Args = {} if mark.item is None else {"index": mark.item}
    args |= {("attempt" if is_retry else "attempts"): mark.attempt, "error": mark.error}
    if not is_retry:
        args["fate"] = mark.kind
    kind = "retry" if is_retry else "failure"
    event = {
        "ph": "i",
        "s": "t",
        "cat": kind,
        "name": f"{kind}: {mark.error}",
        "pid": _RUN,
        "tid": _RUN if mark.position is None else _FIRST_STAGE + mark.position,
        "ts": _microseconds(mark.at),
        "args": args,
    }
    return _encode(event)


def _counters(names: list[str]) -> list[Callable[[State, int], str]]:
    """Return what writes the counters of the run, and of each stage."""

    def of_run(state: State, _: int) -> str:
        figures = f'"held":{state.held},"ready":{state.ready}'
        return _counter('"items"', state, figures)

    def of_stage(position: int, name: str) -> Callable[[State, int], str]:
        def show(state: State, _: int) -> str:
            queued, in_flight = state.stages[position]
            return _counter(name, state, f'"queued":{queued},"in flight":{in_flight}')

        return show

    stages = [of_stage(position, _encode(name)) for position, name in enumerate(names)]
    return [of_run, *stages]


def _counter(name: str, state: State, figures: str) -> str:
    at = _microseconds(state.at)
    return f'{{"ph":"C","name":{name},"pid":{_RUN},"ts":{at},"args":{{{figures}}}}}'


def _microseconds(seconds: float) -> float:
    # To the nanosecond, as viewers count.
    return round(seconds * 1e6, 3)
