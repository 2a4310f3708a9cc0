"""
The only code that knows which event loop it runs on, with :mod:`.trio_host`.

It starts tasks that no task group of the caller owns, reaches the loop from anywhere (a destructor
may run in any thread, at any moment), and tells a requested cancellation from a leaked one.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from functools import partial
from gc import get_referents
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import anyio

if TYPE_CHECKING:
    import asyncio

    from .trio_host import TrioHost

Host: TypeAlias = "AsyncioHost | TrioHost"
T = TypeVar("T")


class LoneEvent(Protocol):
    """
    An event for one waiter.

    Workers and consumers wait often, and AnyIO's event makes four calls and three objects of that
    on asyncio.
    """

    def set(self) -> None:
        """Wake the one who waits; without effect if nobody does any more."""

    def wait(self) -> Awaitable[None]:
        """Wait; a cancellation point like any other."""
        raise NotImplementedError


class Event(LoneEvent, Protocol):
    """An event as AnyIO has it, which any number of tasks may wait for."""

    def is_set(self) -> bool:
        """Tell whether it has been set."""
        raise NotImplementedError


# The loop itself holds its tasks only weakly.
_detached: set[asyncio.Task[None]] = set()


class FutureEvent:
    """
    A :class:`LoneEvent` on asyncio.

    :param future: a new one
    """

    __slots__ = ("_future",)

    def __init__(self, future: asyncio.Future[None]) -> None:
        self._future = future

    def set(self) -> None:
        """Wake the one who waits; without effect if nobody does any more."""
        if not self._future.done():
            self._future.set_result(None)

    def wait(self) -> Awaitable[None]:
        """Return what to await."""
        return self._future


class AsyncioHost:
    """The asyncio loop that is running in this thread."""

    def __init__(self) -> None:
        # Imported by whoever runs the loop; importing this library is not to import both backends.
        self._asyncio = sys.modules["asyncio"]
        self._loop: asyncio.AbstractEventLoop = self._asyncio.get_running_loop()
        # A quick test of where we are: what this returns equals that only here.
        self.locate: Callable[[], object] = self._asyncio._get_running_loop
        self.location: object = self._loop
        self._thread = threading.get_ident()
        # uvloop's own stands still within a turn of the loop, and counts milliseconds.
        is_coarse = type(self._loop).__module__.startswith("uvloop")
        self.clock: Callable[[], float] = monotonic if is_coarse else self._loop.time
        self.new_event: Callable[[], Event] = anyio.Event
        self.new_task_group = anyio.create_task_group
        # What AnyIO's does, without asking each time which event loop this is.
        self.checkpoint: Callable[[], Awaitable[None]] = partial(self._asyncio.sleep, 0)

    def is_current(self) -> bool:
        """Tell whether the calling code runs on this loop."""
        try:
            return self._asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def current_task(self) -> Any:
        """Return the current task."""
        return self._asyncio.current_task()

    def current_context(self) -> Context | None:
        """Return the context that the current task runs in, if it can be had."""
        task = self.current_task()
        if hasattr(task, "get_context"):
            context: Context = task.get_context()
            return context
        # Before Python 3.12 a task does not tell; but of the contexts that it refers to, such as
        # those of its callbacks, its own is the first, and refers to the one before, being entered.
        for each in get_referents(task):
            if type(each) is Context:
                return each if len(get_referents(each)) > 1 else None
        return None

    def new_lone_event(self) -> LoneEvent:
        """Return an event for one waiter."""
        return FutureEvent(self._loop.create_future())

    def is_cancelled(self, task: Any) -> bool | None:
        """
        Tell whether somebody has natively cancelled *task*; ``None`` if there is no telling.

        :param task: from :meth:`current_task`
        """
        # Python 3.10 does not count the requests.
        return task.cancelling() > 0 if hasattr(task, "cancelling") else None

    def uncancel(self) -> bool:
        """Forget native cancellations of the current task; tell whether there were any."""
        task = self.current_task()
        if not self.is_cancelled(task):
            return False
        while task.cancelling():
            task.uncancel()
        return True

    @staticmethod
    def uninterrupted(function: Callable[..., T], *args: Any) -> T:
        """
        Call *function*; while asyncio runs, a Ctrl-C raises nothing amid it, but the second does.

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


def current_host() -> Host:
    """Return a handle on the loop that runs the calling task."""
    # Trio first: in guest mode an asyncio loop is running as well.
    trio: Any = sys.modules.get("trio")
    try:
        trio.lowlevel.current_trio_token()
    except (RuntimeError, AttributeError):
        # Where nobody has imported it, or another thread is amid that, it does not run either.
        return AsyncioHost()
    from .trio_host import TrioHost

    return TrioHost()


def is_loop_running() -> bool:
    """Tell whether an event loop runs the calling code."""
    try:
        current_host()
    except (RuntimeError, KeyError):  # the latter before asyncio has been imported
        return False
    return True


class InterruptWatch:
    """
    Tells after an ``anyio.run()`` on asyncio whether Ctrl-C has ended it.

    AnyIO's runner cancels the main task then, and turns the cancellation that comes back into a
    ``KeyboardInterrupt``; but not before Python 3.11, where it cannot know which one came back.
    """

    def __init__(self) -> None:
        self.interrupted = False

    async def run(self, function: Callable[[], Awaitable[T]]) -> T:
        """
        Await *function* as the main task and watch.

        :param function: called without arguments
        """
        previous = signal.getsignal(signal.SIGINT)
        if not callable(previous) or threading.current_thread() is not threading.main_thread():
            return await function()

        def note(signum: int, frame: FrameType | None) -> None:
            """Remember the interruption and pass it on."""
            self.interrupted = True
            previous(signum, frame)

        signal.signal(signal.SIGINT, note)
        try:
            return await function()
        finally:
            signal.signal(signal.SIGINT, previous)


def run_on_loop(function: Callable[[], Awaitable[T]], backend: str) -> T:
    """
    Run *function* on an event loop of its own, as ``anyio.run()`` does.

    :param function: called without arguments
    :param backend: ``"asyncio"`` or ``"trio"``
    :raises KeyboardInterrupt: after Ctrl-C, also on Python 3.10
    """
    if backend != "asyncio" or sys.version_info >= (3, 11):
        return anyio.run(function, backend=backend)
    watch = InterruptWatch()
    try:
        return anyio.run(watch.run, function)
    except BaseException as error:
        if watch.interrupted and type(error).__name__ == "CancelledError":
            raise KeyboardInterrupt from None
        raise


def is_cancellation(error: BaseException) -> bool:
    """
    Tell whether an exception is a backend's cancellation, also where no event loop runs.

    :param error: any
    """
    names = (("asyncio", "CancelledError"), ("trio", "Cancelled"))
    classes = (getattr(sys.modules.get(module), name, ()) for module, name in names)
    return isinstance(error, tuple(classes))


def is_scope_cancelled() -> bool:
    """Tell whether a cancel scope around the current task has been cancelled."""
    return anyio.current_effective_deadline() == -math.inf


def is_cancellation_requested(is_ours: bool) -> bool:
    """
    Tell whether somebody has asked the current task to stop.

    If not, a cancellation exception seen in it has leaked from elsewhere, for instance out of an
    awaited future that was cancelled.

    :param is_ours: whether nobody else knows the task; then, where there is no telling, it has not
        been asked natively
    """
    host = current_host()
    natively = host.is_cancelled(host.current_task())
    return is_scope_cancelled() or (not is_ours if natively is None else natively)
