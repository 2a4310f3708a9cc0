"""
Checks of ``hedge_after``: what can be called a second time while the first call goes on.
"""

from __future__ import annotations

from functools import partial
from inspect import (
    isasyncgenfunction,
    isclass,
    iscoroutinefunction,
    isfunction,
    isgeneratorfunction,
    isroutine,
)
from typing import TYPE_CHECKING, Any

from ._checks import check_number

if TYPE_CHECKING:
    from .side_inputs import SideInputs
    from .task_options import TaskOptions


def check_hedge_after(options: TaskOptions) -> None:
    """Check when a second attempt begins."""
    task, after = options.task_name, options.hedge_after
    check_number("hedge_after", after, task, zero=False)
    if after is None:
        return
    for name in ("timeout", "deadline"):
        limit = getattr(options, name)
        if limit is not None and after >= limit:
            raise ValueError(
                f"task {task!r}: hedge_after={after} is not shorter than {name}={limit}, so there "
                "would never be a second attempt; give a shorter one, or leave hedge_after out"
            )
    if options.in_order:
        raise ValueError(
            f"task {task!r}: with in_order=True there is no hedge_after, since a second attempt "
            "begins after the calls of later items; leave one of them out"
        )


def check_hedged_function(function: Any, options: TaskOptions) -> None:
    """Check that a call of *function* can go on beside another one, as far as can be known."""
    if options.hedge_after is None:
        return
    task = options.task_name
    while not iscoroutinefunction(function):
        if isgeneratorfunction(function) or isasyncgenfunction(function):
            raise TypeError(
                f"task {task!r}: hedge_after is for calls that return a result, and values of a "
                "generator go on before it has ended; return a list instead"
            )
        inner = _inside(function)
        if inner is None and (isclass(function) or isroutine(function)):
            raise TypeError(
                f"task {task!r}: hedge_after needs an 'async def', since nothing else runs while a "
                "plain function does; write one that awaits anyio.to_thread.run_sync(...)"
            )
        if inner is None:
            return  # there is no telling what it does
        function = inner


def _inside(function: Any) -> Any:
    """Return what a function calls in turn, if that can be seen."""
    if isinstance(function, partial):
        return function.func
    for name in ("__func__", "__wrapped__"):
        inner = getattr(function, name, None)
        if inner is not None:
            return inner
    if isclass(function) or isroutine(function):
        return None
    call = type(function).__call__
    return call if isfunction(call) else None


def check_hedged_inputs(inputs: SideInputs, options: TaskOptions) -> None:
    """Check that a second attempt gets what the first one got."""
    if options.hedge_after is not None and inputs.has_stream:
        raise TypeError(
            f"task {options.task_name!r}: with hedge_after there is no stream as a side input, "
            "since a second attempt would take a value of its own from it; leave hedge_after out"
        )
