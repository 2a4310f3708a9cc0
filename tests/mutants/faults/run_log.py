"""Faults in what runs log."""

from __future__ import annotations

from ..fault import Fault

FILE = "observers/run_log.py"
TESTS = "test_run_log.py"

FAULTS = [
    Fault(
        "log: a line comes sooner than a second after the last",
        FILE,
        "        pause.ends_at = now + PAUSE\n",
        "",
        (f"{TESTS}::test_there_is_one_line_in_a_second",),
    ),
    Fault(
        "log: what was left out once is told again",
        FILE,
        "        unsaid, pause.unsaid = pause.unsaid, 0\n",
        "        unsaid = pause.unsaid\n",
        (f"{TESTS}::test_there_is_one_line_in_a_second",),
    ),
    Fault(
        "log: what is left at the end is not told",
        FILE,
        "            if pause.unsaid:\n",
        "            if False:\n",
        (f"{TESTS}::test_there_is_one_line_in_a_second", f"{TESTS}::test_one_more_is_one_more"),
    ),
    Fault(
        "log: one task silences another",
        FILE,
        "        about = (None if stage is None else stage.position, kind)\n",
        "        about = (None, kind)\n",
        (f"{TESTS}::test_runs_tasks_and_kinds_do_not_silence_one_another",),
    ),
    Fault(
        "log: a retry silences what is lost",
        FILE,
        "        about = (None if stage is None else stage.position, kind)\n",
        '        about = (None if stage is None else stage.position, "")\n',
        (f"{TESTS}::test_runs_tasks_and_kinds_do_not_silence_one_another",),
    ),
    Fault(
        "log: batches are counted instead of items",
        FILE,
        "        items = max(1, len(failure.indexes))\n",
        "        items = 1\n",
        (f"{TESTS}::test_lost_items_are_counted_not_batches",),
    ),
    Fault(
        "log: what has been left out is kept after the run",
        FILE,
        "self._runs.pop(run, {}).items()",
        "self._runs.get(run, {}).items()",
        (f"{TESTS}::test_nothing_is_kept_of_runs_that_have_ended",),
    ),
    Fault(
        "log: a failure that the consumer gets is a warning",
        FILE,
        '    "outcome": (INFO, ',
        '    "outcome": (WARNING, ',
        (f"{TESTS}::test_what_is_lost_is_a_warning",),
    ),
    Fault(
        "log: the message of an error is logged",
        FILE,
        """\
            retry.attempt,
            type(retry.error).__name__,
""",
        """\
            retry.attempt,
            str(retry.error),
""",
        (f"{TESTS}::test_a_retry_is_a_warning", f"{TESTS}::test_no_record_holds_an_error"),
    ),
    Fault(
        "log: a record holds the report, with the error in it",
        FILE,
        "                str(report),\n",
        "                report,\n",
        (f"{TESTS}::test_no_record_holds_an_error",),
    ),
    Fault(
        "log: what nobody reads is counted",
        FILE,
        "        if not logger.isEnabledFor(level):\n            return\n",
        "",
        (f"{TESTS}::test_what_nobody_reads_is_not_made",),
    ),
    Fault(
        "log: the begin of a run that nobody observes is not logged",
        "_engine/observation.py",
        "        if self._run.context.observers or logger.isEnabledFor(logging.INFO):\n",
        "        if self.watch is not None:\n",
        (f"{TESTS}::test_every_run_is_logged",),
    ),
    Fault(
        "log: runs log nothing",
        "_engine/events.py",
        "[RunLog(run.host.clock), *run.context.observers]",
        "[*run.context.observers]",
        (f"{TESTS}::test_every_run_is_logged",),
    ),
    Fault(
        "log: every run is made ready for logging",
        "_engine/observation.py",
        "        if self._run.context.observers or logger.isEnabledFor(logging.INFO):\n",
        "        if True:\n",
        (f"{TESTS}::test_a_run_without_anything_to_log_knows_no_log",),
    ),
]
