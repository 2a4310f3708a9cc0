"""
Where an item goes that has failed for good.

The call says what becomes of it (:class:`.CallFailed`), the stage says which items it is about and
where their place is, and what happens is decided here, for all stages alike:

========== =====================================================================================
decision   what happens
========== =====================================================================================
``FAIL``   the run ends, at once or in order (:meth:`Routing.end_run`); in a run of outcomes a
           failed slot takes the item's place (see :mod:`.bypass`), and the run goes on
``SKIP``   it is counted
``DIVERT`` a failure is kept, or reported to ``on_failure``
none       the run ends in the same way: the failure is none of the item's
========== =====================================================================================

Each item that is gone without ending the run counts as an error; too many of them end it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, cast

from ..error_handling import DIVERT, FAIL, SKIP, TooManyErrorsError
from ..outcomes import Failure, Failures
from .bypass import FailedSlot
from .error_limits import ErrorLimits
from .failures import CallFailed, add_note, examine
from .isolation import isolated

if TYPE_CHECKING:
    from ..error_handling import Decision
    from ..observing import Fate
    from .run import Run
    from .sequence import Chain, Slot
    from .stage import Stage

logger = logging.getLogger("conveyor")

_FATES: dict[Decision, Fate] = {FAIL: "outcome", SKIP: "skip_item", DIVERT: "divert"}

_ENGINE = __name__.rpartition(".")[0]


class Routing:
    """
    Routes the items of one run that have failed for good.

    :param run: the run
    :param failures: for the diverted ones
    :param gives_outcomes: whether failures have their places among the results
    """

    def __init__(self, run: Run, failures: Failures, gives_outcomes: bool) -> None:
        context = run.context
        self._run = run
        self.failures = failures
        self.gives_outcomes = gives_outcomes
        self._max_failures = context.max_failures
        self._on_failure = context.on_failure
        self._limits = ErrorLimits(
            context.max_errors, context.max_error_rate, context.min_error_sample
        )
        self._errors = 0
        self._last: tuple[BaseException, str] | None = None

    async def route(
        self, stage: Stage, place: Slot, failed: CallFailed, items: Sequence[tuple[Any, int]]
    ) -> None:
        """
        Let items go where they belong.

        :param stage: where they failed
        :param place: the slot before which their failures go; it stays where it is
        :param failed: the failure that they have in common
        :param items: each with the index of its input item, at least one
        """
        decision = failed.decision
        ends_run = decision is None or (decision is FAIL and not self.gives_outcomes)
        fate = "fail" if ends_run else _FATES[cast("Decision", decision)]
        indexes = [index for _, index in items]
        self._run.observation.failed(stage, failed, indexes, fate)
        if ends_run:
            origin = _origin(stage, failed, items[0])
            return self.end_run(stage.chain, place, failed.error, origin)
        _forget_engine(failed.error)
        if decision is SKIP:
            stage.counters.skipped += len(items)
        elif decision is FAIL:
            for failure in self._failures_of(stage, failed, items):
                stage.add_failure(place, FailedSlot(failure))
        else:
            for failure in self._failures_of(stage, failed, items):
                stage.counters.diverted += 1
                self.failures.total += 1
                if self._on_failure is None:
                    self._keep(failure)
                elif not await self._report(stage, place, failure):
                    return None
        return self._count(stage, failed, items)

    def end_run(self, chain: Chain, place: Slot, error: BaseException, origin: str) -> None:
        """
        End the run with a failure of an item: at its place if failures come in order, else at once.

        :param chain: that the item's slot is in
        :param place: the slot
        :param error: what the consumer will get
        :param origin: for a note on it
        """
        if self._run.winding_down is None:
            self._run.fail(error, origin)
        else:
            self._run.winding_down.fail(chain, place, error, origin)

    def conclude(self) -> None:
        """All results have been delivered; see whether there is a failure behind them."""
        winding_down = self._run.winding_down
        if winding_down is not None:
            winding_down.conclude()
        if not self._run.stopping:
            self._check_errors()

    def _check_errors(self) -> None:
        reason = self._limits.exceeded(self._errors, self._run.source.pulled)
        if reason is not None and self._last is not None:
            cause, origin = self._last
            error = TooManyErrorsError(reason)
            error.__cause__ = cause
            self._run.fail(error, f"the last one was {origin}")

    def _failures_of(
        self, stage: Stage, failed: CallFailed, items: Sequence[tuple[Any, int]]
    ) -> list[Failure]:
        error = cast("Exception", failed.error)
        add_note(error, _origin(stage, failed, items[0]))
        return [Failure(error, item, index, stage.name, failed.attempts) for item, index in items]

    def _keep(self, failure: Failure) -> None:
        kept = self.failures._kept  # pyright: ignore[reportPrivateUsage]
        if len(kept) < self._max_failures:
            kept.append(failure)
        elif self.failures.total == self._max_failures + 1:
            logger.warning(
                "more than max_failures=%d items have been diverted; those that come now are "
                "counted (failures.total), but not kept",
                self._max_failures,
            )

    async def _report(self, stage: Stage, place: Slot, failure: Failure) -> bool:
        """Call ``on_failure``; tell whether the run goes on, and the place is still wanted."""
        winding_down = self._run.winding_down
        tell = partial(isolated, self._tell, failure)
        try:
            await (tell() if winding_down is None else winding_down.attend(stage, place, tell))
        except CallFailed as raised:
            origin = _origin(stage, raised, (None, failure.index))
            self.end_run(stage.chain, place, raised.error, origin)
        return not (self._run.stopping or place.done)

    async def _tell(self, failure: Failure) -> None:
        assert self._on_failure is not None
        try:
            answer = self._on_failure(failure)
            if isawaitable(answer):
                await answer
        except BaseException as raised:
            error = examine(raised, "on_failure", self._run)
            if error.__context__ is None:
                error.__context__ = failure.error
            origin = f"raised by on_failure for input item {failure.index}"
            origin = f"{origin}, which failed in task {failure.task_name!r}"
            raise CallFailed(error, failure.attempts, origin=origin) from None

    def _count(self, stage: Stage, failed: CallFailed, items: Sequence[tuple[Any, int]]) -> None:
        self._errors += len(items)
        if self._limits.are_set:
            self._last = failed.error, _origin(stage, failed, items[-1])
            self._check_errors()


def _origin(stage: Stage, failed: CallFailed, item: tuple[Any, int]) -> str:
    return failed.origin or stage.origin(item[1], failed.attempts, failed.task_name)


def _forget_engine(error: BaseException) -> None:
    """
    Let tracebacks begin in the user's code.

    Ours say nothing about it, and would be kept for as long as the error. (Python keeps those that
    a function was called from in any case; they hold no other item when the run has ended.)
    """
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        each = pending.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        traceback = each.__traceback__
        while traceback is not None and _is_ours(traceback.tb_frame.f_globals.get("__name__")):
            traceback = traceback.tb_next
        each.__traceback__ = traceback
        pending += [each.__cause__, each.__context__]


def _is_ours(module: Any) -> bool:
    return isinstance(module, str) and module.startswith(_ENGINE)
