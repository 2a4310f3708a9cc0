"""
Rows on a terminal, by rich.

There can be one live display on a console of rich, and on a terminal too, whatever writes to it. So
the rows of all runs are on one :class:`Screen` for each console or file, which lives as long as one
of them goes on.
"""

from __future__ import annotations

import sys
from threading import RLock
from typing import IO, TYPE_CHECKING, ClassVar, TextIO

try:
    from rich.console import Console, Group, RenderableType
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text
except ModuleNotFoundError as _error:
    raise ImportError(
        "rows of progress are drawn by rich, which is not installed; "
        "write pip install 'conveyor-streaming[rich]'"
    ) from _error

from .progress_lines import per_second, sum_of

if TYPE_CHECKING:
    from .progress_figures import RunProgress, StageProgress

__all__ = ["Rows", "Screen", "draw"]

BAR_WIDTH = 30
"""Characters of the bar that shows how much is done."""


class Rows:
    """
    Show one run, on a screen that it may share with others.

    :param title: above its rows
    :param file: a terminal; ``None`` for ``sys.stderr``
    :param console: to use instead
    """

    def __init__(self, title: str, file: TextIO | None, console: Console | None) -> None:
        self._title = title
        self._screen = Screen.join(self, file, console)

    def show(self, progress: RunProgress) -> None:
        """
        Show how far it is.

        :param progress: at present
        """
        self._screen.show(self, draw(progress, self._title))

    def end(self, progress: RunProgress) -> None:
        """
        Show how it has ended, and leave that.

        :param progress: at its end
        """
        self._screen.leave(self, draw(progress, self._title))


class Screen:
    """
    What is shown of all runs on one console; runs may be in different threads.

    :param place: identifies what the console writes to
    :param console: where to show it
    """

    _all: ClassVar[dict[int, Screen]] = {}
    _lock: ClassVar[RLock] = RLock()

    def __init__(self, place: int, console: Console) -> None:
        self._place = place
        self._console = console
        self._live: Live | None = None
        self._members: dict[Rows, RenderableType] = {}

    @classmethod
    def join(cls, rows: Rows, file: TextIO | None, console: Console | None) -> Screen:
        """
        Return the screen to use, which lives until all have left that have joined.

        :param rows: who joins
        :param file: a terminal; ``None`` for ``sys.stderr``
        :param console: to use instead
        """
        with cls._lock:
            console = console or console_of(file)
            place = id(console.file)
            screen = cls._all.setdefault(place, cls(place, console))
            screen._members[rows] = ""
            return screen

    def show(self, rows: Rows, picture: RenderableType) -> None:
        """
        Show one run, and refresh all if it is the first one: it is often enough.

        :param rows: who shows it
        :param picture: of the run
        """
        with self._lock:
            self._members[rows] = picture
            if rows is next(iter(self._members)):
                if self._live is None:
                    self._live = self._start()
                self._live.update(Group(*self._members.values()), refresh=True)

    def leave(self, rows: Rows, picture: RenderableType) -> None:
        """
        Let the last picture of a run stay where it is, above those that go on.

        :param rows: who leaves
        :param picture: of the run
        """
        with self._lock:
            del self._members[rows]
            try:
                self._settle(picture)
            finally:
                if not self._members:
                    del self._all[self._place]

    def _settle(self, picture: RenderableType) -> None:
        if self._live is None:
            self._console.print(picture)
        elif self._members:
            self._live.update(Group(*self._members.values()))
            self._console.print(picture)
        else:
            self._live.update(picture)
            self._live.stop()

    def _start(self) -> Live:
        # What the program writes goes above the rows; but only if it goes to a terminal, too.
        is_terminal = _is_terminal(self._console.file)
        live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=is_terminal and _is_terminal(sys.stdout),
            redirect_stderr=is_terminal and _is_terminal(sys.stderr),
        )
        live.start()
        return live


def console_of(file: TextIO | None) -> Console:
    """
    Return a console that moves about in a file, as one can in a terminal.

    :param file: ``None`` for ``sys.stderr``
    """
    file = file or sys.stderr
    # A live display may have put something in the place of the file.
    file = getattr(file, "rich_proxied_file", file)
    return Console(file=file, stderr=True, force_terminal=True, force_interactive=True)


def can_move(file: TextIO) -> bool:
    """
    Tell whether one can move about in a terminal: most can, but there are dumb ones.

    :param file: the terminal
    """
    return Console(file=file).is_interactive


def _is_terminal(file: IO[str]) -> bool:
    try:
        return file.isatty()
    except (AttributeError, ValueError):
        return False  # it is None, or closed


def draw(progress: RunProgress, title: str = "") -> RenderableType:
    """
    Draw how far a run is.

    :param progress: of the run
    :param title: above it
    """
    table = Table(
        title=Text(title, "bold") if title else None,
        title_justify="left",
        box=None,
        header_style="dim",
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    table.add_column("task", no_wrap=True, overflow="ellipsis")
    has_retries = any(stage.retried for stage in progress.stages)
    figures = ["done", "rate", "in flight", "queued", "errors"]
    for figure in [*figures, "retries"] if has_retries else figures:
        table.add_column(figure, justify="right", no_wrap=True)
    for stage in progress.stages:
        cells = _cells(stage)
        table.add_row(*(cells if has_retries else cells[:-1]))
    return Group(table, _bottom(progress))


def _cells(stage: StageProgress) -> list[Text]:
    return [
        Text(stage.name, "bold"),
        Text(f"{stage.done:,}"),
        Text(per_second(stage.rate), "cyan"),
        Text(f"{stage.in_flight:,}/{stage.limit:,}"),
        Text(f"{stage.queued:,}"),
        Text(f"{stage.errors:,}", "bold red" if stage.errors else "dim"),
        Text(f"{stage.retried:,}", "yellow" if stage.retried else "dim"),
    ]


def _bottom(progress: RunProgress) -> RenderableType:
    """Draw the row of the run as a whole."""
    text = Text("  ".join(sum_of(progress)))
    if not progress.total:
        return text
    grid = Table.grid(padding=(0, 2, 0, 0))
    bar = ProgressBar(total=progress.total, completed=progress.done, width=BAR_WIDTH)
    grid.add_row(bar, text)
    return grid
