"""
Winding down: after a failure the earlier items are finished, the later ones dropped.

What a run with ``failure="in_order"`` does instead of stopping when an item fails for good. Where
the failed item stands is a place in a chain, and what is behind it is *later*: the rest of that
chain, all of the chains before it, what is being gathered for batches in between, and the source.
All of that is dropped, together with the failed item itself, and its chain is closed. What is left
is a run whose data has ended: the earlier results are delivered, one chain after the other comes to
its end, and when the last one has, the failure is what the run ends with. An item that fails
meanwhile is an earlier one, since there are no others, so its failure takes the place of the first.

A slot that is dropped is *done* and in no chain any more. If it waits in a queue, or for its turn,
that is all. If somebody works on it, the call is cancelled in a scope of its own, and whoever holds
the slot sees that it is done although he has not finished it, passes nothing on, and lets it end as
one without a result. Meanwhile it is a ring by itself, where no unlinking can hurt a chain.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from anyio import CancelScope, get_cancelled_exc_class

from .call import Call
from .failures import CallFailed, RunStopped, examine, stems_from_exit
from .kinds import ASYNC_GENERATOR, DROPPED, EXPANDED, GENERATOR, Kinds
from .ordering import OrderedChain
from .sequence import Chain, Slot

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

if TYPE_CHECKING:
    from .expansion import Expansion
    from .pacing import Pacing
    from .policy import Progress
    from .run import Run
    from .stage import Stage


class WindingDown:
    """
    Winds a run down when an item of it fails.

    :param run: an ordered one
    :param chains: of the run, first to last
    :ivar failure: what the run ends with once everything before it has been delivered
    """

    def __init__(self, run: Run, chains: Sequence[Chain]) -> None:
        self.failure: Exception | None = None
        self._run = run
        self._chains = chains
        self._origin = ""
        self._position = 0
        self._first_needed = 0
        self._scopes: dict[Slot, CancelScope] = {}
        self._limbo: list[Slot] = []
        self._kinds = Kinds()
        # What a source brings although it was told to end.
        self._sink = OrderedChain()
        self._sink.on_ready = self._empty_sink

    async def attend(self, stage: Stage, slot: Slot, work: Callable[[], Awaitable[Any]]) -> Any:
        """
        Do the work on a slot, which is cancelled if the slot is dropped.

        :param stage: that works
        :param slot: what on, in the stage's chain
        :param work: raises nothing of the user's but in a :exc:`CallFailed`
        :return: its result, or :data:`DROPPED` if the slot has been, however the work has ended
        :raises CallFailed: what it raised, if the slot has not been dropped or that ends a program
        """
        result: Any = DROPPED
        try:
            with CancelScope() as scope:
                if slot.done:
                    scope.cancel()
                self._scopes[slot] = scope
                try:
                    result = await work()
                finally:
                    del self._scopes[slot]
        except CallFailed as failed:
            if not (slot.done and _is_ordinary(failed.error)):
                raise
        except RunStopped:
            if not slot.done:
                raise
        except get_cancelled_exc_class() as error:
            # Not by our scope: one that leaked while nobody could tell the two apart any more.
            if not slot.done:
                raise
            examine(error, f"task {stage.name!r}", self._run)
        return DROPPED if slot.done else result

    async def attend_call(
        self, stage: Stage, slot: Slot, expansion: Expansion, work: Callable[[], Awaitable[Any]]
    ) -> Any:
        """
        As :meth:`attend`, for a call that may give a generator in place of a result.

        That of a handler, say; it can fail and be dropped like any other.

        :param stage: that works
        :param slot: what on, in the stage's chain
        :param expansion: passes on the values of the generator
        :param work: makes the call
        :return: its result, or :data:`DROPPED`
        :raises CallFailed: as :meth:`attend`
        """

        async def whole() -> Any:
            """Make the call, and pass on what a generator in place of its result gives."""
            result = await work()
            if self._kinds[type(result)] not in (GENERATOR, ASYNC_GENERATOR):
                return result
            try:
                await expansion.pass_on(result, None)
            except BaseException as error:
                examined = examine(error, f"task {stage.name!r}", self._run)
                origin = f"raised by what took the place of a result of task {stage.name!r}"
                raise CallFailed(examined, 0, origin=origin) from None
            return EXPANDED

        return await self.attend(stage, slot, whole)

    def fail(self, chain: Chain, slot: Slot, error: BaseException, origin: str) -> None:
        """
        Let the run end with a failure, at the place of a slot; the slot is dropped.

        :param chain: that the slot is in
        :param slot: of the item that failed
        :param error: what the consumer will get
        :param origin: for a note on it
        """
        if not isinstance(error, Exception):
            return self._run.fail(error, origin)
        if self._run.stopping:
            return None  # nobody will come to this place any more
        position = self._position_of(chain)
        if position >= self._first_needed:
            self.failure, self._origin, self._position = error, origin, position
        self._drop_from(position, slot)
        self._run.cascade.close(chain)
        return None

    def fail_after_all(self, error: BaseException, origin: str) -> None:
        """
        Let the run end with a failure behind everything that was pulled: one of the source.

        :param error: what the consumer will get
        :param origin: for a note on it
        """
        if self._run.stopping or not isinstance(error, Exception) or stems_from_exit(error):
            return self._run.fail(error, origin)
        if self.failure is None and not self._first_needed:
            self.failure, self._origin = error, origin
        self._run.cascade.close(self._chains[0])

    def forget_before(self, chain: Chain) -> None:
        """
        A process has ended before its input did: what fails in there comes to nobody any more.

        :param chain: of the process
        """
        self._first_needed = max(self._first_needed, self._position_of(chain))
        if self._position < self._first_needed:
            self.failure = None

    def conclude(self) -> None:
        """All results have been delivered; end the run with the failure behind them, if any."""
        if self.failure is not None:
            self._run.fail(self.failure, self._origin)

    def clear(self) -> None:
        """Unlink what was dropped; the run is over."""
        for slot in self._limbo:
            slot.next = slot.previous = self._sink.root
        self._limbo.clear()

    def _position_of(self, chain: Chain) -> int:
        return next(n for n, each in enumerate(self._chains) if each is chain)

    def _drop_from(self, position: int, first: Slot) -> None:
        """Drop a slot and all that is later."""
        run = self._run
        run.source.cut_off(self._sink)
        chains = self._chains[: position + 1]
        dropped = chains[-1].cut_from(first)
        for chain in chains[:-1]:
            dropped += chain.cut_from(chain.root.next)
        doomed = frozenset(dropped)
        stages = [stage for stage in run.stages if any(stage.chain is each for each in chains)]
        queued: set[Slot] = set()
        for stage in stages:
            queued |= stage.forget(doomed)
        places = 0
        for slot in dropped:
            if slot.done or slot in queued:
                places += 1
            else:
                self._dismiss(slot)
        for stage in stages:
            stage.relieve()
        run.window.release(places)

    def _dismiss(self, slot: Slot) -> None:
        """Let whoever works on a slot know that nobody wants it; he gives its place back."""
        slot.done = True
        # A ring of its own, so that unlinking it cannot hurt anything, not even when broken off.
        slot.next = slot.previous = slot
        self._limbo.append(slot)
        if slot.parked is not None:
            slot.parked.set()
        if slot in self._scopes:
            self._scopes[slot].cancel()

    def _empty_sink(self) -> None:
        self._run.window.release(len(self._sink.take_slots()))


class UnpreparedCall(Call):
    """
    The call of a task whose side inputs have failed: so does it, at the place of any item.

    :param stage: of the task
    :param error: what the side inputs raised
    """

    def __init__(self, stage: Stage, error: Exception) -> None:
        super().__init__(stage.plan.function, stage.plan.options, stage)
        self._error = error
        self._origin = f"raised by a side input of task {stage.name!r}"

    async def __call__(
        self,
        item: Any,
        expansion: Expansion | None = None,
        pacing: Pacing | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """
        Fail.

        :param item: not used
        :param expansion: not used
        :param pacing: what :meth:`begin` returned, if it was called
        :param progress: not used
        :raises CallFailed: always
        """
        if pacing is not None:
            pacing.end()
        raise CallFailed(self._error, 0, origin=self._origin)


def _is_ordinary(error: BaseException) -> bool:
    """Whether an error of a dropped call is one of its own, or its cancellation, in a group."""
    if isinstance(error, Exception):
        return True
    if not isinstance(error, BaseExceptionGroup):
        return False
    # The kinds of the members are unknown to pyright.
    _, rest = error.split((Exception, get_cancelled_exc_class()))  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return rest is None
