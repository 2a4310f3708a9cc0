"""
The program that runs in a contender's environment and takes turns on request.

Started as ``python -m benchmarks.worker MODULE BACKEND DISTRIBUTION``. It says hello in a line of
JSON, then answers each line ``{"workload": ..., "items": ...}`` with one: the times in seconds and
the peak of the process's memory in MiB, or an error. Only the standard library, the event loop and
the contender are imported.
"""

from __future__ import annotations

import asyncio
import dataclasses
import faulthandler
import importlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from . import workloads
from .workload import Times, Turn, WrongResultError

LONGEST_TURN = 90
"""Seconds after which a turn is given up, the worker with it."""


def backend(name: str) -> tuple[Callable[..., Any], Callable[[float], Awaitable[None]]]:
    """Return a function that runs an async function, and the event loop's ``sleep``."""
    if name == "trio":
        import trio

        return trio.run, trio.sleep
    if name == "uvloop":
        import uvloop

        return lambda function, *args: uvloop.run(function(*args)), asyncio.sleep
    return lambda function, *args: asyncio.run(function(*args)), asyncio.sleep


def peak_memory() -> float | None:
    """
    Return the largest resident size of this process so far in MiB, or None if unknown.

    Not ``ru_maxrss``: a process inherits that from the one that started it.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) / 1024


def main(module: str, backend_name: str, distribution: str) -> None:
    # What contenders print must not get between the lines of the protocol.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def reply(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=replies)

    try:
        contender = importlib.import_module(f".contenders.{module}", __package__)
        run, sleep = backend(backend_name)
    except ImportError as error:
        return reply({"error": f"{type(error).__name__}: {error}"})
    version = importlib.metadata.version(distribution) if distribution != "-" else None
    cannot = {
        workload.needs: getattr(contender, "CANNOT", {}).get(workload.needs, "is not for that")
        for workload in workloads.ALL.values()
        if not hasattr(contender, workload.needs)
    }
    reply({"version": version, "cannot": cannot})
    for line in sys.stdin:
        request = json.loads(line)
        turn = Turn(contender, request["items"], sleep)
        faulthandler.dump_traceback_later(LONGEST_TURN, exit=True)
        try:
            times: Times = run(workloads.ALL[request["workload"]].run, turn)
        except WrongResultError as error:
            reply({"error": f"wrong result: {error}"})
        except Exception as error:
            reply({"error": f"{type(error).__name__}: {error}"})
        else:
            reply({**dataclasses.asdict(times), "peak": peak_memory()})
        faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main(*sys.argv[1:])
