"""
Prove that the tests find every fault of the list; ``nox -s mutants`` calls it.

Each fault is put into a copy of the package, and the tests that it names are run against the copy.
They must fail. Before that they are run against a copy without any fault, where they must pass, or
else their failing would prove nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .fault import PACKAGE, ROOT, Fault
from .faults import FAULTS

#: Seconds after which a test hangs: its own watchdog ends it, else we do.
HANG = 10
TIMEOUT = 90

#: Faults whose tests are run without any fault first, so that a sample needs no more than its own.
AT_ONCE = 40

TESTS_FAILED = 1


class Verdict(NamedTuple):
    """What became of one fault."""

    fault: Fault
    killer: str | None
    seconds: float


class GateError(Exception):
    """The gate cannot tell."""


@contextmanager
def copy_of(original: Path) -> Iterator[Path]:
    """Copy a package, with what Python has compiled of it, to a place of its own."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
        package = Path(directory, "conveyor")
        shutil.copytree(original, package)
        yield package


def run_python(package: Path, *arguments: str) -> tuple[int, str]:
    """Run Python with a copy of the package first on its path; return its exit code and output."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(package.parent),
        "NO_COLOR": "1",
    }
    command = [sys.executable, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=pipe, stderr=subprocess.STDOUT, encoding="utf-8"
    ) as child:
        try:
            output, _ = child.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            child.kill()
            output, _ = child.communicate()
            return TESTS_FAILED, f"{output}\nTimeout ({TIMEOUT} s)"
    return child.returncode, output


def run_tests(package: Path, tests: list[str]) -> tuple[int, str]:
    """Run *tests* against a copy of the package, up to the first failure."""
    options = ["-x", "-q", "-p", "no:cacheprovider", "-o", f"faulthandler_timeout={HANG}"]
    paths = [f"tests/{test}" for test in tests]
    return run_python(package, "-m", "pytest", *options, *paths)


def killer_in(code: int, output: str) -> str | None:
    """
    Say which test failed, from what pytest printed; ``None`` if none did.

    :raises GateError: if the tests could not be run
    """
    if code == 0:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) tests/(\S+::[^\s\[]+)", output, re.MULTILINE)
    if failed is not None and code == TESTS_FAILED:
        return failed[1]
    if "Timeout (" in output:
        hanging = re.search(r"^  File .* in (test_\w+)$", output, re.MULTILINE)
        return f"a hang in {hanging[1] if hanging else 'one of the tests'}"
    if code < 0:
        # Tasks that wait for ever may crash the interpreter when it frees them.
        failed = re.search(r"^_+ (?:ERROR at \w+ of )?(test_\w+)", output, re.MULTILINE)
        return f"a crash (signal {-code}) after {failed[1] if failed else 'no failure'}"
    raise GateError(f"pytest ended with {code}, which says nothing:\n{output[-2000:]}")


def check(fault: Fault, original: Path) -> Verdict:
    """Put *fault* into a copy of the package and let its tests find it."""
    begin = time.monotonic()
    with copy_of(original) as package:
        fault.inject(package)
        killer = killer_in(*run_tests(package, list(fault.tests)))
        if fault.simulated and killer is not None:
            simulated = killer_in(*run_tests(package, ["test_simulation.py"]))
            killer = None if simulated is None else f"{killer}, {simulated}"
    return Verdict(fault, killer, time.monotonic() - begin)


def check_without_faults(faults: list[Fault], package: Path) -> float:
    """
    Check that what is to fail because of the faults passes without them.

    :raises GateError: if not, or if the tests would not use our copy
    """
    begin = time.monotonic()
    whole = {test for fault in faults for test in fault.tests}
    tests = sorted(test for test in whole if test.partition("::")[0] not in whole - {test})
    code, output = run_python(package, "-c", "import conveyor; print(conveyor.__file__)")
    if code or Path(output.strip()).resolve() != (package / "__init__.py").resolve():
        raise GateError(f"another copy of the package is in the way:\n{output}")
    code, output = run_tests(package, tests)
    if code:
        raise GateError(f"the tests fail without any fault:\n{output[-4000:]}")
    return time.monotonic() - begin


def verdicts(faults: list[Fault], package: Path, jobs: int, end: float) -> Iterator[Verdict]:
    """Check *faults*, several at a time, and begin with no further one at *end* or later."""
    with ThreadPoolExecutor(jobs) as pool:

        def unless_late(fault: Fault) -> Verdict | None:
            return check(fault, package) if time.monotonic() < end else None

        futures: list[Future[Verdict | None]] = [pool.submit(unless_late, each) for each in faults]
        try:
            for future in futures:
                if (verdict := future.result()) is not None:
                    yield verdict
        finally:
            for future in futures:
                future.cancel()


def main() -> int:
    """Print a table of the faults and what killed them; return 1 if any survived."""
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument("--only", metavar="TEXT", help="only faults whose name contains TEXT")
    parser.add_argument("--jobs", type=int, default=2, help="faults at a time (default: 2)")
    parser.add_argument("--list", action="store_true", help="list the faults and end")
    parser.add_argument(
        "--budget",
        type=float,
        metavar="SECONDS",
        help="begin with no fault after so many seconds; the faults come in random order then",
    )
    options = parser.parse_args()
    faults = [each for each in FAULTS if options.only is None or options.only in each.name]
    if not faults:
        parser.error(f"no fault is called {options.only!r}; --list names them all")
    if options.list:
        print(*(each.name for each in faults), sep="\n")
        return 0
    begin = time.monotonic()
    end = float("inf")
    if options.budget is not None:
        random.shuffle(faults)
        end = begin + options.budget
    done: list[Verdict] = []
    try:
        with copy_of(PACKAGE) as package:
            while len(done) < len(faults) and time.monotonic() < end:
                some = faults[len(done) : len(done) + AT_ONCE]
                seconds = check_without_faults(some, package)
                print(f"{'(no fault: all named tests pass)':<72} {seconds:5.1f}", flush=True)
                for verdict in verdicts(some, package, options.jobs, end):
                    done.append(verdict)
                    print(f"{verdict.fault.name:<72} {verdict.seconds:5.1f}  ", end="")
                    print(verdict.killer or "SURVIVED", flush=True)
    except GateError as error:
        print(error)
        return 1
    survivors = [verdict.fault.name for verdict in done if verdict.killer is None]
    print(
        f"{len(done) - len(survivors)} faults killed, {len(survivors)} survived, "
        f"{len(faults) - len(done)} not tried, in {time.monotonic() - begin:.0f} s"
    )
    for name in survivors:
        print(f"no test finds: {name}")
    return 1 if survivors or not done else 0


if __name__ == "__main__":
    sys.exit(main())
