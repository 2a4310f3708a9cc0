"""
The data of a run, and what a call gives one by one: what is iterated for it, and how it is closed.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import suppress
from operator import length_hint
from types import WrapperDescriptorType
from typing import Any

from .failures import add_context

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup


def items_of(data: Any) -> AsyncIterable[Any] | Iterator[Any]:
    """
    Return what to iterate for *data*: itself, or an iterator over it or over the one item it is.

    :param data: what the pipeline was called with
    """
    items: AsyncIterable[Any] | Iterator[Any] = iter((data,))
    # isinstance() leaves the element type unknown.
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


def length_of(data: Any) -> int | None:
    """
    Return how many items *data* has, if it tells.

    :param data: what the pipeline was called with
    """
    if isinstance(data, (str, bytes, bytearray, memoryview, Mapping)):
        return 1
    if not (isinstance(data, (Iterable, AsyncIterable)) or hasattr(data, "__getitem__")):
        return 1
    try:
        length = length_hint(data, -1)  # pyright: ignore[reportUnknownArgumentType] - as above
    except Exception:
        return None  # it is a user's, and only wanted for a display
    return None if length < 0 else length


def iterated_once(iterator: Iterator[Any]) -> Iterator[Any]:
    """
    Return an iterator over the same values that ``iter()`` leaves as it is.

    One of a user's own class may begin anew there, or know no such method.

    :param iterator: of synchronous data
    """
    if isinstance(getattr(type(iterator), "__iter__", None), WrapperDescriptorType):
        return iterator  # it is in C
    return _remaining(iterator)


def _remaining(iterator: Iterator[Any]) -> Iterator[Any]:
    try:
        while True:
            yield next(iterator)
    except StopIteration:
        return


class Begun(AsyncIterable[Any]):
    """
    What ``async for`` goes on with, without asking for another iterator.

    :param iterator: of asynchronous data
    """

    def __init__(self, iterator: AsyncIterator[Any]) -> None:
        self._iterator = iterator

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._iterator


def may_have_more(iterator: Any) -> bool:
    """
    Tell whether *iterator* may give another value; it may if it does not say that it will not.

    :param iterator: of synchronous data
    """
    try:
        return length_hint(iterator, 1) > 0
    except Exception:
        return True  # it is a user's, and not asked for values here


async def close_after(error: BaseException, iterator: Any) -> None:
    """
    Close an async iterator that is left with an error, which counts for more than one in closing.

    :param error: an ordinary one counts; a cancellation, or the end of the run, does not
    :param iterator: any
    :raises BaseException: what closing raises, unless it is to give way
    """
    try:
        await close_iterator(iterator)
    except Exception as second:
        if not isinstance(error, Exception):
            raise
        add_context(error, second)


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
