"""
Quantiles of how long things took, without keeping every duration.

Durations are counted in buckets whose bounds grow by a constant factor, so that any quantile is
known to one per cent of its value, from nanoseconds to weeks in less than two thousand buckets. The
algorithm is that of DDSketch (Masson, Rim and Lee, 2019), without its merging and collapsing.
"""

from __future__ import annotations

from collections import Counter
from math import ceil, exp, log

ACCURACY = 0.01
_STEP = log((1 + ACCURACY) / (1 - ACCURACY))
_SHORTEST = 1e-9


class Histogram:
    """
    Durations, counted.

    :ivar count: durations so far
    :ivar longest: the longest of them, in seconds
    """

    __slots__ = ("_buckets", "count", "longest")

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0
        self.longest = 0.0

    def add(self, duration: float) -> None:
        """
        Count a duration.

        :param duration: in seconds; less than a nanosecond counts as a nanosecond
        """
        self._buckets[ceil(log(max(duration, _SHORTEST)) / _STEP)] += 1
        self.count += 1
        self.longest = max(self.longest, duration)

    def quantile(self, fraction: float) -> float:
        """
        Return a duration that this fraction of them do not exceed, in seconds; 0 if there are none.

        :param fraction: 0 to 1
        """
        buckets = sorted(dict(self._buckets).items())  # a copy: another thread may ask
        rank = fraction * (sum(count for _, count in buckets) - 1)
        below = 0
        for bucket, count in buckets:
            below += count
            if below > rank:
                # The value whose distance to both bounds is the same fraction of each.
                return min(exp(bucket * _STEP) * (1 - ACCURACY), self.longest)
        return self.longest
