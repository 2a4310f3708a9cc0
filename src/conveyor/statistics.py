"""
Snapshots of what a run has counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ._engine.run import Run

__all__ = ["BatchTrigger", "RunStatistics", "StageStatistics"]

BatchTrigger = Literal["size", "weight", "age", "room", "end"]
"""Why a batch left."""


def _no_batches() -> dict[BatchTrigger, int]:
    return {}


@dataclass(frozen=True)
class StageStatistics:
    """
    Counts of one stage; items unless it says otherwise.

    ``items_in`` were taken in, ``filtered`` gave ``None``, ``skipped`` failed and were left out,
    ``diverted`` failed and left into ``failures``, ``failed`` are in the outcomes as a failure,
    ``dropped`` were too few at the end for a batch. ``calls`` is the number of items, or batches,
    that the function was called with, or would have been but for an open circuit breaker; repeated
    attempts are in ``retried``, and the parts that a failing batch is split into are not counted.
    ``triggers`` tells why batches left: how many of
    them for each trigger, those that no batch had left out. ``batch_size`` is how many items a
    full batch holds at present, which changes with ``max_size="auto"``; 0 if it is no batch task.
    ``fallbacks`` is how often a fallback took over an item, or batch.
    ``limit`` is how many calls may be in flight at present, which changes with an
    :class:`~conveyor.Adaptive` limit. ``hedged`` is how many second attempts have begun because of
    ``hedge_after``.
    ``cache_hits`` needed no call, since the ``cache`` had their result.
    """

    task_name: str
    items_in: int
    calls: int
    filtered: int
    skipped: int
    dropped: int
    retried: int
    triggers: Mapping[BatchTrigger, int] = field(default_factory=_no_batches, hash=False)
    batch_size: int = 0
    diverted: int = 0
    failed: int = 0
    fallbacks: int = 0
    limit: int = 0
    hedged: int = 0
    cache_hits: int = 0


@dataclass(frozen=True)
class RunStatistics:
    """
    Counts of a run: items pulled from the source, stage by stage, and delivered to the consumer.
    """

    items_in: int
    stages: tuple[StageStatistics, ...]
    items_out: int

    @property
    def skipped(self) -> int:
        """Items left out because of errors, over all stages."""
        return sum(stage.skipped for stage in self.stages)

    @property
    def diverted(self) -> int:
        """Items that left into ``failures``, over all stages."""
        return sum(stage.diverted for stage in self.stages)

    @property
    def failed(self) -> int:
        """Items that are in the outcomes as a failure, over all stages."""
        return sum(stage.failed for stage in self.stages)

    @property
    def dropped(self) -> int:
        """Items too few at the end for a batch, over all stages."""
        return sum(stage.dropped for stage in self.stages)

    @classmethod
    def of(cls, run: Any) -> RunStatistics:
        """
        Take a snapshot.

        :param run: any run, at any time
        """
        given: Run = run  # not in the signature, lest the engine be part of the public types
        return cls(
            items_in=given.source.pulled,
            stages=tuple(
                StageStatistics(
                    task_name=stage.name,
                    items_in=stage.items_taken,
                    calls=stage.counters.taken - stage.counters.uncalled,
                    filtered=stage.counters.filtered,
                    skipped=stage.counters.skipped,
                    dropped=stage.counters.dropped,
                    retried=stage.counters.retried,
                    triggers=dict(stage.counters.triggers),
                    batch_size=stage.batch_size,
                    diverted=stage.counters.diverted,
                    failed=stage.counters.failed,
                    fallbacks=stage.counters.fallbacks,
                    limit=stage.limit if stage.adaptive is None else stage.adaptive.limit,
                    hedged=stage.counters.hedged,
                    cache_hits=stage.counters.cache_hits,
                )
                for stage in given.stages
            ),
            items_out=given.handoff.delivered,
        )
