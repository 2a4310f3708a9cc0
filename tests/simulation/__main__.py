"""
The simulation from the command line: many seeds on all cores, or one of them in detail.

``python -m simulation --seeds 20000`` soaks, ``python -m simulation --seed 7 --backend trio -v``
replays. Exits with 1 if a seed failed.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from .run import Report, simulate
from .scenario import Scenario

#: Seeds that a process plays before it reports.
CHUNK = 100
BACKENDS = ("asyncio", "trio")


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this one")
    parser.add_argument("--seeds", type=int, default=20_000, help="how many, on each backend")
    parser.add_argument("--start", type=int, default=0, help="the first of them")
    parser.add_argument("--backend", choices=BACKENDS, help="default: both")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("-v", "--verbose", action="store_true", help="show scenario and trace")
    options = parser.parse_args()
    backends = [options.backend] if options.backend else list(BACKENDS)
    if options.seed is not None:
        failed = [each for each in backends if replay(options.seed, each, options.verbose)]
    else:
        seeds = range(options.start, options.start + options.seeds)
        failed = [each for each in backends if soak(seeds, each, options.jobs)]
    return 1 if failed else 0


def replay(seed: int, backend: str, verbose: bool) -> bool:
    """Play one seed and tell all about it; say whether it failed."""
    scenario = Scenario.from_seed(seed)
    report = simulate(scenario, backend)
    if verbose:
        for name, value in vars(scenario).items():
            values = value if isinstance(value, tuple) and value else [value]
            print(f"{name}:", *values, sep="\n  ")
        for run, when, what, *details in report.trace:
            print(f"{run} {when:6g} {what}", *details)
    print(report if report.problems else f"seed {seed} on {backend}: nothing wrong")
    return bool(report.problems)


def soak(seeds: range, backend: str, jobs: int) -> bool:
    """Play many seeds in several processes; say whether any failed."""
    start = time.perf_counter()
    failures = 0
    chunks = [seeds[begin : begin + CHUNK] for begin in range(0, len(seeds), CHUNK)]
    with ProcessPoolExecutor(jobs, initializer=gc.freeze) as pool:
        for reports in pool.map(partial(play, backend=backend), chunks):
            failures += len(reports)
            print(*reports, sep="\n", end="\n" if reports else "", flush=True)
    elapsed = time.perf_counter() - start
    print(
        f"{backend}: {len(seeds)} seeds from {seeds.start}, {failures} failed, "
        f"{len(seeds) / elapsed:.0f} per second"
    )
    return failures > 0


def play(seeds: range, backend: str) -> list[str]:
    """Play a chunk of seeds and return the reports of those that failed."""
    return [str(report) for report in failures(seeds, backend)]


def failures(seeds: range, backend: str) -> list[Report]:
    """Play seeds one after another and return what failed."""
    reports = (simulate(Scenario.from_seed(seed), backend) for seed in seeds)
    return [report for report in reports if report.problems]


if __name__ == "__main__":
    sys.exit(main())
