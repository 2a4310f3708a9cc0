"""
Snapshots of what a run has counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "BatchTrigger",
    "HeadOfLine",
    "Latency",
    "RunStatistics",
    "RunTimings",
    "StageStatistics",
    "StageTimings",
]

BatchTrigger = Literal["size", "weight", "age", "room", "end"]
"""Why a batch left."""


def _no_batches() -> dict[BatchTrigger, int]:
    return {}


@dataclass(frozen=True)
class Latency:
    """
    How long calls took, in seconds: quantiles to one per cent of their values, and the longest.
    """

    p50: float
    p95: float
    p99: float
    longest: float


@dataclass(frozen=True)
class StageTimings:
    """
    Where the time of one stage went, in seconds.

    ``busy`` is the time of all calls together, with their retries, so it may be more than the run
    took; not what their generators waited for room.

    Every moment of the run is in one of the others. ``saturated``: as many calls were in flight as
    may be. ``held``: calls waited for a ``rate_limit``, a circuit breaker, a pause, another item of
    their ``key`` or the run's ``max_parallelism``. ``blocked``: there was no room for the results,
    or nothing to call since the window was full of items that this stage and those before it were
    done with. ``starved``:
    there was too little to call, since nothing came from before.

    ``blocking`` is for how long the event loop stood still in the function: nearly all of the calls
    if it is not ``async``, nearly nothing if it is.

    ``latency`` is that of the calls that have ended, ``None`` if none has.
    """

    busy: float
    saturated: float
    held: float
    blocked: float
    starved: float
    blocking: float
    latency: Latency | None


@dataclass(frozen=True)
class RunTimings:
    """
    Where the time of a run went, in seconds.

    ``source_wait`` was spent waiting for the data's next item, ``source_blocked`` waiting for room
    before asking for it. ``consumer_wait`` is how long the consumer has waited for results; what is
    left of the duration it spent on other things. ``cpu`` is the processor time of the whole
    process meanwhile, its threads included. ``peak_memory`` is the most memory, in bytes, that the
    process has had so far, ``None`` where the system does not tell.
    """

    source_wait: float
    source_blocked: float
    consumer_wait: float
    cpu: float
    peak_memory: int | None


@dataclass(frozen=True)
class HeadOfLine:
    """
    The item for which all that came after it waits in a run with an order.

    ``index`` is its position in the input, from 0. ``task_name`` is the task that has it, ``None``
    if nobody knows, or if it is ready. ``age`` is for how many seconds its call has been going on,
    if calls are timed and it is in one.
    """

    index: int
    task_name: str | None
    age: float | None = None


@dataclass(frozen=True)
class StageStatistics:
    """
    Counts of one stage; items unless it says otherwise.

    ``items_in`` have come in, those that are ``queued`` included. ``filtered`` gave ``None``,
    ``skipped`` failed and were left out,
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
    ``items_out`` have been passed on, and ``items_done`` have gone through, whatever became of
    them; batches in flight are taken to be average ones for that. ``queued`` wait for a call, and
    ``in_flight`` is how many calls are being made. ``batch_items`` were in the batches that left.
    ``timings`` are there if they were asked for, with ``with_context(timings=True)`` or by an
    observer.
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
    items_out: int = 0
    items_done: int = 0
    in_flight: int = 0
    queued: int = 0
    batch_items: int = 0
    timings: StageTimings | None = None

    @property
    def mean_batch_size(self) -> float | None:
        """Items in a batch on average; ``None`` if none has left."""
        batches = sum(self.triggers.values())
        return self.batch_items / batches if batches else None


@dataclass(frozen=True)
class RunStatistics:
    """
    Counts of a run: items pulled from the source, stage by stage, and delivered to the consumer.

    ``duration`` is in seconds, so far or until its end. The run holds ``held`` items, at most
    ``window`` as a rule; ``ready`` of them are results that wait for the consumer, or for the
    ``head`` of the line. ``timings`` are there if they were asked for.
    """

    items_in: int
    stages: tuple[StageStatistics, ...]
    items_out: int
    duration: float = 0.0
    window: int = 0
    held: int = 0
    ready: int = 0
    head: HeadOfLine | None = None
    timings: RunTimings | None = None

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

    @property
    def retried(self) -> int:
        """Repeated attempts, over all stages."""
        return sum(stage.retried for stage in self.stages)
