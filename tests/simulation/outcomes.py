"""
Runs in which failures are among the results, go by the side, or may be too many.

Drawn from numbers of their own, and laid over a scenario that is made without them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from conveyor import Failure, Success

# The module, since it imports this one.
from . import scenario as specs

if TYPE_CHECKING:
    from .scenario import Scenario, StageSpec

__all__ = ["Lost", "text_of", "with_foreseen_failures", "with_outcomes"]


class Lost(NamedTuple):
    """An item that has failed in a stage, in the place that it has among the results."""

    number: int
    text: str

    def __str__(self) -> str:
        return f"!{self.number}:{self.text}"


def with_outcomes(scenario: Scenario) -> Scenario:
    """Let the failures of every other scenario go other ways, and see that there are some."""
    own = Random(f"{scenario.seed} outcomes")
    if own.random() < 0.5:
        return scenario
    gives_outcomes = own.random() < 0.75
    ways = ["divert", "skip_item"] + ["fail"] * 6 * gives_outcomes
    stages = [*scenario.stages]
    calls = [spec.number for spec in stages if spec.kind != "process" and spec.side is None]
    for number in own.sample(calls, min(len(calls), own.choice([1, 1, 2]))):
        stages[number] = replace(
            stages[number],
            trouble=specs.Trouble(
                one_in=own.choice([2, 3, 6]),
                error=own.choice(specs.ERRORS[:-1]),
                attempts=own.choice([2, *[specs.ALWAYS] * 3]),
            ),
            retry_on="all",
            on_error=own.choice(ways),
            handler=None,
        )
    if gives_outcomes and scenario.ordered:
        for number in range(_first_loss(stages) + 1, len(stages)):
            stages[number] = _without_times(stages[number])
            if stages[number].kind == "single" and own.random() < 0.3:
                stages[number] = replace(stages[number], in_order=True)
    return replace(
        scenario,
        stages=tuple(stages),
        outcomes=gives_outcomes,
        max_errors=own.choice([None] * 6 + [0, 1, 2, 5]),
    )


def with_foreseen_failures(scenario: Scenario) -> Scenario:
    """Let the places of failures among ordered results be no matter of time."""
    if not scenario.outcomes:
        return scenario
    first = _first_loss(scenario.stages)
    stages = [_without_times(spec) if spec.number > first else spec for spec in scenario.stages]
    return replace(scenario, stages=tuple(stages))


def _first_loss(stages: Sequence[StageSpec]) -> int:
    """Return the number of the first stage that may fail with an item, or how many there are."""
    return next((spec.number for spec in stages if _loses(spec)), len(stages))


def _loses(spec: StageSpec) -> bool:
    """Say whether a stage may fail with an item."""
    return spec.kind != "process" and bool(
        spec.trouble or spec.timeout or spec.names or spec.side_fails_at is not None
    )


def _without_times(spec: StageSpec) -> StageSpec:
    """Let the place of a failure that passes by not be a matter of time."""
    if spec.shape == "nested":
        return replace(spec, shape="same", limit=None)
    return replace(spec, max_wait=None, target=None)


def _hides_index(spec: StageSpec) -> bool:
    """Say whether results need not have the index of the first item they are named after."""
    # A process has no item of its own, and all that a batch gives has the index of its first.
    return spec.kind == "process" or (
        spec.kind == "batch" and spec.shape not in ("value", "filter")
    )


def _position_of(text: str) -> int:
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
        position = 0 if scenario.source.kind == "none" else _position_of(text)
        if outcome.index != position:
            problems.append(f"{outcome!r} has not the index {position} of {text}")
    return result
