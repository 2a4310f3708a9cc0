"""Faults in what becomes of an error."""

from __future__ import annotations

from ..fault import Fault

FAULTS = [
    Fault(
        "the last failure wins",
        "_engine/run.py",
        "        if self.failure is None or (ordinary and not isinstance(error, Exception)):\n",
        "        if True:\n",
        ("test_errors.py::test_three_failures_in_one_tick_give_one_bare_error",),
    ),
    Fault(
        "a failure after the end is lost",
        "_engine/run.py",
        "        if self.failure is None or (ordinary and not isinstance(error, Exception)):\n",
        "        if self.failure is None and not self.stopping:\n",
        ("test_errors.py::test_a_failing_cleanup_of_a_source_is_raised",),
    ),
    Fault(
        "a failing call is swallowed",
        "_engine/single_stage.py",
        '                error = examine(error, f"task {self.name!r}", self.run)\n'
        "                await self.give_up(slot, CallFailed(error, 1))\n",
        '                examine(error, f"task {self.name!r}", self.run)\n'
        "                self.discard(slot)\n"
        "                self.retire()\n",
        ("test_errors.py::test_the_very_exception_arrives",),
    ),
    Fault(
        "a failing call that options surround is swallowed",
        "_engine/stage.py",
        "        await self.run.routing.route(self, slot, failed, self.items_in(slot))\n",
        "",
        ("test_errors.py::test_the_very_exception_arrives",),
    ),
    Fault(
        "a failing source ends the results in silence",
        "_engine/source.py",
        """\
            error = examine(error, "the source", run)
            fail = run.fail if run.winding_down is None else run.winding_down.fail_after_all
            fail(error, f"raised by the source after {self.pulled} item(s)")
""",
        """\
            examine(error, "the source", run)
            self.chain.close()
""",
        ("test_errors.py::test_a_source_that_fails_at_any_index",),
    ),
    Fault(
        "a failure is raised again and again",
        "_engine/run.py",
        """\
        if self.failure is not None and not self._failure_seen:
            self._failure_seen = True
            raise self.failure
        if self.failure is not None:
""",
        """\
        if self.failure is not None:
            raise self.failure
        if self.failure is not None:
""",
        ("test_shutdown.py::test_a_failure_is_raised_once",),
    ),
    Fault(
        "an item's value stands in the note on its error",
        "_engine/routing.py",
        "stage.origin(item[1], failed.attempts",
        "stage.origin(item[0], failed.attempts",
        ("test_errors.py::test_the_note_names_task_index_and_attempts",),
    ),
    Fault(
        "StopIteration and its like pass through",
        "_engine/failures.py",
        "    elif isinstance(error, (StopIteration, StopAsyncIteration, GeneratorExit)):\n",
        "    elif isinstance(error, ()):\n",
        ("test_errors.py::test_the_end_of_an_iteration_becomes_a_runtime_error",),
    ),
    Fault(
        "a cancellation that leaked out of somewhere is passed on",
        "_engine/failures.py",
        "        if requested:\n            raise error\n",
        "        if True:\n            raise error\n",
        ("test_errors.py::test_a_leaked_cancellation_is_an_error",),
    ),
    Fault(
        "a cancellation is an error that can be retried",
        "_engine/failures.py",
        "        if requested:\n            raise error\n",
        "",
        (
            "test_calls.py::test_cancellation_is_not_retried",
            "test_cancellation.py::test_wait_for_around_an_awaited_call",
        ),
    ),
    Fault(
        "the ledger is not checked",
        "_engine/run.py",
        "        if self.is_completed and self.failure is None:\n",
        "        if False:\n",
        ("test_ledger.py::test_the_ledger_finds_one_wrong_item",),
    ),
    Fault(
        "the ledger looks at no stage",
        "_engine/ledger.py",
        "        if received != expected:\n",
        "        if False:\n",
        ("test_ledger.py::test_the_ledger_finds_one_wrong_item",),
    ),
    Fault(
        "a call that is cancelled together with its run has failed",
        "_engine/run.py",
        " or bool(self.host.is_cancelled(self._task))\n",
        "\n",
        ("test_cancellation.py::test_a_call_cancelled_together_with_its_run_has_not_failed",),
    ),
]
