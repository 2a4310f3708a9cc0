"""
Timing a stage, and telling the observers of its calls.

A call here is that of one item or batch with all of its attempts, from the beginning of the first;
waiting to begin is not part of it, nor is the time that its generator waits for room.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..observing import CallInfo, CallOutcome
from ..statistics import Latency, StageTimings
from .failures import CallFailed
from .histogram import Histogram
from .stopwatch import Stopwatch

if TYPE_CHECKING:
    from .pacing import Pacing
    from .sequence import Slot
    from .stage import Stage
    from .watching import RunWatch

T = TypeVar("T")


class StageWatch:
    """
    Times one stage.

    :param run_watch: of the run
    :param stage: the stage
    :param position: of the stage
    :ivar calls: those that are being made, by the slots that they are about
    :ivar charged_at: when time was last charged
    """

    def __init__(self, run_watch: RunWatch, stage: Stage, position: int) -> None:
        self.clock = run_watch.clock
        self.calls: dict[Slot, WatchedCall] = {}
        self._run_watch = run_watch
        self._stage = stage
        self._position = position
        self._has_begun = False
        self._running = 0
        self._holding = 0
        self._latencies = Histogram()
        self._blocking = Stopwatch(self.clock)
        self._sums = Sums()
        self.charged_at = self.clock()
        self._blocked_at = 0.0  # reading of the source's stopwatch at that time
        self._final: StageTimings | None = None

    def charge(self) -> None:
        """Charge the time since the last change to the present state, which is about to change."""
        if self._final is None:
            now = self.clock()
            self._sums, self._blocked_at = self._sums_at(now), self._blocked_now
            self.charged_at = now

    def _sums_at(self, now: float) -> Sums:
        sums = self._sums
        spent = now - self.charged_at
        busy = sums.busy + spent * self._running
        if self._running >= self._stage.present_limit:
            return sums._replace(busy=busy, saturated=sums.saturated + spent)
        if self._holding or self._stage.waits_for_key:
            return sums._replace(busy=busy, held=sums.held + spent)
        blocked = spent
        if not self._stage.waits_for_room:
            # Without work: since the source has no room for more, or since there is none.
            blocked = min(spent, self._blocked_now - self._blocked_at)
        return sums._replace(
            busy=busy,
            blocked=sums.blocked + blocked,
            starved=sums.starved + spent - blocked,
        )

    @property
    def _blocked_now(self) -> float:
        return self._run_watch.source_blocked.elapsed

    def finish(self) -> None:
        """Everything has ended: the figures stay as they are."""
        self._final = self.timings()

    def timings(self) -> StageTimings:
        """Return the figures so far."""
        if self._final is not None:
            return self._final
        # Charges nothing, since another thread may ask.
        sums, latencies = self._sums_at(self.clock()), self._latencies
        latency = None
        if latencies.count:
            p50, p95, p99 = map(latencies.quantile, (0.5, 0.95, 0.99))
            latency = Latency(p50, p95, p99, latencies.longest)
        return StageTimings(**sums._asdict(), blocking=self._blocking.elapsed, latency=latency)

    # Calls

    def timed(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """
        Return a function that measures for how long the event loop stands still in another.

        :param function: of the task, side inputs bound
        """

        def call(item: Any) -> Any:
            with self._blocking:
                return function(item)

        return call

    async def hold(self, admission: Awaitable[T]) -> T:
        """
        Wait for leave to begin.

        :param admission: what to await
        """
        self.charge()
        self._holding += 1
        try:
            return await admission
        finally:
            self.charge()
            self._holding -= 1

    async def attend(self, slot: Slot, pacing: Pacing, work: Callable[[], Awaitable[T]]) -> T:
        """
        Time a call and tell the observers of it.

        :param slot: what it is about
        :param pacing: of the call
        :param work: makes the call
        :return: what it returns
        """
        pacing.watched = call = WatchedCall(self, slot)
        self.calls[slot] = call
        outcome: CallOutcome = "cancelled"
        error: BaseException | None = None
        try:
            result = await work()
        except CallFailed as failed:
            outcome, error = "failed", failed.error
            raise
        else:
            outcome = "returned"
            return result
        finally:
            del self.calls[slot]
            call.end(outcome, error)

    def begin(self, slot: Slot) -> CallInfo:
        """
        A call begins.

        :param slot: what it is about
        :return: for the observers
        """
        events = self._run_watch.events
        stage = events.stages[self._position]
        info = CallInfo(events.run, stage, self._stage.indexes_in(slot), self.clock())
        self.change(running=1)
        if not self._has_begun:
            self._has_begun = True
            events.tell("stage_started", events.run, stage)
        events.tell("call_started", info)
        return info

    def change(self, running: int) -> None:
        """
        Change the number of calls that run.

        :param running: by how many
        """
        self.charge()
        self._running += running

    def end(self, info: CallInfo) -> None:
        """
        A call has ended.

        :param info: knows how
        """
        assert info.ended_at is not None
        self._latencies.add(info.ended_at - info.started_at - info.paused)
        self._run_watch.events.tell("call_ended", info)


class WatchedCall:
    """
    One call that is being timed.

    :param watch: of its stage
    :param slot: what it is about
    :ivar info: for the observers, once it has begun
    """

    __slots__ = ("_paused_at", "_slot", "_watch", "info")

    def __init__(self, watch: StageWatch, slot: Slot) -> None:
        self._watch = watch
        self._slot = slot
        self._paused_at: float | None = None
        self.info: CallInfo | None = None

    @property
    def age(self) -> float | None:
        """Seconds since it began, ``None`` if it has not."""
        return None if self.info is None else self._watch.clock() - self.info.started_at

    def begin(self) -> None:
        """An attempt begins, perhaps the first one."""
        if self.info is None:
            self.info = self._watch.begin(self._slot)
        else:
            self.info.attempts += 1

    def pause(self) -> None:
        """Its generator waits for room."""
        if self.info is not None:
            self._watch.change(running=-1)
            self._paused_at = self._watch.clock()

    def resume(self) -> None:
        """Its generator has room, or nobody wants it to go on."""
        if self.info is not None and self._paused_at is not None:
            self.info.paused += self._watch.clock() - self._paused_at
            self._paused_at = None
            self._watch.change(running=1)

    def end(self, outcome: CallOutcome, error: BaseException | None) -> None:
        """
        It is over; it need not have begun, if nobody let it.

        :param outcome: how it has ended
        :param error: with which it has failed
        """
        info = self.info
        if info is None:
            return
        self.resume()
        self._watch.change(running=-1)
        info.ended_at = self._watch.clock()
        info.outcome, info.error = outcome, error
        self._watch.end(info)


class Sums(NamedTuple):
    """Seconds in each state so far, and those of all calls together."""

    busy: float = 0.0
    saturated: float = 0.0
    held: float = 0.0
    blocked: float = 0.0
    starved: float = 0.0
