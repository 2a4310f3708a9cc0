"""The figures as a page of the documentation, with plots. Losses are published too."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator

from . import contenders, plots, tables, workloads
from .figures import Results
from .process import ROOT
from .workload import Pair, Workload

PAGE = ROOT / "docs" / "benchmarks.rst"
PLOTS = ROOT / "docs" / "_static" / "benchmarks"

INTRODUCTION = """\
Conveyor beside its peers and beside what one writes by hand, on the same work, in one run. This
page is written by ``nox -s bench -- --report``; the figures come from one machine, so trust the
ratios.
"""

TIMELINE = """\
That each result comes at its time, as in :doc:`order_and_backpressure`, is for the tests to say, in
virtual time.
"""

METHOD = """\
Every contender lives in a process of its own, every library in its own virtual environment with the
newest versions that it allows, each in the form that its documentation shows. They take turns: a
*round* is one turn of each, and between turns everybody else waits. Before a turn the garbage is
collected; the first turns warm up and do not count. Results are compared with what they should be
in every turn, and who is wrong once has *failed*.

Figures are medians over the rounds, with the quartiles in brackets. Ratios are taken within a
round, of CPU times where nothing else is said, and then treated the same way, so
``4.00 (3.90–4.20)`` means that what disturbed the machine made little difference in half of the
rounds. There are nine rounds, and up to 45 for Conveyor and what it is compared with, in a fresh
process after every nine, since a turn of a tenth of a second may be off by a tenth, and a process
by less for as long as it lives. Slow contenders get fewer items, so that each turn takes about as
long; all times are per item.

A stage may have 100 calls in flight, which is Conveyor's default, also where functions do not wait.
What knows no stages may have 100 for each function. Conveyor is used with its default window of
1,000 items.
"""

CONTENDERS = """\
*bare loop* awaits one call after the other. In *worker pool*, tasks share one iterator, each taking
an item through all functions. *task per item* is ``asyncio.TaskGroup`` with a semaphore, on Trio
a nursery with a capacity limiter. *asyncio queues* and *AnyIO streams* are pipelines written by
hand, with a pool of workers for each stage. They keep results in a list by index, so none of these
restores order while it runs, handles errors, or bounds what it holds beyond the buffers. *pypeln*
gives results as they complete; its ``ordered`` stage sorts them at the end, and so cannot show the
first one early.
"""


HAND_WRITTEN = """\
The programs written by hand are there where they have something to show: they neither gather
batches nor filter, expand or retry.
"""


def write(results: Results) -> None:
    """Write the page and its plots; what was there is replaced."""
    shutil.rmtree(PLOTS, ignore_errors=True)
    PLOTS.mkdir(parents=True)
    PAGE.write_text("\n".join(page(results)).rstrip() + "\n", encoding="utf-8")
    print(f"\nwritten: {PAGE.relative_to(ROOT)} and {PLOTS.relative_to(ROOT)}")


def page(results: Results) -> Iterator[str]:
    yield from heading("Benchmarks", "=")
    yield INTRODUCTION
    for name, value in {**results.conditions, "Libraries": libraries(results)}.items():
        yield textwrap.fill(f":{name}: {value}", 100, subsequent_indent="    ")
    yield ""
    yield from heading("Targets", "-")
    yield tables.target_table(results)
    yield ""
    yield TIMELINE
    yield from heading("Where others are quicker", "-")
    yield from losses(results)
    yield from heading("Method", "-")
    yield METHOD
    yield CONTENDERS
    for workload in workloads.ALL.values():
        yield from section(results, workload)
    yield from heading("Who is not in a table, and why", "-")
    yield from absences(results)


def heading(text: str, line: str) -> Iterator[str]:
    yield text
    yield line * len(text)
    yield ""


def libraries(results: Results) -> str:
    named = (
        f"{contenders.ALL[name].distribution if contenders.ALL[name].is_peer else name} {version}"
        for name, version in results.versions.items()
    )
    return ", ".join(sorted(named, key=str.lower))


def section(results: Results, workload: Workload) -> Iterator[str]:
    measured = [table for table in results.tables if table.workload == workload.name]
    if not measured or workload.name == "spawn":
        return
    yield from heading(workload.title, "-")
    yield workload.about
    yield ""
    if plots.write(results, workload.name, PLOTS / f"{workload.name}.svg"):
        yield f".. image:: _static/benchmarks/{workload.name}.svg"
        yield f"   :alt: {workload.title}: time per {workload.per} of every contender"
        yield ""
    for table in measured:
        yield tables.simple_table(tables.header_of(table), tables.rows_of(table))
        yield ""
        for row in table.rows:
            if row.failure:
                yield f"*{row.pair.contender}* failed: {row.failure.rstrip('.')}."
                yield ""


def losses(results: Results) -> Iterator[str]:
    """List which library did better than Conveyor, and by how much."""
    yield "Libraries that took less time than Conveyor for the same work, ratio of the medians:"
    yield ""
    lines = []
    for table in results.tables:
        clock = workloads.ALL[table.workload].clock
        conveyor = table.row(Pair("Conveyor", table.workload))
        mine = conveyor and conveyor.spread(clock)
        for row in table.rows:
            theirs = row.spread(clock)
            is_peer = contenders.ALL[row.pair.contender].is_peer
            if is_peer and mine and theirs and not row.failure and theirs < mine:
                ratio = tables.number(mine.median / theirs.median)
                title = workloads.ALL[table.workload].title
                lines.append(f"* {title}, {table.backend}: {row.pair.contender}, {ratio}×")
    yield from lines or ["None."]
    yield ""


def absences(results: Results) -> Iterator[str]:
    for name, reason in results.missing.items():
        yield bullet(f"*{name}* {reason}.")
    for name, cannot in results.cannot.items():
        contender = contenders.ALL[name]
        if not contender.is_peer:
            continue
        titles: dict[str, list[str]] = {}
        for workload in workloads.ALL.values():
            if workload.needs in cannot and workload.needs != "spawned":
                titles.setdefault(cannot[workload.needs], []).append(workload.title)
        reasons = [f"{reason} ({'; '.join(named)})" for reason, named in titles.items()]
        if contender.backends == contenders.ASYNCIO:
            reasons.append("is for asyncio only")
        elif contender.backends == ("trio",):
            reasons.append("is for Trio only")
        yield bullet(f"*{name}* {', '.join(reasons)}.")
    yield ""
    yield HAND_WRITTEN


def bullet(text: str) -> str:
    return textwrap.fill(text, 100, initial_indent="* ", subsequent_indent="  ")
