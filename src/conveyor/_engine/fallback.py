"""
Another task in place of one that has failed for good.

The call of a fallback is a call like any other, with options of its own around it; it passes its
result on as that of the stage whose worker makes it.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from .failures import CallFailed, Parts, examine
from .isolation import run_in_context

if TYPE_CHECKING:
    from ..plan import StagePlan
    from .call import Call
    from .expansion import Expansion
    from .pacing import Limiter
    from .stage import Stage


class Fallback:
    """
    What is called for the items for which a task has failed.

    :param plan: of the other task
    :param stage: where they fail, if it is one
    :param limiter: of the calls that they fail in, if there is any
    """

    def __init__(self, plan: StagePlan, stage: Stage | None, limiter: Limiter | None) -> None:
        self._plan = plan
        self._stage = stage
        self._limiter = limiter
        self._call: Call | None = None

    async def __call__(self, item: Any, expansion: Expansion | None, error: Exception) -> Any:
        """
        Make the call.

        :param item: the item, or the batch
        :param expansion: see :class:`.Call`
        :param error: what the task failed with
        :return: as of a :class:`.Call`
        :raises ItemFailed: if the other task failed for good as well
        :raises CallFailed: if something else failed, which is no fault of the item
        """
        if self._stage is not None:
            self._stage.counters.fallbacks += 1
        try:
            # Handling it here makes it the context of whatever is raised meanwhile.
            raise error
        except Exception:
            try:
                call = self._call or await self._prepare()
                result = await call(item, expansion)
            except CallFailed as failed:
                self._tell_apart(failed, error)
                raise
        if isinstance(result, Parts):
            for each in result.failures():
                self._tell_apart(each, error)
        return result

    def _tell_apart(self, failed: CallFailed, error: Exception) -> None:
        """Say in a failure of the other task whose it is, and what came before."""
        failed.task_name = failed.task_name or self._plan.name
        if failed.error.__context__ is None and failed.error is not error:
            failed.error.__context__ = error  # one of ours, or one that nobody has raised

    async def _prepare(self) -> Call:
        """Return the call, side inputs resolved and bound; the first item resolves them."""
        from .batch_call import BatchCall
        from .call import Call

        plan, function = self._plan, self._plan.function
        if plan.inputs:
            run = None if self._stage is None else self._stage.run
            # Not in the context of the call that has failed, since all will get the same value.
            context = copy_context() if run is None else run.ask(copy_context)
            try:
                function = await run_in_context(context, plan.inputs.bind(function))
            except BaseException as broken:
                culprit = f"a side input of task {plan.name!r}"
                raise CallFailed(examine(broken, culprit, run), 0) from None
        if self._call is None:
            make = BatchCall if plan.kind == "batch" else Call
            self._call = make(function, plan.options, self._stage, limiter=self._limiter)
        return self._call
