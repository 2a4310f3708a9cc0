"""
Composition: tasks in a row, and the context they run in.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Awaitable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .calls import TaskCall
from .context import ExecutionMode, PipelineContext
from .stream import NO_DATA, PipelineStream, run
from .task_options import name_of
from .tasks import BaseTask

if TYPE_CHECKING:
    from collections.abc import Container
    from typing import Literal

    from ._signatures import Composable, Data
    from .observing import Observer
    from .outcomes import Outcome
    from .report import RunReport

__all__ = ["Pipeline"]

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)
Next = TypeVar("Next")


class Pipeline(Generic[In, Out]):
    """
    Tasks in a row.

    ``|`` and ``with_*`` return a new pipeline; :meth:`add` appends in place. A run takes a snapshot
    when the pipeline is called, so one pipeline can be run many times, also concurrently.

    :param context: settings of its runs and data for its tasks
    """

    # An empty pipeline passes anything through.
    def __init__(self: Pipeline[Any, Any], context: PipelineContext | None = None) -> None:
        _check_context(context)
        self.context: PipelineContext = PipelineContext() if context is None else context
        self.stages: list[BaseTask[Any, Any]] = []

    def __repr__(self) -> str:
        from .describe import context_settings

        names = [task.stage_plan().name for task in self.stages]
        settings = ", ".join(context_settings(self.context))
        return f"<Pipeline {' | '.join(names) or 'empty'}{settings and f': {settings}'}>"

    # Composition

    def add(self, *tasks: Composable[Any, Any]) -> Pipeline[Any, Any]:
        """
        Append tasks in place.

        :param tasks: tasks, calls of tasks, or pipelines
        :return: this pipeline
        :raises TypeError: for anything else
        """
        for task in tasks:
            self.stages += _stages_of(task)
        return self

    def __or__(self, other: Composable[Out, Next]) -> Pipeline[In, Next]:
        context = self.context
        # A pipeline nobody configured has no opinion about the context.
        if isinstance(other, Pipeline) and context == PipelineContext():
            context = other.context
        return Pipeline(context.copy()).add(*self.stages, other)

    # What is no part of a pipeline, and no member of one, type checkers see by themselves.
    if not TYPE_CHECKING:

        def __ror__(self, other: Any) -> Any:
            return Pipeline().add(other, self)

        def __getattr__(self, name: str) -> Any:
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            if not name.startswith("_") and hasattr(PipelineStream, name):
                message += (
                    f"; its stream has: write pipeline(data).{name}, and (task | other)(data), "
                    "since in a '|' expression a task's arguments are side inputs, never data"
                )
            raise AttributeError(message, name=name, obj=self)

    def with_context(self, **fields: Any) -> Pipeline[In, Out]:
        """
        Return a pipeline with a changed context.

        :param fields: known fields of :class:`PipelineContext` are set, others go into ``data``
        :raises ValueError: if a field's value is out of its range
        """
        return Pipeline(self.context.updated(**fields)).add(*self.stages)

    def with_execution_mode(self, mode: ExecutionMode) -> Pipeline[In, Out]:
        """
        Return a pipeline with an order of results.

        :param mode: ``"ordered"`` or ``"as_completed"``
        """
        return self.with_context(execution_mode=mode)

    def with_observer(self, *observers: Observer) -> Pipeline[In, Out]:
        """
        Return a pipeline whose runs are observed, by these besides those that it has.

        :param observers: told of all that goes on; see :class:`~conveyor.Observer`
        :raises TypeError: if one is none
        """
        return self.with_context(observers=[*self.context.observers, *observers])

    def with_progress(self, title: str | None = None, **settings: Any) -> Pipeline[In, Out]:
        """
        Return a pipeline that shows how far its runs are, in rows on a terminal, else in lines.

        :param title: in front of what is shown
        :param settings: of :class:`~conveyor.observers.Progress`
        :raises TypeError: if there is no such setting
        :raises ValueError: if a setting is out of its range
        """
        from .observers.progress import Progress

        return self.with_observer(Progress(title, **settings))

    # For people

    def describe(self) -> str:
        """
        Say in words what the pipeline is, task by task.

        From the first lines of the tasks' docstrings and the settings that differ from the
        defaults, in the decorators' own keywords. Names, numbers, functions and types are shown;
        values of side inputs, of the context's data, caches and the like are not.
        """
        from .describe import describe_pipeline

        return describe_pipeline(self.stages, self.context)

    def to_mermaid(
        self,
        report: RunReport | None = None,
        *,
        direction: Literal["LR", "RL", "TB", "TD", "BT"] = "LR",
    ) -> str:
        """
        Draw the pipeline as a flowchart in the language of Mermaid.

        With a report it carries the figures of that run, and marks its bottleneck.

        :param report: of a run of this pipeline, as :meth:`.Results.report` returns it
        :param direction: of the flow: ``"LR"`` from left to right, ``"RL"``, ``"TB"`` or ``"TD"``
            from top to bottom, ``"BT"``
        :return: several lines of text, whatever the tasks are called
        :raises TypeError: if *report* is not a report
        :raises ValueError: if the report is of other tasks, or there is no such direction
        """
        from .diagram import to_mermaid

        return to_mermaid(self.stages, self.context, report, direction)

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, str]:
        """
        Return what notebooks show: a description, a diagram, and a table that needs no network.

        :param include: types of content to return, by default all
        :param exclude: types not to return
        """
        from .diagram import mimebundle

        return mimebundle(self.stages, self.context, include, exclude)

    # Use

    def __call__(
        self,
        data: Data[In] = NO_DATA,
        *args: Any,
        **kwargs: Any,
    ) -> PipelineStream[Out]:
        """
        Return the stream of results for *data*; nothing runs until it is consumed.

        :param data: an iterable or async iterable is iterated lazily, and closed; ``str``,
            ``bytes``, mappings and anything else is one item. Without data the first task is the
            source, called once without an item.
        :param args: further arguments for the first task, after the item
        :param kwargs: named arguments for the first task
        :raises TypeError: if *data* cannot be meant as data
        """
        return self._stream(data, args, kwargs)

    def outcomes(
        self,
        data: Data[In] = NO_DATA,
        *args: Any,
        **kwargs: Any,
    ) -> PipelineStream[Outcome[Out]]:
        """
        Return a stream of what becomes of the items: results and failures, in order.

        One :class:`~conveyor.Success` per result, and where an item has failed for good, instead
        of ending the run, one :class:`~conveyor.Failure`. It passes by the stages that follow and
        has the item's place in the order. Items that are skipped, filtered or diverted are not in
        it. A failing source, side input or ``process()`` ends the run as always.

        :param data: as when calling the pipeline
        :param args: as when calling the pipeline
        :param kwargs: as when calling the pipeline
        """
        return self._stream(data, args, kwargs, gives_outcomes=True)

    def _stream(
        self,
        data: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        gives_outcomes: bool = False,
    ) -> PipelineStream[Any]:
        _check_data(data)
        plans = [task.stage_plan() for task in self.stages]
        if not plans and (data is NO_DATA or args or kwargs):
            raise TypeError(
                "an empty pipeline has no task that could take arguments or be the source; "
                "write Pipeline()(data), or add a task"
            )
        if args or kwargs:
            plans[0] = plans[0].with_more_inputs(args, kwargs)
        if data is NO_DATA:
            plans[0] = plans[0].as_source()
        return PipelineStream(plans, data, self.context.copy(), gives_outcomes)

    def as_completed(
        self,
        data: Data[In] = NO_DATA,
        *args: Any,
        **kwargs: Any,
    ) -> PipelineStream[Out]:
        """
        Return the stream of results for *data* in completion order.

        :param data: as when calling the pipeline
        :param args: as when calling the pipeline
        :param kwargs: as when calling the pipeline
        """
        return self(data, *args, **kwargs).as_completed()

    def run(
        self,
        data: Data[In] = NO_DATA,
        *args: Any,
        backend: str = "asyncio",
        **kwargs: Any,
    ) -> list[Out]:
        """
        Run from synchronous code.

        :param data: as when calling the pipeline
        :param args: as when calling the pipeline
        :param backend: ``"asyncio"`` or ``"trio"``
        :param kwargs: as when calling the pipeline
        :return: all results
        :raises RuntimeError: if an event loop is running in this thread
        :raises ValueError: if there is no such backend, or it is not installed
        """
        return run(self(data, *args, **kwargs).collect, backend)


def _check_context(context: object) -> None:
    if context is not None and not isinstance(context, PipelineContext):
        raise TypeError(
            f"context must be a PipelineContext, got a {type(context).__name__}; "
            "write Pipeline(context=Context({...}))"
        )


def _stages_of(part: object) -> list[BaseTask[Any, Any]]:
    # isinstance() leaves the type arguments unknown.
    if isinstance(part, Pipeline):
        return part.stages
    if isinstance(part, TaskCall):
        return [part.bound()]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(part, BaseTask):
        return [part]  # pyright: ignore[reportUnknownVariableType]
    hint = "; write @single_task above its 'def'" if callable(part) else ""
    raise TypeError(f"a pipeline is made of tasks and pipelines, got a {type(part).__name__}{hint}")


def _check_data(data: object) -> None:
    kind = type(data)
    expected = "a pipeline's data must be an iterable, an async iterable or one item"
    if inspect.iscoroutine(data):
        data.close()
        name = data.__name__
        raise TypeError(f"{expected}, got a coroutine; await it first: pipeline(await {name}())")
    if issubclass(kind, Awaitable) and not issubclass(kind, AsyncIterable):
        raise TypeError(f"{expected}, got a {kind.__name__}; await it first: pipeline(await it)")
    if inspect.iscoroutinefunction(data):
        name = name_of(data)
        raise TypeError(f"{expected}, got a coroutine function; call it: pipeline(await {name}())")
    if inspect.isasyncgenfunction(data) or inspect.isgeneratorfunction(data):
        name = name_of(data)
        raise TypeError(f"{expected}, got a generator function; call it: pipeline({name}())")
    if issubclass(kind, (BaseTask, Pipeline)):
        raise TypeError(
            f"{expected}, got a {kind.__name__}; compose with '|', or give its results: "
            "second(first(data))"
        )
