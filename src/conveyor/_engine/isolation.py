"""
Context variables: what one item's call sets, another item's call must not see.

Workers are reused, and a call runs in its worker's context, so that is looked at after each call.
The variables of a context are an immutable map, which a copy shares until one of them is set; to
see that none was takes a comparison by identity, some sixty nanoseconds. Where there are none but
those that the run has set itself, to set any adds one, and to count them takes a fifth of that. A
stage whose function turns out to set variables is served by :func:`run_in_context` from then on,
one context copy per item (about a microsecond).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from gc import get_referents
from types import coroutine
from typing import Any

from ..context import has_only_context_of_run


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


async def isolated(function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
    """
    Await *function* in a copy of the present context, so that nobody else sees what it sets.

    :param function: coroutine function
    :param args: for it
    :return: what it returns
    """
    return await run_in_context(copy_context(), function(*args))


_probe: ContextVar[object] = ContextVar("conveyor_probe")


class Variables:
    """
    The context variables of a worker, as they were before its first call.

    :ivar present: their map; :meth:`have_changed` may replace it by one with the same variables
    :ivar are_ours: whether their number tells whether any has been set
    """

    __slots__ = ("_pristine", "are_ours", "present")

    def __init__(self) -> None:
        self._pristine = copy_context()
        self.present = variables_of(self._pristine)
        self.are_ours = has_only_context_of_run(self._pristine)

    def __len__(self) -> int:
        """Count them."""
        return len(self._pristine)

    def have_changed(self) -> bool:
        """
        Tell whether any variable has been set, and not set back again.

        By identity, since a value may be replaced by another one that equals it.
        """
        current = copy_context()
        present = variables_of(current)
        if present is self.present:
            return False
        pristine = self._pristine
        if len(current) != len(pristine) or any(
            value is not pristine.get(variable, pristine) for variable, value in current.items()
        ):
            return True
        self.present = present
        return False


def variables_of(context: Context) -> object:
    """
    Return the map of variables inside a context; another one as soon as any has been set.

    :param context: not the current one, but a copy of it
    """
    # There is no other way to it from Python: ``==`` takes equal values for the same ones.
    return next(iter(get_referents(context)), None)


def shows_variables(context: Context) -> bool:
    """
    Tell whether what is set here is seen in *context*, in the last thing that it refers to.

    Not if the current task runs its steps in another one than its own, as with some task factories.

    :param context: the current task's
    """
    # While it is entered, it may refer to the one before as well, and to that first.
    before = get_referents(context)[-1]
    token = _probe.set(context)
    seen = get_referents(context)[-1] is not before
    _probe.reset(token)
    return seen


def _sees_variables() -> bool:
    probe: ContextVar[object] = ContextVar("probe")
    before = variables_of(copy_context())
    same = variables_of(copy_context()) is before
    probe.set(1)
    other = variables_of(copy_context()) is not before
    probe.set(True)
    return same and other and variables_of(copy_context()) is not before


SEES_VARIABLES = copy_context().run(_sees_variables)
"""Whether this interpreter shows the map; if not, every call gets a context of its own."""
