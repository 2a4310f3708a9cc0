"""
Tasks of a scenario that serve the stream as a whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from conveyor import BaseTask, SingleTask

from .behaviour import nap_of
from .failures import Boom
from .model import Fatal, is_poison
from .scenario import StageSpec
from .world import World

__all__ = ["Process", "nap"]


async def nap(ticks: int) -> None:
    """Sleep, or not even let others run."""
    if ticks:
        await anyio.sleep(ticks)


class Process(BaseTask[Any, Any]):
    """A task that serves the stream as a whole, in one of several ways."""

    def __init__(self, world: World, spec: StageSpec, name: str) -> None:
        super().__init__(task_name=name)
        self.world = world
        self.spec = spec

    def process(self, items: AsyncIterator[Any]) -> Any:
        ways = {"same": self.same, "pairs": self.pairs, "few": self.few, "nested": self.nested}
        return ways[self.spec.shape](items)

    async def take(self, items: AsyncIterator[Any]) -> str:
        """Wait for an item and work on it."""
        item = await anext(items)
        text = str(item)
        journal = self.world.of(text)
        number = self.spec.number
        journal.note("take", number, text)
        journal.calls[number, text] += 1
        journal.see([text])
        journal.held -= 1
        await nap(nap_of(self.world.scenario.seed, number, text, self.spec.naps))
        journal.look()
        if is_poison(self.world.scenario.seed, self.spec, text):
            error = Boom(text)
            journal.fail(Fatal(number, text, "boom"), error)
            raise error
        return text

    def give(self, text: str) -> str:
        journal = self.world.of(text)
        journal.note("give", self.spec.number, text)
        journal.hold()
        journal.arrive(self.spec.number + 1)
        return text

    async def same(self, items: AsyncIterator[Any]) -> AsyncIterator[str]:
        async for text in Taking(self, items):
            yield self.give(text)

    async def pairs(self, items: AsyncIterator[Any]) -> AsyncIterator[str]:
        pair: list[str] = []
        async for text in Taking(self, items):
            pair.append(text)
            if len(pair) == 2:
                yield self.give(f"<{' '.join(pair)}>")
                pair.clear()
        if pair:
            yield self.give(f"<{pair[0]}>")

    async def few(self, items: AsyncIterator[Any]) -> AsyncIterator[str]:
        taking = Taking(self, items)
        for _ in range(self.spec.count):
            try:
                text = await anext(taking)
            except StopAsyncIteration:
                return
            yield self.give(text)

    async def nested(self, items: AsyncIterator[Any]) -> Any:
        async def inner(text: str) -> str:
            await checkpoint()
            # Nobody sees when the inner run passes it on.
            self.world.of(text).promise([text])
            return text

        task: SingleTask[Any, Any] = SingleTask(inner, concurrency_limit=self.spec.limit)
        return task.pipeline()(Taking(self, items))


class Taking(AsyncIterator[str]):
    """Takes the items of a process; no generator, so there is nothing to close."""

    def __init__(self, process: Process, items: AsyncIterator[Any]) -> None:
        self.process = process
        self.items = items

    async def __anext__(self) -> str:
        return await self.process.take(self.items)
