"""
The figures of a report for people: numbers, times, and a table of the stages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .statistics import StageStatistics


def table_of(rows: Sequence[StageStatistics]) -> list[str]:
    """
    Return the lines of a table, without columns that say nothing.

    :param rows: a stage each
    """
    columns = [
        ["task", *(_plain(row.task_name) for row in rows)],
        *(
            [title, *map(show, rows)]
            for title, show, is_rare in _COLUMNS
            if not is_rare or any(show(row) not in ("0", "") for row in rows)
        ),
    ]
    widths = [max(map(len, column)) for column in columns]
    lines: list[str] = []
    for cells in zip(*columns, strict=True):
        name, *figures = (
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        lines.append("  ".join([name, *figures]))
    return lines


def _plain(name: str) -> str:
    """Write a name so that it keeps its place in a table."""
    return name if name.isprintable() else repr(name)


def seconds(value: float) -> str:
    """
    Write a time for people.

    :param value: in seconds
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= 0.9995 * size:  # which is rounded up to one
            return f"{number(value / size)} {unit}"
    return f"{value / 1e-6:.3g} us" if value else "0"


def number(value: float) -> str:
    """Write a number with three digits, or as many as it has before the point."""
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.3g}"


def _count(name: str) -> Callable[[StageStatistics], str]:
    return lambda row: f"{getattr(row, name):,}"


def _time(name: str) -> Callable[[StageStatistics], str]:
    return lambda row: "" if row.timings is None else seconds(getattr(row.timings, name))


def _quantile(name: str) -> Callable[[StageStatistics], str]:
    def show(row: StageStatistics) -> str:
        """Return the figure of one row."""
        latency = None if row.timings is None else row.timings.latency
        return "" if latency is None else seconds(getattr(latency, name))

    return show


def _batch_size(row: StageStatistics) -> str:
    mean = row.mean_batch_size
    return "" if mean is None else f"{number(mean)}/{row.batch_size:,}"


RARE_COUNTS = (
    "filtered",
    "skipped",
    "diverted",
    "failed",
    "dropped",
    "retried",
    "hedged",
    "fallbacks",
    "cache_hits",
    "in_flight",
    "queued",
)
"""Of a stage; most of them are 0 in most runs."""

# title, what it shows of a row, whether to leave it out if it is nothing in all of them
_COLUMNS: Sequence[tuple[str, Callable[[StageStatistics], str], bool]] = (
    ("in", _count("items_in"), False),
    ("out", _count("items_out"), False),
    ("calls", _count("calls"), False),
    *((name.replace("_", " "), _count(name), True) for name in RARE_COUNTS),
    ("limit", _count("limit"), False),
    ("batch", _batch_size, True),
    *((name, _time(name), True) for name in ("busy", "saturated", "held", "blocked", "starved")),
    *((name, _quantile(name), True) for name in ("p50", "p95", "p99")),
)
