"""
Tasks: immutable descriptions of what a pipeline does with its items.

Made by the decorators; they hold a function and its options, and run nothing themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, overload

from ._checks import check_measurable
from ._hedge_checks import check_hedged_function, check_hedged_inputs
from ._hook_checks import check_followed_function
from ._lane_checks import check_cacheable, check_start_order
from .base_task import BaseTask
from .calls import TaskCall
from .context import PipelineContext
from .plan import StagePlan, without_item
from .side_inputs import SideInputs
from .stream import AsyncStream, PipelineStream
from .task_options import TaskOptions, name_of
from .task_settings import TaskSettings

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .caching import Store
    from .error_handling import KeyErrorAction
    from .options import MaxSize, ReplacedOptions, ReplacedTaskOptions

__all__ = ["BaseTask", "BatchTask", "FunctionTask", "SingleTask"]

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)
Self = TypeVar("Self", bound="FunctionTask[Any, Any]")


class FunctionTask(TaskSettings, BaseTask[In, Out]):
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
    _plan: StagePlan

    def __init__(self, func: Callable[..., Any], **options: Any) -> None:
        _check_function(func)
        kept = TaskOptions(name_of(func), is_batch=self._kind == "batch").updated(options)
        self._describe(func, kept, SideInputs())

    def _describe(self, func: Callable[..., Any], options: TaskOptions, inputs: SideInputs) -> None:
        check_measurable(func, options)
        check_hedged_function(func, options)
        check_hedged_inputs(inputs, options)
        check_start_order(options, inputs)
        check_cacheable(func, options)
        check_followed_function(func, options)
        self.__dict__.update(
            _plan=StagePlan(self._kind, options, func, inputs),
            func=func,
            options=options,
            inputs=inputs,
            task_name=options.task_name,
            on_error=options.on_error,
            retry_config=replace(options.retry),  # a copy, since it can be changed
            error_handler=options.error_handler,
            __doc__=getattr(func, "__doc__", None),
            __name__=options.task_name,
            __module__=getattr(func, "__module__", __name__),
            __annotations__=getattr(func, "__annotations__", {}),
            __isabstractmethod__=getattr(func, "__isabstractmethod__", False),
            __wrapped__=func,
        )

    def __setattr__(self, name: str, value: Any) -> None:
        # A subclass may have attributes of its own; those that describe the task are fixed.
        if name in {*FunctionTask.__annotations__, *BaseTask.__annotations__} or isinstance(
            getattr(type(self), name, None), property
        ):
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
        return self._plan

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
        max_size: MaxSize = ...,
        fallback: FunctionTask[In, Out] | None = ...,
        **options: Unpack[ReplacedOptions],
    ) -> Self: ...
    @overload
    def replace(self, **options: Unpack[ReplacedTaskOptions]) -> FunctionTask[In, Any]: ...
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
        options = self.options
        fallback = options.fallback
        if fallback is not None and fallback._is_method_of(owner or type(instance)):
            options = replace(options, fallback=fallback.__get__(instance, owner))
        return self._copy(bind(instance, owner), options, self.inputs)

    def _is_method_of(self, owner: type) -> bool:
        """Tell whether *owner* has a task with our function among its attributes."""
        values = (each for cls in owner.__mro__ for each in vars(cls).values())
        return any(isinstance(each, FunctionTask) and each.func is self.func for each in values)

    def without_item(self, arguments: Mapping[str, Any]) -> FunctionTask[Any, Any]:
        """
        Return a copy whose function is called without the item; what a source falls back on.

        :param arguments: named ones that it gets instead
        """
        function = partial(without_item, self.func, **arguments)
        return self._copy(function, self.options.without_item(arguments), self.inputs)

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

    @property
    def key(self) -> Callable[[Any], Hashable] | None:
        """Tells the key of which one call is made at a time; ``None`` if all may overlap."""
        return self.options.key

    @property
    def on_key_error(self) -> KeyErrorAction:
        """What becomes of the later items of a key of which one was left out as it failed."""
        return self.options.on_key_error

    @property
    def priority(self) -> Callable[[Any], float] | None:
        """Tells how urgent an item is; ``None`` if all are alike."""
        return self.options.priority

    @property
    def cache(self) -> Store | None:
        """Where results are kept by key; ``None`` if every item is called."""
        return self.options.cache

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
    :param max_size: items a batch holds at most, by default *min_size*; ``"auto"`` to measure
    :param options: further keywords of :func:`~conveyor.batch_task`
    """

    _kind = "batch"

    def __init__(
        self,
        func: Callable[..., Any],
        min_size: int = 1,
        max_size: MaxSize = None,
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
        """Items a batch holds at most, also while smaller ones turn out to be better."""
        return self.options.batch_size

    @property
    def max_wait(self) -> float | None:
        """Seconds after its first item until a batch is sent although it is not full."""
        return self.options.max_wait

    @property
    def weight(self) -> Callable[[Any], float] | None:
        """Tells what an item weighs; ``None`` if nobody asks."""
        return self.options.weight

    @property
    def max_weight(self) -> float | None:
        """What the items of a batch weigh at most, unless there is but one."""
        return self.options.max_weight

    @property
    def batch_by(self) -> Callable[[Any], Hashable] | None:
        """Tells which items may be in a batch together; ``None`` if all may."""
        return self.options.batch_by

    @property
    def target_duration(self) -> float | None:
        """Seconds that a call should take, if the size of batches is found by measuring."""
        return self.options.target_duration


def _check_function(func: object) -> None:
    # A class method becomes callable when it is bound.
    if not (callable(func) or isinstance(func, classmethod)):
        raise TypeError(f"a task needs a function, got {func!r}; write the decorator above a 'def'")
