"""
What the decorators and ``|`` accept, for type checkers; never imported at run time.

An overload applies if the function's result fits, and the first one that applies wins: results that
are spread (:data:`Many`), then those of coroutine functions, then the others. ``None`` is left out
of the element type. mypy would infer the common base of the members of a union that is matched
against ``T | None``, which is often no more than ``object``; :data:`Plain` takes unions of ordinary
data as they are, before it comes to that.
"""

from __future__ import annotations

from datetime import date
from enum import Enum
from pathlib import PurePath
from typing import (
    TYPE_CHECKING,
    AbstractSet,
    Any,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    ClassVar,
    Concatenate,
    Iterable,
    Iterator,
    Mapping,
    ParamSpec,
    Protocol,
    TypeAlias,
    Union,
    overload,
)

from typing_extensions import Never, TypeVar

if TYPE_CHECKING:
    from .pipeline import Pipeline
    from .stream import TaskCall
    from .tasks import BaseTask, BatchTask, SingleTask


class Dataclass(Protocol):
    """An instance of any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


In = TypeVar("In")
T = TypeVar("T")
# What a function that returns nothing but ``None`` passes on.
Item = TypeVar("Item", default=Never)
Plain = TypeVar(
    "Plain",
    bound=Union[
        int,
        float,
        complex,
        str,
        bytes,
        tuple[Any, ...],
        Mapping[Any, Any],
        AbstractSet[Any],
        Dataclass,
        Enum,
        date,
        PurePath,
        BaseException,
    ],
)
P = ParamSpec("P")
Owner = TypeVar("Owner")
R = TypeVar("R")

Composable: TypeAlias = Union["BaseTask[In, T]", "Pipeline[In, T]", "TaskCall[In, T]"]
Data: TypeAlias = Union[Iterable[In], AsyncIterable[In], In]
Many: TypeAlias = Union[list[Item], Iterator[Item], AsyncIterator[Item]]
Generated: TypeAlias = Union[Iterator[Item], AsyncIterator[Item]]
OnItem: TypeAlias = Callable[Concatenate[In, P], R]
OnBatch: TypeAlias = Callable[Concatenate[list[In], P], R]
OnBatchMethod: TypeAlias = Callable[Concatenate[Owner, list[In], P], R]


class SingleDecorator(Protocol):
    """Makes a single task of a function; lists are spread."""

    @overload
    def __call__(
        self, func: OnItem[In, P, Many[Item] | Awaitable[Many[Item] | None] | None], /
    ) -> SingleTask[In, Item]: ...
    @overload
    def __call__(self, func: OnItem[In, P, Awaitable[Plain]], /) -> SingleTask[In, Plain]: ...
    @overload
    def __call__(self, func: OnItem[In, P, Awaitable[T | list[T] | None]], /) -> SingleTask[In, T]: ...
    @overload
    def __call__(self, func: OnItem[In, P, Plain], /) -> SingleTask[In, Plain]: ...
    @overload
    def __call__(self, func: OnItem[In, P, T | list[T] | Awaitable[T] | None], /) -> SingleTask[In, T]: ...
    @overload
    def __call__(
        self, func: Callable[[], Many[Item] | Awaitable[Many[Item] | None] | None], /
    ) -> SingleTask[Never, Item]: ...
    @overload
    def __call__(self, func: Callable[[], Awaitable[T | list[T] | None]], /) -> SingleTask[Never, T]: ...
    @overload
    def __call__(self, func: Callable[[], T | list[T] | Awaitable[T] | None], /) -> SingleTask[Never, T]: ...


class WholeSingleDecorator(Protocol):
    """Makes a single task of a function; lists are kept whole."""

    @overload
    def __call__(
        self, func: OnItem[In, P, Generated[Item] | Awaitable[Generated[Item] | None] | None], /
    ) -> SingleTask[In, Item]: ...
    @overload
    def __call__(self, func: OnItem[In, P, Awaitable[T | None]], /) -> SingleTask[In, T]: ...
    @overload
    def __call__(self, func: OnItem[In, P, T | Awaitable[T] | None], /) -> SingleTask[In, T]: ...
    @overload
    def __call__(
        self, func: Callable[[], Generated[Item] | Awaitable[Generated[Item] | None] | None], /
    ) -> SingleTask[Never, Item]: ...
    @overload
    def __call__(self, func: Callable[[], Awaitable[T | None]], /) -> SingleTask[Never, T]: ...
    @overload
    def __call__(self, func: Callable[[], T | Awaitable[T] | None], /) -> SingleTask[Never, T]: ...


class BatchDecorator(Protocol):
    """Makes a batch task of a function, or method; lists are spread."""

    @overload
    def __call__(
        self, func: OnBatch[In, P, Many[Item] | Awaitable[Many[Item] | None] | None], /
    ) -> BatchTask[In, Item]: ...
    @overload
    def __call__(self, func: OnBatch[In, P, Awaitable[Plain]], /) -> BatchTask[In, Plain]: ...
    @overload
    def __call__(self, func: OnBatch[In, P, Awaitable[T | list[T] | None]], /) -> BatchTask[In, T]: ...
    @overload
    def __call__(self, func: OnBatch[In, P, Plain], /) -> BatchTask[In, Plain]: ...
    @overload
    def __call__(self, func: OnBatch[In, P, T | list[T] | Awaitable[T] | None], /) -> BatchTask[In, T]: ...
    @overload
    def __call__(
        self, func: OnBatchMethod[Owner, In, P, Many[Item] | Awaitable[Many[Item] | None] | None], /
    ) -> BatchTask[In, Item]: ...
    @overload
    def __call__(self, func: OnBatchMethod[Owner, In, P, Awaitable[T | list[T] | None]], /) -> BatchTask[In, T]: ...
    @overload
    def __call__(
        self, func: OnBatchMethod[Owner, In, P, T | list[T] | Awaitable[T] | None], /
    ) -> BatchTask[In, T]: ...


class WholeBatchDecorator(Protocol):
    """Makes a batch task of a function, or method; lists are kept whole."""

    @overload
    def __call__(
        self, func: OnBatch[In, P, Generated[Item] | Awaitable[Generated[Item] | None] | None], /
    ) -> BatchTask[In, Item]: ...
    @overload
    def __call__(self, func: OnBatch[In, P, Awaitable[T | None]], /) -> BatchTask[In, T]: ...
    @overload
    def __call__(self, func: OnBatch[In, P, T | Awaitable[T] | None], /) -> BatchTask[In, T]: ...
    @overload
    def __call__(self, func: OnBatchMethod[Owner, In, P, Awaitable[T | None]], /) -> BatchTask[In, T]: ...
    @overload
    def __call__(
        self, func: OnBatchMethod[Owner, In, P, T | Awaitable[T] | None], /
    ) -> BatchTask[In, T]: ...
