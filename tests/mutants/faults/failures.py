"""Faults in what becomes of an error."""

from __future__ import annotations

from ..fault import Fault

ONCE_FOR_EACH_ATTEMPT = (
    "test_generators.py::test_a_function_that_returns_generators_is_called_once_for_each_attempt"
)

FAULTS = [
    Fault(
        "single items are repeated after a pause that ends behind the deadline",
        "_engine/batch_call.py",
        " if resume_at < pacing.expires_at else set()\n",
        "\n",
        ("test_failed.py::test_a_pause_that_one_item_asks_for_is_not_waited_for_in_vain",),
    ),
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
        "        pacing = call.new_pacing()\n",
        "        if kind is RAISED:\n"
        "            return self.discard(slot)\n"
        "        pacing = call.new_pacing()\n",
        ("test_errors.py::test_the_very_exception_arrives",),
    ),
    Fault(
        "options that count only on failure surround every call",
        "_engine/call.py",
        "        return self.options.begins_plainly and",
        "        return self.options.is_plain and",
        ("test_calls.py::test_options_that_count_only_on_failure_surround_no_call",),
    ),
    Fault(
        "a first attempt that has failed is not counted",
        "_engine/call.py",
        "            progress.calls = 1\n",
        "            pass\n",
        ("test_calls.py::test_attempts_come_after_exact_delays",),
    ),
    Fault(
        "what a call has raised is the context of what its next attempt raises",
        "_engine/single_stage.py",
        "                        result = Raised(error)\n"
        "                    if type(result) is self._usual:\n",
        "                        result = Raised(error)\n"
        "                        await self._settle_first(call, slot, result)\n"
        "                        continue\n"
        "                    if type(result) is self._usual:\n",
        ("test_calls.py::test_attempts_do_not_know_of_one_another",),
    ),
    Fault(
        "a function that returns a generator is called twice",
        "_engine/single_stage.py",
        "        pacing.first = result\n",
        "        pacing.first = result if kind is RAISED else None\n",
        (ONCE_FOR_EACH_ATTEMPT,),
    ),
    Fault(
        "a generator that fails is not made once more",
        "_engine/single_stage.py",
        " and call.options.is_plain:\n",
        ":\n",
        (ONCE_FOR_EACH_ATTEMPT,),
    ),
    Fault(
        "the hot path goes on while the stage pauses",
        "_engine/verdict.py",
        "                self._stage.heed_pauses()\n",
        "                pass\n",
        ("test_retry_after.py::test_the_whole_stage_pauses",),
    ),
    Fault(
        "workers begin on the hot path while the stage pauses",
        "_engine/single_stage.py",
        "            self._plainly = None\n",
        "",
        ("test_retry_after.py",),
    ),
    Fault(
        "workers wait for what is put where they do not look",
        "_engine/single_stage.py",
        "                elif self.is_over or queue is not self.queue:\n",
        "                elif self.is_over:\n",
        ("test_retry_after.py::test_items_that_come_after_a_pause_are_called",),
    ),
    Fault(
        "urgency is forgotten after a pause",
        "_engine/lane_stage.py",
        "        return call.options.is_plain and super().may_begin_plainly(call)\n",
        "        return super().may_begin_plainly(call)\n",
        ("test_priority.py::test_urgency_counts_after_a_pause",),
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
        "        self.raise_unseen()\n        if self.failure is not None:\n",
        "        if self.failure is not None:\n            raise self.failure\n"
        "        if self.failure is not None:\n",
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
        "    if isinstance(error, (StopIteration, StopAsyncIteration, GeneratorExit)):\n",
        "    if isinstance(error, ()):\n",
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
