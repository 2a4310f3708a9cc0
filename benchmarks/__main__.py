"""The command line of the benchmark suite."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import importlib.util
import os
import platform
import shlex
import sys
from pathlib import Path

from . import compare, contenders, environments, rounds, scaling, tables, workloads
from .contenders import Contender
from .figures import Results
from .process import ROOT, Workers
from .rounds import Method
from .workload import Workload

BACKENDS = ("asyncio", "uvloop", "trio")
QUICK = Method(rounds=3, seconds=0.1, seconds_of_all=0.8, quick=True)
THOROUGH = Method(rounds=9, seconds=0.15, seconds_of_all=4)


def main() -> None:
    options = parser().parse_args()
    if options.list:
        return show_lists()
    if options.compare or options.write_reference:
        sys.exit(compare.main(write=options.write_reference))
    results = Results.load(options.load) if options.load else measure(options)
    print(f"\nTargets\n{tables.target_table(results)}")
    for name, reason in results.missing.items():
        print(f"{name} did not take part: {reason}")
    if options.report:
        # Only a report needs matplotlib.
        from . import report

        report.write(results)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nox -s bench --", description="What a pipeline costs, side by side."
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="smaller, asyncio and Trio; within five minutes")
    add("--only", nargs="+", choices=workloads.ALL, metavar="WORKLOAD", help="some workloads")
    add("--contenders", nargs="+", choices=contenders.ALL, metavar="NAME", help="some contenders")
    add("--backends", nargs="+", choices=BACKENDS, help="some event loops")
    add("--rounds", type=int, help="turns of each contender")
    add("--items", type=int, help="items of a turn at most")
    add("--seconds", type=float, help="what a turn should take at most")
    add("--report", action="store_true", help="write docs/benchmarks.rst and its plots")
    add("--save", type=Path, metavar="FILE", help="keep what was measured")
    add("--load", type=Path, metavar="FILE", help="measure nothing; take what was kept")
    add("--compare", action="store_true", help="against benchmarks/reference.json")
    add("--write-reference", action="store_true", help="make today's figures the reference")
    add("--list", action="store_true", help="list workloads and contenders")
    add(
        "--environments",
        type=Path,
        default=ROOT / ".nox" / ".cache" / "bench",
        metavar="DIRECTORY",
        help="where the peers' virtual environments are kept",
    )
    return parser


def show_lists() -> None:
    for workload in workloads.ALL.values():
        print(f"{workload.name:24}{workload.title}")
    print()
    for contender in contenders.ALL.values():
        print(f"{contender.name:24}{', '.join(contender.backends)}")


def measure(options: argparse.Namespace) -> Results:
    default = QUICK if options.quick else THOROUGH
    method = Method(
        options.rounds or default.rounds,
        options.seconds or default.seconds,
        0 if options.rounds else default.seconds_of_all,
        options.quick,
        options.items,
    )
    selected = [workloads.ALL[name] for name in options.only or workloads.ALL]
    results = Results(conditions(options))
    offered = install(wanted(options, selected), options.environments, results)
    for backend in options.backends or (("asyncio", "trio") if options.quick else BACKENDS):
        with Workers(offered, backend) as workers:
            results.versions |= {name: v for name, v in workers.versions.items() if v}
            results.missing |= workers.missing
            results.cannot |= workers.cannot
            for workload in selected:
                if backend not in workload.backends or not workers.pairs(workload):
                    continue
                measure_one = scaling.measure if workload.is_long_run else rounds.measure
                table = measure_one(workload, backend, workers, method)
                results.tables.append(table)
                print(tables.text(table), flush=True)
                if options.save:
                    results.save(options.save)
    return results


def wanted(options: argparse.Namespace, selected: list[Workload]) -> dict[str, Contender]:
    """Return who was asked for, and whom they are compared with."""
    names = set(options.contenders or contenders.ALL)
    for workload in selected:
        pairs = [workload.baseline, *workload.beside]
        names |= {pair.contender for pair in pairs if pair}
    return {name: contender for name, contender in contenders.ALL.items() if name in names}


def install(
    wanted: dict[str, Contender], directory: Path, results: Results
) -> dict[str, tuple[Contender, Path]]:
    offered = {}
    for name, contender in wanted.items():
        try:
            offered[name] = contender, environments.python_for(contender, directory)
        except environments.InstallationError as error:
            results.missing[name] = "cannot be installed"
            print(f"{name} cannot be installed: {error}", file=sys.stderr)
    return offered


def command(options: argparse.Namespace) -> str:
    """Write the command again, without the paths."""
    words = ["nox", "-s", "bench", "--"]
    for name, value in vars(options).items():
        if value and name not in ("environments", "save"):
            words.append(f"--{name}")
            words += (
                [] if value is True else map(str, value if isinstance(value, list) else [value])
            )
    return shlex.join(words)


def conditions(options: argparse.Namespace) -> dict[str, str]:
    """Describe where, when and how, without naming the machine."""
    system = f"{os.cpu_count()} cores, {platform.system()}, {platform.machine()}"
    if hasattr(os, "getloadavg"):
        system += f"; load average {os.getloadavg()[0]:.1f} before the run"
    libraries = [name for name in ("anyio", "trio", "uvloop") if importlib.util.find_spec(name)]
    versions = {name: importlib.metadata.version(name) for name in libraries}
    return {
        "Date": datetime.date.today().isoformat(),
        "Machine": system,
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "Command": f"``{command(options)}``",
    }


if __name__ == "__main__":
    main()
