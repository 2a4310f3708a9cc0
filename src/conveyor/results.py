"""
The results of a run that is going on, one by one.

:class:`Results` belongs to a block (``async with stream as results``); :class:`PlainIterator` is
what a bare ``async for`` iterates.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import get_cancelled_exc_class

from .error_handling import CollectLimitError, StreamClosedError

if TYPE_CHECKING:
    from ._engine.handoff import Handoff
    from ._engine.run import Run
    from .outcomes import Failures
    from .report import RunReport
    from .statistics import RunStatistics
    from .stream import PipelineStream

__all__ = ["Results"]

T = TypeVar("T")


class _Taking(AsyncIterator[T]):
    """Takes results of the present lot, and waits for the next one in :meth:`_receive`."""

    _handoff: Handoff

    def __init__(self) -> None:
        self._ready: deque[T] = deque()

    async def __anext__(self) -> T:
        ready = self._ready
        if not ready or self._handoff.locate() != self._handoff.location:
            return await self._receive()
        result = ready.popleft()
        if not ready:
            self._handoff.end_lot()
        return result

    async def _receive(self) -> T:
        raise NotImplementedError


class Results(_Taking[T]):
    """
    The results of a run that is going on.

    One result per ``anext()``, in input order or as completed; ``StopAsyncIteration`` after the
    last one, once every worker has ended. A failure of the run is raised after the results that
    were ready. Cancelling a wait loses nothing; the iteration can go on.

    :param run: the run
    """

    # Any, lest the insides of the engine be part of the public types.
    def __init__(self, run: Any) -> None:
        self._run: Run = run
        self._handoff = self._run.handoff
        self._ready = self._handoff.ready

    def __aiter__(self) -> Results[T]:
        return self

    async def _receive(self) -> T:
        result: T = await self._handoff.receive()
        return result

    async def collect(self, limit: int | None = None) -> list[T]:
        """
        Read what is left; without the end of it, what has been read can be read once more.

        :param limit: results at most
        :return: the results, in the order of the stream
        :raises CollectLimitError: if there are more than *limit*
        """
        collected: list[T] = []
        try:
            if limit is None:
                await self._handoff.receive_rest(collected)
            else:
                await _read(self, limit, collected)
        except BaseException as error:
            # What has ended the run comes after all results.
            is_end = error is self._run.failure or isinstance(error, StreamClosedError)
            if not is_end:
                self._handoff.put_back(collected)
            raise
        return collected

    async def aclose(self) -> None:
        """
        End the run early and wait until everything in it has ended; idempotent.

        :raises BaseException: a failure of the run, its cleanup included, not raised before
        """
        await self._run.close()

    def drain(self, timeout: float | None = None) -> None:
        """
        End the run in an orderly way: pull nothing more, finish and deliver what has been pulled.

        The source is closed; if it is blocked inside itself, it is cancelled there. Whoever
        iterates goes on and gets what is still to come, a last, partial batch included, and then
        the end, as if the data had ended here. Returns at once, so any task of the same event loop
        can call it, the consumer too. Calling it again can only make the time shorter.

        :param timeout: seconds that what is in flight may take, 0 or more; ``None`` for any time.
            Then it is cancelled, and a ``TimeoutError`` raised after the results that were ready;
            results that only wait to be taken are delivered at any time
        :raises RuntimeError: on another event loop
        :raises TypeError: if *timeout* is not a number
        :raises ValueError: if *timeout* is negative
        """
        check_timeout(timeout)
        self._run.draining.begin(timeout)

    @property
    def failures(self) -> Failures:
        """The items that were diverted (``on_error="divert"``) so far."""
        return self._run.routing.failures

    def stats(self) -> RunStatistics:
        """Return what the run has counted so far."""
        return self._run.observation.statistics()

    def report(self) -> RunReport:
        """Return how the run went: a table, and what limited it. During the run, how it goes."""
        return self._run.observation.report()


class PlainIterator(_Taking[T]):
    """
    The results of a run that no block encloses.

    The first ``anext()`` starts it, and dropping the iterator ends it: the run knows nothing of its
    iterator, so nothing but the consumer keeps that alive.
    """

    _run: Run | None = None  # for the destructor, should even the constructor be interrupted

    def __init__(self, stream: PipelineStream[T]) -> None:
        super().__init__()
        self._stream = stream

    async def _receive(self) -> T:
        run = self._run
        if run is None:
            # The stream's other half.
            self._run = run = self._stream._start()  # pyright: ignore[reportPrivateUsage]
            self._handoff, self._ready = run.handoff, run.handoff.ready
            run.host.spawn(run.execute, run.finish)
        try:
            result: T = await run.handoff.receive()
        except get_cancelled_exc_class():
            # There is no block whose end would end the run, so this is it.
            run.stop()
            try:
                await run.join()
            finally:
                run.handoff.drop()
                run.raise_interrupt()
            raise
        return result

    async def aclose(self) -> None:
        """
        End the run early and wait until everything in it has ended; idempotent.

        :raises BaseException: a failure of the run, its cleanup included, not raised before
        """
        await (self._stream.aclose() if self._run is None else self._run.close())

    def __del__(self) -> None:
        run = self._run
        if run is not None and not run.finished:
            run.host.call_soon(run.abandon)


def check_timeout(timeout: object) -> None:
    """Check the seconds that draining may take."""
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout must be a number of seconds, or None for none, got {timeout!r}")
    if not timeout >= 0:
        raise ValueError(f"timeout must be 0 or more, or None for none, got {timeout!r}")


def check_limit(limit: object) -> None:
    """Check how many results are to be collected at most."""
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
        raise ValueError(f"limit must be None or an int of at least 0, got {limit!r}")


async def collect(results: AsyncIterator[T], limit: int | None) -> list[T]:
    """
    Read *results* to the end.

    :param results: any async iterator
    :param limit: results at most
    :raises CollectLimitError: if there are more than *limit*
    """
    collected: list[T] = []
    await _read(results, limit, collected)
    return collected


async def _read(results: AsyncIterator[T], limit: int | None, collected: list[T]) -> None:
    check_limit(limit)
    async for result in results:
        collected.append(result)
        if limit is not None and len(collected) > limit:
            raise CollectLimitError(
                f"there are more than limit={limit} results; iterate the stream, or raise the limit"
            )
