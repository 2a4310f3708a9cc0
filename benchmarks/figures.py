"""What was measured: medians, spreads, ratios."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from .workload import Pair

PerRound = list["float | None"]
"""A figure for each round; None where there was no turn."""


class Spread(NamedTuple):
    """The median and the quartiles, between which the middle half of the figures lies."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float | None]) -> Spread | None:
        present = [figure for figure in figures if figure is not None]
        if not present:
            return None
        if len(present) == 1:
            return cls(*present * 3)
        low, median, high = statistics.quantiles(present, n=4, method="inclusive")
        return cls(median, low, high)


def quotients(upper: Sequence[float | None], lower: Sequence[float | None]) -> PerRound:
    """Divide round by round: what disturbed a round disturbed both."""
    return [
        None if a is None or not b else a / b
        # Not everybody takes part in the last rounds.
        for a, b in zip(upper, lower, strict=False)
    ]


@dataclass
class Row:
    """A contender in a table."""

    pair: Pair
    items: int = 0
    figures: dict[str, PerRound] = field(default_factory=dict)
    """
    By name: ``cpu`` and ``wall``, in seconds per item; ``ratio``, to the baseline.

    In long runs also ``peak`` and ``growth``, in MiB.
    """
    failure: str | None = None

    def add(self, **figures: float | None) -> None:
        for name, value in figures.items():
            self.figures.setdefault(name, []).append(value)

    def spread(self, figure: str) -> Spread | None:
        return Spread.of(self.figures.get(figure, []))


@dataclass
class Table:
    """A workload on a backend."""

    workload: str
    backend: str
    rows: list[Row] = field(default_factory=list)

    def row(self, pair: Pair) -> Row | None:
        return next((row for row in self.rows if row.pair == pair), None)


@dataclass
class Results:
    """A whole run of the suite."""

    conditions: dict[str, str]
    tables: list[Table] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    cannot: dict[str, dict[str, str]] = field(default_factory=dict)
    """By contender: which functions its adapter lacks, and why."""
    missing: dict[str, str] = field(default_factory=dict)
    """Contenders that did not take part at all, and why."""

    def table(self, workload: str, backend: str) -> Table | None:
        for table in self.tables:
            if (table.workload, table.backend) == (workload, backend):
                return table
        return None

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Results:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["tables"] = [
            Table(
                table["workload"],
                table["backend"],
                [Row(**{**row, "pair": Pair(*row["pair"])}) for row in table["rows"]],
            )
            for table in content["tables"]
        ]
        return cls(**content)
