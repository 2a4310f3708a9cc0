"""
Checks whether a task, or a source, keeps its part of the contract, whatever happens around it.

They run it many times: with no items, with all, with a source that fails, with a consumer that
leaves, is cancelled or is slow. What each run must leave behind is the same: the source closed, and
no task alive.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Sequence
from contextlib import suppress
from inspect import isawaitable
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from anyio import create_task_group, sleep
from anyio.lowlevel import checkpoint

from .._engine.failures import bare
from ..base_task import BaseTask
from ..error_handling import StreamClosedError
from ..pipeline import Pipeline
from .check_support import CheckedSource, Expected, SourceFailure, checking, same_results
from .clock import running_clock

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

if TYPE_CHECKING:
    from ..context import ExecutionMode
    from ..stream import PipelineStream

T = TypeVar("T")
In = TypeVar("In")
Out = TypeVar("Out")


async def check_task(
    task: BaseTask[In, Out] | Pipeline[In, Out],
    items: Iterable[In],
    expected: Sequence[Out] | None = None,
    *,
    modes: Sequence[Literal["ordered", "as_completed"]] = ("ordered", "as_completed"),
    takes_all: bool = True,
    window: int | None = 100,
    ticks: int = 20,
    timeout: float = 3600.0,
) -> None:
    """
    Check that a task, or a pipeline, behaves whatever happens around it.

    It is run dozens of times, so it must give the same results every time. Call this inside
    :func:`run`: there a task that hangs or spins fails its check.

    :param task: of any kind
    :param items: some items, of which the first must be enough for a run of its own
    :param expected: the results for *items*, in order; ``None`` to compare runs with one another
    :param modes: ``"ordered"``, ``"as_completed"`` or both; leave the second out if the results
        depend on the order in which items arrive
    :param takes_all: whether the task takes all of its items; one that ends early may miss that the
        source fails after them
    :param window: the ``max_in_flight`` with which a slow consumer is tried; ``None`` leaves that
        out, for tasks that give much fewer results than they take items
    :param ticks: turns of the event loop at each of which a run is cancelled once
    :param timeout: seconds for each check
    :raises AssertionError: which names the check that failed, and what it expects
    """
    given = list(items)
    pipeline = task if isinstance(task, Pipeline) else task.pipeline()
    name = "the pipeline" if isinstance(task, Pipeline) else f"task {task.stage_plan().name!r}"
    checks = _Checks(name, lambda mode, source: _stream(pipeline, mode, source), timeout)
    await checks.to_the_end("no items", (), None, "ordered")
    await checks.to_the_end("one item", given[:1], None, "ordered")
    wanted = expected
    for mode in modes:
        found = await checks.to_the_end(f"all items, {mode}", given, wanted, mode)
        wanted = found if wanted is None else wanted
        for count in range(len(given) + 1):
            await checks.failing_source(given[:count], mode, takes_all)
        for count in range(len(found) + 1):
            await checks.early_exit(given, count, mode)
        for tick in range(ticks):
            await checks.cancellation(given, tick, mode)
    if isinstance(task, BaseTask) and task.stage_plan().kind == "process" and takes_all:
        await checks.failing_items(task.process, given)
    await checks.double_close(given)
    if window is not None and given:
        slow = pipeline.with_context(max_in_flight=window)
        checks = _Checks(name, lambda mode, source: _stream(slow, mode, source), timeout)
        await checks.slow_consumer(given, window)


async def check_source(
    factory: Callable[[], AsyncIterable[Out]],
    expected: Sequence[Out] | None = None,
    *,
    limit: int = 100,
    ticks: int = 20,
    timeout: float = 3600.0,
) -> None:
    """
    Check that a source behaves whatever its consumer does.

    Call this inside :func:`run`: there a source that hangs or spins fails its check.

    :param factory: makes a fresh source, which gives the same items each time
    :param expected: the items, or the first of them if the source is endless; ``None`` to compare
        runs with one another
    :param limit: items to take where there is no expectation
    :param ticks: turns of the event loop at each of which a run is cancelled once
    :param timeout: seconds for each check
    :raises AssertionError: which names the check that failed, and what it expects
    """
    most = limit if expected is None else len(expected)
    streams = _Checks("the source", lambda _mode, _source: Pipeline()(factory()), timeout)
    wanted: Sequence[Any] | None = expected
    for check in ("all items", "all items, again"):
        async with streams.checking(check):
            async with Pipeline()(factory()) as results:
                found = [result async for result in _first(results, most)]
            if wanted is not None and found != list(wanted):
                raise Expected(
                    f"the {len(wanted)} items that were given", f"the {len(found)} that came differ"
                )
            wanted = found
    for count in range(min(most, len(wanted or ())) + 1):
        await streams.early_exit((), count, "ordered")
        await streams.closing(factory(), count)
    for tick in range(ticks):
        await streams.cancellation((), tick, "ordered")
    await streams.double_close(())


class _Checks:
    """
    The checks themselves, on streams that are made anew for each.

    :param subject: what is checked
    :param make: makes a stream for a mode and a source
    :param timeout: seconds for each check
    """

    def __init__(
        self,
        subject: str,
        make: Callable[[ExecutionMode, CheckedSource], PipelineStream[Any]],
        timeout: float,
    ) -> None:
        self._subject = subject
        self._make = make
        self._timeout = timeout

    def checking(self, check: str) -> Any:
        """Return the block of one check."""
        return checking(self._subject, check, self._timeout)

    async def to_the_end(
        self, check: str, items: Iterable[Any], expected: Sequence[Any] | None, mode: ExecutionMode
    ) -> list[Any]:
        """All results come, in order if they are to, and the source is closed."""
        found: list[Any] = []
        async with self.checking(check):
            source = CheckedSource(items)
            found = await self._make(mode, source).collect()
            self._is_closed(source)
            if expected is not None:
                if not same_results(found, expected):
                    wanted = f"the {len(expected)} results that were given"
                    raise Expected(wanted, f"there were {len(found)}, not the same")
                if mode == "ordered" and found != list(expected):
                    raise Expected("the results in order", "they came in another order")
        return found

    async def failing_source(
        self, items: Sequence[Any], mode: ExecutionMode, must_fail: bool
    ) -> None:
        """The error of the source arrives, as the same object."""
        async with self.checking(f"a source that fails after {len(items)} items, {mode}"):
            source = CheckedSource(items, error := SourceFailure())
            try:
                await self._make(mode, source).collect()
            except SourceFailure as caught:
                if caught is not error:
                    raise Expected("the very error of the source", "another object") from None
            else:
                if must_fail:
                    raise Expected("the error of the source", "the run ended without it")
            self._is_closed(source)

    async def failing_items(self, process: Callable[[Any], Any], items: Sequence[Any]) -> None:
        """An error of the items comes out of ``process()``, called by itself."""
        async with self.checking("process() with items that fail"):
            error = SourceFailure()
            made: Any = process(CheckedSource(items, error))
            results: AsyncIterable[Any] = await made if isawaitable(made) else made
            try:
                async for _ in results:
                    pass
            except (SourceFailure, BaseExceptionGroup) as caught:
                # A task group of process() wraps it, as anywhere.
                if bare(caught) is not error:
                    raise Expected("the very error of the items", "another object") from None
            else:
                raise Expected("the error of the items", "process() swallowed it")

    async def early_exit(self, items: Sequence[Any], count: int, mode: ExecutionMode) -> None:
        """A consumer that leaves after some results leaves nothing behind."""
        async with self.checking(f"leaving after {count} results, {mode}"):
            source = CheckedSource(items)
            async with self._make(mode, source) as results:
                async for _ in _first(results, count):
                    pass
            if source.pulled:
                self._is_closed(source)

    async def cancellation(self, items: Sequence[Any], tick: int, mode: ExecutionMode) -> None:
        """A consumer that is cancelled leaves nothing behind."""
        async with self.checking(f"cancellation after {tick} turns, {mode}"):
            source = CheckedSource(items)
            async with create_task_group() as group:
                group.start_soon(self._make(mode, source).collect)
                for _ in range(tick):
                    await checkpoint()
                group.cancel_scope.cancel()
            if source.pulled:
                self._is_closed(source)

    async def double_close(self, items: Sequence[Any]) -> None:
        """A stream can be closed twice."""
        async with self.checking("closing twice"):
            source = CheckedSource(items)
            stream = self._make("ordered", source)
            await anext(stream, None)
            await stream.aclose()
            await stream.aclose()
            if source.pulled:
                self._is_closed(source)

    async def closing(self, source: AsyncIterable[Any], count: int) -> None:
        """A source that has been closed gives nothing any more."""
        iterator: Any = aiter(source)
        if not hasattr(iterator, "aclose"):
            return
        async with self.checking(f"closing after {count} items"):
            async for _ in _first(iterator, count):
                pass
            await iterator.aclose()
            await iterator.aclose()
            # Streams of this library say that they have been closed; generators are just over.
            with suppress(StreamClosedError):
                async for _ in iterator:
                    raise Expected("no item after aclose()", "one came")

    async def slow_consumer(self, items: Sequence[Any], window: int) -> None:
        """What is read ahead for a consumer that stops reading is bounded."""
        async with self.checking(f"a slow consumer with max_in_flight={window}"):
            count = 10 * window
            source = CheckedSource(islice(cycle(items), count))
            async with self._make("ordered", source) as results:
                async for _ in _first(results, 1):
                    for _ in range(2 * count):
                        await checkpoint()
                    # In real time this would be a real wait.
                    if running_clock() is not None:
                        await sleep(self._timeout / 2)
                if source.pulled > count:
                    raise Expected("the source to wait", f"all of its {count} items were read")
            self._is_closed(source)

    def _is_closed(self, source: CheckedSource) -> None:
        if not source.closed:
            raise Expected("the source to be closed", "it was not")


def _stream(
    pipeline: Pipeline[Any, Any], mode: ExecutionMode, source: CheckedSource
) -> PipelineStream[Any]:
    return pipeline.with_execution_mode(mode)(source)


async def _first(results: AsyncIterable[T], count: int) -> AsyncGenerator[T, None]:
    """Yield some of the results and ask for no more of them."""
    if count:
        async for result in results:
            yield result
            count -= 1
            if not count:
                return
