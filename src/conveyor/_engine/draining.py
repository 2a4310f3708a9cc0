"""
Draining: the source is asked for nothing more, what has been pulled from it goes on to its end.

A run without a source that could bring more is a run like any other, so nothing but the source is
told. It closes the first chain, the stages see the end of their input, one after the other, and the
consumer sees the end of the results. Only the time that this may take is watched, by a task of the
run, if it is bounded.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from anyio import current_time, sleep_until

if TYPE_CHECKING:
    from .run import Run


class Draining:
    """
    Drains a run when asked to.

    :param run: the run
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._deadline = inf
        self._timeout = 0.0
        self._has_started = False

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
        if timeout is not None and current_time() + timeout < self._deadline:
            self._timeout = timeout
            self._deadline = current_time() + timeout
            if self._has_started:
                run.start_soon(self._watch, self._deadline)

    def start(self) -> None:
        """The run can start tasks now."""
        self._has_started = True
        if self._deadline < inf:
            self._run.start_soon(self._watch, self._deadline)

    async def _watch(self, deadline: float) -> None:
        """End the run if it has not drained by itself until then; of several, the first does."""
        await sleep_until(deadline)
        if not self._run.handoff.is_settled:
            error = TimeoutError(
                f"the run has not drained within {self._timeout:g} s; "
                "what was still in flight has been cancelled"
            )
            self._run.fail(error, "raised while the pipeline was drained")
