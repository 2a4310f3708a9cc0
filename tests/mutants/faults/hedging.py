"""Faults in calls with a second attempt."""

from __future__ import annotations

from ..fault import Fault

FAULTS = [
    Fault(
        "the loser of two attempts is not cancelled",
        "_engine/hedging.py",
        "            other.scope.cancel()\n",
        "",
        ("test_hedging.py::test_the_second_attempt_wins", "test_hedging_simulation.py"),
    ),
    Fault(
        "a second attempt begins although the first has failed",
        "_engine/hedging.py",
        "                if not self._second.has_begun:\n",
        "                if self._winner is not None:\n",
        ("test_hedging.py::test_a_first_attempt_that_fails_early_has_no_second",),
    ),
    Fault(
        "a second attempt begins although the first is just back",
        "_engine/hedging.py",
        "        if self._second.scope.cancel_called:\n",
        "        if False:\n",
        ("test_hedging.py::test_a_second_attempt_that_waits_gives_up_when_the_first_is_back",),
    ),
    Fault(
        "a second attempt that gives up keeps its share",
        "_engine/hedging.py",
        "            pacing.withdraw()\n",
        "",
        ("test_hedging.py::test_a_second_attempt_that_waits_gives_up_when_the_first_is_back",),
    ),
    Fault(
        "a second attempt that gives up stays the trial of its circuit",
        "_engine/hedging.py",
        "            pacing.withdraw()\n",
        "            pacing.end()\n",
        ("test_hedging.py::test_a_second_attempt_that_gives_up_is_no_trial",),
    ),
    Fault(
        "a deadline takes a result back while the other attempt cleans up",
        "_engine/hedging.py",
        "            self._group.cancel_scope.shield = True\n",
        "",
        ("test_hedging.py::test_a_deadline_takes_no_result_back",),
    ),
    Fault(
        "of two errors the second counts",
        "_engine/hedging.py",
        "        raise self._first.error\n",
        "        raise self._second.error or self._first.error\n",
        ("test_hedging.py::test_if_both_fail_the_error_of_the_first_counts",),
    ),
    Fault(
        "an interrupt in one of two attempts is made up for by the other",
        "_engine/hedging.py",
        "            if each.error is not None and each.is_fatal:\n",
        "            if each.error is not None and self._winner is None and each.is_fatal:\n",
        ("test_hedging.py::test_an_interrupt_in_the_cleanup_of_the_loser_is_raised",),
    ),
    Fault(
        "a cancellation that leaks out of a second attempt cancels the first",
        "_engine/hedging.py",
        "                if is_scope_cancelled():\n",
        "                if True:\n",
        ("test_hedging.py::test_a_second_attempt_that_is_cancelled_natively_has_failed",),
    ),
    Fault(
        "a second attempt waits for no token and no share",
        "_engine/call.py",
        "            await self._admit(item, other, beside)\n            await hedge",
        "            await hedge",
        (
            "test_hedging.py::test_the_second_attempt_needs_a_token",
            "test_hedging.py::test_a_second_attempt_has_a_share_of_the_parallelism",
        ),
    ),
]
