"""
Hooks: some stages have their items wrapped by ``before``, and their results unwrapped by ``after``.

So all is as it would be without, and a hook that is left out, called twice, or called with anything
but what it should see, leaves a wrapping behind, or finds none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from inspect import isawaitable
from random import Random
from typing import TYPE_CHECKING, Any

from .behaviour import NO_ITEM

if TYPE_CHECKING:
    from .scenario import Scenario, StageSpec
    from .world import World

__all__ = ["Hooks", "with_hooks"]


def with_hooks(scenario: Scenario) -> Scenario:
    """Give hooks to half of the stages."""
    return replace(scenario, stages=tuple(_with_hooks(scenario.seed, s) for s in scenario.stages))


def _with_hooks(seed: int, spec: StageSpec) -> StageSpec:
    # From numbers of its own, so that all else is as it would be without.
    own = Random(f"{seed} {spec.number} hooks")
    before = own.choice([None, None, "plain", "async"])
    after = own.choice([None, None, "plain", "async"])
    if spec.kind == "process":
        return spec
    return replace(spec, before=before, after=None if spec.is_generator else after)


class Wrapped:
    """An item on its way from ``before`` to ``after``, or a result on its way there; used once."""

    def __init__(self, value: Any, item: Any = None) -> None:
        self.value = value
        self.item = item
        self.is_used = False


class Hooks:
    """
    The hooks of one stage.

    :param world: is told of what should not be
    :param spec: of the stage
    """

    def __init__(self, world: World, spec: StageSpec) -> None:
        self.world = world
        self.spec = spec

    def options(self) -> dict[str, Any]:
        """Return the options of the stage's task."""
        given: dict[str, Any] = {}
        if self.spec.before is not None:
            given["before"] = self.before
        if self.spec.after is not None:
            given["after"] = self.after
        for name, hook in given.items():
            if getattr(self.spec, name) == "async":
                given[name] = _awaited(hook)
        return given

    def before(self, item: Any) -> Any:
        """Wrap an item, or those of a batch."""
        if item is None:
            self.problem("before was called without an item")
        if self.spec.kind == "batch":
            return [Wrapped(each) for each in item]
        return Wrapped(item)

    def after(self, item: Any, result: Any) -> Any:
        """Unwrap a result, which was that for this very item."""
        if result is None:
            return None
        value = self.use(result)
        if isinstance(result, Wrapped) and result.item is not item:
            self.problem(f"after got {item!r}, and the function {result.item!r}")
        return value

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that unwraps its item and wraps its result."""
        if self.spec.before is None and self.spec.after is None:
            return function

        def called(*given: Any) -> Any:
            item = given[0] if given else None
            result = function(self.unwrapped(item), *given[1:]) if given else function()
            if self.spec.after is None:
                return result
            return later(item, result) if isawaitable(result) else self.result(item, result)

        async def later(item: Any, pending: Awaitable[Any]) -> Any:
            return self.result(item, await pending)

        return called

    def unwrapped(self, item: Any) -> Any:
        """Return what ``before`` has wrapped, if it has."""
        if self.spec.before is None:
            return item
        return [self.use(each) for each in item] if self.spec.kind == "batch" else self.use(item)

    def result(self, item: Any, result: Any) -> Any:
        """Wrap a result; not one that is none."""
        return None if result is None else Wrapped(result, item)

    def use(self, wrapped: Any) -> Any:
        """Take the wrapping off, which can be done once."""
        if not isinstance(wrapped, Wrapped):
            self.problem(f"{wrapped!r} is not wrapped", wrapped)
            return wrapped
        if wrapped.is_used:
            self.problem(f"{wrapped.value!r} was seen twice", wrapped.value)
        wrapped.is_used = True
        return wrapped.value

    def problem(self, text: str, item: Any = NO_ITEM) -> None:
        """Tell what should not have been."""
        self.world.of(str(item)).problem(f"hooks of stage {self.spec.number}: {text}")


def _awaited(hook: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    async def awaited(*arguments: Any) -> Any:
        return hook(*arguments)

    return awaited
