"""
Those who read the results of a run: patiently, slowly, or not to the end.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from conveyor import StreamClosedError

from .failures import BodyError, Quit
from .processes import nap
from .scenario import ConsumerSpec
from .world import Journal

__all__ = ["Consumer"]

#: Ticks after which every run that can end has ended.
LONG = 1000


class Consumer:
    """
    Reads one stream as its specification says, and notes how that ended.

    :param stream: of a pipeline
    :param journal: of its run
    """

    def __init__(self, stream: Any, journal: Journal) -> None:
        self.stream = stream
        self.journal = journal
        self.spec: ConsumerSpec = journal.consumer

    async def run(self) -> None:
        """Consume, and be cancelled if that is the plan."""
        spec = self.spec
        if spec.drain_at is not None:
            return await self.consume_and_drain(spec.drain_at)
        if spec.cancel_at is None:
            return await self.consume()
        if spec.cancel_by == "native" and current_backend() == "asyncio":
            return await self.cancel_natively(spec.cancel_at)
        with anyio.CancelScope(deadline=spec.cancel_at):
            await self.consume()

    async def consume_and_drain(self, when: float) -> None:
        async with anyio.create_task_group() as task_group:
            task_group.start_soon(self.drain, when)
            await self.consume()
            task_group.cancel_scope.cancel()

    async def drain(self, when: float) -> None:
        await nap(when)
        if self.journal.is_ending:
            return
        self.journal.drain()
        self.stream.drain()

    async def cancel_natively(self, when: float) -> None:
        task = asyncio.ensure_future(self.consume())
        await asyncio.sleep(when)
        requested = task.cancel("enough")
        await asyncio.wait([task])
        if not self.journal.ending:
            self.journal.end("cancelled")  # before its first step
        # Before Python 3.11 a scope cannot tell a cancel() from its own deadline in the same tick.
        can_tell = sys.version_info >= (3, 11) or self.spec.patience is None
        # The end of the program goes before a cancellation in the same turn.
        is_over = task.cancelled() or isinstance(self.journal.ending[-1], Quit)
        if requested and can_tell and not is_over:
            self.journal.problem("the cancellation was swallowed")

    async def consume(self) -> None:
        ways = {"collect": self.collect, "plain": self.plain, "block": self.block}
        journal = self.journal
        try:
            ending = await ways[self.spec.style]()
        except BodyError:
            journal.end("left")
        except anyio.get_cancelled_exc_class():
            journal.end("cancelled")
            self.check_cancelling()
            raise
        except BaseException as error:
            journal.end("error", error)
        else:
            journal.end(ending)

    def check_cancelling(self) -> None:
        if self.spec.cancel_by != "native" or sys.version_info < (3, 11):
            return
        if current_backend() == "asyncio":
            task = asyncio.current_task()
            assert task is not None
            if task.cancelling() != 1:
                self.journal.problem(f"cancelling() is {task.cancelling()}")

    async def collect(self) -> str:
        self.journal.is_strict = True
        for result in await self.stream.collect():
            self.journal.receive(result)
        return "end"

    # Plain iteration

    async def plain(self) -> str:
        journal, spec = self.journal, self.spec
        iterator = aiter(self.stream)
        while True:
            if len(journal.received) == spec.leave_after:
                if spec.leave_by == "wait":
                    await nap(LONG)
                else:
                    await turn(spec.turns)
                    journal.is_ending = True
                    if spec.leave_by == "drop":
                        drop(iterator)
                        del iterator
                        collect_garbage()
                        return "left"
                    return await self.leave(iterator)
            # Cancelled in here, the iterator ends its run before it goes on.
            journal.is_strict = True
            journal.look()
            try:
                result = await anext(iterator)
            except StopAsyncIteration:
                return "end"
            journal.is_strict = False
            journal.receive(result)
            await self.rest()

    async def leave(self, iterator: Any) -> str:
        journal = self.journal
        if self.spec.leave_by == "raise":
            raise BodyError
        if self.spec.leave_by == "aclose":
            journal.is_strict = journal.is_gone = True
            await self.stream.aclose()
            journal.check_rest("return of aclose()")
            await iterator.aclose()
            try:
                await anext(iterator)
            except StreamClosedError:
                pass
            else:
                journal.problem("a closed stream goes on")
        return "left"

    # The block

    async def block(self) -> str:
        journal, spec = self.journal, self.spec
        journal.is_strict = True
        async with self.stream as results:
            while True:
                if len(journal.received) == spec.leave_after:
                    await turn(spec.turns)
                    journal.is_ending = journal.is_gone = True
                    return await self.leave(results)
                try:
                    result = await self.next_in_time(results)
                except StopAsyncIteration:
                    break
                journal.receive(result)
                await self.rest()
        return "end"

    async def next_in_time(self, results: Any) -> Any:
        """Wait for the next result as long as patience lasts, again and again."""
        patience = self.spec.patience
        while True:
            self.journal.look()
            if patience is None:
                return await anext(results)
            with anyio.move_on_after(patience):
                return await anext(results)
            self.journal.note("impatient")
            await nap(1)

    async def rest(self) -> None:
        naps = self.spec.naps
        await nap(naps[len(self.journal.received) % len(naps)])


async def turn(turns: int) -> None:
    """Let others run so many times."""
    for _ in range(turns):
        await checkpoint()


def drop(iterator: Any) -> None:
    """Leave an iterator to the garbage collector."""
    cycle = [iterator]
    cycle.append(cycle)
    del iterator, cycle


def current_backend() -> str:
    """Return the name of the event loop's library."""
    return "asyncio" if anyio.get_cancelled_exc_class() is asyncio.CancelledError else "trio"


def collect_garbage() -> None:
    """Free what is young."""
    gc.collect(1)
