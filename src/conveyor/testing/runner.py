"""
Running a coroutine function in virtual time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from .clock import MAX_TICKS, watched

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    Ts = TypeVarTuple("Ts")

T = TypeVar("T")


def run(
    function: Callable[[Unpack[Ts]], Awaitable[T]],
    *args: Unpack[Ts],
    backend: str = "asyncio",
    seed: int | None = None,
    max_ticks: int = MAX_TICKS,
) -> T:
    """
    Run a coroutine function to its end in virtual time.

    The clock starts at 0.0, stands still while a task can run, and jumps to the next timer when
    none can; it also stands still while a thread works for ``anyio.to_thread.run_sync()``. So an
    hour of sleep takes no time, and every time is exact.

    :param function: what to run
    :param args: its arguments
    :param backend: ``"asyncio"`` or ``"trio"``
    :param seed: shuffles the order in which tasks take their steps. The same seed gives the same
        schedule, in every process. Without one the order is the backend's own: first come, first
        served on asyncio, and random on Trio.
    :param max_ticks: turns of the event loop at most
    :return: what *function* returns
    :raises DeadlockError: if no task can run, no timer is set and nothing else could wake one; it
        says where each task waits
    :raises TickLimitError: after more than *max_ticks* turns; it says where each task is
    :raises TypeError: if *seed* is not an integer
    :raises ValueError: if *backend* is neither of the two, or *max_ticks* is less than 1
    """
    name, options = backend_options(backend, seed, max_ticks=max_ticks)
    main: Any = watched(function)
    start: Callable[..., T] = anyio.run
    if name == "trio":
        from .trio_time import run_on_trio as start
    return start(main, *args, backend=name, backend_options=options)


def backend_options(
    backend: str = "asyncio", seed: int | None = None, *, max_ticks: int = MAX_TICKS
) -> tuple[str, dict[str, Any]]:
    """
    Return what AnyIO needs to know to run something in virtual time.

    It is what the fixture ``anyio_backend`` of AnyIO's pytest plugin returns. Everything said of
    :func:`run` goes for it. Make it anew for every test: a clock is used once.

    :param backend: ``"asyncio"`` or ``"trio"``
    :param seed: of the schedule
    :param max_ticks: turns of the event loop at most
    :return: the backend's name and its options
    :raises TypeError: if *seed* is not an integer
    :raises ValueError: if *backend* is neither of the two, or *max_ticks* is less than 1
    """
    # Not everyone's code is type-checked, and Random() also takes seeds that it hashes.
    if not isinstance(seed, int | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"seed must be an integer, as in seed=1, or None; got a {_name(seed)}")
    if max_ticks < 1:
        raise ValueError(f"max_ticks must be at least 1, got {max_ticks}")
    if backend == "asyncio":
        from .asyncio_shuffle import ShuffledLoop
        from .asyncio_time import VirtualTimeLoop

        loop = VirtualTimeLoop if seed is None else partial(ShuffledLoop, seed)
        return backend, {"loop_factory": partial(loop, max_ticks=max_ticks)}
    if backend == "trio":
        from .trio_time import trio_options

        return backend, trio_options(seed, max_ticks)
    raise ValueError(f"backend must be 'asyncio' or 'trio', got {backend!r}")


def _name(value: object) -> str:
    return type(value).__name__
