"""
What can be seen of a run from outside: its statistics, its report, and what its observers see.

A run without observers and timings has nothing here but two readings of the clock. Whoever is to be
told of retries and failures is looked up with the first of them; what times a run, and what takes
stock of it, is imported with the first one that asks for it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..observing import needs_timings
from .events import Events

if TYPE_CHECKING:
    from ..observing import Fate
    from ..report import RunOutcome, RunReport
    from ..statistics import RunStatistics
    from .failures import CallFailed
    from .pacing import Pacing
    from .policy import Progress
    from .run import Run
    from .stage import Stage
    from .watching import RunWatch

logger = logging.getLogger("conveyor")


class Observation:
    """
    The view of one run.

    :param run: the run, which has its source and its stages
    :ivar watch: times it, if somebody asked for that
    """

    __slots__ = (
        "_began_at",
        "_ended_at",
        "_events",
        "_is_over",
        "_is_seen",
        "_run",
        "_told",
        "watch",
    )

    def __init__(self, run: Run) -> None:
        self._run = run
        self._events: Events | None = None
        self._began_at: float | None = None
        self._ended_at: float | None = None
        self._is_over = False
        self._told: list[BaseException] = []
        self.watch: RunWatch | None = None
        self._is_seen = bool(run.context.observers) or run.context.timings
        if self._is_seen:
            self._watch_chains()
        if run.context.timings or any(map(needs_timings, run.context.observers)):
            from .watching import RunWatch

            self.watch = RunWatch(self.events, run.host.clock, run.stages)

    @property
    def events(self) -> Events:
        """Tells the observers."""
        if self._events is None:
            self._events = Events(self._run, self.statistics)
        return self._events

    @property
    def duration(self) -> float:
        """Seconds for which the run has been going on, or went on."""
        if self._began_at is None:
            return 0.0
        ended_at = self._run.host.clock() if self._ended_at is None else self._ended_at
        return ended_at - self._began_at

    # Life

    def begin(self) -> None:
        """The run begins; in the context that all it calls will see."""
        now = self._run.host.clock()
        if self.watch is not None:
            self.watch.begin(now)
        self._began_at = now
        # What is logged of a run at INFO begins with it; retries and failures look for themselves.
        if self._run.context.observers or logger.isEnabledFor(logging.INFO):
            self.events.begin()

    def start_ticking(self) -> None:
        """The run has its task group."""
        if self._run.context.observers:
            self.events.start_ticking()

    def end(self) -> None:
        """Everything in the run has ended; idempotent, and goes on if it was broken off."""
        if self._began_at is None or self._is_over:
            return
        if is_first := self._ended_at is None:
            self._ended_at = self._run.host.clock()
        if self.watch is not None:
            self.watch.finish(self._ended_at)
        if self._events is not None:
            report = self.report()
            try:
                if is_first:
                    self._tell_failure(self._events)
            finally:
                self._events.end(report)
        self._is_over, self._told = True, []

    def _tell_failure(self, events: Events) -> None:
        """Tell of what has ended the run, unless it has been told as what became of an item."""
        failure = self._run.failure
        if failure is not None and not any(each is failure for each in self._told):
            events.failed(None, (), 0, failure, "fail")

    def _watch_chains(self) -> None:
        """Have each item that is ready taken at once, as whoever looks on expects."""
        for chain in self._run.chains:
            chain.watch()

    # What happens to items

    def retried(self, stage: Stage, pacing: Pacing, progress: Progress) -> None:
        """
        An attempt has failed, and there will be another one.

        :param stage: where
        :param pacing: of the call
        :param progress: of the call; knows the error and the delay
        """
        self.events.retried(stage, pacing, progress)

    def failed(
        self,
        stage: Stage,
        failed: CallFailed,
        indexes: Sequence[int],
        fate: Fate,
    ) -> None:
        """
        Items have failed for good.

        :param stage: where
        :param failed: what their call raised
        :param indexes: of the input items
        :param fate: what becomes of them
        """
        if fate == "fail":
            self._told.append(failed.error)
        self.events.failed(stage, indexes, failed.attempts, failed.error, fate)

    # Figures

    def statistics(self) -> RunStatistics:
        """Return what the run has counted so far."""
        from .snapshot import statistics_of

        if not self._is_seen:
            self._is_seen = True
            host = self._run.host
            if host.is_current():
                self._watch_chains()
            else:
                host.call_soon(self._watch_chains)
        return statistics_of(self._run)

    def report(self) -> RunReport:
        """Return how the run went, or goes."""
        from ..report import RunReport

        run = self._run
        return RunReport(
            run.context.pipeline_id or "",
            self._outcome,
            self.events.stages,
            self.statistics(),
            run.failure,
        )

    @property
    def _outcome(self) -> RunOutcome:
        run = self._run
        if not run.finished:
            return "running"
        if run.failure is not None:
            return "failed"
        return "completed" if run.is_completed else "stopped"
