"""
What the functions, sources and consumers of a scenario tell while a run goes on, and what must hold
at every moment of it.

A :class:`Journal` is one run's: the trace of all that happened, who is at work, how many items the
run holds, and the list of what should not have been.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from anyio import current_time, get_cancelled_exc_class

from .adaptive import Follower
from .behaviour import (
    HEAVIEST,
    Attempt,
    breaks_predicate,
    falls_back,
    is_retried,
    parts_of,
    weight_of,
)
from .failure_order import Deadline
from .failures import Boom
from .idleness import Idleness, sees_arrivals
from .keys import LaneWatch
from .model import Fatal, Observed
from .named import Element, Namings
from .outcomes import text_of
from .rescue import Rescuers
from .scenario import Scenario, StageSpec

__all__ = ["Journal", "World"]


class World:
    """Both runs of a scenario, if there are two; the items' first letter tells whose they are."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.rescuers = Rescuers(self)
        self.journals = [Journal(scenario, prefix) for prefix in "ab"[: len(scenario.consumers)]]

    def of(self, text: str) -> Journal:
        """Return the journal of the run that an item belongs to."""
        if len(self.journals) == 1:
            return self.journals[0]
        return self.journals[text.lstrip("(<['\"\\")[0] == "b"]


class Journal:
    """
    One run's events, and its state as far as it can be seen from outside.

    ``held`` is a lower bound of the places that are taken in the window: what has no place for
    certain is not counted. ``failures`` are errors that end the run, in the order in which they
    were raised; ``is_ending`` is set by the first of them, and when the consumer goes.
    """

    def __init__(self, scenario: Scenario, prefix: str) -> None:
        self.scenario = scenario
        self.prefix = prefix
        self.trace: list[tuple[Any, ...]] = []
        self.problems: list[str] = []
        self.observed = Observed()
        self.calls: Counter[tuple[int, str]] = Counter()
        self.attempts: dict[tuple[int, str], Call] = {}
        self.failures: list[tuple[Fatal, BaseException]] = []
        self.pulled = 0
        self.is_all_pulled = False
        self.drained_at = math.inf
        self.received: list[Any] = []
        self.is_ending = False
        self.is_gone = False
        self.stream: Any = None
        self.held = 0
        self.open: Counter[str] = Counter()
        stages = len(scenario.stages)
        self.busy = [0] * stages
        self.running = [0] * stages
        self.arrivals: list[list[float]] = [[] for _ in range(stages)]
        self.begun: list[list[str]] = [[] for _ in range(stages)]
        self.started = [0] * stages
        self.is_strict = False
        self.deadline = Deadline(scenario)
        self._unseen: set[str] = set()
        self._now = 0.0
        self.ending: tuple[Any, ...] = ()
        self.consumer = scenario.consumers["ab".index(prefix)]
        cancel_at = self.consumer.cancel_at
        self.cancelled_at = math.inf if cancel_at is None else cancel_at
        self._slack = _slack_of(scenario)
        self._most_dropped = sum(spec.min_size - 1 for spec in scenario.stages)
        self.idleness = Idleness(self)
        self.lanes = LaneWatch(self)
        self.namings = Namings(self)
        self.elements: dict[tuple[int, str], Element] = {}
        self._followers = {s.number: Follower(s) for s in scenario.stages if s.adaptive}

    def note(self, what: str, *details: Any) -> None:
        """Write an event down."""
        self.look()
        self.trace.append((self._now, what, *details))

    def look(self) -> None:
        """When the clock has moved, look at what it left behind."""
        now = current_time()
        if now != self._now:
            if not (self.is_ending or self.is_stopping) and self._now < self.cancelled_at:
                self.idleness.check(self._now)
            self._now = now

    def problem(self, text: str) -> None:
        """Write down what should not have been."""
        self.problems.append(f"at {self._now:g}: {text}")

    # Source and consumer

    def pull(self, item: Any) -> None:
        """The source gives an item."""
        self.note("pull", str(item))
        # In the very turn in which it is cancelled, an item may be on its way already.
        if self._now > self.drained_at:
            self.problem("the source gave an item although the run was drained")
        if self.deadline.is_passed(self._now):
            self.problem("the source gave an item although one has failed")
        self.pulled += 1
        self.hold()
        self.arrive(0)
        self.lanes.arrive(str(item))
        if self.pulled == self.scenario.source.count:
            self.is_all_pulled = True

    @property
    def run(self) -> Any:
        """The run itself, for what cannot be seen from outside."""
        return getattr(self.stream, "_run", None)

    @property
    def is_stopping(self) -> bool:
        """Whether too many errors have ended the run, which nobody else can see."""
        return self.run is not None and self.run.stopping

    def ask(self, whom: str) -> None:
        """Code of the user's is called, or asked for more: not once the run was told to stop."""
        if self.run is not None and self.run.stopping:
            self.problem(f"{whom} although the run was told to stop")
        if self.deadline.is_passed(current_time()) and whom.startswith("the source"):
            self.problem(f"{whom} although an item has failed")
        if self.drained_at < math.inf and whom.startswith("the source"):
            self.problem(f"{whom} although the run was drained")

    def receive(self, result: Any) -> None:
        """The consumer gets a result."""
        if self.scenario.outcomes:
            result = text_of(self.scenario, result, self.problems)
        self.note("receive", str(result))
        self.received.append(result)
        self.leave(str(result))

    def drain(self) -> None:
        """The run is told to drain."""
        self.note("drain")
        self.drained_at = self._now
        self.is_all_pulled = True

    def end(self, *ending: Any) -> None:
        """The consumer has the outcome: whatever runs now, runs on behind its back."""
        self.note("end", ending[0])
        self.is_ending = True
        self.ending = ending
        if self.is_strict:
            self.check_rest(ending[0])

    def check_rest(self, when: str) -> None:
        """Nothing may be alive any more."""
        for name, count in (+self.open).items():
            self.problem(f"{name} × {count} alive at the {when}")

    def fail(self, fatal: Fatal, error: BaseException) -> None:
        """Something fails that ends the run."""
        self.note("fail", fatal.number, fatal.text, fatal.kind)
        self.failures.append((fatal, error))
        self.is_ending = True
        self.deadline.set(self._now, fatal)

    def lose_side(self, spec: StageSpec, error: BaseException) -> None:
        """A side input was cancelled: whoever asks for it now fails."""
        self.observed.lost_sides.add(spec.number)
        self.fail(Fatal(spec.number, "side", "cancelled"), error)

    def fail_to_ask(self, spec: StageSpec, text: str, error: BaseException) -> None:
        """A function fails that tells how urgent an item is, or its key."""
        self.fail(Fatal(spec.number, text, "asking"), error)

    # Limits that are found by trying

    def follow(self, call: Call) -> None:
        """A call begins: is the limit what it has to be, and kept?"""
        number = call.spec.number
        follower = self._followers.get(number)
        if follower is None or self.is_ending or self._now >= self.cancelled_at:
            return
        limit = self.run.stages[number].adaptive.limit
        # A fallback calls something else; it is bounded by the most that the limit may be.
        running = self.running[number] - self.open[f"a fallback of stage {number}"]
        if running > limit:
            self.problem(f"{running} calls run in stage {number}, {limit=}")
        if follower.is_sure and limit != follower.limit:
            self.problem(f"the limit of stage {number} is {limit}, not {follower.limit}")
        follower.begin(call, self._now)

    def unfollow(self, call: Call, error: BaseException | None) -> None:
        """A call ends."""
        follower = self._followers.get(call.spec.number)
        if follower is not None and call in follower.flying:
            is_cut = isinstance(error, get_cancelled_exc_class()) and call.is_late()
            is_throttled = is_cut or isinstance(error, Boom)
            follower.end(call, self._now, error is None, is_throttled)

    # Items

    def hold(self) -> None:
        """One more item takes a place in the window."""
        self.held += 1
        window = self.scenario.window
        # Of a list that is collected nobody sees when its elements leave the run.
        blind = self.consumer.style == "collect"
        # Nor, at the end of the input, when items are dropped that are too few for a batch.
        dropped = self._most_dropped if self.is_all_pulled else 0
        if self.is_winding_down:
            return
        if window is not None and self.held > window + self._slack + dropped and not blind:
            self.problem(f"{self.held} items held, max_in_flight={window}")

    @property
    def is_winding_down(self) -> bool:
        """Whether items may have been dropped, of which nobody knows here."""
        return self.is_ending and self.scenario.failure == "in_order"

    def arrive(self, number: int) -> None:
        """An item is on its way to a stage."""
        if number < len(self.arrivals):
            self.arrivals[number].append(self._now)

    def see(self, parts: list[str]) -> None:
        """Items of a list that had no place for certain turn up."""
        seen = self._unseen.intersection(parts)
        self._unseen -= seen
        self.held += len(seen)

    def leave(self, text: str) -> None:
        """An item leaves the run."""
        if text in self._unseen:
            self._unseen.discard(text)
        else:
            self.held -= 1

    def promise(self, texts: list[str]) -> None:
        """Items will turn up, nobody knows when."""
        self._unseen.update(texts)

    def attempt(self, spec: StageSpec, item: Any, rescuers: Rescuers) -> Call:
        """Begin an attempt of a call."""
        return Call(self, spec, parts_of(spec, item), rescuers)


class Call:
    """
    One attempt of a call, from its begin to its end, whatever ends it; used in a ``with`` block.
    """

    def __init__(
        self, journal: Journal, spec: StageSpec, parts: list[str], rescuers: Rescuers
    ) -> None:
        self.journal = journal
        self.rescuers = rescuers
        self.spec = spec
        self.parts = parts
        self.text = " ".join(parts)
        journal.calls[spec.number, self.text] += 1
        self.number = journal.calls[spec.number, self.text]
        if spec.names is not None:
            self.number = journal.namings.attempt(spec, parts)
        journal.attempts[spec.number, self.text] = self
        self.plan = Attempt.of(journal.scenario.seed, spec, parts, self.number)
        self.errors: dict[str, Exception] = {}
        self.given = 0
        self.closing = False
        self.spent = 0.0
        self.napping_since: float | None = None

    def __enter__(self) -> Call:
        journal, spec = self.journal, self.spec
        journal.note("call", spec.number, self.text, self.number)
        if journal.ending and journal.is_strict:
            journal.problem(f"stage {spec.number} called with {self.text} after the end")
        journal.ask(f"stage {spec.number} called with {self.text}")
        self.rescuers.begin(self)
        self.is_part = self.is_part_of_a_batch()
        if self.number == 1 and not self.is_part:
            self.begin()
        journal.open[f"a call of stage {spec.number}"] += 1
        self.run()
        journal.follow(self)
        return self

    def is_part_of_a_batch(self) -> bool:
        """Whether this is a part of a batch that failed."""
        batches = self.journal.observed.batches.get(self.spec.number, [])
        return self.spec.hides_places and any(
            self.parts[0] in batch and self.parts != batch for batch in batches
        )

    def begin(self) -> None:
        """The call takes its items; its worker is busy until it settles."""
        journal, spec = self.journal, self.spec
        if journal.deadline.is_passed(journal._now, self.text):
            journal.problem(f"stage {spec.number} called with {self.text}, later than a failure")
        self.check_age()
        journal.lanes.begin(spec, self.text)
        journal.see(self.parts)
        journal.begun[spec.number].append(self.text)
        journal.started[spec.number] += len(self.parts)
        journal.busy[spec.number] += 1
        if spec.kind == "batch":
            journal.observed.batches.setdefault(spec.number, []).append(self.parts)
        if spec.hides_places:
            journal.held -= len(self.parts)
        # A stage whose generators wait for room may serve the head of the line with one more.
        limit = spec.effective_limit + spec.expands
        if journal.busy[spec.number] > limit and not journal.is_winding_down:
            journal.problem(f"{journal.busy[spec.number]} calls in stage {spec.number}, {limit=}")

    def check_age(self) -> None:
        """A batch that is not full leaves at the end of the input, or by its age."""
        journal, spec = self.journal, self.spec
        if spec.max_wait is None or len(self.parts) >= spec.max_size or journal.is_all_pulled:
            return
        if journal.is_winding_down:
            return
        if spec.keys is not None or spec.target is not None:
            return  # its items are not those that came next, or it was full at its size by then
        if spec.max_weight is not None:
            weight = sum(weight_of(journal.scenario.seed, spec, text) for text in self.parts)
            if weight + HEAVIEST > spec.max_weight:
                return  # it may have been full, or too full for the next one
        # A generator begins when there is room, perhaps after that of a later batch.
        if spec.is_generator and journal.scenario.window is not None:
            return
        if journal.scenario.source.kind not in ("none", "memory", "stream") and sees_arrivals(
            journal.scenario, spec
        ):
            first = journal.arrivals[spec.number][journal.started[spec.number]]
            if journal._now < first + spec.max_wait:
                journal.problem(
                    f"stage {spec.number}: {self.parts} sent before max_wait has passed"
                )

    def run(self) -> None:
        """User code runs from here on."""
        journal, spec = self.journal, self.spec
        journal.running[spec.number] += 1
        if journal.running[spec.number] > spec.effective_limit:
            journal.problem(
                f"{journal.running[spec.number]} calls run in stage {spec.number}, "
                f"concurrency_limit={spec.limit}"
            )
        parallelism = journal.scenario.parallelism
        total = sum(journal.running)
        # A run that ends lets all its generators clean up.
        is_ending = journal.is_ending or journal.is_stopping
        is_ending = is_ending or current_time() >= journal.cancelled_at
        if parallelism is not None and total > parallelism and not is_ending:
            journal.problem(f"{total} calls run, max_parallelism={parallelism}")

    def give(self, output: Any) -> None:
        """A generator gives a value; until it is resumed it does not run."""
        journal, spec = self.journal, self.spec
        journal.note("give", spec.number, str(output))
        journal.running[spec.number] -= 1
        self.given += 1
        if not spec.isolates:
            journal.hold()
            journal.arrive(spec.number + 1)

    def resume(self, closing: bool = False) -> None:
        """The generator is asked for more, or closed."""
        self.closing = closing
        if closing:
            self.journal.running[self.spec.number] += 1
        else:
            self.journal.ask(f"stage {self.spec.number} asked for more of {self.text}")
            self.run()

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        journal, spec = self.journal, self.spec
        number = spec.number
        journal.look()
        journal.unfollow(self, error)
        journal.note("exit", number, self.text, kind.__name__ if kind else "")
        journal.running[number] -= 1
        journal.open[f"a call of stage {number}"] -= 1
        self.rescuers.end(self)
        if self.closing:
            return
        if error is None:
            self.pass_on()
            return
        self.fall(error)

    def fall(self, error: BaseException) -> None:
        """The attempt has failed, or been cancelled."""
        journal, spec = self.journal, self.spec
        played = self.plan.play(spec)
        is_cancelled = isinstance(error, get_cancelled_exc_class()) and played.error != "leak"
        if is_cancelled and not self.is_late():
            return  # the run ends
        if breaks_predicate(spec, self.number, played):
            journal.fail(Fatal(spec.number, self.text, "predicate"), error)
        elif is_retried(spec, self.number, played):
            pass  # the worker waits for the next attempt
        elif falls_back(spec, played):
            pass  # the fallback settles it
        elif spec.handler is not None and played.error != "quit":
            pass  # the handler settles it
        elif self.is_fatal():
            self.fail_for_good(str(played.error or "boom"), error)
        elif spec.names is not None:
            journal.namings.leave_out(self)
        elif not self.is_part:
            self.settle(-len(self.parts), is_left_out=True)

    def fail_for_good(self, kind: str, error: BaseException) -> None:
        """The run ends, or the failure takes the places of the items."""
        journal = self.journal
        if self.spec.names is not None:
            journal.namings.fail(self, kind, error)
        elif kind != "quit" and journal.scenario.outcomes:
            self.settle(0)
        else:
            journal.fail(Fatal(self.spec.number, self.text, kind), error)

    @property
    def kind(self) -> str:
        """What this attempt fails with."""
        return str(self.plan.play(self.spec).error)

    def is_late(self) -> bool:
        """Whether the time of this attempt is up."""
        spent = self.spent
        if self.napping_since is not None:
            spent += current_time() - self.napping_since
        return self.spec.timeout is not None and spent >= self.spec.timeout

    def is_fatal(self) -> bool:
        """Whether this failure ends the run, unless that gives outcomes."""
        played = self.plan.play(self.spec)
        return played.error in (None, "quit") or self.spec.on_error == "fail"

    def pass_on(self) -> None:
        """The call has returned."""
        if self.spec.names is not None:
            self.journal.namings.end(self)
            return
        if self.is_part:
            return
        spec, size = self.spec, len(self.parts)
        outputs = [str(each) for each in self.plan.outputs]
        if spec.isolates:
            self.journal.promise(outputs)
            self.settle(0)
        elif spec.shape == "list":
            self.journal.promise(outputs)
            self.settle(-size)
        elif spec.is_generator:
            self.settle(-size)
        else:
            if outputs:
                self.journal.arrive(spec.number + 1)
            self.settle(len(outputs) - size)

    def settle(self, places: int, *, is_left_out: bool = False) -> None:
        """The call's worker is free, and so many places are taken or given back."""
        self.journal.lanes.end(self.spec, self.text, is_left_out=is_left_out)
        self.journal.busy[self.spec.number] -= 1
        if not self.spec.isolates:
            self.journal.held += places


def _slack_of(scenario: Scenario) -> int:
    """Return how far a run may go beyond its window: as far as heads of the line have to."""
    slack = 0
    has_head = False
    for spec in scenario.stages:
        # What the head gives rests in a batch until that is full; then the batch is the head.
        slack += spec.max_size if has_head and spec.kind == "batch" else 0
        expands = spec.expands or spec.kind == "process"
        has_head = has_head or expands
        slack += expands
        slack += spec.effective_limit * spec.max_size if spec.isolates else 0
    # A source that waits for its next item has made sure of a place before; a list may take it.
    return slack + (1 if slack else 0)
