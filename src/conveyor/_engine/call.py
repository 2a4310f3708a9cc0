"""
One call of a user's function: attempts, timeout, deadline, error handler, ``on_error``.

What surrounds the call is the user's settings and nothing else; passing results on, waiting for
room and the consumer are outside, so a slow consumer never times a call out and a failing one is
never retried.

Order of events for a call that fails: the error is examined (:func:`examine`), retried while
attempts are left and it is worth it, the fallback called in its place, its error shown to the error
handler, and finally left out, diverted or raised as ``on_error`` says. A generator is part of its
call: it may be retried, or replaced, until its first value has been passed on, since nothing takes
that back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

from anyio import CancelScope, current_time, sleep
from anyio.lowlevel import checkpoint_if_cancelled

from ..error_handling import RETRY
from .adaptive_limit import PredicateFailed
from .failures import CallFailed, ItemFailed, RunStopped
from .fallback import Fallback
from .hedging import Hedge, generator_error
from .hooks import with_hooks
from .kinds import (
    ASYNC_GENERATOR,
    AWAITABLE,
    EXPANDED,
    GENERATOR,
    GIVEN_UP,
    Kinds,
    Raised,
    is_coroutine_function,
)
from .pacing import Limiter, Pacing
from .policy import Progress
from .verdict import Deciding

if TYPE_CHECKING:
    from ..task_options import TaskOptions
    from .adaptive_limit import AdaptiveLimit
    from .breaking import Passage
    from .expansion import Expansion
    from .stage import Stage


class Call(Deciding):
    """
    A user's function with everything its options put around it.

    :param function: takes the item, or the batch; side inputs are bound already
    :param options: of the task
    :param stage: that makes it; without one it is made in a task of the user's own
    :param adaptive: the limit of the stage, if that has to be found; it contains the run's
    :param limiter: limits the calls, without learning from them; by default the run's limit
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        options: TaskOptions,
        stage: Stage | None = None,
        adaptive: AdaptiveLimit | None = None,
        limiter: Limiter | None = None,
    ) -> None:
        self.function = with_hooks(function, options)
        self.options = options
        self._stage = stage
        self._run = run = None if stage is None else stage.run
        self._adaptive = adaptive
        self._limiter = adaptive or limiter or (None if run is None else run.limiter)
        other = options.fallback
        self._fallback = other and Fallback(other.stage_plan(), stage, self._limiter)
        self._is_watched = options.circuit_breaker is not None or options.retry_budget is not None

    # Only when it is needed, since most calls are plain.
    @cached_property
    def _kinds(self) -> Kinds:
        return Kinds()

    @property
    def begins_plainly(self) -> bool:
        """Whether the options and the run put nothing around a first attempt."""
        stage = self._stage
        if stage is not None and (stage.watch or stage.run.winding_down):
            return False
        return self.options.begins_plainly and self._limiter is None

    @property
    def is_async(self) -> bool:
        """Whether the function is an ``async def``, and each of its results is to be awaited."""
        return is_coroutine_function(self.function)

    def begin(self) -> Awaitable[Pacing]:
        """Wait for what is to be waited for before an item is taken; see :class:`Admission`."""
        admission = self._admission.begin()
        if self._stage is None or self._stage.watch is None or self._limiter is None:
            return admission
        return self._stage.watch.hold(admission)

    def new_pacing(self) -> Pacing:
        """Return what a call is given that nobody has waited for with :meth:`begin`."""
        return Pacing(self._limiter)

    async def __call__(
        self,
        item: Any,
        expansion: Expansion | None = None,
        pacing: Pacing | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """
        Make the call.

        :param item: the item, or the batch
        :param expansion: passes on the values of a generator; without it a generator is returned
            as it is
        :param pacing: what :meth:`begin` returned, if it was called
        :param progress: is told how far the calls come, for whoever wants to know
        :return: the result, or :data:`EXPANDED`
        :raises CallFailed: if the call failed for good; tells what becomes of the item
        """
        pacing = pacing or self.new_pacing()
        progress = progress or Progress()
        if pacing.first is not None:
            progress.calls = 1
        elif not self._admission.admits(pacing):
            await self._admit(item, pacing, progress)
        return await self._finish(item, expansion, pacing, progress)

    async def _finish(
        self, item: Any, expansion: Expansion | None, pacing: Pacing, progress: Progress
    ) -> Any:
        """Go on until there is a result, or a decision on the failure."""
        while True:
            result = await self._try(item, expansion, pacing, progress)
            if result is not GIVEN_UP:
                return result
            failed = ItemFailed(cast("Exception", progress.error), progress.calls)
            try:
                return await self._fall_back(item, expansion, failed)
            except ItemFailed as raised:
                if raised.is_decided:
                    raise
                failed = raised
            verdict = await self._verdict(failed, self._own(item), progress.calls)
            begun = expansion is not None and expansion.passed_on > 0
            if verdict is RETRY and not begun and self._may_add(pacing, progress):
                continue
            return self._outcome(verdict, failed)

    async def _fall_back(self, item: Any, expansion: Expansion | None, failed: ItemFailed) -> Any:
        """Return the result of the fallback; raise what has failed, in the end."""
        if self._fallback is None or (expansion is not None and expansion.passed_on):
            raise failed
        return await self._fallback(item, expansion, failed.error)

    def _try(
        self, item: Any, expansion: Expansion | None, pacing: Pacing, progress: Progress
    ) -> Awaitable[Any]:
        """Make attempts until one succeeds or there may be no other; within the deadline."""
        # Not awaited here: each coroutine that a call passes through takes its time.
        deadline = self.options.deadline
        if deadline is None:
            return self._attempts(item, expansion, pacing, progress)
        return self._within(deadline, item, expansion, pacing, progress)

    async def _within(
        self,
        deadline: float,
        item: Any,
        expansion: Expansion | None,
        pacing: Pacing,
        progress: Progress,
    ) -> Any:
        expires_at = current_time() + deadline if pacing.total is None else pacing.expires_at
        with CancelScope(deadline=expires_at) as pacing.total:
            return await self._attempts(item, expansion, pacing, progress)
        late = TimeoutError(f"the deadline of {deadline:g} s has passed")
        late.__context__ = progress.error
        progress.error = late
        return GIVEN_UP

    async def _attempts(
        self, item: Any, expansion: Expansion | None, pacing: Pacing, progress: Progress
    ) -> Any:
        while True:
            first, pacing.first = pacing.first, None
            if first is None:
                if progress.calls:
                    await self._wait_for_next(item, pacing, progress)
                progress.calls += 1
                if pacing.watched is not None:
                    pacing.watched.begin()
            try:
                if first is not None:
                    return await self._go_on(first, expansion, pacing)
                if self.options.hedge_after is not None:
                    return await self._hedged(item, pacing, progress)
                if self._is_watched:
                    return await self._watched(item, expansion, pacing, progress)
                return await self._attempt(item, expansion, pacing)
            except CallFailed:
                raise
            except PredicateFailed as broken:
                examined = self._examined(broken.error, "throttled_by of ")
                raise CallFailed(examined, progress.calls) from None
            except BaseException as raised:
                error = self._examined(raised)
            if not isinstance(error, Exception):
                raise CallFailed(error, progress.calls)
            progress.error = error
            begun = expansion is not None and expansion.passed_on > 0
            if not self._may_go_on(error, pacing, progress, begun):
                return GIVEN_UP

    async def _go_on(self, first: Any, expansion: Expansion | None, pacing: Pacing) -> Any:
        """Go on with an attempt that has returned a generator, or raised."""
        if isinstance(first, Raised):
            raise first.error
        assert expansion is not None
        await expansion.pass_on(first, pacing)
        return EXPANDED

    async def _wait_for_next(self, item: Any, pacing: Pacing, progress: Progress) -> None:
        """Wait until one more attempt may begin."""
        if self._stage is not None:
            self._stage.counters.retried += 1
            self._stage.run.observation.retried(self._stage, pacing, progress)
        if progress.delay is not None:
            await sleep(progress.delay)
        await checkpoint_if_cancelled()
        if not self._admission.admits(pacing):
            await self._admit(item, pacing, progress)

    async def _admit(self, item: Any, pacing: Pacing, progress: Progress) -> None:
        """Wait until an attempt may begin that may not at once."""
        admission = self._admission.wait(item, pacing)
        try:
            if self._stage is None or pacing.place is None:
                await admission  # what is beside the call, or in place of it, does not stop it
            else:
                await self._stage.admitted(admission, pacing, is_first=not progress.calls)
        except BaseException as broken:
            pacing.withdraw()
            examined = self._examined(broken, "rate_limit of ")
            raise CallFailed(examined, progress.calls) from None

    async def _attempt(self, item: Any, expansion: Expansion | None, pacing: Pacing) -> Any:
        try:
            self._check_wanted(expansion)
            if self.options.timeout is None:
                return await self._invoke(item, expansion, pacing)
            with CancelScope(deadline=current_time() + self.options.timeout) as pacing.scope:
                return await self._invoke(item, expansion, pacing)
            # Not fail_after(): the deadline it would look at may have been put off by a pause.
            raise TimeoutError(f"the call took longer than {self.options.timeout:g} s, its timeout")
        finally:
            pacing.scope = None
            pacing.end()

    def _check_wanted(self, expansion: Expansion | None) -> None:
        """See that the run has not stopped, and the item not been dropped, while it waited."""
        if self._run is not None and self._run.stopping:
            raise RunStopped
        if expansion is not None:
            expansion.check()

    async def _watched(
        self, item: Any, expansion: Expansion | None, pacing: Pacing, progress: Progress
    ) -> Any:
        """As :meth:`_attempt`, for those who are to learn how it ends."""
        passage = pacing.passage
        if passage is None:
            result = await self._attempt(item, expansion, pacing)
        elif passage.refusal is not None:
            self._check_wanted(expansion)
            raise passage.refusal
        else:
            try:
                result = await self._attempt(item, expansion, pacing)
                passage.succeed()
            except BaseException as raised:
                error = raised if pacing.is_late else self._examined(raised)
                self._report(error, passage, pacing, progress)
                raise error  # noqa: B904 - it has a cause if it needs one
            finally:
                passage.leave()
        if self.options.retry_budget is not None:
            self.options.retry_budget.put_back()
        return result

    def _report(
        self, error: BaseException, passage: Passage, pacing: Pacing, progress: Progress
    ) -> None:
        """Let the circuit breaker learn of a failure; what the deadline cuts off is one, too."""
        if pacing.is_late and not isinstance(error, Exception):
            error = TimeoutError()
        try:
            passage.fail(error)
        except BaseException as broken:
            # As with retry_on, that is a mistake in the settings.
            examined = self._examined(broken, "circuit breaker of ")
            raise CallFailed(examined, progress.calls) from None

    async def _hedged(self, item: Any, pacing: Pacing, progress: Progress) -> Any:
        """Make an attempt, and a second one if it takes long; see :class:`Hedge`."""
        assert self.options.hedge_after is not None
        other = self.new_pacing()
        beside = Progress()
        beside.calls = 1

        async def second() -> Any:
            if not self._admission.admits(other):
                await self._admit(item, other, beside)
            await hedge.begin_second(other)
            if self._stage is not None:
                self._stage.counters.hedged += 1
            return await self._whole(item, other, beside)

        hedge = Hedge(self.options.hedge_after, self._examined)
        return await hedge.run(partial(self._whole, item, pacing, progress), second)

    async def _whole(self, item: Any, pacing: Pacing, progress: Progress) -> Any:
        if self._is_watched:
            result = await self._watched(item, None, pacing, progress)
        else:
            result = await self._attempt(item, None, pacing)
        if self._kinds[type(result)] in (GENERATOR, ASYNC_GENERATOR):
            raise generator_error(self.options.task_name)
        return result

    async def _invoke(self, item: Any, expansion: Expansion | None, pacing: Pacing) -> Any:
        if self._adaptive is not None and pacing.meter is None:
            # Which comes back here with a meter.
            return await self._adaptive.measure(self._invoke, item, expansion, pacing)
        result = self.function(self._own(item))
        kind = self._kinds[type(result)]
        if kind is AWAITABLE:
            result = await result
            kind = self._kinds[type(result)]
        if expansion is not None and kind in (GENERATOR, ASYNC_GENERATOR):
            await expansion.pass_on(result, pacing)
            return EXPANDED
        return result
