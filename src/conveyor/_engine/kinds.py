"""
What the result of a call means: a value, no result, a list or generator of several, or a mark of
the engine's own.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Generator
from inspect import CO_COROUTINE
from types import FunctionType, MethodType


class Expanded:
    """Type of :data:`EXPANDED`, so that the table of kinds can know it."""


class Dropped:
    """Type of :data:`DROPPED`."""


class Raised:
    """
    What a call has raised, in the place of a result.

    :param error: the error
    """

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


EXPANDED = Expanded()
"""Result of a call whose generator has been passed on to its end."""
DROPPED = Dropped()
"""Result of a call whose item was dropped, since an earlier one has failed, or it has itself."""

# What a result means, by its type. Small ints, compared by identity-fast equality on the hot path.
VALUE, AWAITABLE, NOTHING, LIST, GENERATOR, ASYNC_GENERATOR, END, RAISED = range(8)


class Kinds(dict[type, int]):
    """
    Type of a result -> what it means; filled as types are met.

    :param flatten: whether a list is spread into items
    """

    def __init__(self, flatten: bool = True) -> None:
        super().__init__({type(None): NOTHING, Expanded: END, Dropped: END, Raised: RAISED})
        self._flatten = flatten

    def __missing__(self, cls: type) -> int:
        kind = VALUE
        if issubclass(cls, list):
            kind = LIST if self._flatten else VALUE
        elif issubclass(cls, AsyncGenerator):
            kind = ASYNC_GENERATOR
        elif issubclass(cls, Awaitable):
            kind = AWAITABLE
        elif issubclass(cls, Generator):
            kind = GENERATOR
        self[cls] = kind
        return kind


class GivenUp:
    """Type of :data:`GIVEN_UP`."""


GIVEN_UP = GivenUp()
"""Result of attempts none of which has succeeded."""


def is_coroutine_function(function: object) -> bool:
    """
    Tell whether a function is an ``async def``, so that each of its results is to be awaited.

    :param function: any
    """
    if isinstance(function, MethodType):
        function = function.__func__
    if not isinstance(function, FunctionType):
        return False
    return bool(function.__code__.co_flags & CO_COROUTINE)
