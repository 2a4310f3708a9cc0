"""
The sources of a scenario: every form that data may have, with its delays, failures and cleanup.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
from anyio.abc import TaskGroup

from conveyor import SingleTask

from .behaviour import nap_of
from .failures import error_of, fail_async
from .model import Fatal, source_items
from .processes import nap
from .world import Journal

__all__ = ["SourceFactory"]


class SourceFactory:
    """
    Makes the data of one run.

    :param journal: of the run
    :param task_group: outlives the run, for those who feed it from outside
    """

    def __init__(self, journal: Journal, task_group: TaskGroup) -> None:
        self.journal = journal
        self.spec = journal.scenario.source
        self.task_group = task_group
        self.channel: Any = None
        self.failure: BaseException | None = None
        # What fails has to be a new exception, but the model has the rest.
        self.items = [
            item
            for item in source_items(journal.scenario, journal.prefix)
            if not isinstance(item, Fatal)
        ]

    def arguments(self) -> tuple[Any, ...]:
        """Return what to call the pipeline with."""
        if self.spec.kind == "none":
            return ()
        makers: dict[str, Callable[[], Any]] = {
            "list": self.items_as_a_list,
            "generator": self.generator,
            "async_generator": self.async_generator,
            "iterator": lambda: SlowIterator(self),
            "scope": self.with_scope,
            "group": self.with_group,
            "stream": self.stream,
            "memory": self.memory,
        }
        return (makers[self.spec.kind](),)

    # What all of them do

    def give(self, item: Any) -> Any:
        self.journal.pull(item)
        return item

    def check(self, position: int) -> None:
        """Fail, if it is time."""
        if position == self.spec.fails_at:
            self.failure = error_of(self.spec.error, "source")
            raise self.failure

    async def check_async(self, position: int) -> None:
        """As :meth:`check`, and a leaked cancellation is one."""
        if position == self.spec.fails_at:
            try:
                await fail_async(self.spec.error, "source")
            except BaseException as error:
                self.failure = error
                raise

    async def pause(self, position: int) -> None:
        await nap(nap_of(self.journal.scenario.seed, -1, str(position), self.spec.naps))

    # Forms

    def items_as_a_list(self) -> Any:
        return Pulled(self)

    def generator(self) -> Iterator[Any]:
        with Opened(self):
            for item in self.items:
                yield self.give(item)
                self.journal.ask("the source asked for more")
            self.check(len(self.items))

    async def async_generator(self) -> AsyncIterator[Any]:
        with Opened(self):
            try:
                for position, item in enumerate(self.items):
                    await self.pause(position)
                    yield self.give(item)
                    self.journal.ask("the source asked for more")
                await self.check_async(len(self.items))
            except GeneratorExit:
                await self.last_words()
                raise
            else:
                await nap(self.spec.cleanup)

    async def last_words(self) -> None:
        """Await where the source is closed while it waits at a yield; that is not cancelled."""
        if self.failure is not None:
            return  # it has raised that GeneratorExit itself
        try:
            await nap(self.spec.cleanup)
        except anyio.get_cancelled_exc_class():
            self.journal.problem("the cleanup of the source was cancelled")
            raise

    async def with_scope(self) -> AsyncIterator[Any]:
        """Holds a cancel scope of its own while it waits at a yield."""
        with Opened(self), anyio.CancelScope():
            for position, item in enumerate(self.items):
                await self.pause(position)
                yield self.give(item)
                self.journal.ask("the source asked for more")
            self.check(len(self.items))

    async def with_group(self) -> AsyncIterator[Any]:
        """Gets its items from tasks of its own."""
        send, receive = anyio.create_memory_object_stream[Any](1)
        with Opened(self):
            async with anyio.create_task_group() as task_group:
                task_group.start_soon(self.feed, send)
                with receive:
                    async for item in receive:
                        yield self.give(item)
                task_group.cancel_scope.cancel()
            self.check(len(self.items))

    async def feed(self, send: Any) -> None:
        with send:
            for position, item in enumerate(self.items):
                await self.pause(position)
                try:
                    await send.send(item)
                except anyio.BrokenResourceError:
                    return

    def stream(self) -> Any:
        """The stream of another pipeline; what it reads ahead was not pulled by ours."""
        journal = self.journal

        async def upstream(item: Any) -> Any:
            return item

        async def items() -> AsyncIterator[Any]:
            with Opened(self):
                for position, item in enumerate(self.items):
                    await self.pause(position)
                    journal.note("upstream", item)
                    yield item
                self.check(len(self.items))

        return SingleTask(upstream, concurrency_limit=3).pipeline()(items())

    def memory(self) -> Any:
        """A channel that is fed from outside of the run."""
        send, receive = anyio.create_memory_object_stream[Any](2)
        self.task_group.start_soon(self.feed, send)
        self.channel = receive
        return receive

    def close(self) -> None:
        """Close what a run that never began has not closed."""
        if self.channel is not None:
            self.channel.close()


class Opened:
    """Notes that the source is open, until all of its cleanup is done, and how that ends."""

    def __init__(self, factory: SourceFactory) -> None:
        self.factory = factory
        self.journal = factory.journal

    def __enter__(self) -> None:
        # Another pipeline, which is the source, learns of it later; and an iterator that comes to
        # its end has been asked before.
        if self.journal.is_gone and self.factory.spec.kind not in ("stream", "iterator"):
            self.journal.problem("the source was entered although the consumer had left")
        self.journal.open["the source"] += 1

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self.journal.note("source closed", kind.__name__ if kind else "")
        self.journal.open["the source"] -= 1
        if error is not None and error is self.factory.failure:
            self.journal.fail(Fatal(-1, "source", self.factory.spec.error), error)
        if self.factory.spec.cleanup_fails:
            broken = error_of("boom", "cleanup")
            self.journal.fail(Fatal(-1, "cleanup", "boom"), broken)
            raise broken


class Pulled:
    """A sequence by the older protocol that notes what is read of it."""

    def __init__(self, factory: SourceFactory) -> None:
        self.factory = factory

    def __iter__(self) -> Iterator[Any]:
        return map(self.factory.give, self.factory.items)


class SlowIterator(AsyncIterator[Any]):
    """An async iterator that cannot be closed."""

    def __init__(self, factory: SourceFactory) -> None:
        self.factory = factory
        self.position = 0

    async def __anext__(self) -> Any:
        factory, position = self.factory, self.position
        factory.journal.ask("the source asked for more")
        self.position += 1
        await factory.pause(position)
        if position >= len(factory.items):
            with Opened(factory):
                await factory.check_async(position)
            raise StopAsyncIteration
        return factory.give(factory.items[position])
