"""Progress: how far a run is in figures, in lines, in rows on a terminal, and as a bar."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from anyio import create_task_group, move_on_after, sleep
from rich.console import Console

import conveyor.observers
from conveyor import BaseTask, Observer, Rate, batch_task, single_task, testing
from conveyor.observers import Progress, TqdmProgress
from conveyor.observers.progress_figures import RunProgress, Tracker
from conveyor.observers.progress_lines import clock_time, per_second
from conveyor.observers.progress_rows import BAR_WIDTH, Screen
from conveyor.observing import RunInfo, StageInfo
from conveyor.report import RunReport
from conveyor.statistics import HeadOfLine, RunStatistics, StageStatistics

READ = StageInfo(0, "read", "single")
STORE = StageInfo(1, "store", "batch")


def counts(name: str = "read", **figures: Any) -> StageStatistics:
    """Figures of a stage, 0 but for those given."""
    zeros = dict.fromkeys(["items_in", "calls", "filtered", "skipped", "dropped", "retried"], 0)
    return StageStatistics(name, **{**zeros, "limit": 4, **figures})


class FakeRun:
    """A run whose figures the test sets."""

    def __init__(self, *stages: StageInfo, total: int | None = None) -> None:
        self.info = RunInfo("id", stages or (READ,), total, lambda: self.now)
        self.now = RunStatistics(0, tuple(counts(stage.task_name) for stage in self.info.stages), 0)

    def set(self, *stages: StageStatistics, **figures: Any) -> None:
        """Change some of the figures."""
        self.now = replace(self.now, stages=stages or self.now.stages, **figures)

    def report(self, outcome: Any = "completed", error: BaseException | None = None) -> RunReport:
        return RunReport("id", outcome, self.info.stages, self.now, error)


@pytest.fixture(autouse=True)
def terminals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """They are like most, wherever the tests run; whatever was shown on them is not any more."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    yield
    left = [*Screen._all]
    Screen._all.clear()
    assert left == []


# Figures


def test_done_are_the_items_of_which_nothing_is_left() -> None:
    """Of ten that came in, the run has places for four, so six are done, of which two got lost."""
    run = FakeRun(total=20)
    run.set(items_in=10, held=4, items_out=4, duration=3.0)
    progress = Tracker(run.info).look()
    assert (progress.done, progress.total, progress.results) == (6, 20, 4)
    assert (progress.elapsed, progress.remaining) == (3.0, 7.0)


def test_done_are_at_least_those_before_the_head_of_the_line() -> None:
    """An item that became a hundred takes a hundred places, but three have gone before it."""
    run = FakeRun()
    run.set(items_in=5, held=101, head=HeadOfLine(3, None))
    assert Tracker(run.info).look().done == 3


def test_what_is_done_stays_done() -> None:
    """Items that become many later do not undo what has been done."""
    run = FakeRun(READ, STORE)
    tracker = Tracker(run.info)
    before = counts("store", items_done=9)
    run.set(counts(), before, items_in=9, held=1)
    assert (tracker.look().done, tracker.look().stages[1].done) == (8, 9)
    run.set(counts(), replace(before, items_done=6), items_in=9, held=50)
    assert (tracker.look().done, tracker.look().stages[1].done) == (8, 9)


def test_no_more_is_done_than_came_in() -> None:
    """A head of the line beyond the items, whatever that means, is not believed."""
    run = FakeRun()
    run.set(items_in=2, head=HeadOfLine(7, None))
    assert Tracker(run.info).look().done == 2


def test_errors_are_all_that_failed_for_good() -> None:
    """Skipped, diverted and failed; items that were filtered or dropped are none."""
    run = FakeRun()
    run.set(counts(skipped=1, diverted=20, failed=300, filtered=4000, dropped=50000, retried=7))
    (stage,) = Tracker(run.info).look().stages
    assert (stage.errors, stage.retried) == (321, 7)


def test_rates_are_those_of_the_last_seconds() -> None:
    """A stage that did 100/s for 20 s and then nothing is seen to stand still after ten seconds."""
    run = FakeRun()
    tracker = Tracker(run.info)
    rates = []
    for second in range(41):
        run.set(counts(items_done=100 * min(second, 20)), duration=float(second))
        rates.append(tracker.look().stages[0].rate)
    assert rates[0] == 0.0
    assert rates[1:21] == [100.0] * 20
    assert rates[25] == 50.0
    assert rates[30:] == [0.0] * 11


def test_rates_at_the_end_are_those_of_the_run() -> None:
    """What one reads afterwards is about the whole."""
    run = FakeRun()
    tracker = Tracker(run.info)
    for second in range(21):
        run.set(counts(items_done=10 * min(second, 10)), duration=float(second))
        tracker.look()
    assert tracker.look(run.report()).stages[0].rate == 5.0


def test_what_is_remembered_of_a_long_run_is_little() -> None:
    """A day of ticks leaves some twenty moments in memory."""
    run = FakeRun()
    tracker = Tracker(run.info)
    for tick in range(10_000):
        run.set(duration=tick / 10)
        tracker.look()
    assert 20 <= len(tracker._memory) <= 22


def test_data_with_more_items_than_it_says_has_no_total() -> None:
    """No ETA is better than a wrong one."""
    run = FakeRun(total=10)
    run.set(items_in=11, duration=1.0)
    progress = Tracker(run.info).look()
    assert (progress.total, progress.remaining) == (None, None)


def test_an_empty_run_has_no_rate_and_no_end() -> None:
    """Nothing is divided by nothing."""
    run = FakeRun(total=0)
    progress = Tracker(run.info).look(run.report())
    assert (progress.stages[0].rate, progress.remaining, progress.ending) == (
        0.0,
        None,
        "completed",
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1:00"),
        (125, "2:05"),
        (3599.7, "1:00:00"),
        (90061, "25:01:01"),
    ],
)
def test_times_are_written_as_clocks_do(seconds: float, text: str) -> None:
    """Seconds while they are few."""
    assert clock_time(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0.0, "0/s"),
        (0.01, "0.6/min"),
        (0.25, "0.25/s"),
        (9.4, "9.4/s"),
        (27.4, "27/s"),
        (12345, "12,345/s"),
    ],
)
def test_rates_are_short(rate: float, text: str) -> None:
    """As many figures as are worth reading."""
    assert per_second(rate) == text


# Lines


def lines_of(progress: Progress, run: FakeRun, ticks: int, step: float = 1.0) -> None:
    """Let a run begin and go on, without its end."""
    progress.run_started(run.info)
    for tick in range(1, ticks + 1):
        run.set(duration=tick * step)
        progress.tick(run.info)


def test_a_line_says_what_each_stage_has_done() -> None:
    """Rates, errors and retries of the stages; then the run."""
    run = FakeRun(READ, STORE, total=1000)
    run.set(
        counts(items_done=120),
        counts("store", items_done=80, skipped=2, retried=1),
        items_in=120,
        held=40,
        items_out=78,
    )
    file = io.StringIO()
    progress = Progress(file=file, log_interval=4.0)
    lines_of(progress, run, 4)
    assert file.getvalue() == (
        "read 120 (30/s) | store 80 (20/s), 1 retry, 2 errors | 80 of 1,000 done, 78 out, 4 s, "
        "ETA 46 s\n"
    )


def test_lines_come_at_their_interval() -> None:
    """However often the run is looked at, and whatever the first line waits for."""
    run = FakeRun()
    file = io.StringIO()
    lines_of(Progress(file=file, log_interval=5.0), run, 17)
    assert [line.rpartition(", ")[2] for line in file.getvalue().splitlines()] == [
        "5 s",
        "10 s",
        "15 s",
    ]


def test_a_line_does_not_miss_its_moment() -> None:
    """Fifty ticks of 0.1 s may add up to a trifle less than five seconds."""
    run = FakeRun()
    file = io.StringIO()
    lines_of(Progress(file=file, log_interval=5.0), run, 2, step=4.999999999)
    assert file.getvalue().count("\n") == 2


@pytest.mark.parametrize(
    ("outcome", "error", "text"),
    [
        ("completed", None, "completed after 3 s"),
        ("failed", ValueError("secret"), "failed with ValueError after 3 s"),
        ("stopped", None, "ended early after 3 s"),
    ],
)
def test_the_last_line_says_how_the_run_ended(
    outcome: str, error: BaseException | None, text: str
) -> None:
    """It is always written; the error's message is not in it."""
    run = FakeRun()
    file = io.StringIO()
    progress = Progress(file=file)
    lines_of(progress, run, 3)
    assert file.getvalue() == ""
    progress.run_ended(run.info, run.report(outcome, error))
    assert file.getvalue() == f"read 0 (0/s) | 0 done, 0 out, {text}\n"


def test_lines_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """What the program prints can still be piped."""
    run = FakeRun()
    progress = Progress()
    progress.run_started(run.info)
    progress.run_ended(run.info, run.report())
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


def test_lines_without_stderr_go_nowhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program without a console has none."""
    run = FakeRun()
    progress = Progress()
    monkeypatch.setattr(sys, "stderr", None)
    progress.run_started(run.info)
    progress.run_ended(run.info, run.report())
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("title", "beginnings"),
    [(None, ["read", "run 2: read"]), ("pages", ["pages: read", "pages (2): read"])],
)
def test_runs_can_be_told_apart(title: str | None, beginnings: list[str]) -> None:
    """The second run of an observer has a number, and all have its title."""
    file = io.StringIO()
    progress = Progress(title, file=file)
    for _ in range(2):
        run = FakeRun()
        progress.run_started(run.info)
        progress.run_ended(run.info, run.report())
    assert [line.partition(" 0 ")[0] for line in file.getvalue().splitlines()] == beginnings


# Rows


class Terminal(io.StringIO):
    """A terminal that knows what rich does to it: lines, colours, and moving up to erase."""

    def isatty(self) -> bool:
        return True

    @property
    def screen(self) -> list[str]:
        """What is to be seen down to the cursor, and below if there is any; no blanks behind."""
        lines, row, column = [""], 0, 0
        pattern = r"\x1b\[\??(\d*)[\d;]*([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)"
        for number, code, start, newline, text in re.findall(pattern, self.getvalue()):
            if code == "A":
                row -= int(number or 1)
            elif code == "K":
                lines[row] = ""
            elif start or newline:
                row, column = row + bool(newline), 0
                lines += [""] * (row + 1 - len(lines))
            elif text:
                lines[row] = lines[row].ljust(column)[:column] + text
                column += len(text)
        while len(lines) > row + 1 and not lines[-1]:
            lines.pop()
        return [line.rstrip() for line in lines]

    @property
    def shows_cursor(self) -> bool:
        return not self.getvalue().rpartition("\x1b[?25")[2].startswith("l")

    def console(self) -> Console:
        return Console(file=self, force_terminal=True, force_interactive=True, width=100)


def a_run(done: int = 120, **figures: Any) -> FakeRun:
    run = FakeRun(READ, STORE, total=1000)
    run.set(
        counts(items_done=done, in_flight=3, queued=7),
        counts("store", items_done=80, limit=1),
        **{"items_in": 120, "held": 40, "items_out": 78, "duration": 4.0, **figures},
    )
    return run


ROWS = [
    "task   done  rate  in flight  queued  errors",
    "read    120  30/s        3/4       7       0",
    "store    80  20/s        0/1       0       0",
]
SUM = "━━╺━━━━━━━━━━━━━━━━━━━━━━━━━━━  80 of 1,000 done  78 out  4 s  ETA 46 s"
BAR = "━" * BAR_WIDTH


def test_each_stage_has_a_row() -> None:
    """And the run has one, with a bar."""
    terminal = Terminal()
    progress = Progress(console=terminal.console())
    run = a_run()
    progress.run_started(run.info)
    progress.tick(run.info)
    assert terminal.screen == [*ROWS, SUM]
    progress.run_ended(run.info, run.report())


def test_rows_are_drawn_in_place() -> None:
    """A hundred looks later the screen is as high as before."""
    terminal = Terminal()
    progress = Progress(console=terminal.console())
    run = a_run()
    progress.run_started(run.info)
    for _ in range(100):
        progress.tick(run.info)
    assert terminal.screen == [*ROWS, SUM]
    progress.run_ended(run.info, run.report())


def test_nothing_is_written_unless_time_passes() -> None:
    """The rows are drawn when it is time to, and by nothing else; at the end they always are."""
    terminal = Terminal()
    progress = Progress(console=terminal.console())
    run = a_run()
    progress.run_started(run.info)
    assert terminal.getvalue() == ""
    progress.run_ended(run.info, run.report())
    assert terminal.screen[:3] == ROWS


def test_the_last_figures_stay() -> None:
    """Once, below what was there before; the cursor is back, at the start of a line."""
    terminal = Terminal()
    terminal.write("$ program\n")
    progress = Progress(console=terminal.console())
    run = a_run()
    progress.run_started(run.info)
    progress.tick(run.info)
    assert not terminal.shows_cursor
    progress.run_ended(run.info, run.report("failed", ValueError("secret")))
    ending = "80 of 1,000 done  78 out  failed with ValueError after 4 s"
    bar = SUM.partition("  ")[0]
    assert terminal.screen == ["$ program", *ROWS, f"{bar}  {ending}", ""]
    assert terminal.shows_cursor


def test_runs_that_overlap_share_the_screen() -> None:
    """Also those of different observers: each has its rows, and the first to end goes above."""
    terminal = Terminal()
    console = terminal.console()
    first, second = Progress("first", console=console), Progress("second", console=console)
    one, other = a_run(), a_run()
    first.run_started(one.info)
    second.run_started(other.info)
    second.tick(other.info)
    first.tick(one.info)
    shown = [line for line in terminal.screen if line in ("first", "second") or line == SUM]
    assert shown == ["first", SUM, "second", SUM]
    first.run_ended(one.info, one.report())
    second.tick(other.info)
    assert terminal.screen[0] == "first"
    assert terminal.screen[4].endswith("completed after 4 s")
    assert terminal.screen[5:] == ["second", *ROWS, SUM]
    assert not terminal.shows_cursor
    second.run_ended(other.info, other.report())
    assert terminal.screen[5:9] == ["second", *ROWS]
    assert terminal.screen[10:] == [""]
    assert terminal.shows_cursor


def test_the_first_run_draws_for_all() -> None:
    """A hundred runs are drawn as often as one is, and not a hundred times as often."""
    terminal = Terminal()
    progress = Progress(console=terminal.console())
    runs = [a_run() for _ in range(3)]
    for run in runs:
        progress.run_started(run.info)
    for _ in range(5):
        for run in runs:
            progress.tick(run.info)
    # The others are empty in the first of the five pictures.
    assert terminal.getvalue().count("in flight") == 1 + 4 * 3
    for run in runs:
        progress.run_ended(run.info, run.report())


def test_what_the_program_prints_goes_above_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """If both go to a terminal; afterwards the streams are what they were."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress()
    run = a_run()
    progress.run_started(run.info)
    progress.tick(run.info)
    print("a result")
    print("a warning", file=sys.stderr)
    progress.tick(run.info)
    assert terminal.screen[:5] == ["a result", "a warning", *ROWS]
    progress.run_ended(run.info, run.report())
    assert sys.stdout is sys.stderr is terminal


def test_what_is_piped_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output that goes into a file goes there, and not between the rows."""
    terminal, output = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", output)
    progress = Progress()
    run = a_run()
    progress.run_started(run.info)
    progress.tick(run.info)
    print("a result")
    assert output.getvalue() == "a result\n"
    assert terminal.screen[:3] == ROWS
    progress.run_ended(run.info, run.report())


@pytest.mark.parametrize("number", range(3))
def test_rows_are_for_terminals_that_can_move(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dumb terminal, or a file that is to be in colour, gets lines."""
    file: io.StringIO = [Terminal, Terminal, io.StringIO][number]()
    monkeypatch.setenv("TERM", ["xterm", "dumb", "xterm"][number])
    monkeypatch.setenv("FORCE_COLOR", "1")
    progress = Progress(file=file)
    run = a_run()
    progress.run_started(run.info)
    progress.tick(run.info)
    progress.run_ended(run.info, run.report())
    assert ("\x1b" in file.getvalue()) == (number == 0)
    assert ("read 120 (30/s) | " in file.getvalue()) == (number > 0)


def test_rows_and_lines_can_be_chosen() -> None:
    """Whatever the file is."""
    for live, file in ((False, Terminal()), (True, io.StringIO())):
        progress = Progress(file=file, live=live)
        run = a_run()
        progress.run_started(run.info)
        progress.run_ended(run.info, run.report())
        assert ("in flight" in file.getvalue()) is live


def test_a_console_that_writes_to_a_file_gets_lines() -> None:
    """It knows what it writes to."""
    file = io.StringIO()
    progress = Progress(console=Console(file=file))
    run = a_run()
    progress.run_started(run.info)
    progress.run_ended(run.info, run.report())
    assert file.getvalue().startswith("read 120 (30/s) | ")


def test_names_are_text() -> None:
    """Not instructions for rich."""
    terminal = Terminal()
    progress = Progress("[bold]title", console=terminal.console())
    run = FakeRun(StageInfo(0, "[red]", "single"))
    run.set(counts("[red]"))
    progress.run_started(run.info)
    progress.tick(run.info)
    assert terminal.screen[0] == "[bold]title"
    assert terminal.screen[2].startswith("[red] ")
    progress.run_ended(run.info, run.report())


def test_a_narrow_terminal_gets_more_lines() -> None:
    """Broken between words."""
    terminal = Terminal()
    progress = Progress(console=Console(file=terminal, force_terminal=True, width=60))
    run = a_run()
    progress.run_started(run.info)
    progress.tick(run.info)
    assert len(terminal.screen) == 5
    assert " ".join(terminal.screen[3:]).split()[1:] == SUM.split()[1:]
    progress.run_ended(run.info, run.report())


def test_retries_have_a_column_if_there_are_any() -> None:
    """A column of zeros would tell nothing."""
    terminal = Terminal()
    progress = Progress(console=terminal.console())
    run = FakeRun()
    run.set(counts(retried=5))
    progress.run_started(run.info)
    progress.run_ended(run.info, run.report())
    assert terminal.screen[0].endswith("errors  retries")
    assert terminal.screen[1].endswith("0        5")


# Settings


@pytest.mark.parametrize("make", [Progress, TqdmProgress])
@pytest.mark.parametrize("value", [0, -1.0, float("inf"), float("nan")])
def test_intervals_are_positive(make: Callable[..., Any], value: float) -> None:
    """Anything else is refused when the observer is made."""
    message = f"^interval must be positive, in seconds, got {re.escape(repr(value))}$"
    with pytest.raises(ValueError, match=message):
        make(interval=value)


@pytest.mark.parametrize("make", [Progress, TqdmProgress])
@pytest.mark.parametrize("value", [True, "1", None])
def test_intervals_are_numbers(make: Callable[..., Any], value: Any) -> None:
    """What only looks like one is refused as well."""
    message = f"^interval must be a number of seconds, got {value!r}$"
    with pytest.raises(TypeError, match=message):
        make(interval=value)


def test_a_title_is_a_text() -> None:
    """A pipeline in its place, for instance, would be shown as its representation."""
    with pytest.raises(TypeError, match=r"^title must be a str, or None for none, got 3$"):
        Progress(3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def test_there_is_one_place_to_write_to() -> None:
    """A file and a console contradict each other."""
    message = "^there must be one place to write to, got both a file and a console$"
    with pytest.raises(ValueError, match=message):
        Progress(file=io.StringIO(), console=Console(file=io.StringIO()))


def without(package: str, program: str) -> str:
    """Run a program that cannot import a package; return the last line of what it writes."""
    begin = f"import sys; sys.modules[{package!r}] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", begin + program], capture_output=True, text=True, timeout=60
    )
    return (done.stdout + done.stderr).strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("package", "program", "error"),
    [
        (
            "rich",
            "from conveyor.observers import Progress; Progress(live=True)",
            "rows of progress are drawn by rich, which is not installed; write pip install",
        ),
        (
            "tqdm",
            "from conveyor.observers import TqdmProgress",
            "TqdmProgress needs tqdm, which is not installed; write pip install",
        ),
    ],
)
def test_the_error_says_what_to_install(package: str, program: str, error: str) -> None:
    """It names the extra."""
    install = f"'conveyor-streaming[{package}]'"
    assert without(package, program) == f"ImportError: {error} {install}"


def test_a_terminal_without_rich_gets_lines() -> None:
    """Nothing has to be installed for them."""
    program = (
        "from conveyor.observers import Progress\n"
        "sys.stderr.isatty = lambda: True\n"
        "print(Progress()._display(''))"
    )
    assert "Lines object" in without("rich", program)


# tqdm


def test_tqdm_counts_what_is_done() -> None:
    """A bar with the data's length, the tasks and the errors behind it; it stays at the end."""
    file = Terminal()
    progress = TqdmProgress(file=file, desc="pages", ncols=120, ascii=True)
    run = a_run()
    progress.run_started(run.info)
    progress.tick(run.info)
    assert re.search(r"pages:   8%\|#.*\| 80/1000 \[.*, read 120, store 80\]", file.screen[0])
    run.set(
        counts(items_done=1000, skipped=2),
        run.now.stages[1],
        items_in=1000,
        held=0,
        items_out=998,
    )
    progress.run_ended(run.info, run.report())
    assert re.search(r"1000/1000 \[.*, read 1,000, store 80, errors 2\]", file.screen[0])
    assert file.screen[1] == ""


def test_tqdm_is_closed_whatever_happens() -> None:
    """A run that failed leaves its bar where it was, and says so."""
    file = Terminal()
    progress = TqdmProgress(file=file, ncols=120, ascii=True)
    run = a_run()
    progress.run_started(run.info)
    _, bar = progress._shown[run.info]
    progress.run_ended(run.info, run.report("failed", ValueError("secret")))
    assert bar.disable
    assert re.search(r"80/1000 \[.*, store 80, failed with ValueError\]", file.screen[0])
    assert progress._shown == {}


def test_tqdm_shows_a_run_that_stands_still() -> None:
    """The time goes on though nothing else does."""
    file = Terminal()
    progress = TqdmProgress(file=file)
    run = a_run()
    progress.run_started(run.info)
    progress.tick(run.info)
    before = len(file.getvalue())
    progress.tick(run.info)
    assert len(file.getvalue()) > before
    progress.run_ended(run.info, run.report())


# Real runs


@single_task(concurrency_limit=2)
async def wait(item: int) -> int:
    await sleep(0.8)
    return item


@single_task
def odd(item: int) -> int | None:
    return item if item % 2 else None


@single_task
async def twice(item: int) -> AsyncIterator[int]:
    for _ in range(2):
        await sleep(0.1)
        yield item


@batch_task(max_size=3)
async def add_up(items: list[int]) -> int:
    await sleep(0.3)
    return sum(items)


class PassOn(BaseTask[int, int]):
    async def process(self, items: Any) -> Any:
        async for item in items:
            yield item


async def test_a_run_is_shown_from_time_to_time() -> None:
    """Two at once, 0.8 s each: after 3 s six are done and four take 2 s more, if all goes on."""
    file = io.StringIO()
    stream = wait.with_progress("wait", file=file, log_interval=3.0)(range(10))
    assert [item async for item in stream] == [*range(10)]
    assert file.getvalue().splitlines() == [
        "wait: wait 6 (2/s) | 6 of 10 done, 6 out, 3 s, ETA 2 s",
        "wait: wait 10 (2.5/s) | 10 of 10 done, 10 out, completed after 4 s",
    ]


@pytest.mark.parametrize("mode", ["ordered", "as_completed"])
async def test_in_the_end_all_is_done(mode: Any) -> None:
    """By each stage what came in, whatever it made of it; and what is done stays done."""
    seen: list[RunProgress] = []

    class Looking(Progress):
        def _display(self, title: str) -> Any:
            return SimpleNamespace(show=seen.append, end=seen.append)

    tasks = wait | odd | twice | PassOn() | add_up | wait
    pipeline = tasks.with_execution_mode(mode).with_observer(Looking())
    sums = [each async for each in pipeline(range(20))]
    assert sum(sums) == 2 * sum(range(1, 20, 2))
    assert len(seen) > 50
    # Ten are odd, and become twenty; batches have up to three of them.
    last = seen[-1]
    assert [stage.done for stage in last.stages] == [20, 20, 10, 20, 20, len(sums)]
    assert (last.done, last.total, last.results) == (20, 20, len(sums))
    assert {(stage.in_flight, stage.queued) for stage in last.stages} == {(0, 0)}
    for earlier, later in pairwise(seen):
        assert earlier.done <= later.done <= 20
        for before, after in zip(earlier.stages, later.stages, strict=True):
            assert before.done <= after.done


async def test_what_waits_or_is_in_flight_is_not_done() -> None:
    """A call that waits for its rate, one that is being made, a batch that is, and one to be."""

    @single_task(concurrency_limit=5, rate_limit=Rate(1, per=1.0))
    async def slow(item: int) -> int:
        await sleep(0.25)
        return item

    @batch_task(max_size=2)
    async def store(items: list[int]) -> int:
        await sleep(1.5)
        return len(items)

    done: list[tuple[float, list[int]]] = []

    class Looking(Observer):
        interval = 0.5

        def tick(self, run: RunInfo) -> None:
            figures = run.stats()
            done.append((figures.duration, [stage.items_done for stage in figures.stages]))

    async for _ in (slow | store).with_observer(Looking())(range(6)):
        pass
    # Calls begin at 0, 1, 2, 3, 4 and 5; batches at 1.25, 3.25 and 5.25.
    assert done == [
        (0.5, [1, 0]),
        (1.0, [1, 0]),
        (1.5, [2, 0]),
        (2.0, [2, 0]),
        (2.5, [3, 0]),
        (3.0, [3, 2]),
        (3.5, [4, 2]),
        (4.0, [4, 2]),
        (4.5, [5, 2]),
        (5.0, [5, 4]),
        (5.5, [6, 4]),
        (6.0, [6, 4]),
        (6.5, [6, 4]),
    ]


async def test_what_a_failing_run_leaves_unfinished_is_not_done() -> None:
    """Ten calls at a time, of which the third fails: two were done, and the rest were not."""

    @single_task(concurrency_limit=10)
    async def work(item: int) -> int:
        await sleep(1 + item)
        if item == 2:
            raise ValueError(item)
        return item

    stream = work.with_context(timings=True)(range(20))
    with pytest.raises(ValueError, match="2"):
        await consume(stream)
    (stage,) = stream.stats().stages
    assert stage.items_done == 2


async def test_a_run_is_drawn_ten_times_in_a_second() -> None:
    """Whatever goes on in it: ten items or a thousand."""
    for items in (10, 1000):
        terminal = Terminal()

        @single_task(concurrency_limit=1)
        async def quick(item: int, items: int = items) -> int:
            await sleep(1.0 / items)
            return item

        pipeline = quick.with_progress(console=terminal.console())
        async for _ in pipeline(range(items)):
            pass
        drawn = terminal.getvalue().count("in flight")
        assert 9 <= drawn - 1 <= 10


class Screens:
    """Whether rows are still shown, of a progress and anywhere."""

    def __init__(self) -> None:
        self.terminal = Terminal()
        self.progress = Progress(console=self.terminal.console())

    def check_closed(self, ending: str) -> None:
        assert self.terminal.shows_cursor
        assert self.terminal.screen[-2].endswith(f"{ending} after 1 s")
        assert self.progress._shown == {}


async def consume(stream: Any) -> None:
    """Consume a stream."""
    async for _ in stream:
        pass


@single_task
async def fail(item: int) -> int:
    await sleep(1)
    raise ValueError(item)


@single_task
async def interrupt(item: int) -> int:
    await sleep(1)
    raise KeyboardInterrupt


@single_task
async def begin(item: int) -> int:
    await sleep(item)
    return item


async def test_the_display_of_a_failed_run_is_closed() -> None:
    """It says what the run failed with."""
    screens = Screens()
    with pytest.raises(ValueError, match="1"):
        await consume(fail.with_observer(screens.progress)([1]))
    screens.check_closed("failed with ValueError")


def test_the_display_of_an_interrupted_run_is_closed(anyio_backend_name: str) -> None:
    """Ctrl-C leaves a terminal as one wants to find it."""
    screens = Screens()

    async def main() -> None:
        await consume(interrupt.with_observer(screens.progress)([1]))

    with pytest.raises(KeyboardInterrupt):
        testing.run(main, backend=anyio_backend_name)
    screens.check_closed("failed with KeyboardInterrupt")


async def test_the_display_of_a_cancelled_run_is_closed() -> None:
    """As that of one whose consumer has had enough."""
    screens = Screens()
    with move_on_after(1):
        await consume(begin.with_observer(screens.progress)([2]))
    screens.check_closed("ended early")


@pytest.mark.parametrize("way", ["block", "close"])
async def test_the_display_of_a_run_that_is_left_is_closed(way: str) -> None:
    """By the end of the block, or by closing the stream."""
    screens = Screens()
    stream = begin.with_observer(screens.progress)([1, 100])
    if way == "block":
        async with stream as results:
            async for _ in results:
                break
    else:
        async for _ in stream:
            break
        await stream.aclose()
    screens.check_closed("ended early")


async def test_runs_can_be_shown_at_the_same_time() -> None:
    """One pipeline, two runs: two displays above one another, and nothing left of either."""
    screens = Screens()
    pipeline = begin.with_observer(screens.progress)
    async with create_task_group() as group:
        group.start_soon(consume, pipeline([0.5]))
        await sleep(0.125)
        group.start_soon(consume, pipeline([1]))
    assert [line for line in screens.terminal.screen if "after" in line or "run" in line] == [
        f"{BAR}  1 of 1 done  1 out  completed after 500 ms",
        "run 2",
        f"{BAR}  1 of 1 done  1 out  completed after 1 s",
    ]
    screens.check_closed("completed")


async def test_tqdm_shows_a_run() -> None:
    """From its begin to its end."""
    file = Terminal()
    progress = TqdmProgress(file=file, ncols=120, ascii=True)
    async for _ in wait.with_observer(progress)(range(10)):
        pass
    assert re.search(r"100%\|#+\| 10/10 \[.*, wait 10\]", file.screen[0])
    assert progress._shown == {}


def test_with_progress_takes_what_progress_takes() -> None:
    """And adds it to what the pipeline has; what is not known is refused."""
    pipeline = (wait | odd).with_progress("a").with_progress("b", log_interval=1.0)
    titles = [vars(each)["_title"] for each in pipeline.context.observers]
    assert titles == ["a", "b"]
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        wait.with_progress(colour="red")
    with pytest.raises(ValueError, match=r"^log_interval must be positive, in seconds, got 0$"):
        wait.with_progress(log_interval=0)


def test_observers_are_imported_when_they_are_asked_for() -> None:
    """Neither the package nor the module of the observers needs what draws them."""
    program = (
        "import sys, conveyor\n"
        "before = 'conveyor.observers' in sys.modules\n"
        "import conveyor.observers\n"
        "print(before, 'TqdmProgress' in dir(conveyor.observers))\n"
        "conveyor.observers.Progress()\n"
        "print({'rich', 'tqdm'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False True\nset()\n"
    with pytest.raises(AttributeError, match="has no attribute 'Nop'"):
        _ = conveyor.observers.Nop
