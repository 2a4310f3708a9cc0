"""
A stage that calls its function with one item at a time.

Its worker exists in two forms, chosen once: a loop that does nothing but call and pass on, for
functions without retry, timeout, handler or the like, and a general one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from gc import get_referents
from itertools import repeat
from typing import TYPE_CHECKING, Any

from anyio.lowlevel import checkpoint

from .call import Call
from .failures import CallFailed, RunStopped, examine
from .isolation import Variables, place_of_variables
from .kinds import AWAITABLE, VALUE
from .sequence import Slot
from .stage import Stage
from .window import BURST

if TYPE_CHECKING:
    from ..plan import StagePlan
    from .lanes import ItemQueue
    from .run import Run


class SingleStage(Stage):
    """
    A stage that calls its function with one item at a time.

    Items are taken in the order in which they came; at most ``limit`` calls are in flight.

    :ivar preceding: the stages of the same chain that come before, the nearest first
    """

    def __init__(self, run: Run, plan: StagePlan) -> None:
        super().__init__(run, plan)
        self.queue: ItemQueue[Slot] = deque()
        self.preceding: list[SingleStage] = []
        self._rescuing = False
        self._plainly: Callable[[], Coroutine[Any, Any, None]] | None = None
        # Of results; those of one type follow one another, as a rule, and are passed on at once.
        self._usual: type[Any] | None = None
        self._over = False

    def put(self, slot: Slot) -> None:
        """
        Queue a slot; never blocks, since the window bounds what there is to queue.

        :param slot: a slot of the stage's chain
        """
        self.queue.append(slot)
        if self.wakeable:
            self.summon()

    def put_all(self, slots: list[Slot]) -> None:
        """
        Queue several slots.

        :param slots: of the stage's chain, at least one
        """
        self.queue.extend(slots)
        if self.wakeable:
            self.summon()

    @property
    def backlog(self) -> int:
        """Workers that would find work at present, as far as more than one may be summoned."""
        return 1 if self._rescuing else len(self.queue)

    @property
    def busy(self) -> int:
        """Workers that have work, the one of a rescued call included."""
        return super().busy + self._rescuing

    @property
    def waiting(self) -> int:
        """Items that have come in, and have not been taken for a call."""
        return len(self.queue)

    def has_queued(self, slot: Slot) -> bool:
        """
        Tell whether a slot waits for a call.

        :param slot: of the stage's chain
        """
        return slot in self.queue

    def stop(self) -> None:
        """Start no further call."""
        super().stop()
        self._forgotten += self.waiting
        # Workers hold on to the queue they know and find it empty, so they need not ask at every
        # item; what is still put goes to one that nobody looks at.
        self.queue.clear()
        self.queue = deque()

    def forget(self, dropped: Collection[Slot]) -> set[Slot]:
        """
        Let go of the slots in the queue that have been dropped.

        :param dropped: slots of the stage's chain
        :return: those of them that were queued
        """
        waiting = [self.queue.popleft() for _ in range(len(self.queue))]
        self.queue.extend(slot for slot in waiting if slot not in dropped)
        self._forgotten += len(waiting) - len(self.queue)
        return {slot for slot in waiting if slot in dropped}

    def worker(self) -> Coroutine[Any, Any, None]:
        """Return what a new worker runs: the hot path alone, once it is known that it will do."""
        if self._plainly is None or self._isolated:
            return super().worker()
        return self._plainly()

    async def work(self) -> None:
        """Serve the queue until nothing comes any more."""
        call = await self.prepare()
        if self._isolated or not call.is_plain or self.run.host.current_context() is None:
            self.arrive()
            await self._work(call)
        else:
            self._plainly = partial(self._work_plainly, call.function, call.is_async)
            await self._plainly()

    async def _work_plainly(self, function: Callable[[Any], Any], is_async: bool) -> None:
        """
        The hot path: a call, a look at its result, and on to the next stage.

        Its own guard (:meth:`.WorkerPool.guard`), since each step of a call that suspends passes
        through every coroutine around it.
        """
        queue = self.queue
        popleft = queue.popleft
        counters = self.counters
        kinds = self._kinds
        chain = self.chain
        following = self.following
        context = self.run.host.current_context()
        place = place_of_variables(context)
        variables = Variables()
        present = variables.present
        slot: Slot | None = None
        try:
            if self.run.stopping:
                return None
            self.arrive()
            while True:
                for _ in repeat(None, BURST):
                    try:
                        slot = popleft()  # rather than asking each time whether there is one
                    except IndexError:
                        break
                    if self.wakeable and queue:
                        self.summon()
                    counters.taken += 1
                    if is_async:
                        result = await function(slot.value)
                    else:
                        result = function(slot.value)
                        # Of a result of any type, the type is unknown to pyright.
                        if type(result) is not self._usual and kinds[type(result)] is AWAITABLE:  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
                            result = await result
                    if type(result) is self._usual:
                        slot.value = result
                        # As in emit(), spelled out as well.
                        if following is None:
                            chain.finish(slot)
                        else:
                            following.queue.append(slot)
                            if following.wakeable:
                                following.summon()
                    else:
                        self._usual = type(result) if kinds[type(result)] is VALUE else None  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
                        await self.settle(slot, result)
                    # As in have_changed(), spelled out for its speed.
                    if get_referents(context)[place] is not present:
                        if variables.have_changed():
                            self._isolated = True
                            return self.retire()
                        present = variables.present
                # Whoever waits must not keep a user's objects alive.
                slot = result = None
                if queue:
                    self._pausing += 1
                    await checkpoint()
                    self._pausing -= 1
                elif self.is_over:
                    return self.retire()
                else:
                    await self.park()
        except RunStopped:
            pass
        except BaseException as error:
            if slot is None:
                self.run.worker_failed(error, self.name)
            else:
                error = examine(error, f"task {self.name!r}", self.run)
                await self.give_up(slot, CallFailed(error, 1))

    async def _work(self, call: Call) -> None:
        """The general form, with all that may surround a call."""
        variables = Variables()
        serve = self.serve_isolated if self._isolated else self.serve
        while not self.run.stopping:
            if not self.queue:
                slot = None  # no object of the user's is kept alive meanwhile
                if self.is_over:
                    return self.retire()
                await self.park()
                continue
            self._pausing += 1
            pacing = await call.begin()
            self._pausing -= 1
            if not self.queue:
                pacing.end()
                continue
            slot = self.queue.popleft()
            if self.queue and self.wakeable:
                self.summon()
            self.counters.taken += 1
            await serve(call, slot, pacing)
            del pacing
            if variables.have_changed():
                self._isolated = True
                return self.retire()

    @property
    def is_over(self) -> bool:
        """Whether nothing will be queued any more: no stage before this one has anything left."""
        if not self._over and self.chain.closed:
            self._over = not any(stage.is_serving for stage in self.preceding)
        return self._over

    @property
    def is_serving(self) -> bool:
        """Whether anything is queued or being worked on."""
        return bool(self.queue) or self._rescuing or self.workers > len(self._idle)

    def retire(self) -> None:
        """End this worker; if work is queued, another one takes its place."""
        super().retire()
        if self._turns:
            self.relieve()
        if self.queue and self.wakeable:
            self.summon()

    # The head of the line must never be stuck behind workers that wait for it to leave

    @property
    def is_jammed(self) -> bool:
        """Whether every worker waits for room, so that nobody takes what is queued."""
        return self._waiting >= self.limit

    @property
    def is_crowded(self) -> bool:
        """Whether, beside a rescued call, as many calls run as may."""
        running = self.workers - len(self._idle) - self._waiting
        return self._rescuing and running + 1 >= self.limit

    def summon(self) -> None:
        """Wake or start a worker; for a jammed stage, let the head through."""
        if self.is_jammed and not self._idle:
            self._rescue()
        elif self.is_crowded:
            self.wakeable = False  # until the rescued call has ended
        else:
            super().summon()

    async def park(self, deadline: float | None = None) -> None:
        """
        Wait to be summoned.

        :param deadline: see :meth:`.WorkerPool.park`
        """
        if self._turns:
            self.relieve()
        await super().park(deadline)

    def relieve(self) -> None:
        """As every stage does; and if all workers wait for room, let the head through."""
        super().relieve()
        if self.is_jammed:
            self._refresh()
            self._rescue()

    def _refresh(self) -> None:
        super()._refresh()
        if self.is_jammed and not self.run.stopping:
            self.wakeable = True

    def _rescue(self) -> None:
        """
        Serve the head of the chain if it is queued here while every worker waits for it to leave.

        The one worker beyond the limit that this takes does not mean one call more at a time: the
        generators of the others are suspended, and stay so while it runs (:attr:`is_crowded`), and
        nobody is summoned beyond the limit.
        """
        head = self.chain.head
        if head is None or self._rescuing or self.run.stopping or head not in self.queue:
            return
        self.queue.remove(head)
        self.counters.taken += 1
        self._rescuing = True
        self.run.start_soon(self.guard, self._serve_rescued, head)

    async def _serve_rescued(self, slot: Slot) -> None:
        """
        Serve one slot and nothing else.

        :param slot: already out of the queue
        """
        call = await self.prepare()
        await self.serve_isolated(call, slot, await call.begin())
        self._rescuing = False
        self._refresh()
        if self.queue and self.wakeable:
            self.summon()
        self.relieve()
