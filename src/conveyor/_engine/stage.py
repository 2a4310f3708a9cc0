"""
A stage: take a slot, call the user's function, pass the slot on.

What every kind of stage has in common: side inputs, what becomes of a result, room for children.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import copy_context
from itertools import islice
from typing import TYPE_CHECKING, Any

from anyio import CancelScope, Event

from .adaptive_limit import adaptive_limit
from .call import Call
from .expansion import Expansion
from .failures import CallFailed, RunStopped, examine
from .isolation import SEES_VARIABLES, run_in_context
from .kinds import AWAITABLE, END, LIST, NOTHING, VALUE, Kinds
from .ledger import Counters
from .sequence import Slot
from .upstream import Upstream
from .workers import WorkerPool

if TYPE_CHECKING:
    from ..plan import StagePlan
    from .bypass import FailedSlot
    from .pacing import Pacing
    from .run import Run


class Stage(WorkerPool, Upstream):
    """
    One task of the pipeline at work in one run.

    :param run: the run
    :param plan: what to do
    :ivar adaptive: how many calls may be in flight, if that is found by trying; else ``limit``
    :ivar next_point: the stage that begins the chain after its own, if there is one
    :ivar takes_all: whether it takes in all that is ready, and not just what it can use
    :ivar wants_no_more: whether it has ended before its input did
    :ivar passed_by: failures of earlier stages that it let pass, as far as it counts them
    """

    next_point: Stage | None
    takes_all = True
    wants_no_more = False
    passed_by = 0

    def __init__(self, run: Run, plan: StagePlan) -> None:
        super().__init__(run, plan.name, plan.options.limit)
        self.plan = plan
        self.adaptive = adaptive_limit(plan.options.concurrency_limit, run.limiter)
        self.counters = Counters()
        self._kinds = Kinds(plan.options.flatten)
        self._call: Call | None = None
        self._isolated = not SEES_VARIABLES
        self._waiting = 0
        self._turns: list[Event] = []

    @property
    def batch_size(self) -> int:
        """Items in a full batch at present; 0 if there are none."""
        return 0

    @property
    def items_taken(self) -> int:
        """Items that have come in so far."""
        return self.counters.taken

    def accounts_for(self, given: int) -> int:
        """
        For the ledger: say what became of the items given to this stage.

        :param given: how many there should be
        :return: how many there were
        """
        return self.counters.taken

    async def prepare(self) -> Call:
        """Return the call, side inputs resolved and bound; the first worker resolves them."""
        if self._call is None:
            function = self.plan.function
            if self.plan.inputs:
                try:
                    function = await self.plan.inputs.bind(function)
                except BaseException as error:
                    examined = examine(error, f"a side input of task {self.name!r}", self.run)
                    raise examined  # noqa: B904 - it has a cause if it needs one
            if self._call is None:
                self._call = self.make_call(function)
        return self._call

    def make_call(self, function: Callable[[Any], Any]) -> Call:
        """
        Return the call that workers make.

        :param function: the user's, side inputs bound
        """
        return Call(function, self.plan.options, self.counters, self.run, self.adaptive)

    # What becomes of a result

    async def _make(self, call: Call, slot: Slot, pacing: Pacing) -> Any:
        return await call(slot.value, Expansion(self, slot), pacing)

    async def serve(self, call: Call, slot: Slot, pacing: Pacing) -> None:
        """
        Make one call and pass on what it returns, in the general way.

        :param call: what :meth:`prepare` returned
        :param slot: holds the item, or the batch
        :param pacing: what ``call.begin()`` returned
        """
        try:
            result = await self._make(call, slot, pacing)
        except CallFailed as raised:
            failed = raised.with_traceback(None)
        else:
            return await self.settle(slot, result)
        await self.give_up(slot, failed)

    async def settle(self, slot: Slot, result: Any) -> None:
        """
        Pass a result on.

        :param slot: the place it has
        :param result: what the call returned
        """
        kind = self._kinds[type(result)]
        if kind is VALUE or kind is AWAITABLE:
            slot.value = result
            self.emit(slot)
        elif kind is LIST:
            await self.spread(slot, result)
        elif kind is NOTHING:
            self.counters.filtered += 1
            self.discard(slot)
        elif kind is END:
            self.discard(slot)
        else:
            await Expansion(self, slot).pass_on(result, None)
            self.discard(slot)

    async def spread(self, slot: Slot, values: list[Any]) -> None:
        """
        Pass several values on in the place of one item.

        :param slot: the place
        :param values: any number
        """
        window = self.run.window
        at_once = slot.take_spare(len(values))
        more = len(values) - at_once
        # One place is free once the slot itself has left.
        if window.has_room(slot.index, more - 1):
            window.held += more
            at_once += more
        self.counters.added += at_once
        self.emit_all(self.chain.insert_values(slot, islice(values, at_once)))
        if at_once < len(values):
            await Expansion(self, slot).from_iterable(values[at_once:], None)
        self.discard(slot)

    def add_child(self, slot: Slot, value: Any) -> None:
        """
        Pass on one of the several values that an item becomes; it has a place in the window.

        :param slot: the item's place; the child goes before it
        :param value: the child's
        """
        child = self.chain.slot_for(value, slot.index)
        self.insert(slot, child)
        self.emit(child)

    def insert(self, place: Slot, slot: Slot) -> None:
        """
        Link a new slot in before *place*; it has a place in the window already.

        :param place: a slot of the stage's chain
        :param slot: the new one
        """
        self.chain.insert_before(place, slot)
        self.counters.added += 1

    async def give_up(self, slot: Slot, failed: CallFailed) -> None:
        """
        Let a slot end here whose call has failed for good.

        :param slot: a slot of the stage's chain
        :param failed: what the call raised
        """
        await self.run.routing.route(self, slot, failed, self.items_in(slot))
        if not self.run.stopping:
            self.discard(slot)

    def add_failure(self, place: Slot, failed: FailedSlot) -> None:
        """
        Let a failure go on to the end of the chain, past the stages that follow.

        :param place: a slot of the stage's chain; the failure goes before it
        :param failed: the failure's
        """
        self.counters.failed += 1
        self.run.window.held += 1 - place.take_spare(1)
        self.chain.insert_before(place, failed)
        self.chain.finish(failed)

    def discard(self, slot: Slot) -> None:
        """
        Let a slot end here: no result, or no further ones.

        :param slot: a slot of the stage's chain
        """
        self.counters.left += 1
        self.chain.discard(slot)
        self.run.window.release()

    def items_in(self, slot: Slot) -> list[tuple[Any, int]]:
        """
        Return the items that a slot's call was given, each with the index of its input item.

        :param slot: the slot, which has no result yet
        """
        return [(slot.value, slot.index)]

    def origin(self, index: int, attempts: int, task_name: str | None = None) -> str:
        """
        Say for a person where an error comes from, without any value.

        :param index: of the input item that failed
        :param attempts: attempts made
        :param task_name: of the task that raised it, by default the stage's
        """
        plural = "" if attempts == 1 else "s"
        return (
            f"raised by task {task_name or self.name!r} for input item {index} "
            f"after {attempts} attempt{plural}"
        )

    # Room for children

    def may_add(self, slot: Slot) -> bool:
        """
        Tell whether a child of *slot* may be added now.

        There is room, or the slot is the head of the whole line: nothing before it could make room.

        :param slot: a slot of the stage's chain
        """
        return self.run.window.has_room(slot.index) or (
            self.chain.head is slot and all(stage.is_idle for stage in self._following())
        )

    def _following(self) -> Iterator[Stage]:
        """Yield the stages that begin the chains after this one, as far as they take what comes."""
        point = self.next_point
        while point is not None and point.takes_all:
            yield point
            point = point.next_point

    @property
    def is_idle(self) -> bool:
        """For a stage that begins a chain: whether nothing in it goes on without more input."""
        return self.chain.head is None

    async def wait_for_room(self, slot: Slot) -> None:
        """
        Wait until a child of *slot* may be added, or the run stops.

        Not cancellable: the scopes around us may be those of a generator that is suspended
        meanwhile, and what they cancel is the generator, at its next step.

        :param slot: a slot of the stage's chain
        :raises RunStopped: if the run stops
        """
        window = self.run.window
        chains = [self.chain, *(stage.chain for stage in self._following())]
        for chain in chains:
            chain.watched += 1
        self._waiting += 1
        self.relieve()
        was_woken = False
        try:
            while not self.run.stopping:
                if not self.may_add(slot):
                    if was_woken:
                        window.hand_on()  # to one whose item came first and who waits by now
                    event = window.enqueue(slot.index)
                elif self.is_crowded:
                    window.hand_on()
                    event = Event()
                    self._turns.append(event)
                else:
                    break
                slot.parked = event
                try:
                    with CancelScope(shield=True):
                        await event.wait()
                finally:
                    slot.parked = None
                    window.forget(event)
                was_woken = True
            else:
                raise RunStopped
        finally:
            for chain in chains:
                chain.watched -= 1
            self._waiting -= 1
        # We were woken because there is room; if it is for more than one, so is the wake-up.
        window.hand_on()

    @property
    def is_crowded(self) -> bool:
        """Whether a call that has waited for room would be one too many at present."""
        return False

    def relieve(self) -> None:
        """Look after those who wait: fewer calls run than before, or the head has changed."""
        # Set first, forgotten afterwards: a KeyboardInterrupt in between must not lose any.
        for event in self._turns:
            event.set()
        self._turns.clear()

    def stop(self) -> None:
        """Start no further call, and let those who wait see that the run stops."""
        super().stop()
        self.relieve()

    # Isolation of context variables

    async def serve_isolated(self, call: Call, slot: Slot, pacing: Pacing) -> None:
        """
        As :meth:`serve`, in a context of the item's own.

        :param call: what :meth:`prepare` returned
        :param slot: holds the item, or the batch
        :param pacing: what ``call.begin()`` returned
        """
        await run_in_context(copy_context(), self.serve(call, slot, pacing))
