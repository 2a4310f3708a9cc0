"""
The source: one task that iterates the data, and closes it.

It pulls an item only when there is a place for it in the window, and pulls at most a burst before
it lets the other tasks run. The first burst is one item, so that the first result comes soon; then
they double.

Asynchronous data is iterated and closed in one cancel scope, entered before the first item, so a
source that holds scopes or task groups of its own is entered and left in order. On shutdown, a
source that waits at a yield is asked for nothing more and closed uncancelled; one that is blocked
inside itself is cancelled there, and closed uncancelled if it comes to a yield all the same.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from anyio import CancelScope
from anyio.lowlevel import checkpoint

from .call import examine
from .sequence import Chain, Slot

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

if TYPE_CHECKING:
    from .run import Run

FIRST_BURST = 1
LAST_BURST = 512


class NoData:
    """Type of :data:`NO_DATA`."""

    def __repr__(self) -> str:
        return "NO_DATA"


NO_DATA: Any = NoData()
"""Stands for "no data at all": the first task is the source."""


class ScopedIterable(AsyncIterable[Any]):
    """
    Data that is iterated inside ``async with``: a stream of another pipeline.

    Its run then lives in the scope of the task that iterates it and ends with it.
    """

    async def __aenter__(self) -> AsyncIterator[Any]:
        raise NotImplementedError

    async def __aexit__(self, *exc_info: Any) -> bool | None:
        raise NotImplementedError


def items_of(data: Any) -> AsyncIterable[Any] | Iterable[Any]:
    """
    Return what to iterate for *data*: itself, or a tuple of the one item that it is.

    :param data: what the pipeline was called with
    """
    # isinstance() leaves the element type unknown.
    items: AsyncIterable[Any] | Iterable[Any] = (data,)
    if isinstance(data, AsyncIterable):
        items = data  # pyright: ignore[reportUnknownVariableType]
    elif isinstance(data, (str, bytes, bytearray, memoryview, Mapping)):
        pass
    elif isinstance(data, Iterable):
        items = iter(data)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    elif hasattr(data, "__getitem__"):
        # The older protocol of sequences, which not everything that can be subscripted follows.
        with suppress(TypeError):
            items = iter(data)
    return items  # pyright: ignore[reportUnknownVariableType]


class Source:
    """
    Feeds the data into the first chain of a run.

    :param run: the run
    :param data: what the pipeline was called with
    :param chain: the first chain
    :ivar emit: hands a new slot to the first stage, or to the end of the chain
    :ivar pulled: items taken from the data so far
    """

    emit: Callable[[Slot], None]

    def __init__(self, run: Run, data: Any, chain: Chain) -> None:
        self._run = run
        self._data = data
        self._chain = chain
        self._pause_at = 0
        self._burst = FIRST_BURST
        self.pulled = 0

    def stop(self) -> None:
        """End early: ask for nothing more. What is blocked in the data is the run's to cancel."""
        self._pause_at = 0

    async def feed(self) -> None:
        """Iterate the data to its end, or until the run stops, and close it."""
        run = self._run
        try:
            items = items_of(self._data)
            self._data = None
            if isinstance(items, AsyncIterable):
                await self._feed_async(items)
            else:
                await self._feed_sync(items)
            if not run.stopping:
                run.cascade.close(self._chain)
        except BaseException as error:
            error = examine(error, "the source", run)
            run.fail(error, f"raised by the source after {self.pulled} item(s)")

    async def _feed_sync(self, items: Iterable[Any]) -> None:
        run = self._run
        window = run.window
        append = self._chain.append
        emit = self.emit
        try:
            if run.stopping:
                return
            pause_at = self._next_pause()
            for value in items:
                slot = Slot(value, self.pulled)
                self.pulled += 1
                append(slot)
                window.held = held = window.held + 1
                emit(slot)
                if held >= pause_at:
                    del value, slot  # what waits must not keep a user's objects alive
                    pause = await self._pause()
                    if pause is None:
                        return
                    pause_at = pause
        finally:
            if isinstance(items, Generator):
                items.close()

    async def _feed_async(self, items: AsyncIterable[Any]) -> None:
        # Entered before the first step, and shielded when that is over; as in Expansion.pass_on().
        with CancelScope() as scope:
            if isinstance(items, ScopedIterable):
                async with items as results:
                    try:
                        await self._iterate(results)
                    finally:
                        scope.shield = True
                return
            iterator = items.__aiter__()
            try:
                await self._iterate(iterator)
            finally:
                scope.shield = True
                await close_iterator(iterator)

    async def _iterate(self, iterator: AsyncIterator[Any]) -> None:
        # Stopped before our first step, or while a stream was entered: nobody would cancel us then.
        if self._run.stopping:
            return
        self._pause_at = self._next_pause()
        async for value in iterator:
            held = self._admit(value)
            del value  # as above
            if held >= self._pause_at:
                pause = await self._pause()
                if pause is None:
                    return
                self._pause_at = pause

    def _admit(self, value: Any) -> int:
        """Link a new slot in and hand it on; return how many places are taken now."""
        slot = Slot(value, self.pulled)
        self.pulled += 1
        self._chain.append(slot)
        window = self._run.window
        window.held += 1
        self.emit(slot)
        return window.held

    def _next_pause(self) -> int:
        """Return the number of held places at which to pause again."""
        window = self._run.window
        burst = self._burst
        self._burst = min(2 * burst, LAST_BURST)
        return min(window.size, window.held + burst)

    async def _pause(self) -> int | None:
        """Let the others run, and wait until there is room; ``None`` if the run stops."""
        window = self._run.window
        # A generator's own scopes are open around us while it waits at a yield. What they cancel is
        # the generator, at its next step, and not our waiting.
        with CancelScope(shield=True):
            if window.held < window.size:
                await checkpoint()
            while window.held >= window.size and not self._run.stopping:
                await window.wait_as_source()
        return None if self._run.stopping else self._next_pause()


async def close_iterator(iterator: Any) -> None:
    """
    Close an async iterator, if it can be closed.

    :param iterator: any
    """
    if not hasattr(iterator, "aclose"):
        return
    try:
        await iterator.aclose()
    except BaseExceptionGroup as group:
        # A generator that holds a task group wraps the GeneratorExit which closes it.
        _, rest = group.split(GeneratorExit)
        if rest is not None:
            raise rest from None
