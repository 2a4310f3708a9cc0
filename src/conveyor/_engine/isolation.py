"""
Context variables: what one item's call sets, another item's call must not see.

Workers are reused, and a call runs in its worker's context. Comparing contexts after each call
costs a tenth of a microsecond; a stage whose function turns out to set context variables is served
by :func:`run_in_context` from then on, one context copy per item (about a microsecond).
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from contextvars import Context, copy_context
from types import coroutine
from typing import Any


@coroutine
def run_in_context(context: Context, routine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """
    Await *routine* with every one of its steps run inside *context*.

    What it awaits still belongs to the calling task, so scopes, task groups and threads work.

    :param context: the context in which the steps run
    :param routine: a coroutine that has not started
    :return: what it returns
    """
    resume, value = routine.send, None
    while True:
        try:
            awaited = context.run(resume, value)
        except StopIteration as stop:
            return stop.value
        try:
            resume, value = routine.send, (yield awaited)
        except BaseException as error:
            resume, value = routine.throw, error


def differs(pristine: Context) -> bool:
    """
    Tell whether any variable of the current context has been set since *pristine* was copied.

    Values are compared by identity. Comparing the contexts themselves is much faster, but takes a
    value for unchanged that has been replaced by an equal one; a worker does that only after one
    call has been found, by this function, to leave the variables alone.

    :param pristine: a copy taken earlier in the same task
    """
    current = copy_context()
    if len(current) != len(pristine):
        return True
    return any(value is not pristine.get(variable, pristine) for variable, value in current.items())
