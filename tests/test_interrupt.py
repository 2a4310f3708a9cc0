"""
Ctrl-C ends a program as usual; each test sends it to child processes.

To try many moments at little cost, one child forks a process for each of them.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import anyio, faulthandler, sys
import conveyor._engine.run  # in advance, lest asyncio warn of a slow step
from conveyor import single_task

faulthandler.dump_traceback_later(60, exit=True)  # says where it hangs, and the test fails

started = []

@single_task
async def work(item):
    try:
        started.append(item)
        if len(started) == 3:
            print("working", flush=True)
        # An idle loop of asyncio would sleep through a signal that comes just before it sleeps.
        while True:
            await anyio.sleep(0.01)
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
        output, errors = child.communicate()
    assert (child.returncode, errors) == (0, "")
    *ended, last = output.splitlines()
    assert sorted(ended) == ["ended 0", "ended 1", "ended 2"]
    assert last == "interrupted"


# Runs itself once per moment in a fork, and prints what became of each.
MOMENTS = """
import faulthandler, gc, json, logging, os, signal, sys, tempfile, time, warnings

import anyio, anyio.to_thread
import conveyor._engine.events
from conveyor import batch_task, single_task

backend, surface, *moments = sys.argv[1:]
logging.getLogger("conveyor").setLevel(logging.ERROR)  # not of what is tried again
logging.getLogger("asyncio").setLevel(logging.ERROR)  # nor of steps that took long under load
# asyncio may cancel a task before its first step; AnyIO does not close its coroutine then. And an
# interrupt may come between the call of a coroutine function and the first step, in any program.
warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
single_task(abs).run([], backend=backend)  # imports what it takes, lest each fork does
open_calls = steps = 0

def step():
    # Progress has been made: is this the moment?
    global steps
    steps += 1
    if steps == moment:
        signal.raise_signal(signal.SIGINT)

class Counted:
    def __enter__(self):
        global open_calls
        open_calls += 1
    def __exit__(self, *exc_info):
        global open_calls
        open_calls -= 1

if backend == "trio":
    import trio
    # It is to tell what was interrupted, not to be.
    for each in (Counted.__enter__, Counted.__exit__):
        trio.lowlevel.enable_ki_protection(each)

async def source():
    with Counted():
        step()
        for item in range(12):
            if case == "slow source":
                await anyio.sleep(0.002)
            if case == "blocked source" and item == moment % 7:
                print("waiting", flush=True)
                while True:  # as above
                    await anyio.sleep(0.01)
            step()
            yield item

def block_thread(item):
    with Counted():
        step()
        time.sleep(0.001)
        step()
    return item

@single_task(concurrency_limit=4)
async def work(item):
    with Counted():
        step()
        await anyio.sleep(0.001)
        step()
    return item

@single_task(concurrency_limit=4)
async def threaded(item):
    return await anyio.to_thread.run_sync(block_thread, item)

@single_task(concurrency_limit=4)
async def generating(item):
    with Counted():
        step()
        for _ in range(2):
            yield item
            step()
            await anyio.sleep(0)

@batch_task(max_size=3, concurrency_limit=2)
async def batched(batch):
    with Counted():
        step()
        await anyio.sleep(0.001)
        step()
    return batch

@single_task(concurrency_limit=4, retry_attempts=2, retry_delay=3600)
async def retrying(item):
    with Counted():
        step()
        if item == moment % 7:
            print("waiting", flush=True)
            raise ValueError
    return item


async def main():
    if surface == "collect":
        await pipeline(source()).collect()
    elif surface == "block":
        async with pipeline(source()) as results:
            async for _ in results:
                step()
    else:
        async for _ in pipeline(source()):
            step()

def start(moment):
    reader, writer = os.pipe()
    errors = tempfile.TemporaryFile()
    child = os.fork()
    if not child:
        os.close(reader)
        os.dup2(writer, 1)
        os.dup2(errors.fileno(), 2)
        os.close(writer)
        errors.close()
        return None
    os.close(writer)
    output = ""
    with open(reader, encoding="utf-8") as lines:
        for line in lines:
            output += line
            if line == "waiting\\n":
                time.sleep(0.005)
                os.kill(child, signal.SIGINT)
    _, status = os.waitpid(child, 0)
    errors.seek(0)
    with errors:
        return moment, os.waitstatus_to_exitcode(status), output, errors.read().decode()

outcomes = []
for each in moments:
    case, _, number = each.partition(":")
    moment = int(number)
    outcome = start(each)
    if outcome is None:
        break
    outcomes.append(outcome)
    if outcome[1]:
        break  # it hung, perhaps, and the others would take as long
if outcome is not None:
    print(json.dumps(outcomes))
    sys.exit()

faulthandler.dump_traceback_later(40, exit=True)  # says where it hangs, and the test fails
if case in ("blocked source", "retry"):
    step = lambda: None  # not by progress, but by the parent
middle = {"threads": threaded, "batches": batched, "generators": generating, "retry": retrying}
pipeline = work | middle.get(case, work) | work
try:
    if surface == "run":
        pipeline.run(source(), backend=backend)
    else:
        anyio.run(main, backend=backend)
except BaseException as error:
    expected = ["KeyboardInterrupt"]
    if backend == "asyncio" and sys.version_info < (3, 11) and surface != "run":
        expected.append("CancelledError")  # as any program under anyio.run() gets it there
    if type(error).__name__ not in expected:
        raise
    print("interrupted,", open_calls, "left")
gc.collect()
sys.stdout.flush()
os._exit(0)  # a whole shutdown of the interpreter for each moment would take too long
"""
CASES = ["threads", "batches", "generators", "slow source", "blocked source", "retry"]


@pytest.mark.skipif(sys.platform == "win32", reason="no fork() on Windows")
@pytest.mark.parametrize("surface", ["plain", "block", "collect", "run"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ctrl_c_at_many_moments(backend: str, surface: str) -> None:
    """Whatever a run is doing, Ctrl-C ends it, every call's ``finally`` has run, in silence."""
    moments = [f"{case}:{1 + n + 7 * each}" for n, case in enumerate(CASES) for each in range(3)]
    options = ["-X", "dev", "-W", "error"]
    command = [sys.executable, *options, "-c", MOMENTS, backend, surface, *moments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=110)
    assert (done.returncode, done.stderr) == (0, "")
    outcomes: list[Any] = json.loads(done.stdout)
    for moment, status, output, errors in outcomes:
        assert (status, errors) == (0, ""), moment
        assert output.splitlines()[-1:] == ["interrupted, 0 left"], moment
    assert [moment for moment, *_ in outcomes] == moments
