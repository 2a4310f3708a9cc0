"""What observers are told of, made by hand: runs that nobody runs."""

from __future__ import annotations

from contextvars import copy_context
from typing import Any

from conveyor.observing import CallInfo, Observer, RunInfo, StageInfo
from conveyor.report import RunOutcome, RunReport
from conveyor.statistics import RunStatistics, StageStatistics

__all__ = ["ToldRun", "stage_counts"]


def stage_counts(task_name: str, **counts: Any) -> StageStatistics:
    """Counts of a stage, 0 unless given."""
    zeros = dict.fromkeys(("items_in", "calls", "filtered", "skipped", "dropped", "retried"), 0)
    return StageStatistics(task_name, **{**zeros, **counts})


class ToldRun:
    """
    A run that an observer is told of; a task whose name begins with "batch" has batches.

    ``counts`` is what it has counted, and may be replaced.
    """

    def __init__(
        self, observer: Observer, *tasks: str, run_id: str = "run", total: int | None = None
    ) -> None:
        self.observer = observer
        self.counts = RunStatistics(0, tuple(map(stage_counts, tasks)), 0)
        stages = tuple(
            StageInfo(position, name, "batch" if name.startswith("batch") else "single")
            for position, name in enumerate(tasks)
        )
        self.info = RunInfo(run_id, stages, total, lambda: self.counts)
        self.context = copy_context()
        self.context.run(observer.run_started, self.info)

    def end(self, outcome: RunOutcome = "completed", error: BaseException | None = None) -> None:
        report = RunReport(self.info.run_id, outcome, self.info.stages, self.counts, error)
        self.context.run(self.observer.run_ended, self.info, report)

    def call(self, position: int, *indexes: int) -> CallInfo:
        """Begin a call, in the context of the run."""
        call = CallInfo(self.info, self.info.stages[position], indexes, 0.0)
        self.context.run(self.observer.call_started, call)
        return call

    def returned(self, *calls: CallInfo) -> None:
        for call in calls:
            call.outcome = "returned"
            self.context.run(self.observer.call_ended, call)

    def failed(self, call: CallInfo, error: BaseException) -> None:
        call.outcome, call.error = "failed", error
        self.context.run(self.observer.call_ended, call)
