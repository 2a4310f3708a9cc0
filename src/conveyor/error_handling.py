"""
What to do when a call fails: retry settings, error handlers and every exception of this library.

For each call the order is: attempts with backoff, then the ``error_handler``, then ``on_error``.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal

from ._checks import check_seconds, check_selection, checked_answer

if TYPE_CHECKING:
    import logging

__all__ = [
    "DIVERT",
    "FAIL",
    "RETRY",
    "SKIP",
    "CircuitOpenError",
    "CollectLimitError",
    "ConveyorError",
    "Decision",
    "ErrorAction",
    "ErrorHandler",
    "KeyErrorAction",
    "KeyHaltedError",
    "LedgerError",
    "LoggingErrorHandler",
    "OnError",
    "Replace",
    "RetryAfter",
    "RetryConfig",
    "RetryOn",
    "StreamClosedError",
    "StreamConsumedError",
    "TooManyErrorsError",
]

ErrorAction = Literal["fail", "skip_item", "skip_batch", "divert", "retry"]
"""What becomes of an item (or batch) whose last attempt failed."""

KeyErrorAction = Literal["continue", "halt_key"]
"""What becomes of the later items of a key of which one has been left out because it failed."""

RetryOn = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool | float]
"""
Which errors are worth another attempt: a type, a tuple of types, or a predicate.

A predicate may also return the seconds to wait instead of the backoff.
"""


class Decision(Enum):
    """What becomes of an item whose last attempt failed; for a function as ``on_error``."""

    FAIL = "fail"
    SKIP = "skip"
    RETRY = "retry"
    DIVERT = "divert"


FAIL: Final = Decision.FAIL
"""End the run with the error."""

SKIP: Final = Decision.SKIP
"""Leave the item, or the whole batch, out."""

RETRY: Final = Decision.RETRY
"""Make one more attempt, after the usual delay."""

DIVERT: Final = Decision.DIVERT
"""Let the item, or all items of the batch, leave the pipeline into ``results.failures``."""


@dataclass(frozen=True)
class Replace:
    """
    Go on with a value in place of the result; for a function as ``on_error``.

    :param value: treated as if the task's function had returned it; must not be awaitable
    """

    value: Any


OnError = Callable[
    [Exception, Any],
    "Decision | Replace | Awaitable[Decision] | Awaitable[Replace] | Awaitable[Decision | Replace]",
]
"""Decides from the error and the item what becomes of an item whose last attempt failed."""


class ConveyorError(Exception):
    """Base of the errors that this library itself raises about a stream or a run."""


class StreamConsumedError(ConveyorError, RuntimeError):
    """A pipeline stream was iterated a second time; call the pipeline again for a new one."""


class StreamClosedError(ConveyorError, RuntimeError):
    """The stream was closed, or its run cancelled, before the iteration reached its end."""


class CollectLimitError(ConveyorError, RuntimeError):
    """``collect(limit=n)`` met result number n + 1."""


class TooManyErrorsError(ConveyorError, RuntimeError):
    """
    More items have failed for good than ``max_errors`` or ``max_error_rate`` allow.

    Those are items left out because of an error, diverted, or given as a
    :class:`~conveyor.Failure`. The cause is the last error.
    """


class CircuitOpenError(ConveyorError):
    """
    A call was refused, since the task's circuit breaker was open.

    :param retry_after: seconds until a call may be let through; while a trial is under way, which
        nobody knows the end of, those for which the circuit will be open if it fails
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"the circuit is open, for another {self.retry_after:g} s"


class LedgerError(ConveyorError, RuntimeError):
    """
    Items went into a stage that neither came out nor were accounted for.

    A bug in this library, raised instead of handing over truncated results.
    """


class KeyHaltedError(ConveyorError):
    """
    With ``on_key_error="halt_key"``: an item was not called since one of its key has failed.

    For the task's ``on_error`` or error handler, which decide what becomes of the item.
    """


class RetryAfter(Exception):
    """
    Raised by a task's function to ask for a pause: "try again in so many seconds".

    No further call of the stage begins in this run until then, calls in flight go on, and the item
    is repeated. That uses up none of its attempts; it is bounded by the task's ``deadline``, and to
    100 times per item. After that, after a generator's first value, and in a task without any
    option about its calls (give it ``max_retries``, say), it is an error like any other.

    :param seconds: 0 or more
    :raises TypeError: if *seconds* is not a number
    :raises ValueError: if it is negative or not finite
    """

    def __init__(self, seconds: float) -> None:
        check_seconds("RetryAfter: seconds", seconds)
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return f"to be tried again in {self.seconds:g} s"


@dataclass
class RetryConfig:
    """
    How often, how late and after which errors a call is repeated.

    :param max_attempts: calls in total, the first included, at least 1
    :param base_delay: seconds before the first retry
    :param exponential_backoff: multiply the delay by *backoff_multiplier* after each attempt
    :param max_delay: upper bound of one delay in seconds, jitter included
    :param backoff_multiplier: factor between one delay and the next
    :param jitter: fraction of the delay added at random; 0 turns it off, ``True`` draws the whole
        delay from between 0 and its value ("full jitter")
    :param retry_on: exception type, tuple of types, or predicate, which may return the seconds to
        wait instead of the backoff; cancellation is never retried, and :exc:`.CircuitOpenError`
        only if it is named itself, or by a predicate
    :raises ValueError: if a number is out of its range
    :raises TypeError: if a value is of the wrong type
    """

    max_attempts: int = 3
    base_delay: float = 1.0
    exponential_backoff: bool = True
    max_delay: float = 60.0
    backoff_multiplier: float = 2.0
    jitter: float | bool = 0.1
    retry_on: RetryOn = Exception

    def __post_init__(self) -> None:
        most: Any = self.max_attempts
        if isinstance(most, bool) or not isinstance(most, int):
            raise TypeError(f"max_attempts must be an int, got {most!r}")
        if most < 1:
            raise ValueError(f"max_attempts must be at least 1 (the first call counts), got {most}")
        for name in ("base_delay", "max_delay", "backoff_multiplier", "jitter"):
            number = getattr(self, name)
            if not isinstance(number, (int, float)) or (type(number) is bool and name != "jitter"):
                raise TypeError(f"{name} must be a number, got {number!r}")
            if not number >= 0:
                raise ValueError(f"{name} must not be negative, got {number!r}")
        if self.jitter == math.inf:
            raise ValueError("jitter must be finite, such as 0.1, or True for the whole delay")
        flag: Any = self.exponential_backoff
        if not isinstance(flag, bool):
            raise TypeError(f"exponential_backoff must be True or False, got {flag!r}")
        check_selection("retry_on", self.retry_on)

    def is_retryable(self, error: Exception) -> bool:
        """
        Tell whether *error* is worth another attempt.

        :param error: what the call raised
        """
        return self.ask(error) is not False

    def ask(self, error: Exception) -> bool | float:
        """
        Ask *retry_on* whether *error* is worth another attempt.

        :param error: what the call raised
        :return: yes, no, or yes after so many seconds, whatever the backoff says
        :raises ValueError: if a predicate returns a number that is negative or not finite
        """
        retry_on: Any = self.retry_on
        if isinstance(self.retry_on, (type, tuple)):
            return is_one_of(error, retry_on, unless_named=CircuitOpenError)
        answer = checked_answer("retry_on", retry_on(error))
        if isinstance(answer, bool) or not isinstance(answer, (int, float)):
            return bool(answer)
        check_seconds("the delay that retry_on returns", answer)
        return float(answer)


def is_one_of(
    error: Exception,
    kinds: type[Exception] | tuple[type[Exception], ...],
    unless_named: type[Exception],
) -> bool:
    """
    Tell whether *error* is of one of *kinds*.

    :param error: any error
    :param kinds: one or several types
    :param unless_named: errors of this type are only if *kinds* name it, or a type derived from it
    """
    if not isinstance(error, unless_named):
        return isinstance(error, kinds)
    each_kind = kinds if isinstance(kinds, tuple) else (kinds,)
    return any(issubclass(kind, unless_named) and isinstance(error, kind) for kind in each_kind)


class ErrorHandler:
    """
    Base class of custom error handlers.

    A handler is asked once per failed call, after its last attempt, and wins over ``on_error``.
    Any object with a ``handle_error`` method of this signature will do.
    """

    async def handle_error(
        self, error: Exception, item: Any, task_name: str, attempt: int
    ) -> tuple[bool, Any]:
        """
        Decide what becomes of a failed call.

        :param error: what the last attempt raised
        :param item: the item, or for a batch task the whole batch as a list
        :param task_name: name of the task that failed
        :param attempt: number of attempts made, the first is 1
        :return: ``(True, None)`` skips the item, ``(True, value)`` uses *value* as the result of
            the call, ``(False, anything)`` raises the error
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define "
            "'async def handle_error(self, error, item, task_name, attempt)'"
        )


class LoggingErrorHandler(ErrorHandler):
    """
    Log the error and go on, with a replacement value or without the item.

    The record names the task, the attempt and the type of the error; the error's message is left
    out because messages tend to quote the item.

    :param logger: where to log, by default the logger ``conveyor``
    :param replacement_value: result to use instead; ``None`` skips the item
    """

    def __init__(self, logger: logging.Logger | None = None, replacement_value: Any = None) -> None:
        import logging  # it takes longer to import than half of this package

        if not (logger is None or callable(getattr(logger, "error", None))):
            raise TypeError(
                f"LoggingErrorHandler: logger must be a logging.Logger, got {logger!r}; write "
                "replacement_value=... for what is to take the place of results"
            )
        self.logger: logging.Logger = logger or logging.getLogger("conveyor")
        self.replacement_value = replacement_value

    async def handle_error(
        self, error: Exception, item: Any, task_name: str, attempt: int
    ) -> tuple[bool, Any]:
        """Log the error at level ERROR; return ``(True, replacement_value)``."""
        self.logger.error("Error in %s (attempt %d): %s", task_name, attempt, type(error).__name__)
        return True, self.replacement_value
