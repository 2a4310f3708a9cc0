"""
Progress: what the runs of a pipeline are doing, for the person who waits.
"""

from __future__ import annotations

import sys
from itertools import count
from typing import TYPE_CHECKING, Protocol, TextIO, cast

from ..observing import Observer
from .progress_figures import RunProgress, Tracker, check_interval
from .progress_lines import Lines

if TYPE_CHECKING:
    from rich.console import Console

    from ..observing import RunInfo
    from ..report import RunReport
    from .progress_rows import Rows

__all__ = ["Progress"]


class Display(Protocol):
    """Shows one run."""

    def show(self, progress: RunProgress) -> None:
        """
        Show how far it is.

        :param progress: at present
        """

    def end(self, progress: RunProgress) -> None:
        """
        Show how it has ended, and leave that.

        :param progress: at its end
        """


class Progress(Observer):
    """
    Show runs as they go on: rows on a terminal, lines elsewhere.

    On a terminal, and if rich is installed (extra ``rich``), each stage has a row: items that are
    done, how many in a second of late, calls in flight and how many may be, what waits for a call,
    and errors. Below are the items of the data that are done, the results that the consumer has
    got, and the time; also the time that is left, if the data has a length. Runs that overlap are
    shown below one another, and what the program writes to the terminal meanwhile above them. When
    a run ends, its last figures stay.

    Elsewhere a line is written from time to time, and one at the end.

    :param title: in front of what is shown
    :param file: where to write; by default ``sys.stderr``, so that the program's output stays as it
        is
    :param console: where to write instead, if the program has a console of rich
    :param live: ``True`` for rows and ``False`` for lines, wherever they are written to; by default
        that is looked at when a run begins
    :param interval: seconds from one look at the run to the next, with rows
    :param log_interval: seconds from one line to the next
    :raises TypeError: if the title or an interval is of the wrong type
    :raises ValueError: if an interval is not positive, or both a file and a console are given
    :raises ImportError: if *live* asks for rows and rich is not installed
    """

    def __init__(
        self,
        title: str | None = None,
        *,
        file: TextIO | None = None,
        console: Console | None = None,
        live: bool | None = None,
        interval: float = 0.1,
        log_interval: float = 5.0,
    ) -> None:
        # Not everyone's code is type-checked.
        if not isinstance(title, (str, type(None))):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"title must be a str, or None for none, got {title!r}")
        check_interval("interval", interval)
        check_interval("log_interval", log_interval)
        if file is not None and console is not None:
            raise ValueError("there must be one place to write to, got both a file and a console")
        if live:
            _rows()  # say now if something is missing
        self.interval: float | None = interval
        self._title = title
        self._file = file
        self._console = console
        self._live = live
        self._log_interval = log_interval
        self._numbers = count(1)
        self._shown: dict[RunInfo, tuple[Tracker, Display]] = {}

    def run_started(self, run: RunInfo) -> None:
        """
        Begin to show a run.

        :param run: the run
        """
        number = next(self._numbers)
        display = self._display(self._title_of(number))
        self._shown[run] = Tracker(run), display

    def tick(self, run: RunInfo) -> None:
        """
        Show how far a run is.

        :param run: the run
        """
        tracker, display = self._shown[run]
        display.show(tracker.look())

    def run_ended(self, run: RunInfo, report: RunReport) -> None:
        """
        Show how a run has ended.

        :param run: the run
        :param report: how it went
        """
        tracker, display = self._shown.pop(run)
        display.end(tracker.look(report))

    def _title_of(self, number: int) -> str:
        if number == 1:
            return self._title or ""
        return f"run {number}" if self._title is None else f"{self._title} ({number})"

    def _display(self, title: str) -> Display:
        console = self._console
        if self._is_live():
            return _rows()(title, self._file, console)
        file = self._file if console is None else cast("TextIO", console.file)
        return Lines(title, file, self._log_interval)

    def _is_live(self) -> bool:
        if self._live is not None:
            return self._live
        if self._console is not None:
            return self._console.is_interactive
        file = sys.stderr if self._file is None else self._file
        try:
            # rich takes FORCE_COLOR for a terminal; a log that is shown in colours is none.
            is_terminal = file.isatty()
        except (AttributeError, ValueError):
            return False  # there is no stderr, or it is closed
        return is_terminal and _can_move(file)


def _rows() -> type[Rows]:
    from .progress_rows import Rows

    return Rows


def _can_move(terminal: TextIO) -> bool:
    """Tell whether rich is there, and can move about in a terminal."""
    try:
        from .progress_rows import can_move
    except ImportError:
        return False
    return can_move(terminal)
