"""
A call of a task by itself, outside of any run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..error_handling import SKIP
from .batch_call import BatchCall
from .caching import call_for
from .call import Call
from .failures import CallFailed, Parts, add_note, examine

if TYPE_CHECKING:
    from ..tasks import FunctionTask


async def call_once(
    task: FunctionTask[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """
    Call a task's function once, with all that its options put around a call.

    :param task: the task
    :param args: for the function; the first of them is the item
    :param kwargs: for the function
    :return: what it returned, ``None`` if it failed and is to be skipped
    :raises BaseException: what the last attempt raised
    """
    function = task.func
    if task.inputs:
        try:
            function = await task.inputs.bind(function)
        except BaseException as raised:
            examined = examine(raised, f"a side input of task {task.task_name!r}")
            raise examined  # noqa: B904 - it has a cause if it needs one
    # Handlers and costs are shown the item, as in a run; the function gets all the arguments.
    options = task.options if args else task.options.without_item(kwargs)

    def called(item: Any) -> Any:
        """Call the function, with the item if there is one."""
        return function(item, *args[1:], **kwargs) if args else function(**kwargs)

    is_batch = task.options.is_batch and args
    call: Call = BatchCall(called, options) if is_batch else call_for(called, options)
    try:
        result = await call(args[0] if args else None)
        if isinstance(result, Parts):
            result = result.values()
    except CallFailed as failed:
        if failed.decision is SKIP:
            return None
        plural = "" if failed.attempts == 1 else "s"
        add_note(
            failed.error,
            f"raised by task {failed.task_name or task.task_name!r} "
            f"after {failed.attempts} attempt{plural}",
        )
        error = failed.error
    else:
        return result
    raise error
