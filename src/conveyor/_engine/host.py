"""
The only code that knows which event loop it runs on.

It starts tasks that no task group of the caller owns, reaches the loop from anywhere (a destructor
may run in any thread, at any moment), and tells a requested cancellation from a leaked one.
"""

from __future__ import annotations

import contextlib
import math
import sys
import threading
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    import asyncio

# The loop itself holds its tasks only weakly.
_detached: set[asyncio.Task[None]] = set()


class AsyncioHost:
    """The asyncio loop that is running in this thread."""

    def __init__(self) -> None:
        # Imported by whoever runs the loop; importing this library is not to import both backends.
        self._asyncio = sys.modules["asyncio"]
        self._loop: asyncio.AbstractEventLoop = self._asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def is_current(self) -> bool:
        """Tell whether the calling code runs on this loop."""
        try:
            return self._asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def is_task_cancelled(self) -> bool:
        """Tell whether somebody has natively cancelled the current task."""
        # Python 3.10 does not count the requests; there a native cancel of one of our workers,
        # which only the shutdown of the loop does, passes for a leak and fails the run.
        task = self._asyncio.current_task()
        return task is not None and hasattr(task, "cancelling") and task.cancelling() > 0

    def spawn(
        self, function: Callable[[], Coroutine[Any, Any, None]], finish: Callable[[], None]
    ) -> None:
        """
        Start a task that belongs to nobody, in a copy of the current context.

        :param function: called without arguments; must not raise but when cancelled
        :param finish: called at the end of the task, also if it never began
        """
        task = self._loop.create_task(function())
        _detached.add(task)
        task.add_done_callback(_detached.discard)
        task.add_done_callback(lambda _: finish())

    def call_soon(self, function: Callable[[], object]) -> None:
        """
        Call *function* on the loop, soon; from any thread, and silently not if the loop has ended.

        :param function: called without arguments; must not raise
        """
        try:
            if threading.get_ident() == self._thread:
                self._loop.call_soon(function)
            else:
                self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            pass


class TrioHost:
    """The Trio run that is going on in this thread."""

    def __init__(self) -> None:
        self._trio = sys.modules["trio"]
        self._token = self._trio.lowlevel.current_trio_token()

    def is_current(self) -> bool:
        """Tell whether the calling code runs in this Trio run."""
        try:
            return self._trio.lowlevel.current_trio_token() is self._token
        except RuntimeError:
            return False

    def is_task_cancelled(self) -> bool:
        """Tell nothing new: all cancellation is by scopes."""
        return False

    def spawn(
        self, function: Callable[[], Coroutine[Any, Any, None]], finish: Callable[[], None]
    ) -> None:
        """
        Start a task that belongs to nobody, in a copy of the current context.

        :param function: called without arguments; must not raise but when cancelled
        :param finish: called at the end of the task; not needed here, where every task begins
        """
        self._trio.lowlevel.spawn_system_task(function, context=copy_context())

    def call_soon(self, function: Callable[[], object]) -> None:
        """
        Call *function* in the Trio run, soon; from any thread, silently not if it has ended.

        :param function: called without arguments; must not raise
        """
        with contextlib.suppress(self._trio.RunFinishedError):
            self._token.run_sync_soon(function)


def current_host() -> AsyncioHost | TrioHost:
    """Return a handle on the loop that runs the calling task."""
    # Trio first: in guest mode an asyncio loop is running as well.
    trio = sys.modules.get("trio")
    if trio is not None:
        try:
            return TrioHost()
        except RuntimeError:
            pass
    return AsyncioHost()


def is_cancellation_requested() -> bool:
    """
    Tell whether somebody has asked the current task to stop.

    If not, a cancellation exception seen in it has leaked from elsewhere, for instance out of an
    awaited future that was cancelled.
    """
    return anyio.current_effective_deadline() == -math.inf or current_host().is_task_cancelled()
