"""
A timeline of a run: when each call began and ended, as a file for a trace viewer.

The trace is in the Trace Event Format, as JSON, that Perfetto (https://ui.perfetto.dev) and
``chrome://tracing`` open. :mod:`.trace_events` says how it is laid out, :mod:`.sampling` what is
kept of a long run.
"""

from __future__ import annotations

import logging
import os
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import current_time

from ..observing import Observer
from .sampling import FIRST, Numbering, Sample, Series, rank
from .trace_events import Call, Mark, MarkKind, Recording, State, lines

if TYPE_CHECKING:
    from ..observing import CallInfo, FailureInfo, RetryInfo, RunInfo
    from ..report import RunReport

__all__ = ["Timeline", "record_timeline"]

logger: logging.Logger = logging.getLogger("conveyor")

LEAST_EVENTS = 100


def record_timeline(
    path: str | os.PathLike[str], *, max_events: int = 100_000, interval: float | None = 0.05
) -> Timeline:
    """
    Record runs for a trace viewer; for :meth:`.Pipeline.with_observer`.

    ::

        pipeline = (fetch | parse).with_observer(record_timeline("trace.json"))

    The file is written when the run ends, however it ends, and opens in Perfetto
    (https://ui.perfetto.dev) and in ``chrome://tracing``. It holds the calls of each stage, retries
    and failures, how many items wait for each stage and how many calls it makes, and how many items
    the run holds. Of items it tells the index, of errors the type; never a value or a message.

    :param path: of the file; ``{run_id}`` in it stands for the run's id. A file that is there is
        replaced, so without ``{run_id}`` it tells of the run that ended last. Directories that are
        missing are made
    :param max_events: events to keep, at least 100: up to a quarter of them counters, two for each
        call. Of a run with more, evenly spread items are kept, each with all of its calls. They
        take about 200 bytes of memory each while the run goes on, and as much in the file
    :param interval: seconds between two looks at the counters, or more in a long run; ``None`` for
        no counters
    :raises TypeError: if an argument is of the wrong type
    :raises ValueError: if *max_events* or *interval* is too small
    """
    return Timeline(path, max_events=max_events, interval=interval)


class Timeline(Observer):
    """
    What :func:`~conveyor.record_timeline` makes, with the same parameters: an observer.

    It can record any number of runs, also at the same time: each has a trace of its own, in a file
    of its own if there is ``{run_id}`` in the path. The file is written in the event loop, which
    stands still for that time: about half a second for 100,000 events. It is complete or not there:
    it is written under another name, and then renamed. If that fails, the error is logged, and the
    run goes on.

    :ivar path: as given
    :ivar max_events: as given
    :ivar interval: as given
    :ivar written: file that was written last, ``None`` if there is none yet
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_events: int = 100_000,
        interval: float | None = 0.05,
    ) -> None:
        _check(path, max_events, interval)
        self.path: Path = Path(path)
        self.max_events: int = max_events
        self.interval: float | None = interval
        self.written: Path | None = None
        self._runs: dict[RunInfo, _Run] = {}

    def __repr__(self) -> str:
        return f"<Timeline {os.fspath(self.path)!r}>"

    def save_picture(self, path: str | os.PathLike[str]) -> None:
        """
        Draw the trace that was written last: :func:`~conveyor.observers.draw_timeline`.

        :param path: of the picture, ending with ``.svg`` or ``.png``, or with another suffix that
            matplotlib knows
        :raises RuntimeError: if no trace has been written yet
        :raises ImportError: if matplotlib is not installed
        """
        from .picture import draw_timeline  # needs matplotlib

        if self.written is None:
            raise RuntimeError(
                "there is no timeline to draw yet: it is written when the run has ended"
            )
        draw_timeline(self.written, path)

    def run_started(self, run: RunInfo) -> None:
        """Begin a recording."""
        self._runs[run] = _Run(run, self.max_events, self.interval)

    def call_started(self, call: CallInfo) -> None:
        """Remember a call, if it may be kept."""
        self._runs[call.run].call_started(call)

    def call_ended(self, call: CallInfo) -> None:
        """Keep a call."""
        self._runs[call.run].call_ended(call)

    def call_retried(self, retry: RetryInfo) -> None:
        """Keep that an attempt has failed."""
        self._runs[retry.run].retried(retry)

    def failed(self, failure: FailureInfo) -> None:
        """Keep a failure; that which ends the run in any case."""
        self._runs[failure.run].failed(failure)

    def tick(self, run: RunInfo) -> None:
        """Look at the counters."""
        self._runs[run].look()

    def run_ended(self, run: RunInfo, report: RunReport) -> None:
        """Write the trace."""
        recording = self._runs.pop(run).finish(report)
        # An id that somebody has given must not lead elsewhere.
        run_id = re.sub(r"[^\w.-]", "_", run.run_id)
        path = Path(os.fspath(self.path).replace("{run_id}", run_id))
        _write(path, recording)
        self.written = path
        logger.info(
            "The timeline of run %s is in %s, with %d of its %d calls",
            run.run_id,
            path,
            len(recording.calls),
            recording.calls_made,
        )


class _Run:
    """A recording that grows with its run, up to a bound."""

    def __init__(self, run: RunInfo, max_events: int, interval: float | None) -> None:
        self._run = run
        self._began = current_time()
        # A state is an event for each stage and one for the run, a call is its begin and its end.
        in_state = len(run.stages) + 1
        states = 0 if interval is None else max_events // 4 // in_state
        self._states: Series[State] = Series(states)
        self._sample: Sample[Call | Mark] = Sample((max_events - states * in_state) // 2)
        self._numbering = [Numbering() for _ in run.stages]
        self._open: dict[CallInfo, int] = {}
        self._calls = 0
        self.look()

    def call_started(self, call: CallInfo) -> None:
        """Remember it, unless it is clear already that there will be no room for it."""
        self._calls += 1
        place = self._numbering[call.stage.position].rank(call.indexes)
        if self._sample.takes(place):
            self._open[call] = place

    def call_ended(self, call: CallInfo) -> None:
        """Keep it."""
        place = self._open.pop(call, None)
        if place is not None:
            self._keep(call, place, call.ended_at)

    def _keep(self, call: CallInfo, place: int, ended_at: float | None) -> None:
        began = max(0.0, call.started_at - self._began)
        indexes = call.indexes
        kept = Call(
            call.stage.position,
            began,
            began if ended_at is None else max(began, ended_at - self._began),
            min(indexes, default=None),
            max(indexes, default=None),
            len(indexes),
            call.attempts,
            call.outcome,
            # Not the error itself: it holds frames, and they hold items.
            None if call.error is None else type(call.error).__name__,
            call.paused,
        )
        self._sample.add(place, kept)

    def retried(self, retry: RetryInfo) -> None:
        """Keep that an attempt has failed, if its call may be kept."""
        if retry.call is None:
            place = rank(min(retry.indexes, default=0))
        elif retry.call in self._open:
            place = self._open[retry.call]
        else:
            return
        self._mark("retry", place, retry, retry.attempt)

    def failed(self, failure: FailureInfo) -> None:
        """Keep that something has failed for good."""
        ends_the_run = failure.fate == "fail"
        place = FIRST if ends_the_run else rank(min(failure.indexes, default=0))
        self._mark(failure.fate, place, failure, failure.attempts)

    def _mark(
        self, what: MarkKind, place: int, event: RetryInfo | FailureInfo, attempts: int
    ) -> None:
        kept = Mark(
            what,
            None if event.stage is None else event.stage.position,
            current_time() - self._began,
            min(event.indexes, default=None),
            attempts,
            type(event.error).__name__,
        )
        self._sample.add(place, kept)

    def look(self) -> None:
        """Keep what the counters say."""
        if self._states.is_due():
            self._states.add(self._state())

    def _state(self) -> State:
        counts = self._run.stats()
        return State(
            counts.duration,
            counts.held,
            counts.ready,
            tuple((stage.queued, stage.in_flight) for stage in counts.stages),
        )

    def finish(self, report: RunReport) -> Recording:
        """
        Return what was kept.

        :param report: of the run
        """
        # Not the clock: a run that nobody closed may end after its event loop.
        duration = report.statistics.duration
        # Of calls that are still open nobody has told the end; close them.
        for call, place in self._open.items():
            self._keep(call, place, self._began + duration)
        self._states.end(self._state())
        kept = list(self._sample)
        return Recording(
            report,
            duration,
            sorted((each for each in kept if isinstance(each, Call)), key=_order),
            [each for each in kept if isinstance(each, Mark)],
            list(self._states),
            self._calls,
        )


def _order(call: Call) -> tuple[float, int, int]:
    return call.began, call.position, -1 if call.first is None else call.first


def _write(path: Path, recording: Recording) -> None:
    """Write a trace: all of it, or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with unfinished.open("x", encoding="ascii", newline="\n") as file:
            file.writelines(lines(recording))
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _check(path: object, max_events: object, interval: object) -> None:
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be the name of a file, got {path!r}")
    if isinstance(max_events, bool) or not isinstance(max_events, int):
        raise TypeError(f"max_events must be an int, got {max_events!r}")
    if max_events < LEAST_EVENTS:
        raise ValueError(f"max_events must be at least {LEAST_EVENTS}, got {max_events}")
    if interval is None:
        return
    if isinstance(interval, bool) or not isinstance(interval, (int, float)):
        raise TypeError(f"interval must be a number of seconds, or None, got {interval!r}")
    if not interval > 0:
        raise ValueError(
            f"interval must be more than 0, got {interval!r}; with None there are no counters"
        )
