"""
Calling a task: lazy, so that how the call is used can decide what it means.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .context import PipelineContext
from .stream import NO_DATA, PipelineStream

if TYPE_CHECKING:
    from ._engine.run import Run
    from ._signatures import Composable
    from .pipeline import Pipeline
    from .tasks import FunctionTask

__all__ = ["TaskCall"]

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)
Next = TypeVar("Next")


class TaskCall(PipelineStream[Out], Generic[In, Out]):
    """
    A task and the arguments it was called with; how it is used decides what that means.

    Awaited: one call with these arguments. Iterated, collected, entered, given as data or side
    input: the stream of a one-stage pipeline over the first argument. Part of a ``|`` expression:
    the task with the arguments bound after the item.

    :param task: the task
    :param args: positional arguments
    :param kwargs: named arguments
    """

    def __init__(
        self, task: FunctionTask[In, Out], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._task = task
        self._args = args
        self._kwargs = kwargs
        self._bound: FunctionTask[In, Out] | None = None
        super().__init__((task.stage_plan(),), NO_DATA, PipelineContext())

    def _start(self) -> Run:
        self._check_unused()
        stream = self._task.pipeline()(*self._args, **self._kwargs)
        self._plans, self._data = stream._plans, stream._data
        return super()._start()

    def __await__(self) -> Generator[Any, Any, Any]:
        from ._engine.lone_call import call_once

        return call_once(self._task, self._args, self._kwargs).__await__()

    def bound(self) -> FunctionTask[In, Out]:
        """Return the task with the arguments bound after the item, as ``|`` does."""
        # Once: what has to be awaited for the inputs is awaited once, however often we are used.
        if self._bound is None:
            self._bound = self._task.with_inputs(*self._args, **self._kwargs)
        return self._bound

    def __or__(self, other: Composable[Out, Next]) -> Pipeline[In, Next]:
        return self.bound() | other

    if not TYPE_CHECKING:

        def __ror__(self, other: Any) -> Any:
            return self.bound().__ror__(other)
