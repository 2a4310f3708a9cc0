"""
How large batches should be for their calls to take as long as they should.

A call of *n* items that took *t* seconds suggests *n · target / t* items, as if time went by items
alone. It does not, as a rule: there is an overhead, *t = a + b · n*. But then the suggestion lies
between *n* and the size that takes exactly the target. So

- a call within the target shows a size that is not too large: batches grow to it at least;
- a slower one shows a size that is not too small: batches shrink to it at least;

whatever the size was meanwhile, so calls that overlap and batches that were not full count like all
others. Step by step the suggestions come to the size itself. No step is more than a doubling or a
halving, since a first measurement may be far off.

A suggestion is rounded up when batches grow, or a large overhead would keep them small for ever,
and down when they shrink. So in the end the size may go to and fro by one.

Pure: no clock, no awaiting; times are passed in.

Prior art: Apache Beam's ``BatchElements``, which fits a line to many measurements. Rejected, since
once the size has settled all measurements are at one place, and any line fits.
"""

from __future__ import annotations

from math import ceil, floor

#: A batch grows, or shrinks, by this factor at most.
STEP = 2
#: Decimal places of a suggested size that count; further ones are errors of arithmetic.
EXACT = 6


class BatchSizer:
    """
    Adapt a size to measured times.

    :param target: how long a call should take (seconds), more than 0
    :param most: items at most, at least 1
    :ivar size: items in a full batch at present, at first 1
    """

    __slots__ = ("most", "size", "target")

    def __init__(self, target: float, most: int) -> None:
        self.target = target
        self.most = most
        self.size = 1

    def observe(self, items: int, seconds: float, failed: bool = False) -> None:
        """
        Take a measurement into account.

        :param items: in the batch, at least 1
        :param seconds: that the call took
        :param failed: whether it did; then it says nothing but that it took that long already
        """
        is_slow = seconds > self.target
        if failed and not is_slow:
            return
        factor = STEP if seconds * STEP <= self.target else self.target / seconds
        suggested = round(items * max(factor, 1 / STEP), EXACT)
        if is_slow:
            self.size = min(self.size, max(floor(suggested), 1))
        else:
            self.size = max(self.size, min(ceil(suggested), self.most))
