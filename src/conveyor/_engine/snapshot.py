"""
A run in figures, at one moment.

Taken by whoever asks, in any thread: nothing is changed, and what changes meanwhile may be seen in
one figure and not yet in another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..statistics import HeadOfLine, RunStatistics, StageStatistics

if TYPE_CHECKING:
    from .run import Run
    from .sequence import Slot
    from .stage import Stage


def statistics_of(run: Run) -> RunStatistics:
    """
    Return what a run has counted so far.

    :param run: any, at any time
    """
    watch = run.observation.watch
    # From the end to the beginning, so that no item is seen further on than it has come.
    delivered = run.handoff.delivered
    stages = [statistics_of_stage(stage) for stage in reversed(run.stages)]
    return RunStatistics(
        items_in=run.source.pulled,
        stages=tuple(reversed(stages)),
        items_out=delivered,
        duration=run.observation.duration,
        window=run.window.size,
        held=0 if run.finished else run.window.held,
        ready=_ready_results(run),
        head=head_of_line(run),
        timings=None if watch is None else watch.timings(),
    )


def _ready_results(run: Run) -> int:
    """Count the results that nobody has taken yet, failures among the outcomes included."""
    if run.finished:
        return 0
    given = run.stages[-1].items_given if run.stages else run.source.pulled
    failed = sum(stage.counters.failed for stage in run.stages)
    return max(0, given + failed - run.handoff.delivered)


def statistics_of_stage(stage: Stage) -> StageStatistics:
    """
    Return what a stage has counted so far.

    :param stage: any, at any time
    """
    counters = stage.counters
    in_flight = stage.in_flight
    return StageStatistics(
        task_name=stage.name,
        items_in=stage.items_taken,
        calls=counters.taken - counters.uncalled,
        filtered=counters.filtered,
        skipped=counters.skipped,
        dropped=counters.dropped,
        retried=counters.retried,
        triggers=dict(counters.triggers),
        batch_size=stage.batch_size,
        diverted=counters.diverted,
        failed=counters.failed,
        fallbacks=counters.fallbacks,
        limit=stage.present_limit,
        hedged=counters.hedged,
        cache_hits=counters.cache_hits,
        items_out=stage.items_given,
        items_done=stage.items_done,
        in_flight=in_flight,
        queued=stage.queued,
        batch_items=counters.merged,
        timings=None if stage.watch is None else stage.watch.timings(),
    )


def head_of_line(run: Run) -> HeadOfLine | None:
    """
    Find the item for which all that came after it waits; ``None`` if there is none.

    :param run: any, at any time
    """
    if run.finished or run.context.execution_mode != "ordered":
        return None
    for chain in reversed(run.chains):
        members = [stage for stage in run.stages if stage.chain is chain]
        head = chain.head
        if chain is not run.chains[-1] or run.handoff.is_awaited:
            # Who takes them takes several at once, and waits for one that is not ready.
            while head is not None and head.done:
                head = None if head.next is chain.root else head.next
        if head is not None:
            return _located(head, members)
        if members and members[0].oldest is not None:
            return HeadOfLine(members[0].oldest.index, members[0].name)
    return None


def _located(head: Slot, members: list[Stage]) -> HeadOfLine:
    """Say which of the stages of a chain has its head."""
    if head.done:
        return HeadOfLine(head.index, None)
    for stage in members:
        call = None if stage.watch is None else stage.watch.calls.get(head)
        if call is not None:
            return HeadOfLine(head.index, stage.name, call.age)
        if stage.has_queued(head):
            return HeadOfLine(head.index, stage.name)
    calling = [stage for stage in members if stage.in_flight]
    return HeadOfLine(head.index, calling[0].name if len(calling) == 1 else None)
