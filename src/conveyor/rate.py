"""
Rate limits: so many calls, or so much of what calls cost, per time.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from anyio import Lock, current_time, sleep_until

from ._checks import checked_answer
from ._engine.gcra import CellRate
from ._engine.host import Host, current_host

__all__ = ["Rate"]


@dataclass(frozen=True, eq=False)
class Rate:
    """
    A limit on how often calls begin: *limit* of them *per* so many seconds, evenly spaced.

    In any *t* seconds calls begin whose costs add up to at most ``burst + t * limit / per``.
    Without *cost* each call costs 1, and without *burst* the next one may begin ``per / limit``
    seconds after the one before.

    One object is one limit, whoever uses it: all tasks with ``rate_limit=`` this object share it,
    over all their runs, first come, first served; of those in a run with ``max_parallelism`` one
    call of each task at a time stands in the line. It can be used on several event loops one after
    the other, not on two at once. A call that costs much is not overtaken by cheap ones behind it.
    Who is cancelled while waiting has taken nothing, and those behind move up.

    :param limit: cost per *per* seconds, more than 0
    :param per: seconds
    :param burst: cost that may be spent at once after a pause, at least 1; by default 1. A little
        more makes up for timers that are late, which matters above some hundred calls per second
    :param cost: tells from the item (or batch) what its call costs, from 0 to *burst*; then *burst*
        has to be given
    :raises TypeError: if a value is of the wrong type
    :raises ValueError: if a number is out of its range

    Source: the generic cell rate algorithm; see ``_engine/gcra.py``.
    """

    limit: float
    per: float = 1.0
    burst: float | None = None
    cost: Callable[[Any], float] | None = None
    _line: _Line = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("limit", "per", "burst"):
            number: object = getattr(self, name)
            if number is None and name == "burst":
                continue
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                raise TypeError(f"Rate: {name} must be a number, got {number!r}")
            if not 0 < number <= sys.float_info.max:
                raise ValueError(f"Rate: {name} must be more than 0 and finite, got {number!r}")
        if self.cost is not None and not callable(self.cost):
            raise TypeError(
                "Rate: cost must be a function of the item that returns a number, "
                f"got {self.cost!r}"
            )
        if self.burst is None and self.cost is not None:
            raise TypeError(
                "Rate: with cost, burst has to say what the most expensive call may cost; "
                f"write Rate({self.limit!r}, per={self.per!r}, burst=..., cost=...)"
            )
        burst = 1 if self.burst is None else self.burst
        if burst < 1 and self.cost is None:
            raise ValueError(f"Rate: burst must be at least 1, the cost of a call, got {burst!r}")
        try:
            interval = self.per / self.limit
        except OverflowError:
            interval = math.inf
        if not 0 < interval < math.inf:
            raise ValueError(
                "Rate: the seconds for each call, per / limit, must be more than 0 and finite, got "
                f"limit={self.limit!r}, per={self.per!r}"
            )
        object.__setattr__(self, "burst", burst)
        object.__setattr__(self, "_line", _Line(CellRate(interval, burst)))

    async def acquire(self, item: Any = None) -> None:
        """
        Wait until a call may begin, and count it as begun.

        Tasks do it by themselves; this is for other code under the same limit. First come, first
        served. Cancelled while waiting, it counts nothing.

        :param item: for *cost*
        :raises TypeError: if *cost* returns no number
        :raises ValueError: if the cost is negative or more than *burst*
        """
        await self.acquire_unless(item, _never)

    async def acquire_unless(self, item: Any, refused: Callable[[], bool]) -> bool:
        """
        As :meth:`acquire`, for somebody who may change their mind while waiting.

        :param item: for *cost*
        :param refused: asked at the last moment
        :return: whether the call is counted; if not, nothing has been taken
        """
        cost = 1 if self.cost is None else self._cost_of(item, self.cost)
        return await self._line.take(cost, refused)

    def acquire_nowait(self, item: Any = None) -> bool:
        """
        Count a call as begun, unless it would have to wait.

        :param item: for *cost*
        :return: whether the call is counted
        """
        return self._line.take_nowait(1 if self.cost is None else self._cost_of(item, self.cost))

    def _cost_of(self, item: Any, function: Callable[[Any], Any]) -> float:
        cost = checked_answer("cost", function(item))
        # The messages leave the cost out: it may be the item.
        if isinstance(cost, bool) or not isinstance(cost, (int, float)):
            raise TypeError(f"cost must return a number, got a {type(cost).__name__}")
        if not cost >= 0:
            raise ValueError("cost must return 0 or more")
        if self.burst is not None and cost > self.burst:
            raise ValueError(
                f"a call that costs more than burst={self.burst!r} could never begin; "
                "give a larger burst"
            )
        return cost


def _never() -> bool:
    return False


class _Line:
    """
    Those who wait for a rate; only the first of them watches the clock.

    :param cells: the arithmetic
    """

    def __init__(self, cells: CellRate) -> None:
        self._cells = cells
        self._seen = 0.0
        self._host: Host | None = None
        self._waiting = 0
        self._turn: Lock

    async def take(self, cost: float, refused: Callable[[], bool]) -> bool:
        self._move_in()
        self._waiting += 1
        try:
            async with self._turn:
                ready = self._cells.ready_at(cost)
                if ready > current_time():
                    await sleep_until(ready)
                if refused():
                    return False
                # A timer may be early, by as little as a float can be.
                self._seen = max(ready, current_time())
                self._cells.take(cost, self._seen)
                return True
        finally:
            self._waiting -= 1

    def take_nowait(self, cost: float) -> bool:
        self._move_in()
        now = current_time()
        # Nobody overtakes those who wait; nor may what they wait for be taken away meanwhile.
        if self._waiting or self._cells.ready_at(cost) > now:
            return False
        self._seen = now
        self._cells.take(cost, now)
        return True

    def _move_in(self) -> None:
        """Make this event loop the one that it is used on; each has a clock of its own."""
        if self._host is not None and self._host.is_current():
            return
        if self._waiting:
            raise RuntimeError(
                "this Rate is being waited for on another event loop; "
                "use it on one at a time, or make one Rate for each"
            )
        if self._host is not None:
            self._cells.change_clock(self._seen, current_time())
        self._host = current_host()
        self._turn = Lock(fast_acquire=True)
