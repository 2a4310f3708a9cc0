"""
Results to the consumer.

The last chain of a run is the buffer; there is no channel. The consumer waits first and takes
afterwards, with no await in between, so a cancelled wait never loses a result.

What is ready is taken from the chain in small lots, since one step per result would cost more than
the result; the places of a lot are given back with the last of it. A lot is an eighth of the window
at most, so that giving back late starves nobody: the source waits for as much room anyhow. For the
same reason, who wants all results, and not each as soon as it is ready, is woken when so many are
ready rather than in each turn of the loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from sys import maxsize
from typing import TYPE_CHECKING, Any

from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from .sequence import Chain
from .window import BURST

if TYPE_CHECKING:
    from .host import LoneEvent
    from .run import Run


class Handoff:
    """
    The consumer's end of a run.

    :param run: the run
    :param chain: its last chain
    :param take_values: takes what is ready from it, so many at most
    :ivar taken: results taken from the chain so far
    :ivar ready: the rest of the present lot; takers call :meth:`end_lot` after the last of it
    :ivar locate: tells where the caller is; elsewhere than at *location* :meth:`receive` must be
        called, which raises
    :ivar location: where the consumer is
    """

    __slots__ = (
        "_chain",
        "_event",
        "_lot",
        "_lot_limit",
        "_pause_at",
        "_run",
        "_take_values",
        "_window",
        "locate",
        "location",
        "ready",
        "taken",
    )

    def __init__(self, run: Run, chain: Chain, take_values: Callable[[int], list[Any]]) -> None:
        self._run = run
        self._chain = chain
        self._take_values = take_values
        self._window = run.window
        self._lot_limit = max(1, min(run.window.size // 8, BURST))
        self._lot = 0
        self.taken = 0
        self._pause_at = BURST
        self._event: LoneEvent | None = None
        self.ready: deque[Any] = deque()
        self.locate = run.host.locate
        self.location = run.host.location
        chain.on_ready = self.wake

    @property
    def delivered(self) -> int:
        """Results delivered so far."""
        return self.taken - len(self.ready)

    @property
    def is_awaited(self) -> bool:
        """Whether the consumer waits, and will take what is ready as soon as it is woken."""
        return self._event is not None

    @property
    def is_settled(self) -> bool:
        """Whether nothing is missing but that the consumer takes what is ready."""
        return self._chain.is_settled

    def wake(self) -> None:
        """Let a waiting consumer look again."""
        if self._event is not None:
            self._event.set()

    def end_lot(self) -> None:
        """Give back the places of a lot that has been delivered."""
        lot, self._lot = self._lot, 0
        self._window.release(lot)

    def drop(self) -> None:
        """Forget the results that nobody has taken, since nobody will."""
        self._chain.clear()
        self.taken -= len(self.ready)
        self.ready.clear()
        self.end_lot()

    async def receive(self) -> Any:
        """
        Wait for the next result.

        :return: the result
        :raises StopAsyncIteration: at the end
        :raises BaseException: the failure that ended the run, after the results that were ready
        :raises RuntimeError: if another task is waiting already, or on another event loop
        """
        self._run.check_host()
        if self.taken >= self._pause_at:
            self._pause_at = self.taken + BURST
            await checkpoint()
        while not self.ready:
            self.ready += self._take(self._lot_limit)
            if not self.ready:
                await self._wait()
                self._pause_at = self.taken + BURST
        value = self.ready.popleft()
        if not self.ready:
            self.end_lot()
        return value

    async def receive_rest(self, rest: list[Any]) -> None:
        """
        Wait for all results that are still to come.

        They are taken, and their places given back, when there are enough for the source to go on.

        :param rest: gets them as they come
        :raises BaseException: as :meth:`receive`
        """
        self._run.check_host()
        rest += self.ready
        self.ready.clear()
        try:
            while True:
                taken = self._take(maxsize)
                rest += taken
                self.end_lot()
                # If none came, the head is late, and what comes after it says nothing any more.
                await self._wait(self._window.lacking if taken else 0)
        except StopAsyncIteration:
            pass  # rather than suppress(), which takes a user's exception group apart

    def put_back(self, results: list[Any]) -> None:
        """
        Let results be received once more, before all others; they need no places any more.

        :param results: in the order in which they were received
        """
        self.ready.extendleft(reversed(results))

    def _take(self, limit: int) -> list[Any]:
        # Before anything is taken: who waits for several leaves those in the chain that are ready.
        if self._event is not None:
            raise RuntimeError(
                "another task is waiting for a result of this stream; a stream has one consumer "
                "(let one task iterate it and hand the items on)"
            )
        values = self._take_values(limit)
        self.taken += len(values)
        self._lot += len(values)
        return values

    async def _wait(self, count: int = 0) -> None:
        """
        Wait until there may be something to take, now that nothing is; or tell of the end.

        :param count: results without which it is of no use to be woken, if all of them are coming
        """
        run = self._run
        if self._chain.exhausted:
            run.end()
        if run.finished:
            if run.was_cut_short:
                # By a cancellation, perhaps, that is still on its way to us.
                await checkpoint_if_cancelled()
                await checkpoint()
            run.raise_outcome()
        self._event = event = run.host.new_lone_event()
        watch = run.observation.watch
        try:
            self._chain.expect(count)
            if watch is None:
                await event.wait()
            else:
                with watch.consumer_wait:
                    await event.wait()
        finally:
            self._event = None
            self._chain.awaited = None
