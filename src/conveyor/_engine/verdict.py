"""
What becomes of an item that has failed for good: asking the error handler, or a function as
``on_error``.
"""

from __future__ import annotations

from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from ..error_handling import FAIL, SKIP, Decision, Replace

if TYPE_CHECKING:
    from ..task_options import TaskOptions
    from .failures import ItemFailed


async def verdict_on(failed: ItemFailed, item: Any, options: TaskOptions) -> Decision | Replace:
    """
    Decide what becomes of an item.

    :param failed: what the last attempt raised, of the task or its fallback
    :param item: the item, or the batch
    :param options: of the task
    :raises Exception: what the handler or function raised
    :raises TypeError: if it returned something else than it may
    """
    name = options.task_name
    handler = options.error_handler
    if handler is not None:
        raised_by = failed.task_name or name
        pair: Any = handler.handle_error(failed.error, item, raised_by, failed.attempts)
        if isawaitable(pair):
            pair = await pair
        if not (isinstance(pair, tuple) and len(pair) == 2):  # pyright: ignore[reportUnknownArgumentType]
            raise TypeError(
                f"error handler {type(handler).__name__} of task {name!r} must return "
                f"(should_continue, value), got a {type(pair).__name__}"  # pyright: ignore[reportUnknownArgumentType]
            )
        proceed, value = pair  # pyright: ignore[reportUnknownVariableType]
        if not proceed:
            return FAIL
        return SKIP if value is None else Replace(value)
    function: Any = options.on_error
    answer = function(failed.error, item)
    if isawaitable(answer):
        answer = await answer
    if not isinstance(answer, (Decision, Replace)):
        raise TypeError(
            f"on_error of task {name!r} must return FAIL, SKIP, DIVERT, RETRY or "
            f"Replace(value), got a {type(answer).__name__}"
        )
    return answer
