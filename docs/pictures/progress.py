"""Draw the rows that a run shows amid its work, in virtual time: ``progress.py DIRECTORY``."""

from __future__ import annotations

import io
import logging
import re
import sys
from pathlib import Path
from random import Random

from anyio import sleep
from rich.console import Console

from conveyor import Observer, RunInfo, batch_task, single_task, testing
from conveyor.observers.progress_figures import Tracker
from conveyor.observers.progress_rows import draw

MOMENT = 12.0
WIDTH = 76
logging.getLogger("conveyor").setLevel(logging.ERROR)
random = Random(7)


@single_task(concurrency_limit=8)
async def fetch(page: int) -> str:
    await sleep(random.uniform(0.05, 0.15))
    return f"page {page}"


@single_task(concurrency_limit=4, retry_attempts=2, retry_delay=0.1, on_error="skip_item")
async def parse(page: str) -> str:
    await sleep(random.uniform(0.05, 0.1))
    if random.random() < 0.05:
        raise ValueError(page)
    return page


@batch_task(max_size=20)
async def store(pages: list[str]) -> int:
    await sleep(0.2)
    return len(pages)


class Picture(Observer):
    """Keeps the rows of one moment."""

    interval = 0.1

    def run_started(self, run: RunInfo) -> None:
        self.tracker = Tracker(run)
        self.console = Console(file=io.StringIO(), width=WIDTH, record=True, force_terminal=True)
        self.drawn = False

    def tick(self, run: RunInfo) -> None:
        progress = self.tracker.look()
        if not self.drawn and progress.elapsed >= MOMENT:
            self.console.print(draw(progress))
            self.drawn = True


async def run(picture: Picture) -> None:
    await (fetch | parse | store).with_observer(picture)(range(1200)).collect()


def main(path: Path) -> None:
    picture = Picture()
    testing.run(run, picture)
    svg = picture.console.export_svg(title="python program.py")
    # The pages need no network, so the picture takes a font that is there.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    path.write_text(svg, encoding="utf-8")


main(Path(sys.argv[1], "progress.svg"))
