"""Faults in limits that are found by trying."""

from __future__ import annotations

from ..fault import Fault

FAULTS = [
    Fault(
        "a limit rises that is not reached",
        "_engine/aimd.py",
        "            if self._is_reached and self.limit < self._most:\n",
        "            if self.limit < self._most:\n",
        (
            "test_aimd.py::test_a_limit_that_is_not_reached_does_not_rise",
            "test_adaptive.py::test_it_does_not_rise_while_it_is_not_reached",
        ),
    ),
    Fault(
        "every call in flight lowers the limit once more",
        "_engine/aimd.py",
        "        if era == self._era:\n            self._decrease()\n",
        "        self._decrease()\n",
        ("test_aimd.py::test_calls_in_flight_when_the_limit_fell_lower_it_no_further",),
    ),
    Fault(
        "a service that has become slower stays at the least limit for ever",
        "_engine/aimd.py",
        "        if not is_slow or self.limit == self._least:\n",
        "        if not is_slow:\n",
        ("test_aimd.py::test_what_is_slow_at_the_least_limit_is_what_calls_take",),
    ),
    Fault(
        "one slow call lowers the limit",
        "_engine/aimd.py",
        "SAMPLE = 10\n",
        "SAMPLE = 1\n",
        ("test_aimd.py::test_one_slow_call_of_ten_says_nothing",),
    ),
    Fault(
        "what calls took before a decrease counts after it",
        "_engine/aimd.py",
        "        self._era += 1\n        self._measured = 0\n        self._total = 0.0\n",
        "        self._era += 1\n",
        ("test_aimd.py::test_a_decrease_begins_a_new_average",),
    ),
    Fault(
        "a share that came too late for its call is lost",
        "_engine/adaptive_limit.py",
        "                self._give_back()  # it came together with what ends the wait\n",
        "                pass\n",
        ("test_adaptive.py::test_a_share_that_comes_with_the_end_of_the_wait_is_given_back",),
    ),
    Fault(
        "a share is lost if there is none of the run's",
        "_engine/adaptive_limit.py",
        "await self._outer.acquire()\n                except BaseException:\n",
        "await self._outer.acquire()\n                except ZeroDivisionError:\n",
        ("test_adaptive.py::test_a_share_of_one_limit_is_not_kept_without_that_of_the_other",),
    ),
    Fault(
        "a share is good for ever, although the limit has fallen",
        "_engine/adaptive_limit.py",
        "            if self._held <= self.limit:\n",
        "            if True:\n",
        ("test_adaptive.py::test_a_share_is_no_longer_good_when_the_limit_has_fallen",),
    ),
    Fault(
        "a limit that has risen lets one more go on, not two",
        "_engine/adaptive_limit.py",
        "        while self._line and self._held < self.limit:\n",
        "        if self._line and self._held < self.limit:\n",
        ("test_adaptive.py::test_it_rises_by_one_per_round",),
    ),
    Fault(
        "a limit that has fallen lets calls begin",
        "_engine/adaptive_limit.py",
        "        while self._line and self._held < self.limit:\n",
        "        if self._line:\n",
        ("test_adaptive.py::test_when_it_falls_calls_in_flight_go_on_and_none_begin",),
        simulated=True,
    ),
    Fault(
        "a generator that waits for room is in flight all the same",
        "_engine/pacing.py",
        "            self.meter.stop()\n",
        "            pass\n",
        ("test_adaptive.py::test_a_generator_that_waits_for_room_is_not_in_flight",),
    ),
    Fault(
        "a timeout does not throttle",
        "_engine/adaptive_limit.py",
        "TimeoutError() if pacing.scope.cancel_called else error\n",
        "error\n",
        ("test_adaptive.py::test_by_default_timeouts_and_retry_after_throttle",),
    ),
    Fault(
        "a stage with a limit to be found calls plainly",
        "task_options.py",
        "            and isinstance(self.concurrency_limit, int | None)\n",
        "",
        ("test_adaptive.py::test_it_is_an_option_about_calls",),
    ),
]
