"""
Progress as a bar of tqdm, which works in notebooks, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    from tqdm.auto import tqdm
except ModuleNotFoundError as _error:
    raise ImportError(
        "TqdmProgress needs tqdm, which is not installed; "
        "write pip install 'conveyor-streaming[tqdm]'"
    ) from _error

from ..observing import Observer
from .progress_figures import Tracker, check_interval

if TYPE_CHECKING:
    from ..observing import RunInfo
    from ..report import RunReport

__all__ = ["TqdmProgress"]


class TqdmProgress(Observer):
    """
    Show each run as a bar of tqdm, in a terminal or in a notebook (extra ``tqdm``).

    The bar counts items of the data that are done, whatever became of them, and knows when the
    others will be if the data has a length. Behind it is how many each task has done, and how many
    items have failed. Runs that overlap have a bar each.

    :param interval: seconds from one look at the run to the next
    :param options: for ``tqdm.auto.tqdm``, for instance ``desc="pages"`` or ``leave=False``
    :raises TypeError: if the interval is not a number
    :raises ValueError: if the interval is not positive
    :raises ImportError: if tqdm is not installed
    """

    def __init__(self, *, interval: float = 0.1, **options: Any) -> None:
        check_interval("interval", interval)
        self.interval: float | None = interval
        self._options: dict[str, Any] = {"unit": "item", **options}
        self._shown: dict[RunInfo, tuple[Tracker, Any]] = {}

    def run_started(self, run: RunInfo) -> None:
        """
        Begin to show a run.

        :param run: the run
        """
        self._shown[run] = Tracker(run), self._bar(run.total)

    def tick(self, run: RunInfo) -> None:
        """
        Show how far a run is.

        :param run: the run
        """
        self._update(run)

    def run_ended(self, run: RunInfo, report: RunReport) -> None:
        """
        Show how a run has ended.

        :param run: the run
        :param report: how it went
        """
        try:
            self._update(run, report)
        finally:
            _, bar = self._shown.pop(run)
            bar.close()

    def _bar(self, total: int | None) -> Any:
        options: dict[str, Any] = {"total": total, **self._options}
        return tqdm(**options)

    def _update(self, run: RunInfo, report: RunReport | None = None) -> None:
        tracker, bar = self._shown[run]
        progress = tracker.look(report)
        words = [f"{stage.name} {stage.done:,}" for stage in progress.stages]
        if progress.errors:
            words.append(f"errors {progress.errors:,}")
        if progress.ending not in (None, "completed"):
            words.append(str(progress.ending))
        bar.set_postfix_str(", ".join(words), refresh=False)
        # It shows an update not too often, and should show the time if there is none.
        if not bar.update(progress.done - bar.n):
            bar.refresh()
