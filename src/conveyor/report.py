"""
What a run has done, and which part of it took the longest: a table, and a sentence of advice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from .report_table import number, seconds, table_of

if TYPE_CHECKING:
    from .observing import StageInfo
    from .statistics import RunStatistics, StageStatistics, StageTimings

__all__ = ["Bottleneck", "RunOutcome", "RunReport"]

RunOutcome = Literal["running", "completed", "failed", "stopped"]
"""How a run has ended, if it has; ``"stopped"`` is one that was ended early, not by an error."""

LEAST_SHARE = 0.4
"""Of the run's time that something must have taken up to be called its bottleneck."""

MOST_BLOCKING = 0.8
"""Of the time of a stage's calls; where the event loop stood still for more, more calls at once
cannot help."""

SOME_CPU = 0.4
"""Of one processor; with more, what is computed may be what takes the time."""

MOST_CPU = 0.75
"""Of one processor; where more is used, what is computed takes the time, and not the waiting."""


@dataclass(frozen=True)
class Bottleneck:
    """
    What a run has waited for most.

    :ivar kind: ``"source"``, ``"stage"``, ``"consumer"`` or, if it held all the items that it may
        and none of the three was busy, ``"window"``
    :ivar position: of the stage, if it is one
    :ivar task_name: of the stage
    :ivar share: of the run's time for which it could do no more, up to 1
    :ivar advice: what to change
    """

    kind: Literal["source", "stage", "consumer", "window"]
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
        if self._computes:
            worst = self._busiest([each for each in candidates if each.share >= 0.8 * worst.share])
        if worst.share < LEAST_SHARE:
            worst = self._window(timings.source_blocked / duration)
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

    def _busiest(self, rivals: Sequence[Bottleneck]) -> Bottleneck:
        """
        Return the one whose calls took the most time together.

        Those that share an interpreter slow each other down, and are saturated alike.
        """

        def busy(each: Bottleneck) -> float:
            """Return the time of its calls; what is no stage has a share of the run."""
            if each.position is None:
                return each.share * self.statistics.duration
            timings = self.statistics.stages[each.position].timings
            return 0.0 if timings is None else timings.busy

        return max(rivals, key=busy)

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

    def _window(self, share: float) -> Bottleneck:
        return Bottleneck(
            "window",
            None,
            None,
            share,
            f"The window limits this run: for {share:.0%} of the time it held as many items as it "
            f"may ({self.statistics.window:,}), although no task had all the calls that it may "
            "have. Raise max_in_flight; or, if one slow item keeps the others waiting for their "
            "turn, take the results as they are completed.",
        )

    def _stage(self, stage: StageInfo, duration: float) -> Bottleneck:
        counts = self.statistics.stages[stage.position]
        timings = counts.timings
        assert timings is not None
        # A call that lets nothing else run cannot be helped by more of its kind.
        is_stuck = timings.blocking >= MOST_BLOCKING * timings.saturated
        reasons: list[tuple[float, Callable[[], str]]] = [
            (timings.blocking / duration, _blocking),
            (timings.held / duration, lambda: _held(stage)),
            (
                0.0 if is_stuck else timings.saturated / duration,
                lambda: self._saturated(stage, counts, timings),
            ),
        ]
        share, explain = max(reasons, key=lambda each: each[0])
        beginning = f"Task {stage.task_name!r} limits this run: for {share:.0%} of the time "
        return Bottleneck("stage", stage.position, stage.task_name, share, beginning + explain())

    def _saturated(self, stage: StageInfo, counts: StageStatistics, timings: StageTimings) -> str:
        if stage.kind == "process":
            return "it worked on the stream. Make it quicker, or split it into tasks."
        limit = counts.limit
        calls = "its one call was" if limit == 1 else f"all of its {limit:,} calls were"
        median = "" if timings.latency is None else f" (median {seconds(timings.latency.p50)})"
        return f"{calls} in flight{median}. {self._cure(stage, counts)}"

    def _cure(self, stage: StageInfo, counts: StageStatistics) -> str:
        larger = _larger_batches(counts)
        if stage.is_adaptive:
            found = f"Its Adaptive limit has come to {counts.limit:,}, so more would not help: "
            return found + _either([larger, "make its calls shorter"])
        if self._computes:
            return (
                "The process computes all the time, so more calls at once do not help as long as "
                "they share its interpreter: let other processes do the work, with "
                "anyio.to_process.run_sync()."
            )
        more = f"raise its concurrency_limit ({counts.limit:,} at present)"
        cure = _either([larger, more, "make its calls shorter"])
        return cure[0].upper() + cure[1:] + self._doubt()

    def _doubt(self) -> str:
        """Say that it may be another case, where so much is computed that it could be."""
        assert self.statistics.timings is not None
        share = self.statistics.timings.cpu / self.statistics.duration
        if share < SOME_CPU:
            return ""
        return (
            f" If they compute (this process did, for {share:.0%} of the time), they are quicker "
            "in other processes, with anyio.to_process.run_sync()."
        )

    def __str__(self) -> str:
        table = [*table_of(self.statistics.stages), ""] if self.stages else []
        return "\n".join([self._headline, *self._waits(), "", *table, self.advice])

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
            f"{counts.items_in:,} item{'' if counts.items_in == 1 else 's'} in, "
            f"{counts.items_out:,} out"
        )

    def _waits(self) -> list[str]:
        """Return a line on what is not of one stage, if it was timed."""
        timings = self.statistics.timings
        if timings is None:
            return []
        peak = timings.peak_memory
        memory = "" if peak is None else f", peak memory {number(peak / 1e6)} MB"
        source = f"{seconds(timings.source_wait)} for the source"
        room = f"{seconds(timings.source_blocked)} for room"
        consumer = f"consumer waited {seconds(timings.consumer_wait)}"
        cpu = f"processor time {seconds(timings.cpu)}"
        return [f"waited {source}, {room}, {consumer}; {cpu}{memory}"]


def _either(phrases: Sequence[str]) -> str:
    """Join what there is of the phrases to the end of a sentence."""
    *others, last = [phrase for phrase in phrases if phrase]
    return f"{', '.join(others)} or {last}." if others else f"{last}."


def _larger_batches(counts: StageStatistics) -> str:
    """Say what keeps batches from being larger, by what lets most of them leave."""
    triggers = {why: number for why, number in counts.triggers.items() if why != "end"}
    if not triggers:
        return ""
    commonest = max(triggers, key=lambda why: triggers[why])
    mean = f"{number(counts.mean_batch_size or 0)} items on average"
    return {
        "size": f"let its batches hold more than {counts.batch_size:,} items (max_size)",
        "weight": f"let its batches weigh more (max_weight; {mean})",
        "age": f"let its batches wait longer to fill up (max_wait; {mean})",
        "room": f"let the run hold more items, so that batches fill up (max_in_flight; {mean})",
    }[commonest]


# What calls wait for, and what to do about it.
_BRAKES = {
    "rate_limit": ("its rate_limit", "raise its rate_limit, if the other side can take more"),
    "circuit breaker": ("its circuit breaker", "see why so many of its calls fail"),
    "key": ("earlier items of their key", "choose a key that fewer items share"),
    "cache": ("equal items before them", "let fewer of those come together"),
    "max_parallelism": ("the run's max_parallelism", "raise max_parallelism"),
}


def _held(stage: StageInfo) -> str:
    if not stage.brakes:
        return (
            "its calls waited, since errors asked for a pause (RetryAfter). Call less often, with "
            "a rate_limit."
        )
    waits, cures = zip(*[_BRAKES[brake] for brake in stage.brakes], strict=True)
    cure = "; or ".join(cures)
    return f"its calls waited for {' or '.join(waits)}. {cure[0].upper()}{cure[1:]}."


def _blocking() -> str:
    return (
        "the event loop stood still in its function, which is not async. Let it run in a worker "
        "thread, with anyio.to_thread.run_sync(), or in a process if it computes."
    )
