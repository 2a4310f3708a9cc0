"""
What all tasks have in common, and the base of those that serve a stream as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .context import ExecutionMode, PipelineContext, get_current_context
from .error_handling import ErrorAction, ErrorHandler, OnError, RetryConfig
from .plan import StagePlan
from .stream import NO_DATA, PipelineStream
from .task_options import TaskOptions

if TYPE_CHECKING:
    from ._signatures import Composable, Data
    from .observing import Observer
    from .outcomes import Outcome
    from .pipeline import Pipeline

__all__ = ["BaseTask"]

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)
Next = TypeVar("Next")


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

    on_error: ErrorAction | OnError = "fail"
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
        from .describe import task_settings

        plan = self.stage_plan()
        settings = ", ".join(task_settings(plan.options))
        return f"<{type(self).__name__} {plan.name!r}{settings and f': {settings}'}>"

    def describe(self) -> str:
        """
        Say in words what the task is, from its docstring and the settings that were given.

        Names, numbers, functions and types are shown; values of side inputs, caches and the like
        are not.
        """
        from .describe import description_of

        return str(description_of(self))

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

    # Which type checkers are to think impossible, as it is.
    if not TYPE_CHECKING:

        def __ror__(self, other: Any) -> Any:
            return self.pipeline().__ror__(other)

    def as_completed(
        self, data: Data[In] = NO_DATA, *args: Any, **kwargs: Any
    ) -> PipelineStream[Out]:
        """
        Return a stream of results in completion order.

        :param data: as for a pipeline
        :param args: as for a pipeline
        :param kwargs: as for a pipeline
        """
        return self.pipeline().as_completed(data, *args, **kwargs)

    def outcomes(
        self, data: Data[In] = NO_DATA, *args: Any, **kwargs: Any
    ) -> PipelineStream[Outcome[Out]]:
        """
        Return a stream of results and failures; see :meth:`.Pipeline.outcomes`.

        :param data: as for a pipeline
        :param args: as for a pipeline
        :param kwargs: as for a pipeline
        """
        return self.pipeline().outcomes(data, *args, **kwargs)

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

    def with_observer(self, *observers: Observer) -> Pipeline[In, Out]:
        """
        Return a pipeline of this task whose runs are observed.

        :param observers: told of all that goes on; see :class:`~conveyor.Observer`
        """
        return self.pipeline().with_observer(*observers)

    def with_progress(self, title: str | None = None, **settings: Any) -> Pipeline[In, Out]:
        """
        Return a pipeline of this task that shows how far its runs are.

        :param title: in front of what is shown
        :param settings: of :class:`~conveyor.observers.Progress`
        """
        return self.pipeline().with_progress(title, **settings)

    def run(
        self, data: Data[In] = NO_DATA, *args: Any, backend: str = "asyncio", **kwargs: Any
    ) -> list[Out]:
        """
        Run from synchronous code.

        :param data: as for a pipeline
        :param args: as for a pipeline
        :param backend: ``"asyncio"`` or ``"trio"``
        :param kwargs: as for a pipeline
        :return: all results
        """
        return self.pipeline().run(data, *args, backend=backend, **kwargs)
