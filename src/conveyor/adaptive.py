"""
A concurrency limit that is found by trying.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

from ._checks import check_selection, checked_answer
from .error_handling import RetryAfter

__all__ = ["Adaptive"]

ThrottledBy = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]


@dataclass(frozen=True)
class Adaptive:
    """
    A ``concurrency_limit`` that follows what the other side can take, between *min* and *max*.

    The number of attempts that may run at once grows by one whenever as many have come back in good
    time, provided that the limit was reached meanwhile; it falls, at most once per round trip, when
    one is throttled, or when they become slow. All other errors change nothing. ``stats()`` tells
    the present limit. See :ref:`adaptive-limits`.

    A description: each stage of each run finds a limit of its own, so one object can be given to
    any number of tasks.

    :param initial: the limit at first, from *min* to *max*; it should be one that the other side
        surely bears, because what calls take at first is the measure of what they take later
    :param max: the limit never rises above it
    :param min: the limit never falls below it, at least 1
    :param throttled_by: errors by which the other side says that there is too much to do: a type, a
        tuple of types, or a predicate
    :param tolerance: attempts are slow if they take, on average over as many as the limit allows at
        once and ten at least, more than so many times the least that this average has been; more
        than 1, ``None`` to go by errors alone
    :param backoff: factor by which the limit falls, between 0 and 1
    :raises TypeError: if a value is of the wrong type
    :raises ValueError: if a number is out of its range

    Source: additive increase, multiplicative decrease; see ``_engine/aimd.py``.
    """

    initial: int = 10
    max: int = 100
    _: KW_ONLY
    min: int = 1
    throttled_by: ThrottledBy = (RetryAfter, TimeoutError)
    tolerance: float | None = 2.0
    backoff: float = 0.75

    def __post_init__(self) -> None:
        for name in ("initial", "max", "min"):
            count: object = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, int):
                raise TypeError(f"Adaptive: {name} must be an int, got {count!r}")
        if self.min < 1:
            raise ValueError(f"Adaptive: min must be at least 1, got {self.min}")
        if not self.min <= self.initial <= self.max:
            raise ValueError(
                "Adaptive: initial must be from min to max, got "
                f"min={self.min}, initial={self.initial}, max={self.max}"
            )
        if self.tolerance is not None:
            _check_between("tolerance", self.tolerance, 1, math.inf, "; None goes by errors alone")
        _check_between("backoff", self.backoff, 0, 1)
        check_selection("Adaptive: throttled_by", self.throttled_by)

    def is_throttling(self, error: Exception) -> bool:
        """
        Tell whether *error* says that there is too much to do.

        :param error: what an attempt raised
        """
        throttled_by: Any = self.throttled_by
        if isinstance(throttled_by, (type, tuple)):
            return isinstance(error, throttled_by)
        return bool(checked_answer("Adaptive: throttled_by", throttled_by(error)))


def _check_between(name: str, value: object, low: float, high: float, hint: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"Adaptive: {name} must be a number, got {value!r}")
    if not low < value < high:
        bound = f"more than {low} and finite" if high == math.inf else f"between {low} and {high}"
        raise ValueError(f"Adaptive: {name} must be {bound}, got {value!r}{hint}")
