"""Faults in iterators of other threads."""

from __future__ import annotations

from ..fault import Fault

FAULTS = [
    Fault(
        "items wait for one that blocks their thread",
        "_engine/pulling.py",
        "            if self._is_awaited:\n                self._is_awaited = False\n",
        "            if False:\n                self._is_awaited = False\n",
        ("test_from_thread.py::test_items_before_one_that_blocks_are_not_held_up",),
    ),
    Fault(
        "a blocking iterator is closed without waiting for its thread",
        "_engine/pulling.py",
        "            await outlast(self._closed)\n",
        "            pass\n",
        ("test_from_thread.py::test_a_run_waits_for_a_blocked_thread_and_closes_the_iterator",),
    ),
    Fault(
        "a blocking iterator is closed in the thread of the event loop",
        "_engine/pulling.py",
        " and not isinstance(opened, Generator):\n                self._end()  # there is",
        ":\n                opened.close() if isinstance(opened, Generator) else None\n"
        "                self._end()  # there is",
        ("test_from_thread.py::test_a_generator_is_closed_in_a_thread",),
    ),
    Fault(
        "an abandoned thread is waited for",
        "_engine/pulling.py",
        "        if self._abandon_on_cancel and self._visit is not None:\n",
        "        if False:\n",
        ("test_from_thread.py::test_an_abandoned_thread_closes_the_iterator",),
    ),
    Fault(
        "a stop in the last moment of a visit is not seen",
        "_engine/pulling.py",
        "                goes_on = self.stopped and not self._ended",
        "                goes_on = False",
        ("test_from_thread.py::test_a_stop_in_the_last_moment_of_a_visit_is_seen",),
    ),
    Fault(
        "a visit that no thread has begun is waited for",
        "_engine/pulling.py",
        "            if self._visit is visit and not self._is_inside:\n",
        "            if False:\n",
        ("test_from_thread.py::test_a_natively_cancelled_visit_leaves_nobody_waiting",),
    ),
    Fault(
        "two threads visit an iterator at once",
        "_engine/pulling.py",
        "            if self._visit is not None or self._ended:\n                return\n"
        "            self._visit = visit = object()\n        assert",
        "            if self._ended:\n                return\n"
        "            self._visit = visit = object()\n        assert",
        (
            "test_from_thread.py::test_a_wait_that_is_cancelled_loses_nothing",
            "test_from_thread.py::test_a_run_waits_for_a_blocked_thread_and_closes_the_iterator",
        ),
    ),
    Fault(
        "the bursts of a slow iterator do not shrink",
        "_engine/pulling.py",
        " else max(1, self._burst // 2)\n",
        " else self._burst\n",
        ("test_from_thread.py::test_the_burst_after_a_slow_item_is_shorter",),
    ),
    Fault(
        "a thread pulls its whole burst however long that takes",
        "_engine/pulling.py",
        "        while left and is_brief and not self.stopped:\n",
        "        while left and not self.stopped:\n",
        ("test_from_thread.py::test_a_slow_iterator_is_asked_for_one_item_at_a_time",),
    ),
    Fault(
        "the read-ahead of a thread has no bound",
        "_engine/pulling.py",
        "min(2 * self._burst, self._most)",
        "2 * self._burst",
        ("test_from_thread.py::test_the_read_ahead_is_bounded",),
    ),
    Fault(
        "each visit has variables of its own",
        "_engine/pulling.py",
        "        if self._context is None:\n",
        "        if True:\n",
        ("test_from_thread.py::test_the_iterator_sees_the_callers_variables",),
    ),
    Fault(
        "a blocking iterator that raises StopAsyncIteration ends in silence",
        "_engine/pulling.py",
        "            if isinstance(error, (StopIteration, StopAsyncIteration, GeneratorExit)):\n",
        "            if isinstance(error, StopIteration):\n",
        ("test_from_thread.py::test_an_error_does_not_end_the_iteration_in_silence",),
    ),
    Fault(
        "a dropped blocking iterator stays open",
        "threads.py",
        "            self._pulling.abandon()\n",
        "            pass\n",
        ("test_from_thread.py::test_a_dropped_iteration_is_closed_in_a_thread",),
    ),
    Fault(
        "a blocking iterator is iterated twice",
        "threads.py",
        "            self._iterable = None\n        iteration",
        "            pass\n        iteration",
        ("test_from_thread.py::test_an_iterator_is_iterated_once",),
    ),
]
