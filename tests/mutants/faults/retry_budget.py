"""Faults in what retries are paid from."""

from __future__ import annotations

from ..fault import Fault

FAULTS = [
    Fault(
        "a retry takes no token",
        "retry_budget.py",
        "        self._left -= _UNIT\n",
        "",
        ("test_retry_budget.py::test_an_outage_does_not_multiply_the_load",),
        simulated=True,
    ),
    Fault(
        "a part of a token pays for a retry",
        "retry_budget.py",
        "        if self._left < _UNIT:\n",
        "        if self._left <= 0:\n",
        ("test_retry_budget.py::test_successes_make_retries_possible_again",),
    ),
    Fault(
        "tokens are counted in floats",
        "retry_budget.py",
        "_UNIT = 1_000_000\n",
        "_UNIT = 1\nround = float\n",
        ("test_retry_budget.py::test_successes_make_retries_possible_again",),
    ),
    Fault(
        "successes make the bucket overflow",
        "retry_budget.py",
        "min(self._most, self._left + self._reward)\n",
        "self._left + self._reward\n",
        ("test_retry_budget.py::test_the_bucket_does_not_overflow",),
    ),
    Fault(
        "successes put nothing back",
        "_engine/call.py",
        "            self.options.retry_budget.put_back()\n",
        "            pass\n",
        ("test_retry_budget.py::test_each_retry_takes_a_token_and_each_success_puts_some_back",),
    ),
    Fault(
        "a retry that comes too late is paid",
        "_engine/verdict.py",
        "        if pacing.total is not None and current_time() + delay >= pacing.expires_at:\n",
        "        budget = self.options.retry_budget\n"
        "        if budget is not None and not budget.take():\n"
        "            return False\n"
        "        if pacing.total is not None and current_time() + delay >= pacing.expires_at:\n",
        ("test_retry_budget.py::test_a_retry_that_comes_too_late_takes_nothing",),
    ),
    Fault(
        "a repetition that the service asks for is paid",
        "_engine/verdict.py",
        "                progress.delay = None  # it waits with all the others\n",
        "                progress.delay = None\n"
        "                if not self._may_repeat(0, pacing):\n"
        "                    return False\n",
        ("test_retry_budget.py::test_repetitions_that_the_service_asks_for_are_free",),
    ),
    Fault(
        "what on_error asks for is not paid",
        "_engine/verdict.py",
        "        return progress.grant() and self._may_repeat(progress.delay, pacing)\n",
        "        return progress.grant()\n",
        ("test_retry_budget.py::test_on_error_pays_for_what_it_asks",),
    ),
    Fault(
        "a budget without retries is taken",
        "_failure_checks.py",
        "    if options.retry.max_attempts == 1 and not callable(options.on_error):\n",
        "    if False:\n",
        ("test_retry_budget.py::test_a_budget_without_retries_is_refused",),
    ),
]
