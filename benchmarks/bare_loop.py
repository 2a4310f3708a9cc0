"""
Three trivial async stages against the bare loop: what does a pipeline cost?

::

    nox -s bench                    # 100,000 items, asyncio and Trio
    nox -s bench -- --items 10000   # fewer

Loop and pipelines take turns in one process, so that what disturbs one disturbs the other; the
figures are medians of CPU time over the rounds, and ratios to the loop of the same round. Results
are compared with the loop's in every round. The last lines show that peak memory does not depend on
the number of items.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from conveyor import Pipeline, single_task


async def add_one(item: int) -> int:
    return item + 1


stage = single_task(add_one)
pipeline: Pipeline[int, int] = stage | stage | stage


async def bare_loop(items: int) -> list[int]:
    return [await add_one(await add_one(await add_one(item))) for item in range(items)]


async def collected(items: int) -> list[int]:
    return await pipeline(range(items)).collect()


async def iterated(items: int) -> list[int]:
    return [result async for result in pipeline(range(items))]


async def as_completed(items: int) -> list[int]:
    return await pipeline.as_completed(range(items)).collect()


CONTENDERS: dict[str, Callable[[int], Awaitable[list[int]]]] = {
    "bare loop": bare_loop,
    "pipeline, collect()": collected,
    "pipeline, async for": iterated,
    "as_completed, collect()": as_completed,
}


async def compare(items: int, rounds: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    expected = [item + 3 for item in range(items)]
    for _ in range(rounds):
        for name, contender in CONTENDERS.items():
            start = time.process_time()
            results = await contender(items)
            times[name].append(time.process_time() - start)
            assert results == expected, f"{name} gave wrong results"
    base = times["bare loop"]
    print(f"  {'':24}{'µs per item':>12}{'ratio':>8}{'spread':>16}")
    for name, measured in times.items():
        ratios = [mine / loop for mine, loop in zip(measured, base, strict=True)]
        print(
            f"  {name:24}{statistics.median(measured) / items * 1e6:12.2f}"
            f"{statistics.median(ratios):8.2f}"
            f"{min(ratios):10.2f} –{max(ratios):5.2f}"
        )


async def peak_memory(items: int) -> float:
    """Return the peak of what a run over *items* items allocates, in MiB; nothing is collected."""
    tracemalloc.start()
    try:
        count = 0
        async with pipeline(range(items)) as results:
            async for _ in results:
                count += 1
        assert count == items
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--items", type=int, default=100_000, help="items per run")
    parser.add_argument("--rounds", type=int, default=7, help="rounds, medians are shown")
    options: Any = parser.parse_args()
    print(
        f"{platform.python_implementation()} {platform.python_version()}, "
        f"anyio {importlib.metadata.version('anyio')}, "
        f"trio {importlib.metadata.version('trio')}, {options.items:,} items, "
        f"{options.rounds} rounds"
    )
    for backend in ("asyncio", "trio"):
        print(f"\n{backend}")
        anyio.run(compare, options.items, options.rounds, backend=backend)
        small, large = options.items // 10, options.items
        peaks = [anyio.run(peak_memory, items, backend=backend) for items in (small, large)]
        print(
            f"  peak memory: {peaks[0]:.2f} MiB for {small:,} items, "
            f"{peaks[1]:.2f} MiB for {large:,}"
        )


if __name__ == "__main__":
    main()
