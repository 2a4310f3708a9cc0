"""
What a stage has against failures besides retries: a budget, a fallback, a circuit breaker.

Drawn from numbers of its own, so that all else is as it would be without. A budget has plenty, and
is to show exactly what was taken, or it is empty, so that nothing is retried. A breaker lets calls
wait, which changes no result; that none begins while it is open is looked at with each call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any, Literal

from conveyor import BatchTask, CircuitBreaker, RetryBudget, RunStatistics, SingleTask

from .refusals import refusing

if TYPE_CHECKING:
    from .scenario import Scenario, StageSpec
    from .world import Call, World

__all__ = ["NO_RESCUE", "Rescue", "Rescuers", "with_rescues"]

PLENTY = 10_000


@dataclass(frozen=True)
class Rescue:
    """
    The options of one stage.

    ``budget`` is ``plenty`` or ``empty``, ``fallback`` what it does: ``value``, ``mixed`` or
    ``fail``; ``failures`` in a row open the breaker numbered ``breaker`` for ``reset_after``; see
    :mod:`.refusals` for those that do not let calls wait.
    """

    budget: str | None = None
    fallback: str | None = None
    breaker: int | None = None
    when_open: Literal["fail", "wait"] = "wait"
    failures: int = 1
    reset_after: int = 1


NO_RESCUE = Rescue()


def with_rescues(scenario: Scenario) -> Scenario:
    """Return a scenario with some of these options."""
    own = Random(f"{scenario.seed} rescue")
    if own.random() < 0.5:
        return scenario
    is_shared = own.random() < 0.3
    failures, reset_after = own.randint(1, 3), own.randint(1, 4)
    stages: list[StageSpec] = []
    for spec in scenario.stages:
        is_source = spec.number == 0 and scenario.source.kind == "none"
        budget = own.choice([None, "plenty", "empty"])
        fallback = own.choice([None, "value", "mixed", "mixed", "fail"])
        breaker = own.choice([None, 0 if is_shared else spec.number])
        if spec.kind == "process" or spec.side or is_source:
            stages.append(spec)
            continue
        rescue = Rescue(
            budget=budget if spec.attempts > 1 else None,
            fallback=fallback if spec.trouble or spec.timeout else None,
            breaker=breaker,
            failures=failures if is_shared else own.randint(1, 3),
            reset_after=reset_after if is_shared else own.randint(1, 4),
        )
        stages.append(replace(spec, rescue=rescue))
    return replace(scenario, stages=tuple(stages))


class FallbackError(Exception):
    """What fallbacks fail with."""


class Rescuers:
    """
    The objects that the options of a scenario's tasks need.

    :param world: where it happens
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.budgets: dict[int, RetryBudget] = {}
        self.breakers: dict[int, CircuitBreaker] = {}
        self.trials: dict[int, Call] = {}

    def options(self, spec: StageSpec, task_name: str) -> dict[str, Any]:
        """Return the options of a stage's task."""
        rescue, options = spec.rescue, dict[str, Any]()
        if rescue.budget is not None:
            budget = RetryBudget(PLENTY if rescue.budget == "plenty" else 1, per_success=0)
            if rescue.budget == "empty":
                budget.take()
            options["retry_budget"] = self.budgets[spec.number] = budget
        if rescue.breaker is not None:
            if rescue.breaker not in self.breakers:
                self.breakers[rescue.breaker] = CircuitBreaker(
                    rescue.failures, rescue.reset_after, when_open=rescue.when_open
                )
            options["circuit_breaker"] = self.breakers[rescue.breaker]
            if rescue.when_open == "fail":
                options["on_error"] = refusing(self.world, spec)
        if rescue.fallback is not None:
            options["fallback"] = self.fallback(spec, f"{task_name}?")
        return options

    def fallback(self, spec: StageSpec, name: str) -> Any:
        """Return the task that takes over."""
        function = self.function(spec)
        if spec.kind == "single":
            return SingleTask(function, task_name=name)
        return BatchTask(function, max_size=1000, task_name=name)

    def function(self, spec: StageSpec) -> Callable[[Any], Awaitable[Any]]:
        from .behaviour import fallback_of, nap_of, parts_of
        from .processes import nap

        async def function(item: Any) -> Any:
            parts = parts_of(spec, item)
            text = " ".join(parts)
            journal, seed = self.world.of(parts[0]), self.world.scenario.seed
            call: Any = journal.elements.get((spec.number, text), None)
            if call is None:
                call = journal.attempts[spec.number, text]
            journal.note("fall back", spec.number, text)
            journal.ask(f"the fallback of stage {spec.number} called with {text}")
            journal.open[f"a fallback of stage {spec.number}"] += 1
            call.run()
            try:
                await nap(nap_of(seed, spec.number, f"{text}/fallback", spec.naps))
            finally:
                journal.look()
                journal.open[f"a fallback of stage {spec.number}"] -= 1
                journal.running[spec.number] -= 1
            outcome = fallback_of(seed, spec, text)
            if outcome == "fail":
                error = FallbackError(text)
                if spec.handler is None and spec.on_error == "fail":
                    call.fail_for_good("fallback", error)
                elif spec.handler is None and spec.names is not None:
                    journal.namings.leave_out(call)
                elif spec.handler is None and not call.is_part:
                    call.settle(-len(parts))
                raise error
            if spec.names is not None:
                return journal.namings.put(call, "?")
            if outcome == "nothing":
                if not call.is_part:
                    call.settle(-len(parts))
                return None
            if spec.isolates and not call.is_part:
                journal.promise([f"{text}?"])
                call.settle(0)
            elif not spec.isolates:
                journal.arrive(spec.number + 1)
                call.settle(1 - len(parts))
            return f"{text}?"

        return function

    def begin(self, call: Call) -> None:
        """An attempt begins: not while its breaker is open, nor beside the trial."""
        number = call.spec.rescue.breaker
        # A generator that was let through may have waited for room since; then it is no trial.
        if number is None or (call.spec.is_generator and self.world.scenario.window is not None):
            return
        state = self.breakers[number].state
        text = f"stage {call.spec.number} called with {call.text}"
        if state == "open":
            call.journal.problem(f"{text} while the circuit was open")
        if state == "half_open":
            if number in self.trials:
                call.journal.problem(f"{text} while {self.trials[number].text} was on trial")
            self.trials[number] = call

    def end(self, call: Call) -> None:
        """An attempt has ended."""
        number = call.spec.rescue.breaker
        if number is not None and self.trials.get(number) is call:
            del self.trials[number]

    def check(self, statistics: Sequence[RunStatistics | None]) -> list[str]:
        """After all runs, say what is wrong with the budgets: each retry has taken a token."""
        problems: list[str] = []
        for number, budget in self.budgets.items():
            taken = round(budget.tokens - budget.tokens_left) - (budget.tokens == 1)
            retried = sum(stats.stages[number].retried for stats in statistics if stats is not None)
            if taken != retried:
                problems.append(f"stage {number} retried {retried} times and took {taken} tokens")
        return problems
