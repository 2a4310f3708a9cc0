"""
A source that does what a test tells it, when it tells it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from anyio import BrokenResourceError, Event, get_cancelled_exc_class
from anyio.lowlevel import checkpoint

T = TypeVar("T")


class ProbeSource(AsyncIterator[T], Generic[T]):
    """
    An async iterator to give as data; the test sends its items, and sees what is asked of it.

    A pull, which is a call of ``anext()``, waits until there is something to give it. At most one
    may be going on.
    """

    def __init__(self) -> None:
        self._entries: deque[_Entry[T]] = deque()
        self._is_pulling = False
        self._is_complete = False
        self._changed: Event | None = None
        self._pulled = 0
        self._taken = 0
        self._cancelled = 0
        self._ended = False
        self._closed = False

    @property
    def pulled(self) -> int:
        """How many items, or the end, have been asked for so far."""
        return self._pulled

    @property
    def taken(self) -> int:
        """How many items have been given out so far."""
        return self._taken

    @property
    def cancelled(self) -> int:
        """How many pulls have been cancelled while they waited."""
        return self._cancelled

    @property
    def ended(self) -> bool:
        """Whether the end, or the failure, has been given out."""
        return self._ended

    @property
    def closed(self) -> bool:
        """Whether the source has been closed; early, unless it has :attr:`ended` too."""
        return self._closed

    async def send(self, item: T) -> None:
        """
        Give the next item, and wait until it has been taken.

        Items that several tasks send at once are given out in turn. A cancelled ``send()`` takes
        its item back.

        :param item: what the next pull returns
        :raises anyio.BrokenResourceError: if the source has been closed, before or meanwhile
        :raises RuntimeError: after :meth:`end` or :meth:`fail`
        """
        entry = self._add(_Entry(item=item))
        try:
            while not entry.is_taken and not self._closed:
                await self._change()
        finally:
            if not entry.is_taken and entry in self._entries:
                self._entries.remove(entry)
        if not entry.is_taken:
            raise BrokenResourceError

    def end(self) -> None:
        """
        Say that there are no more items; after those that have been sent, pulls get the end.

        :raises anyio.BrokenResourceError: if the source has been closed
        :raises RuntimeError: after :meth:`end` or :meth:`fail`
        """
        self._add(_Entry(error=StopAsyncIteration()))
        self._is_complete = True

    def fail(self, error: BaseException) -> None:
        """
        Fail; after the items that have been sent, a pull raises the error, later ones get the end.

        :param error: what the pull raises, this very object
        :raises anyio.BrokenResourceError: if the source has been closed
        :raises RuntimeError: after :meth:`end` or :meth:`fail`
        """
        self._add(_Entry(error=error))
        self._is_complete = True

    async def demanded(self, count: int) -> None:
        """
        Wait until as many pulls have begun since the source was made.

        :param count: pulls, those that have been served included
        :raises anyio.BrokenResourceError: if the source is closed before that
        """
        while self._pulled < count:
            if self._closed:
                raise BrokenResourceError
            await self._change()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        if self._is_pulling:
            raise RuntimeError(
                "anext() was called while another anext() of the same ProbeSource was waiting; "
                "a source is to be read by one task, one item after another"
            )
        self._is_pulling = True
        self._pulled += 1
        self._tell()
        try:
            # Taking comes after the last await, so that a cancelled pull takes nothing.
            await checkpoint()
            while not self._entries and not self._ended and not self._closed:
                await self._change()
        except get_cancelled_exc_class():
            self._cancelled += 1
            raise
        finally:
            self._is_pulling = False
        return self._take()

    async def aclose(self) -> None:
        """
        Close the source; what was sent and not taken is given up.

        :raises RuntimeError: if a pull is going on; cancel it first
        """
        if self._is_pulling:
            raise RuntimeError(
                "aclose() was called while anext() of the same ProbeSource was waiting; "
                "end the task that reads it, then close it"
            )
        self._closed = True
        self._entries.clear()
        self._tell()
        await checkpoint()

    def _add(self, entry: _Entry[T]) -> _Entry[T]:
        if self._closed:
            raise BrokenResourceError
        if self._is_complete:
            raise RuntimeError("this ProbeSource has been told to end; make a new one for more")
        self._entries.append(entry)
        self._tell()
        return entry

    def _take(self) -> T:
        if self._ended or self._closed:
            raise StopAsyncIteration
        entry = self._entries.popleft()
        entry.is_taken = True
        self._tell()
        if entry.error is not None:
            self._ended = True
            raise entry.error
        self._taken += 1
        return entry.item

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def _change(self) -> None:
        # Made only now: outside of an event loop there are no events.
        if self._changed is None:
            self._changed = Event()
        await self._changed.wait()


class _Entry(Generic[T]):
    """What one pull gets: an item or an error."""

    item: T

    def __init__(self, *, item: T | None = None, error: BaseException | None = None) -> None:
        self.error = error
        self.is_taken = False
        if error is None:
            self.item = item  # type: ignore[assignment]  # which may be None itself
