"""
Operations per item, which do not depend on the machine.

Each case is run with some items and with twice as many; the difference, divided by the items, is
free of what starting and ending cost. Trio shuffles the tasks that are ready, so its figures vary a
little.
"""

from __future__ import annotations

import asyncio
import gc
import selectors
import sys
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import trio
from anyio.lowlevel import checkpoint

from .contenders import conveyor
from .work import BATCH, add_one, flaky, ten_of, total

ITEMS = 2_000
FUNCTION_CALLS = ("call", "c_call")

Case = Callable[[int], Awaitable[Any]]
Counter = dict[str, float]


async def suspend(item: int) -> int:
    await checkpoint()
    return item


async def start_up(items: int) -> None:
    for _ in range(items // 10):
        await conveyor.ordered([0], [add_one] * 3)


CASES: dict[str, Case] = {
    "trivial": lambda items: conveyor.ordered(range(items), [add_one] * 3),
    "as-completed": lambda items: conveyor.as_completed(range(items), [add_one] * 3),
    "batch": lambda items: conveyor.batched(range(items), add_one, total, BATCH, add_one),
    "expansion": lambda items: conveyor.expanded(range(items), ten_of, add_one),
    "retries": lambda items: conveyor.retried(range(items), flaky(), attempts=2),
    "suspending": lambda items: conveyor.ordered(range(items), [suspend] * 3),
    "start-up of a tenth as many runs": start_up,
}


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts its turns and the steps of tasks and callbacks."""

    def __init__(self, counter: Counter) -> None:
        super().__init__(CountingSelector(counter))
        self.counter = counter

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        self.counter["steps"] += 1
        return super().call_soon(callback, *args, context=context)


class CountingSelector(selectors.DefaultSelector):
    def __init__(self, counter: Counter) -> None:
        super().__init__()
        self.counter = counter

    def select(self, timeout: float | None = None) -> Any:
        self.counter["turns"] += 1
        return super().select(timeout)


class CountingInstrument(trio.abc.Instrument):
    def __init__(self, counter: Counter) -> None:
        self.counter = counter

    def before_io_wait(self, timeout: float) -> None:
        self.counter["turns"] += 1

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.counter["steps"] += 1


def run(backend: str, function: Callable[[], Awaitable[Any]], counter: Counter) -> None:
    """Run *function* on an event loop that counts into *counter*."""
    counter.update(turns=0, steps=0)
    if backend == "trio":
        trio.run(function, instruments=[CountingInstrument(counter)])
        return
    loop = CountingLoop(counter)
    try:
        loop.run_until_complete(function())
    finally:
        loop.close()


@contextmanager
def counted_calls(counter: Counter) -> Iterator[None]:
    counter["calls"] = 0

    def profile(frame: object, event: str, argument: object) -> None:
        if event in FUNCTION_CALLS:
            counter["calls"] += 1

    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)


def operations(backend: str, case: Case, items: int) -> Counter:
    """Count the function calls, turns of the event loop and steps of tasks in one run."""
    counter: Counter = {}

    async def main() -> None:
        with counted_calls(counter):
            await case(items)

    run(backend, main, counter)
    return counter


def operations_per_item(backend: str, case: Case) -> Counter:
    operations(backend, case, 10)  # pays for what is set up once
    once, twice = (operations(backend, case, items) for items in (ITEMS, 2 * ITEMS))
    return {name: round((twice[name] - once[name]) / ITEMS, 3) for name in once}


def memory(backend: str) -> Counter:
    """Measure the peak of a long run in KiB, and the blocks per item that it leaves behind."""

    async def main() -> None:
        async with conveyor.streaming(range(5 * ITEMS), [add_one] * 3) as results:
            async for _ in results:
                pass

    run(backend, main, {})
    gc.collect()
    before = sys.getallocatedblocks()
    tracemalloc.start()
    run(backend, main, {})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    gc.collect()
    left = sys.getallocatedblocks() - before
    return {"peak KiB": round(peak / 1024), "blocks left": round(left / (5 * ITEMS), 3)}


def measure() -> dict[str, float]:
    """Return all figures, by a name that says backend, case and operation."""
    figures = {}
    for backend in ("asyncio", "trio"):
        for name, case in CASES.items():
            for operation, count in operations_per_item(backend, case).items():
                figures[f"{backend}, {name}: {operation} per item"] = count
        for what, amount in memory(backend).items():
            figures[f"{backend}, memory: {what}"] = amount
    return figures
