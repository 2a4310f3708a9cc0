"""
What things fail with, and whether what the consumer gets is that.
"""

from __future__ import annotations

import asyncio
import sys

import anyio
from anyio.lowlevel import checkpoint

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

__all__ = ["BodyError", "Boom", "Quit", "error_of", "fail", "is_same"]


class Boom(Exception):
    """An error worth another attempt."""


class Other(Exception):
    """An error that ``retry_on`` may not name."""


class Quit(BaseException):
    """No error of a call, but the end of the program, like ``SystemExit``."""


class BodyError(Exception):
    """What the consumer's own code raises."""


#: What would steer the machinery comes as a ``RuntimeError`` from it.
STEERING = (StopIteration, GeneratorExit, asyncio.CancelledError)


def error_of(kind: str, text: str) -> BaseException:
    """Make a new error of a kind; a leaked cancellation has to be made by :func:`leak`."""
    if kind == "group":
        return ExceptionGroup(text, [Boom(text), Other(text)])
    classes: dict[str, type[BaseException]] = {
        "other": Other,
        "stop": StopIteration,
        "leak": StopIteration,
        "exit": GeneratorExit,
        "quit": Quit,
    }
    return classes.get(kind, Boom)(text)


def fail(kind: str, text: str) -> None:
    """Raise an error of a kind."""
    raise error_of(kind, text)


async def fail_async(kind: str, text: str) -> None:
    """Raise an error of a kind, also a cancellation that nobody has asked for."""
    if kind == "leak":
        raise await leak()
    raise error_of(kind, text)


async def leak() -> BaseException:
    """Return a cancellation whose reason is over."""
    if anyio.get_cancelled_exc_class() is asyncio.CancelledError:
        return asyncio.CancelledError("leaked")
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await checkpoint()
        except anyio.get_cancelled_exc_class() as error:
            leaked = error
    return leaked


def is_same(received: BaseException, raised: BaseException) -> bool:
    """Say whether *received* is what a consumer must get for *raised*."""
    if received is raised:
        return True
    cause: BaseException | None = received
    while isinstance(cause, RuntimeError):
        cause = cause.__cause__
        if cause is raised:
            return isinstance(raised, (*STEERING, anyio.get_cancelled_exc_class()))
    return False
