"""
How far a run is, in figures, for whoever shows it.

Three questions have no answer in the counts alone:

How much is done? Of the run, the items of the data of which nothing is left in it. One that is not
done holds a place of the window, at least, and comes before none that is: so done are no fewer than
came in less the places taken, and, in order, no fewer than come before the head of the line. The
larger of the two is exact but for generators, which take many places for one item. What a stage has
done is among its figures.

How fast? Since some seconds ago, so that one sees what changes.

When will it end? If it goes on as it went on the whole; a rate of some seconds would jump with
every batch.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..observing import RunInfo
    from ..report import RunReport
    from ..statistics import RunStatistics

__all__ = ["RunProgress", "StageProgress", "Tracker", "check_interval"]

MEMORY = 10.0
"""Seconds over which rates are measured."""

STEP = 0.5
"""Seconds between two of the moments that are remembered for that."""


@dataclass(frozen=True)
class StageProgress:
    """
    How far a stage is; items unless it says otherwise.

    :ivar name: of its task
    :ivar done: gone through it, whatever became of them
    :ivar rate: done per second
    :ivar in_flight: calls
    :ivar limit: calls that may be
    :ivar queued: waiting for a call
    :ivar retried: repeated attempts
    :ivar errors: failed for good
    """

    name: str
    done: int
    rate: float
    in_flight: int
    limit: int
    queued: int
    retried: int
    errors: int


@dataclass(frozen=True)
class RunProgress:
    """
    How far a run is.

    :ivar stages: first to last
    :ivar done: items of the data of which nothing is left in the run
    :ivar total: items that the data has, if it tells, and is right
    :ivar results: delivered
    :ivar elapsed: seconds
    :ivar remaining: seconds until the end, if there is reason to say so
    :ivar ending: how it has ended, if it has
    """

    stages: tuple[StageProgress, ...]
    done: int
    total: int | None
    results: int
    elapsed: float
    remaining: float | None
    ending: str | None = None

    @property
    def errors(self) -> int:
        """Items that have failed for good, over all stages."""
        return sum(stage.errors for stage in self.stages)


class Tracker:
    """
    Follow one run.

    :param run: the run
    """

    def __init__(self, run: RunInfo) -> None:
        self._run = run
        self._done = 0
        self._stages_done: tuple[int, ...] = (0,) * len(run.stages)
        self._memory: deque[tuple[float, tuple[int, ...]]] = deque([(0.0, self._stages_done)])

    def look(self, report: RunReport | None = None) -> RunProgress:
        """
        Return how far the run is.

        :param report: of its end, if it has come; rates are those of the whole run then
        """
        counts = self._run.stats() if report is None else report.statistics
        self._count(counts)
        now = counts.duration
        since, before = (0.0, (0,) * len(counts.stages)) if report else self._remembered(now)
        total = self._run.total
        if total is not None and counts.items_in > total:
            total = None  # the data has said something wrong
        return RunProgress(
            tuple(
                StageProgress(
                    stage.task_name,
                    done,
                    (done - done_before) / (now - since) if now > since else 0.0,
                    stage.in_flight,
                    stage.limit,
                    stage.queued,
                    stage.retried,
                    stage.skipped + stage.diverted + stage.failed,
                )
                for stage, done, done_before in zip(
                    counts.stages, self._stages_done, before, strict=True
                )
            ),
            self._done,
            total,
            counts.items_out,
            now,
            None if total is None or not self._done else (total - self._done) * now / self._done,
            None if report is None else _ending_of(report),
        )

    def _count(self, counts: RunStatistics) -> None:
        # What is done stays done, so the best guess so far is the least that it can be.
        before_head = 0 if counts.head is None else counts.head.index
        done = max(self._done, counts.items_in - counts.held, before_head)
        self._done = min(done, counts.items_in)
        self._stages_done = tuple(
            max(before, stage.items_done)
            for before, stage in zip(self._stages_done, counts.stages, strict=True)
        )

    def _remembered(self, now: float) -> tuple[float, tuple[int, ...]]:
        """Remember the present moment; return the one from which rates are measured."""
        memory = self._memory
        while len(memory) > 1 and memory[1][0] <= now - MEMORY:
            memory.popleft()
        if now >= memory[-1][0] + STEP:
            memory.append((now, self._stages_done))
        return memory[0]


def _ending_of(report: RunReport) -> str:
    if report.error is not None:
        return f"failed with {type(report.error).__name__}"
    return "ended early" if report.outcome == "stopped" else report.outcome


def check_interval(name: str, value: object) -> None:
    """
    Check the seconds from one look at a run, or one line, to the next.

    :param name: of the setting
    :param value: of the setting
    :raises TypeError: if it is not a number
    :raises ValueError: if it is not positive, or not finite
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, got {value!r}")
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive, in seconds, got {value!r}")
