"""
The handle on a stream of results, and the ways of consuming it.

:class:`AsyncStream` wraps any async iterable. :class:`PipelineStream` is what a pipeline returns:
nothing runs until it is consumed, and it is consumed once.

The engine is imported when the first run starts, so that ``import conveyor`` is quick, and so is
what a program may never need.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from anyio import create_task_group, get_cancelled_exc_class, get_current_task
from anyio.abc import TaskGroup

from .data import NO_DATA, ScopedIterable
from .error_handling import StreamClosedError, StreamConsumedError
from .results import PlainIterator, Results, check_limit, check_timeout, collect

if TYPE_CHECKING:
    from ._engine.observation import Observation
    from ._engine.run import Run
    from .context import PipelineContext
    from .outcomes import Failures
    from .plan import StagePlan
    from .report import RunReport
    from .statistics import RunStatistics

__all__ = ["NO_DATA", "AsyncStream", "PipelineStream", "Results"]

Out = TypeVar("Out", covariant=True)
T = TypeVar("T")


class AsyncStream(ScopedIterable, AsyncIterable[Out], Generic[Out]):
    """
    A stream of items that can be iterated, collected, entered, or given as data.

    Around a plain async iterable it just iterates that again each time; streams of pipelines are
    consumed once.

    :param source: an async iterable
    :raises TypeError: if *source* is not one
    """

    def __init__(self, source: AsyncIterable[Out]) -> None:
        # Not everyone's code is type-checked.
        if not isinstance(source, AsyncIterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f"AsyncStream needs an async iterable, got a {type(source).__name__}; "
                "for other data call a pipeline: Pipeline()(data)"
            )
        self._source = source
        # Of the blocks that are open, each with the task that has entered it.
        self._entered: list[tuple[int, AsyncIterator[Out]]] = []

    def __aiter__(self) -> AsyncIterator[Out]:
        return self._source.__aiter__()

    async def __aenter__(self) -> AsyncIterator[Out]:
        iterator = self.__aiter__()
        self._entered.append((get_current_task().id, iterator))
        return iterator

    async def __aexit__(self, *exc_info: Any) -> bool | None:
        # Several tasks may have entered us; one that leaves what another has entered is rare.
        task = get_current_task().id
        own = [place for place, (each, _) in enumerate(self._entered) if each == task]
        _, iterator = self._entered.pop(own[-1] if own else -1)
        await _aclose(iterator)
        return None

    async def collect(self, limit: int | None = None) -> list[Out]:
        """
        Read the whole stream.

        :param limit: results at most
        :return: the results, in the order of the stream
        :raises CollectLimitError: if there are more than *limit*
        """
        check_limit(limit)
        async with self as results:
            return await collect(results, limit)

    async def first(self) -> Out | None:
        """Return the first item and leave the rest to the source; ``None`` if there is none."""
        iterator = self.__aiter__()
        try:
            return await anext(iterator, None)
        finally:
            # An iterator that was made for us is closed; the source itself is its owner's.
            if iterator is not self._source:
                await _aclose(iterator)

    def as_completed(self) -> AsyncStream[Out]:
        """Return the stream itself: what it wraps has an order of its own."""
        return self

    async def aclose(self) -> None:
        """Close the source, if it can be closed."""
        await _aclose(self._source)


class PipelineStream(AsyncStream[Out]):
    """
    The results of a pipeline for some data; made by calling a pipeline.

    Nothing runs until it is consumed, in one of three ways:

    - ``async for result in stream`` is safe to leave at any time: the run ends promptly after the
      iterator is dropped (at once on CPython), or within ``anext()`` if that is cancelled;
    - ``async with stream as results:`` keeps the run inside the block: when the block is left,
      every worker has ended and the source is closed;
    - ``await stream.collect()``.

    :param plans: the stages
    :param data: what the pipeline was called with
    :param context: of the pipeline
    :param gives_outcomes: whether it gives outcomes instead of results
    """

    def __init__(
        self,
        plans: Sequence[StagePlan],
        data: Any,
        context: PipelineContext,
        gives_outcomes: bool = False,
    ) -> None:
        from .outcomes import Failures

        self._plans = plans
        self._data = data
        self._context = context
        self._gives_outcomes = gives_outcomes
        self._failures = Failures()
        self._run: Run | None = None
        self._closed = False
        self._is_drained = False
        self._block: tuple[TaskGroup, Results[Out]] | None = None
        self._iterator: PlainIterator[Out] | None = None

    def _start(self) -> Run:
        """Create the run; a stream has one."""
        from ._engine.run import Run

        self._check_unused()
        data, self._data = self._data, None
        self._run = Run(self._plans, data, self._context, self._failures, self._gives_outcomes)
        if self._is_drained:
            self._run.draining.begin(None)
        return self._run

    def _check_unused(self) -> None:
        if self._closed or (self._run is not None and self._run.was_cut_short):
            raise StreamClosedError("this stream is closed; call the pipeline again for a new one")
        if self._run is not None:
            raise StreamConsumedError(
                "this stream has been iterated already; call the pipeline again for a new one, "
                "or collect() the results to use them twice"
            )

    def __aiter__(self) -> AsyncIterator[Out]:
        if self._block is not None:
            return self._block[1]
        if self._iterator is not None:
            return self._iterator
        self._check_unused()
        return PlainIterator(self)

    async def __anext__(self) -> Out:
        # Used as an iterator itself, the stream is what must be dropped to end the run. An iterator
        # from aiter() is not kept here, so that dropping that is enough.
        if self._iterator is None:
            self._check_unused()
            self._iterator = PlainIterator(self)
        return await self._iterator.__anext__()

    async def __aenter__(self) -> Results[Out]:
        run = self._start()
        results: Results[Out] = Results(run)
        task_group = create_task_group()
        self._block = task_group, results
        await task_group.__aenter__()
        try:
            run.host.uninterrupted(task_group.start_soon, run.execute)
            return results
        except BaseException as error:
            # A KeyboardInterrupt, say; nobody else would leave the group.
            await self.__aexit__(type(error), error, error.__traceback__)
            raise

    async def __aexit__(self, *exc_info: Any) -> bool | None:
        block, run = self._block, self._run
        if block is None or run is None:
            raise RuntimeError("this stream's block has not been entered")
        # The run records its failures, so the group itself has nothing to raise, but for what hit
        # the run's own task outside of any code of ours; and an error of the body is not the
        # group's business, or it would come out wrapped.
        gives_way = exc_info[0] is not None
        try:
            try:
                self._block = None
                run.insist(run.stop)
            finally:
                await block[0].__aexit__(None, None, None)
        except get_cancelled_exc_class():
            gives_way = True
            raise
        except BaseException as error:
            from ._engine.failures import bare

            run.fail(bare(error), "raised in the machinery of a pipeline")
        finally:
            run.insist(run.finish)
            run.handoff.drop()
            run.raise_interrupt()
            if gives_way:
                # An ordinary failure does, to the body's own error and to a cancellation.
                run.bury()
        run.raise_unseen()
        return None

    async def collect(self, limit: int | None = None) -> list[Out]:
        """
        Run to the end.

        :param limit: results at most
        :return: the results, in the order of the stream
        :raises CollectLimitError: if there are more than *limit*
        :raises ValueError: if *limit* is no int of at least 0, before anything has run
        """
        check_limit(limit)
        async with self as results:
            return await results.collect(limit)

    async def first(self) -> Out | None:
        """Run until there is a result and return it; ``None`` if there is none."""
        async with self as results:
            async for result in results:
                return result
        return None

    def as_completed(self) -> PipelineStream[Out]:
        """
        Switch to completion order.

        :return: the stream itself
        :raises RuntimeError: if the run has started
        """
        self._check_unused()
        self._context = self._context.updated(execution_mode="as_completed")
        return self

    async def aclose(self) -> None:
        """
        End the run early and wait until everything in it has ended; idempotent.

        :raises BaseException: a failure of the run, its cleanup included, not raised before
        """
        self._closed = True
        if self._run is not None:
            await self._run.close()

    def drain(self, timeout: float | None = None) -> None:
        """
        End the run in an orderly way: pull nothing more, finish and deliver what has been pulled.

        As :meth:`.Results.drain`, also for a plain ``async for``. A stream that has not been
        started gives nothing then, and its data is closed.

        :param timeout: seconds that what is in flight may take, 0 or more; ``None`` for any time
        :raises RuntimeError: on another event loop
        :raises TypeError: if *timeout* is not a number
        :raises ValueError: if *timeout* is negative
        """
        check_timeout(timeout)
        self._is_drained = True
        if self._run is not None:
            self._run.draining.begin(timeout)

    @property
    def failures(self) -> Failures:
        """The items that were diverted (``on_error="divert"``) so far."""
        return self._failures

    def stats(self) -> RunStatistics:
        """
        Return what the run has counted so far.

        :raises RuntimeError: if nothing runs yet
        """
        return self._observed().statistics()

    def report(self) -> RunReport:
        """
        Return how the run went: a table, and what limited it. During the run, how it goes.

        :raises RuntimeError: if nothing runs yet
        """
        return self._observed().report()

    def _observed(self) -> Observation:
        if self._run is None:
            raise RuntimeError("there are no statistics yet; the stream has not been iterated")
        return self._run.observation


def run(function: Callable[[], Awaitable[T]], backend: str) -> T:
    """
    Run a coroutine function from synchronous code.

    :param function: called without arguments
    :param backend: ``"asyncio"`` or ``"trio"``
    :raises RuntimeError: if an event loop is running in this thread
    :raises ValueError: if there is no such backend, or it is not installed
    """
    from ._engine.host import is_loop_running, run_on_loop

    if is_loop_running():
        raise RuntimeError(
            "an event loop is running in this thread already, as in a notebook; "
            "write 'await pipeline(data).collect()' instead of 'pipeline.run(data)'"
        )
    if backend not in ("asyncio", "trio"):
        raise ValueError(f"backend must be 'asyncio' or 'trio', got {backend!r}")
    try:
        return run_on_loop(function, backend)
    except LookupError as error:
        if isinstance(error.__cause__, ImportError):
            raise ValueError(
                f"backend {backend!r} is not installed; pip install 'conveyor-streaming[{backend}]'"
            ) from error
        raise


async def _aclose(iterable: object) -> None:
    from ._engine.iteration import close_iterator

    await close_iterator(iterable)
