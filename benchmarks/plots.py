"""A plot for each workload: Conveyor against all, on a logarithmic scale."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from . import workloads
from .figures import Results, Spread, Table
from .tables import label

COLOURS = {"asyncio": "#1f77b4", "uvloop": "#2ca02c", "trio": "#d62728"}
mpl.rcParams["svg.hashsalt"] = "conveyor"  # the same figures give the same file
mpl.rcParams["svg.fonttype"] = "none"


def write(results: Results, workload_name: str, path: Path) -> bool:
    """
    Plot the time per item of everybody: the median as a dot, the quartiles as a line.

    :return: whether there is anything to plot
    """
    workload = workloads.ALL[workload_name]
    tables = [table for table in results.tables if table.workload == workload_name]
    spreads = {table.backend: spreads_of(table) for table in tables}
    # The quickest on top, by the first backend that has it.
    order: dict[str, float] = {}
    for by_name in spreads.values():
        for name, spread in by_name.items():
            order.setdefault(name, spread.median)
    names = sorted(order, key=order.__getitem__, reverse=True)
    if not names:
        return False

    figure = Figure(figsize=(7.5, 1.0 + 0.3 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    for place, (backend, by_name) in enumerate(spreads.items()):
        shift = 0.2 * ((len(spreads) - 1) / 2 - place)
        for name, spread in by_name.items():
            height = names.index(name) + shift
            colour = COLOURS[backend]
            axes.plot([spread.low * 1e6, spread.high * 1e6], [height, height], color=colour, lw=1)
            axes.plot(spread.median * 1e6, height, "o", color=colour, markersize=4)
        axes.plot([], [], "o", color=COLOURS[backend], markersize=4, label=backend)
    axes.set_xscale("log")
    clock = "CPU" if workload.clock == "cpu" else "wall"
    axes.set_xlabel(f"µs of {clock} time per {workload.per}, logarithmic")
    axes.set_yticks(range(len(names)), names)
    for tick, name in zip(axes.get_yticklabels(), names, strict=True):
        tick.set_fontweight("bold" if name == "Conveyor" else "normal")
    axes.grid(axis="x", which="both", color="0.9", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.legend(loc="lower left", fontsize="small")
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    return True


def spreads_of(table: Table) -> dict[str, Spread]:
    workload = workloads.ALL[table.workload]
    measured = {label(row, workload): row.spread(workload.clock) for row in table.rows}
    return {name: spread for name, spread in measured.items() if spread}
