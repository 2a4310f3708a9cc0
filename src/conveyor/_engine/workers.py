"""
A pool of long-lived workers that grows on demand, and the wake-one rule.

Starting a task costs as much as a hundred trivial calls and waking one as much as twenty, so:

- whoever adds work summons a worker only if none is already on its way;
- a worker that takes an item while more are waiting summons the next one *before* it makes its
  call.

A function that never suspends is then served by one worker at the speed of a loop, a slow one fans
out to the limit, and the workers of a full pool take their next item without being woken.

``wakeable`` is all that the hot paths look at: it says that a worker could be summoned and that
none is on its way. Each parked worker waits for an event of its own, so no wake-up can be lost
between two of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from anyio import CancelScope

from .failures import RunStopped

if TYPE_CHECKING:
    from .host import LoneEvent
    from .run import Run


class WorkerPool:
    """
    Up to *limit* workers; a subclass says what each of them does in :meth:`work`.

    :param run: the run whose task group holds the workers
    :param name: of the task they serve
    :param limit: workers at most, at least 1
    """

    def __init__(self, run: Run, name: str, limit: int) -> None:
        self.run = run
        self.name = name
        self.limit = limit
        self.workers: int = 0
        self.wakeable = True
        self._coming = 0
        self._pausing = 0
        self._idle: list[LoneEvent] = []

    async def work(self) -> None:
        """Serve until there is nothing to do; runs once in each worker's task."""
        raise NotImplementedError

    def summon(self) -> None:
        """Wake or start a worker; call this only if ``wakeable``."""
        self.wakeable = False
        if self._idle:
            self._coming += 1
            self._idle.pop().set()
            return
        # Those that are here are waiting for their calls, or the new one would not be needed: so
        # there is work for as many again.
        for _ in range(min(max(1, self.workers - 1), self.backlog, self.limit - self.workers)):
            self._coming += 1
            self.workers += 1
            self.run.start_soon(self.worker, name=self.name)

    @property
    def busy(self) -> int:
        """Workers that have work; of those in between two pieces of it, none."""
        return self.workers - len(self._idle) - self._coming - self._pausing

    @property
    def backlog(self) -> int:
        """Workers that would find work at present; one at least, if it is not known."""
        return 1

    def arrive(self) -> None:
        """Say that the summoned worker is here; it takes its work before it awaits anything."""
        # First: with its work in hand the worker would count twice.
        if self.run.window.wanted:
            self.run.window.reconsider()
        self._coming -= 1
        if not self._coming:
            self._refresh()

    async def park(self, deadline: float | None = None) -> None:
        """
        Wait to be summoned, at most until *deadline*.

        :param deadline: clock reading; ``None`` to wait for as long as it takes
        :raises RunStopped: if the run stops
        """
        event = self.run.host.new_lone_event()
        self._idle.append(event)
        if not self._coming:
            self.wakeable = not self.run.stopping
        if self.run.window.wanted:
            self.run.window.reconsider()
        if deadline is None:
            await event.wait()
        else:
            with CancelScope(deadline=deadline):
                await event.wait()
            if event in self._idle and not self.run.stopping:
                # The time came first, and nobody has summoned us.
                self._idle.remove(event)
                return self._refresh()
        if self.run.stopping:
            raise RunStopped
        self.arrive()
        return None

    def retire(self) -> None:
        """Say that the calling worker ends; if there is work all the same, another is started."""
        self.workers -= 1
        self._refresh()
        self.run.window.reconsider()

    def stop(self) -> None:
        """Summon nobody any more, and let the idle ones end."""
        self.wakeable = False
        # Which takes them less than to be cancelled.
        for event in self._idle:
            event.set()

    def _refresh(self) -> None:
        self.wakeable = (
            not self._coming
            and not self.run.stopping
            and (bool(self._idle) or self.workers < self.limit)
        )

    def worker(self) -> Coroutine[Any, Any, None]:
        """Return what a new worker runs."""
        return self.guard(self.work)

    async def guard(self, work: Callable[..., Awaitable[None]], *args: Any) -> None:
        """
        Do a worker's work.

        Everything that can go wrong in it, engine code included, ends in the run's first-failure
        record; an error that bypassed it would leave the run waiting for ever.

        :param work: coroutine function
        :param args: for it
        """
        try:
            # The run may have stopped before our first step, which no cancellation prevents.
            if not self.run.stopping:
                await work(*args)
        except RunStopped:
            pass
        except BaseException as error:
            self.run.worker_failed(error, self.name)
