"""Faults in how workers and the consumer begin, wait and end."""

from __future__ import annotations

from ..fault import Fault

FAULTS = [
    Fault(
        "who has been summoned as its time came takes that for its time",
        "_engine/workers.py",
        """\
            with CancelScope(deadline=deadline):
                await event.wait()
            if event in self._idle and""",
        """\
            with CancelScope(deadline=deadline) as scope:
                await event.wait()
            if scope.cancelled_caught and""",
        ("test_batches.py::test_a_batch_that_is_full_as_its_time_comes_is_called_once",),
    ),
    Fault(
        "whose time has come is still taken for one that can be woken",
        "_engine/workers.py",
        "                self._idle.remove(event)\n",
        "",
        ("test_batches.py::test_another_free_worker_takes_a_due_batch",),
    ),
    Fault(
        "to wake one whose wait has just been cancelled is an error",
        "_engine/host.py",
        "        if not self._future.done():\n            self._future",
        "        if True:\n            self._future",
        ("test_hazards.py::test_waits_that_are_natively_cancelled_after_some_turns_lose_nothing",),
    ),
    Fault(
        "a worker that retires early is missed by nobody",
        "_engine/queued_stage.py",
        "        super().retire()\n",
        "        self.workers -= 1\n",
        ("test_stage.py::test_no_wake_up_is_lost",),
    ),
    Fault(
        "what a cancelled collect() has read is lost",
        "results.py",
        "                self._handoff.put_back(collected)\n",
        "                pass\n",
        ("test_streams.py::test_what_a_cancelled_collect_has_read_can_be_read",),
    ),
    Fault(
        "what collect() has read is lost if it is cancelled once the run has ended",
        "results.py",
        "            is_end = error is self._run.failure or isinstance(error, StreamClosedError)\n",
        "            is_end = self._run.finished\n",
        ("test_streams.py::test_collect_may_be_cancelled_at_any_moment",),
    ),
    Fault(
        "results that are to be read once more are missing from the ledger",
        "_engine/run.py",
        "self.handoff.taken)",
        "self.handoff.delivered)",
        ("test_streams.py::test_collect_may_be_cancelled_at_any_moment",),
    ),
    Fault(
        "what a failed collect() has read is read after the failure",
        "results.py",
        "            is_end = error is self._run.failure or isinstance(error, StreamClosedError)\n",
        "            is_end = False\n",
        ("test_streams.py::test_what_a_failed_collect_has_read_is_gone",),
    ),
    Fault(
        "collecting results gives no places back",
        "_engine/handoff.py",
        "                rest += taken\n                self.end_lot()\n",
        "                rest += taken\n",
        ("test_streams.py::test_many_more_results_than_the_window_holds",),
    ),
]
