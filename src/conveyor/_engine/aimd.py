"""
How many calls may be in flight, found by trying: additive increase, multiplicative decrease.

Pure: no clock, no awaiting; latencies are passed in.

The idea. Nobody knows what a service can take, and it changes. What is known is when it was too
much: calls are refused, or take longer because they queue up over there. So the limit creeps up as
long as all goes well and drops when it does not. Going up by steps and down by factors is what lets
several clients of one service, who know nothing of each other, come to use it in equal shares.

The rules.

1. *Up:* after a round, which is as many good calls as the limit allows at once, it rises by one;
   but only if it was reached in that round. A limit that nobody needs says nothing about the
   service.
2. *Down:* a call that was throttled, or calls that were slow, multiply it by the backoff (rounded
   down, so it falls by one at least) and begin a new *era*.
3. Calls of an earlier era change nothing any more. They were in flight when the limit fell, and
   tell about the load before; without this rule, one moment of too much would count once per call.
4. *Slow* are calls, as many in a row as the limit allows at once and ten at least, that take
   longer on average than ``tolerance`` times the baseline: the least average that there has been.
   Single calls differ in what they ask for, and one of many is slow at any time. Below a
   millisecond differences are the event loop's own, so the baseline is never taken for less.
5. Slow calls while the limit is at its least: that much load is declared to be no overload, so the
   service has become slower by itself, and what these calls took is the new baseline.

The backoff is 0.75 by default. TCP halves, since it has to drain the queue of a router that it has
just filled; clients for services often take 0.9. The limit exceeds what the service takes by one or
two when an error says so, and a service in trouble is to be left alone in a few round trips: eight
from 100 to 10. At 0.75 an error limit is used to seven eighths on average.

Rejected: a moving average as the baseline. It follows a queue that grows slowly, until the overload
is what is usual. Rejected, too: the least latency of the last so many calls. Between two decreases
the service is never idle, so the true latency would be forgotten, and the limit rise from one to
the next. And the latency of single calls against the least of all: where they vary by more than the
tolerance without any load, the limit falls to its least and stays there.

Source: D.-M. Chiu and R. Jain, "Analysis of the Increase and Decrease Algorithms for Congestion
Avoidance in Computer Networks", 1989; V. Jacobson, "Congestion Avoidance and Control", 1988.
Netflix's ``concurrency-limits`` has brought it from packets to calls.
"""

from __future__ import annotations

import math

QUICKEST = 0.001
"""Seconds; a baseline below this would measure the event loop instead of the service."""

SAMPLE = 10
"""Calls at least whose average latency says something."""


class Aimd:
    """
    The state of one limit.

    :param initial: the limit at first
    :param least: it never falls below
    :param most: it never rises above
    :param tolerance: how many times the baseline a call may take; ``None`` for any time
    :param backoff: factor of a decrease
    :ivar limit: calls that may be in flight
    :ivar in_flight: calls that are
    """

    def __init__(
        self, initial: int, least: int, most: int, tolerance: float | None, backoff: float
    ) -> None:
        self.limit = initial
        self.in_flight = 0
        self._least = least
        self._most = most
        self._tolerance = math.inf if tolerance is None else tolerance
        self._backoff = backoff
        self._era = 0
        self._good = 0
        self._is_reached = False
        self._baseline = math.inf
        self._measured = 0
        self._total = 0.0

    def begin(self) -> int:
        """
        Count a call that begins, or goes on after a pause.

        :return: the era in which it begins
        """
        self.in_flight += 1
        if self.in_flight >= self.limit:
            self._is_reached = True
        return self._era

    def end(self) -> None:
        """Count a call that ends, however it does, or pauses."""
        self.in_flight -= 1

    def succeed(self, era: int, latency: float) -> None:
        """
        Learn from a call that has succeeded.

        :param era: in which it began
        :param latency: seconds that it took
        """
        if era != self._era:
            return
        self._measured += 1
        self._total += latency
        if self._measured >= max(SAMPLE, self.limit) and self._is_slow():
            self._decrease()
            return
        self._good += 1
        if self._good >= self.limit:
            if self._is_reached and self.limit < self._most:
                self.limit += 1
            self._begin_round()

    def throttle(self, era: int) -> None:
        """
        Learn from a call that was throttled.

        :param era: in which it began
        """
        if era == self._era:
            self._decrease()

    def _is_slow(self) -> bool:
        """Compare what the calls took that were measured last with what they used to take."""
        average = self._total / self._measured
        is_slow = average > self._tolerance * max(self._baseline, QUICKEST)
        if not is_slow or self.limit == self._least:
            self._baseline = average if is_slow else min(self._baseline, average)
        self._measured = 0
        self._total = 0.0
        return is_slow

    def _decrease(self) -> None:
        self.limit = max(self._least, int(self.limit * self._backoff))
        self._era += 1
        self._measured = 0
        self._total = 0.0
        self._begin_round()

    def _begin_round(self) -> None:
        self._good = 0
        self._is_reached = False
