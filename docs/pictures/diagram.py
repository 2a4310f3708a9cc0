"""A run whose second task is too slow for the others, drawn with its figures."""

import logging
import sys
from pathlib import Path

import anyio

from conveyor import batch_task, single_task
from conveyor.testing import run


@single_task(concurrency_limit=20)
async def fetch(number: int) -> str:
    """Fetch a page."""
    await anyio.sleep(0.1)
    return f"page {number}"


@single_task(concurrency_limit=4, on_error="skip_item")
async def translate(page: str) -> str:
    """Ask a service, which refuses some of the pages."""
    await anyio.sleep(0.3)
    if page.endswith("7"):
        raise ValueError("no such language")
    return page.upper()


@batch_task(max_size=50)
async def store(pages: list[str]) -> int:
    """Write pages into a database."""
    await anyio.sleep(0.2)
    return len(pages)


async def draw() -> str:
    pipeline = (fetch | translate | store).with_context(timings=True)
    async with pipeline(range(1, 501)) as results:
        async for _ in results:
            pass
        return pipeline.to_mermaid(results.report(), direction="TB")


if __name__ == "__main__":
    logging.getLogger("conveyor").setLevel(logging.ERROR)
    Path(sys.argv[1], "diagram.mmd").write_text(run(draw), encoding="utf-8")
