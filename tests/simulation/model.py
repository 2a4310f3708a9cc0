"""
What must come out of a run, in plain Python: a list in, a list out, stage by stage.

A failure that ends the run is an entry of the list too (:class:`Fatal`). In order nothing gets
past it at an order point; what is before it may be delivered, and any that is not behind another
one at an order point may be the first in time. Which items are together in a batch depends on the
times where there is a timer, and on the schedule where there is no order; the model then takes the
batches that the run made, and checks that they are ones it may make.
"""

from __future__ import annotations

from collections import Counter
from itertools import compress
from math import inf
from typing import Any, NamedTuple

from .behaviour import (
    NO_ITEM,
    Attempt,
    asking_fails_with,
    breaks_predicate,
    fallback_of,
    falls_back,
    is_retried,
    key_of,
    pick,
    weight_of,
)
from .keys import key_of_call
from .named import NamingCalls
from .outcomes import Lost
from .scenario import Scenario, StageSpec, resting_in

__all__ = ["SIDE_COUNT", "Expected", "Fatal", "Observed", "Tally", "expect"]

#: Values in a side stream; afterwards there is None.
SIDE_COUNT = 6


class Fatal(NamedTuple):
    """
    A failure that ends the run: of a stage, or of the source (-1), and of what kind.

    Or what is in the way like one: of kind ``gap``, a batch whose generator has not begun.
    """

    number: int
    text: str
    kind: str


class Tally:
    """The statistics that a stage must show."""

    def __init__(self) -> None:
        self.items_in = 0
        self.calls = 0
        self.filtered = 0
        self.skipped = 0
        self.diverted = 0
        self.failed = 0
        self.dropped = 0
        self.retried = 0
        self.fallbacks = 0
        self.cache_hits = 0
        # Of these there is no counter; see the check of the calls.
        self.refused = 0
        # Why batches left; by age or at the end is a matter of time, so those go together.
        self.by_size: int | None = 0
        self.otherwise = 0


class Observed:
    """What the model cannot foresee: who was together, got which side value, was refused."""

    def __init__(self) -> None:
        self.batches: dict[int, list[list[str]]] = {}
        self.sides: dict[tuple[int, str], str] = {}
        self.refused: set[tuple[int, str]] = set()
        self.lost_sides: set[int] = set()
        self.is_over = False


class Expected:
    """
    The model's answer.

    ``first`` is the first failure in the order of the results, ``sure`` says that the run cannot
    end but by a failure, ``early`` is the number of the last stage that may end before its input
    does, ``problems`` are batches that must not be; ``diverted`` are the items that left by the
    side, ``errors`` how many may have failed at most.
    """

    def __init__(self) -> None:
        self.results: list[Any] = []
        self.fatals: set[Fatal] = set()
        self.first: Fatal | None = None
        self.sure = False
        self.early = -1
        self.calls: Counter[tuple[int, str]] = Counter()
        self.tallies: list[Tally] = []
        self.inputs: list[list[str]] = []
        self.problems: list[str] = []
        self.diverted: Counter[str] = Counter()
        self.errors = 0


def expect(scenario: Scenario, prefix: str, observed: Observed) -> Expected:
    """Compute what one run gives whose items begin with *prefix*."""
    return _Model(scenario, observed).expect(prefix)


def source_items(scenario: Scenario, prefix: str) -> list[Any]:
    """Return the items of a source, a failure in its place."""
    source = scenario.source
    if source.kind == "none":
        return [NO_ITEM]
    items: list[Any] = [f"{prefix}{number}" for number in range(source.count)]
    if source.fails_at is not None:
        items[source.fails_at :] = [Fatal(-1, "source", source.error)]
    if source.cleanup_fails:
        items.append(Fatal(-1, "cleanup", "boom"))
    return items


class _Model:
    def __init__(self, scenario: Scenario, observed: Observed) -> None:
        self.scenario = scenario
        self.stages = scenario.stages
        self.observed = observed
        self.expected = Expected()
        # Of the last call.
        self.succeeded = False
        self.outputs: list[Any] = []

    def expect(self, prefix: str) -> Expected:
        expected = self.expected
        stream = source_items(self.scenario, prefix)
        expected.fatals.update(each for each in stream if isinstance(each, Fatal))
        for spec in self.scenario.stages:
            expected.tallies.append(tally := Tally())
            if self.scenario.ordered and spec.begins_chain:
                stream = _until_failure(stream)
            expected.inputs.append(
                [str(each) for each in stream if not isinstance(each, (Fatal, Lost))]
            )
            if spec.kind == "single":
                stream = self.single(spec, stream, tally)
            elif spec.kind == "batch":
                stream = self.batch(spec, stream, tally)
            else:
                stream = self.process(spec, stream, tally)
            expected.fatals.update(each for each in stream if isinstance(each, Fatal))
        expected.fatals.update(
            Fatal(number, "side", "cancelled") for number in self.observed.lost_sides
        )
        expected.sure = any(isinstance(each, Fatal) for each in stream)
        expected.errors = sum(
            tally.skipped + tally.diverted + tally.failed for tally in expected.tallies
        )
        if expected.early < 0 and self.has_too_many_errors:
            expected.sure = True
        if self.scenario.ordered:
            stream = _until_failure(stream)
        expected.first = next((each for each in stream if isinstance(each, Fatal)), None)
        results = [each for each in stream if not isinstance(each, Fatal)]
        expected.results = [str(each) if isinstance(each, Lost) else each for each in results]
        return expected

    @property
    def has_too_many_errors(self) -> bool:
        most = self.scenario.max_errors
        return most is not None and self.expected.errors > most

    # Stages

    def single(self, spec: StageSpec, stream: list[Any], tally: Tally) -> list[Any]:
        out: list[Any] = []
        position = 0
        halted: set[int] = set()
        known: dict[int, list[Any]] = {}
        for item in stream:
            if isinstance(item, (Fatal, Lost)):
                out.append(item)
                continue
            tally.items_in += 1
            if asking_fails_with(self.scenario.seed, spec, str(item)) is not None:
                out.append(Fatal(spec.number, str(item), "asking"))
                continue
            if (spec.number, str(item)) in self.observed.refused:
                tally.refused += 1
                tally.skipped += 1
                continue
            key = key_of_call(self.scenario.seed, spec, str(item))
            if key in halted:
                tally.skipped += 1
                continue
            if key in known:
                tally.cache_hits += 1
                tally.filtered += not known[key]
                out += known[key]
                continue
            tally.calls += 1
            if spec.side is None:
                skipped = tally.skipped
                out += self.call(spec, [str(item)], tally)
                if spec.halts and tally.skipped > skipped:
                    halted.add(key)
                if spec.cached and self.succeeded:
                    known[key] = self.outputs
            else:
                out += self.with_side(spec, str(item), position, tally)
            position += 1
        return out

    def with_side(self, spec: StageSpec, text: str, position: int, tally: Tally) -> list[Any]:
        if spec.side == "coroutine":
            if spec.side_fails_at is not None:
                return [Fatal(spec.number, "side", "boom")]
            value: str | None = "c"
        elif self.scenario.ordered:
            value = side_value(spec, position)
        else:
            value = self.observed.sides.get((spec.number, text))
        self.expected.calls[spec.number, text] += 1
        if value is None:
            return []  # it had none yet when the run ended
        if value == "fatal":
            return self.failed(spec, [text], "boom", tally)
        return [f"{text}+{value}"]

    def batch(self, spec: StageSpec, stream: list[Any], tally: Tally) -> list[Any]:
        arrived = [item for item in stream if not isinstance(item, Fatal)]
        values = [str(item) for item in arrived if not isinstance(item, Lost)]
        fatals = [item for item in stream if isinstance(item, Fatal)]
        batches: list[list[str] | Fatal | Lost]
        if self.scenario.ordered and spec.max_wait is None and spec.target is None:
            # Before a failure in order the data end like any other.
            is_over = not fatals or self.scenario.failure == "in_order"
            batches = self.chunks(spec, arrived, is_over)
        else:
            made = self.observed.batches.get(spec.number, [])
            self.check_sizes(spec, made)
            batches = [*self.place(spec, values, made)]
            batches += [item for item in arrived if isinstance(item, Lost)]
        parts = [each for each in batches if not isinstance(each, (Fatal, Lost))]
        taken = sum(map(len, parts))
        is_cut = any(each.shape == "few" for each in self.scenario.stages[spec.number :])
        is_over = self.observed.is_over and not fatals and not is_cut
        tally.dropped = len(values) - taken
        if is_over and tally.dropped >= spec.min_size:
            self.problem(spec, f"{tally.dropped} items neither in a batch nor too few for one")
        tally.items_in = len(values)
        tally.calls = len(parts)
        by_size = sum(len(each) == spec.max_size for each in parts)
        tally.otherwise = len(parts) - by_size
        tally.by_size = by_size
        if spec.target is not None:
            tally.by_size, tally.otherwise = None, len(parts)
        out: list[Any] = []
        for each in batches:
            is_batch = not isinstance(each, (Fatal, Lost))
            out += self.call(spec, each, tally) if is_batch else [each]
        return out + fatals

    def check_sizes(self, spec: StageSpec, batches: list[list[str]]) -> None:
        most = inf if spec.max_weight is None else spec.max_weight
        for parts in batches:
            if not len(parts) <= (spec.max_size if spec.target is None else self.largest(spec)):
                self.problem(spec, f"a batch of {len(parts)}: {parts}")
            if spec.max_weight is None and len(parts) < spec.min_size:
                self.problem(spec, f"a batch of {len(parts)}: {parts}")
            if self.weight(spec, parts) > most and len(parts) > 1:
                self.problem(spec, f"a batch that weighs {self.weight(spec, parts)}: {parts}")
        short = sum(len(parts) < spec.max_size for parts in batches)
        is_plain = spec.max_weight is None and spec.keys is None and spec.target is None
        if spec.max_wait is None and is_plain and short > 1:
            self.problem(spec, f"{short} batches that are not full, without a timer")

    def chunks(
        self, spec: StageSpec, arrived: list[Any], is_over: bool
    ) -> list[list[str] | Fatal | Lost]:
        """
        Cut what has arrived into batches; the rest is one if there is no more to come.

        A failure comes after the batches that are full by then, and before all others.
        """
        most = inf if spec.max_weight is None else spec.max_weight
        batches: list[list[str] | Fatal | Lost] = []
        opened: dict[int, list[str]] = {}  # in the order of their first items
        for item in arrived:
            if isinstance(item, Lost):
                batches.append(item)
                continue
            text = str(item)
            key = self.key(spec, text)
            if self.weight(spec, [*opened.get(key, []), text]) > most and key in opened:
                batches.append(opened.pop(key))
            batch = opened.setdefault(key, [])
            batch.append(text)
            if len(batch) == spec.max_size or self.weight(spec, batch) >= most:
                batches.append(opened.pop(key))
            elif spec.keys is not None and sum(map(len, opened.values())) == self.room(spec):
                batches.append(opened.pop(next(iter(opened))))
        if is_over:
            batches += [batch for batch in opened.values() if len(batch) >= spec.min_size]
        return batches

    @property
    def extra(self) -> int:
        """Return the places that a stage gets for open batches, or larger ones, beyond its need."""
        elastic = sum(each.keys is not None or each.target is not None for each in self.stages)
        return (self.window - 1 - resting_in(self.stages)) // (2 * elastic)

    @property
    def window(self) -> int:
        if self.scenario.window is not None:
            return self.scenario.window
        # A batch whose size is found by measuring may become as large as this.
        sizes = [each.max_size if each.target is None else 1000 for each in self.stages]
        calls = sum((each.limit or 1) * size for each, size in zip(self.stages, sizes, strict=True))
        batches = [each.kind == "batch" for each in self.stages]
        return max(1000, calls + sum(compress(sizes, batches)))

    def room(self, spec: StageSpec) -> int:
        """Return how many items the open batches of a stage hold when the first has to leave."""
        return spec.max_size + self.extra

    def largest(self, spec: StageSpec) -> int:
        """Return how large batches become at most whose size is found by measuring."""
        return min(1000, 1 + self.extra, self.window // spec.effective_limit)

    def key(self, spec: StageSpec, text: str) -> int:
        return 0 if spec.keys is None else key_of(self.scenario.seed, spec, text)

    def weight(self, spec: StageSpec, parts: list[str]) -> int:
        if spec.max_weight is None:
            return 0
        return sum(weight_of(self.scenario.seed, spec, text) for text in parts)

    def place(
        self, spec: StageSpec, values: list[str], batches: list[list[str]]
    ) -> list[list[str] | Fatal]:
        """Return the batches at their places in the input, and the gaps between them."""
        if extra := Counter(text for parts in batches for text in parts) - Counter(values):
            self.problem(spec, f"{extra} in batches, but not in the input")
        if spec.keys is not None:
            self.check_keys(spec, values, batches)
        if spec.keys is not None or not self.scenario.ordered:
            return [*batches]
        places = {text: place for place, text in enumerate(values)}
        placed: list[list[str] | Fatal] = []
        end = missing = 0
        for parts in sorted(batches, key=lambda parts: places.get(parts[0], -1)):
            begin = places.get(parts[0], -1)
            if begin < end or parts != values[begin : begin + len(parts)]:
                self.problem(spec, f"batches {batches} are not consecutive in {values}")
            elif begin > end:
                missing += begin - end
                placed.append(Fatal(spec.number, values[end], "gap"))
            placed.append(parts)
            end = begin + len(parts)
        # The function of each of them was called in order, but its generator begins when there is
        # room for what it gives, and the run may end before.
        most = (spec.effective_limit - 1) * spec.max_size if spec.is_generator else 0
        if missing > most:
            self.problem(spec, f"batches {batches} leave out {missing} of {values}")
        return placed

    def check_keys(self, spec: StageSpec, values: list[str], batches: list[list[str]]) -> None:
        taken = [text for parts in batches for text in parts]
        for key in {self.key(spec, text) for text in taken}:
            if any(len({self.key(spec, text) for text in parts}) > 1 for parts in batches):
                self.problem(spec, f"keys are mixed in {batches}")
            of_key = [text for text in values if self.key(spec, text) == key]
            taken_of_key = [text for text in taken if self.key(spec, text) == key]
            if self.scenario.ordered and taken_of_key != of_key[: len(taken_of_key)]:
                self.problem(spec, f"batches {batches} are not consecutive in {of_key}")

    def process(self, spec: StageSpec, stream: list[Any], tally: Tally) -> list[Any]:
        out: list[Any] = []
        pair: list[str] = []
        for item in stream:
            if spec.shape == "few" and tally.items_in == spec.count:
                break
            if isinstance(item, (Fatal, Lost)):
                if isinstance(item, Fatal) and pair and self.scenario.failure == "in_order":
                    out.append(f"<{pair.pop()}>")
                out.append(item)
                continue
            text = str(item)
            tally.items_in += 1
            tally.calls += 1
            self.expected.calls[spec.number, text] += 1
            if is_poison(self.scenario.seed, spec, text):
                out.append(Fatal(spec.number, text, "boom"))
            elif spec.shape != "pairs":
                out.append(text)
            else:
                pair.append(text)
                if len(pair) == 2:
                    out.append(f"<{' '.join(pair)}>")
                    pair = []
        # The last one comes alone, unless a failure keeps it from being the last one.
        if pair and not any(isinstance(item, Fatal) for item in stream):
            out.append(f"<{' '.join(pair)}>")
        if spec.shape == "few" and tally.items_in == spec.count:
            self.expected.early = spec.number
        return _until_failure(out) if self.scenario.ordered else out

    # Calls

    def call(self, spec: StageSpec, parts: list[str], tally: Tally) -> list[Any]:
        """Return what one item, or batch, becomes."""
        if spec.names is not None:
            return NamingCalls(self, spec, tally).batch(parts)
        text = " ".join(parts)
        attempt = 0
        while True:
            attempt += 1
            self.expected.calls[spec.number, text] += 1
            played = Attempt.of(self.scenario.seed, spec, parts, attempt).play(spec)
            if not is_retried(spec, attempt, played):
                break
            tally.retried += 1
        self.succeeded, self.outputs = played.error is None, played.outputs
        if played.error is None:
            tally.filtered += spec.shape == "filter" and not played.outputs
            return played.outputs
        # What a generator has given before it failed nothing takes back.
        kept = played.outputs if spec.is_generator and not spec.isolates else []
        if breaks_predicate(spec, attempt, played):
            return [*kept, Fatal(spec.number, text, "predicate")]
        kind = played.error
        if falls_back(spec, played):
            tally.fallbacks += 1
            outcome = fallback_of(self.scenario.seed, spec, text)
            if outcome != "fail":
                tally.filtered += outcome == "nothing"
                return [f"{text}?"] if outcome == "value" else []
            kind = "fallback"
        handler = None if kind == "quit" else spec.handler
        if handler == "replace":
            return [*kept, f"{text}^"]
        if handler == "raise":
            return kept + self.failed(spec, parts, "handler", tally)
        if handler == "reraise" or kind == "quit":
            return kept + self.failed(spec, parts, kind, tally)
        if handler is None and spec.on_error == "fail":
            return kept + self.failed(spec, parts, kind, tally)
        if handler is None and spec.on_error == "divert":
            tally.diverted += len(parts)
            self.expected.diverted.update(str(Lost(spec.number, part)) for part in parts)
            return kept
        if spec.isolates and len(parts) > 1:
            half = len(parts) // 2
            first, second = parts[:half], parts[half:]
            return self.call(spec, first, tally) + self.call(spec, second, tally)
        tally.skipped += len(parts)
        return kept

    def failed(self, spec: StageSpec, parts: list[str], kind: str, tally: Tally) -> list[Any]:
        """Return what takes the place of items that have failed for good."""
        if kind == "quit" or not self.scenario.outcomes:
            return [Fatal(spec.number, " ".join(parts), kind)]
        tally.failed += len(parts)
        return [Lost(spec.number, part) for part in parts]

    def problem(self, spec: StageSpec, text: str) -> None:
        self.expected.problems.append(f"stage {spec.number}: {text}")


def _until_failure(stream: list[Any]) -> list[Any]:
    """Cut *stream* after its first failure."""
    for position, item in enumerate(stream):
        if isinstance(item, Fatal):
            return stream[: position + 1]
    return stream


def side_value(spec: StageSpec, position: int) -> str:
    """Return what the side stream gives to the call that asks as number *position*."""
    fails_at = spec.side_fails_at
    if position == fails_at and fails_at < SIDE_COUNT:
        return "fatal"
    is_over = position >= SIDE_COUNT or (fails_at is not None and position > fails_at)
    return str(None if is_over else position)


def is_poison(seed: int, spec: StageSpec, text: str) -> bool:
    """Say whether a process fails with this item."""
    trouble = spec.trouble
    return trouble is not None and pick(seed, spec.number, "trouble", text, trouble.one_in) == 0
