"""
Keys and priorities: which stages have them, what they are, and what must hold while a run goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from conveyor import SKIP, KeyHaltedError
from conveyor._engine.lanes import PATIENCE

from .behaviour import asking_fails_with, pick
from .failures import error_of
from .rescue import NO_RESCUE
from .scenario import StageSpec

if TYPE_CHECKING:
    from conveyor import Decision

    from .scenario import Scenario
    from .world import Journal, World

__all__ = [
    "LaneWatch",
    "check_lanes",
    "key_of_call",
    "lane_options",
    "priority_of",
    "with_keys",
]

#: With thirty items at most, a priority has to be small if it is not to be all that counts.
PRIORITIES = [0, 0, 0.01, 0.02, 0.1, 5]


def with_keys(scenario: Scenario) -> Scenario:
    """Give keys, priorities and a cache to stages that may have them."""
    seed = scenario.seed
    # A failure among the results, or one too many, would have to be told of items not called.
    is_usual = not scenario.outcomes and scenario.max_errors is None
    stages = tuple(
        _with_keys(seed, scenario.ordered, spec, may_halt=is_usual)
        if spec.number or scenario.source.kind != "none"
        else spec
        for spec in scenario.stages
    )
    if is_usual and len(scenario.consumers) == 1:
        stages = _with_cache(seed, stages)
    return replace(scenario, stages=stages)


def _with_keys(seed: int, ordered: bool, spec: StageSpec, *, may_halt: bool) -> StageSpec:
    """Numbers of their own decide."""
    if spec.kind != "single" or spec.in_order or spec.side == "stream":
        return spec
    if spec.rescue != NO_RESCUE:
        return spec  # what a fallback gives is not cached
    own = Random(f"{seed} {spec.number} keys")
    spec = replace(spec, lanes=own.choice([None, None, 1, 2, 3, 30]), urgent=own.random() < 0.25)
    # Which item of a key comes first must be known, and what becomes of those that fail.
    is_foreseen = ordered or spec.number == 0
    is_left_out = may_halt and spec.on_error == "skip_item" and spec.handler is None
    halts = spec.lanes is not None and is_foreseen and is_left_out and own.random() < 0.7
    broken = None
    if spec.lanes is not None or spec.urgent:
        broken = Random(f"{seed} {spec.number} asking").choice([None, None, None, 5, 15])
    return replace(spec, halts=halts, is_foreseen=is_foreseen, broken=broken)


def _with_cache(seed: int, stages: tuple[StageSpec, ...]) -> tuple[StageSpec, ...]:
    """
    Give the last stage a cache, if it may have one.

    Only the last one, since what it gives several times over would have to be told apart in others;
    and one of which it is known which item of a key comes first.
    """
    if not stages or not stages[-1].is_foreseen:
        return stages
    *others, last = stages
    # A side input would be part of the result.
    if last.shape not in ("value", "filter", "whole") or last.side is not None:
        return stages
    own = Random(f"{seed} cache")
    if own.random() < 0.5:
        return stages
    # Few keys, or nothing would be found.
    return (*others, replace(last, cached=True, lanes=own.choice([1, 2, 3, 5])))


def key_of_call(seed: int, spec: StageSpec, text: str) -> int:
    """Return the key of an item of a stage with *lanes*."""
    return pick(seed, spec.number, "lane", text, spec.lanes or 1)


def priority_of(seed: int, spec: StageSpec, text: str) -> float:
    """Return how urgent an item of a stage is."""
    if not spec.urgent:
        return 0
    return PRIORITIES[pick(seed, spec.number, "urgency", text, len(PRIORITIES))]


def lane_options(world: World, spec: StageSpec) -> dict[str, Any]:
    """Return the options of a task."""
    options: dict[str, Any] = {}
    if spec.lanes is not None:
        options["key"] = asked(world, spec, key_of_call, fails=not spec.urgent)
    if spec.cached:
        options["cache"] = WatchedStore(world.journals[0].lanes, spec)
    if spec.urgent:
        options["priority"] = asked(world, spec, priority_of, fails=True)
    if spec.halts:
        options.update(on_key_error="halt_key", on_error=leaves_out(world, spec))
    return options


def asked(
    world: World, spec: StageSpec, answer: Callable[[int, StageSpec, str], float], *, fails: bool
) -> Callable[[Any], float]:
    """Return an option that is asked for each item; it may fail if it is the first that is."""
    seed = world.scenario.seed

    def ask(item: Any) -> float:
        text = str(item)
        journal = world.of(text)
        journal.ask(f"stage {spec.number} asked about {text}")
        kind = asking_fails_with(seed, spec, text) if fails else None
        if kind is not None:
            error = error_of(kind, text)
            journal.fail_to_ask(spec, text, error)
            raise error
        return answer(seed, spec, text)

    return ask


def leaves_out(world: World, spec: StageSpec) -> Callable[[Exception, Any], Decision]:
    """Return what does as ``"skip_item"`` does, and tells about items that were not called."""

    def decide(error: Exception, item: Any) -> Decision:
        if isinstance(error, KeyHaltedError):
            world.of(str(item)).lanes.refuse(spec, str(item))
        return SKIP

    return decide


class WatchedStore(dict[int, Any]):
    """A cache that tells what is found in it."""

    def __init__(self, watch: LaneWatch, spec: StageSpec) -> None:
        super().__init__()
        self.watch = watch
        self.spec = spec

    def get(self, key: int, default: Any = None) -> Any:
        if key in self:
            self.watch.hit(self.spec, key, gives=self[key] is not None)
        return super().get(key, default)

    def __setitem__(self, key: int, value: Any) -> None:
        if key in self:
            self.watch.journal.problem(f"key {key} of stage {self.spec.number} was stored again")
        super().__setitem__(key, value)


class LaneWatch:
    """
    Sees that no two calls of a key overlap, and in the first stage that the right one is next.

    :param journal: of the run
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.seed = journal.scenario.seed
        self.held: dict[tuple[int, int], str] = {}
        self.halted: set[tuple[int, int]] = set()
        stages = journal.scenario.stages
        self.first = stages[0] if stages and stages[0].kind == "single" else None
        self.waiting: dict[str, float] = {}  # items of the first stage, with their ranks
        self.arrived = 0

    def arrive(self, text: str) -> None:
        """An item comes to the first stage."""
        if self.first is not None:
            priority = priority_of(self.seed, self.first, text)
            self.waiting[text] = self.arrived + PATIENCE * priority
            self.arrived += 1

    def lane(self, spec: StageSpec, text: str) -> tuple[int, int]:
        return spec.number, key_of_call(self.seed, spec, text)

    def begin(self, spec: StageSpec, text: str) -> None:
        """The call of an item begins."""
        if spec is self.first:
            self.check_turn(spec, text)
            self.waiting.pop(text, None)
        if spec.lanes is None:
            return
        lane = self.lane(spec, text)
        if lane in self.held:
            self.journal.problem(f"{text} called in stage {spec.number} beside {self.held[lane]}")
        if lane in self.halted:
            self.journal.problem(f"{text} called in stage {spec.number}, though its key is halted")
        self.held[lane] = text

    def end(self, spec: StageSpec, text: str, *, is_left_out: bool) -> None:
        """A call is over for good."""
        if spec.lanes is not None:
            lane = self.lane(spec, text)
            self.held.pop(lane, None)
            if spec.halts and is_left_out:
                self.halted.add(lane)

    def refuse(self, spec: StageSpec, text: str) -> None:
        """An item is not called, since its key is halted."""
        journal = self.journal
        journal.note("refuse", spec.number, text)
        journal.ask(f"stage {spec.number} refused {text}")
        lane = self.lane(spec, text)
        if lane not in self.halted:
            journal.problem(
                f"{text} refused in stage {spec.number}, where nothing of its key failed"
            )
        if lane in self.held:
            journal.problem(f"{text} refused in stage {spec.number} beside {self.held[lane]}")
        journal.see([text])
        journal.leave(text)
        journal.started[spec.number] += 1
        if spec is self.first:
            self.waiting.pop(text, None)

    def hit(self, spec: StageSpec, key: int, *, gives: bool) -> None:
        """The result of an item is known; of which one of its key is known for the first stage."""
        journal = self.journal
        journal.note("hit", spec.number, key)
        journal.ask(f"stage {spec.number} looked an item up")
        if (spec.number, key) in self.held:
            holder = self.held[spec.number, key]
            journal.problem(f"an item was looked up in stage {spec.number} beside {holder}")
        journal.started[spec.number] += 1
        journal.held -= not gives
        lane = spec.number, key
        texts = [text for text in self.waiting if self.lane(spec, text) == lane]
        if spec is self.first and texts:  # not all sources tell what they give
            self.check_turn(spec, texts[0])
            del self.waiting[texts[0]]

    def ready(self, spec: StageSpec) -> list[str]:
        """Return the items of the first stage that could be called."""
        if spec.lanes is None:
            return [*self.waiting]
        firsts: dict[tuple[int, int], str] = {}
        for text in self.waiting:
            firsts.setdefault(self.lane(spec, text), text)
        return [text for lane, text in firsts.items() if lane not in self.held]

    def check_turn(self, spec: StageSpec, text: str) -> None:
        """The one that is called is the most urgent of those that are ready."""
        if spec not in self.journal.idleness.prompt or text not in self.waiting:
            return
        if self.journal.is_winding_down:
            return  # those that are later than a failure may have been dropped
        # An item that has been taken when a limit falls waits for its share, and begins before
        # those that come meanwhile.
        if spec.adaptive is not None:
            return
        ready = self.ready(spec)
        if text not in ready:
            self.journal.problem(f"{text} called before its turn in stage {spec.number}")
            return
        best = min(ready, key=self.waiting.__getitem__)
        if self.waiting[best] < self.waiting[text]:
            self.journal.problem(f"{text} called before {best}, which is more urgent")


def check_lanes(journal: Journal, spec: StageSpec, inputs: list[str]) -> list[str]:
    """Return where the calls of a key did not begin in the order of the input."""
    if spec.lanes is None or not (journal.scenario.ordered or spec.number == 0):
        return []
    seed = journal.scenario.seed
    begun: dict[int, list[str]] = {}
    wanted: dict[int, list[str]] = {}
    for texts, by_key in ((journal.begun[spec.number], begun), (inputs, wanted)):
        for text in texts:
            by_key.setdefault(key_of_call(seed, spec, text), []).append(text)
    return [
        f"stage {spec.number} began {texts} of key {key}, its input was {wanted.get(key)}"
        for key, texts in begun.items()
        if texts != wanted.get(key, [])[: len(texts)]
    ]
