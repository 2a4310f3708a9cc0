"""
Blocking iterators as data.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakSet

from anyio import CapacityLimiter

from .error_handling import StreamConsumedError
from .stream import AsyncStream

if TYPE_CHECKING:
    from ._engine.pulling import Pulling

__all__ = ["from_thread"]

T = TypeVar("T")


def from_thread(
    iterable: Iterable[T],
    *,
    read_ahead: int = 100,
    abandon_on_cancel: bool = False,
    limiter: CapacityLimiter | None = None,
) -> AsyncStream[T]:
    """
    Iterate a blocking iterable in worker threads; for data whose ``next()`` takes its time.

    One item out per item of *iterable*, in order, each as soon as the thread has it. ``iter()``,
    every ``next()`` and, if it is a generator that has not ended, ``close()`` are called in AnyIO's
    worker threads: not always in the same one, but never in two at once. All of them see the
    context variables of the code that asked for the first item. Nothing happens before that.

    A thread pulls one item at first, then more and more at a time while that takes no longer than
    a few milliseconds, so a fast iterator pays for few changes of threads. It pulls nothing unless
    it is asked to, and at most *read_ahead* items beyond the one that is asked for. What was read
    ahead is dropped when the iteration is left early.

    Cancelling the wait for an item loses nothing; the next ``anext()`` goes on waiting. A blocked
    ``next()`` cannot be interrupted: whoever closes the iteration (a run that ends, the end of an
    ``async with``) waits until it has returned and the iterator has been closed.

    :param iterable: anything that ``for`` takes; an iterator can be iterated once, other iterables
        as often as they can themselves
    :param read_ahead: items, 0 or more
    :param abandon_on_cancel: do not wait at an early end for a thread that is at work; as soon as
        ``next()`` has returned, that thread closes the iterator. What it raises then is logged
    :param limiter: of the threads; AnyIO's default limiter if not given
    :return: a stream: data for a pipeline, or to be iterated, entered or collected by itself
    :raises TypeError: if *iterable* is not iterable, or asynchronous, or a setting is of the wrong
        type
    :raises ValueError: if *read_ahead* is negative
    """
    _check(iterable, read_ahead)
    _check_threads(abandon_on_cancel, limiter)
    return AsyncStream(ThreadIterable(iterable, read_ahead, abandon_on_cancel, limiter))


def _check(iterable: object, read_ahead: object) -> None:
    """Check what :func:`from_thread` was given; not everyone's code is type-checked."""
    if isinstance(iterable, AsyncIterable):
        # isinstance() leaves the element type unknown.
        name = type(iterable).__name__  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        raise TypeError(
            f"from_thread() is for blocking iterables, got a {name}, which is asynchronous; "
            "give it to the pipeline as it is"
        )
    if not isinstance(iterable, Iterable) and not hasattr(iterable, "__getitem__"):
        hint = "; call it: from_thread(function())" if callable(iterable) else ""
        raise TypeError(f"from_thread() needs an iterable, got a {type(iterable).__name__}{hint}")
    if isinstance(read_ahead, bool) or not isinstance(read_ahead, int):
        raise TypeError(f"read_ahead must be an int, got {read_ahead!r}")
    if read_ahead < 0:
        raise ValueError(f"read_ahead must be 0 or more, got {read_ahead!r}")


def _check_threads(abandon_on_cancel: object, limiter: object) -> None:
    """Check what :func:`from_thread` was told of threads."""
    if not isinstance(abandon_on_cancel, bool):
        raise TypeError(f"abandon_on_cancel must be True or False, got {abandon_on_cancel!r}")
    if limiter is not None and not isinstance(limiter, CapacityLimiter):
        raise TypeError(
            f"limiter must be an anyio.CapacityLimiter, got {limiter!r}; "
            "write limiter=anyio.CapacityLimiter(4), for instance"
        )


class ThreadIterable(AsyncIterable[T], Generic[T]):
    """What :func:`from_thread` makes a stream of; see there for the parameters."""

    def __init__(
        self,
        iterable: Iterable[T],
        read_ahead: int,
        abandon_on_cancel: bool,
        limiter: CapacityLimiter | None,
    ) -> None:
        self._iterable: Iterable[T] | None = iterable
        self._settings = read_ahead, abandon_on_cancel, limiter
        self._iterations: WeakSet[ThreadIterator[T]] = WeakSet()

    def __aiter__(self) -> ThreadIterator[T]:
        from ._engine.pulling import Pulling

        iterable = self._iterable
        if iterable is None:
            raise StreamConsumedError(
                "this iterator has been iterated already; give from_thread() an iterable that can "
                "be iterated again, or a new iterator"
            )
        if isinstance(iterable, Iterator):
            self._iterable = None
        iteration: ThreadIterator[T] = ThreadIterator(Pulling(iterable, *self._settings))
        self._iterations.add(iteration)
        return iteration

    async def aclose(self) -> None:
        """Close every iteration, and an iterator that has not been iterated."""
        iterations = list(self._iterations)
        if isinstance(self._iterable, Iterator):
            iterations.append(self.__aiter__())
        for iteration in iterations:
            await iteration.aclose()


class ThreadIterator(AsyncIterator[T]):
    """
    One iteration; dropping it closes the iterator.

    :param pulling: knows nothing of this object, so nothing but the consumer keeps that alive
    """

    def __init__(self, pulling: Pulling) -> None:
        self._pulling = pulling

    async def __anext__(self) -> T:
        pulling = self._pulling
        if not pulling.items or pulling.stopped:
            await pulling.wait()
        item: T = pulling.items.popleft()
        return item

    async def aclose(self) -> None:
        """
        Close the iterator in a thread and wait for that; idempotent.

        :raises BaseException: what the iterator raised, if that has not been raised before
        """
        await self._pulling.close()

    def __del__(self) -> None:
        if not self._pulling.stopped:
            self._pulling.abandon()
