"""
A stage: take a slot, call the user's function, pass the slot on.

What every kind of stage has in common: side inputs, what becomes of a result, room for children.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextvars import copy_context
from itertools import islice
from typing import TYPE_CHECKING, Any

from anyio import CancelScope, Event

from .call import Call
from .expansion import Expansion
from .failures import CallFailed, RunStopped, examine
from .isolation import SEES_VARIABLES, run_in_context
from .kinds import AWAITABLE, END, LIST, NOTHING, SKIP, VALUE, Kinds
from .ledger import Counters
from .sequence import Slot
from .upstream import Upstream
from .winding_down import CancellableCall, UnpreparedCall
from .workers import WorkerPool

if TYPE_CHECKING:
    from ..plan import StagePlan
    from .pacing import Pacing
    from .run import Run


class Stage(WorkerPool, Upstream):
    """
    One task of the pipeline at work in one run.

    :param run: the run
    :param plan: what to do
    :ivar next_point: the stage that begins the chain after its own, if there is one
    :ivar takes_all: whether it takes in all that is ready, and not just what it can use
    :ivar wants_no_more: whether it has ended before its input did
    """

    next_point: Stage | None
    takes_all = True
    wants_no_more = False

    def __init__(self, run: Run, plan: StagePlan) -> None:
        super().__init__(run, plan.name, plan.options.limit)
        self.plan = plan
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
                    if self.run.winding_down is not None and isinstance(examined, Exception):
                        return UnpreparedCall(self, examined)
                    raise examined  # noqa: B904 - it has a cause if it needs one
                if self.run.stopping:
                    raise RunStopped  # in the very turn in which they came
            if self._call is None:
                self._call = self.make_call(function)
        return self._call

    def make_call(self, function: Callable[[Any], Any]) -> Call:
        """
        Return the call that workers make.

        :param function: the user's, side inputs bound
        """
        kind = Call if self.run.winding_down is None else CancellableCall
        return kind(function, self.plan.options, self.counters, self.run)

    # What becomes of a result

    async def serve(self, call: Call, slot: Slot, pacing: Pacing) -> None:
        """
        Make one call and pass on what it returns, in the general way.

        :param call: what :meth:`prepare` returned
        :param slot: holds the item, or the batch
        :param pacing: what ``call.begin()`` returned
        """
        try:
            result = await call(slot.value, Expansion(self, slot), pacing)
        except CallFailed as failed:
            self.run.fail(failed.error, self.describe(slot, failed.attempts))
        else:
            await self.settle(slot, result)

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
        elif kind is SKIP:
            self.counters.skipped += self.items_in(slot)
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
        if more - 1 <= window.room:
            window.held += more
            at_once += more
        self.counters.added += at_once
        self.emit_all(self.chain.insert_values(slot, islice(values, at_once)))
        if at_once < len(values):
            try:
                await Expansion(self, slot).from_iterable(values[at_once:], None)
            except RunStopped:
                if not slot.done:
                    raise
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

    def discard(self, slot: Slot) -> None:
        """
        Let a slot end here: no result, or no further ones.

        :param slot: a slot of the stage's chain
        """
        self.counters.left += 1
        self.chain.discard(slot)
        self.run.window.release()

    def forget(self, dropped: Collection[Slot]) -> set[Slot]:
        """
        Let go of what waits here and is not wanted any more: what is to come into the chain that
        begins here, and what has been dropped from the stage's chain.

        :param dropped: slots of the stage's chain
        :return: those of them that were waiting
        """
        return set()

    def items_in(self, slot: Slot) -> int:
        """
        Count the input items that a slot's call was given.

        :param slot: the slot
        """
        return 1

    def describe(self, slot: Slot, attempts: int) -> str:
        """
        Say for a person where an error comes from, without any value.

        :param slot: of the item that failed
        :param attempts: attempts made
        """
        plural = "" if attempts == 1 else "s"
        return (
            f"raised by task {self.name!r} for input item {slot.index} "
            f"after {attempts} attempt{plural}"
        )

    # Room for children

    def may_add(self, slot: Slot) -> bool:
        """
        Tell whether a child of *slot* may be added now.

        There is room, or the slot is the head of the whole line: nothing before it could make room.

        :param slot: a slot of the stage's chain
        """
        window = self.run.window
        return window.held < window.size or (
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
        Wait until a child of *slot* may be added, or is not wanted any more.

        Not cancellable: the scopes around us may be those of a generator that is suspended
        meanwhile, and what they cancel is the generator, at its next step.

        :param slot: a slot of the stage's chain
        :raises RunStopped: if the run stops, or the slot is dropped
        """
        window = self.run.window
        chains = [self.chain, *(stage.chain for stage in self._following())]
        for chain in chains:
            chain.watched += 1
        self._waiting += 1
        self.relieve()
        try:
            while not (self.run.stopping or slot.done):
                if not self.may_add(slot):
                    event = window.enqueue()
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
        finally:
            for chain in chains:
                chain.watched -= 1
            self._waiting -= 1
        # We were woken because there is room; if it is for more than one, so is the wake-up.
        window.hand_on()
        if self.run.stopping or slot.done:
            raise RunStopped

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
