"""
A consumer that takes a result only when a test tells it to.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from anyio import CancelScope, Event

if TYPE_CHECKING:
    from ..stream import AsyncStream

T = TypeVar("T")


class ProbeConsumer(Generic[T]):
    """
    Reads a stream on demand, and records what came of it.

    Entered with ``async with``, it enters the stream likewise, and leaves it with the block. Not
    entered, it iterates the stream as ``async for`` does; then end it with :meth:`cancel`.

    :param stream: the stream of a pipeline, or any other async iterable
    """

    # Type checkers know the items of a pipeline's stream by its own name only.
    @overload
    def __init__(self, stream: AsyncStream[T]) -> None: ...
    @overload
    def __init__(self, stream: AsyncIterable[T]) -> None: ...
    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._stack = AsyncExitStack()
        self._results: AsyncIterator[T] | None = None
        self._scope: CancelScope | None = None
        self._idle: Event | None = None
        self._received: list[T] = []
        self._error: Exception | None = None
        self._completed = False
        self._cancelled = False

    @property
    def received(self) -> list[T]:
        """The results so far."""
        return list(self._received)

    @property
    def error(self) -> Exception | None:
        """What the stream has raised; ``None`` if nothing."""
        return self._error

    @property
    def completed(self) -> bool:
        """Whether the stream has ended by itself, without an error."""
        return self._completed

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel` has been called."""
        return self._cancelled

    async def request(self, count: int = 1) -> list[T]:
        """
        Take some results; what the stream raises is recorded as :attr:`error`.

        :param count: results to take
        :return: the results, fewer if the stream ended, failed or was cancelled before
        :raises ValueError: if *count* is less than 1
        :raises RuntimeError: if another task is taking results
        """
        if count < 1:
            raise ValueError(f"request() takes a count of at least 1, got {count}")
        if self._scope is not None:
            raise RuntimeError(
                "request() or next() was called while another was waiting; a stream is to be read "
                "by one task, one result after another"
            )
        before = len(self._received)
        self._idle = idle = Event()
        try:
            with CancelScope() as self._scope:
                await self._take(count)
        finally:
            self._scope = None
            idle.set()
        return self._received[before:]

    async def next(self) -> T:
        """
        Take the next result.

        :return: the result
        :raises Exception: what the stream raises, which is also recorded
        :raises AssertionError: if there is no next result
        """
        results = await self.request()
        if results:
            return results[0]
        if self._error is not None:
            raise self._error
        why = "it was cancelled" if self._cancelled else "it had ended"
        raise AssertionError(
            f"expected another result of the stream, but {why} after {len(self._received)}"
        )

    async def cancel(self) -> None:
        """
        Read no more: end a :meth:`request` that is waiting, and close the stream; idempotent.
        """
        self._cancelled = True
        if self._scope is not None and self._idle is not None:
            self._scope.cancel()
            await self._idle.wait()
        closables: tuple[Any, ...] = (self._results, self._stream)
        for closable in closables:
            if hasattr(closable, "aclose"):
                await closable.aclose()

    async def __aenter__(self) -> ProbeConsumer[T]:
        if hasattr(self._stream, "__aenter__"):
            self._results = aiter(await self._stack.enter_async_context(self._stream))
        else:
            self._stack.push_async_callback(self.cancel)
        return self

    async def __aexit__(self, *exc_info: Any) -> bool | None:
        return await self._stack.__aexit__(*exc_info)

    async def _take(self, count: int) -> None:
        if self._results is None:
            self._results = aiter(self._stream)
        for _ in range(count):
            if self._completed or self._cancelled or self._error is not None:
                return
            try:
                self._received.append(await anext(self._results))
            except StopAsyncIteration:
                self._completed = True
            except Exception as error:
                self._error = error
