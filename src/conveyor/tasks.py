"""
Tasks: immutable descriptions of what a pipeline does with its items.

Made by the decorators; they hold a function and its options, and run nothing themselves.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Generic, TypeVar, overload

from .context import ExecutionMode, PipelineContext, get_current_context
from .options import TaskOptions, name_of
from .side_inputs import SideInputs
from .stream import AsyncStream, PipelineStream, TaskCall

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._signatures import Composable, Data
    from .error_handling import ErrorAction, ErrorHandler, RetryConfig
    from .options import BatchOptions, BatchTaskOptions
    from .pipeline import Pipeline

__all__ = ["BaseTask", "BatchTask", "SingleTask"]

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)
Next = TypeVar("Next")
Self = TypeVar("Self", bound="BaseTask[Any, Any]")


class BaseTask(Generic[In, Out]):
    """
    What all tasks have in common.

    A subclass may define ``process(items)`` instead of being given a function: called once per run
    with an async iterator of the items, it returns (or is) an async generator of results.

    :param func: what is called with each item, or batch
    :param options: keywords of the decorator
    """

    _is_batch = False
    _options: TaskOptions | None = None
    _func: Callable[..., Any] | None = None
    _inputs = SideInputs()

    def __init__(self, func: Callable[..., Any] | None = None, **options: Any) -> None:
        if func is None and self.has_own_process:
            self._options = TaskOptions(type(self).__name__).updated(options)
            return
        if not callable(func):
            raise TypeError(
                f"a task needs a function, got {func!r}; write the decorator above a 'def'"
            )
        self._func = func
        self._options = TaskOptions(name_of(func), self._is_batch).updated(options)
        self.__doc__ = getattr(func, "__doc__", None)
        self.__name__: str = self._options.task_name
        self.__module__ = getattr(func, "__module__", type(self).__module__)
        self.__wrapped__ = func

    # Description

    @property
    def func(self) -> Callable[..., Any]:
        """The user's function."""
        return self.process if self._func is None else self._func

    @property
    def options(self) -> TaskOptions:
        """All options, checked and in one spelling."""
        # A subclass need not have called our __init__.
        return self._options or TaskOptions(type(self).__name__)

    @property
    def has_own_process(self) -> bool:
        """Whether a subclass defines ``process`` and so serves the stream as a whole."""
        base: type[BaseTask[Any, Any]] = BaseTask
        return type(self).process is not base.process

    @property
    def inputs(self) -> SideInputs:
        """Arguments that the function gets after the item."""
        return self._inputs

    @property
    def context(self) -> PipelineContext:
        """The default context: a task by itself has none of its own."""
        return PipelineContext()

    @property
    def task_name(self) -> str:
        """Name in errors, logs and statistics."""
        return self.options.task_name

    @property
    def on_error(self) -> ErrorAction:
        """What becomes of an item, or batch, whose last attempt failed."""
        return self.options.on_error

    @property
    def retry_config(self) -> RetryConfig:
        """How failed calls are repeated."""
        return self.options.retry

    @property
    def error_handler(self) -> ErrorHandler | None:
        """Who is asked after the last attempt."""
        return self.options.error_handler

    @property
    def concurrency_limit(self) -> int | None:
        """Calls in flight; ``None`` for the default."""
        return self.options.concurrency_limit

    @property
    def timeout(self) -> float | None:
        """Seconds per call and attempt."""
        return self.options.timeout

    @property
    def flatten(self) -> bool:
        """Whether a returned list is spread into items."""
        return self.options.flatten

    @property
    def in_order(self) -> bool:
        """Whether calls were asked to start in input order."""
        return self.options.in_order

    @property
    def starts_in_order(self) -> bool:
        """Whether calls start in input order: asked for, or because they share a stream."""
        return self.options.in_order or self._inputs.has_stream

    def as_source(self) -> Callable[..., Any]:
        """
        Return the function for a run without data: called once, with its side inputs only.

        :raises TypeError: for a batch task, which needs a batch
        """
        if self.has_own_process:
            raise TypeError(f"a pipeline that begins with task {self.task_name!r} needs data")
        return partial(_without_item, self.func)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.task_name!r}>"

    # Derivation

    def with_inputs(self: Self, *args: Any, **kwargs: Any) -> Self:
        """
        Return a copy whose function gets further arguments after the item.

        A plain value is passed as it is; a coroutine is awaited and an :class:`AsyncStream` asked
        for its first item, once per configured task; an async iterator is passed on for all calls
        to share, and makes them start in input order.

        :param args: positional arguments, in place of those given before
        :param kwargs: named arguments, in place of those given before
        """
        return self._copy(self.func, self.options, SideInputs(args, kwargs))

    def with_more_inputs(self: Self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Self:
        """
        Return a copy with *args*, if any, in place of the positional side inputs and *kwargs* laid
        over the named ones.

        :param args: positional arguments
        :param kwargs: named arguments
        """
        return self._copy(self.func, self.options, self._inputs.updated(args, kwargs))

    @overload
    def replace(
        self: Self, *, min_size: int = ..., max_size: int | None = ..., **options: Unpack[BatchOptions]
    ) -> Self: ...
    @overload
    def replace(self, **options: Unpack[BatchTaskOptions]) -> BaseTask[In, Any]: ...
    def replace(self, **options: Any) -> Any:
        """
        Return a copy with other options.

        :param options: keywords of the decorator
        :raises Exception: as the decorator does
        """
        return self._copy(self.func, self.options.updated(options), self._inputs)

    def _copy(
        self: Self, func: Callable[..., Any], options: TaskOptions, inputs: SideInputs
    ) -> Self:
        duplicate = object.__new__(type(self))
        duplicate.__dict__.update(self.__dict__)
        duplicate._func = func
        duplicate._options = options
        duplicate._inputs = inputs
        return duplicate

    @overload
    def __get__(self: Self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> BaseTask[Any, Out]: ...
    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """On an instance, return the task bound to it, as a function would be."""
        bind = getattr(self._func, "__get__", None)
        if instance is None or bind is None:
            return self
        return self._copy(bind(instance, owner), self.options, self._inputs)

    # Use

    def pipeline(self) -> Pipeline[In, Out]:
        """Return a pipeline of this task alone."""
        from .pipeline import Pipeline

        return Pipeline().add(self)

    def __call__(self, *args: Any, **kwargs: Any) -> TaskCall[In, Out]:
        """
        Call lazily: await the result for one call, iterate it for a stream over the first argument,
        or use it in a ``|`` expression to bind the arguments after the item.

        :param args: positional arguments
        :param kwargs: named arguments
        """
        return TaskCall(self, args, kwargs)

    def __or__(self, other: Composable[Out, Next]) -> Pipeline[In, Next]:
        return self.pipeline() | other

    def as_completed(self, data: Data[In]) -> PipelineStream[Out]:
        """
        Return a stream of results in completion order.

        :param data: as for a pipeline
        """
        return self.pipeline().as_completed(data)

    def with_context(self, **fields: Any) -> Pipeline[In, Out]:
        """
        Return a pipeline of this task with a changed context.

        :param fields: known fields are set, others go into ``data``
        """
        return self.pipeline().with_context(**fields)

    def with_execution_mode(self, mode: ExecutionMode) -> Pipeline[In, Out]:
        """
        Return a pipeline of this task with an order of results.

        :param mode: ``"ordered"`` or ``"as_completed"``
        """
        return self.pipeline().with_execution_mode(mode)

    def run(self, data: Data[In], *, backend: str = "asyncio") -> list[Out]:
        """
        Run from synchronous code.

        :param data: as for a pipeline
        :param backend: ``"asyncio"`` or ``"trio"``
        :return: all results
        """
        return self.pipeline().run(data, backend=backend)

    # Typed so that a subclass may define it as a coroutine function or as an async generator.
    def process(self, items: Any) -> Any:
        """
        Return the stream of a pipeline of this task, to be awaited first.

        :param items: as for a pipeline
        """
        return self._process(items)

    async def _process(self, items: Any) -> AsyncStream[Out]:
        return self.pipeline()(items)

    def get_context(self) -> PipelineContext | None:
        """Return the context of the run that calls us, ``None`` outside of any run."""
        return get_current_context()


class SingleTask(BaseTask[In, Out]):
    """
    A task that is called with one item at a time; made by :func:`~conveyor.single_task`.

    :param func: called with each item
    :param options: keywords of :func:`~conveyor.single_task`
    """

    if TYPE_CHECKING:

        @overload
        def __get__(self: Self, instance: None, owner: type | None = None) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: type | None = None) -> SingleTask[Any, Out]: ...
        def __get__(self, instance: object, owner: type | None = None) -> Any: ...


class BatchTask(BaseTask[In, Out]):
    """
    A task that is called with a list of consecutive items; made by :func:`~conveyor.batch_task`.

    :param func: called with each batch
    :param options: keywords of :func:`~conveyor.batch_task`
    """

    _is_batch = True

    if TYPE_CHECKING:

        @overload
        def __get__(self: Self, instance: None, owner: type | None = None) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: type | None = None) -> BatchTask[Any, Out]: ...
        def __get__(self, instance: object, owner: type | None = None) -> Any: ...

    @property
    def min_size(self) -> int:
        """Items a batch needs, unless it is cut short by the end of the input."""
        return self.options.min_size

    @property
    def max_size(self) -> int:
        """Items a batch holds at most."""
        return self.options.batch_size

    @property
    def max_wait(self) -> float | None:
        """Seconds after its first item until a batch is sent although it is not full."""
        return self.options.max_wait

    def as_source(self) -> Callable[..., Any]:
        """
        Batch tasks cannot be sources.

        :raises TypeError: always
        """
        raise TypeError(
            f"a pipeline that begins with batch task {self.task_name!r} needs data; "
            "only a single task can be a source"
        )


def _without_item(func: Callable[..., Any], _: object, *args: Any, **kwargs: Any) -> Any:
    return func(*args, **kwargs)
