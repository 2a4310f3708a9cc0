"""
From a seed to the description of a run: pure data, the same in every process.

All times are in ticks of the virtual clock, in whole numbers, so that many things happen at the
same instant and the schedule decides their order. Timeouts of calls are the exception: they lie
half a tick off, so that the model can tell which call is too late.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

from .adaptive import LimitSpec, with_limit
from .outcomes import with_foreseen_failures, with_outcomes
from .rescue import NO_RESCUE, Rescue, with_rescues

__all__ = ["ConsumerSpec", "Scenario", "SourceSpec", "StageSpec", "Trouble"]

#: More attempts than any task makes.
ALWAYS = 99

#: What calls fail with; see ``failures.py``.
ERRORS = ["boom", "boom", "boom", "other", "group", "stop", "exit", "leak", "quit"]


@dataclass(frozen=True)
class Trouble:
    """
    Which items make a call fail (one in so many), with what, and in how many attempts.
    """

    one_in: int
    error: str = "boom"
    attempts: int = ALWAYS


@dataclass(frozen=True)
class StageSpec:
    """
    One stage.

    ``shape`` is what its function is and returns: a ``value``, a value or None (``filter``), a
    ``list`` to spread or one to keep ``whole``, a ``generator``, an ``async_generator``. One that
    ``names`` failed items (one in so many) returns a list with an element for ``each``, to spread,
    or to keep the ``rest`` of it. For a process it is ``same``, ``pairs``, ``few`` or ``nested``.
    """

    number: int
    kind: str = "single"
    shape: str = "value"
    is_async: bool = True
    limit: int | None = None
    adaptive: LimitSpec | None = None  # then the limit is found by trying, up to ``limit``
    in_order: bool = False
    naps: tuple[int, ...] = (0,)
    turns: tuple[int, ...] = (0,)
    cleanup: int = 0
    trouble: Trouble | None = None
    attempts: int = 1
    retry_delay: int = 0
    retry_on: str = "all"
    on_error: str = "fail"
    handler: str | None = None
    timeout: float | None = None
    side: str | None = None
    side_fails_at: int | None = None
    min_size: int = 1
    max_size: int = 1
    max_wait: int | None = None
    max_weight: int | None = None
    keys: int | None = None
    names: int | None = None
    target: int | None = None  # seconds of a call, by which the size of batches is found
    rescue: Rescue = NO_RESCUE
    lanes: int | None = None  # keys of single calls
    halts: bool = False
    is_foreseen: bool = False  # in which order the items of a key come
    urgent: bool = False
    broken: int | None = None  # for one item in so many, to ask how urgent it is, or its key, fails
    cached: bool = False
    before: str | None = None  # whether there are hooks: ``plain`` or ``async`` ones
    after: str | None = None
    count: int = 0  # children of a stage that is the source, items that ``few`` takes

    @property
    def is_generator(self) -> bool:
        return self.kind != "process" and self.shape in ("generator", "async_generator")

    @property
    def expands(self) -> bool:
        return self.is_generator or self.shape == "list"

    @property
    def isolates(self) -> bool:
        """Whether a failing batch is split until only single items fail."""
        return self.kind == "batch" and self.on_error == "skip_item" and self.handler is None

    @property
    def hides_places(self) -> bool:
        """Whether nobody sees when the items of a batch give their places back."""
        return self.isolates or self.names is not None

    @property
    def starts_in_order(self) -> bool:
        return self.kind != "single" or self.in_order or self.side == "stream"

    @property
    def begins_chain(self) -> bool:
        """Whether it takes its items in input order, though it may not start them so."""
        return self.starts_in_order or self.lanes is not None

    @property
    def effective_limit(self) -> int:
        return self.limit or (100 if self.kind == "single" else 1)


@dataclass(frozen=True)
class SourceSpec:
    """Where the items come from; ``none`` makes the first task the source."""

    kind: str = "list"
    count: int = 0
    naps: tuple[int, ...] = (0,)
    fails_at: int | None = None
    error: str = "boom"
    cleanup: int = 0
    cleanup_fails: bool = False


@dataclass(frozen=True)
class ConsumerSpec:
    """
    Who reads the results, how slowly, and what becomes of it.

    ``leave_after`` results it leaves, in the way ``leave_by`` says; at ``cancel_at`` it is
    cancelled, by a scope or natively; ``patience`` bounds each wait for a result. At ``drain_at``
    another task drains the run.
    """

    style: str = "collect"
    naps: tuple[int, ...] = (0,)
    leave_after: int | None = None
    leave_by: str = "break"
    turns: int = 0
    patience: float | None = None
    cancel_at: int | None = None
    cancel_by: str = "scope"
    drain_at: int | None = None


@dataclass(frozen=True)
class Scenario:
    """All there is to know about the runs of one seed; several consumers run it at once."""

    seed: int
    ordered: bool = True
    window: int | None = None
    parallelism: int | None = None
    outcomes: bool = False
    max_errors: int | None = None
    source: SourceSpec = field(default_factory=SourceSpec)
    stages: tuple[StageSpec, ...] = ()
    consumers: tuple[ConsumerSpec, ...] = (ConsumerSpec(),)
    failure: str = "fast"

    @classmethod
    def from_seed(cls, seed: int) -> Scenario:
        """Make the scenario of *seed*."""
        # Here, since those modules need this one.
        from .hooks import with_hooks
        from .keys import with_keys
        from .named import with_named
        from .refusals import with_refusals

        scenario = with_rescues(with_outcomes(_Maker(seed).scenario()))
        scenario = with_named(_with_failures_in_order(scenario))
        return with_hooks(with_keys(with_refusals(scenario)))


def resting_in(stages: tuple[StageSpec, ...]) -> int:
    """Return the places that may be taken at least by what does not move."""
    return sum(2 if each.kind == "process" else each.max_size - 1 for each in stages)


RATES = [3, 6, 15, 30]
NAPS = [(0,), (0,), (1,), (0, 0, 1), (0, 1, 2, 5), (1, 2, 3)]
TURNS = [(0,), (0, 1), (0, 1, 3)]


class _Maker:
    """Draws everything from one random number generator, in one order."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random = Random(seed)
        self.pick = random.choice
        self.ordered = random.random() < 0.6
        # Half of the runs go to their end, which is where results are compared exactly.
        self.calm = random.random() < 0.5
        self.twice = random.random() < 0.08

    def one_in(self, sides: int) -> bool:
        return self.random.randrange(sides) == 0

    def scenario(self) -> Scenario:
        if self.one_in(10):
            return self.timed_scenario()
        source = self.source()
        count = self.pick([0, 1, 1, 2, 2, 2, 3, 3, 4, 5])
        if source.kind == "none":
            count = max(1, count)
        stages = tuple(with_limit(self.seed, self.stage(number, source)) for number in range(count))
        return Scenario(
            seed=self.seed,
            ordered=self.ordered,
            window=self.window(stages),
            parallelism=self.pick([None, None, None, 1, 2, 3]),
            source=source,
            stages=stages,
            consumers=tuple(self.consumer(source) for _ in range(2 if self.twice else 1)),
        )

    def timed_scenario(self) -> Scenario:
        """A slow source and a batch with a timer, which can be foreseen without a window."""
        source = SourceSpec(
            kind=self.pick(["async_generator", "iterator", "group"]),
            count=self.pick([5, 13, 30]),
            naps=self.pick([(1,), (0, 0, 1), (0, 1, 2, 5), (1, 2, 3)]),
        )
        batch = self.call(0, "batch", self.pick(["value", "list"]))
        batch = replace(
            self.batch(batch),
            max_size=self.pick([4, 9]),
            max_wait=self.pick([1, 2, 4]),
            target=None,
        )
        consumers = (self.consumer(source),)
        return Scenario(
            self.seed, ordered=self.ordered, source=source, stages=(batch,), consumers=consumers
        )

    def source(self) -> SourceSpec:
        kinds = ["list", "generator", "async_generator", "async_generator", "iterator"]
        kinds += ["scope", "group", "stream", "memory"]
        if not self.twice:
            kinds.append("none")
        kind = self.pick(kinds)
        count = self.pick([0, 1, 2, 3, 5, 8, 13, 20, 30])
        spec = SourceSpec(kind=kind, count=count)
        if kind == "none":
            return spec
        fails = not self.calm and self.one_in(4) and kind not in ("list", "memory")
        closes = kind in ("generator", "async_generator", "scope", "group")
        slow = kind not in ("list", "generator")
        return SourceSpec(
            kind=kind,
            count=count,
            naps=self.pick(NAPS) if slow else (0,),
            fails_at=self.random.randint(0, count) if fails else None,
            # Python turns a GeneratorExit or a StopIteration that leaves a task group into others.
            error="boom" if kind in ("group", "scope", "stream") else self.pick(ERRORS),
            cleanup=self.pick([0, 0, 1, 3]) if closes and slow else 0,
            cleanup_fails=not (self.calm or fails) and closes and self.one_in(6),
        )

    def stage(self, number: int, source: SourceSpec) -> StageSpec:
        if number == 0 and source.kind == "none":
            return self.first_stage(source)
        kind = self.pick(["single"] * 6 + ["batch"] * 4 + ["process"])
        if kind == "process":
            return self.process(number)
        shapes = ["value", "value", "filter", "list", "whole", "generator", "async_generator"]
        spec = self.call(number, kind, self.pick(shapes))
        if kind == "batch":
            return self.batch(spec)
        side = None
        if spec.shape == "value" and spec.is_async and not spec.trouble and self.one_in(5):
            side = self.pick(["coroutine"] if self.twice else ["stream", "stream", "coroutine"])
        fails = side and not self.calm and self.one_in(3)
        spec = replace(
            spec,
            in_order=self.one_in(6),
            side=side,
            side_fails_at=self.random.randint(0, 8) if fails else None,
        )
        return replace(spec, timeout=None, attempts=1) if side else spec

    def first_stage(self, source: SourceSpec) -> StageSpec:
        shape = self.pick(["list", "generator", "async_generator", "async_generator", "value"])
        return StageSpec(
            number=0,
            shape=shape,
            naps=self.pick(NAPS) if shape != "generator" else (0,),
            turns=self.pick(TURNS),
            is_async=shape != "generator",
            trouble=None if self.calm else self.trouble(sure=True),
            count=source.count,
        )

    def call(self, number: int, kind: str, shape: str) -> StageSpec:
        is_async = shape == "async_generator" or (shape != "generator" and not self.one_in(4))
        trouble = self.trouble(sure=False)
        careful = trouble is not None and (self.calm or not self.one_in(3))
        handler = self.pick(["skip", "replace", "reraise", "raise"])
        if self.calm:
            handler = self.pick(["skip", "replace"])
        on_errors = ["skip_item"] if kind == "single" else ["skip_item", "skip_item", "skip_batch"]
        handled = self.one_in(4)
        timeout = None
        if is_async and self.one_in(5) and (careful or not self.calm):
            timeout = self.pick([1.5, 2.5, 4.5])
        return StageSpec(
            number=number,
            kind=kind,
            shape=shape,
            is_async=is_async,
            limit=self.pick([None, 1, 2, 3, 5] if kind == "single" else [None, 1, 2, 3]),
            naps=self.pick(NAPS) if is_async else (0,),
            turns=self.pick(TURNS),
            cleanup=self.pick([0, 0, 0, 1, 2]) if is_async and timeout is None else 0,
            trouble=trouble,
            attempts=self.pick([1, 2, 3]) if trouble or timeout else 1,
            retry_delay=self.pick([0, 1, 2]),
            retry_on=self.pick(["all", "all", "boom"] if self.calm else ["all", "boom", "broken"]),
            on_error=self.pick(on_errors) if careful and not handled else "fail",
            handler=handler if careful and handled else None,
            timeout=timeout,
        )

    def trouble(self, sure: bool) -> Trouble | None:
        if not sure and not self.one_in(3):
            return None
        # What ends a program is no error of a call, so no care helps against it.
        errors = ERRORS[:-1] if self.calm else ERRORS
        return Trouble(
            one_in=self.pick(RATES),
            error=self.pick(errors),
            attempts=self.pick([1, 2, ALWAYS, ALWAYS]),
        )

    def batch(self, spec: StageSpec) -> StageSpec:
        max_wait = self.pick([None, None, 0, 1, 2, 4])
        # A timer matters only to batches that are not full before.
        max_size = self.random.randint(4, 9) if max_wait else self.random.randint(1, 6)
        min_size = self.random.randint(1, 2 if max_wait else min(4, max_size))
        spec = replace(spec, max_size=max_size, min_size=min_size, max_wait=max_wait)
        return self.grouped(spec)

    def grouped(self, spec: StageSpec) -> StageSpec:
        # Drawn from numbers of its own, so that all else is as it would be without.
        own = Random(f"{self.seed} {spec.number} grouped")
        target = own.choice([None] * 7 + [1, 2])
        if target and not spec.is_generator and (spec.timeout is None or target < spec.timeout):
            return replace(spec, target=target, min_size=1, max_size=1)
        spec = replace(spec, max_weight=own.choice([None, None, 4, 9]))
        # When a generator's batch left cannot be seen; what a timer let go is known no other way.
        if spec.is_generator and spec.max_wait is not None:
            return spec
        keys = own.choice([None, None, 2, 3, 30])
        return spec if keys is None else replace(spec, keys=keys, min_size=1)

    def process(self, number: int) -> StageSpec:
        # What depends on the order of the items has no model where there is none.
        shapes = ["same", "pairs", "few", "nested"] if self.ordered else ["same", "nested"]
        shape = self.pick(shapes)
        return StageSpec(
            number=number,
            kind="process",
            shape=shape,
            naps=self.pick(NAPS),
            trouble=None if self.calm or self.one_in(2) else Trouble(self.pick(RATES)),
            limit=self.pick([None, 1, 3]) if shape == "nested" else None,
            count=self.random.randint(0, 6),
        )

    def window(self, stages: tuple[StageSpec, ...]) -> int | None:
        needs = [1]
        for each in stages:
            size = each.max_size if each.kind == "batch" else 1
            limit = each.limit if each.kind != "process" else None
            needs.append((limit or 1) * size)
        smallest = max(*needs, resting_in(stages) + 1)
        spare = self.pick([None, 0, 0, 1, 2, 5, 16])
        return None if spare is None else smallest + spare

    def consumer(self, source: SourceSpec) -> ConsumerSpec:
        style = self.pick(["collect", "plain", "plain", "block", "block"])
        spec = ConsumerSpec(
            style=style,
            naps=(0,) if style == "collect" else self.pick(NAPS),
            patience=self.pick([0, 0.5, 1, 2]) if style == "block" and self.one_in(3) else None,
        )
        if self.calm or self.one_in(4):
            # What another pipeline, a channel or a task has given so far is not to be seen.
            if source.kind in ("none", "stream", "memory") or not self.one_in(5):
                return spec
            return replace(spec, drain_at=self.pick([0, 0, 1, 2, 3, 5, 8, 13]))
        ways = ["cancel"] if style == "collect" else ["cancel", "leave", "leave"]
        cancels = self.pick(ways) == "cancel"
        if cancels or (style != "collect" and self.one_in(4)):
            spec = replace(
                spec,
                cancel_at=self.pick([0, 0, 1, 2, 3, 5, 8, 13]),
                cancel_by=self.pick(["scope", "native"]),
            )
        if cancels:
            return spec
        leave_by = ["break", "aclose", "raise"] + (["drop", "wait"] if style == "plain" else [])
        return replace(
            spec,
            leave_after=self.pick([0, 0, 1, 1, 2, 3, 5, 8]),
            leave_by=self.pick(leave_by),
            turns=self.pick([0, 1, 1, 2, 3]),
        )


def _with_failures_in_order(scenario: Scenario) -> Scenario:
    """Return half of the ordered scenarios with another policy, and half of those with trouble."""
    # Drawn from numbers of its own, so that all else is as it would be without.
    own = Random(f"{scenario.seed} failure")
    if not scenario.ordered or own.random() < 0.5:
        return scenario
    # A pipeline inside of this one fails fast, and what that leaves nobody can foresee.
    if scenario.source.kind == "stream":
        scenario = replace(scenario, source=replace(scenario.source, fails_at=None))
    stages = [
        replace(each, trouble=None) if each.shape == "nested" else each for each in scenario.stages
    ]
    scenario = replace(scenario, failure="in_order", stages=tuple(stages))
    if own.random() < 0.5:
        return scenario
    # What fails late, or in many places, and a consumer that waits for it.
    troubled = replace(
        scenario,
        stages=tuple(_troubled(spec, own) for spec in scenario.stages),
        consumers=tuple(
            replace(each, leave_after=None, cancel_at=None) for each in scenario.consumers
        ),
    )
    return with_foreseen_failures(troubled)


def _troubled(spec: StageSpec, own: Random) -> StageSpec:
    one_in = own.choice([None, 4, 10, 20])
    is_fit = not spec.side and spec.shape != "nested"
    if one_in is None or not is_fit or (spec.trouble and own.random() < 0.5):
        return spec
    trouble = Trouble(one_in, own.choice(["boom", "boom", "other", "leak"]))
    if spec.kind == "process":
        return replace(spec, trouble=Trouble(one_in))
    return replace(spec, trouble=trouble, on_error="fail", handler=None)
