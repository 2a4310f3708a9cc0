"""
What every run writes into the log ``conveyor``, by itself.

Retries and failures may come by the thousand, so lines are limited: of each kind of event, task and
run the first one is written at once, and then at most one in a second, which says how many there
were in between. What is still unsaid when the run ends is said then.

Lines and their fields carry names, positions, counts and types of errors. No values and no messages
of errors: those may hold values.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from logging import INFO, WARNING
from typing import TYPE_CHECKING, Any

from anyio import current_time

from ..observing import Observer
from ..report_table import seconds

if TYPE_CHECKING:
    from ..observing import FailureInfo, RetryInfo, RunInfo, StageInfo
    from ..report import RunReport

__all__ = ["RunLog"]

logger: logging.Logger = logging.getLogger("conveyor")

PAUSE = 1.0
"""Seconds from one line to the next about the same kind of event, task and run."""

# Kind of event: level, what one and more of it are called, what a line says of the items.
_KINDS = {
    "retry": (WARNING, ("retry", "retries"), ""),
    "skip_item": (WARNING, ("skipped item", "skipped items"), "skipped"),
    "divert": (WARNING, ("diverted item", "diverted items"), "diverted"),
    # These two are not lost: the consumer gets them.
    "outcome": (INFO, ("failed item", "failed items"), "a failure among the outcomes"),
    "fail": (INFO, ("failed item", "failed items"), "the run ends"),
}


class RunLog(Observer):
    """
    Log the beginning and the end of a run at INFO, and retries and lost items at WARNING.

    :param clock: returns the time, in seconds
    """

    def __init__(self, clock: Callable[[], float] = current_time) -> None:
        self._clock = clock
        self._runs: dict[RunInfo, dict[tuple[int | None, str], _Pause]] = {}

    def run_started(self, run: RunInfo) -> None:
        """
        Log what begins.

        :param run: the run
        """
        if logger.isEnabledFor(INFO):
            names = [stage.task_name for stage in run.stages]
            items = "" if run.total is None else f", {run.total:,} item{'s' * (run.total != 1)}"
            logger.info(
                "run %s begins: %s%s",
                run.run_id,
                " | ".join(names),
                items,
                extra=_extra("run_started", run, tasks=names, total=run.total),
            )

    def call_retried(self, retry: RetryInfo) -> None:
        """
        Log an attempt that has failed, if it is due.

        :param retry: which
        """
        if not logger.isEnabledFor(WARNING):
            return
        unsaid = self._unsaid(retry.run, retry.stage, "retry", 1)
        if unsaid is None:
            return
        again = f"in {seconds(retry.delay)}" if retry.delay > 0 else "at once"
        logger.warning(
            "%s: attempt %d has failed with %s, and is repeated %s%s",
            _subject(retry.stage, retry.indexes),
            retry.attempt,
            type(retry.error).__name__,
            again,
            _since(unsaid, "retry"),
            extra=_task_extra(
                "retry",
                retry.run,
                retry.stage,
                unsaid,
                retry.indexes,
                retry.attempt,
                retry.error,
            ),
        )

    def failed(self, failure: FailureInfo) -> None:
        """
        Log what became of items that have failed for good, if it is due.

        :param failure: which
        """
        level, _, fate = _KINDS[failure.fate]
        if not logger.isEnabledFor(level):
            return
        items = max(1, len(failure.indexes))
        unsaid = self._unsaid(failure.run, failure.stage, failure.fate, items)
        if unsaid is None:
            return
        attempts = f" after {failure.attempts} attempts" if failure.attempts > 1 else ""
        logger.log(
            level,
            "%s: failed with %s%s; %s%s",
            _subject(failure.stage, failure.indexes),
            type(failure.error).__name__,
            attempts,
            fate,
            _since(unsaid, failure.fate),
            extra=_task_extra(
                failure.fate,
                failure.run,
                failure.stage,
                unsaid,
                failure.indexes,
                failure.attempts or None,
                failure.error,
            ),
        )

    def run_ended(self, run: RunInfo, report: RunReport) -> None:
        """
        Log what is unsaid, and the report.

        :param run: the run
        :param report: how it went
        """
        for (position, kind), pause in self._runs.pop(run, {}).items():
            if pause.unsaid:
                stage = None if position is None else run.stages[position]
                self._log_rest(run, stage, kind, pause.unsaid)
        if logger.isEnabledFor(INFO):
            counts = report.statistics
            error = None if report.error is None else type(report.error).__name__
            # As text: handlers may keep what they are given, and a report has the error itself.
            logger.info(
                "run %s: %s",
                run.run_id,
                str(report),
                extra=_extra(
                    "run_ended",
                    run,
                    outcome=report.outcome,
                    error=error,
                    duration=counts.duration,
                    items_in=counts.items_in,
                    items_out=counts.items_out,
                ),
            )

    def _unsaid(self, run: RunInfo, stage: StageInfo | None, kind: str, count: int) -> int | None:
        """Count what happened; return how much there was since the last line if one is due."""
        now = self._clock()
        about = (None if stage is None else stage.position, kind)
        pauses = self._runs.setdefault(run, {})
        pause = pauses.get(about)
        if pause is None:
            pauses[about] = _Pause(now + PAUSE)
            return 0
        if now < pause.ends_at:
            pause.unsaid += count
            return None
        unsaid, pause.unsaid = pause.unsaid, 0
        pause.ends_at = now + PAUSE
        return unsaid

    def _log_rest(self, run: RunInfo, stage: StageInfo | None, kind: str, unsaid: int) -> None:
        logger.log(
            _KINDS[kind][0],
            "%s: %s, not logged one by one",
            _subject(stage, ()),
            _more(unsaid, kind),
            extra=_task_extra(kind, run, stage, unsaid),
        )


class _Pause:
    """
    Until when nothing is said, and how much has happened meanwhile.

    :param ends_at: reading of the clock
    """

    __slots__ = ("ends_at", "unsaid")

    def __init__(self, ends_at: float) -> None:
        self.ends_at = ends_at
        self.unsaid = 0


def _subject(stage: StageInfo | None, indexes: tuple[int, ...]) -> str:
    """Name what a line is about; the items of a batch by the first of them."""
    if stage is None:
        return "the run"
    task = f"task {stage.task_name!r}"
    if not indexes:
        return task
    first, *others = indexes
    return f"{task}, item {first}" + (f" and {len(others):,} more" if others else "")


def _more(unsaid: int, kind: str) -> str:
    return f"{unsaid:,} more {_KINDS[kind][1][unsaid != 1]}"


def _since(unsaid: int, kind: str) -> str:
    return f" ({_more(unsaid, kind)} since the last line)" if unsaid else ""


def _extra(event: str, run: RunInfo, **fields: Any) -> dict[str, Any]:
    fields = {"event": event, "run_id": run.run_id, **fields}
    return {f"conveyor_{name}": value for name, value in fields.items()}


def _task_extra(
    event: str,
    run: RunInfo,
    stage: StageInfo | None,
    unsaid: int,
    indexes: tuple[int, ...] = (),
    attempt: int | None = None,
    error: BaseException | None = None,
) -> dict[str, Any]:
    """Return the fields of a line about a task: all of them, whatever it says."""
    return _extra(
        event,
        run,
        task=None if stage is None else stage.task_name,
        index=next(iter(indexes), None),
        items=len(indexes),
        attempt=attempt,
        error=None if error is None else type(error).__name__,
        unsaid=unsaid,
    )
