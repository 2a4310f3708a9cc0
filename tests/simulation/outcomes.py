"""
Runs in which failures are among the results, go by the side, or may be too many.

Drawn from numbers of their own, and laid over a scenario that is made without them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from conveyor import Failure, Success

if TYPE_CHECKING:
    from .scenario import Scenario, StageSpec

__all__ = ["Lost", "loses", "position_of", "text_of", "with_outcomes"]


class Lost(NamedTuple):
    """An item that has failed in a stage, in the place that it has among the results."""

    number: int
    text: str

    def __str__(self) -> str:
        return f"!{self.number}:{self.text}"


def with_outcomes(scenario: Scenario) -> Scenario:
    """Let the failures of some scenarios go other ways."""
    own = Random(f"{scenario.seed} outcomes")
    if not any(map(loses, scenario.stages)) or own.random() < 0.3:
        return scenario
    gives_outcomes = own.random() < 0.7 and _has_places(scenario)
    stages = tuple(_other_way(spec, own, gives_outcomes) for spec in scenario.stages)
    return replace(
        scenario,
        stages=stages,
        outcomes=gives_outcomes,
        max_errors=own.choice([None, None, None, 0, 1, 2, 5]),
    )


def loses(spec: StageSpec) -> bool:
    """Say whether a stage may fail with an item."""
    return spec.kind != "process" and bool(
        spec.trouble or spec.timeout or spec.side_fails_at is not None
    )


def _has_places(scenario: Scenario) -> bool:
    """Say whether the place of each failure among the results is not a matter of time."""
    if not scenario.ordered:
        return True
    first = next(spec.number for spec in scenario.stages if loses(spec))
    return not any(
        spec.max_wait is not None or spec.target is not None or spec.shape == "nested"
        for spec in scenario.stages[first + 1 :]
    )


def _other_way(spec: StageSpec, own: Random, gives_outcomes: bool) -> StageSpec:
    if not (spec.trouble or spec.timeout) or spec.side or spec.handler or spec.kind == "process":
        return spec
    ways = [spec.on_error, "divert"]
    if gives_outcomes:
        ways += ["fail", "fail"]
    return replace(spec, on_error=own.choice(ways))


def _hides_index(spec: StageSpec) -> bool:
    """Say whether results need not have the index of the first item they are named after."""
    # A process has no item of its own, and all that a batch gives has the index of its first.
    return spec.kind == "process" or (
        spec.kind == "batch" and spec.shape not in ("value", "filter")
    )


def position_of(text: str) -> int:
    """Return the index of the input item that the first item in a result stems from."""
    found = re.search(r"[ab](\d+)", text)
    assert found is not None
    return int(found[1])


def text_of(scenario: Scenario, outcome: Any, problems: list[str]) -> Any:
    """Return what the model calls an outcome; write down what is wrong with it."""
    if isinstance(outcome, Success):
        result = outcome.value
        text = str(result)
    elif isinstance(outcome, Failure):
        numbers = {f"{spec.shape}{spec.number}": spec.number for spec in scenario.stages}
        text = str(outcome.item)
        result = str(Lost(numbers[outcome.task_name], text))
        if outcome.attempts < 1 or not isinstance(outcome.error, Exception):
            problems.append(f"{outcome!r} after {outcome.attempts} attempts: {outcome.error!r}")
        if scenario.source.kind == "none" and outcome.task_name == next(iter(numbers)):
            text, result = "a0", "!0:a!"
    else:
        problems.append(f"{outcome!r} is no outcome")
        return outcome
    if not any(map(_hides_index, scenario.stages)):
        position = 0 if scenario.source.kind == "none" else position_of(text)
        if outcome.index != position:
            problems.append(f"{outcome!r} has not the index {position} of {text}")
    return result
