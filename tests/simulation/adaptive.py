"""
Limits that are found by trying: drawn for some stages, and followed call by call.

The follower knows nothing of shares, workers and pauses. It sees calls begin and end, as the
service would, and says what the limit has to be.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from conveyor import Adaptive

from .failures import Boom

if TYPE_CHECKING:
    from .scenario import StageSpec

__all__ = ["Follower", "LimitSpec", "limit_of", "with_limit"]


class LimitSpec(NamedTuple):
    """The settings; the most there may be is the ``limit`` of the stage."""

    initial: int
    least: int
    tolerance: float | None
    backoff: float


def with_limit(seed: int, spec: StageSpec) -> StageSpec:
    """Give every third stage such a limit."""
    # From numbers of its own, so that all else is as it would be without.
    own = Random(f"{seed} {spec.number} adaptive")
    if own.randrange(3) or spec.kind == "process" or spec.target is not None:
        return spec
    least = own.choice([1, 1, 2])
    initial = least + own.choice([0, 0, 1, 3])
    return replace(
        spec,
        limit=initial + own.choice([0, 1, 2, 6]),
        adaptive=LimitSpec(
            initial, least, own.choice([1.5, 2, None]), own.choice([0.5, 0.75, 0.9])
        ),
    )


def limit_of(spec: StageSpec) -> Adaptive | int | None:
    """Return the ``concurrency_limit`` of a task."""
    if spec.adaptive is None or spec.limit is None:
        return spec.limit
    initial, least, tolerance, backoff = spec.adaptive
    return Adaptive(
        initial,
        spec.limit,
        min=least,
        throttled_by=(Boom, TimeoutError),
        tolerance=tolerance,
        backoff=backoff,
    )


class Follower:
    """
    What the limit of a stage has to be, as far as it can be seen from outside.

    The pauses of a generator cannot: of a stage of those nothing is said.
    """

    def __init__(self, spec: StageSpec) -> None:
        assert spec.adaptive is not None
        assert spec.limit is not None
        self.settings = spec.adaptive
        self.most = spec.limit
        self.is_sure = not spec.is_generator
        self.limit = spec.adaptive.initial
        self.flying: dict[object, float] = {}
        self.counting: set[object] = set()  # those that began after the last decrease
        self.good = 0
        self.is_full = False
        self.best: float | None = None
        self.times: list[float] = []

    def begin(self, call: object, now: float) -> None:
        """See a call begin."""
        self.flying[call] = now
        self.counting.add(call)
        self.is_full = self.is_full or len(self.flying) >= self.limit

    def end(self, call: object, now: float, is_good: bool, is_throttled: bool) -> None:
        """See a call end."""
        seconds = now - self.flying.pop(call)
        counts = call in self.counting
        self.counting.discard(call)
        if is_throttled and counts:
            self.fall()
        if not is_good:
            return
        if not counts:
            return
        self.times.append(seconds)
        if len(self.times) >= max(10, self.limit) and self.has_slowed_down():
            self.fall()
        else:
            self.good += 1
            if self.good >= self.limit:
                self.limit = min(self.most, self.limit + self.is_full)
                self.good, self.is_full = 0, False

    def has_slowed_down(self) -> bool:
        """Say whether the calls took too long that have ended since this was asked last."""
        tolerance, taken = self.settings.tolerance, sum(self.times) / len(self.times)
        self.times.clear()
        usual = max(0.001, taken if self.best is None else self.best)
        is_slow = tolerance is not None and taken > tolerance * usual
        if (
            self.best is None
            or taken < self.best
            or (is_slow and self.limit == self.settings.least)
        ):
            self.best = taken
        return is_slow

    def fall(self) -> None:
        """One decrease."""
        self.limit = max(self.settings.least, int(self.limit * self.settings.backoff))
        self.counting.clear()
        self.times.clear()
        self.good, self.is_full = 0, False
