"""Memory: a long run needs no more than a short one, and nobody keeps what has been delivered."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from conveyor import Pipeline, batch_task, single_task
from conveyor._engine.ordering import ArrivalChain, OrderedChain
from conveyor._engine.sequence import Chain, Slot
from helpers import ticks


@single_task
async def same(item: Any) -> Any:
    return item


@single_task(concurrency_limit=5)
async def twice(item: int) -> list[int]:
    return [item, item]


@single_task(concurrency_limit=5)
async def spelled(item: int) -> Any:
    for _ in range(2):
        yield item


@batch_task(max_size=10)
async def whole(batch: list[Any]) -> list[Any]:
    return batch


PIPELINES = {
    "single": same | same | same,
    "expanding": twice | spelled,
    "batching": same | whole | same,
}


async def peak(pipeline: Pipeline[Any, Any], items: int) -> int:
    """Return the most bytes that a run has allocated at any time; the results are dropped."""
    gc.collect()
    tracemalloc.start()
    try:
        async with pipeline(range(items)) as results:
            async for _ in results:
                pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("mode", ["ordered", "as_completed"])
@pytest.mark.parametrize("name", PIPELINES)
async def test_peak_memory_does_not_depend_on_the_item_count(name: str, mode: Any) -> None:
    """Four times the items, the same peak, give or take a few workers; a slot weighs 80 bytes."""
    pipeline = PIPELINES[name].with_execution_mode(mode)
    await peak(pipeline, 500)  # caches, imports
    assert await peak(pipeline, 8_000) < await peak(pipeline, 2_000) + 200_000


class Tracked:
    """An item that can be weakly referenced."""


@pytest.mark.parametrize("chain", [OrderedChain(), ArrivalChain()], ids=["ordered", "arrival"])
@pytest.mark.parametrize("leave", ["take", "take_all", "discard"])
def test_a_slot_that_has_left_keeps_no_other_alive(chain: Chain, leave: str) -> None:
    """An idle worker that still holds a slot does not hold those that came after it."""
    slots = [Slot(Tracked(), index) for index in range(10)]
    values = [weakref.ref(slot.value) for slot in slots]
    for slot in slots:
        chain.append(slot)
    held = slots[0]
    gc.disable()
    try:
        for slot in slots:
            if leave == "discard":
                chain.discard(slot)
            else:
                chain.finish(slot)
        del slot, slots
        if leave == "take":
            while chain.take() is not None:
                pass
        elif leave == "take_all":
            chain.take_all()
        alive = [value() for value in values if value() is not None]
        assert alive == ([] if leave == "take_all" else [held.value])
    finally:
        gc.enable()


@pytest.mark.parametrize("pipeline", [same | same, same | whole | same, Pipeline()])
async def test_delivered_items_are_let_go(pipeline: Pipeline[Any, Any]) -> None:
    """Once the consumer has dropped a result, nothing in a waiting run holds on to it."""
    references: list[weakref.ref[Tracked]] = []
    gate = anyio.Event()

    def some(count: int) -> Iterator[Tracked]:
        for _ in range(count):
            item = Tracked()
            references.append(weakref.ref(item))
            yield item

    async def source() -> Any:
        for item in some(50):
            yield item
        del item
        await gate.wait()

    async with pipeline(source()) as results:
        for _ in range(50):
            await anext(results)
        await ticks(5)
        gc.disable()  # released, not merely collectable
        try:
            assert [each() for each in references if each() is not None] == []
        finally:
            gc.enable()
        gate.set()
        assert await results.collect() == []
