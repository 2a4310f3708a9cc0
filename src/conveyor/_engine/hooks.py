"""
Hooks: ``before`` and ``after``, which are called around a task's function, as a part of the call.

Nothing in the engine knows of them. A task with hooks has another function, made once, and what
surrounds a call surrounds that: an error of a hook is one of the attempt, its time counts for the
timeout, and a task without hooks pays nothing.

Each hook wraps the function by itself, ``before`` on the outside, so that ``after`` sees the item
as the function does. A wrapper is a plain function, which returns what the wrapped one did, or a
coroutine where there is something to wait for; so a plain function with plain hooks stays one, and
``before`` puts no further coroutine around those of a coroutine function.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from .kinds import ASYNC_GENERATOR, AWAITABLE, GENERATOR, Kinds

if TYPE_CHECKING:
    from ..task_options import TaskOptions


def with_hooks(function: Callable[[Any], Any], options: TaskOptions) -> Callable[[Any], Any]:
    """
    Return *function* with the hooks of a task around it; as it is if there are none.

    :param function: takes the item, or the batch
    :param options: of the task
    """
    if options.after is not None:
        function = _followed(function, options.after, options.task_name)
    if options.before is not None:
        function = _preceded(function, options.before)
    return function


def _preceded(function: Callable[[Any], Any], before: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let *before* see each item first; what it returns takes the item's place."""
    kinds = Kinds()

    def preceded(item: Any) -> Any:
        """Call *before* and then the function."""
        given = before(item)
        if kinds[type(given)] is AWAITABLE:
            return proceed(item, given)
        return function(item if given is None else given)

    async def proceed(item: Any, pending: Awaitable[Any]) -> Any:
        """Go on once *before* has returned."""
        given = await pending
        result = function(item if given is None else given)
        return await result if kinds[type(result)] is AWAITABLE else result

    return preceded


def _followed(
    function: Callable[[Any], Any], after: Callable[[Any, Any], Any], task_name: str
) -> Callable[[Any], Any]:
    """Show *after* each result; what it returns takes the result's place."""
    kinds = Kinds()

    def followed(item: Any) -> Any:
        """Call the function and then *after*."""
        result = function(item)
        if kinds[type(result)] is AWAITABLE:
            return finish(item, result)
        given = show(item, result)
        if kinds[type(given)] is AWAITABLE:
            return replace(result, given)
        return result if given is None else given

    async def finish(item: Any, pending: Awaitable[Any]) -> Any:
        """Go on once the function has returned."""
        result = await pending
        given = show(item, result)
        if kinds[type(given)] is AWAITABLE:
            given = await given
        return result if given is None else given

    async def replace(result: Any, pending: Awaitable[Any]) -> Any:
        """Go on once *after* has returned."""
        given = await pending
        return result if given is None else given

    def show(item: Any, result: Any) -> Any:
        """Call *after* if there is a result that it could see."""
        if kinds[type(result)] in (GENERATOR, ASYNC_GENERATOR):
            raise TypeError(
                f"task {task_name!r} with after returned a generator, whose values are not there "
                "yet for it to see; return a list, or leave after out"
            )
        return after(item, result)

    return followed
