"""
What the decorators and ``|`` accept, for type checkers; never imported at run time.

The first overload that fits a function's result wins: results that are spread (:data:`Many`), then
those of coroutine functions, then the others, and last functions without an item. ``None`` is left
out of the element type.

Some detours are mypy's. It would infer the common base, often no more than ``object``, for a union
that is matched against ``T | None``; so unions of ordinary data are matched before, as they are
(:data:`Plain`) and with lists among them (:data:`Mixed`). And if several overloads fit a signature
with ``Any`` in it, all is lost unless they agree; the alternatives beside ``T`` are there to keep
what belongs to an earlier overload from fitting.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Set,
)
from datetime import date
from enum import Enum
from pathlib import PurePath
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Concatenate,
    ParamSpec,
    Protocol,
    TypeAlias,
    Union,
    overload,
)

from typing_extensions import Never, TypeVar

if TYPE_CHECKING:
    from .calls import TaskCall
    from .outcomes import Failed
    from .pipeline import Pipeline
    from .tasks import BaseTask, BatchTask, SingleTask


Element = TypeVar("Element", covariant=True)


class ListOf(Protocol[Element]):
    """A ``list``, covariant since it is only read; nothing else is iterable and has these two."""

    def __iter__(self) -> Iterator[Element]: ...

    @property
    def reverse(self) -> Any: ...

    @property
    def sort(self) -> Any: ...


class Dataclass(Protocol):
    """An instance of any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


In = TypeVar("In")
T = TypeVar("T")
# What a function that returns nothing but ``None`` passes on.
Item = TypeVar("Item", default=Never)
Plain = TypeVar(
    "Plain",
    bound=int
    | float
    | complex
    | str
    | bytes
    | tuple[Any, ...]
    | Mapping[Any, Any]
    | Set[Any]
    | Dataclass
    | Enum
    | date
    | PurePath
    | BaseException,
    default=Never,
)
P = ParamSpec("P")
Owner = TypeVar("Owner")
R = TypeVar("R")

Composable: TypeAlias = Union["BaseTask[In, T]", "Pipeline[In, T]", "TaskCall[In, T]"]
Data: TypeAlias = Iterable[In] | AsyncIterable[In] | In
Many: TypeAlias = ListOf[Item] | Iterator[Item] | AsyncIterator[Item]
Given: TypeAlias = Union["ListOf[Item | Failed]", Iterator[Item], AsyncIterator[Item]]
Mixed: TypeAlias = ListOf[Item] | Plain | None
Generated: TypeAlias = Iterator[Item] | AsyncIterator[Item]
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
    def __call__(
        self, func: OnItem[In, P, Awaitable[T | ListOf[T] | None]], /
    ) -> SingleTask[In, T]: ...
    @overload
    def __call__(self, func: OnItem[In, P, Plain], /) -> SingleTask[In, Plain]: ...
    @overload
    def __call__(
        self, func: OnItem[In, P, Mixed[Item, Plain] | Awaitable[Mixed[Item, Plain]]], /
    ) -> SingleTask[In, Item | Plain]: ...
    @overload
    def __call__(
        self, func: OnItem[In, P, T | ListOf[T] | Awaitable[T] | None], /
    ) -> SingleTask[In, T]: ...
    @overload
    def __call__(
        self, func: Callable[[], Many[Item] | Awaitable[Many[Item] | None] | None], /
    ) -> SingleTask[Never, Item]: ...
    @overload
    def __call__(
        self, func: Callable[[], Awaitable[T | ListOf[T] | None]], /
    ) -> SingleTask[Never, T]: ...
    @overload
    def __call__(
        self, func: Callable[[], T | ListOf[T] | Awaitable[T] | None], /
    ) -> SingleTask[Never, T]: ...


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
        self, func: OnBatch[In, P, Given[Item] | Awaitable[Given[Item] | None] | None], /
    ) -> BatchTask[In, Item]: ...
    @overload
    def __call__(self, func: OnBatch[In, P, Awaitable[Plain]], /) -> BatchTask[In, Plain]: ...
    @overload
    def __call__(
        self, func: OnBatch[In, P, Awaitable[T | ListOf[T] | None]], /
    ) -> BatchTask[In, T]: ...
    @overload
    def __call__(self, func: OnBatch[In, P, Plain], /) -> BatchTask[In, Plain]: ...
    @overload
    def __call__(
        self, func: OnBatch[In, P, Mixed[Item, Plain] | Awaitable[Mixed[Item, Plain]]], /
    ) -> BatchTask[In, Item | Plain]: ...
    @overload
    def __call__(
        self, func: OnBatch[In, P, T | ListOf[T] | Awaitable[T] | None], /
    ) -> BatchTask[In, T]: ...
    @overload
    def __call__(
        self,
        func: OnBatchMethod[Owner, In, P, Given[Item] | Awaitable[Given[Item] | None] | None],
        /,
    ) -> BatchTask[In, Item]: ...
    @overload
    def __call__(
        self, func: OnBatchMethod[Owner, In, P, Awaitable[T | ListOf[T] | None]], /
    ) -> BatchTask[In, T]: ...
    @overload
    def __call__(
        self, func: OnBatchMethod[Owner, In, P, T | ListOf[T] | Awaitable[T] | None], /
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
    def __call__(
        self, func: OnBatchMethod[Owner, In, P, Awaitable[T | None]], /
    ) -> BatchTask[In, T]: ...
    @overload
    def __call__(
        self, func: OnBatchMethod[Owner, In, P, T | Awaitable[T] | None], /
    ) -> BatchTask[In, T]: ...


class FallbackOfSingle(Protocol[In, T]):
    """
    Makes a single task of a function that takes what its fallback takes, and returns the same.

    In all four the fallback alone says what goes in and out. If each had a part in it, there would
    always be a type, such as ``object``, that both fit.
    """

    def __call__(
        self, func: OnItem[In, P, T | Many[T] | Awaitable[T | Many[T] | None] | None], /
    ) -> SingleTask[In, T]: ...


class FallbackOfWholeSingle(Protocol[In, T]):
    """The same; lists are kept whole."""

    def __call__(
        self, func: OnItem[In, P, T | Generated[T] | Awaitable[T | Generated[T] | None] | None], /
    ) -> SingleTask[In, T]: ...


class FallbackOfBatch(Protocol[In, T]):
    """Makes a batch task of a function that takes what its fallback takes, and returns the same."""

    def __call__(
        self, func: OnBatch[In, P, T | Many[T] | Awaitable[T | Many[T] | None] | None], /
    ) -> BatchTask[In, T]: ...


class FallbackOfWholeBatch(Protocol[In, T]):
    """The same; lists are kept whole."""

    def __call__(
        self, func: OnBatch[In, P, T | Generated[T] | Awaitable[T | Generated[T] | None] | None], /
    ) -> BatchTask[In, T]: ...
