"""
Half of the runs are observed: what observers are told, and the figures, must agree at any moment.

The others are not, since observed runs take the general paths of the workers.
"""

from __future__ import annotations

from math import isclose
from random import Random
from typing import TYPE_CHECKING, Any

from anyio import current_time

from conveyor import Observer, Pipeline, RunStatistics
from conveyor.observing import CallInfo, FailureInfo, RetryInfo, RunInfo, StageInfo
from conveyor.statistics import StageStatistics

if TYPE_CHECKING:
    from conveyor import RunReport

    from .world import World

__all__ = ["Watch"]


class Watch(Observer):
    """
    Sees what the runs of a scenario tell, and whether it agrees.

    :param world: has the scenario
    """

    def __init__(self, world: World) -> None:
        random = Random(f"{world.scenario.seed} observer")
        self.world = world
        self.is_there = random.random() < 0.5
        self.interval = random.choice([None, 1, 7])
        self.runs: dict[RunInfo, _Seen] = {}

    def attach(self, pipeline: Pipeline[Any, Any]) -> Pipeline[Any, Any]:
        """Let the pipeline be observed, if that is the plan."""
        return pipeline.with_observer(self) if self.is_there else pipeline

    def problems(self) -> list[str]:
        """Return what was wrong, once everything has ended."""
        return [problem for seen in self.runs.values() for problem in seen.finished()]

    def run_started(self, run: RunInfo) -> None:
        seen = self.runs[run] = _Seen(self, run)
        seen.check(run.stats())

    def stage_started(self, run: RunInfo, stage: StageInfo) -> None:
        seen = self.runs[run]
        if stage in seen.started:
            seen.problem(f"{stage} has started twice")
        seen.started.append(stage)

    def call_started(self, call: CallInfo) -> None:
        self.runs[call.run].begin(call)

    def call_ended(self, call: CallInfo) -> None:
        self.runs[call.run].end(call)

    def call_retried(self, retry: RetryInfo) -> None:
        self.runs[retry.run].repeat(retry)

    def failed(self, failure: FailureInfo) -> None:
        self.runs[failure.run].fail(failure)

    def tick(self, run: RunInfo) -> None:
        self.runs[run].check(run.stats())

    def run_ended(self, run: RunInfo, report: RunReport) -> None:
        self.runs[run].conclude(report)


class _Seen:
    """What has been seen of one run."""

    def __init__(self, watch: Watch, run: RunInfo) -> None:
        self.scenario = watch.world.scenario
        self.journals = watch.world.journals
        self.run = run
        self.found: list[str] = []
        self.started: list[StageInfo] = []
        self.open: dict[CallInfo, None] = {}
        self.calls = [0] * len(run.stages)
        self.busy = [0.0] * len(run.stages)
        self.lost = [0] * len(run.stages)
        self.fatal: list[BaseException] = []
        self.is_over = False

    def problem(self, text: str) -> None:
        self.found.append(f"observed at {current_time():g}: {text}")

    def finished(self) -> list[str]:
        """Return what was wrong, once everything has ended."""
        if not self.is_over:
            self.problem("the end of the run was not told")
        return self.found

    # Calls

    def begin(self, call: CallInfo) -> None:
        self.check_open(repr(call))
        if call.stage not in self.started:
            self.problem(f"{call} before its stage")
        if call in self.open or call.outcome != "running" or call.attempts != 1:
            self.problem(f"{call} begins after {call.attempts} attempts")
        if call.started_at != current_time():
            self.problem(f"{call} began at {call.started_at}")
        stats = self.run.stats()
        if any(not 0 <= index < stats.items_in for index in call.indexes):
            self.problem(f"{call} is about none of {stats.items_in} items")
        if len(call.indexes) != 1 and call.stage.kind == "single":
            self.problem(f"{call} is about {len(call.indexes)} items")
        self.open[call] = None
        self.calls[call.stage.position] += 1
        self.check(stats)

    def end(self, call: CallInfo) -> None:
        self.check_open(repr(call))
        if self.open.pop(call, self) is self:
            self.problem(f"{call} has ended, and was not going on")
        failed = call.outcome == "failed"
        if call.outcome == "running" or failed != (call.error is not None):
            self.problem(f"{call} has ended with {call.error!r}")
        if call.ended_at != current_time():
            self.problem(f"{call} ended at {call.ended_at}")
        spent = current_time() - call.started_at - call.paused
        if not (spent >= -1e-9 and call.paused >= 0):
            self.problem(f"{call} was paused for {call.paused} s, and went on for {spent} s")
        self.busy[call.stage.position] += spent
        self.check(self.run.stats())

    def repeat(self, retry: RetryInfo) -> None:
        self.check_open(repr(retry))
        # None, if it is the call of a fallback
        if retry.call is not None:
            if retry.call not in self.open:
                self.problem(f"{retry.call} is repeated, and not going on")
            if (retry.call.indexes, retry.call.attempts) != (retry.indexes, retry.attempt):
                self.problem(f"{retry.call}: {retry}")
        if retry.attempt < 1 or retry.delay < 0:
            self.problem(f"{retry}")

    def fail(self, failure: FailureInfo) -> None:
        self.check_open(repr(failure))
        if failure.fate == "fail":
            if any(each is failure.error for each in self.fatal) and failure.stage is None:
                self.problem(f"{failure.error!r} was told twice")
            self.fatal.append(failure.error)
        elif failure.stage is not None:
            self.lost[failure.stage.position] += len(failure.indexes)

    def check_open(self, what: str) -> None:
        if self.is_over:
            self.problem(f"{what} after the end of the run")

    # Figures

    def check(self, stats: RunStatistics) -> None:
        """See whether the figures of a moment agree with one another."""
        self.check_times(stats)
        if not stats.items_out >= 0 <= stats.ready or stats.held < 0:
            self.problem(f"{stats}")
        if self.fatal or self.is_stopping:
            return  # items may have been dropped
        before = stats.items_in
        for info, stage in zip(self.run.stages, stats.stages, strict=True):
            spec = self.scenario.stages[info.position]
            self.check_stage(info, stage)
            taken = stage.items_in
            if taken > before or (not spec.begins_chain and info.position and taken != before):
                self.problem(f"{taken} of {before} items came to {stage}")
            before = stage.items_out
        failed = sum(stage.failed for stage in stats.stages)
        if stats.items_out + stats.ready != before + failed:
            self.problem(f"{stats.items_out} delivered and {stats.ready} ready of {before}")

    @property
    def is_stopping(self) -> bool:
        """Whether the run is ending, at once or in order, which nobody else can see."""
        run = self.engine
        if run is None or run.stopping:
            return True
        return run.winding_down is not None and run.winding_down.failure is not None

    @property
    def engine(self) -> Any:
        """The run itself."""
        runs = [journal.run for journal in self.journals]
        mine = [run for run in runs if run and run.context.pipeline_id == self.run.run_id]
        return mine[0] if mine else None

    def check_stage(self, info: StageInfo, stage: StageStatistics) -> None:
        spec = self.scenario.stages[info.position]
        working = sum(call.stage is info for call in self.open)
        figures = (stage.in_flight, stage.queued, stage.items_in, stage.items_out, stage.calls)
        if min(figures) < 0 or (
            spec.adaptive is None and stage.in_flight > stage.limit + spec.expands
        ):
            self.problem(f"{stage}")
        # A batch that waits for leave to begin is in neither.
        if info.kind != "batch" and working > stage.in_flight + stage.queued:
            self.problem(f"{working} calls go on in {stage}")
        if self.lost[info.position] < stage.skipped + stage.diverted + stage.failed:
            self.problem(f"{self.lost[info.position]} failures were told in {stage}")
        gone = stage.filtered + stage.skipped + stage.diverted + stage.failed + stage.dropped
        waiting = stage.in_flight + stage.queued
        wanted = stage.items_in
        if info.kind == "single" and not spec.expands and spec.side is None:
            wanted = stage.items_out + gone + waiting
        elif info.kind == "batch":
            wanted = stage.batch_items + stage.queued + stage.dropped
        if stage.items_in != wanted:
            self.problem(f"{stage} does not add up")

    def check_times(self, stats: RunStatistics) -> None:
        """Every moment is charged to one state."""
        run, duration = stats.timings, stats.duration
        assert run is not None
        waits = (run.source_wait + run.source_blocked, run.consumer_wait)
        if max(waits) > duration + 1e-9 or min(waits) < 0:
            self.problem(f"{duration=}, {run}")
        for stage in stats.stages:
            timings = stage.timings
            assert timings is not None
            states = timings.saturated, timings.held, timings.blocked, timings.starved
            if min(states) < 0 or not isclose(sum(states), duration, abs_tol=1e-6):
                self.problem(f"{duration=}, {timings}")

    def conclude(self, report: RunReport) -> None:
        """The run has ended."""
        self.check_open("the end")
        self.is_over = True
        stats = report.statistics
        if self.open:
            self.problem(f"{list(self.open)} have not ended")
        if stats != self.run.stats():
            self.problem("the figures change after the end")
        self.check_times(stats)
        str(report)
        if report.outcome == "failed" and not any(each is report.error for each in self.fatal):
            self.problem(f"{report.error!r} was not told")
        for info, stage in zip(self.run.stages, stats.stages, strict=True):
            assert stage.timings is not None
            if not isclose(stage.timings.busy, self.busy[info.position], abs_tol=1e-6):
                self.problem(f"calls took {self.busy[info.position]} s, not {stage.timings}")
            if stage.in_flight or stage.queued:
                self.problem(f"{stage} goes on after the end")
            spec = self.scenario.stages[info.position]
            if (
                info.kind != "process"
                and not spec.isolates
                and self.calls[info.position] > stage.calls
            ):
                self.problem(f"{self.calls[info.position]} calls were told, {stage}")
