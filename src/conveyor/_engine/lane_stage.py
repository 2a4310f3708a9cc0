"""
Single stages that ask for each item how urgent it is, and whether others must be over before it.

Stages of their own, since others need not ask: those have a plain deque for a queue.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable
from typing import TYPE_CHECKING, Any

from .._checks import checked_answer
from ..error_handling import KeyHaltedError
from .call import Call
from .failures import CallFailed, examine
from .lanes import Lane, LaneQueue
from .sequence import Slot
from .single_stage import SingleStage

if TYPE_CHECKING:
    from ..plan import StagePlan
    from .pacing import Pacing
    from .run import Run


class AskingQueue(LaneQueue[Slot]):
    """
    The queue of a stage that asks for key and priority of each item, once, as it comes.

    A function among the options that fails, or gives what cannot be used, is a mistake in the
    settings and not in the item: it ends the run, whatever ``on_error`` says.

    :param stage: whose queue it is
    """

    __slots__ = ("_key_of", "_name", "_priority_of", "_role", "_run", "_stage", "_stranded")

    def __init__(self, stage: SingleStage) -> None:
        super().__init__()
        options = stage.plan.options
        self._stage = stage
        self._stranded: list[Slot] = []
        self._run = stage.run
        self._name = stage.name
        self._priority_of = options.priority
        self._key_of = options.lane_key
        self._role = "cache" if options.key is None else "key"

    def append(self, slot: Slot) -> None:
        """
        Let a slot wait.

        :param slot: of the stage's chain
        """
        self.extend((slot,))

    def extend(self, slots: Iterable[Slot]) -> None:
        """
        Let several slots wait, up to one for which a function fails.

        :param slots: of the stage's chain, in its order
        """
        remaining = iter(slots)
        for slot in remaining:
            failure = self._enqueue(slot)
            if failure is not None:
                self._stranded = [slot, *remaining]
                return self._run.routing.end_run(self._stage.chain, slot, *failure)
        return None

    def _enqueue(self, slot: Slot) -> tuple[BaseException, str] | None:
        """Let a slot wait; if a function fails, return the error and its origin."""
        option = "priority"
        try:
            priority = self._urgency(slot.value)
            if self._key_of is None:
                self.add(slot, priority)
                return None
            option = self._role
            key = self._run.ask(self._key_of, slot.value)
            # In here, since keys are hashed and compared there.
            self.add_to_lane(slot, checked_key(key, self._role), priority)
        except BaseException as error:
            return self._examined(error, option, slot.index)
        return None

    def forget(self, items: Collection[Slot]) -> set[Slot]:
        """
        Forget some of the slots, also of those that came when a function had failed.

        :param items: those, and any others
        :return: those of them that have waited
        """
        stranded, self._stranded = self._stranded, []
        return super().forget(items).union(each for each in stranded if each in items)

    def finish(self, lane: Lane, index: int) -> None:
        """
        Release a lane.

        :param lane: its item is over for good
        :param index: of that item
        """
        try:
            self.release(lane)
        except BaseException as error:
            # Keys are compared there, too; the item has left, so there is no place to fail at.
            self._run.fail(*self._examined(error, self._role, index))

    def _examined(self, error: BaseException, option: str, index: int) -> tuple[BaseException, str]:
        culprit = f"{option} of task {self._name!r}"
        error = examine(error, culprit, self._run)
        return error, f"raised by {culprit} for input item {index}"

    # The message leaves the priority out: it may be the item.
    def _urgency(self, item: Any) -> float:
        if self._priority_of is None:
            return 0
        priority: Any = self._run.ask(self._priority_of, item)
        if isinstance(priority, bool) or not isinstance(priority, (int, float)):
            raise TypeError(f"priority must return a number, got a {type(priority).__name__}")
        if not 0 <= priority < math.inf:
            raise ValueError("priority must return 0 or more, and finite; 0 is the most urgent")
        return priority


def checked_key(key: Any, option: str) -> Hashable:
    """
    Return *key* if it can be one.

    :param key: what a function returned, or an item
    :param option: whose
    :raises TypeError: if it cannot be hashed; the message leaves it out, since it may be the item
    """
    try:
        hash(key)
    except TypeError:
        got = f"got a {type(key).__name__}"
        if option == "cache":
            raise TypeError(
                f"cache looks items up by themselves, so they must be hashable, {got}; write "
                "key=..., a function of the item that returns something hashable"
            ) from None
        raise TypeError(f"key must return something hashable, {got}") from None
    if option == "key":
        key = checked_answer(
            "key", key, "find out in a task before this one what has to be waited for"
        )
    hashable: Hashable = key
    return hashable


class UrgentStage(SingleStage):
    """
    A stage with priorities: of the items that wait, the most urgent one is taken.

    :param run: the run
    :param plan: what to do
    """

    def __init__(self, run: Run, plan: StagePlan) -> None:
        super().__init__(run, plan)
        self.queue = self._line = AskingQueue(self)

    def forget(self, dropped: Collection[Slot]) -> set[Slot]:
        """
        Let go of the slots in the queue that have been dropped.

        :param dropped: slots of the stage's chain
        :return: those of them that were queued
        """
        return self._line.forget(dropped)

    def may_begin_plainly(self, call: Call) -> bool:
        """
        Tell whether workers may make first attempts on the hot path.

        :param call: what :meth:`prepare` returned
        """
        # Workers could not be kept from taking what is in the line when the stage pauses.
        return call.options.is_plain and super().may_begin_plainly(call)


class KeyedStage(UrgentStage):
    """
    A stage that calls its function with one item of each key at a time, in input order.

    A lane is held until the call is over for good and its results have been passed on: through all
    attempts, and until the end of a generator, also while that waits for room.
    """

    def __init__(self, run: Run, plan: StagePlan) -> None:
        super().__init__(run, plan)
        self._halts = plan.options.on_key_error == "halt_key"

    @property
    def waits_for_key(self) -> bool:
        """Whether an item waits until another one of its key is over."""
        return self._line.waiting > 0

    @property
    def waiting(self) -> int:
        """Items that have come in, and have not been taken for a call."""
        return super().waiting + self._line.waiting

    def has_queued(self, slot: Slot) -> bool:
        """
        Tell whether a slot waits for a call, or for another of its key.

        :param slot: of the stage's chain
        """
        return self._line.holds(slot)

    def put(self, slot: Slot) -> None:
        """
        Queue a slot.

        :param slot: of the stage's chain
        """
        super().put(slot)
        self._update_watch()

    def put_all(self, slots: list[Slot]) -> None:
        """
        Queue several slots.

        :param slots: of the stage's chain, at least one
        """
        super().put_all(slots)
        self._update_watch()

    def _update_watch(self) -> None:
        """An item may wait for another one of its key, or does so no longer."""
        if self.watch is not None:
            self.watch.update()

    async def serve(self, call: Call, slot: Slot, pacing: Pacing) -> None:
        """
        Make one call, pass on what it returns, and let the next item of its key be ready.

        Nobody is summoned for that one: whoever calls this looks at the queue next.

        :param call: what :meth:`prepare` returned
        :param slot: holds the item
        :param pacing: what ``call.begin()`` returned
        """
        lane, index = self._line.lane_of(slot), slot.index
        try:
            await super().serve(call, slot, pacing)
        finally:
            self._line.finish(lane, index)
            self._update_watch()

    async def _make(self, call: Call, slot: Slot, pacing: Pacing) -> Any:
        """Make one call, unless an item of the same key has failed and that halts the key."""
        # Before the slot is passed on, after which it may be used again.
        lane = self._line.claim(slot)
        if lane.is_halted:
            self.counters.uncalled += 1
            error = KeyHaltedError(f"task {self.name!r}: an earlier item of the same key failed")
            return await call.refuse(error, slot.value, pacing)
        try:
            return await self.make_in_lane(lane, call, slot, pacing)
        except CallFailed:
            lane.is_halted = self._halts  # if the run ends, it does not matter
            raise

    async def make_in_lane(self, lane: Lane, call: Call, slot: Slot, pacing: Pacing) -> Any:
        """
        Make the call.

        :param lane: of the item's key
        :param call: what :meth:`prepare` returned
        :param slot: holds the item
        :param pacing: what ``call.begin()`` returned
        """
        return await super()._make(call, slot, pacing)
