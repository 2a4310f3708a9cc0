"""
When calls may begin under a circuit breaker: its states.

Pure: no clock, no awaiting; times are passed in.

=========  ==============================  =====================================================
state      what happens                    what becomes of it
=========  ==============================  =====================================================
closed     a call succeeds                 the count of failures begins anew
closed     a call fails                    it counts; if that is enough in a row: open
open       its time is up                  half-open
half-open  a call asks to begin            it is the trial; no other begins meanwhile
half-open  the trial succeeds              closed
half-open  the trial fails                 open
half-open  the trial ends without telling  the next call is the trial
=========  ==============================  =====================================================

Each call that begins gets a number, which is that of the period it began in; whenever the state
changes, a new period begins. How a call of an earlier period ends says nothing about the present
one and is ignored, or the stragglers of an outage would open a circuit that has just been closed.

Source: Michael T. Nygard, *Release It!*, 2007; the periods are the generations of Go's
``gobreaker``.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

State: TypeAlias = Literal["closed", "open", "half_open"]


class Circuit:
    """
    The state of one circuit breaker.

    :param failures: in a row, that open it
    :param reset_after: seconds for which it is open
    """

    def __init__(self, failures: int, reset_after: float) -> None:
        self._most = failures
        self._reset_after = reset_after
        self._period = 0
        self._failures = 0
        self._is_closed = True
        self._on_trial = False
        self._open_until = -math.inf

    def state(self, now: float) -> State:
        """
        Return the state.

        :param now: clock reading
        """
        if self._is_closed:
            return "closed"
        return "open" if now < self._open_until else "half_open"

    @property
    def on_trial(self) -> bool:
        """Whether a trial is under way."""
        return self._on_trial

    @property
    def changes_at(self) -> float:
        """Clock reading at which calls may begin by the time alone; infinite during a trial."""
        return math.inf if self._on_trial else self._open_until

    def may_begin(self, now: float) -> bool:
        """
        Tell whether a call may begin.

        :param now: clock reading
        """
        return self._is_closed or (now >= self._open_until and not self._on_trial)

    def begin(self) -> int:
        """Let a call begin, which it may; return its number."""
        if not self._is_closed:
            self._on_trial = True
            self._period += 1
        return self._period

    def succeed(self, number: int) -> bool:
        """
        Learn that a call has succeeded.

        :param number: of the call
        :return: whether calls may begin now that could not before
        """
        if number != self._period:
            return False
        self._failures = 0
        if self._is_closed:
            return False
        self._change(is_closed=True)
        return True

    def fail(self, number: int, now: float) -> bool:
        """
        Learn that a call has failed.

        :param number: of the call
        :param now: clock reading
        :return: whether those who wait have to look at the clock anew
        """
        if number != self._period:
            return False
        if self._is_closed:
            self._failures += 1
            if self._failures < self._most:
                return False
        self._failures = 0
        self._open_until = now + self._reset_after
        self._change(is_closed=False)
        return True

    def leave(self, number: int) -> bool:
        """
        Learn that a call has ended without telling anything; harmless for one that has told.

        :param number: of the call
        :return: whether calls may begin now that could not before
        """
        if number != self._period or not self._on_trial:
            return False
        self._change(is_closed=False)
        return True

    def change_clock(self, before: float, now: float) -> None:
        """
        Go on by another clock, as if no time had passed in between.

        :param before: last reading of the old clock
        :param now: first reading of the new one
        """
        self._open_until += now - before

    def _change(self, is_closed: bool) -> None:
        self._is_closed = is_closed
        self._on_trial = False
        self._period += 1
