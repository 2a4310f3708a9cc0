"""
Batch functions that say of single elements of their result that they have failed.

Drawn from numbers of their own, and laid over a scenario that is made without them. The model of
such a call (:class:`NamingCalls`) keeps a list with an entry for each item of the batch; the run is
followed by :class:`Namings`, since failures that end it count only when all items are settled.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from conveyor import Failed

# The modules, since they import this one.
from . import model as models
from . import scenario as specs
from .behaviour import (
    NAMED_KINDS,
    Attempt,
    Named,
    Played,
    breaks_predicate,
    fallback_of,
    falls_back,
    is_retried,
    parts_of,
)
from .failures import error_of
from .outcomes import Lost, with_foreseen_failures

if TYPE_CHECKING:
    from .model import Fatal, Tally
    from .scenario import Scenario, StageSpec
    from .world import Call, Journal

__all__ = ["Element", "NamingCalls", "Namings", "asked_about", "result_with_failed", "with_named"]


def with_named(scenario: Scenario) -> Scenario:
    """Let functions of batches in half of the scenarios name items that have failed."""
    own = Random(f"{scenario.seed} failed")
    if own.random() < 0.5:
        return scenario
    stages = [_named(scenario, spec, own) for spec in scenario.stages]
    return with_foreseen_failures(replace(scenario, stages=tuple(stages)))


def _named(scenario: Scenario, spec: StageSpec, own: Random) -> StageSpec:
    is_source = spec.number == 0 and scenario.source.kind == "none"
    # Larger batches would need a larger window.
    if spec.kind == "single" and scenario.window is None and own.random() < 0.5:
        if is_source or spec.side is not None:
            return spec
        spec = replace(spec, kind="batch", max_size=own.randint(1, 6), in_order=False)
    if spec.kind != "batch" or own.random() < 0.2:
        return spec
    ways: list[tuple[str, str | None]] = [
        (spec.on_error, spec.handler),
        ("divert", None),
        ("skip_item", None),
        ("skip_item", None),
        ("skip_batch", None),
        ("fail", "skip"),
        ("fail", "replace"),
    ]
    ways += [("fail", None)] * 4 * scenario.outcomes
    on_error, handler = own.choice(ways)
    attempts = own.choice([1, 2, 3, 4])
    trouble = spec.trouble
    if own.random() < 0.5:
        times = own.choice([1, 2, specs.ALWAYS, specs.ALWAYS])
        trouble = specs.Trouble(own.choice([3, 6]), own.choice([*NAMED_KINDS, "leak"]), times)
    # One with plenty would have to count a token for each item, not for each call.
    budget = "empty" if spec.rescue.budget == "empty" and attempts > 1 else None
    return replace(
        spec,
        shape=own.choice(["each", "each", "each", "rest"]),
        names=own.choice([2, 3, 6, 12]),
        trouble=trouble,
        on_error=on_error,
        handler=handler,
        attempts=attempts,
        retry_on=own.choice(["all", "boom", spec.retry_on]),
        rescue=replace(spec.rescue, budget=budget),
    )


def result_with_failed(call: Call) -> list[Any]:
    """Return what the function of such a stage returns, and keep its errors in mind."""
    result: list[Any] = []
    for part, entry in zip(call.parts, call.plan.outputs, strict=True):
        if isinstance(entry, Named):
            error = error_of(entry.kind, part)
            assert isinstance(error, Exception)
            call.errors[part] = error
            entry = Failed(error)
        result.append(entry)
    return result


# The model


class _Over(Exception):
    """Something failed that is no failure of an item, whatever the settings."""

    def __init__(self, fatal: Fatal) -> None:
        super().__init__(fatal)
        self.fatal = fatal


class NamingCalls:
    """
    What the batches of a stage become whose function names items that have failed.

    :param model: of the run
    :param spec: of the stage
    :param tally: of the stage
    """

    def __init__(self, model: Any, spec: StageSpec, tally: Tally) -> None:
        self.model = model
        self.seed = model.scenario.seed
        self.expected = model.expected
        self.spec = spec
        self.tally = tally

    def batch(self, parts: list[str]) -> list[Any]:
        """Return what comes of a batch, or of a half of one that has failed as a whole."""
        try:
            return self.call(parts, 0, is_named=False)
        except _Over as over:
            return [over.fatal]

    def call(self, parts: list[str], attempt: int, *, is_named: bool) -> list[Any]:
        """
        Call with a batch, or with those of its items that are repeated, after so many attempts.

        Of those there is an entry for each item, which is None if it is gone.
        """
        spec, tally, text = self.spec, self.tally, " ".join(parts)
        while True:
            attempt += 1
            self.expected.calls[spec.number, text] += 1
            played = Attempt.of(self.seed, spec, parts, attempt).play(spec)
            if not is_retried(spec, attempt, played):
                break
            tally.retried += 1
        kind = played.error
        if kind is None:
            entries = self.settle(parts, played.outputs, attempt)
            return entries if is_named else self.pass_on(entries)
        if breaks_predicate(spec, attempt, played):
            raise _Over(models.Fatal(spec.number, text, "predicate"))
        if kind == "quit":
            raise _Over(models.Fatal(spec.number, text, kind))
        if falls_back(spec, played):
            tally.fallbacks += 1
            if fallback_of(self.seed, spec, text) != "fail":
                entries = [f"{part}?" for part in parts]
                return entries if is_named else self.pass_on(entries)
            kind = "fallback"
        if spec.isolates and len(parts) > 1:
            half = len(parts) // 2
            halves = parts[:half], parts[half:]
            if not is_named:
                return [each for part in halves for each in self.batch(part)]
            return [each for part in halves for each in self.call(part, 0, is_named=True)]
        entries = [self.verdict(part, kind) for part in parts]
        if is_named:
            return entries
        if isinstance(entries[0], models.Fatal):
            return [entries[0]._replace(text=text)]
        return self.pass_on(entries)

    def settle(self, parts: list[str], entries: list[Any], attempt: int) -> list[Any]:
        """Return what becomes of each item of a call that has returned."""
        spec, settled = self.spec, [*entries]
        again: list[int] = []
        for place, entry in enumerate(entries):
            if not isinstance(entry, Named):
                continue
            played = Played([], entry.kind)
            if breaks_predicate(spec, attempt, played):
                raise _Over(models.Fatal(spec.number, " ".join(parts), "predicate"))
            if is_retried(spec, attempt, played):
                again.append(place)
            else:
                settled[place] = self.alone(parts[place], entry.kind)
        if again:
            self.tally.retried += 1
            repeated = self.call([parts[place] for place in again], attempt, is_named=True)
            for place, entry in zip(again, repeated, strict=True):
                settled[place] = entry
        return settled

    def alone(self, part: str, kind: str) -> Any:
        """Return what becomes of a single item that has failed for good."""
        if self.spec.rescue.fallback is not None:
            self.tally.fallbacks += 1
            if fallback_of(self.seed, self.spec, part) != "fail":
                return f"{part}?"
            kind = "fallback"
        return self.verdict(part, kind)

    def verdict(self, part: str, kind: str) -> Any:
        """Return what handler and ``on_error`` make of an item."""
        spec, handler = self.spec, self.spec.handler
        if handler == "replace":
            return f"{part}^"
        if handler == "raise":
            return self.lose(part, "handler")
        if handler == "reraise" or (handler is None and spec.on_error == "fail"):
            return self.lose(part, kind)
        if handler is None and spec.on_error == "divert":
            self.tally.diverted += 1
            self.expected.diverted[str(Lost(spec.number, part))] += 1
        else:
            self.tally.skipped += 1
        return None

    def lose(self, part: str, kind: str) -> Any:
        """Return what takes the place of an item for which nothing else has been provided."""
        return self.model.failed(self.spec, [part], kind, self.tally)[0]

    def pass_on(self, entries: list[Any]) -> list[Any]:
        """Return what leaves the stage: each by itself, or what is left of the list."""
        if self.spec.shape == "each":
            return [each for each in entries if each is not None]
        failures = [each for each in entries if isinstance(each, (Lost, models.Fatal))]
        rest = [each for each in entries if isinstance(each, str)]
        # Nobody gets what is left when the run has ended.
        if not rest or any(isinstance(each, models.Fatal) for each in failures):
            return [*failures]
        return [*failures, rest]


# The run


class Element:
    """An item that has failed alone, and is shown to a fallback or handler."""

    is_part = True

    def __init__(self, call: Call, part: str, kind: str) -> None:
        self.journal, self.spec, self.number = call.journal, call.spec, call.number
        self.run = call.run
        self.parts, self.text, self.kind = [part], part, kind

    def fail_for_good(self, kind: str, error: BaseException) -> None:
        """Nothing else has been provided."""
        self.journal.namings.fail(self, kind, error)


class _Batch:
    """A batch with items of which it is not known yet what becomes of them."""

    def __init__(self, parts: list[str]) -> None:
        self.parts = parts
        self.open = {*parts}
        self.is_named = False
        self.failures: dict[str, tuple[Fatal, BaseException]] = {}


class Namings:
    """
    Follows the batches of such stages, from call to call.

    :param journal: of the run
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.batches: dict[tuple[int, str], _Batch] = {}
        self.attempts: dict[tuple[int, str], int] = {}

    def attempt(self, spec: StageSpec, parts: list[str]) -> int:
        """A call begins: return the number of the attempt, which its items have in common."""
        key = spec.number, parts[0]
        if key not in self.batches:
            batch = _Batch(parts)
            self.batches.update({(spec.number, part): batch for part in parts})
        made = {self.attempts.get((spec.number, part), 0) for part in parts}
        if len(made) > 1 or not self.batches[key].open.issuperset(parts):
            self.journal.problem(f"stage {spec.number} called with {parts}, which is no part")
        number = max(made) + 1
        self.attempts.update({(spec.number, part): number for part in parts})
        return number

    def is_named(self, call: Call | Element) -> bool:
        """Say whether items of its batch have been named."""
        return self.batches[call.spec.number, call.parts[0]].is_named

    def end(self, call: Call) -> None:
        """A call has returned."""
        spec, journal = call.spec, self.journal
        named = {
            part: entry.kind
            for part, entry in zip(call.parts, call.plan.outputs, strict=True)
            if isinstance(entry, Named)
        }
        batch = self.batches[spec.number, call.parts[0]]
        batch.is_named = batch.is_named or bool(named)
        is_cared_for = spec.handler is not None or spec.rescue.fallback is not None
        for part in call.parts:
            if part not in named:
                self.settle(call, part, f"{part}~")
                continue
            played = Played([], named[part])
            error = call.errors[part]
            if breaks_predicate(spec, call.number, played):
                return journal.fail(models.Fatal(spec.number, call.text, "predicate"), error)
            if is_retried(spec, call.number, played):
                continue
            element = Element(call, part, named[part])
            if is_cared_for:
                journal.elements[spec.number, part] = element
            elif spec.on_error == "fail":
                element.fail_for_good(named[part], error)
            else:
                self.leave_out(element)
        return None

    def leave_out(self, call: Call | Element) -> None:
        """Items are skipped or diverted, or, several of them, tried again by halves."""
        for part in call.parts:
            if call.spec.isolates and len(call.parts) > 1:
                self.attempts[call.spec.number, part] = 0
            else:
                self.settle(call, part, None)

    def put(self, call: Call | Element, mark: str) -> list[str]:
        """Return what there is in the place of results."""
        values = [f"{part}{mark}" for part in call.parts]
        for part, value in zip(call.parts, values, strict=True):
            self.settle(call, part, value)
        return values

    def fail(self, call: Call | Element, kind: str, error: BaseException) -> None:
        """Items have failed for good."""
        number, journal = call.spec.number, self.journal
        batch = self.batches[number, call.parts[0]]
        if kind == "quit" or not (journal.scenario.outcomes or batch.is_named):
            return journal.fail(models.Fatal(number, call.text, kind), error)
        for part in call.parts:
            if not journal.scenario.outcomes:
                batch.failures[part] = models.Fatal(number, part, kind), error
            self.settle(call, part, str(Lost(number, part)))
        return None

    def settle(self, call: Call | Element, part: str, text: str | None) -> None:
        """It is known what becomes of an item; of all: the first failure ends the run."""
        number, journal = call.spec.number, self.journal
        batch = self.batches[number, part]
        batch.open.discard(part)
        if text is not None and (call.spec.shape == "each" or text.startswith("!")):
            journal.promise([text])
        if batch.open:
            return
        journal.busy[number] -= 1
        first = next((each for each in batch.parts if each in batch.failures), None)
        if first is not None:
            journal.fail(*batch.failures[first])


def asked_about(journal: Journal, spec: StageSpec, item: Any) -> Any:
    """Return what a handler is asked about: a :class:`.Call` or an :class:`Element`."""
    element = journal.elements.pop((spec.number, str(item)), None)
    if element is not None:
        return element
    return journal.attempts[spec.number, " ".join(parts_of(spec, item))]
