"""Ctrl-C ends a program as usual; each test sends it to a child process."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import anyio, sys
from conveyor import single_task

started = []

@single_task
async def work(item):
    try:
        started.append(item)
        if len(started) == 3:
            print("working", flush=True)
        await anyio.sleep_forever()
    finally:
        print("ended", item)

try:
    work.run(range(3), backend=sys.argv[1])
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one child on Windows")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ctrl_c_in_run(backend: str) -> None:
    """``run()`` ends every call and raises ``KeyboardInterrupt``."""
    command = [sys.executable, "-X", "dev", "-c", PROGRAM, backend]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, encoding="utf-8") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "working\n"
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate(timeout=60)
    assert (child.returncode, errors) == (0, "")
    *ended, last = output.splitlines()
    assert sorted(ended) == ["ended 0", "ended 1", "ended 2"]
    assert last == "interrupted"
