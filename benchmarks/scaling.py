"""Long runs against short ones, each in a fresh process, whose peak of memory is its own."""

from __future__ import annotations

import statistics

from .figures import Row, Table
from .process import ContenderError, WorkerProcess, Workers
from .rounds import Method
from .workload import Pair, Workload

LENGTHS = (1_000_000, 100_000, 10_000, 1_000)
SHORT_OF_LONG = 100
WARM_UP = 500
LONGEST = 10
"""A long run may take as many times the seconds of an ordinary turn."""
ROUNDS = 3


def measure(workload: Workload, backend: str, workers: Workers, method: Method) -> Table:
    """Compare long with short runs of everybody who can do *workload*."""
    table = Table(workload.name, backend, [Row(pair) for pair in workers.pairs(workload)])
    for number in range(min(ROUNDS, method.rounds)):
        for row in table.rows:
            if row.failure is not None:
                continue
            try:
                if number == 0:
                    row.items = longest_possible(row.pair, workers, method)
                measure_row(row, workers)
            except ContenderError as error:
                row.failure = str(error)
    return table


def longest_possible(pair: Pair, workers: Workers, method: Method) -> int:
    """Return the longest run that fits into the time; for Conveyor the longest there is."""
    most = method.items or LENGTHS[0]
    if pair.contender == "Conveyor":
        return most
    with workers.fresh(pair.contender) as worker:
        worker.take_turn(pair.workload, WARM_UP)
        times, _ = worker.take_turn(pair.workload, WARM_UP)
    affordable = LONGEST * method.seconds * WARM_UP / times.cpu
    return next((n for n in LENGTHS if n <= min(most, affordable)), LENGTHS[-1])


def measure_row(row: Row, workers: Workers) -> None:
    """Add a round: the time per item of the long run, its ratio to a short one, the memory."""
    short = max(1, row.items // SHORT_OF_LONG)
    with workers.fresh(row.pair.contender) as worker:
        per_item, peak = per_item_and_peak(worker, row.pair, short, turns=5)
    with workers.fresh(row.pair.contender) as worker:
        long_per_item, long_peak = per_item_and_peak(worker, row.pair, row.items, turns=1)
    growth = None if peak is None or long_peak is None else long_peak - peak
    row.add(cpu=long_per_item, ratio=long_per_item / per_item, peak=long_peak, growth=growth)


def per_item_and_peak(
    worker: WorkerProcess, pair: Pair, items: int, turns: int
) -> tuple[float, float | None]:
    # The first run of a process pays for what is set up once.
    worker.take_turn(pair.workload, min(items, WARM_UP))
    answers = [worker.take_turn(pair.workload, items) for _ in range(turns)]
    return statistics.median(times.cpu for times, _ in answers) / items, answers[-1][1]
