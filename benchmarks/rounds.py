"""
Contenders taking turns, round by round.

Whatever else the machine does disturbs all who take turns in a round, so ratios are taken within
rounds, and the median over the rounds is shown with the extremes.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import workloads
from .figures import Row, Table, quotients
from .process import ContenderError, Workers
from .workload import Times, Workload

SLOW = 4
"""A turn that takes this many times the wanted seconds is slow."""
ROUNDS_OF_SLOW = 2


@dataclass(frozen=True)
class Method:
    rounds: int
    seconds: float
    """What a turn should take at most; contenders that need longer get fewer items."""
    quick: bool = False
    items: int | None = None

    def items_of(self, workload: Workload) -> int:
        items = workload.quick_items if self.quick else workload.items
        return min(items, self.items or items)


def measure(workload: Workload, backend: str, workers: Workers, method: Method) -> Table:
    """Let everybody who can do *workload* take turns."""
    table = Table(workload.name, backend, [Row(pair) for pair in workers.pairs(workload)])
    rounds = {row.pair: warm_up(row, workload, workers, method) for row in table.rows}
    for number in range(method.rounds):
        # Not always after the same neighbour.
        for row in table.rows[number:] + table.rows[:number]:
            if row.failure is None and number < rounds[row.pair]:
                take_turn(row, row.items, workers)
    for row in table.rows:
        add_ratio(row, table, workload)
    return table


def warm_up(row: Row, workload: Workload, workers: Workers, method: Method) -> int:
    """
    Let a contender run with more and more items, and see how many it can do in the time.

    Conveyor and what it is compared with always get all of them. CPU time decides, since wall time
    depends on what else the machine does.

    :return: for how many rounds it takes part
    """
    most = method.items_of(workloads.ALL[row.pair.workload])
    may_have_fewer = row.pair.contender != "Conveyor" and row.pair != workload.baseline
    least = min(most, workload.least or most)
    is_slow = False
    row.items = max(least, most // 100)
    while times := take_turn(row, row.items, workers):
        is_slow = times.wall > SLOW * method.seconds
        if row.items >= most or times.cpu > method.seconds / 2:
            affordable = round_down(row.items * method.seconds / times.cpu)
            row.items = max(least, min(most, affordable)) if may_have_fewer else most
            break
        row.items = min(most, row.items * 5)
    row.figures.clear()
    return ROUNDS_OF_SLOW if is_slow else method.rounds


def round_down(items: float) -> int:
    """Round to 1, 2 or 5 times a power of ten; at least 1."""
    items = max(1, items)
    power = int(10 ** (len(str(int(items))) - 1))
    return max(step * power for step in (1, 2, 5) if step * power <= items)


def take_turn(row: Row, items: int, workers: Workers) -> Times | None:
    try:
        times, _ = workers.take_turn(row.pair, items)
    except ContenderError as error:
        row.failure = str(error)
        return None
    row.add(cpu=times.cpu / items, wall=times.wall / items)
    return times


def add_ratio(row: Row, table: Table, workload: Workload) -> None:
    """Add the ratio to the bound, or to the baseline of the same round."""
    times = row.figures.get(workload.clock, [])
    baseline = workload.baseline and table.row(workload.baseline)
    if workload.bound is not None:
        bound = workload.bound(row.items) / row.items
        row.figures["ratio"] = quotients(times, [bound] * len(times))
    elif baseline is not None:
        row.figures["ratio"] = quotients(times, baseline.figures.get(workload.clock, []))
