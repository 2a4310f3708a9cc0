"""
A stage: take a slot, call the user's function, pass the slot on.

What every kind of stage has in common: side inputs, what becomes of a result or a failure.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from .adaptive_limit import adaptive_limit
from .call import Call
from .expansion import Expansion
from .failures import CallFailed, RunStopped, examine
from .figures import Figures
from .isolation import SEES_VARIABLES, run_in_context
from .kinds import AWAITABLE, END, LIST, NOTHING, VALUE, Kinds
from .ledger import Counters
from .sequence import Slot
from .winding_down import UnpreparedCall

if TYPE_CHECKING:
    from ..plan import StagePlan
    from .bypass import FailedSlot
    from .pacing import Pacing
    from .run import Run


class Stage(Figures):
    """
    One task of the pipeline at work in one run.

    :param run: the run
    :param plan: what to do
    :ivar adaptive: how many calls may be in flight, if that is found by trying; else ``limit``
    :ivar wants_no_more: whether it has ended before its input did
    :ivar passed_by: failures of earlier stages that it let pass, as far as it counts them
    """

    wants_no_more = False
    passed_by = 0

    def __init__(self, run: Run, plan: StagePlan) -> None:
        super().__init__(run, plan.name, plan.options.limit)
        self.plan = plan
        self.adaptive = adaptive_limit(plan.options.concurrency_limit, run)
        self.counters = Counters()
        self._kinds = Kinds(plan.options.flatten)
        self._call: Call | None = None
        self._isolated = not SEES_VARIABLES

    @property
    def batch_size(self) -> int:
        """Items in a full batch at present; 0 if there are none."""
        return 0

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
            if self._call is None:
                if self.watch is not None:
                    function = self.watch.timed(function)
                self._call = self.make_call(function)
        return self._call

    async def admitted(self, admission: Awaitable[None], pacing: Pacing, *, is_first: bool) -> None:
        """
        Wait for leave to make a call whose item has been taken.

        :param admission: what to await
        :param pacing: of the call
        :param is_first: whether the function has not been called with the item before
        """
        self._admitting += 1
        self.counters.uncalled += is_first
        try:
            await (admission if self.watch is None else self.watch.hold(admission, pacing.watched))
            self.counters.uncalled -= is_first
        finally:
            self._admitting -= 1

    def make_call(self, function: Callable[[Any], Any]) -> Call:
        """
        Return the call that workers make.

        :param function: the user's, side inputs bound
        """
        return Call(function, self.plan.options, self, self.adaptive)

    def heed_pauses(self) -> None:
        """Make no attempt any more without looking whether the stage pauses; it does now."""

    # What becomes of a result

    def _make(self, call: Call, slot: Slot, pacing: Pacing) -> Awaitable[Any]:
        return call(slot.value, Expansion(self, slot), pacing)

    async def attended(
        self,
        slot: Slot,
        expansion: Expansion,
        pacing: Pacing,
        work: Callable[[], Awaitable[Any]],
    ) -> Any:
        """
        Make a call; time it, if somebody asked for that, and in a run that fails in order, see
        whether its slot is dropped meanwhile.

        :param slot: holds the item, or the batch
        :param expansion: passes on the values of a generator
        :param pacing: of the call
        :param work: makes the call
        :return: as of the call, or :data:`.DROPPED`
        :raises CallFailed: as the call
        """
        if self.watch is not None:
            work = partial(self.watch.attend, slot, pacing, work)
        if self.run.winding_down is None:
            return await work()
        return await self.run.winding_down.attend_call(self, slot, expansion, work)

    async def serve(self, call: Call, slot: Slot, pacing: Pacing) -> None:
        """
        Make one call and pass on what it returns, in the general way.

        :param call: what :meth:`prepare` returned
        :param slot: holds the item, or the batch
        :param pacing: what ``call.begin()`` returned
        """
        pacing.place = slot
        try:
            if self.run.winding_down is None and self.watch is None:
                result = await self._make(call, slot, pacing)
            else:
                work = partial(self._make, call, slot, pacing)
                result = await self.attended(slot, Expansion(self, slot), pacing, work)
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
        # One place is free once the slot itself has left, so a single value needs no other.
        if more <= 1 or self.room_for(slot, window.rank(slot.index)) >= more - 1:
            window.held += more
            at_once += more
        self.add_children(slot, values[:at_once])
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

    def add_children(self, slot: Slot, values: Iterable[Any]) -> None:
        """
        Pass on several of the values that an item becomes; they have places in the window.

        :param slot: the item's place; the children go before it
        :param values: the children's
        """
        children = self.chain.insert_values(slot, values)
        self.counters.added += len(children)
        self.emit_all(children)

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

    def forget(self, dropped: Collection[Slot]) -> set[Slot]:
        """
        Let go of what waits here and is not wanted any more: what is to come into the chain that
        begins here, and what has been dropped from the stage's chain.

        :param dropped: slots of the stage's chain
        :return: those of them that were waiting
        """
        return set()

    def items_in(self, slot: Slot) -> list[tuple[Any, int]]:
        """
        Return the items that a slot's call was given, each with the index of its input item.

        :param slot: the slot, which has no result yet
        """
        return [(slot.value, slot.index)]

    def indexes_in(self, slot: Slot) -> tuple[int, ...]:
        """
        Return the indexes of the input items that a slot's call is about.

        :param slot: the slot, which has no result yet
        """
        return tuple(index for _, index in self.items_in(slot))

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

    # Isolation of context variables

    async def serve_isolated(self, call: Call, slot: Slot, pacing: Pacing) -> None:
        """
        As :meth:`serve`, in a context of the item's own.

        :param call: what :meth:`prepare` returned
        :param slot: holds the item, or the batch
        :param pacing: what ``call.begin()`` returned
        """
        await run_in_context(copy_context(), self.serve(call, slot, pacing))
