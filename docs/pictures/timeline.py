"""
Draw the timelines that ``observing.rst`` shows, into the directory that is given.

The runs are made in virtual time, so they take none, and the pictures are always the same.
"""

import logging
import random
import sys
from collections import Counter
from pathlib import Path

import anyio

from conveyor import Pipeline, batch_task, record_timeline, single_task
from conveyor.testing import run


def pipeline(scale: float, fetches: int) -> Pipeline[int, int]:
    attempts: Counter[int] = Counter()

    @single_task(concurrency_limit=fetches)
    async def fetch(number: int) -> int:
        # Something is slow for a while.
        stall = 4 if 12_000 <= number < 12_400 else 1
        await anyio.sleep(scale * stall * random.Random(number).uniform(0.1, 0.6))
        return number

    @single_task(
        concurrency_limit=3, retry_attempts=3, retry_delay=scale * 0.1, on_error="skip_item"
    )
    async def parse(number: int) -> int:
        await anyio.sleep(scale * 0.1)
        attempts[number] += 1
        if number % 31 == 22 or (number % 11 == 3 and attempts[number] == 1):
            raise ValueError
        return number

    @batch_task(max_size=10, max_wait=scale)
    async def store(numbers: list[int]) -> int:
        await anyio.sleep(scale * 0.3)
        return len(numbers)

    return fetch | parse | store


async def draw(directory: Path, name: str, pipeline: Pipeline[int, int], items: int) -> None:
    timeline = record_timeline(directory / f"{name}.json")
    await pipeline.with_observer(timeline)(range(items)).collect()
    timeline.save_picture(directory / f"{name}.svg")


if __name__ == "__main__":
    logging.getLogger("conveyor").setLevel(logging.ERROR)
    directory = Path(sys.argv[1])
    run(draw, directory, "timeline", pipeline(1, 8), 60)
    run(draw, directory, "timeline_long", pipeline(0.1, 8).with_context(max_in_flight=100), 20_000)
