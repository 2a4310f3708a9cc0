"""The figures in words: plain tables that are also valid reStructuredText."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from . import workloads
from .figures import Results, Row, Spread, Table
from .targets import verdicts
from .workload import Workload

NONE = "–"


def simple_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table: the first column to the left, numbers to the right."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    rule = "  ".join("=" * width for width in widths)

    def laid_out(line: Sequence[str]) -> str:
        first = line[0].ljust(widths[0])
        rest = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
        return "  ".join((first, *rest)).rstrip()

    return "\n".join([rule, laid_out(header), rule, *map(laid_out, lines[1:]), rule])


def number(value: float) -> str:
    """Write a number with three digits that mean something."""
    value = round(value, 2) + 0.0  # no negative zero
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def duration(seconds: float) -> str:
    for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1:
            return f"{number(seconds * factor)} {unit}"
    return f"{number(seconds * 1e6)} µs"


def with_quartiles(spread: Spread | None) -> str:
    if spread is None:
        return NONE
    between = "–" if spread.low >= 0 else " to "
    return f"{number(spread.median)} ({number(spread.low)}{between}{number(spread.high)})"


def label(row: Row, workload: Workload) -> str:
    if row.pair.workload == workload.name:
        return row.pair.contender
    if row.pair.workload == "spawn":
        return "a task spawn"
    return f"{row.pair.contender}, {workloads.ALL[row.pair.workload].name}"


def rows_of(table: Table) -> list[list[str]]:
    """Return the cells of a table, the quickest contender first."""
    workload = workloads.ALL[table.workload]
    clock = workload.clock
    fine = [row for row in table.rows if row.failure is None and row.spread(clock)]
    cells = []
    for row in sorted(fine, key=lambda row: row.spread(clock) or Spread(0, 0, 0)):
        cpu, wall = row.spread("cpu"), row.spread("wall")
        line = [
            label(row, workload),
            f"{row.items:,}",
            duration(cpu.median) if cpu else NONE,
            duration(wall.median) if wall else NONE,
            with_quartiles(row.spread("ratio")),
        ]
        if workload.is_long_run:
            line[3:4] = []
            line += [with_quartiles(row.spread(figure)) for figure in ("peak", "growth")]
        cells.append(line)
    dashes = [NONE] * (len(header_of(table)) - 2)
    failed = [row for row in table.rows if row.failure is not None]
    return cells + [[label(row, workload), *dashes, "failed"] for row in failed]


def header_of(table: Table) -> list[str]:
    workload = workloads.ALL[table.workload]
    per = workload.per
    if workload.is_long_run:
        return [table.backend, "items", "CPU per item", "ratio", "peak, MiB", "growth, MiB"]
    to = "the bound" if workload.bound else workload.baseline and workload.baseline.contender
    if workload.baseline and workload.baseline.workload == "spawn":
        to = "a task spawn"
    return [table.backend, f"{per}s", f"CPU per {per}", f"wall per {per}", f"ratio to {to}"]


def text(table: Table) -> str:
    """Return a table for the terminal."""
    title = workloads.ALL[table.workload].title
    lines = [f"\n{title}", simple_table(header_of(table), rows_of(table))]
    lines += [f"{row.pair.contender}: {row.failure}" for row in table.rows if row.failure]
    return "\n".join(lines)


def target_table(results: Results) -> str:
    return simple_table(
        ["target", "backend", "wanted", "measured", "verdict"],
        [
            [
                verdict.target.text,
                verdict.backend,
                verdict.target.limit_text,
                with_quartiles(verdict.measured),
                "met" if verdict.met else "missed",
            ]
            for verdict in verdicts(results)
        ],
    )
