"""
Tasks: immutable descriptions of what a pipeline does with its items.

Made by the decorators; they hold a function and its options, and run nothing themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar, overload

from .calls import TaskCall
from .context import ExecutionMode, PipelineContext, get_current_context
from .error_handling import ErrorAction, ErrorHandler, RetryConfig
from .options import TaskOptions, name_of
from .plan import StagePlan
from .side_inputs import SideInputs
from .stream import NO_DATA, AsyncStream, PipelineStream

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._signatures import Composable, Data
    from .options import BatchOptions, BatchTaskOptions
    from .pipeline import Pipeline

__all__ = ["BaseTask", "BatchTask", "FunctionTask", "SingleTask"]

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)
Next = TypeVar("Next")
Self = TypeVar("Self", bound="FunctionTask[Any, Any]")


class BaseTask(Generic[In, Out]):
    """
    What all tasks have in common, and the base of tasks that serve a stream as a whole.

    A subclass defines ``process(items)``: called once per run with an async iterator of the items,
    in order, it is an async generator of results, or a coroutine function that returns an async
    iterable of them. The arguments below are there for its own use, except for the name.

    :param on_error: the library leaves errors of ``process`` to itself: they fail the run
    :param retry_config: likewise
    :param error_handler: likewise
    :param task_name: name in errors, logs and statistics, by default that of the class
    """

    on_error: ErrorAction = "fail"
    retry_config: RetryConfig = RetryConfig(max_attempts=1)
    error_handler: ErrorHandler | None = None
    task_name: str = ""

    def __init__(
        self,
        on_error: ErrorAction = "fail",
        retry_config: RetryConfig | None = None,
        error_handler: ErrorHandler | None = None,
        task_name: str | None = None,
    ) -> None:
        self.on_error = on_error
        self.retry_config = retry_config or RetryConfig(max_attempts=1)
        self.error_handler = error_handler
        self.task_name = task_name or type(self).__name__

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.stage_plan().name!r}>"

    # Typed so that a subclass may define it as a coroutine function or as an async generator.
    def process(self, items: Any) -> Any:
        """
        Turn a stream of items into a stream of results; for subclasses to define.

        :param items: an async iterator
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define 'async def process(self, items)'; "
            "for a task that calls a function, use @single_task or @batch_task"
        )

    def stage_plan(self) -> StagePlan:
        """Return what the engine needs to know."""
        # A subclass need not have called our __init__.
        return StagePlan(
            "process", TaskOptions(self.task_name or type(self).__name__), self.process
        )

    def get_context(self) -> PipelineContext | None:
        """Return the context of the run that calls us, ``None`` outside of any run."""
        return get_current_context()

    def pipeline(self) -> Pipeline[In, Out]:
        """Return a pipeline of this task alone."""
        from .pipeline import Pipeline

        return Pipeline().add(self)

    def __call__(self, data: Data[In] = NO_DATA) -> PipelineStream[Out]:
        """
        Return the stream of results for *data*, as a pipeline of this task would.

        :param data: as for a pipeline
        """
        return self.pipeline()(data)

    def __or__(self, other: Composable[Out, Next]) -> Pipeline[In, Next]:
        return self.pipeline() | other

    def as_completed(self, data: Data[In] = NO_DATA) -> PipelineStream[Out]:
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

    def run(self, data: Data[In] = NO_DATA, *, backend: str = "asyncio") -> list[Out]:
        """
        Run from synchronous code.

        :param data: as for a pipeline
        :param backend: ``"asyncio"`` or ``"trio"``
        :return: all results
        """
        return self.pipeline().run(data, backend=backend)


class FunctionTask(BaseTask[In, Out]):
    """
    A task that calls a function; immutable.

    :param func: what is called with each item, or batch
    :param options: keywords of the decorator
    :raises TypeError: as the decorator does
    :raises ValueError: as the decorator does
    """

    _kind: ClassVar[Literal["single", "batch"]]

    func: Callable[..., Any]
    options: TaskOptions
    inputs: SideInputs
    concurrency_limit: int | None
    timeout: float | None
    flatten: bool
    in_order: bool

    def __init__(self, func: Callable[..., Any], **options: Any) -> None:
        _check_function(func)
        kept = TaskOptions(name_of(func), is_batch=self._kind == "batch").updated(options)
        self._describe(func, kept, SideInputs())

    def _describe(self, func: Callable[..., Any], options: TaskOptions, inputs: SideInputs) -> None:
        self.__dict__.update(
            func=func,
            options=options,
            inputs=inputs,
            task_name=options.task_name,
            on_error=options.on_error,
            retry_config=replace(options.retry),  # a copy, since it can be changed
            error_handler=options.error_handler,
            concurrency_limit=options.concurrency_limit,
            timeout=options.timeout,
            flatten=options.flatten,
            in_order=options.in_order,
            __doc__=getattr(func, "__doc__", None),
            __name__=options.task_name,
            __module__=getattr(func, "__module__", __name__),
            __wrapped__=func,
        )

    def __setattr__(self, name: str, value: Any) -> None:
        # A subclass may have attributes of its own; those that describe the task are fixed.
        if name in FunctionTask.__annotations__ or name in BaseTask.__annotations__:
            raise AttributeError(
                f"tasks are immutable, so {name} cannot be set; task.replace(...) and "
                "task.with_inputs(...) return a new task"
            )
        super().__setattr__(name, value)

    def stage_plan(self) -> StagePlan:
        """Return what the engine needs to know."""
        # Does a subclass define its own? (Pyright does not see the arguments of self's type.)
        if type(self).process is not FunctionTask.process:  # pyright: ignore[reportUnknownMemberType]
            return super().stage_plan()
        return self._call_plan()

    def _call_plan(self) -> StagePlan:
        return StagePlan(self._kind, self.options, self.func, self.inputs)

    async def process(self, items: Any) -> AsyncStream[Out]:
        """
        Return the stream of a pipeline of this task.

        :param items: as for a pipeline
        """
        # Not by way of the pipeline: a subclass whose process() calls this one would meet itself.
        return PipelineStream((self._call_plan(),), items, PipelineContext())

    def with_inputs(self: Self, *args: Any, **kwargs: Any) -> Self:
        """
        Return a copy whose function gets further arguments after the item.

        A plain value is passed as it is; a coroutine is awaited and a stream asked for its first
        item, once per configured task; an async iterator is passed on for all calls to share, and
        makes them start in input order.

        :param args: positional arguments, in place of those given before
        :param kwargs: named arguments, in place of those given before
        """
        return self._copy(self.func, self.options, SideInputs(args, kwargs))

    @overload
    def replace(
        self: Self,
        *,
        min_size: int = ...,
        max_size: int | None = ...,
        **options: Unpack[BatchOptions],
    ) -> Self: ...
    @overload
    def replace(self, **options: Unpack[BatchTaskOptions]) -> FunctionTask[In, Any]: ...
    def replace(self, **options: Any) -> Any:
        """
        Return a copy with other options.

        :param options: keywords of the decorator
        :raises TypeError: as the decorator does
        :raises ValueError: as the decorator does
        """
        return self._copy(self.func, self.options.updated(options), self.inputs)

    def _copy(
        self: Self, func: Callable[..., Any], options: TaskOptions, inputs: SideInputs
    ) -> Self:
        duplicate = object.__new__(type(self))
        duplicate.__dict__.update(self.__dict__)
        duplicate._describe(func, options, inputs)
        return duplicate

    @overload
    def __get__(self: Self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> FunctionTask[Any, Out]: ...
    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """On an instance, return the task bound to it, as a function would be."""
        bind = getattr(self.func, "__get__", None)
        by_class = isinstance(self.func, classmethod | staticmethod)
        if bind is None or (instance is None and not by_class):
            return self
        return self._copy(bind(instance, owner), self.options, self.inputs)

    def __call__(self, *args: Any, **kwargs: Any) -> TaskCall[In, Out]:
        """
        Call lazily; what is done with the call decides what it means.

        Await it for one call, iterate it for a stream over the first argument, or use it in a ``|``
        expression to bind the arguments after the item.

        :param args: positional arguments
        :param kwargs: named arguments
        """
        return TaskCall(self, args, kwargs)


class SingleTask(FunctionTask[In, Out]):
    """
    A task that is called with one item at a time; made by :func:`~conveyor.single_task`.

    :param func: called with each item
    :param options: keywords of :func:`~conveyor.single_task`
    """

    _kind = "single"

    if TYPE_CHECKING:

        @overload
        def __get__(self: Self, instance: None, owner: type | None = None) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: type | None = None) -> SingleTask[Any, Out]: ...
        def __get__(self, instance: object, owner: type | None = None) -> Any: ...


class BatchTask(FunctionTask[In, Out]):
    """
    A task that is called with a list of consecutive items; made by :func:`~conveyor.batch_task`.

    :param func: called with each batch
    :param min_size: items a batch needs, at least 1
    :param max_size: items a batch holds at most, by default *min_size*
    :param options: further keywords of :func:`~conveyor.batch_task`
    """

    _kind = "batch"

    def __init__(
        self,
        func: Callable[..., Any],
        min_size: int = 1,
        max_size: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(func, min_size=min_size, max_size=max_size, **options)

    if TYPE_CHECKING:

        @overload
        def __get__(self: Self, instance: None, owner: type | None = None) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: type | None = None) -> BatchTask[Any, Out]: ...
        def __get__(self, instance: object, owner: type | None = None) -> Any: ...

    @property
    def min_size(self) -> int:
        """Items a batch needs, unless it is full."""
        return self.options.min_size

    @property
    def max_size(self) -> int:
        """Items a batch holds at most."""
        return self.options.batch_size

    @property
    def max_wait(self) -> float | None:
        """Seconds after its first item until a batch is sent although it is not full."""
        return self.options.max_wait


def _check_function(func: object) -> None:
    # A class method becomes callable when it is bound.
    if not (callable(func) or isinstance(func, classmethod)):
        raise TypeError(f"a task needs a function, got {func!r}; write the decorator above a 'def'")
