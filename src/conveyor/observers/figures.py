"""
Figures for a monitoring system: what all runs have counted, ended ones and those that go on.

Nothing is done when something is counted. A reader, in a thread of its own as a rule, asks for the
figures when it wants them; they are read from the snapshots of the runs that go on and added to
what has been left by those that have ended.

A run that is dropped without having ended (its event loop was thrown away) is not kept alive: it is
held by a weak reference, and what it had counted when it was last read is added to the rest, so
that no counter ever falls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, TypeAlias, TypeVar
from weakref import WeakKeyDictionary, ref

from ..observing import Observer, RunInfo

if TYPE_CHECKING:
    from ..report import RunReport
    from ..statistics import RunStatistics

__all__ = ["FIGURES", "Figure", "FiguresObserver", "RunFigures", "figures_of"]

Labels: TypeAlias = tuple[str, ...]
Value: TypeAlias = tuple[Labels, float]
Values: TypeAlias = dict[Labels, float]
Owner = TypeVar("Owner")


@dataclass(frozen=True)
class Figure:
    """
    A figure that is exported.

    :ivar name: with dots between its parts
    :ivar unit: as UCUM writes it
    :ivar description: what it tells
    :ivar labels: names of what its values are told apart by
    :ivar read: yields values, with their labels, from what a run has counted
    :ivar is_level: whether it is how much there is at present, in runs that go on, and not a count
    """

    name: str
    unit: str
    description: str
    labels: Labels
    read: Callable[[RunStatistics], Iterable[Value]]
    is_level: bool = False


def _of_stages(name: str, unit: str, description: str, is_level: bool = False) -> Figure:
    def read(counts: RunStatistics) -> Iterator[Value]:
        for stage in counts.stages:
            yield (stage.task_name,), getattr(stage, name)

    return Figure(f"stage.{name}", unit, description, ("task",), read, is_level)


def _of_run(name: str, unit: str, description: str, is_level: bool = False) -> Figure:
    def read(counts: RunStatistics) -> Iterator[Value]:
        yield (), getattr(counts, name)

    return Figure(f"run.{name}", unit, description, (), read, is_level)


def _of_run_timings(name: str, description: str) -> Figure:
    def read(counts: RunStatistics) -> Iterator[Value]:
        if counts.timings is not None:
            yield (), getattr(counts.timings, name)

    return Figure(f"run.{name}", "s", description, (), read)


def _batches(counts: RunStatistics) -> Iterator[Value]:
    for stage in counts.stages:
        for trigger, count in stage.triggers.items():
            yield (stage.task_name, trigger), count


def _of_timings(name: str, description: str) -> Figure:
    def read(counts: RunStatistics) -> Iterator[Value]:
        for stage in counts.stages:
            if stage.timings is not None:
                yield (stage.task_name,), getattr(stage.timings, name)

    return Figure(f"stage.{name}", "s", description, ("task",), read)


def _states(counts: RunStatistics) -> Iterator[Value]:
    for stage in counts.stages:
        if stage.timings is not None:
            for state in ("saturated", "held", "blocked", "starved"):
                yield (stage.task_name, state), getattr(stage.timings, state)


def _one(counts: RunStatistics) -> Iterator[Value]:
    yield (), 1


def _nothing(counts: RunStatistics) -> tuple[Value, ...]:
    return ()


_ACTIVE = Figure("run.active", "{run}", "Runs that go on.", (), _one, is_level=True)
_ENDED = Figure("run.ended", "{run}", "Runs that have ended.", ("outcome",), _nothing)

FIGURES: tuple[Figure, ...] = (
    _ACTIVE,
    _ENDED,
    _of_run("items_in", "{item}", "Items taken from the data."),
    _of_run("items_out", "{item}", "Results given to the consumer."),
    _of_run("held", "{item}", "Items in the run at present.", is_level=True),
    _of_run_timings("source_wait", "Time spent waiting for the data."),
    _of_run_timings("source_blocked", "Time spent waiting for room for the next item."),
    _of_run_timings("consumer_wait", "Time for which the consumer waited for results."),
    _of_stages("items_in", "{item}", "Items taken in by the stage."),
    _of_stages("items_out", "{item}", "Items passed on by the stage."),
    _of_stages("calls", "{call}", "Items, or batches, that the function was called with."),
    _of_stages("retried", "{attempt}", "Repeated attempts."),
    _of_stages("hedged", "{attempt}", "Second attempts because the first took long."),
    _of_stages("fallbacks", "{call}", "Items, or batches, that a fallback took over."),
    _of_stages("cache_hits", "{item}", "Items whose result was in the cache."),
    _of_stages("filtered", "{item}", "Items that gave None."),
    _of_stages("skipped", "{item}", "Items left out because of an error."),
    _of_stages("diverted", "{item}", "Items that left into failures because of an error."),
    _of_stages("failed", "{item}", "Items that are failures among the outcomes."),
    _of_stages("dropped", "{item}", "Items that were too few at the end for a batch."),
    Figure(
        "stage.batches",
        "{batch}",
        "Batches that left, by what made them leave.",
        ("task", "trigger"),
        _batches,
    ),
    _of_stages("batch_items", "{item}", "Items in the batches that left."),
    _of_stages("in_flight", "{call}", "Calls being made at present.", is_level=True),
    _of_stages("queued", "{item}", "Items that wait for a call at present.", is_level=True),
    _of_stages("limit", "{call}", "Calls that may be made at a time at present.", is_level=True),
    _of_timings("busy", "Time taken by all calls together."),
    _of_timings("blocking", "Time for which the event loop stood still in the function."),
    Figure(
        "stage.time",
        "s",
        "Time by what the stage waited for.",
        ("task", "state"),
        _states,
    ),
)
"""All that are exported, by whatever means."""


class _Live:
    """
    A run that goes on.

    :ivar run: unless it was dropped
    :ivar last: what it had counted when it was last read
    """

    def __init__(self, run: RunInfo) -> None:
        self.run = ref(run)
        self.last: RunStatistics | None = None


class RunFigures:
    """
    Sums the figures of runs up; from any thread, and from several at a time.
    """

    def __init__(self) -> None:
        # Taken for moments only, and never while a run is asked for its counts. May be taken again
        # by the thread that has it: a run may end in a finalizer.
        self._lock = RLock()
        self._live: dict[int, _Live] = {}
        self._ended: dict[str, Values] = {each.name: {} for each in FIGURES}

    def start(self, run: RunInfo) -> None:
        """
        Count a run from now on; again, if it is counted already, changes nothing.

        :param run: which begins
        """
        with self._lock:
            self._bury()
            self._live.setdefault(id(run), _Live(run))

    def end(self, run: RunInfo, outcome: str, counts: RunStatistics) -> None:
        """
        Keep what a run has counted, and let go of it.

        :param run: which has ended; counted once
        :param outcome: how
        :param counts: all that it has counted
        """
        with self._lock:
            if self._live.pop(id(run), None) is not None:
                self._keep(counts)
                endings = self._ended[_ENDED.name]
                endings[outcome,] = endings.get((outcome,), 0) + 1

    def read(self) -> dict[str, Values]:
        """Return the values of all :data:`FIGURES`, by their names."""
        with self._lock:
            self._bury()
            alive = [(live, live.run()) for live in self._live.values()]
        snapshots = [(live, run.stats()) for live, run in alive if run is not None]
        with self._lock:
            sums = {name: dict(values) for name, values in self._ended.items()}
            # Those that have ended meanwhile are in there.
            still_live = set(map(id, self._live.values()))
            for live, counts in snapshots:
                if id(live) in still_live:
                    live.last = counts
                    _add(sums, counts)
        return sums

    def _bury(self) -> None:
        """Keep what was last known of the runs that nobody has any more."""
        for key, live in list(self._live.items()):
            if live.run() is None:
                del self._live[key]
                if live.last is not None:
                    self._keep(live.last)

    def _keep(self, counts: RunStatistics) -> None:
        _add(self._ended, counts, is_over=True)


def _add(sums: dict[str, Values], counts: RunStatistics, is_over: bool = False) -> None:
    for figure in FIGURES:
        values = sums[figure.name]
        for labels, value in figure.read(counts):
            # Of a task without a run there is nothing at present, which is a figure, too.
            added = 0 if is_over and figure.is_level else value
            values[labels] = values.get(labels, 0) + added


class FiguresObserver(Observer):
    """
    Lets the runs it is told of be counted; nothing else is done in the event loop.

    :param figures: where they are summed up
    """

    timings = False

    def __init__(self, figures: RunFigures) -> None:
        self._figures = figures

    def run_started(self, run: RunInfo) -> None:
        """
        Count a run.

        :param run: the run
        """
        self._figures.start(run)

    def run_ended(self, run: RunInfo, report: RunReport) -> None:
        """
        Keep what a run has counted.

        :param run: the run
        :param report: how it went
        """
        self._figures.end(run, report.outcome, report.statistics)


_sharing = RLock()


def figures_of(
    owners: WeakKeyDictionary[Owner, RunFigures],
    owner: Owner,
    publish: Callable[[RunFigures], object],
) -> RunFigures:
    """
    Return the one sum of a place where figures are published.

    A name can be published once in a place. So all who would publish there share a sum.

    :param owners: the places, with their sums
    :param owner: the place
    :param publish: is called with the sum if the place is new
    """
    with _sharing:
        if owner not in owners:
            figures = RunFigures()
            publish(figures)
            owners[owner] = figures
        return owners[owner]
