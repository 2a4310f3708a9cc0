"""
When a call may begin under a rate limit: the generic cell rate algorithm.

Pure: no clock, no awaiting; times are passed in. The whole state is one number, the *theoretical
arrival time*: when the next call would be due if calls came exactly at the rate. A call may begin
before it is due, by what the burst leaves beside its own cost, and puts it off by its cost. So in
any interval of ``t`` seconds calls begin whose costs add up to at most ``burst + t / interval``.

Rejected: a bucket that is filled by a timer (a task, and a wake-up per token), and a window of
recent calls (memory per call, and up to twice the limit around a window's edge).

Source: ITU-T Recommendation I.371, *Traffic control and congestion control in B-ISDN*, 2004.
"""

from __future__ import annotations

import math


class CellRate:
    """
    The state of one rate limit.

    :param interval: seconds per unit of cost
    :param burst: cost that may be spent at once after a long pause
    """

    def __init__(self, interval: float, burst: float) -> None:
        self._interval = interval
        self._burst = burst
        self._due: float = -math.inf

    def ready_at(self, cost: float) -> float:
        """
        Tell when a call may begin if none begins before it.

        :param cost: of the call, at most the burst
        :return: clock reading; it may have passed
        """
        return self._due + (cost - self._burst) * self._interval

    def take(self, cost: float, now: float) -> None:
        """
        Let a call begin.

        :param cost: of the call
        :param now: clock reading, not before :meth:`ready_at`
        """
        self._due = max(self._due, now) + cost * self._interval

    def change_clock(self, before: float, now: float) -> None:
        """
        Go on by another clock, as if no time had passed in between.

        :param before: last reading of the old clock
        :param now: first reading of the new one
        """
        self._due = now + max(self._due - before, 0)
