"""
A run: the owning task group, the first failure, the outcome.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import uuid4

from anyio import Semaphore, get_cancelled_exc_class

from ..context import PipelineContext, check_settings, get_current_context, set_context_of_run
from ..error_handling import LedgerError, StreamClosedError
from ..outcomes import Failures
from .bypass import take_outcomes
from .cascade import Cascade
from .draining import Draining
from .failures import add_note, bare, examine
from .flight import outlast
from .handoff import Handoff
from .host import current_host, is_scope_cancelled
from .ledger import check_ledger
from .observation import Observation
from .routing import Routing
from .winding_down import WindingDown
from .wiring import window_for, wire

if TYPE_CHECKING:
    from ..plan import StagePlan

logger = logging.getLogger("conveyor")


class Run:
    """
    One execution of a pipeline; created on the event loop that will run it.

    :param plans: the stages; none at all passes the data through
    :param data: what the pipeline was called with; :data:`NO_DATA` makes the first task the source
    :param context: this run's own copy
    :param failures: for the items that are diverted
    :param gives_outcomes: whether it gives outcomes instead of results
    :raises ValueError: if ``max_in_flight`` is too small for the tasks, or a setting out of range
    """

    def __init__(
        self,
        plans: Sequence[StagePlan],
        data: Any,
        context: PipelineContext,
        failures: Failures,
        gives_outcomes: bool,
    ) -> None:
        check_settings(context)
        self.window = window_for(plans, context.max_in_flight)
        self.host = current_host()
        self.context = context.copy()
        self.context.pipeline_id = str(uuid4())
        parallelism = context.max_parallelism
        self.limiter = None if parallelism is None else Semaphore(parallelism)
        self.stopping = False
        self._stopped = False
        self.finished = False
        self.abandoned = False
        self.failure: BaseException | None = None
        self.cascade = Cascade()
        self.is_completed = False
        self._failure_seen = False
        self._ended = self.host.new_event()
        self._joined = self.host.new_event()
        self._task_group: Any = None
        self._variables: Context
        self._task: Any
        self.routing = Routing(self, failures, gives_outcomes)
        self.source, self.stages, self.chains = wire(self, plans, data)
        in_order = self.context.failure == "in_order"
        self.winding_down = WindingDown(self, self.chains) if in_order else None
        last = self.chains[-1]
        self.handoff = Handoff(
            self, last, partial(take_outcomes, last) if gives_outcomes else last.take_all
        )
        self.draining = Draining(self)
        self.observation = Observation(self)

    def start_soon(self, function: Callable[..., Any], *args: Any, name: object = None) -> None:
        """
        Start a task of this run, in a copy of the run's own context variables.

        :param function: coroutine function
        :param args: for it
        :param name: for those who list the event loop's tasks; that of the function by default
        """
        # Not in those of the caller, which may be a worker amid an item's call.
        assert self._task_group is not None
        start_soon = partial(self._task_group.start_soon, name=name)
        self.host.uninterrupted(self._variables.run, start_soon, function, *args)

    def ask(self, function: Callable[..., Any], *args: Any) -> Any:
        """
        Call a function of the user's that belongs to no item's call, in the run's own variables.

        :param function: is not awaited
        :param args: for it
        :return: what it returns
        """
        return self._variables.copy().run(function, *args)

    # Life

    async def execute(self) -> None:
        """
        Run to the end: of the data, by the first failure, or by :meth:`stop`.

        Whatever ends it, every task has ended when this returns. Failures are recorded, not raised.

        :raises BaseException: the cancellation, if it was cancelled from outside
        """
        try:
            set_context_of_run(self.context)
            self.observation.begin()
            self._variables = copy_context()
            self._task = self.host.current_task()
            async with self.host.new_task_group() as self._task_group:
                # Also if the run has been stopped by now: the data is to be closed.
                self.start_soon(self.source.feed)
                self.draining.start()
                self.observation.start_ticking()
                try:
                    await self._ended.wait()
                finally:
                    self.insist(self.stop)
        except get_cancelled_exc_class():
            raise
        except BaseException as error:
            # Nothing of ours lets an error into the group, but a KeyboardInterrupt may hit us here,
            # or the very code that records errors. Raised from here, it would come out wrapped.
            self.fail(bare(error), "raised in the machinery of a pipeline")
        finally:
            self.insist(self.finish)

    def insist(self, step: Callable[[], None]) -> None:
        """
        Take a step of the shutdown, even if a KeyboardInterrupt hits us amid it.

        :param step: can be taken once more after it was broken off
        """
        try:
            step()
        except BaseException as error:
            self.fail(error, "raised while the pipeline was ending")
            step()

    def check_host(self) -> None:
        """
        Check that the calling code may use this run.

        :raises RuntimeError: if it runs on another event loop
        """
        if not self.finished and not self.host.is_current():
            raise RuntimeError("this stream belongs to another event loop; consume it there")

    def end(self) -> None:
        """The consumer has everything; called when the last chain is exhausted."""
        if not self.stopping:
            self.routing.conclude()
            self.is_completed = self.failure is None
            self.stop()

    def stop(self) -> None:
        """
        End the run early: start no further call, cancel what is in flight.

        Idempotent; and if a KeyboardInterrupt breaks it off, the next one who calls it, with that
        error to record as a rule, takes every step again.
        """
        if self._stopped:
            return
        self.stopping = True
        for stage in self.stages:
            stage.stop()
        self.source.stop()
        self.window.stop()
        self._ended.set()
        if self._task_group is not None:
            scope = self._task_group.cancel_scope
            # Who cancels the consumer as well has nothing to add, and must not meet us: on asyncio
            # AnyIO counts what it asked of our task off the consumer's if it leaves both scopes.
            scope.shield = True
            scope.cancel()
            self._stopped = True  # not without a group: execute() stops the one that it makes

    def abandon(self) -> None:
        """End the run because its consumer is gone; a later failure is logged."""
        self.abandoned = True
        self.stop()
        if self.finished:
            self.bury()

    async def close(self) -> None:
        """
        End the run early and wait until everything in it has ended; idempotent.

        :raises BaseException: a failure of the run, its cleanup included, not raised before
        """
        self.check_host()
        if not self.finished and get_current_context() is self.context:
            raise RuntimeError(
                "a task cannot close the stream that it works for, since it would wait for itself; "
                "raise an error to end the run, or let its consumer end it"
            )
        self.stop()
        try:
            await self.join()
        finally:
            self.handoff.drop()
            self.raise_interrupt()
        self.raise_unseen()

    async def join(self) -> None:
        """
        Wait until every task of the run has ended, whoever cancels the wait meanwhile.

        :raises BaseException: a cancellation that came meanwhile, afterwards
        """
        await outlast(self._joined)

    @property
    def was_cut_short(self) -> bool:
        """Whether it ended, or is ending, before its end, and not by a failure."""
        return (
            self.stopping and not self.is_completed and self.failure is None and not self.abandoned
        )

    def finish(self) -> None:
        """
        Everything has ended; called when it has, or by the host if the run could never begin.

        A task that is cancelled before its first step, as asyncio does it, never gets as far as its
        own clean-up. Idempotent.
        """
        if self.finished:
            return self.observation.end()  # which a KeyboardInterrupt may have broken off
        if self.is_completed and self.failure is None:
            try:
                check_ledger(self.source.pulled, self.stages, self.handoff.taken)
            except LedgerError as error:
                self.failure = error
        for chain in self.chains[:-1]:
            chain.clear()
        if self.winding_down is not None:
            self.winding_down.clear()
        self._task_group = None
        self._joined.set()
        self.handoff.wake()
        self.finished = True
        self.observation.end()
        if self.abandoned:
            self.bury()

    # Failures

    @property
    def is_cancellation_requested(self) -> bool:
        """
        Whether somebody has asked this run, whose task the current one is, to stop.

        If not, a cancellation exception seen in the task has leaked from elsewhere, or somebody has
        natively cancelled one of our workers, who belong to nobody but the run.
        """
        return self.stopping or is_scope_cancelled() or bool(self.host.is_cancelled(self._task))

    def fail(self, error: BaseException, origin: str) -> None:
        """
        Record a failure, if it is the first, and end the run.

        A KeyboardInterrupt or SystemExit, which is to end the program, takes the place of an
        ordinary error.

        :param error: what the consumer will get, with a note added
        :param origin: for the note
        """
        ordinary = isinstance(self.failure, Exception)
        if self.failure is None or (ordinary and not isinstance(error, Exception)):
            self.failure = error
            self._failure_seen = False
            add_note(error, origin)
        self.stop()

    def worker_failed(self, error: BaseException, task_name: str) -> None:
        """
        Record what came out of a worker otherwise than through a call.

        :param error: what was raised
        :param task_name: whose worker
        :raises BaseException: *error*, if it is a cancellation that was asked for
        """
        error = examine(error, f"a worker of task {task_name!r}", self)
        self.fail(error, f"raised in a worker of task {task_name!r}")

    def raise_outcome(self) -> NoReturn:
        """
        Tell the consumer how a finished run ended; a failure is told once.

        :raises StopAsyncIteration: if all results were delivered
        :raises BaseException: the failure itself
        :raises StreamClosedError: if the run ended early
        """
        self.chains[-1].clear()
        self.raise_unseen()
        if self.failure is not None:
            raise StreamClosedError("this stream has ended with an error, which it has raised")
        if self.is_completed:
            raise StopAsyncIteration
        raise StreamClosedError("this stream was closed, or its run cancelled, before its end")

    def raise_unseen(self) -> None:
        """
        Raise the failure if the consumer has not seen it.

        :raises BaseException: the failure itself
        """
        if self.failure is not None and not self._failure_seen:
            self._failure_seen = True
            raise self.failure

    def raise_interrupt(self) -> None:
        """
        Raise the failure if it is to end the program and the consumer has not seen it.

        Neither a cancellation nor an error of the consumer's own comes before that.

        :raises BaseException: the failure itself, a KeyboardInterrupt for instance
        """
        if not isinstance(self.failure, Exception):
            self.raise_unseen()

    def bury(self) -> None:
        """Drop what nobody takes any more, though somebody may keep the stream; log a failure."""
        self.handoff.drop()
        if self.failure is not None and not self._failure_seen:
            self._failure_seen = True
            logger.error(
                "a pipeline whose results nobody waits for any more has failed with %s",
                type(self.failure).__name__,
            )
