"""
Today's figures against ``reference.json``: what changed?

Counts of operations are compared closely, ratios of times with a wide margin. This is for whoever
changes the engine; CI does not run it. References are kept for each Python, whose versions differ
in what they count.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

from . import contenders, counts, rounds, tables, workloads
from .process import Workers
from .rounds import Method

REFERENCE = Path(__file__).with_name("reference.json")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

# Trio shuffles the tasks that are ready, and what an expansion does depends on their order.
COUNT_MARGINS = {"asyncio": 1.05, "trio": 1.5}
COUNT_NOISE = 0.1
RATIO_MARGINS = {"asyncio": 1.5, "trio": 1.5}

CONTENDERS = ("Conveyor", "bare loop", "worker pool")
WORKLOADS = ("trivial", "as-completed", "batch", "retries", "sleeping", "first-result")
METHOD = Method(rounds=5, seconds=0.1, seconds_of_all=1, quick=True)

Figures = dict[str, float]


def main(write: bool) -> int:
    """
    Compare, or write the reference.

    :return: the exit status, 1 if anything has become worse by more than its margin
    """
    today = {"counts": counts.measure(), "ratios": ratios()}
    references = json.loads(REFERENCE.read_text()) if REFERENCE.exists() else {}
    if write:
        references[PYTHON] = {"versions": versions(), **today}
        REFERENCE.write_text(json.dumps(references, indent=1, sort_keys=True) + "\n")
        print(f"written: {REFERENCE.name}, for Python {PYTHON}")
        return 0
    reference = references.get(PYTHON)
    if reference is None:
        print(f"{REFERENCE.name} has no figures for Python {PYTHON}; --write-reference adds them")
        return 0
    if reference["versions"] != versions():
        print(f"note: the reference was measured with {reference['versions']}, this {versions()}")
    changes = [
        *changed(reference["counts"], today["counts"], COUNT_MARGINS, COUNT_NOISE),
        *changed(reference["ratios"], today["ratios"], RATIO_MARGINS, 0),
    ]
    if not changes:
        print(f"{sum(map(len, today.values()))} figures, none of them changed")
        return 0
    print(tables.simple_table(["figure", "reference", "today", "verdict"], changes))
    return int(any(line[-1] == "worse" for line in changes))


def changed(
    reference: Figures, today: Figures, margins: dict[str, float], noise: float
) -> list[list[str]]:
    """Return a line for each figure that differs by more than its margin, a factor, and *noise*."""
    lines = []
    for name in sorted(reference.keys() | today.keys()):
        old, new = reference.get(name), today.get(name)
        margin = margins[name.partition(",")[0]]
        if old is None or new is None:
            lines.append([name, str(old), str(new), "gone" if new is None else "new"])
        elif new > old * margin + noise:
            lines.append([name, f"{old:g}", f"{new:g}", "worse"])
        elif old > new * margin + noise:
            lines.append([name, f"{old:g}", f"{new:g}", "better"])
    return lines


def ratios() -> Figures:
    """Measure Conveyor against the loop and the pool, in rounds, on both backends."""
    offered = {name: (contenders.ALL[name], Path(sys.executable)) for name in CONTENDERS}
    figures = {}
    for backend in ("asyncio", "trio"):
        with Workers(offered, backend) as workers:
            for name in WORKLOADS:
                table = rounds.measure(workloads.ALL[name], backend, workers, METHOD)
                for row in table.rows:
                    ratio = row.spread("ratio")
                    if row.pair == ("Conveyor", name) and ratio:
                        figures[f"{backend}, {name}: ratio"] = round(ratio.median, 2)
    return figures


def versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("anyio", "trio")}
