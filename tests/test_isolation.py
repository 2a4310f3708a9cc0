"""Context variables where calls belong together, or share more than a worker, in whole runs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context, ContextVar, copy_context
from threading import Thread
from typing import Any

import pytest

from conveyor import SKIP, Failed, batch_task, get_current_context, single_task
from conveyor._engine.isolation import run_in_context

setter: ContextVar[Any] = ContextVar("setter", default="caller")


def tell_and_set(value: Any) -> Any:
    """Return who has set the variable, and set it."""
    before = setter.get()
    setter.set(value)
    return before


# Parts of a batch


async def test_halves_of_a_batch_see_nothing_of_each_other() -> None:
    """As the parts get smaller; each sees what the call with the whole batch has set."""
    seen: dict[tuple[int, ...], Any] = {}

    @batch_task(max_size=4, on_error="skip_item")
    async def work(batch: list[int]) -> list[int]:
        seen[tuple(batch)] = tell_and_set(tuple(batch))
        if 3 in batch:
            raise ValueError
        return batch

    whole = (0, 1, 2, 3)
    assert await work(range(4)).collect() == [0, 1, 2]
    assert seen == {whole: "caller", (0, 1): whole, (2, 3): whole, (2,): whole, (3,): whole}


async def test_halves_of_a_smaller_batch_see_nothing_of_each_other() -> None:
    """That which single items were told to be repeated in."""
    seen: dict[tuple[int, ...], Any] = {}
    retried: Any = {"retry_attempts": 2, "retry_delay": 0}

    @batch_task(max_size=3, on_error="skip_item", **retried)
    async def work(batch: list[int]) -> list[Any]:
        seen.setdefault(tuple(batch), tell_and_set(tuple(batch)))
        if 1 in batch and len(batch) < 3:
            raise ValueError
        return [batch[0], *map(Failed, [OSError(), OSError()])] if len(batch) == 3 else batch

    smaller = (1, 2)
    assert await work(range(3)).collect() == [0, 2]
    assert seen == {(0, 1, 2): "caller", smaller: (0, 1, 2), (1,): smaller, (2,): smaller}


def fail_each(batch: list[int]) -> list[Failed]:
    return [Failed(ValueError()) for _ in batch]


async def test_fallbacks_for_items_of_a_batch_see_nothing_of_each_other() -> None:
    """Each is called with a batch of one."""

    @batch_task(max_size=3)
    async def other(batch: list[int]) -> list[Any]:
        return [(item, tell_and_set(item)) for item in batch]

    work = batch_task(max_size=3, fallback=other)(fail_each)
    assert await work(range(3)).collect() == [(item, "caller") for item in range(3)]


async def test_decisions_on_items_of_a_batch_see_nothing_of_each_other() -> None:
    """A function as ``on_error`` is asked once for each item."""
    seen: list[Any] = []

    def decide(error: Exception, item: Any) -> Any:
        seen.append(tell_and_set(item))
        return SKIP

    work = batch_task(max_size=3, on_error=decide)(fail_each)
    assert await work(range(3)).collect() == []
    assert seen == ["caller"] * 3


async def test_on_failure_for_items_of_a_batch_sees_nothing_of_another() -> None:
    """Whether a batch fails as a whole, or its items do."""
    seen: list[Any] = []

    async def tell(failure: Any) -> None:
        seen.append(tell_and_set(failure.index))

    def fail(batch: list[int]) -> list[Failed]:
        if 0 in batch:
            raise ValueError
        return fail_each(batch)

    work = batch_task(max_size=2, on_error="divert")(fail).with_context(on_failure=tell)
    assert await work(range(4)).collect() == []
    assert seen == ["caller"] * 4


# What is kept


async def test_a_fallbacks_side_input_sees_the_values_of_the_caller() -> None:
    """Not those of the first call that has failed, since all get the same."""

    async def fetch() -> Any:
        return setter.get()

    @single_task
    async def other(item: int, fetched: Any) -> Any:
        return item, fetched

    @single_task(fallback=other.with_inputs(fetch()))
    async def work(item: int) -> None:
        setter.set(item)
        raise ValueError

    setter.set("the one who starts it")
    assert await work(range(2)).collect() == [(0, setter.get()), (1, setter.get())]


# Other contexts


async def test_the_context_that_calls_run_in_is_found() -> None:
    """On every event loop, or else each call of the stage would go the long way."""
    stream = single_task(lambda item: item)(range(4))
    assert await stream.collect() == list(range(4))
    assert stream._run is not None
    assert stream._run.stages[0]._plainly is not None


@pytest.mark.parametrize("is_inside", [True, False], ids=["inner", "earlier"])
async def test_what_is_copied_from_another_run_is_seen_by_no_other_call(is_inside: bool) -> None:
    """Some bridges copy all variables back that code elsewhere has seen."""
    copies: list[Context] = []
    inner = single_task(lambda _: copies.append(copy_context())).with_context(name="inner")

    @single_task(concurrency_limit=1)
    async def outer(item: int) -> Any:
        context = get_current_context()
        if item == 1:
            if is_inside:
                await inner([0]).collect()
            for variable, value in copies[0].items():
                variable.set(value)
        return context and context["name"]

    async def run() -> Any:
        if not is_inside:
            await inner([0]).collect()
        return await outer.with_context(name="outer")(range(4)).collect()

    # Where AnyIO's runner has set no variable.
    assert await run_in_context(Context(), run()) == ["outer"] * 4


@pytest.mark.parametrize("is_set", [True, False], ids=["others set", "none set"])
def test_a_run_may_go_on_in_another_thread(is_set: bool) -> None:
    """With its event loop; there may be no context around that of a task there."""
    context = Context()
    if is_set:
        context.run(setter.set, "caller")

    @single_task(concurrency_limit=1)
    async def work(item: int) -> Any:
        await asyncio.sleep(0)
        return tell_and_set(item) if item > 30 else "caller"

    async def begin() -> Any:
        results = aiter(work.with_context(max_in_flight=8)(range(40)))
        return results, [await anext(results)]

    async def go_on(results: Any, begun: list[Any]) -> list[Any]:
        return begun + [each async for each in results]

    loop = asyncio.new_event_loop()
    results, begun = context.run(loop.run_until_complete, begin())
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        rest = asyncio.run_coroutine_threadsafe(go_on(results, begun), loop)
        assert rest.result(30) == ["caller"] * 40
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_a_task_factory_may_run_tasks_in_contexts_of_its_own() -> None:
    """Which the engine cannot find; it must not look at another one instead."""

    def in_a_copy(
        loop: asyncio.AbstractEventLoop, routine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        async def step() -> Any:
            return await run_in_context(copy_context(), routine)

        return asyncio.Task(step(), loop=loop, **options)

    async def run() -> Any:
        asyncio.get_running_loop().set_task_factory(in_a_copy)
        return await asyncio.create_task(work(range(4)).collect())

    work = single_task(concurrency_limit=1)(tell_and_set)

    assert asyncio.run(run()) == ["caller"] * 4
