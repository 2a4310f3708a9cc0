"""
The clock moves only when nothing can be done: so whenever it does, nobody may be idle who had
something to do. A forgotten wake-up that merely delays things shows here, and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anyio import current_time

from .scenario import Scenario, StageSpec

if TYPE_CHECKING:
    from .world import Journal

__all__ = ["Idleness"]


class Idleness:
    """
    Finds those who idle, in the stages of which enough can be seen from outside.

    :param journal: of the run
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.scenario = scenario = journal.scenario
        self.prompt = [spec for spec in scenario.stages if starts_promptly(scenario, spec)]

    def check(self, now: float) -> None:
        """Look at the run as the clock is about to leave *now*."""
        for spec in self.prompt:
            busy, limit = self.journal.busy[spec.number], spec.effective_limit
            if spec.adaptive is not None and self.is_at_limit(spec):
                continue
            if busy < limit and (waiting := self.waiting(spec, now)) > 0:
                self.journal.problem(
                    f"{waiting} item(s) waited for stage {spec.number}, which had "
                    f"{busy} of {limit} calls in flight"
                )
        self.check_window()

    def is_at_limit(self, spec: StageSpec) -> bool:
        """Say whether as many calls run as may at present, where that is found by trying."""
        run = self.journal.run
        # A stream that has been dropped takes the knowledge of its run with it.
        limit = 0 if run is None else run.stages[spec.number].adaptive.limit
        return bool(self.journal.running[spec.number] >= limit)

    def waiting(self, spec: StageSpec, now: float) -> int:
        """Return how many items a call could begin with."""
        arrivals = self.journal.arrivals[spec.number]
        started = self.journal.started[spec.number]
        if spec.lanes is not None:
            return len(self.journal.lanes.ready(spec))
        waiting = len(arrivals) - started
        if spec.kind == "single" or waiting >= spec.max_size:
            return waiting
        if spec.max_wait is None or waiting < spec.min_size:
            return 0
        return waiting if now >= arrivals[started] + spec.max_wait else 0

    def check_window(self) -> None:
        """Look inside: whoever waits for room waits for a reason."""
        run: Any = self.journal.run
        # What a cancellation ends gives its place back at once, before the run is told to stop.
        if run is None or run.stopping or current_time() >= self.journal.cancelled_at:
            return
        window = run.window
        if window._expansions and window.held <= window.resume_at:
            self.journal.problem(f"a generator waited, {window.room} places were free")
        source_may = window.held <= window.resume_at and not window._expansions
        if window._source is not None and source_may and is_idle(window.outlook):
            self.journal.problem(f"the source waited, {window.room} places were free")


def is_idle(outlook: Any) -> bool:
    """Say whether more items may come in, and would not just wait for a call of the first stage."""
    if not outlook.stages:
        return bool(outlook.room > 0)
    first = outlook.stages[-1]
    # Who waits for its share of the parallelism has no work, but is not idle either.
    is_busy = first.workers - len(first._idle) == first.limit
    return not is_busy and first.waiting < max(first.batch_size, 1) and outlook.room > 0


def starts_promptly(scenario: Scenario, spec: StageSpec) -> bool:
    """Say whether an item that arrives is taken as soon as a worker is free."""
    # A worker waits, unseen, for room for a list or for its share of the parallelism, or goes on
    # with the halves of a batch.
    is_seen = spec.shape != "list" or scenario.window is None
    if spec.side or spec.hides_places or not is_seen or scenario.parallelism is not None:
        return False
    # Nor is it seen who waits for a circuit breaker.
    if spec.rescue.breaker is not None:
        return False
    # A generator does not begin before there is room for its first value.
    if spec.is_generator and scenario.window is not None:
        return False
    # One that takes only a few ends the run before anybody outside can know.
    if any(each.shape == "few" for each in scenario.stages):
        return False
    if spec.kind == "batch" and spec.keys is None and spec.target is None:
        return sees_arrivals(scenario, spec)
    if (
        spec.keys is not None
        or spec.target is not None
        or (scenario.ordered and spec.starts_in_order)
    ):
        return False
    if spec.lanes is not None:
        # Only of what comes from the source is it known which items have come.
        return spec.number == 0 and sees_arrivals(scenario, spec)
    return spec.kind == "single" and (scenario.source.kind != "none" or spec.number > 0)


def sees_arrivals(scenario: Scenario, spec: StageSpec) -> bool:
    """Say whether it can be seen from outside when exactly each item reaches an order point."""
    if spec.number == 0:
        return scenario.source.kind not in ("none", "stream", "memory")
    before = scenario.stages[spec.number - 1]
    hidden = before.shape in ("list", "nested") or before.hides_places
    return not scenario.ordered and not hidden
