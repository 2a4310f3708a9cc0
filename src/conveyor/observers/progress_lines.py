"""
Progress in words, where there is no terminal.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from ..report_table import seconds

if TYPE_CHECKING:
    from .progress_figures import RunProgress, StageProgress

__all__ = ["Lines", "clock_time", "line_of", "per_second", "sum_of"]


class Lines:
    """
    Write a line about a run from time to time.

    :param title: in front of it
    :param file: where; ``None`` for ``sys.stderr`` as it is then
    :param interval: seconds from one line to the next
    """

    def __init__(self, title: str, file: TextIO | None, interval: float) -> None:
        self._title = title
        self._file = file
        self._interval = interval
        self._due_at = interval

    def show(self, progress: RunProgress) -> None:
        """
        Write a line if it is due.

        :param progress: at present
        """
        # Ticks of 0.1 s may come to a trifle less.
        if progress.elapsed >= self._due_at - 0.001:
            self._due_at = progress.elapsed + self._interval
            self._write(progress)

    def end(self, progress: RunProgress) -> None:
        """
        Write the last line.

        :param progress: at its end
        """
        self._write(progress)

    def _write(self, progress: RunProgress) -> None:
        file = sys.stderr if self._file is None else self._file
        # Without a stderr print() would write to stdout.
        if file is not None:  # pyright: ignore[reportUnnecessaryComparison]
            start = f"{self._title}: " if self._title else ""
            print(start + line_of(progress), file=file, flush=True)


def line_of(progress: RunProgress) -> str:
    """
    Say in a line how far a run is.

    :param progress: of the run
    """
    return " | ".join([*map(_stage_text, progress.stages), ", ".join(sum_of(progress))])


def _stage_text(stage: StageProgress) -> str:
    parts = [f"{stage.name} {stage.done:,} ({per_second(stage.rate)})"]
    parts += [
        f"{number:,} {one if number == 1 else many}"
        for number, one, many in (
            (stage.retried, "retry", "retries"),
            (stage.errors, "error", "errors"),
        )
        if number
    ]
    return ", ".join(parts)


def sum_of(progress: RunProgress) -> list[str]:
    """
    Say how far a run is as a whole.

    :param progress: of the run
    :return: in a few words each
    """
    total = "" if progress.total is None else f" of {progress.total:,}"
    parts = [f"{progress.done:,}{total} done", f"{progress.results:,} out"]
    if progress.ending is not None:
        exact = seconds if progress.elapsed < 60 else clock_time
        return [*parts, f"{progress.ending} after {exact(progress.elapsed)}"]
    parts.append(clock_time(progress.elapsed))
    if progress.remaining is not None:
        parts.append(f"ETA {clock_time(progress.remaining)}")
    return parts


def clock_time(time: float) -> str:
    """
    Write a time as clocks do, but less than a minute in seconds.

    :param time: in seconds, not negative
    """
    minutes, rest = divmod(round(time), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def per_second(rate: float) -> str:
    """
    Write a rate, with as many figures as are worth reading.

    :param rate: per second
    """
    if 0 < rate < 0.1:
        return f"{rate * 60:.2g}/min"
    return f"{rate:,.0f}/s" if rate >= 10 or not rate else f"{rate:.2g}/s"
