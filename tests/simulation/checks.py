"""
After a run: is what came out what the model says, and is everything accounted for and at rest?
"""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

from conveyor import RunStatistics, TooManyErrorsError

from .behaviour import NO_ITEM
from .failure_order import check_ending
from .failures import is_same
from .keys import check_lanes
from .model import Expected, Fatal, expect
from .outcomes import Lost
from .scenario import Scenario
from .world import Journal

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

__all__ = ["check"]


def check(journal: Journal, stats: RunStatistics | None) -> list[str]:
    """Return what is wrong with a run that has ended."""
    return [*journal.problems, *_Check(journal, stats).problems()]


class _Check:
    def __init__(self, journal: Journal, stats: RunStatistics | None) -> None:
        self.journal = journal
        self.scenario = _drained(journal) if journal.drained_at < math.inf else journal.scenario
        self.stats = stats
        self.how: str = journal.ending[0] if journal.ending else "nothing"
        journal.observed.is_over = self.how == "end"
        self.expected: Expected = expect(self.scenario, journal.prefix, journal.observed)
        self.found: list[str] = []

    def problems(self) -> list[str]:
        self.found += self.expected.problems
        if self.how == "nothing":
            return [*self.found, "the consumer has come to no end"]
        self.check_ending()
        self.check_results()
        self.check_calls()
        self.check_starts()
        self.check_diverted()
        if self.how == "error" and not self.has_too_many_errors:
            self.check_ready()
        if self.is_complete and self.journal.run.window.held:
            self.found.append(f"{self.journal.run.window.held} places were never given back")
        if self.stats is not None:
            self.check_statistics(self.stats)
        return self.found

    @property
    def is_complete(self) -> bool:
        """Whether the run went to its end, and all that goes with it."""
        return self.how == "end" and self.expected.early < 0

    # How it ended

    def check_ending(self) -> None:
        if self.how == "end" and self.expected.sure:
            self.found.append(f"no error, although there must be one of {self.expected.fatals}")
        if self.how == "error":
            self.check_error(self.journal.ending[1])
        self.found += check_ending(self.scenario, self.journal, self.expected)

    @property
    def has_too_many_errors(self) -> bool:
        """Whether that is what has ended the run."""
        return self.how == "error" and isinstance(self.journal.ending[1], TooManyErrorsError)

    def check_too_many_errors(self, error: TooManyErrorsError) -> None:
        most, possible = self.scenario.max_errors, self.expected.errors
        counts = re.fullmatch(
            rf"(\d+) (of \d+ items? failed|failures of \d+ items?), more than max_errors={most}",
            str(error),
        )
        if counts is None or most is None or not most < int(counts[1]) <= possible:
            self.found.append(f"{error!r}, {possible} may have failed")
        if not isinstance(error.__cause__, Exception):
            self.found.append(f"{error!r} has no cause")

    def check_diverted(self) -> None:
        """Those that left by the side are there, and no others."""
        failures = self.journal.stream.failures
        numbers = {f"{spec.shape}{spec.number}": spec.number for spec in self.scenario.stages}
        no_item = self.scenario.source.kind == "none"
        got = Counter(
            str(Lost(number, NO_ITEM if no_item and number == 0 else str(each.item)))
            for each in failures
            for number in [numbers[each.task_name]]
        )
        if extra := got - self.expected.diverted:
            self.found.append(f"diverted more than there is: {dict(extra)}")
        if self.is_complete and (missing := self.expected.diverted - got):
            self.found.append(f"not diverted: {dict(missing)}")

    def check_error(self, error: BaseException) -> None:
        if isinstance(error, TooManyErrorsError):
            return self.check_too_many_errors(error)
        raised = self.journal.failures
        matching = [fatal for fatal, each in raised if _agree(error, fatal, each)]
        if not matching:
            self.found.append(f"{error!r} is not what was raised: {raised}")
            return None
        if not self.expected.fatals.intersection(matching):
            self.found.append(f"{error!r} from {matching}, where none was to be expected")
        first = raised[0][0]
        # Unless a consumer who leaves has cut off what would have come first.
        is_cut_off = self.journal.consumer.leave_after is not None
        may_count = not is_cut_off or self.expected.first in [fatal for fatal, _ in raised]
        if self.scenario.failure == "in_order" and isinstance(error, Exception) and may_count:
            first = self.expected.first or first
        if first not in matching and not self.may_overtake(error, first):
            self.found.append(f"{error!r} from {matching[0]}, but first of all failed {first}")
        # Several of a kind look the same.
        fatal = first if first in matching else matching[0]
        notes = getattr(error, "__notes__", [])
        name = _name_of(self.scenario, fatal)
        if not any(name in note for note in notes):
            self.found.append(f"{error!r} has no note about {name}: {notes}")

    def may_overtake(self, error: BaseException, first: Fatal) -> bool:
        """Say whether *error* may come out although *first* was raised before it."""
        # What ends the program takes the place of an error.
        if not isinstance(error, Exception):
            return True
        # An error of the source counts once it has left the source, whose cleanup may take turns;
        # one inside of another pipeline, once that has ended; that of a side input that two runs
        # share, once it is asked for.
        if first.number < 0 or first.text == "side":
            return True
        return self.scenario.stages[first.number].shape == "nested"

    # What came out

    def check_results(self) -> None:
        received, results = self.journal.received, self.expected.results
        if self.scenario.ordered:
            wanted = results if self.is_complete else results[: len(received)]
            if self.how == "end":
                wanted = results
            if received != wanted:
                self.found.append(f"received {received}, wanted {wanted} of {results}")
            return
        got, want = Counter(map(str, received)), Counter(map(str, results))
        if extra := got - want:
            self.found.append(f"received more than there is: {dict(extra)}")
        if self.how == "end" and (missing := want - got):
            self.found.append(f"lost: {dict(missing)}")

    def check_calls(self) -> None:
        made, wanted = self.journal.calls, self.expected.calls
        if extra := made - wanted:
            self.found.append(f"calls too many: {dict(extra)}")
        if self.is_complete and (missing := wanted - made):
            self.found.append(f"calls missing: {dict(missing)}")

    def check_starts(self) -> None:
        """Where calls start in input order, they did."""
        for spec in self.scenario.stages:
            begun = self.journal.begun[spec.number]
            inputs = self.expected.inputs[spec.number]
            self.found += check_lanes(self.journal, spec, inputs)
            if spec.kind != "single" or spec.is_generator or not self.scenario.ordered:
                continue
            if spec.starts_in_order and begun != inputs[: len(begun)]:
                self.found.append(f"stage {spec.number} began {begun}, its input was {inputs}")

    def check_ready(self) -> None:
        """What was ready before the failure has been delivered before it."""
        consumer, stages = self.journal.consumer, self.scenario.stages
        if consumer.style == "collect" or consumer.leave_after is not None or not stages:
            return
        if self.scenario.failure == "in_order" and isinstance(self.journal.ending[1], Exception):
            return  # everything before it has, ready or not
        last = stages[-1]
        done: list[str] = []
        for _, what, *details in self.journal.trace:
            if what == "fail":
                break
            returned = what == "exit" and last.shape in ("value", "whole") and details[2] == ""
            if (returned or what == "give") and details[0] == last.number:
                done.append(details[1])
        if last.isolates or last.kind == "process":
            return
        ready = len(done)
        if self.scenario.ordered:
            # With one stage only, what is not done is known to be in the way.
            is_plain = len(stages) == 1 and last.kind == "single" and last.shape == "value"
            inputs = self.expected.inputs[-1] if is_plain else []
            ready = next((n for n, text in enumerate(inputs) if text not in done), len(inputs))
        if len(self.journal.received) < ready:
            self.found.append(f"{ready} were ready, received {len(self.journal.received)}")

    # What was counted

    def check_statistics(self, stats: RunStatistics) -> None:
        journal, spec = self.journal, self.scenario.source
        # A collection that fails has taken results that nobody gets to see.
        is_seen = journal.consumer.style != "collect" or self.how == "end"
        if is_seen and stats.items_out != len(journal.received):
            self.found.append(f"items_out={stats.items_out}, received {len(journal.received)}")
        if spec.kind not in ("none", "stream", "memory") and stats.items_in != journal.pulled:
            self.found.append(f"items_in={stats.items_in}, pulled {journal.pulled}")
        if self.how != "end":
            return
        for number, (stage, tally) in enumerate(
            zip(stats.stages, self.expected.tallies, strict=True)
        ):
            if number < self.expected.early:
                continue  # what it does for a stage that wants no more is a matter of time
            by_size = stage.triggers.get("size", 0)
            counted = {name: getattr(stage, name, 0) for name in vars(tally)}
            counted["refused"] = tally.refused
            # What an open circuit breaker refuses counts as a call.
            if 0 < counted["calls"] - tally.calls <= tally.refused:
                counted["calls"] = tally.calls
            batches = sum(stage.triggers.values())
            if tally.by_size is None:
                counted.update(by_size=None, otherwise=batches)
            else:
                counted.update(by_size=by_size, otherwise=batches - by_size)
            if counted != vars(tally):
                self.found.append(f"stage {number} counted {counted}, not {vars(tally)}")


def _drained(journal: Journal) -> Scenario:
    """Return the scenario in which the source has by itself no more than what was pulled of it."""
    source = journal.scenario.source
    failed = {fatal.text for fatal, _ in journal.failures if fatal.number < 0}
    cut = replace(
        source,
        count=journal.pulled,
        fails_at=source.fails_at if "source" in failed else None,
        cleanup_fails="cleanup" in failed,
    )
    return replace(journal.scenario, source=cut)


def _agree(received: BaseException, fatal: Fatal, raised: BaseException) -> bool:
    if fatal.kind == "timeout":
        return type(received) is TimeoutError
    if fatal.kind == "cancelled":
        return str(received).startswith("a side input was cancelled before it had a value")
    if fatal.kind == "predicate":
        return type(received).__name__ == "BrokenPredicate"
    if isinstance(received, BaseExceptionGroup) and isinstance(raised, BaseExceptionGroup):
        # Trio makes a new group of one that leaves a cancelled scope, such as an impatient one.
        return bool(received.exceptions == raised.exceptions)
    return is_same(received, raised)


def _name_of(scenario: Any, fatal: Fatal) -> str:
    if fatal.number < 0:
        return "the source"
    suffix = "?" if fatal.kind == "fallback" else ""
    return f"'{scenario.stages[fatal.number].shape}{fatal.number}{suffix}'"
