"""
Contenders taking turns, round by round.

Whatever else the machine does disturbs all who take turns in a round, so ratios are taken within
rounds, and the median over the rounds is shown with the quartiles. A turn of a tenth of a second
may still be off by a tenth and more, so Conveyor and what it is compared with take turns in more
rounds, the more the shorter theirs are. And where its memory happens to lie makes a process slower
or faster for as long as it lives, by a few hundredths, so they begin anew in fresh ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from . import workloads
from .figures import Row, Table, quotients
from .process import ContenderError, Workers
from .workload import Pair, Times, Workload

SLOW = 4
"""A turn that takes this many times the wanted seconds is slow."""
ROUNDS_OF_SLOW = 2
MOST_ROUNDS = 45
ROUNDS_OF_PROCESS = 9


@dataclass(frozen=True)
class Method:
    rounds: int
    seconds: float
    """What a turn should take at most; contenders that need longer get fewer items."""
    seconds_of_all: float
    """What each of those that are compared takes in all, if they can have more rounds so."""
    quick: bool = False
    items: int | None = None

    def items_of(self, workload: Workload) -> int:
        items = workload.quick_items if self.quick else workload.items
        return min(items, self.items or items)

    def rounds_of_compared(self, turn: float) -> int:
        """Return how many rounds there are if a turn of the slowest takes so many seconds."""
        return max(self.rounds, min(MOST_ROUNDS, int(self.seconds_of_all / turn)))

    def rounds_of_other(self, turn: float) -> int:
        """Return in how many rounds somebody takes part whose turn takes so many seconds."""
        return min(self.rounds, ROUNDS_OF_SLOW) if turn > SLOW * self.seconds else self.rounds


def measure(workload: Workload, backend: str, workers: Workers, method: Method) -> Table:
    """Let everybody who can do *workload* take turns."""
    table = Table(workload.name, backend, [Row(pair) for pair in workers.pairs(workload)])
    turns = {row.pair: warm_up(row, workload, workers, method) for row in table.rows}
    compared = {pair for pair in turns if is_compared(pair, workload)}
    most = method.rounds_of_compared(max((turns[pair] for pair in compared), default=math.inf))
    for number in range(most):
        if number and number % ROUNDS_OF_PROCESS == 0:
            begin_anew([row for row in table.rows if row.pair in compared], workers)
        # Not always after the same neighbour.
        first = number % len(table.rows)
        for row in table.rows[first:] + table.rows[:first]:
            takes_part = row.pair in compared or number < method.rounds_of_other(turns[row.pair])
            if takes_part and row.failure is None and (times := take_turn(row, row.items, workers)):
                row.add(cpu=times.cpu / row.items, wall=times.wall / row.items)
    for row in table.rows:
        add_ratio(row, table, workload)
    return table


def is_compared(pair: Pair, workload: Workload) -> bool:
    """Tell whether a pair's time is one of those that the targets are about."""
    return pair.contender == "Conveyor" or pair == workload.baseline


def warm_up(row: Row, workload: Workload, workers: Workers, method: Method) -> float:
    """
    Let a contender run with more and more items, and see how many it can do in the time.

    Conveyor and what it is compared with always get all of them. CPU time decides, since wall time
    depends on what else the machine does.

    :return: how many seconds a turn is going to take; infinitely many if it has failed
    """
    most = method.items_of(workloads.ALL[row.pair.workload])
    least = min(most, workload.least or most)
    items = max(least, most // 100)
    seconds = math.inf
    while times := take_turn(row, items, workers):
        if items >= most or times.cpu > method.seconds / 2:
            affordable = round_down(items * method.seconds / times.cpu)
            fewer = max(least, min(most, affordable))
            row.items = most if is_compared(row.pair, workload) else fewer
            seconds = times.wall * row.items / items
            break
        items = min(most, items * 5)
    return seconds


def begin_anew(rows: list[Row], workers: Workers) -> None:
    """Let the contenders of *rows* go on in fresh processes, after a turn that does not count."""
    for contender in {row.pair.contender for row in rows}:
        workers.end(contender)
    for row in rows:
        if row.failure is None:
            take_turn(row, row.items, workers)


def round_down(items: float) -> int:
    """Round to 1, 2 or 5 times a power of ten; at least 1."""
    items = max(1, items)
    power = int(10 ** (len(str(int(items))) - 1))
    return max(step * power for step in (1, 2, 5) if step * power <= items)


def take_turn(row: Row, items: int, workers: Workers) -> Times | None:
    """Let a contender take its turn; if it fails, say so in *row* and return nothing."""
    try:
        times, _ = workers.take_turn(row.pair, items)
    except ContenderError as error:
        row.failure = str(error)
        return None
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
