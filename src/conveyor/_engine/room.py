"""
Room for children: when one item of a stage becomes many, each of them needs a place in the window.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from anyio import CancelScope

from .failures import RunStopped
from .sequence import Slot
from .upstream import Upstream
from .workers import WorkerPool

if TYPE_CHECKING:
    from .host import Event
    from .run import Run
    from .stage_watch import StageWatch


class Expander(WorkerPool, Upstream):
    """
    A stage, as far as its calls wait for room.

    :param run: the run
    :param name: of the task
    :param limit: calls in flight at most
    :ivar next_point: the stage that begins the chain after its own, if there is one
    :ivar takes_all: whether it takes in all that is ready, and not just what it can use
    :ivar watch: times it, if somebody asked for that
    """

    next_point: Expander | None
    takes_all = True

    def __init__(self, run: Run, name: str, limit: int) -> None:
        super().__init__(run, name, limit)
        self.watch: StageWatch | None = None
        self._waiting = 0
        self._turns: list[Event] = []

    def may_add(self, slot: Slot, rank: int) -> bool:
        """
        Tell whether a child of *slot* may be added now.

        There is room, or the slot is the head of the whole line: nothing before it could make room.

        :param slot: a slot of the stage's chain
        :param rank: for the window
        """
        return self.room_for(slot, rank) > 0 or (
            self.chain.head is slot and all(stage.is_idle for stage in self._following())
        )

    def room_for(self, slot: Slot, rank: int) -> int:
        """
        Return how many places the children of *slot* may take now, as far as the window goes.

        :param slot: a slot of the stage's chain
        :param rank: for the window
        """
        is_first = self.chain.root.next.index == slot.index  # the head is itself, or its child
        return self.run.window.room_for(rank, is_first)

    def _following(self) -> Iterator[Expander]:
        """Yield the stages that begin the chains after this one, as far as they take what comes."""
        point = self.next_point
        while point is not None and point.takes_all:
            yield point
            point = point.next_point

    @property
    def is_idle(self) -> bool:
        """For a stage that begins a chain: whether nothing in it goes on without more input."""
        return self.chain.head is None

    async def wait_for_room(self, slot: Slot, rank: int) -> None:
        """
        Wait until a child of *slot* may be added, or is not wanted any more.

        Not cancellable: the scopes around us may be those of a generator that is suspended
        meanwhile, and what they cancel is the generator, at its next step.

        :param slot: a slot of the stage's chain
        :param rank: for the window
        :raises RunStopped: if the run stops, or the slot is dropped
        """
        window = self.run.window
        chains = [self.chain, *(stage.chain for stage in self._following())]
        for chain in chains:
            chain.watch()
        self._change_waiting(1)
        self.relieve()
        was_woken = False
        try:
            while not (self.run.stopping or slot.done):
                if not self.may_add(slot, rank):
                    if was_woken:
                        window.hand_on()  # to one who comes first and waits by now
                    event = self.run.host.new_event()
                    window.enqueue(rank, event)
                elif self.is_crowded:
                    window.hand_on()
                    event = self.run.host.new_event()
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
        finally:
            for chain in chains:
                chain.watched -= 1
            self._change_waiting(-1)
        # We were woken because there is room; if it is for more than one, so is the wake-up.
        window.hand_on()
        if self.run.stopping or slot.done:
            raise RunStopped

    def _change_waiting(self, by: int) -> None:
        self._waiting += by
        if self.watch is not None:
            self.watch.update()

    @property
    def waits_for_room(self) -> bool:
        """Whether anything here waits for room."""
        return self._waiting > 0

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
