"""
Timing a stage, and telling the observers of its calls.

A call here is that of one item or batch with all of its attempts, from the beginning of the first;
waiting to begin is not part of it, nor is the time that its generator waits for room.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

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
    :ivar drought: runs while nothing can come: the source waits for room, and no stage before this
        one is at work
    """

    def __init__(self, run_watch: RunWatch, stage: Stage, position: int) -> None:
        self.clock = run_watch.clock
        self.calls: dict[Slot, WatchedCall] = {}
        self.drought = Stopwatch(self.clock)
        self._run_watch = run_watch
        self._stage = stage
        self._position = position
        self._has_begun = False
        self._running = 0
        self._working = 0
        self._holding = 0
        self._latencies = Histogram()
        self._blocking = Stopwatch(self.clock)
        # All that changes together in one place, so that no other thread sees half of a change.
        self._account = Account()
        self._final: StageTimings | None = None

    def begin_run(self, now: float) -> None:
        """
        The run begins.

        :param now: reading of the clock
        """
        self._account = Account(charged_at=now)

    def update(self) -> None:
        """Something has changed: charge the time since the last change to the state until now."""
        if self._final is not None:
            return
        now = self.clock()
        self._account = self._account.at(now, self.drought.at(now))._replace(
            state=self._state, running=self._running
        )
        self._run_watch.spread(self._position + 1)

    @property
    def _state(self) -> State:
        if self._working >= self._stage.present_limit:
            return "saturated"
        if self._holding or self._stage.waits_for_key:
            return "held"
        return "blocked" if self._stage.waits_for_room else "idle"

    @property
    def is_idle(self) -> bool:
        """Whether it gives nothing before something comes, or there is room."""
        return not (self._working or self._holding or self._stage.waits_for_room)

    def finish(self, now: float) -> None:
        """
        Everything has ended: the figures stay as they are.

        :param now: reading of the clock
        """
        self._final = self._timings_at(now)

    def timings(self) -> StageTimings:
        """Return the figures so far."""
        # Charges nothing, since another thread may ask.
        return self._final or self._timings_at(self.clock())

    def _timings_at(self, now: float) -> StageTimings:
        account, latencies = self._account.at(now, self.drought.at(now)), self._latencies
        latency = None
        if latencies.count:
            p50, p95, p99 = map(latencies.quantile, (0.5, 0.95, 0.99))
            latency = Latency(p50, p95, p99, latencies.longest)
        return StageTimings(
            busy=account.busy,
            saturated=account.saturated,
            held=account.held,
            blocked=account.blocked,
            starved=account.starved,
            blocking=self._blocking.elapsed,
            latency=latency,
        )

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

    async def hold(self, admission: Awaitable[T], call: WatchedCall | None = None) -> T:
        """
        Wait for leave to begin.

        :param admission: what to await
        :param call: that waits, if its item has been taken
        """
        working = 0 if call is None else 1
        self.change(working=-working, holding=1)
        try:
            return await admission
        finally:
            self.change(working=working, holding=-1)

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
        self.change(working=1)
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

    def new_info(self, slot: Slot) -> CallInfo:
        """
        Return what observers are told of a call that begins.

        :param slot: what it is about
        """
        events = self._run_watch.events
        stage = events.stages[self._position]
        return CallInfo(events.run, stage, self._stage.indexes_in(slot), self.clock())

    def begin(self, info: CallInfo) -> None:
        """
        A call begins.

        :param info: for the observers
        """
        events = self._run_watch.events
        self.change(running=1)
        if not self._has_begun:
            self._has_begun = True
            events.tell("stage_started", events.run, info.stage)
        events.tell("call_started", info)

    def change(self, running: int = 0, working: int = 0, holding: int = 0) -> None:
        """
        Change how many calls do what.

        :param running: have begun and are not paused, by how many more
        :param working: take up a place under the limit, and neither are paused nor wait for leave
        :param holding: wait for leave to begin
        """
        self._running += running
        self._working += working
        self._holding += holding
        self.update()

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

    __slots__ = ("_paused_at", "_pauses", "_slot", "_watch", "info")

    def __init__(self, watch: StageWatch, slot: Slot) -> None:
        self._watch = watch
        self._slot = slot
        self._pauses = 0
        self._paused_at = 0.0
        self.info: CallInfo | None = None

    @property
    def age(self) -> float | None:
        """Seconds since it began, ``None`` if it has not."""
        return None if self.info is None else self._watch.clock() - self.info.started_at

    def begin(self) -> None:
        """An attempt begins, perhaps the first one."""
        if self.info is None:
            self.info = self._watch.new_info(self._slot)
            self._watch.begin(self.info)
        else:
            self.info.attempts += 1
            self._watch.update()  # since the limit may have changed

    def pause(self) -> None:
        """Its generator waits for room; or a process for an item, also while it waits for room."""
        self._pauses += 1
        if self._pauses == 1:
            self._paused_at = self._watch.clock()
            self._watch.change(running=-1, working=-1)

    def resume(self) -> None:
        """What it has waited for is there, or nobody wants it to go on."""
        self._pauses -= 1
        if not self._pauses:
            self._go_on()

    def _go_on(self) -> None:
        if self.info is not None:
            self.info.paused += self._watch.clock() - self._paused_at
        self._watch.change(running=1, working=1)

    async def hold(self, admission: Awaitable[T]) -> T:
        """
        Wait for leave to go on.

        :param admission: what to await
        """
        return await self._watch.hold(admission, self)

    def end(self, outcome: CallOutcome, error: BaseException | None) -> None:
        """
        It is over; it need not have begun, if nobody let it.

        :param outcome: how it has ended
        :param error: with which it has failed
        """
        if self._pauses:
            self._pauses = 0
            self._go_on()
        info = self.info
        self._watch.change(running=0 if info is None else -1, working=-1)
        if info is not None:
            info.ended_at = self._watch.clock()
            info.outcome, info.error = outcome, error
            self._watch.end(info)


State = Literal["saturated", "held", "blocked", "idle"]
"""What a stage does; one that is idle is blocked by what follows, or starved by what comes."""


class Account(NamedTuple):
    """
    Where the time of a stage has gone, in seconds: that of each state, and of all calls together.

    ``charged_at`` is when ``state`` began, and ``drought`` how long nothing could come, by then;
    ``running`` calls go on since then.
    """

    charged_at: float = inf
    state: State = "idle"
    running: int = 0
    drought: float = 0.0
    busy: float = 0.0
    saturated: float = 0.0
    held: float = 0.0
    blocked: float = 0.0
    starved: float = 0.0

    def at(self, now: float, drought: float) -> Account:
        """
        Return the account at a moment up to which the state is the same.

        :param now: reading of the clock
        :param drought: for how long nothing could come, by now
        """
        spent = max(0.0, now - self.charged_at)
        blocked = spent
        if self.state == "idle":
            blocked = min(spent, max(0.0, drought - self.drought))
        account = self._replace(
            charged_at=now, drought=drought, busy=self.busy + spent * self.running
        )
        if self.state == "saturated":
            return account._replace(saturated=self.saturated + spent)
        if self.state == "held":
            return account._replace(held=self.held + spent)
        return account._replace(
            blocked=self.blocked + blocked, starved=self.starved + spent - blocked
        )
