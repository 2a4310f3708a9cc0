"""
The limit of a stage whose limit is found by trying: shares for its attempts, and what they measure.

A share of it stands where without it the run's share of the parallelism stands, and contains that.
So everything that is known about those holds here: an attempt has a share while it runs and at no
other time, not while it waits for a rate, for the next attempt or for room downstream; a worker
waits for one before it takes an item; and who holds one waits for nobody who wants one. The number
of workers stays bounded by the largest limit there may be, which does not change.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from anyio import Semaphore, WouldBlock, current_time, get_cancelled_exc_class

from ..adaptive import Adaptive
from .aimd import Aimd

if TYPE_CHECKING:
    from .expansion import Expansion
    from .host import Event
    from .pacing import Pacing
    from .run import Run


class PredicateFailed(Exception):
    """
    Carries out of an attempt what asking ``throttled_by`` raised.

    :param error: what was raised
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class AdaptiveLimit:
    """
    Shares of a limit that changes, first come, first served; to be used like a semaphore.

    :param settings: of the task
    :param outer: the run's limit on calls in flight, if any; a share of that is part of each share
    :param new_event: of the event loop that the run is on
    """

    def __init__(
        self, settings: Adaptive, outer: Semaphore | None, new_event: Callable[[], Event]
    ) -> None:
        self._settings = settings
        self._outer = outer
        self._new_event = new_event
        self._rules = Aimd(
            settings.initial, settings.min, settings.max, settings.tolerance, settings.backoff
        )
        self._held = 0
        self._line: deque[Event] = deque()

    @property
    def limit(self) -> int:
        """Attempts that may run at present."""
        return self._rules.limit

    async def acquire(self) -> None:
        """Wait for a share."""
        while True:
            if self._held < self.limit and not self._line:
                self._held += 1
            else:
                await self._stand_in_line()
            if self._outer is not None:
                try:
                    await self._outer.acquire()
                except BaseException:
                    self._give_back()
                    raise
            if self._held <= self.limit:
                return
            # The limit has fallen since we got our share of it.
            self.release()

    def acquire_nowait(self) -> None:
        """
        Take a share if there is one.

        :raises WouldBlock: if there is none, or somebody waits for it
        """
        if self._held >= self.limit or self._line:
            raise WouldBlock
        if self._outer is not None:
            self._outer.acquire_nowait()
        self._held += 1

    def release(self) -> None:
        """Give a share back."""
        if self._outer is not None:
            self._outer.release()
        self._give_back()

    async def _stand_in_line(self) -> None:
        event = self._new_event()
        self._line.append(event)
        try:
            await event.wait()
        except BaseException:
            if event.is_set():
                self._give_back()  # it came together with what ends the wait
            else:
                self._line.remove(event)
            raise

    def _give_back(self) -> None:
        self._held -= 1
        # More than one, if the limit has risen; none, if it has fallen.
        while self._line and self._held < self.limit:
            self._held += 1
            self._line.popleft().set()

    async def measure(
        self,
        attempt: Callable[[Any, Expansion | None, Pacing], Awaitable[Any]],
        item: Any,
        expansion: Expansion | None,
        pacing: Pacing,
    ) -> Any:
        """
        Make an attempt, which has its share, and learn from it; the share is given back afterwards.

        If it is cancelled because its time is up, that is what it will fail with.

        :param attempt: makes it, within the scope of its timeout
        :param item: for it
        :param expansion: for it
        :param pacing: for it
        :raises PredicateFailed: if asking ``throttled_by`` raised
        :raises BaseException: what the attempt raised
        """
        rules = self._rules
        pacing.meter = meter = Meter(rules)
        try:
            result = await attempt(item, expansion, pacing)
        except BaseException as error:
            meter.stop()
            if pacing.scope is not None and isinstance(error, get_cancelled_exc_class()):
                error = TimeoutError() if pacing.scope.cancel_called else error
            if isinstance(error, Exception) and self._is_throttling(error):
                rules.throttle(meter.era)
            raise
        finally:
            pacing.meter = None
        rules.succeed(meter.era, meter.stop())
        return result

    def _is_throttling(self, error: Exception) -> bool:
        try:
            return self._settings.is_throttling(error)
        except BaseException as broken:
            raise PredicateFailed(broken) from None


def adaptive_limit(limit: object, run: Run) -> AdaptiveLimit | None:
    """
    Return what a stage needs whose limit is found by trying; ``None`` if it is not.

    :param limit: the ``concurrency_limit`` of the task
    :param run: the run
    """
    if not isinstance(limit, Adaptive):
        return None
    return AdaptiveLimit(limit, run.limiter, run.host.new_event)


class Meter:
    """
    How long an attempt takes, not counting its pauses.

    :param rules: count it while it runs
    :ivar era: in which it began
    """

    __slots__ = ("_rules", "_running_since", "_spent", "era")

    def __init__(self, rules: Aimd) -> None:
        self._rules = rules
        self._spent = 0.0
        self._running_since: float | None = current_time()
        self.era = rules.begin()

    def stop(self) -> float:
        """
        Stop for a while, or for good; idempotent.

        :return: seconds that the attempt has run so far
        """
        if self._running_since is not None:
            self._spent += current_time() - self._running_since
            self._running_since = None
            self._rules.end()
        return self._spent

    def go_on(self) -> None:
        """Go on after a stop."""
        self._running_since = current_time()
        self._rules.begin()
