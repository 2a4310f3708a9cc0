"""
The event loop as far as only Trio has it; imported where Trio runs, and nowhere else.

Trio raises the ``KeyboardInterrupt`` of a Ctrl-C in whatever task is running, also amid functions
of its own that are not protected. What would break its books there, a task that is put on a list
and not suspended, or made and not scheduled, is done here under its protection.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, copy_context
from functools import partial
from typing import Any, TypeVar

import trio
from trio.lowlevel import Abort, RaiseCancelT, Task, enable_ki_protection

T = TypeVar("T")


class TaskEvent:
    """An event that an interrupt can come before or after, and not amid a wait for it."""

    __slots__ = ("_is_set", "_tasks")

    def __init__(self) -> None:
        self._is_set = False
        self._tasks: list[Task] = []

    def is_set(self) -> bool:
        """Tell whether it has been set."""
        return self._is_set

    @enable_ki_protection
    def set(self) -> None:
        """Wake all who wait, and let nobody wait any more."""
        self._is_set = True
        while self._tasks:
            trio.lowlevel.reschedule(self._tasks.pop())

    @enable_ki_protection
    async def wait(self) -> None:
        """Wait until it is set; a cancellation point in any case."""
        if self._is_set:
            await trio.lowlevel.checkpoint()
            return
        task = trio.lowlevel.current_task()
        self._tasks.append(task)
        await trio.lowlevel.wait_task_rescheduled(partial(self._forget, task))

    def _forget(self, task: Task, raise_cancel: RaiseCancelT) -> Abort:
        self._tasks.remove(task)
        return Abort.SUCCEEDED


class TrioHost:
    """The Trio run that is going on in this thread."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        # A quick test of where we are: what this returns equals that only here. A thread has one
        # Trio run at a time, and asking for its token takes long.
        self.locate: Callable[[], object] = threading.get_ident
        self.location: object = threading.get_ident()
        # Of the clock itself, which can be asked in any thread.
        self.clock: Callable[[], float] = trio.lowlevel.current_clock().current_time
        self.new_event = self.new_lone_event = TaskEvent
        # Without the handle and the cancel scope that AnyIO makes for each task besides, and that
        # nobody asks for; they take as long as the task.
        self.new_task_group = trio.open_nursery
        self.checkpoint: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint

    def is_current(self) -> bool:
        """Tell whether the calling code runs in this Trio run."""
        try:
            return trio.lowlevel.current_trio_token() is self._token
        except RuntimeError:
            return False

    def current_task(self) -> Any:
        """Return nothing: a task cannot be cancelled but by scopes."""

    def current_context(self) -> Context | None:
        """Return the context that the current task runs in."""
        return trio.lowlevel.current_task().context

    def is_cancelled(self, task: Any) -> bool | None:
        """
        Tell nothing new: all cancellation is by scopes.

        :param task: from :meth:`current_task`
        """
        return False

    def uncancel(self) -> bool:
        """Do nothing, since there is no native cancellation."""
        return False

    @staticmethod
    @enable_ki_protection
    def uninterrupted(function: Callable[..., T], *args: Any) -> T:
        """
        Call *function*; a Ctrl-C that comes meanwhile is raised later, in the main task.

        :param function: starts a task, or the like; takes no time
        :param args: for it
        :return: what it returns
        """
        return function(*args)

    def spawn(
        self, function: Callable[[], Coroutine[Any, Any, None]], finish: Callable[[], None]
    ) -> None:
        """
        Start a task that belongs to nobody, in a copy of the current context.

        :param function: called without arguments; must not raise but when cancelled
        :param finish: called at the end of the task; not needed here, where every task begins
        """
        trio.lowlevel.spawn_system_task(function, context=copy_context())

    def call_soon(self, function: Callable[[], object]) -> None:
        """
        Call *function* in the Trio run, soon; from any thread, silently not if it has ended.

        :param function: called without arguments; must not raise
        """
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function)
