"""
The handle on a stream of results, and the ways of consuming it.

:class:`AsyncStream` wraps any async iterable. :class:`PipelineStream` is what a pipeline returns:
nothing runs until it is consumed, and it is consumed once. :class:`TaskCall` is what calling a task
returns: a pipeline stream that can also be awaited, or composed with ``|``.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Generator
from typing import TYPE_CHECKING, Any, Callable, Generic, Sequence, TypeVar

from anyio import create_task_group, get_cancelled_exc_class
from anyio.abc import TaskGroup

from ._engine.call import SKIPPED, Call, CallFailed
from ._engine.handoff import EMPTY
from ._engine.run import Run, add_note
from ._engine.source import NO_DATA, ScopedIterable
from .error_handling import CollectLimitError, StreamClosedError, StreamConsumedError
from .statistics import RunStatistics

if TYPE_CHECKING:
    from ._signatures import Composable
    from .context import PipelineContext
    from .pipeline import Pipeline
    from .tasks import BaseTask

__all__ = ["NO_DATA", "AsyncStream", "PipelineStream", "Results", "TaskCall"]

T = TypeVar("T")
In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)
Next = TypeVar("Next")


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
            return await _collect(self, limit)
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
        self._run.stop()
        await self._run.join()
        self._run.raise_unseen()

    def stats(self) -> RunStatistics:
        """Return what the run has counted so far."""
        return RunStatistics.of(self._run)


class _PlainIterator(AsyncIterator[T]):
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
            raise

    def __del__(self) -> None:
        run = self._run
        if run is not None and not run.finished:
            run.host.call_soon(run.abandon)


def _nothing_yet() -> Any:
    return EMPTY


def _check_limit(limit: object) -> None:
    if limit is not None and (not isinstance(limit, int) or limit < 0):
        raise ValueError(f"limit must be None or an int of at least 0, got {limit!r}")


async def _collect(results: AsyncIterator[T], limit: int | None) -> list[T]:
    _check_limit(limit)
    collected: list[T] = []
    async for result in results:
        if limit is not None and len(collected) == limit:
            raise CollectLimitError(
                f"there are more than limit={limit} results; iterate the stream, or raise the limit"
            )
        collected.append(result)
    return collected


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

    def __aiter__(self) -> AsyncIterator[Out]:
        return self._source.__aiter__()

    async def __aenter__(self) -> AsyncIterator[Out]:
        return self.__aiter__()

    async def __aexit__(self, *exc_info: Any) -> bool | None:
        await self.aclose()
        return None

    async def collect(self, limit: int | None = None) -> list[Out]:
        """
        Read the whole stream.

        :param limit: results at most
        :return: the results, in the order of the stream
        :raises CollectLimitError: if there are more than *limit*
        """
        return await _collect(self.__aiter__(), limit)

    async def first(self) -> Out | None:
        """Return the first item and leave the rest; ``None`` if there is none."""
        async for item in self._source:
            return item
        return None

    def as_completed(self) -> AsyncStream[Out]:
        """Return the stream itself: what it wraps has an order of its own."""
        return self

    async def aclose(self) -> None:
        """Close the source, if it can be closed."""
        aclose = getattr(self._source, "aclose", None)
        if aclose is not None:
            await aclose()


class PipelineStream(AsyncStream[Out]):
    """
    The results of a pipeline for some data; made by calling a pipeline.

    Nothing runs until it is consumed, in one of three ways:

    - ``async for result in stream`` is safe to leave at any time: the run ends promptly after the
      iterator is dropped (at once on CPython), or within ``anext()`` if that is cancelled;
    - ``async with stream as results:`` keeps the run inside the block: when the block is left,
      every worker has ended and the source is closed;
    - ``await stream.collect()``.

    :param tasks: the stages
    :param data: what the pipeline was called with
    :param context: of the pipeline
    """

    def __init__(
        self, tasks: Sequence[BaseTask[Any, Any]], data: Any, context: PipelineContext
    ) -> None:
        self._tasks = tasks
        self._data = data
        self._context = context
        self._run: Run | None = None
        self._closed = False
        self._block: tuple[TaskGroup, Results[Out]] | None = None

    def _start(self) -> Run:
        """Create the run; a stream has one."""
        self._check_unused()
        data, self._data = self._data, None
        self._run = Run(self._tasks, data, self._context)
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
        self._check_unused()
        return _PlainIterator(self)

    async def __aenter__(self) -> Results[Out]:
        run = self._start()
        task_group = create_task_group()
        await task_group.__aenter__()
        task_group.start_soon(run.execute)
        results: Results[Out] = Results(run)
        self._block = task_group, results
        return results

    async def __aexit__(self, *exc_info: Any) -> bool | None:
        if self._block is None or self._run is None:
            raise RuntimeError("this stream's block has not been entered")
        (task_group, _), self._block = self._block, None
        self._run.stop()
        # The run records its failures, so the group itself has nothing to raise; and an error of
        # the body is not the group's business, or it would come out wrapped.
        try:
            await task_group.__aexit__(None, None, None)
        finally:
            self._run.finish()
        if exc_info[0] is None:
            self._run.raise_unseen()
        else:
            self._run.abandon()
        return None

    async def collect(self, limit: int | None = None) -> list[Out]:
        """
        Run to the end.

        :param limit: results at most
        :return: the results, in the order of the stream
        :raises CollectLimitError: if there are more than *limit*
        """
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
            self._run.stop()
            await self._run.join()
            self._run.raise_unseen()

    def stats(self) -> RunStatistics:
        """
        Return what the run has counted so far.

        :raises RuntimeError: if nothing runs yet
        """
        if self._run is None:
            raise RuntimeError("there are no statistics yet; the stream has not been iterated")
        return RunStatistics.of(self._run)


class TaskCall(PipelineStream[Out], Generic[In, Out]):
    """
    A task and the arguments it was called with; how it is used decides what that means.

    Awaited: one call with these arguments. Iterated, collected, entered, given as data or side
    input: the stream of a one-stage pipeline over the first argument. Part of a ``|`` expression:
    the task with the arguments bound after the item.

    :param task: the task
    :param args: positional arguments
    :param kwargs: named arguments
    """

    def __init__(
        self, task: BaseTask[In, Out], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._task = task
        self._args = args
        self._kwargs = kwargs
        super().__init__((task,), NO_DATA, task.context)

    def _start(self) -> Run:
        self._check_unused()
        stream = self._task.pipeline()(*self._args, **self._kwargs)
        self._tasks, self._data = stream._tasks, stream._data
        return super()._start()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._call_once().__await__()

    async def _call_once(self) -> Any:
        task = self._task
        function = task.func
        if task.inputs:
            function = await task.inputs.bind(function)
        call = Call(lambda args: function(*args, **self._kwargs), task.options)
        try:
            result = await call(self._args)
        except CallFailed as failed:
            plural = "" if failed.attempts == 1 else "s"
            add_note(
                failed.error,
                f"raised by task {task.task_name!r} after {failed.attempts} attempt{plural}",
            )
            error = failed.error
        else:
            return None if result is SKIPPED else result
        raise error

    def bound(self) -> BaseTask[In, Out]:
        """Return the task with the arguments bound after the item, as ``|`` does."""
        return self._task.with_inputs(*self._args, **self._kwargs)

    def __or__(self, other: Composable[Out, Next]) -> Pipeline[In, Next]:
        return self.bound() | other


def check_data(data: Any) -> None:
    """
    Reject what cannot be meant as data.

    :param data: what a pipeline was called with
    :raises TypeError: saying what to write instead
    """
    expected = "a pipeline's data must be an iterable, an async iterable or one item"
    if inspect.iscoroutine(data):
        data.close()
        name = data.__name__
        raise TypeError(f"{expected}, got a coroutine; await it first: pipeline(await {name}())")
    if inspect.isasyncgenfunction(data) or inspect.isgeneratorfunction(data):
        name = data.__name__
        raise TypeError(f"{expected}, got a generator function; call it: pipeline({name}())")
    if hasattr(data, "with_execution_mode"):
        raise TypeError(
            f"{expected}, got a {type(data).__name__}; compose with '|', or give its results: "
            "second(first(data))"
        )
