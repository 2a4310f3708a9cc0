"""
What a run has done, and which part of it took the longest: a table, and a sentence of advice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .observing import StageInfo
    from .statistics import RunStatistics, StageStatistics, StageTimings

__all__ = ["Bottleneck", "RunOutcome", "RunReport"]

RunOutcome = Literal["running", "completed", "failed", "stopped"]
"""How a run has ended, if it has; ``"stopped"`` is one that was ended early, not by an error."""

LEAST_SHARE = 0.4
"""Of the run's time that something must have taken up to be called its bottleneck."""

MOST_CPU = 0.75
"""Of one processor; where more is used, what is computed takes the time, and not the waiting."""


@dataclass(frozen=True)
class Bottleneck:
    """
    What a run has waited for most.

    :ivar kind: ``"source"``, ``"stage"`` or ``"consumer"``
    :ivar position: of the stage, if it is one
    :ivar task_name: of the stage
    :ivar share: of the run's time for which it could do no more, up to 1
    :ivar advice: what to change
    """

    kind: Literal["source", "stage", "consumer"]
    position: int | None
    task_name: str | None
    share: float
    advice: str


@dataclass(frozen=True)
class RunReport:
    """
    How a run went, or how it goes; ``str(report)`` is a table for people.

    :ivar run_id: identifies the run
    :ivar outcome: how it has ended
    :ivar stages: what its stages are
    :ivar statistics: what they have counted
    :ivar error: the failure that ended it
    """

    run_id: str
    outcome: RunOutcome
    stages: tuple[StageInfo, ...]
    statistics: RunStatistics
    error: BaseException | None = None

    @cached_property
    def bottleneck(self) -> Bottleneck | None:
        """What the run has waited for most; ``None`` if nothing stands out, or without timings."""
        timings, duration = self.statistics.timings, self.statistics.duration
        if timings is None or duration <= 0:
            return None
        candidates = [
            self._consumer(1 - timings.consumer_wait / duration),
            self._source(timings.source_wait / duration),
            *(self._stage(stage, duration) for stage in self.stages),
        ]
        worst = max(candidates, key=lambda each: each.share)
        return worst if worst.share >= LEAST_SHARE else None

    @property
    def advice(self) -> str:
        """Say which part of the run limits it, and what to change."""
        timings = self.statistics.timings
        if timings is None:
            return (
                "What limits this run is not known, since nothing was timed; "
                "with_context(timings=True) tells."
            )
        if self.bottleneck is not None:
            return self.bottleneck.advice
        return "Nothing limits this run for most of its time." + (
            " It computes all the time: what its functions do, and the event loop, take it."
            if self._computes
            else ""
        )

    @property
    def _computes(self) -> bool:
        """Whether the process was computing for nearly all of the time."""
        timings = self.statistics.timings
        return timings is not None and timings.cpu >= MOST_CPU * self.statistics.duration

    def _consumer(self, share: float) -> Bottleneck:
        return Bottleneck(
            "consumer",
            None,
            None,
            share,
            f"The consumer limits this run: for {share:.0%} of the time it was busy with results "
            "it had, and not waiting. Do less with each of them, or make that a task of the "
            "pipeline.",
        )

    def _source(self, share: float) -> Bottleneck:
        return Bottleneck(
            "source",
            None,
            None,
            share,
            f"The source limits this run: for {share:.0%} of the time its next item was waited "
            "for. Let it fetch more at a time, or ahead; a blocking iterator is read ahead by "
            "from_thread().",
        )

    def _stage(self, stage: StageInfo, duration: float) -> Bottleneck:
        counts = self.statistics.stages[stage.position]
        timings = counts.timings
        assert timings is not None
        reasons: list[tuple[float, Callable[[], str]]] = [
            (timings.saturated / duration, lambda: self._saturated(stage, counts, timings)),
            (timings.held / duration, lambda: _held(stage)),
            (timings.blocking / duration, _blocking),
        ]
        share, explain = max(reasons, key=lambda each: each[0])
        beginning = f"Task {stage.task_name!r} limits this run: for {share:.0%} of the time "
        return Bottleneck("stage", stage.position, stage.task_name, share, beginning + explain())

    def _saturated(self, stage: StageInfo, counts: StageStatistics, timings: StageTimings) -> str:
        if stage.kind == "process":
            return "it worked on the stream. Make it quicker, or split it into tasks."
        limit = counts.limit
        calls = "its one call was" if limit == 1 else f"all of its {limit} calls were"
        median = "" if timings.latency is None else f" (median {seconds(timings.latency.p50)})"
        return f"{calls} in flight{median}. " + " ".join(self._cures(stage, counts))

    def _cures(self, stage: StageInfo, counts: StageStatistics) -> list[str]:
        mean = counts.mean_batch_size
        cures: list[str] = []
        if mean is not None and mean >= 0.8 * counts.batch_size:
            cures.append(f"Let its batches be larger (max_size={counts.batch_size}).")
        if stage.is_adaptive:
            cures.append(f"Its Adaptive limit has come to {counts.limit}; more does not help.")
        elif self._computes:
            cures.append(
                "The process computes all the time, so more calls at once do not help as long as "
                "they share its interpreter: let other processes do the work, with "
                "anyio.to_process.run_sync()."
            )
        else:
            also = "Or raise" if cures else "Raise"
            cures.append(
                f"{also} its concurrency_limit ({counts.limit}), or make its calls shorter."
            )
        return cures

    def __str__(self) -> str:
        return "\n".join([self._headline, "", *self._table(), "", self.advice])

    @property
    def _headline(self) -> str:
        counts = self.statistics
        ending = {
            "running": "running for",
            "completed": "completed in",
            "failed": "failed after",
            "stopped": "ended early after",
        }[self.outcome]
        error = "" if self.error is None else f" with {type(self.error).__name__}"
        return (
            f"pipeline {ending} {seconds(counts.duration)}{error}: "
            f"{counts.items_in:,} items in, {counts.items_out:,} out"
        )

    def _table(self) -> list[str]:
        """Return the lines of a table of the stages, without columns that say nothing."""
        rows = self.statistics.stages
        columns = [
            ["task", *(row.task_name for row in rows)],
            *(
                [title, *map(show, rows)]
                for title, show, is_rare in _COLUMNS
                if not is_rare or any(show(row) not in ("0", "") for row in rows)
            ),
        ]
        widths = [max(map(len, column)) for column in columns]
        lines: list[str] = []
        for cells in zip(*columns, strict=True):
            name, *figures = (
                cell.ljust(width) if place == 0 else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
            )
            lines.append("  ".join([name, *figures]))
        return lines


def _held(stage: StageInfo) -> str:
    if not stage.brakes:
        return (
            "its calls waited, since errors asked for a pause (RetryAfter). Call less often, with "
            "a rate_limit."
        )
    brakes = " or ".join(stage.brakes)
    return f"its calls waited for its {brakes}. Allow more there, if others can take it."


def _blocking() -> str:
    return (
        "the event loop stood still in its function, which is not async. Let it run in a worker "
        "thread, with anyio.to_thread.run_sync(), or in a process if it computes."
    )


def seconds(value: float) -> str:
    """
    Write a time for people.

    :param value: in seconds
    """
    if value >= 100:
        return f"{value:,.0f} s"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} us" if value else "0"


def _count(name: str) -> Callable[[StageStatistics], str]:
    return lambda row: f"{getattr(row, name):,}"


def _time(name: str) -> Callable[[StageStatistics], str]:
    return lambda row: "" if row.timings is None else seconds(getattr(row.timings, name))


def _quantile(name: str) -> Callable[[StageStatistics], str]:
    def show(row: StageStatistics) -> str:
        """Return the figure of one row."""
        latency = None if row.timings is None else row.timings.latency
        return "" if latency is None else seconds(getattr(latency, name))

    return show


def _batch_size(row: StageStatistics) -> str:
    return "" if row.mean_batch_size is None else f"{row.mean_batch_size:.3g}/{row.batch_size}"


# title, what it shows of a row, whether to leave it out if it is nothing in all of them
_COLUMNS: Sequence[tuple[str, Callable[[StageStatistics], str], bool]] = (
    ("in", _count("items_in"), False),
    ("out", _count("items_out"), False),
    ("calls", _count("calls"), False),
    *(
        (name.replace("_", " "), _count(name), True)
        for name in (
            "filtered",
            "skipped",
            "diverted",
            "failed",
            "dropped",
            "retried",
            "hedged",
            "fallbacks",
            "cache_hits",
            "in_flight",
            "queued",
        )
    ),
    ("limit", _count("limit"), False),
    ("batch", _batch_size, True),
    *((name, _time(name), True) for name in ("busy", "saturated", "held", "blocked", "starved")),
    *((name, _quantile(name), True) for name in ("p50", "p95", "p99")),
)
