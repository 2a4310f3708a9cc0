"""Faults in leaving a service alone that fails all the time."""

from __future__ import annotations

from ..fault import Fault

CIRCUIT = "_engine/circuit.py"
BREAKING = "_engine/breaking.py"

TESTS = "test_circuit_breaker.py"

FAULTS = [
    Fault(
        "an item is refused once the run has stopped",
        "_engine/call.py",
        "            self._check_wanted(expansion)\n            raise passage.refusal\n",
        "            raise passage.refusal\n",
        (f"{TESTS}::test_nobody_is_asked_about_a_refusal_once_the_run_has_stopped",),
    ),
    Fault(
        "a success does not begin the count of failures anew",
        CIRCUIT,
        "            return False\n        self._failures = 0\n        if self._is_closed:\n",
        "            return False\n        if self._is_closed:\n",
        (
            "test_circuit.py::test_failures_in_a_row_open_it",
            "test_circuit_breaker.py::test_failures_in_a_row_open_it",
        ),
    ),
    Fault(
        "several trials at a time",
        CIRCUIT,
        "            self._on_trial = True\n",
        "",
        (
            "test_circuit.py::test_it_half_opens_by_the_time_alone",
            "test_circuit_breaker.py::test_a_trial_closes_it_again",
        ),
        simulated=True,
    ),
    Fault(
        "stragglers of an outage count",
        CIRCUIT,
        "        self._on_trial = False\n        self._period += 1\n",
        "        self._on_trial = False\n",
        (
            "test_circuit.py::test_stragglers_tell_nothing",
            "test_circuit_breaker.py::test_stragglers_of_the_outage_tell_nothing",
        ),
    ),
    Fault(
        "a trial that tells nothing keeps its place",
        CIRCUIT,
        "        if number != self._period or not self._on_trial:\n",
        "        if True:\n",
        ("test_circuit_breaker.py::test_a_cancelled_trial_gives_its_place_to_the_next",),
    ),
    Fault(
        "those who wait are not told how the trial has ended",
        "circuit_breaker.py",
        "            self._changed.set()\n",
        "            pass\n",
        ("test_circuit_breaker.py::test_calls_wait_for_the_trial",),
        simulated=True,
    ),
    Fault(
        "a circuit goes by the clock of an event loop that has ended",
        "circuit_breaker.py",
        "                self._circuit.change_clock(self._seen, now)\n",
        "                pass\n",
        ("test_circuit_breaker.py::test_a_circuit_goes_on_on_another_event_loop",),
    ),
    Fault(
        "two event loops use a circuit at once",
        "circuit_breaker.py",
        "            if self._waiting or self._circuit.on_trial:\n",
        "            if False:\n",
        ("test_circuit_breaker.py::test_two_loops_at_once_are_refused",),
    ),
    Fault(
        "RetryAfter counts as a failure",
        "circuit_breaker.py",
        "            return is_one_of(error, counts, unless_named=RetryAfter)\n",
        "            return isinstance(error, counts)\n",
        ("test_circuit_breaker.py::test_only_errors_that_count_open_it",),
    ),
    Fault(
        "an open circuit is worth a retry",
        "error_handling.py",
        "            return is_one_of(error, retry_on, unless_named=CircuitOpenError)\n",
        "            return isinstance(error, retry_on)\n",
        ("test_circuit_breaker.py::test_a_refusal_is_not_retried",),
    ),
    Fault(
        "calls come to the breaker in any order",
        BREAKING,
        "        async with self._order:\n",
        "        async with Lock():\n",
        ("test_circuit_breaker.py::test_who_waits_begins_in_order",),
        simulated=True,
    ),
    Fault(
        "a share is held behind those who wait for the breaker",
        BREAKING,
        "        if self._order.locked():\n            pacing.end()\n",
        "",
        ("test_circuit_breaker.py::test_who_waits_holds_no_share",),
    ),
    Fault(
        "a share is kept by a refusal",
        BREAKING,
        "            except _Refused:\n                pacing.end()\n",
        "            except _Refused:\n",
        ("test_circuit_breaker.py::test_a_share_is_given_back_by_a_refusal",),
    ),
    Fault(
        "a circuit that opens while a call waits for the rate does not stop it",
        BREAKING,
        "                await super().wait(item, pacing)\n",
        "                self._is_paused()\n"
        "                paused, self._is_paused = self._is_paused, super()._is_paused\n"
        "                await super().wait(item, pacing)\n"
        "                self._is_paused = paused\n",
        ("test_circuit_breaker.py::test_a_refusal_takes_nothing",),
    ),
    Fault(
        "a generator that waits for room stays the trial",
        "_engine/pacing.py",
        "            self.passage.leave()\n",
        "            pass\n",
        ("test_circuit_breaker.py::test_a_generator_that_waits_for_room_is_no_trial_any_more",),
    ),
    Fault(
        "a cancelled trial keeps its place",
        "_engine/call.py",
        "            finally:\n                passage.leave()\n",
        "            finally:\n                pass\n",
        (
            "test_circuit_breaker.py::test_a_cancelled_trial_gives_its_place_to_the_next",
            "test_circuit_breaker.py::test_a_trial_that_tells_nothing_gives_its_place_to_the_next",
        ),
    ),
    Fault(
        "an attempt that the deadline cuts off tells nothing",
        "_engine/call.py",
        "            error = TimeoutError()\n",
        "            pass\n",
        ("test_circuit_breaker.py::test_timeouts_count",),
    ),
    Fault(
        "a broken predicate of a breaker is taken for a failure of the item",
        "_engine/call.py",
        "            except CallFailed:\n                raise\n",
        "",
        ("test_circuit_breaker.py::test_a_predicate_that_raises_fails_the_run",),
    ),
]
