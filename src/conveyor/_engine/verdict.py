"""
What becomes of an item whose call has failed: whether there is another attempt, and if there is
none, what the error handler, or a function as ``on_error``, says.
"""

from __future__ import annotations

from functools import cached_property
from inspect import isawaitable, iscoroutine
from typing import TYPE_CHECKING, Any

from anyio import current_time

from ..error_handling import DIVERT, FAIL, RETRY, SKIP, Decision, Replace, RetryAfter
from .admission import Admission
from .backoff import delay_after
from .breaking import GuardedAdmission
from .failures import CallFailed, ItemFailed, examine

if TYPE_CHECKING:
    from ..task_options import TaskOptions
    from .pacing import Limiter, Pacing
    from .policy import Progress
    from .run import Run
    from .stage import Stage


DECISIONS = {"fail": FAIL, "skip_item": SKIP, "skip_batch": SKIP, "divert": DIVERT}
"""What a word as ``on_error`` means."""


async def verdict_on(failed: ItemFailed, item: Any, options: TaskOptions) -> Decision | Replace:
    """
    Decide what becomes of an item.

    :param failed: what the last attempt raised, of the task or its fallback
    :param item: the item, or the batch
    :param options: of the task
    :raises Exception: what the handler or function raised
    :raises TypeError: if it returned something else than it may
    """
    name = options.task_name
    handler = options.error_handler
    if handler is not None:
        raised_by = failed.task_name or name
        pair: Any = handler.handle_error(failed.error, item, raised_by, failed.attempts)
        if isawaitable(pair):
            pair = await pair
        if not (isinstance(pair, tuple) and len(pair) == 2):  # pyright: ignore[reportUnknownArgumentType]
            raise TypeError(
                f"error handler {type(handler).__name__} of task {name!r} must return "
                f"(should_continue, value), got a {type(pair).__name__}"  # pyright: ignore[reportUnknownArgumentType]
            )
        proceed, value = pair  # pyright: ignore[reportUnknownVariableType]
        if not proceed:
            return FAIL
        return SKIP if value is None else _checked(Replace(value), "(True, value)", name)
    function: Any = options.on_error
    answer = function(failed.error, item)
    if isawaitable(answer):
        answer = await answer
    if not isinstance(answer, (Decision, Replace)):
        raise TypeError(
            f"on_error of task {name!r} must return FAIL, SKIP, DIVERT, RETRY or "
            f"Replace(value), got a {type(answer).__name__}"
        )
    return _checked(answer, "Replace(value)", name)


def _checked(answer: Decision | Replace, wording: str, task_name: str) -> Decision | Replace:
    """Refuse what would have to be awaited, which only who decides can do."""
    if isinstance(answer, Replace) and isawaitable(answer.value):
        kind = type(answer.value).__name__
        if iscoroutine(answer.value):
            answer.value.close()
        raise TypeError(
            f"task {task_name!r}: the value in {wording} must not be awaitable, got a {kind}; "
            "await it first, in an 'async def'"
        )
    return answer


class Deciding:
    """Decides what becomes of the items for which the calls of a task have failed."""

    options: TaskOptions
    _run: Run | None
    _stage: Stage | None
    _limiter: Limiter | None

    # Only when it is needed, since most calls are plain.
    @cached_property
    def _admission(self) -> Admission:
        rate, breaker = self.options.rate_limit, self.options.circuit_breaker
        if breaker is None:
            return Admission(rate, self._limiter)
        return GuardedAdmission(rate, self._limiter, breaker)

    async def refuse(
        self, error: Exception, item: Any, pacing: Pacing, progress: Progress | None = None
    ) -> Any:
        """
        Let an item fail for good that is not called, or for a reason that no other call removes.

        The error handler or ``on_error`` decides what becomes of it; to retry it is to fail.

        :param error: why
        :param item: the item, or the batch
        :param pacing: of its call; gives its share back
        :param progress: how far the calls have come, if there were any
        :return: a value in place of the result
        :raises CallFailed: if there is none; tells what becomes of the item
        """
        pacing.end()
        failed = ItemFailed(error, 0 if progress is None else progress.calls)
        verdict = await self._verdict(failed, self._own(item), failed.attempts)
        return self._outcome(verdict, failed)

    def _own(self, item: Any) -> Any:
        """Return what the user's code is given of an item; of a batch, a list of its own."""
        return item

    def _may_go_on(self, error: Exception, pacing: Pacing, progress: Progress, begun: bool) -> bool:
        """Decide whether there is another attempt; an error that asks for it pauses the stage."""
        if isinstance(error, RetryAfter) and not self.options.is_plain:
            resume_at = self._admission.pause(error.seconds)
            if self._stage is not None:
                self._stage.heed_pauses()
            if not begun and progress.repeat():
                progress.delay = None  # it waits with all the others
                return resume_at < pacing.expires_at
        if begun:
            return False
        try:
            progress.delay = progress.next_delay(error, self.options.retry)
        except BaseException as broken:
            # A predicate that raises is a mistake in the settings, not in this item.
            raise CallFailed(self._examined(broken, "retry_on of "), progress.calls) from None
        return progress.delay is not None and self._may_repeat(progress.delay, pacing)

    def _may_add(self, pacing: Pacing, progress: Progress) -> bool:
        """Decide whether there is the one more attempt that ``on_error`` asks for."""
        progress.delay = delay_after(progress.attempts, self.options.retry)
        return progress.grant() and self._may_repeat(progress.delay, pacing)

    def _may_repeat(self, delay: float, pacing: Pacing) -> bool:
        """Tell whether there is time for one more attempt and a token, and take that."""
        # An attempt that would have no time left, of what all may take, is not waited for.
        if pacing.total is not None and current_time() + delay >= pacing.expires_at:
            return False
        budget = self.options.retry_budget
        return budget is None or budget.take()

    async def _verdict(self, failed: ItemFailed, item: Any, attempts: int) -> Decision | Replace:
        """Ask the error handler, or ``on_error``, after so many attempts of the task itself."""
        if self.options.error_handler is None and isinstance(self.options.on_error, str):
            return DECISIONS[self.options.on_error]
        role = "on_error of " if self.options.error_handler is None else "error handler of "
        try:
            # Handling it here makes the error the context of whatever those who are asked raise.
            raise failed.error
        except Exception:
            try:
                return await verdict_on(failed, item, self.options)
            except BaseException as broken:
                raise CallFailed(self._examined(broken, role), attempts, FAIL) from None

    def _outcome(self, verdict: Decision | Replace, failed: ItemFailed) -> Any:
        """Return what the verdict puts in the place of the result, or raise what has failed."""
        if isinstance(verdict, Replace):
            return verdict.value
        failed.decision = FAIL if verdict is RETRY else verdict
        raise failed

    def _examined(self, error: BaseException, role: str = "") -> BaseException:
        return examine(error, f"{role}task {self.options.task_name!r}", self._run)
