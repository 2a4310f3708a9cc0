"""
Circuit breakers that let calls fail at once.

Which items they refuse is a matter of time. The model takes from the run which ones were, and says
what follows from it: those are not called and left out, and all others are called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from conveyor import SKIP, CircuitOpenError

# The module, since it imports this one.
from . import scenario as specs

if TYPE_CHECKING:
    from conveyor import Decision

    from .scenario import Scenario, StageSpec
    from .world import World

__all__ = ["refusing", "with_refusals"]

#: Their numbers, so that no other stage shares them.
FIRST = 100


def with_refusals(scenario: Scenario) -> Scenario:
    """Give stages, in more than half of the scenarios, such a circuit breaker, and trouble."""
    own = Random(f"{scenario.seed} refused")
    if own.random() < 0.4:
        return scenario
    stages = [
        _refusing(spec, own) if own.random() < 0.7 and _may_refuse(scenario, spec) else spec
        for spec in scenario.stages
    ]
    return replace(scenario, stages=tuple(stages))


def _may_refuse(scenario: Scenario, spec: StageSpec) -> bool:
    is_source = spec.number == 0 and scenario.source.kind == "none"
    # Another attempt that is refused would have to be told from one that has failed.
    is_plain = spec.kind == "single" and not spec.is_generator and not spec.starts_in_order
    return is_plain and not is_source and spec.side is None


def _refusing(spec: StageSpec, own: Random) -> StageSpec:
    rescue = replace(
        spec.rescue,
        budget=None,
        fallback=None,
        breaker=FIRST + spec.number,
        when_open="fail",
        failures=own.randint(1, 2),
        reset_after=own.choice([1, 2, 4, 30]),
    )
    return replace(
        spec,
        trouble=specs.Trouble(own.choice([2, 3, 6]), own.choice(["boom", "other", "stop"])),
        attempts=1,
        on_error="skip_item",
        handler=None,
        rescue=rescue,
    )


def refusing(world: World, spec: StageSpec) -> Callable[[Exception, Any], Decision]:
    """Return what does as ``"skip_item"`` does, and tells about items that were refused."""

    def decide(error: Exception, item: Any) -> Decision:
        text = str(item)
        journal, number = world.of(text), spec.number
        is_called = (number, text) in journal.calls
        if is_called == isinstance(error, CircuitOpenError):
            journal.problem(f"{error!r} for {text} in stage {number}, {is_called=}")
        if is_called:
            return SKIP
        journal.note("refuse", number, text)
        journal.ask(f"stage {number} refused {text}")
        breaker = spec.rescue.breaker
        assert breaker is not None
        state = world.rescuers.breakers[breaker].state
        if state == "closed" or (state == "half_open" and breaker not in world.rescuers.trials):
            journal.problem(f"{text} refused in stage {number} while the circuit was {state}")
        journal.observed.refused.add((number, text))
        journal.see([text])
        journal.leave(text)
        journal.started[number] += 1
        journal.lanes.waiting.pop(text, None)
        return SKIP

    return decide
