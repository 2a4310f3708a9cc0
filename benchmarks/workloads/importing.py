"""How long does the import take?"""

from __future__ import annotations

import subprocess
import sys

from ..workload import Pair, Times, Turn, Workload, WrongResultError

PROGRAM = """
import time
cpu, wall = time.process_time(), time.perf_counter()
{statements}
print(time.process_time() - cpu, time.perf_counter() - wall)
import sys
print(*({optional!r} & sys.modules.keys()))
"""


async def run(turn: Turn) -> Times:
    cpu = wall = 0.0
    optional = set(getattr(turn.contender, "OPTIONAL", ()))
    program = PROGRAM.format(statements=turn.contender.IMPORT, optional=optional)
    for _ in range(turn.items):
        # A fresh interpreter each time; nothing else goes on in this event loop.
        process = subprocess.run(  # noqa: ASYNC221
            [sys.executable, "-c", program], capture_output=True, check=True, text=True
        )
        times, imported = process.stdout.splitlines()
        if imported:
            raise WrongResultError(f"imports {imported}, which is optional")
        cpu += float(times.split()[0])
        wall += float(times.split()[1])
    return Times(cpu, wall)


IMPORTING = Workload(
    name="import",
    title="Import",
    about=(
        "In a fresh interpreter, against importing just those names of AnyIO that Conveyor uses. "
        "Conveyor must not import anything optional."
    ),
    needs="IMPORT",
    run=run,
    items=20,
    quick_items=3,
    per="import",
    baseline=Pair("AnyIO names", "import"),
    least=None,
    backends=("asyncio",),
)
