"""
The tasks of a scenario: functions, handlers and processes that do what :mod:`.behaviour` says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from conveyor import BaseTask, BatchTask, Pipeline, SingleTask

from .adaptive import limit_of
from .behaviour import NO_ITEM, key_of, nap_of, parts_of, weight_of
from .failures import Boom, fail, fail_async
from .hooks import Hooks
from .keys import lane_options
from .model import SIDE_COUNT, Fatal
from .named import Element, asked_about, result_with_failed
from .processes import Process, nap
from .scenario import StageSpec
from .world import Call, World

__all__ = ["Stages"]


class Stages:
    """
    The pipeline of a scenario, and what has to be closed after its runs.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.side_inputs: list[Any] = []

    def pipeline(self) -> Pipeline[Any, Any]:
        """Return the pipeline."""
        scenario = self.world.scenario
        pipeline: Pipeline[Any, Any] = Pipeline().add(*[self.task(s) for s in scenario.stages])
        return pipeline.with_context(
            execution_mode="ordered" if scenario.ordered else "as_completed",
            max_in_flight=scenario.window,
            max_parallelism=scenario.parallelism,
            max_errors=scenario.max_errors,
            failure=scenario.failure,
        )

    async def close(self) -> None:
        """Close the side inputs, which belong to whoever made them."""
        for each in self.side_inputs:
            if hasattr(each, "aclose"):
                await each.aclose()
            else:
                each.close()

    def task(self, spec: StageSpec) -> BaseTask[Any, Any]:
        """Return the task of one stage."""
        name = f"{spec.shape}{spec.number}"
        if spec.kind == "process":
            return Process(self.world, spec, name)
        options: dict[str, Any] = {
            "task_name": name,
            "on_error": spec.on_error,
            "concurrency_limit": limit_of(spec),
            "retry_attempts": spec.attempts,
            "retry_delay": spec.retry_delay,
            "retry_jitter": 0,
            "retry_on": {"all": Exception, "boom": Boom, "broken": broken_predicate}[spec.retry_on],
            "timeout": spec.timeout,
            "flatten": spec.shape not in ("whole", "rest"),
            "in_order": spec.in_order,
            "error_handler": Handler(self.world, spec) if spec.handler else None,
        }
        options.update(self.world.rescuers.options(spec, name))
        hooks = Hooks(self.world, spec)
        options.update(hooks.options())
        function = hooks.around(self.function(spec))
        if spec.kind == "batch":
            if spec.max_weight is not None:
                options.update(weight=self.weight(spec), max_weight=spec.max_weight)
            if spec.keys is not None:
                options.update(batch_by=self.key(spec))
            if spec.target is not None:
                options.update(target_duration=spec.target)
            max_size: Any = spec.max_size if spec.target is None else "auto"
            return BatchTask(function, spec.min_size, max_size, max_wait=spec.max_wait, **options)
        options.update(lane_options(self.world, spec))
        task: SingleTask[Any, Any] = SingleTask(function, **options)
        if spec.side is not None:
            self.side_inputs.append(side := self.side_input(spec))
            task = task.with_inputs(side)
        return task

    def weight(self, spec: StageSpec) -> Callable[[Any], int]:
        """Return the function that tells what an item of a batch weighs."""
        seed = self.world.scenario.seed
        return lambda item: weight_of(seed, spec, str(item))

    def key(self, spec: StageSpec) -> Callable[[Any], int]:
        """Return the function that tells which items of a batch may be together."""
        seed = self.world.scenario.seed
        return lambda item: key_of(seed, spec, str(item))

    def side_input(self, spec: StageSpec) -> Any:
        """Return what the calls get besides the item."""
        return self.side_stream(spec) if spec.side == "stream" else self.side_coroutine(spec)

    async def side_stream(self, spec: StageSpec) -> AsyncIterator[str]:
        journal = self.world.journals[0]
        for number in range(SIDE_COUNT):
            await nap(nap_of(self.world.scenario.seed, spec.number, f"side{number}", spec.naps))
            if number == spec.side_fails_at:
                journal.note("side fails", spec.number)
                raise Boom(f"side {number}")
            yield str(number)

    async def side_coroutine(self, spec: StageSpec) -> str:
        try:
            await nap(spec.naps[-1])
        except anyio.get_cancelled_exc_class() as error:
            # The run that asked first has ended; a coroutine cannot be awaited again for another.
            for journal in self.world.journals:
                journal.lose_side(spec, error)
            raise
        if spec.side_fails_at is not None:
            error = Boom("side")
            for journal in self.world.journals:
                journal.fail(Fatal(spec.number, "side", "boom"), error)
            raise error
        return "c"

    # Functions

    def function(self, spec: StageSpec) -> Callable[..., Any]:
        """Return the function of a single or batch task."""
        if spec.side is not None:
            function: Callable[..., Any] = self.with_side(spec)
        elif spec.shape == "generator":
            function = self.generator(spec)
        elif spec.shape == "async_generator":
            function = self.async_generator(spec)
        else:
            function = self.coroutine(spec) if spec.is_async else self.plain(spec)
        if spec.number == 0 and self.world.scenario.source.kind == "none":
            return lambda: function(NO_ITEM)
        return function

    def attempt(self, spec: StageSpec, item: Any) -> Call:
        parts = parts_of(spec, item)
        return self.world.of(parts[0]).attempt(spec, item, self.world.rescuers)

    def plain(self, spec: StageSpec) -> Callable[[Any], Any]:
        def function(item: Any) -> Any:
            with self.attempt(spec, item) as call:
                if call.plan.fails_after == 0:
                    fail(call.plan.error, call.text)
                return result_of(call)

        return function

    def coroutine(self, spec: StageSpec) -> Callable[[Any], Awaitable[Any]]:
        async def function(item: Any) -> Any:
            with self.attempt(spec, item) as call:
                async with Cleanup(spec):
                    await step(call, 0)
                    return result_of(call)

        return function

    def generator(self, spec: StageSpec) -> Callable[[Any], Iterator[Any]]:
        def function(item: Any) -> Iterator[Any]:
            with self.attempt(spec, item) as call:
                for position, output in enumerate(call.plan.outputs):
                    if call.plan.fails_after == position:
                        fail(call.plan.error, call.text)
                    call.give(output)
                    try:
                        yield output
                    except GeneratorExit:
                        call.resume(closing=True)
                        raise
                    call.resume()
                if call.plan.fails_after == len(call.plan.outputs):
                    fail(call.plan.error, call.text)

        return function

    def async_generator(self, spec: StageSpec) -> Callable[[Any], AsyncIterator[Any]]:
        async def function(item: Any) -> AsyncIterator[Any]:
            with self.attempt(spec, item) as call:
                async with Cleanup(spec):
                    for position, output in enumerate(call.plan.outputs):
                        await step(call, position)
                        call.give(output)
                        try:
                            yield output
                        except GeneratorExit:
                            call.resume(closing=True)
                            await last_words(call)
                            raise
                        call.resume()
                    await step(call, len(call.plan.outputs))

        return function

    def with_side(self, spec: StageSpec) -> Callable[[Any, Any], Awaitable[Any]]:
        async def function(item: Any, side: Any) -> str:
            with self.attempt(spec, item) as call:
                journal = call.journal
                if spec.side == "stream":
                    try:
                        side = await anext(side, None)
                    except Boom:
                        journal.observed.sides[spec.number, call.text] = "fatal"
                        raise
                    journal.observed.sides[spec.number, call.text] = str(side)
                    journal.note("side", spec.number, call.text, str(side))
                await step(call, 0)
                return f"{call.text}+{side}"

        return function


def result_of(call: Call) -> Any:
    """Return what a function that is no generator returns."""
    outputs = call.plan.outputs
    if call.spec.names is not None:
        return result_with_failed(call)
    if call.spec.shape == "list":
        return list(outputs)
    return outputs[0] if outputs else None


async def step(call: Call, position: int) -> None:
    """Take the time that the next output takes, and fail if that is the plan."""
    plan = call.plan
    for _ in range(plan.turns[position]):
        await checkpoint()
    if plan.naps[position]:
        call.napping_since = anyio.current_time()
        await anyio.sleep(plan.naps[position])
        call.spent += plan.naps[position]
        call.napping_since = None
    if plan.fails_after == position:
        await fail_async(plan.error, call.text)


async def last_words(call: Call) -> None:
    """Await in a generator that is closed where it waits; nobody may interrupt that."""
    try:
        await nap(call.spec.cleanup)
    except anyio.get_cancelled_exc_class():
        call.journal.problem(f"the cleanup of {call.text} was cancelled")
        raise


class Cleanup:
    """Takes its time at the end of a call, however it ends."""

    def __init__(self, spec: StageSpec) -> None:
        self.ticks = spec.cleanup

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *exc_info: object) -> None:
        if self.ticks:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(self.ticks)


class BrokenPredicate(Exception):
    """A mistake in the settings."""


def broken_predicate(error: Exception) -> bool:
    """Raise where an answer is wanted."""
    raise BrokenPredicate


class Handler:
    """Decides as its specification says; asked once per failed call."""

    def __init__(self, world: World, spec: StageSpec) -> None:
        self.world = world
        self.spec = spec

    async def handle_error(
        self, error: Exception, item: Any, task_name: str, attempt: int
    ) -> tuple[bool, Any]:
        journal = self.world.of(str(item))
        call = asked_about(journal, self.spec, item)
        parts = call.parts
        journal.note("handle", self.spec.number, call.text, attempt)
        is_fallback = task_name.endswith("?")
        made = 1 if is_fallback else call.number
        if attempt != made:
            journal.problem(f"the handler is told {attempt} attempts, there were {made}")
        await nap(self.spec.naps[0])
        journal.look()
        if self.spec.names is not None and self.spec.handler == "skip":
            journal.namings.leave_out(call)
            return True, None
        if self.spec.names is not None and self.spec.handler == "replace":
            values = journal.namings.put(call, "^")
            return True, values[0] if isinstance(call, Element) else values
        if self.spec.handler == "skip":
            call.settle(-len(parts))
            return True, None
        if self.spec.handler == "replace":
            journal.arrive(self.spec.number + 1)
            call.settle(1 - len(parts))
            return True, f"{call.text}^"
        if self.spec.handler == "raise":
            broken = Boom("handler")
            call.fail_for_good("handler", broken)
            raise broken
        kind = "fallback" if is_fallback else call.kind
        call.fail_for_good(kind, error)
        return False, None
