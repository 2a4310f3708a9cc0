"""
Results to the consumer.

The last chain of a run is the buffer; there is no channel. The consumer waits first and takes
afterwards, with no await in between, so a cancelled wait never loses a result.
"""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any

from anyio import Event
from anyio.lowlevel import checkpoint

from .sequence import Chain

if TYPE_CHECKING:
    from .run import Run

# Results that a consumer takes at most before it lets other tasks run.
BURST = 256


class Empty:
    """Type of :data:`EMPTY`."""


EMPTY = Empty()
"""Returned in place of a result when there is none at present."""


class Handoff:
    """
    The consumer's end of a run.

    :param run: the run
    :param chain: its last chain
    :ivar delivered: results taken so far
    """

    __slots__ = (
        "_chain",
        "_event",
        "_pause_at",
        "_run",
        "_take_slot",
        "_thread",
        "_window",
        "delivered",
    )

    def __init__(self, run: Run, chain: Chain) -> None:
        self._run = run
        self._chain = chain
        self._window = run.window
        self._take_slot = chain.take
        self._pause_at = BURST
        self._thread = get_ident()
        self._event: Event | None = None
        self.delivered = 0
        chain.on_ready = self.wake

    def wake(self) -> None:
        """Let a waiting consumer look again."""
        if self._event is not None:
            self._event.set()

    def take(self) -> Any:
        """
        Return the next result.

        :return: :data:`EMPTY` if there is none, or only :meth:`receive` may take it: because it is
            time to let others run, or because this may be another event loop
        """
        if self.delivered >= self._pause_at or get_ident() != self._thread:
            return EMPTY
        slot = self._take_slot()
        if slot is None:
            return EMPTY
        self.delivered += 1
        # Window.release(), spelled out for its speed.
        window = self._window
        window.held = held = window.held - 1
        if window.wanted and held <= window.resume_at:
            window.wake()
        return slot.value

    def take_all(self) -> list[Any]:
        """Return all results that are ready."""
        values = self._chain.take_all()
        self.delivered += len(values)
        self._window.release(len(values))
        return values

    async def receive(self) -> Any:
        """
        Wait for the next result.

        :return: the result
        :raises StopAsyncIteration: at the end
        :raises BaseException: the failure that ended the run, after the results that were ready
        :raises RuntimeError: if another task is waiting already, or on another event loop
        """
        self._run.check_host()
        if self.delivered >= self._pause_at:
            await checkpoint()
        self._pause_at = self.delivered + BURST
        while True:
            value = self.take()
            if value is not EMPTY:
                return value
            if self._chain.exhausted:
                self._run.end()
            if self._run.finished:
                self._run.raise_outcome()
            await self._wait()

    async def _wait(self) -> None:
        if self._event is not None:
            raise RuntimeError(
                "another task is waiting for a result of this stream; a stream has one consumer "
                "(let one task iterate it and hand the items on)"
            )
        self._event = event = Event()
        try:
            await event.wait()
        finally:
            self._event = None
