"""
Running the same function on many random schedules.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from .._engine.failures import add_note
from .clock import MAX_TICKS
from .runner import run

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    Ts = TypeVarTuple("Ts")


def shake(
    function: Callable[[Unpack[Ts]], Awaitable[object]],
    *args: Unpack[Ts],
    seeds: Iterable[int] = range(100),
    backends: Iterable[str] = ("asyncio", "trio"),
    max_ticks: int = MAX_TICKS,
) -> None:
    """
    Run a coroutine function once for each backend and seed, to find what depends on the schedule.

    Each run is a :func:`run` of its own and begins at 0.0. The first failure ends the search; its
    exception gets a note that says how to have the same schedule again.

    :param function: what to run; its assertions say what must hold on every schedule
    :param args: its arguments, the same ones for every run
    :param seeds: the schedules
    :param backends: ``"asyncio"``, ``"trio"`` or both
    :param max_ticks: turns of the event loop at most, for each run
    :raises ValueError: if there is no seed or no backend, since nothing would be run
    """
    seeds, backends = list(seeds), list(backends)
    if not seeds or not backends:
        raise ValueError("shake() needs at least one seed and one backend, or it would run nothing")
    for backend in backends:
        for seed in seeds:
            try:
                run(function, *args, backend=backend, seed=seed, max_ticks=max_ticks)
            except Exception as error:
                add_note(error, _replay(function, bool(args), backend, seed))
                raise


def _replay(function: object, has_arguments: bool, backend: str, seed: int) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    call = f"{name}, ..." if has_arguments else name
    return (
        f"on the schedule of backend={backend!r}, seed={seed}; to see it again, "
        f"conveyor.testing.run({call}, backend={backend!r}, seed={seed})"
    )
