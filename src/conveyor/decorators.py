"""The decorators that make tasks of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

from .tasks import BatchTask, SingleTask

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Concatenate, Literal, ParamSpec, TypeVar

    from typing_extensions import Never, Unpack

    from ._signatures import (
        BatchDecorator,
        FallbackOfBatch,
        FallbackOfSingle,
        FallbackOfWholeBatch,
        FallbackOfWholeSingle,
        Generated,
        In,
        Item,
        ListOf,
        Many,
        Mixed,
        Plain,
        SingleDecorator,
        WholeBatchDecorator,
        WholeSingleDecorator,
    )
    from .options import BatchOptions, MaxSize, SingleOptions

    P = ParamSpec("P")
    T = TypeVar("T")

__all__ = ["batch_task", "single_task"]

# Options by position are not for new code, hence not in the types: conveyor-streaming 1 took them.
_POSITIONS = (
    "on_error",
    "retry_attempts",
    "retry_delay",
    "retry_exponential_backoff",
    "retry_max_delay",
    "error_handler",
    "task_name",
    "concurrency_limit",
)


# A function that takes an item; see ``_signatures`` for the order of the results.
@overload
def single_task(
    func: Callable[Concatenate[In, P], Many[Item] | Awaitable[Many[Item] | None] | None],
    /,
    **options: Unpack[SingleOptions],
) -> SingleTask[In, Item]: ...
@overload
def single_task(
    func: Callable[Concatenate[In, P], Awaitable[Plain]], /, **options: Unpack[SingleOptions]
) -> SingleTask[In, Plain]: ...
@overload
def single_task(
    func: Callable[Concatenate[In, P], Awaitable[T | ListOf[T] | None]],
    /,
    **options: Unpack[SingleOptions],
) -> SingleTask[In, T]: ...
@overload
def single_task(
    func: Callable[Concatenate[In, P], Plain], /, **options: Unpack[SingleOptions]
) -> SingleTask[In, Plain]: ...
@overload
def single_task(
    func: Callable[Concatenate[In, P], Mixed[Item, Plain] | Awaitable[Mixed[Item, Plain]]],
    /,
    **options: Unpack[SingleOptions],
) -> SingleTask[In, Item | Plain]: ...
@overload
def single_task(
    func: Callable[Concatenate[In, P], T | ListOf[T] | Awaitable[T] | None],
    /,
    **options: Unpack[SingleOptions],
) -> SingleTask[In, T]: ...


# A source: it takes no item.
@overload
def single_task(
    func: Callable[[], Many[Item] | Awaitable[Many[Item] | None] | None],
    /,
    **options: Unpack[SingleOptions],
) -> SingleTask[Never, Item]: ...
@overload
def single_task(
    func: Callable[[], Awaitable[T | ListOf[T] | None]], /, **options: Unpack[SingleOptions]
) -> SingleTask[Never, T]: ...
@overload
def single_task(
    func: Callable[[], T | ListOf[T] | Awaitable[T] | None], /, **options: Unpack[SingleOptions]
) -> SingleTask[Never, T]: ...


# With keywords.
@overload
def single_task(
    func: Callable[..., Any],
    /,
    *,
    flatten: bool,
    fallback: SingleTask[Any, Any] | None = ...,
    **options: Unpack[SingleOptions],
) -> SingleTask[Any, Any]: ...
@overload
def single_task(
    func: Callable[
        Concatenate[In, P],
        T | ListOf[T] | Generated[T] | Awaitable[T | ListOf[T] | Generated[T] | None] | None,
    ],
    /,
    *,
    fallback: SingleTask[In, T] | None,
    **options: Unpack[SingleOptions],
) -> SingleTask[In, T]: ...
@overload
def single_task(
    *,
    fallback: SingleTask[In, T],
    flatten: Literal[True] = ...,
    **options: Unpack[SingleOptions],
) -> FallbackOfSingle[In, T]: ...
@overload
def single_task(
    *, fallback: SingleTask[In, T], flatten: Literal[False], **options: Unpack[SingleOptions]
) -> FallbackOfWholeSingle[In, T]: ...
@overload
def single_task(
    *, flatten: Literal[True] = ..., **options: Unpack[SingleOptions]
) -> SingleDecorator: ...
@overload
def single_task(
    *, flatten: Literal[False], **options: Unpack[SingleOptions]
) -> WholeSingleDecorator: ...
@overload
def single_task(
    *,
    flatten: bool,
    fallback: SingleTask[Any, Any] | None = ...,
    **options: Unpack[SingleOptions],
) -> Callable[[Callable[..., Any]], SingleTask[Any, Any]]: ...


def single_task(func: Callable[..., Any] | None = None, *values: Any, **options: Any) -> Any:
    """
    Make a task of a function that takes one item.

    Works bare, with keywords, and called with the function. The function may be anything callable,
    ``async`` or not; further parameters are side inputs, and without any parameter it is a source::

        @single_task(concurrency_limit=5, max_retries=2, timeout=10)
        async def fetch(url: str) -> bytes: ...

    One item in; out goes what the function returns: nothing for ``None``, each element of a
    ``list`` or generator in order, anything else as one item. Calls overlap, up to
    *concurrency_limit* (100) of them; results are in input order unless the run is
    ``as_completed``. A call that is cancelled, because the run ends, is neither retried nor shown
    to the error handler.

    :param func: the function, when used bare
    :param values: options by position, in the order of conveyor-streaming 1
    :param options: see :class:`~conveyor.options.SingleTaskOptions`
    :return: the task, or without *func* a decorator
    :raises TypeError: if *func* is not callable, an option is unknown or of the wrong type, or two
        options contradict each other
    :raises ValueError: if an option is out of its range
    """
    options = _named(values, options)

    def decorate(function: Callable[..., Any]) -> SingleTask[Any, Any]:
        return SingleTask(function, **options)

    return decorate if func is None else decorate(func)


@overload
def batch_task(
    min_size: int = 1,
    max_size: MaxSize = None,
    *,
    fallback: BatchTask[In, T],
    flatten: Literal[True] = ...,
    **options: Unpack[BatchOptions],
) -> FallbackOfBatch[In, T]: ...
@overload
def batch_task(
    min_size: int = 1,
    max_size: MaxSize = None,
    *,
    fallback: BatchTask[In, T],
    flatten: Literal[False],
    **options: Unpack[BatchOptions],
) -> FallbackOfWholeBatch[In, T]: ...
@overload
def batch_task(
    min_size: int = 1,
    max_size: MaxSize = None,
    *,
    flatten: Literal[True] = ...,
    **options: Unpack[BatchOptions],
) -> BatchDecorator: ...
@overload
def batch_task(
    min_size: int = 1,
    max_size: MaxSize = None,
    *,
    flatten: Literal[False],
    **options: Unpack[BatchOptions],
) -> WholeBatchDecorator: ...
@overload
def batch_task(
    min_size: int = 1,
    max_size: MaxSize = None,
    *,
    flatten: bool,
    fallback: BatchTask[Any, Any] | None = ...,
    **options: Unpack[BatchOptions],
) -> Callable[[Callable[..., Any]], BatchTask[Any, Any]]: ...


def batch_task(min_size: int = 1, max_size: MaxSize = None, *values: Any, **options: Any) -> Any:
    """
    Make a task of a function that takes a list of consecutive items.

    ::

        @batch_task(max_size=100, max_wait=0.5)
        async def insert(rows: list[Row]) -> list[int]: ...

    A batch holds *max_size* items; fewer, but *min_size* or more, if *max_wait* seconds have passed
    since its first item or the input has ended. Fewer than *min_size* at the end are dropped, which
    is logged and counted. With *weight* and *max_weight* a batch is also full when it weighs so
    much; with *batch_by* each key has batches of its own, which hold those of its items that follow
    one another, and take their places in the order in which they leave. Out goes what the function
    returns, as for :func:`single_task`. Batches are made in input order unless the run is
    ``as_completed``, and run one after another unless *concurrency_limit* allows more.

    :param min_size: items a batch needs (items)
    :param max_size: items a batch holds at most, by default *min_size* (items); ``"auto"`` for as
        many, up to 1,000, as make a call take *target_duration* seconds
    :param values: options by position, in the order of conveyor-streaming 1
    :param options: see :class:`~conveyor.options.BatchTaskOptions`
    :return: a decorator
    :raises TypeError: if it is used bare, or as :func:`single_task`
    :raises ValueError: if *min_size* exceeds *max_size*, or an option is out of its range
    """
    if callable(min_size):
        raise TypeError(
            "batch_task needs to know the size of a batch; write @batch_task(max_size=...) above "
            "the function, or batch_task(max_size=...)(function)"
        )
    options = _named(values, options)

    def decorate(function: Callable[..., Any]) -> BatchTask[Any, Any]:
        return BatchTask(function, min_size=min_size, max_size=max_size, **options)

    return decorate


def _named(values: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
    """Add the options given by position to those given by name."""
    if len(values) > len(_POSITIONS):
        raise TypeError(f"too many options by position: {values!r}; write them as name=value")
    named = dict(zip(_POSITIONS, values, strict=False))
    for name in named:
        if name in options:
            raise TypeError(f"option {name!r} is given both by position and by name")
    return {**named, **options}
