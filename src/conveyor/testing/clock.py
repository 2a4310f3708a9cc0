"""
What the virtual clocks of both backends have in common.

The rules:

1. While a task can run, the clock stands still.
2. When none can, the clock jumps to the next timer.
3. While the clock is *held* it does not jump: the loop really waits. It is held while a thread
   works for ``anyio.to_thread.run_sync()`` or ``loop.run_in_executor()``, and in every
   :func:`hold_clock` block, so that no timeout fires merely because a thread takes a millisecond of
   real time.
4. When no task can run, no timer is set and the clock is not held, nothing will ever happen again:
   that is a deadlock. Only if a thread or a file descriptor that nobody has told us about could
   still wake the loop does it first wait for :data:`PATIENCE` seconds of real time.
5. More turns of the loop than are allowed are a livelock.

Times are exact on asyncio: a task that wakes reads the very float it slept until, and of two timers
only those due at the same float fire together. Trio's ``MockClock`` jumps to
``now + (deadline - now)``, which now and then is the float next to the deadline: with timers at
0.001 and 0.009, the second reads 0.009000000000000001.
"""

from __future__ import annotations

import functools
import importlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

T = TypeVar("T")

#: Seconds of real time granted to threads and file descriptors that might still wake the loop.
PATIENCE = 10.0

#: Turns of the event loop that a run may take unless it is told otherwise.
MAX_TICKS = 1_000_000

DEADLOCK = "deadlock: no task can run and no timer is set"

#: Turns for what has been cancelled to end, before it is ended by force.
GRACE_TICKS = 1_000

# Pools whose threads live on while idle. Their work holds the clock, so they need no patience.
_POOL_THREADS = ("AnyIO worker thread", "Trio thread", "asyncio_")


class DeadlockError(RuntimeError):
    """No task can run, no timer is set, and nothing will ever change that."""


class TickLimitError(RuntimeError):
    """The event loop took more turns than allowed; tasks may be waking each other for ever."""


class VirtualClock(ABC):
    """A clock that jumps, and the watch over what runs by it."""

    #: What is going on, for the error if it never ends; a check says its name.
    activity = ""

    @abstractmethod
    def hold(self) -> None:
        """Keep the clock from jumping until :meth:`release` has been called as often."""

    @abstractmethod
    def release(self) -> None:
        """Take back one :meth:`hold`."""

    @abstractmethod
    def take_error(self) -> RuntimeError | None:
        """Return the reason for which the watch is ending what it watches, and forget it."""

    @abstractmethod
    async def watch(self, function: Callable[[], Awaitable[T]]) -> T:
        """
        Run *function* so that a deadlock, or a livelock, ends it and becomes its error.

        :param function: called without arguments
        :raises DeadlockError: if nothing can ever run again
        :raises TickLimitError: if the loop took too many turns
        """


#: One function for each backend in use; it finds the virtual clock of the running loop.
finders: list[Callable[[], VirtualClock | None]] = []


def running_clock() -> VirtualClock | None:
    """Return the virtual clock of the running event loop, ``None`` if there is none."""
    # A virtual clock can only run if the module that makes it has been imported.
    return next((clock for find in finders if (clock := find()) is not None), None)


@contextmanager
def hold_clock() -> Generator[None, None, None]:
    """
    Keep the clock from jumping while something outside the event loop is at work.

    Does nothing where the clock is not virtual. Blocks may be nested.
    """
    clock = running_clock()
    if clock is None:
        yield
        return
    clock.hold()
    try:
        yield
    finally:
        clock.release()


def watched(function: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    """
    Return *function* watched by the virtual clock that it runs by, if any.

    :param function: a coroutine function
    """

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> T:
        """Run the function, if need be under watch."""
        clock = running_clock()
        if clock is None:
            return await function(*args, **kwargs)
        return await clock.watch(functools.partial(function, *args, **kwargs))

    return call


class HeldThreads:
    """
    Holds the clock while AnyIO's worker threads work, from :meth:`start` to :meth:`stop`.

    ``anyio.to_thread.run_sync`` has often been imported by its bare name, and AnyIO's file objects
    use threads too. What they all call is a method of the backend's class.

    :param backend: ``"asyncio"`` or ``"trio"``
    """

    # Shared by all instances.
    _users: ClassVar[dict[str, int]] = {}
    _originals: ClassVar[dict[str, Any]] = {}
    _lock = threading.Lock()
    _method = "run_sync_in_worker_thread"

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._module = f"anyio._backends._{backend}"

    def start(self) -> None:
        """Begin to hold the clock."""
        with self._lock:
            users = self._users.get(self._backend, 0)
            self._users[self._backend] = users + 1
            if not users:
                backend: Any = importlib.import_module(self._module).backend_class
                original: Any = backend.__dict__[self._method]
                self._originals[self._backend] = original
                setattr(backend, self._method, classmethod(_held(original.__func__)))

    def stop(self) -> None:
        """Leave AnyIO as it was, once nobody needs it otherwise."""
        with self._lock:
            self._users[self._backend] -= 1
            if not self._users[self._backend]:
                backend: Any = importlib.import_module(self._module).backend_class
                setattr(backend, self._method, self._originals.pop(self._backend))


def _held(function: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    @functools.wraps(function)
    async def held(*args: Any, **kwargs: Any) -> T:
        with hold_clock():
            return await function(*args, **kwargs)

    return held


def foreign_threads() -> bool:
    """Tell whether threads are alive that nobody has told us about."""
    return any(
        thread not in (threading.current_thread(), threading.main_thread())
        and not thread.name.startswith(_POOL_THREADS)
        for thread in threading.enumerate()
    )


def report(reason: str, tasks: Iterable[Any]) -> str:
    """
    Say what is wrong and where each task waits.

    :param reason: what is wrong
    :param tasks: tasks of either backend
    """
    lines = sorted(f"  {describe(task)}" for task in tasks)
    return "\n".join([f"{reason}; the tasks are at", *lines])


def livelock(max_ticks: int) -> str:
    """
    Say what is wrong when a run takes too long.

    :param max_ticks: turns that it was allowed
    """
    return (
        f"livelock: no end after {max_ticks} turns of the event loop; "
        "if it needs more, say max_ticks="
    )


def describe(task: Any) -> str:
    """
    Say which task this is and where it waits, outermost call first.

    :param task: a task of either backend
    """
    name, coroutine = (
        (task.get_name(), task.get_coro()) if hasattr(task, "get_coro") else (task.name, task.coro)
    )
    return f"{name}: {' > '.join(_calls(coroutine))}"


def _calls(coroutine: object) -> Iterator[str]:
    while coroutine is not None:
        # Coroutines, async generators and generators name the same things with their own prefixes.
        prefix = next((p for p in ("cr", "ag", "gi") if hasattr(coroutine, f"{p}_frame")), None)
        frame = getattr(coroutine, f"{prefix}_frame", None)
        if frame is None:
            return
        yield f"{frame.f_code.co_name}:{frame.f_lineno}"
        if getattr(coroutine, f"{prefix}_running"):
            return  # CPython 3.12.1 crashes when asked what a running coroutine awaits
        coroutine = getattr(coroutine, f"{prefix}_await", None)
