"""Faults in ending a run in an orderly way."""

from __future__ import annotations

from ..fault import Fault

FAULTS = [
    Fault(
        "a drain leaves a source where it blocks",
        "_engine/source.py",
        "            self._scope.cancel()\n",
        "            pass\n",
        ("test_drain.py::test_a_blocked_source_is_cancelled",),
        simulated=True,
    ),
    Fault(
        "a drain leaves a source waiting for room",
        "_engine/source.py",
        "        self._run.window.wake_source()\n",
        "        pass\n",
        ("test_drain.py::test_a_waiting_source_is_closed_uncancelled",),
    ),
    Fault(
        "a drain cancels the cleanup of a source that waits",
        "_engine/source.py",
        "        with CancelScope() as self._scope, CancelScope() as scope:\n",
        "        with CancelScope() as scope:\n            self._scope = scope\n",
        (
            "test_drain.py::test_a_waiting_source_is_closed_uncancelled",
            "test_drain.py::test_an_item_that_comes_all_the_same_is_the_last",
        ),
    ),
    Fault(
        "a drain cancels what is in flight",
        "_engine/draining.py",
        "        run.source.drain()\n",
        "        run.stop()\n",
        ("test_drain.py::test_what_is_in_flight_comes_out",),
        simulated=True,
    ),
    Fault(
        "a drained run goes on pulling",
        "_engine/draining.py",
        "        run.source.drain()\n",
        "        pass\n",
        ("test_drain.py::test_what_is_in_flight_comes_out",),
    ),
    Fault(
        "an earlier timeout of a later drain is ignored",
        "_engine/draining.py",
        "        if timeout is not None and current_time() + timeout < self._deadline:\n",
        "        if timeout is not None and self._deadline == inf:\n",
        ("test_drain.py::test_the_earliest_timeout_holds",),
    ),
    Fault(
        "the timeout of a drain takes away what is ready",
        "_engine/draining.py",
        "        if not self._run.handoff.is_settled:\n",
        "        if True:\n",
        ("test_drain.py::test_a_slow_consumer_loses_nothing",),
    ),
    Fault(
        "a drain before the start is forgotten",
        "stream.py",
        "        self._is_drained = True\n",
        "        self._is_drained = False\n",
        ("test_drain.py::test_a_stream_that_is_drained_before_it_starts_is_empty",),
    ),
]
