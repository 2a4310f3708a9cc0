"""What a workload is, and how one turn of it is timed and checked."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple


class WrongResultError(Exception):
    """A contender was fast, but wrong."""


@dataclass(frozen=True)
class Times:
    """Seconds that one turn took."""

    cpu: float
    wall: float


@dataclass(frozen=True)
class Turn:
    """One turn of a contender: what a workload is given."""

    contender: Any
    """The adapter: a module with the functions described in ``contenders``."""
    items: int
    sleep: Callable[[float], Awaitable[None]]
    """The event loop's own."""


class Pair(NamedTuple):
    """A contender doing a workload."""

    contender: str
    workload: str


@dataclass(frozen=True)
class Workload:
    name: str
    title: str
    about: str
    needs: str
    """The function of an adapter that does it."""
    run: Callable[[Turn], Awaitable[Times]]
    items: int
    quick_items: int
    per: str = "item"
    """What the time is divided by."""
    clock: Literal["cpu", "wall"] = "cpu"
    """Which time is the figure of the workload; the other is shown beside it."""
    baseline: Pair | None = None
    bound: Callable[[int], float] | None = None
    """In place of a baseline: the wall time that no implementation can be faster than."""
    beside: tuple[Pair, ...] = ()
    """What else takes turns here, to be compared in the same rounds."""
    least: int | None = 1
    """Slow contenders get fewer items, this many at least; None: everybody gets the same."""
    backends: tuple[str, ...] = ("asyncio", "uvloop", "trio")
    is_long_run: bool = False
    """Whether a long run is compared with a short one, in fresh processes."""


class Stopwatch:
    """
    Times what happens inside ``with``, after the garbage of others is out of the way.

    Entered several times, it adds up.
    """

    def __init__(self) -> None:
        self.cpu = 0.0
        self.wall = 0.0
        gc.collect()

    def __enter__(self) -> None:
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    def __exit__(self, *exc_info: object) -> None:
        self.cpu += time.process_time() - self._cpu
        self.wall += time.perf_counter() - self._wall

    @property
    def times(self) -> Times:
        return Times(self.cpu, self.wall)


def check(results: Any, expected: Any) -> None:
    """
    Compare what came out with what should.

    :raises WrongResultError: if it differs, saying how
    """
    if results == expected:
        return
    if not isinstance(expected, list):
        raise WrongResultError(f"got {results}, expected {expected}")
    if len(results) != len(expected):
        raise WrongResultError(f"got {len(results):,} results, expected {len(expected):,}")
    index = next(
        i for i, pair in enumerate(zip(results, expected, strict=True)) if len({*pair}) > 1
    )
    raise WrongResultError(f"result {index:,} is {results[index]}, expected {expected[index]}")
