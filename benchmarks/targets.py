"""What Conveyor wants to reach, and whether it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from . import workloads
from .figures import Results, Spread, Table, quotients
from .workload import Pair


@dataclass(frozen=True)
class Target:
    text: str
    table: str
    """The workload in whose rounds it is measured."""
    of: Pair
    limit: float
    to: Pair | None = None
    """Time of *of* divided by that of *to*; without it, a figure of *of* itself."""
    figure: Literal["time", "ratio", "growth"] = "time"
    at_least: bool = False
    backends: tuple[str, ...] = ("asyncio", "uvloop", "trio")

    @property
    def limit_text(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {self.limit:g}{' MiB' if self.figure == 'growth' else ''}"

    def measured(self, table: Table) -> Spread | None:
        of = table.row(self.of)
        if of is None:
            return None
        if self.to is None:
            return of.spread(self.figure)
        to = table.row(self.to)
        if to is None:
            return None
        clock = workloads.ALL[self.table].clock
        return Spread.of(quotients(of.figures.get(clock, []), to.figures.get(clock, [])))


class Verdict(NamedTuple):
    target: Target
    backend: str
    measured: Spread
    met: bool


def conveyor(workload: str) -> Pair:
    return Pair("Conveyor", workload)


def times_slower(peer: str, factor: float) -> Target:
    return Target(
        f"{peer} takes at least {factor:g} times as long",
        table="trivial",
        of=Pair(peer, "trivial"),
        to=conveyor("trivial"),
        limit=factor,
        at_least=True,
    )


NO_SLOWER = 1.05
"""Two equal times differ by as much as this."""

ALL = (
    Target(
        "three trivial stages, to the bare loop",
        table="trivial",
        of=conveyor("trivial"),
        to=Pair("bare loop", "trivial"),
        limit=4,
    ),
    times_slower("conveyor-streaming 1.2", 40),
    times_slower("streamable", 10),
    times_slower("aiostream", 100),
    Target(
        "as completed, to in order",
        table="as-completed",
        of=conveyor("as-completed"),
        to=conveyor("trivial"),
        limit=NO_SLOWER,
    ),
    Target(
        "batch of 100 in the middle, to three single stages",
        table="batch",
        of=conveyor("batch"),
        to=conveyor("trivial"),
        limit=NO_SLOWER,
    ),
    Target(
        "three sleeping stages, to a worker pool",
        table="sleeping",
        of=conveyor("sleeping"),
        to=Pair("worker pool", "sleeping"),
        limit=1.15,
    ),
    Target(
        "three sleeping stages, to a task per item",
        table="sleeping",
        of=conveyor("sleeping"),
        to=Pair("task per item", "sleeping"),
        limit=1,
    ),
    Target(
        "first result, in task spawns",
        table="first-result",
        of=conveyor("first-result"),
        to=Pair("worker pool", "spawn"),
        limit=20,
    ),
    Target(
        "time per item, of 1,000,000 to of 10,000",
        table="scaling",
        of=conveyor("scaling"),
        figure="ratio",
        limit=1.1,
    ),
    Target(
        "peak memory, of 1,000,000 over that of 10,000",
        table="scaling",
        of=conveyor("scaling"),
        figure="growth",
        limit=5,
    ),
    Target(
        "import, to the names of AnyIO it uses",
        table="import",
        of=conveyor("import"),
        to=Pair("AnyIO names", "import"),
        limit=1.3,
        backends=("asyncio",),
    ),
)


def verdicts(results: Results) -> Iterator[Verdict]:
    """Judge what was measured; targets without figures are left out."""
    for target in ALL:
        for backend in target.backends:
            table = results.table(target.table, backend)
            measured = table and target.measured(table)
            if measured:
                met = (
                    measured.median >= target.limit
                    if target.at_least
                    else measured.median <= target.limit
                )
                yield Verdict(target, backend, measured, met)
