"""
What goes on in a run, told to whoever wants to know.

An :class:`Observer` is attached to a pipeline with :meth:`.Pipeline.with_observer` and told of its
runs, event by event. Progress displays, timelines, traces and metrics are observers; so may be
anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from math import inf
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .report import RunReport
    from .statistics import RunStatistics

__all__ = [
    "CallInfo",
    "CallOutcome",
    "FailureInfo",
    "Fate",
    "Observer",
    "RetryInfo",
    "RunInfo",
    "StageInfo",
]

CallOutcome = Literal["running", "returned", "failed", "cancelled"]
"""How a call has ended, if it has."""

Fate = Literal["fail", "skip_item", "divert", "outcome"]
"""What became of items that failed for good: they ended the run, or left it in some other way."""


@dataclass(frozen=True)
class StageInfo:
    """
    One stage of a run.

    :ivar position: 0 for the first
    :ivar task_name: of its task
    :ivar kind: what the function is called with: one item, a batch, or the stream as a whole
    :ivar is_adaptive: whether its limit is found by trying
    :ivar brakes: settings that may hold its calls back besides its limit
    """

    position: int
    task_name: str
    kind: Literal["single", "batch", "process"]
    is_adaptive: bool = False
    brakes: tuple[str, ...] = ()


class RunInfo:
    """
    A run that is being observed; the same object for all of its events.

    :ivar run_id: identifies it, as ``PipelineContext.pipeline_id``
    :ivar stages: first to last
    :ivar total: items that the data has, if it tells
    :ivar stats: returns a snapshot of its statistics, at any time, from any thread
    """

    # Observers that outlive it need not keep it alive.
    __slots__ = ("__weakref__", "run_id", "stages", "stats", "total")

    def __init__(
        self,
        run_id: str,
        stages: tuple[StageInfo, ...],
        total: int | None,
        stats: Callable[[], RunStatistics],
    ) -> None:
        self.run_id: str = run_id
        self.stages: tuple[StageInfo, ...] = stages
        self.total: int | None = total
        self.stats: Callable[[], RunStatistics] = stats

    def __repr__(self) -> str:
        return f"<RunInfo {' | '.join(stage.task_name for stage in self.stages)}>"


class CallInfo:
    """
    One call of a task's function with an item or a batch, with all of its attempts.

    The same object for all of its events, so it can be a key.

    :ivar run: where it is made
    :ivar stage: of the task
    :ivar indexes: positions in the input, from 0, of the items; more than one in a batch only. What
        became of an item that became many has its index
    :ivar attempts: begun so far
    :ivar started_at: reading of the event loop's clock, in seconds, when the first attempt began
    :ivar ended_at: the same when it ended, ``None`` if it has not
    :ivar paused: seconds for which its generator has waited for room further on
    :ivar error: with which it has failed
    """

    __slots__ = (
        "attempts",
        "ended_at",
        "error",
        "indexes",
        "outcome",
        "paused",
        "run",
        "stage",
        "started_at",
    )

    def __init__(
        self, run: RunInfo, stage: StageInfo, indexes: tuple[int, ...], started_at: float
    ) -> None:
        self.run: RunInfo = run
        self.stage: StageInfo = stage
        self.indexes: tuple[int, ...] = indexes
        self.attempts: int = 1
        self.started_at: float = started_at
        self.ended_at: float | None = None
        self.paused: float = 0.0
        self.outcome: CallOutcome = "running"
        self.error: BaseException | None = None

    def __repr__(self) -> str:
        index = ", ".join(map(str, self.indexes[:3])) + (", ..." if len(self.indexes) > 3 else "")
        return f"<CallInfo {self.stage.task_name!r} [{index}] {self.outcome}>"

    @property
    def is_batch(self) -> bool:
        """Whether it is a call with a batch."""
        return self.stage.kind == "batch"


@dataclass(frozen=True)
class RetryInfo:
    """
    A call is to be made once more.

    :ivar run: where it is made
    :ivar stage: of the task
    :ivar indexes: as ``CallInfo.indexes``; empty if they are not known
    :ivar attempt: number of the one that failed, from 1
    :ivar delay: seconds until the next one, at least
    :ivar error: of the one that failed
    :ivar call: which is repeated; ``None`` if nobody observes calls
    """

    run: RunInfo
    stage: StageInfo
    indexes: tuple[int, ...]
    attempt: int
    delay: float
    error: BaseException
    call: CallInfo | None = None


@dataclass(frozen=True)
class FailureInfo:
    """
    Items have failed for good, or something else than an item has, which ends the run.

    :ivar run: where it happened
    :ivar stage: of the task; ``None`` if it is no task that failed, but the source, for instance
    :ivar indexes: as ``CallInfo.indexes``; empty if it is not about items
    :ivar attempts: made
    :ivar error: the last one
    :ivar fate: what became of the items: ``"skip_item"``, ``"divert"``, ``"outcome"`` (they are
        failures among the outcomes), or ``"fail"``: the run ends
    """

    run: RunInfo
    stage: StageInfo | None
    indexes: tuple[int, ...]
    attempts: int
    error: BaseException
    fate: Fate


def is_told(observer: Observer, event: str) -> bool:
    """
    Tell whether an observer does something when it is told of an event.

    :param observer: the observer
    :param event: name of the method
    """
    return getattr(getattr(observer, event), "__func__", None) is not getattr(Observer, event)


def needs_timings(observer: Observer) -> bool:
    """
    Tell whether the calls of a run have to be timed for an observer.

    :param observer: the observer
    """
    about_calls = ("stage_started", "call_started", "call_ended")
    return observer.timings or any(is_told(observer, event) for event in about_calls)


def check_observers(observers: object) -> None:
    """
    Check what is to observe a run.

    :param observers: any
    :raises TypeError: if it is not a sequence of observers
    """
    if not isinstance(observers, (list, tuple)):
        raise TypeError(
            f"observers must be a list of observers, got a {type(observers).__name__}; "
            "write with_observer(one, another)"
        )
    for each in observers:  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(each, Observer):
            hint = f"; write {each.__name__}()" if isinstance(each, type) else ""
            raise TypeError(
                f"an observer must be an instance of a subclass of Observer, got {each!r}{hint}"
            )
        _check_methods(each)


def _check_methods(observer: Observer) -> None:
    name = type(observer).__name__
    for event in EVENTS:
        method = getattr(observer, event)
        if not callable(method):
            raise TypeError(f"{name}.{event} must be a method, got {method!r}")
        if iscoroutinefunction(method) or isgeneratorfunction(method) or isasyncgenfunction(method):
            raise TypeError(
                f"{name}.{event} must be a plain method, since observers are called and not "
                f"awaited; write def {event}(self, ...), without async and without yield"
            )
    interval: Any = observer.interval
    if interval is None:
        return
    if isinstance(interval, bool) or not isinstance(interval, (int, float)):
        raise TypeError(f"{name}.interval must be a number of seconds or None, got {interval!r}")
    if not 0 < interval < inf:
        raise ValueError(f"{name}.interval must be more than 0 and finite, got {interval!r}")


class Observer:
    """
    Told of what goes on in the runs of a pipeline; a base class whose methods do nothing.

    Define those that you need. They are called in the event loop, so they must not block, and are
    not awaited. An error that one raises is logged, once per run, and never hurts the run. No event
    carries an item's value; errors may, in their messages.

    One observer may be told of several runs, also of runs that overlap; keep what belongs to one by
    its :class:`RunInfo`.

    :cvar interval: seconds between two calls of :meth:`tick`; ``None`` for none
    :cvar timings: whether it wants runs to be timed, so that their statistics and reports have
        timings. Runs are in any case if it defines one of the methods that are about calls
    """

    interval: float | None = None
    timings: bool = True

    def run_started(self, run: RunInfo) -> None:
        """
        A run begins.

        Context variables that are set here are seen by all that the run calls.

        :param run: the run
        """

    def stage_started(self, run: RunInfo, stage: StageInfo) -> None:
        """
        A stage makes its first call.

        :param run: the run
        :param stage: the stage
        """

    def call_started(self, call: CallInfo) -> None:
        """
        A function is called with an item, or a batch.

        In the context of the call: context variables that are set here are seen by the function,
        and are to be set back in :meth:`call_ended`.

        :param call: the call; items whose result was in a cache have none
        """

    def call_ended(self, call: CallInfo) -> None:
        """
        A call has ended, with its retries, and a generator with its last value.

        :param call: the call; tells how
        """

    def call_retried(self, retry: RetryInfo) -> None:
        """
        An attempt has failed, and there will be another one.

        :param retry: which, and when
        """

    def failed(self, failure: FailureInfo) -> None:
        """
        Items have failed for good, or the run has.

        :param failure: where, how, and what became of them
        """

    def tick(self, run: RunInfo) -> None:
        """
        Some time has passed: ``interval``, or more if the event loop was busy.

        :param run: the run
        """

    def run_ended(self, run: RunInfo, report: RunReport) -> None:
        """
        A run has ended, and so has everything in it.

        :param run: the run
        :param report: how it went
        """


EVENTS = tuple(
    name for name, value in vars(Observer).items() if callable(value) and not name.startswith("_")
)
"""Names of the methods that are called."""
