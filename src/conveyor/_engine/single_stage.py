"""
A stage that calls its function with one item at a time.

Its worker exists in two forms, chosen once. The hot path does nothing but call and pass on. It will
do for tasks whose options count only when a call fails (retries, fallback, handler, ``on_error``),
since a call that does is continued in the general form. That surrounds calls from the start, with a
timeout, a rate limit, a measurement and the like.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from gc import get_referents
from itertools import repeat
from typing import TYPE_CHECKING, Any

from anyio.lowlevel import checkpoint

from .failures import RunStopped
from .isolation import Variables, shows_variables
from .kinds import ASYNC_GENERATOR, AWAITABLE, GENERATOR, RAISED, VALUE, Raised
from .queued_stage import QueuedStage
from .window import BURST

if TYPE_CHECKING:
    from ..plan import StagePlan
    from .call import Call
    from .lanes import ItemQueue
    from .run import Run
    from .sequence import Slot


class SingleStage(QueuedStage):
    """A stage that calls its function with one item at a time."""

    def __init__(self, run: Run, plan: StagePlan) -> None:
        super().__init__(run, plan)
        self._heeds_pauses = False
        self._plainly: Callable[[], Coroutine[Any, Any, None]] | None = None
        # Of values; those of one type follow one another, as a rule, and are passed on at once.
        self._usual: type[Any] | None = None

    def worker(self) -> Coroutine[Any, Any, None]:
        """Return what a new worker runs: the hot path alone, once it is known that it will do."""
        if self._plainly is None or self._isolated:
            return super().worker()
        return self._plainly()

    async def work(self) -> None:
        """Serve the queue until nothing comes any more."""
        call = await self.prepare()
        if self._isolated or self._heeds_pauses or not self.may_begin_plainly(call):
            self.arrive()
            await self._work(call)
        else:
            self._plainly = partial(self._work_plainly, call, call.is_async, self.queue)
            await self._plainly()

    def may_begin_plainly(self, call: Call) -> bool:
        """
        Tell whether workers may make first attempts on the hot path.

        :param call: what :meth:`prepare` returned
        """
        context = self.run.host.current_context()
        return call.begins_plainly and context is not None and shows_variables(context)

    def heed_pauses(self) -> None:
        """Make no attempt any more without looking whether the stage pauses; it does now."""
        self._heeds_pauses = True
        if self._plainly is not None:
            self._plainly = None
            self._withdraw_queue(deque(self._emptied()))

    async def _work_plainly(self, call: Call, is_async: bool, queue: ItemQueue[Slot]) -> None:
        """
        The hot path: a call, a look at its result, and on to the next stage.

        Its own guard (:meth:`.WorkerPool.guard`), since each step of a call that suspends passes
        through every coroutine around it.

        :param call: what :meth:`prepare` returned
        :param is_async: whether its function is an ``async def``
        :param queue: of the stage; once that has another one, this is no way to serve it
        """
        function = call.function
        popleft = queue.popleft
        counters = self.counters
        kinds = self._kinds
        chain = self.chain
        following = self.following
        context = self.run.host.current_context()
        assert context is not None  # as may_begin_plainly() has seen
        variables = Variables()
        present = variables.present
        count = len(variables)
        have_others = not variables.are_ours
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
                    try:
                        if is_async:
                            result = await function(slot.value)
                        else:
                            result = function(slot.value)
                            # Of a result of any type, the type is unknown to pyright.
                            if type(result) is not self._usual and kinds[type(result)] is AWAITABLE:  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
                                result = await result
                    except BaseException as error:
                        # For later: it must not be the context of what further attempts raise.
                        result = Raised(error)
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
                        await self._settle_first(call, slot, result)
                        result = None
                    # As in have_changed(), spelled out for its speed.
                    if len(context) != count or (
                        have_others and get_referents(context)[-1] is not present
                    ):
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
                elif self.is_over or queue is not self.queue:
                    return self.retire()
                else:
                    await self.park()
        except RunStopped:
            pass
        except BaseException as error:
            self.run.worker_failed(error, self.name)

    async def _settle_first(self, call: Call, slot: Slot, result: Any) -> None:
        """
        Pass on what a first attempt on the hot path has come to.

        :param call: that the attempt belongs to
        :param slot: the place it has
        :param result: what it has returned, or :class:`.Raised`
        """
        kind = self._kinds[type(result)]
        if kind is VALUE:
            self._usual = type(result)
        if kind in (GENERATOR, ASYNC_GENERATOR) and call.options.is_plain:
            # Whatever it raises, it will not be called again: it need not be a part of the call.
            try:
                return await self.settle(slot, result)
            except RunStopped:
                raise
            except BaseException as error:
                result, kind = Raised(error), RAISED
        if kind not in (GENERATOR, ASYNC_GENERATOR, RAISED):
            return await self.settle(slot, result)
        pacing = call.new_pacing()
        pacing.first = result
        return await self.serve(call, slot, pacing)

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
            # What is queued once the run has stopped is nothing to be called any more.
            if not self.queue or self.run.stopping:
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
