"""
Circuit breakers: leave a service alone that fails all the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from anyio import CancelScope, current_time

from ._checks import check_selection, checked_answer
from ._engine.circuit import Circuit
from ._engine.host import Event, Host, current_host
from .error_handling import RetryAfter, is_one_of

__all__ = ["CircuitBreaker", "CircuitState"]

CircuitState: TypeAlias = Literal["closed", "open", "half_open"]
"""What a circuit breaker does with calls: it lets them begin, or not, or one at a time."""


@dataclass(frozen=True, eq=False)
class CircuitBreaker:
    """
    Lets no call begin for a while after so many failures in a row.

    *Closed*, at first, it counts attempts that fail, and begins anew with each that succeeds. With
    *failures* in a row it *opens*: no call begins for *reset_after* seconds. Then it *half-opens*:
    one call is let through as a trial, which closes it if it succeeds, and opens it again if it
    fails. A trial that is cancelled, or fails with an error that does not count, gives its place to
    the next call.

    One object is one circuit, whoever uses it: all tasks with ``circuit_breaker=`` this object
    share it, over all their runs. It can be used on several event loops one after the other, not on
    two at once; its clock is theirs.

    :param failures: in a row, at least 1
    :param reset_after: seconds, more than 0
    :param when_open: ``"fail"`` to fail items at once with :exc:`.CircuitOpenError`, ``"wait"`` to
        hold them back until calls may begin
    :param counts: which errors are failures: exception type, tuple of types, or predicate; others
        neither count nor begin anew. :exc:`.RetryAfter` is none unless it is named itself
    :raises TypeError: if a value is of the wrong type
    :raises ValueError: if a value is out of its range

    Source: Michael T. Nygard, *Release It!*; see ``_engine/circuit.py``.
    """

    failures: int = 5
    reset_after: float = 30.0
    when_open: Literal["fail", "wait"] = "fail"
    counts: type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool] = Exception
    _gate: Gate = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check_failures(self.failures)
        _check_seconds(self.reset_after)
        if self.when_open not in ("fail", "wait"):
            raise ValueError(
                f"CircuitBreaker: when_open must be 'fail' or 'wait', got {self.when_open!r}"
            )
        check_selection("CircuitBreaker: counts", self.counts)
        object.__setattr__(self, "_gate", Gate(Circuit(self.failures, self.reset_after)))

    @property
    def state(self) -> CircuitState:
        """
        ``"closed"``, ``"open"`` or ``"half_open"``.

        Where there is no clock, outside of its event loop, it stays open until the next call.
        """
        return self._gate.state

    @property
    def gate(self) -> Gate:
        """What the calls of tasks have to pass."""
        return self._gate

    def is_failure(self, error: Exception) -> bool:
        """
        Tell whether *error* counts.

        :param error: what an attempt raised
        """
        counts: Any = self.counts
        if isinstance(self.counts, (type, tuple)):
            return is_one_of(error, counts, unless_named=RetryAfter)
        return bool(checked_answer("CircuitBreaker: counts", counts(error)))


class Gate:
    """
    The circuit and those who wait for it.

    :param circuit: the states
    """

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit
        self._seen = 0.0
        self._host: Host | None = None
        self._waiting = 0
        self._changed: Event | None = None

    @property
    def state(self) -> CircuitState:
        """The present state, as far as there is a clock."""
        is_here = self._host is not None and self._host.is_current()
        return self._circuit.state(current_time() if is_here else -math.inf)

    def is_open(self) -> bool:
        """Tell whether no call may begin now: it is open, or a trial is under way."""
        self._move_in()
        return not self._circuit.may_begin(self._seen)

    def seconds_left(self, reset_after: float) -> float:
        """
        Return how long no call may begin, as far as anybody knows.

        :param reset_after: what it is if the trial that is under way fails at once
        """
        return reset_after if self._circuit.on_trial else self._circuit.changes_at - self._seen

    async def wait(self) -> None:
        """Wait until it may be worth asking again, if no call may begin now."""
        if not self.is_open():
            return
        self._waiting += 1
        try:
            if self._changed is None:
                assert self._host is not None
                self._changed = self._host.new_event()
            with CancelScope(deadline=self._circuit.changes_at):
                await self._changed.wait()
        finally:
            self._waiting -= 1

    def begin(self) -> int:
        """Let a call begin, right after :meth:`is_open` has said no; return its number."""
        return self._circuit.begin()

    def succeed(self, number: int) -> None:
        """
        Learn that a call has succeeded.

        :param number: of the call
        """
        if self._circuit.succeed(number):
            self._wake()

    def fail(self, number: int) -> None:
        """
        Learn that a call has failed.

        :param number: of the call
        """
        self._move_in()
        if self._circuit.fail(number, self._seen):
            self._wake()

    def leave(self, number: int) -> None:
        """
        Learn that a call has ended without telling anything; idempotent.

        :param number: of the call
        """
        if self._circuit.leave(number):
            self._wake()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def _move_in(self) -> None:
        """Make this event loop the one that it is used on; each has a clock of its own."""
        now = current_time()
        if self._host is None or not self._host.is_current():
            if self._waiting or self._circuit.on_trial:
                raise RuntimeError(
                    "this CircuitBreaker is being used on another event loop; "
                    "use it on one at a time, or make one CircuitBreaker for each"
                )
            if self._host is not None:
                self._circuit.change_clock(self._seen, now)
            self._host = current_host()
            self._changed = None
        self._seen = now


def _check_failures(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"CircuitBreaker: failures must be an int, got {value!r}")
    if value < 1:
        raise ValueError(f"CircuitBreaker: failures must be at least 1, got {value!r}")


def _check_seconds(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"CircuitBreaker: reset_after must be a number, got {value!r}")
    if not 0 < value < math.inf:
        raise ValueError(
            f"CircuitBreaker: reset_after must be more than 0 and finite, got {value!r}"
        )
