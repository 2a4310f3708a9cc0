"""
Draining: the source is asked for nothing more, what has been pulled from it goes on to its end.

A run without a source that could bring more is a run like any other, so nothing but the source is
told. It closes the first chain, the stages see the end of their input, one after the other, and the
consumer sees the end of the results. Only the time that this may take is watched, by the run's own
task, which has nothing else to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyio import CancelScope, Event, current_time

if TYPE_CHECKING:
    from .run import Run


class Draining:
    """
    Drains a run when asked to.

    :param run: the run
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._timeout = 0.0
        self._patience = CancelScope()

    def begin(self, timeout: float | None) -> None:
        """
        Ask the source for nothing more; idempotent, but for an earlier end of the time.

        :param timeout: seconds that what is in flight may take; ``None`` for any time
        :raises RuntimeError: on another event loop
        """
        run = self._run
        run.check_host()
        if run.stopping:
            return
        run.source.drain()
        if timeout is not None and current_time() + timeout < self._patience.deadline:
            self._timeout = timeout
            self._patience.deadline = current_time() + timeout

    async def watch(self, ended: Event) -> None:
        """
        Wait for the end of the run, and see to it that it comes in time.

        :param ended: set at the end
        """
        with self._patience:
            await ended.wait()
        if not ended.is_set() and not self._run.handoff.is_settled:
            error = TimeoutError(
                f"the run has not drained within {self._timeout:g} s; "
                "what was still in flight has been cancelled"
            )
            return self._run.fail(error, "raised while the pipeline was drained")
        await ended.wait()
