"""
The results of a run that is going on, one by one.

:class:`Results` belongs to a block (``async with stream as results``); :class:`PlainIterator` is
what a bare ``async for`` iterates.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import get_cancelled_exc_class

from ._engine.handoff import EMPTY
from .error_handling import CollectLimitError
from .statistics import RunStatistics

if TYPE_CHECKING:
    from ._engine.run import Run
    from .stream import PipelineStream

__all__ = ["Results"]

T = TypeVar("T")


class Results(AsyncIterator[T]):
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
        self._take = self._run.handoff.take

    def __aiter__(self) -> Results[T]:
        return self

    async def __anext__(self) -> T:
        result: T = self._take()
        if result is EMPTY:
            result = await self._run.handoff.receive()
        return result

    async def collect(self, limit: int | None = None) -> list[T]:
        """
        Read what is left.

        :param limit: results at most
        :return: the results, in the order of the stream
        :raises CollectLimitError: if there are more than *limit*
        """
        if limit is not None:
            return await collect(self, limit)
        collected: list[T] = []
        try:
            while True:
                collected.append(await self.__anext__())
                collected += self._run.handoff.take_all()
        except StopAsyncIteration:
            return collected

    async def aclose(self) -> None:
        """
        End the run early and wait until everything in it has ended; idempotent.

        :raises BaseException: a failure of the run, its cleanup included, not raised before
        """
        await self._run.close()

    def stats(self) -> RunStatistics:
        """Return what the run has counted so far."""
        return RunStatistics.of(self._run)


class PlainIterator(AsyncIterator[T]):
    """
    The results of a run that no block encloses.

    The first ``anext()`` starts it, and dropping the iterator ends it: the run knows nothing of its
    iterator, so nothing but the consumer keeps that alive.
    """

    def __init__(self, stream: PipelineStream[T]) -> None:
        self._stream = stream
        self._run: Run | None = None
        self._take: Callable[[], Any] = _nothing_yet

    async def __anext__(self) -> T:
        result: T = self._take()
        if result is EMPTY:
            result = await self._receive()
        return result

    async def _receive(self) -> Any:
        run = self._run
        if run is None:
            # The stream's other half.
            self._run = run = self._stream._start()  # pyright: ignore[reportPrivateUsage]
            self._take = run.handoff.take
            run.host.spawn(run.execute, run.finish)
        try:
            return await run.handoff.receive()
        except get_cancelled_exc_class():
            # There is no block whose end would end the run, so this is it.
            run.stop()
            await run.join()
            run.drop_results()
            raise

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


def _nothing_yet() -> Any:
    return EMPTY


def _check_limit(limit: object) -> None:
    if limit is not None and (not isinstance(limit, int) or limit < 0):
        raise ValueError(f"limit must be None or an int of at least 0, got {limit!r}")


async def collect(results: AsyncIterator[T], limit: int | None) -> list[T]:
    """
    Read *results* to the end.

    :param results: any async iterator
    :param limit: results at most
    :raises CollectLimitError: if there are more than *limit*
    """
    _check_limit(limit)
    collected: list[T] = []
    async for result in results:
        if limit is not None and len(collected) == limit:
            raise CollectLimitError(
                f"there are more than limit={limit} results; iterate the stream, or raise the limit"
            )
        collected.append(result)
    return collected
