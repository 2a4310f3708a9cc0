"""
What every check of :mod:`conveyor.testing.checks` stands on: a name, a bound on time, no leftovers.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from anyio import CancelScope, current_time, get_cancelled_exc_class, get_running_tasks
from anyio.lowlevel import checkpoint

from .clock import running_clock

#: Turns of the event loop in which what has been ended must have gone.
GRACE = 10


class SourceFailure(Exception):
    """What a failing source raises in the checks."""


class Expected(AssertionError):
    """
    What a check has found wrong.

    :param expected: what should have been
    :param found: what was instead
    """

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, but {found}")


class CheckedSource(AsyncIterator[Any]):
    """
    Gives items, one at a turn of the loop, and remembers what was done to it.

    :param items: what to give
    :param error: what to raise after them
    """

    def __init__(self, items: Iterable[Any], error: Exception | None = None) -> None:
        self._items = iter(items)
        self._error = error
        self.pulled: int = 0
        self.failed: bool = False
        self.closed: bool = False

    async def __anext__(self) -> Any:
        self.pulled += 1
        await checkpoint()
        for item in self._items:
            return item
        if self._error is not None and not self.failed:
            self.failed = True
            raise self._error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Remember that the source was closed."""
        self.closed = True


@asynccontextmanager
async def checking(subject: str, check: str, timeout: float) -> AsyncGenerator[None, None]:
    """
    Turn whatever goes wrong in the block into an :exc:`AssertionError` that names the check.

    :param subject: what is checked
    :param check: the name of the check
    :param timeout: seconds for the block
    """
    before = _alive()
    clock = running_clock()
    scope = CancelScope(deadline=current_time() + timeout)
    if clock is not None:
        clock.activity = f"{subject} hangs in the check {check!r}: "
    try:
        with scope:
            yield
        if scope.cancelled_caught:
            raise Expected(f"an end within {timeout:g} s", "there was none")
    except BaseException as error:
        # When the watch over a virtual clock has given up, what arrives here is only its means.
        reason = clock.take_error() if clock is not None else None
        if reason is not None:
            message = "expected an end, but nothing went on, or everything without end"
            raise failure(subject, check, message) from reason
        if isinstance(error, Expected):
            raise failure(subject, check, str(error)) from error.__cause__
        if isinstance(error, get_cancelled_exc_class()) or not isinstance(error, Exception):
            raise
        message = f"expected no error, but a {type(error).__name__} was raised"
        raise failure(subject, check, message) from error
    finally:
        if clock is not None:
            clock.activity = ""
    for _ in range(GRACE):
        if not _alive() - before:
            return
        await checkpoint()
    names = sorted(str(task.name) for task in get_running_tasks() if task.id not in before)
    if names:
        message = f"expected every task to have ended, but still alive are {', '.join(names)}"
        raise failure(subject, check, message)


def failure(subject: str, check: str, message: str) -> AssertionError:
    """
    Return the error of a check.

    :param subject: what is checked
    :param check: the name of the check
    :param message: what was expected
    """
    return AssertionError(f"{subject} fails the check {check!r}: {message}")


def same_results(found: Sequence[Any], expected: Sequence[Any]) -> bool:
    """
    Tell whether two lists hold the same results, in whatever order.

    :param found: results, which need not be hashable
    :param expected: likewise
    """
    rest = list(expected)
    for result in found:
        if result not in rest:
            return False
        rest.remove(result)
    return not rest


def _alive() -> set[int]:
    return {task.id for task in get_running_tasks()}
