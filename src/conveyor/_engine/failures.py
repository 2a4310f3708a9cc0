"""
Errors: what those that a user's code raises mean to a run, and where they come from.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from anyio import get_cancelled_exc_class

from ..error_handling import FAIL, SKIP
from .host import is_cancellation_requested

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

if TYPE_CHECKING:
    from ..error_handling import Decision
    from .run import Run


class CallFailed(Exception):
    """
    Carries a failure and its number of attempts out of a call, leaving the error as it is.

    :param error: what the last attempt raised
    :param attempts: attempts made
    :param decision: what becomes of the item: ``FAIL``, ``SKIP`` or ``DIVERT``; ``None`` if the
        failure is none of the item's, so that the run cannot go on
    :param origin: for a note on the error, if it stems from no attempt with the item
    :ivar task_name: of the task that raised it, if it is a fallback
    """

    def __init__(
        self,
        error: BaseException,
        attempts: int,
        decision: Decision | None = None,
        *,
        origin: str | None = None,
    ) -> None:
        super().__init__(attempts)
        self.error = error
        self.attempts = attempts
        self.decision = decision if isinstance(error, Exception) else None
        # A scope that a KeyboardInterrupt has damaged raises an error of its own instead of us.
        self.__cause__ = error
        self.origin = origin
        self.task_name: str | None = None


class ItemFailed(CallFailed):
    """An item has failed for good: no mistake in the settings, and nothing that ends a program."""

    error: Exception

    @property
    def is_decided(self) -> bool:
        """Whether a fallback has said what becomes of the item, other than that it has failed."""
        return self.decision not in (None, FAIL)


class Parts(NamedTuple):
    """Result of a call in which single items failed: for each item its own, or a CallFailed."""

    entries: list[Any]

    def values(self) -> list[Any]:
        """
        Return the results alone, without the items that are skipped.

        :raises CallFailed: if there is an item that is not
        """
        for entry in self.entries:
            if isinstance(entry, CallFailed) and entry.decision is not SKIP:
                raise entry
        return [entry for entry in self.entries if not isinstance(entry, CallFailed)]

    def failures(self) -> list[CallFailed]:
        """Return those of the items that have failed."""
        return [entry for entry in self.entries if isinstance(entry, CallFailed)]


class RunStopped(BaseException):
    """
    Ends, from the inside, what nobody could cancel where it is, when the run stops: a worker, or
    only the work on an item that has been dropped.
    """


def stems_from_exit(error: BaseException | None) -> bool:
    """
    Tell whether somebody wanted to end the program when *error* was raised.

    Where that hits a cancel scope of ours, the scope raises an error of its own.

    :param error: any; ``None`` for no
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


LEAKED = "although nothing cancelled it; it probably awaited something that was cancelled"


def examine(error: BaseException, culprit: str, run: Run | None = None) -> BaseException:
    """
    Return what *error*, raised by a user's function, means to a run.

    Exceptions that would steer the machinery instead of failing the call (the end of an iteration,
    a cancellation that nobody asked for) become a ``RuntimeError`` from them.

    :param error: what was raised
    :param culprit: whose code raised it, for the message
    :param run: whose task it was raised in; without one, a task of the user's own
    :raises BaseException: *error* itself, if it is a cancellation that somebody asked for
    """
    if isinstance(error, (StopIteration, StopAsyncIteration, GeneratorExit)):
        reason = "which would end an iteration; catch it, or return instead"
    elif isinstance(error, Exception):
        return error  # no backend's cancellation is one, so there is no need to ask for its class
    elif isinstance(error, RunStopped):
        raise error
    elif isinstance(error, get_cancelled_exc_class()):
        if run is None:
            requested = is_cancellation_requested(is_ours=False)
        else:
            requested = run.is_cancellation_requested
        if requested:
            raise error
        if run is not None and run.host.uncancel():
            reason = "because something cancelled the worker it runs in, which belongs to the run"
        else:
            reason = LEAKED
    else:
        return error
    return ordinary_error(error, culprit, reason)


def ordinary_error(error: BaseException, culprit: str, reason: str) -> RuntimeError:
    """
    Return a ``RuntimeError`` from an error that would steer the machinery.

    :param error: what was raised
    :param culprit: whose code raised it
    :param reason: why it is not passed on as it is
    """
    ordinary = RuntimeError(f"{culprit} raised {type(error).__name__}, {reason}")
    ordinary.__cause__ = error
    return ordinary


MOST_NOTES = 20
"""Notes on an exception beyond which we add none: many items may have failed with the same one."""


def add_note(error: BaseException, note: str) -> None:
    """
    Add a note to an exception, also on Python 3.10; leave exceptions alone that take none.

    :param error: gets the note
    :param note: one line
    """
    with suppress(Exception):
        notes = getattr(error, "__notes__", [])
        if len(notes) < MOST_NOTES and note not in notes:
            # Unknown to the types of Python 3.10, where tracebacks do not show it either.
            error.__notes__ = [*notes, note]  # type: ignore[attr-defined]


def add_context(error: BaseException, other: BaseException) -> None:
    """
    Show *other* where *error* is shown: at the end of what it came from.

    :param error: the one that counts
    :param other: what happened as well
    """
    known = {id(error)}
    while error.__context__ is not None and id(error.__context__) not in known:
        error = error.__context__
        known.add(id(error))
    if id(other) not in known and error.__context__ is None:
        error.__context__ = other


def bare(error: BaseException) -> BaseException:
    """
    Return the first error in a task group's exception group, cancellations aside.

    :param error: anything; returned as it is if it is no group
    """
    if not isinstance(error, BaseExceptionGroup):
        return error
    cancelled = get_cancelled_exc_class()
    # isinstance() leaves the types of the members unknown.
    members: tuple[BaseException, ...] = error.exceptions  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    found = [bare(each) for each in members]
    return next((each for each in found if not isinstance(each, cancelled)), found[0])
