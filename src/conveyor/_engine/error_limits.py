"""
How many errors are too many.

Pure: no clock, no awaiting.
"""

from __future__ import annotations


class ErrorLimits:
    """
    Bounds on the number of items that fail for good.

    :param most: items that may fail, at least 0; ``None`` for any number
    :param rate: fraction of the items that came in that may fail, from 0 to less than 1; ``None``
        for any
    :param sample: items that have to have come in before the rate is looked at
    """

    __slots__ = ("_most", "_rate", "_sample")

    def __init__(self, most: int | None, rate: float | None, sample: int) -> None:
        self._most = most
        self._rate = rate
        self._sample = sample

    @property
    def are_set(self) -> bool:
        """Whether there is any bound."""
        return self._most is not None or self._rate is not None

    def exceeded(self, failed: int, items: int) -> str | None:
        """
        Tell which bound is exceeded, naming the counts; ``None`` if none is.

        :param failed: items that have failed
        :param items: items that came in
        """
        things = f"{items} item{'' if items == 1 else 's'}"
        # More than came in, if one item becomes many, and these fail.
        form = "{} of {} failed" if failed <= items else "{} failures of {}"
        counts = form.format(failed, things)
        if self._most is not None and failed > self._most:
            return f"{counts}, more than max_errors={self._most}"
        if self._rate is not None and items >= self._sample and failed > self._rate * items:
            return f"{counts}, more than max_error_rate={self._rate:g}"
        return None
