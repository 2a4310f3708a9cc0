"""
One call for many: whoever wants its result while it is in flight waits for the same one.

The call is a task of its own, so it goes on when one of those who wait is cancelled; when the last
of them is, it is cancelled too, and has ended before that one goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from anyio import CancelScope, get_cancelled_exc_class

from .failures import LEAKED, ordinary_error
from .host import Event, current_host, is_cancellation_requested

# The calls of flights that the current code is part of; they cannot wait for themselves.
_flights: ContextVar[tuple[Flight, ...]] = ContextVar("_flights", default=())


class Flight:
    """
    A call and its outcome; begun when its result is first asked for, in a copy of that context.

    :param function: called once, without arguments
    :param cancelled: message of the error for those who come after it was cancelled
    """

    def __init__(self, function: Callable[[], Awaitable[Any]], cancelled: str) -> None:
        self._function = function
        self._host = current_host()
        self._scope = CancelScope()
        self._ended = self._host.new_event()
        self._waiting = 0
        self._value: Any = None
        self._error: BaseException | None = RuntimeError(cancelled)
        self._begun = False

    async def result(self) -> Any:
        """
        Wait for the call's result; once it is there, also on another event loop.

        :return: what the call returned
        :raises BaseException: what it raised
        :raises RuntimeError: if nobody waited any more, so that it was cancelled
        """
        if not self._ended.is_set():
            if self in _flights.get():
                raise RuntimeError("a side input needs its own value to get it")
            await self._wait()
        if self._error is not None:
            raise self._error
        return self._value

    async def _wait(self) -> None:
        if not self._host.is_current():
            raise RuntimeError(
                "a value that is needed here is being fetched on another event loop; "
                "wait until it has arrived there"
            )
        self._waiting += 1
        try:
            if not self._begun:
                self._begun = True
                self._host.spawn(self._run, self._ended.set)
            await self._ended.wait()
        finally:
            self._waiting -= 1
            if not self._waiting and not self._ended.is_set():
                self._scope.cancel()
                await outlast(self._ended)

    async def _run(self) -> None:
        _flights.set((*_flights.get(), self))
        try:
            with self._scope:
                self._value = await self._function()
                self._error = None
        except BaseException as error:
            if isinstance(error, get_cancelled_exc_class()):
                if is_cancellation_requested(is_ours=True):
                    raise
                error = ordinary_error(error, "a side input", LEAKED)
            self._error = error
        finally:
            self._ended.set()


async def outlast(event: Event) -> None:
    """
    Wait until *event* is set, whoever cancels the wait meanwhile.

    :param event: will be set
    :raises BaseException: a cancellation that came meanwhile, afterwards
    """
    interruption: BaseException | None = None
    with CancelScope(shield=True):
        while not event.is_set():
            try:
                await event.wait()
            except get_cancelled_exc_class() as error:
                # A native cancel() passes through shields; it has to wait as well.
                interruption = error
    if interruption is not None:
        raise interruption
