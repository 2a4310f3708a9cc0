"""
Calling a task: lazy, so that how the call is used can decide what it means.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ._engine.caching import call_for
from ._engine.failures import CallFailed, add_note, examine
from ._engine.kinds import SKIPPED
from ._engine.run import Run
from .context import PipelineContext
from .stream import NO_DATA, PipelineStream

if TYPE_CHECKING:
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
        super().__init__((task.stage_plan(),), NO_DATA, PipelineContext())

    def _start(self) -> Run:
        self._check_unused()
        stream = self._task.pipeline()(*self._args, **self._kwargs)
        self._plans, self._data = stream._plans, stream._data
        return super()._start()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._call_once().__await__()

    async def _call_once(self) -> Any:
        task = self._task
        function = task.func
        if task.inputs:
            try:
                function = await task.inputs.bind(function)
            except BaseException as raised:
                examined = examine(raised, f"a side input of task {task.task_name!r}")
                raise examined  # noqa: B904 - it has a cause if it needs one
        # Handlers and costs are shown the item, as in a run; the function gets all the arguments.
        call = call_for(lambda _: function(*self._args, **self._kwargs), task.options)
        try:
            result = await call(self._args[0] if self._args else None)
        except CallFailed as failed:
            plural = "" if failed.attempts == 1 else "s"
            add_note(
                failed.error,
                f"raised by task {task.task_name!r} after {failed.attempts} attempt{plural}",
            )
            error = failed.error
        else:
            return None if result is SKIPPED else result
        raise error

    def bound(self) -> FunctionTask[In, Out]:
        """Return the task with the arguments bound after the item, as ``|`` does."""
        return self._task.with_inputs(*self._args, **self._kwargs)

    def __or__(self, other: Composable[Out, Next]) -> Pipeline[In, Next]:
        return self.bound() | other
