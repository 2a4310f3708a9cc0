"""
Playing a scenario on a backend, and reporting what was wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import anyio

from conveyor import RunStatistics, testing

from .checks import check
from .consumers import LONG, Consumer, collect_garbage, current_backend
from .scenario import Scenario
from .sources import SourceFactory
from .stages import Stages
from .watching import Watch
from .world import Journal, World

__all__ = ["Report", "simulate"]

#: Turns of the event loop that no scenario needs.
MAX_TICKS = 50_000


class Report(NamedTuple):
    """What happened in the runs of a seed, in order, and what was wrong with it."""

    seed: int
    backend: str
    problems: list[str]
    trace: list[tuple[Any, ...]]
    journals: list[Journal]

    def __str__(self) -> str:
        lines = [f"seed {self.seed} on {self.backend}:"]
        lines += [f"  {problem}" for problem in self.problems]
        lines += [f"replay: python -m simulation --seed {self.seed} --backend {self.backend} -v"]
        return "\n".join(lines)


def simulate(scenario: Scenario, backend: str) -> Report:
    """Play a scenario and check it."""
    world = World(scenario)
    problems: list[str] = []
    with _watched(problems):
        try:
            testing.run(
                _play, world, problems, backend=backend, seed=scenario.seed, max_ticks=MAX_TICKS
            )
        except Exception as error:
            problems.append(f"{type(error).__name__}: {error}")
        collect_garbage()
    trace = [(journal.prefix, *event) for journal in world.journals for event in journal.trace]
    return Report(scenario.seed, backend, problems, trace, world.journals)


async def _play(world: World, problems: list[str]) -> None:
    if current_backend() == "asyncio":
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, each: problems.append(f"the loop reported {each}"))
        # Debugging, which ``python -X dev`` turns on, takes three times as long and checks nothing.
        loop.set_debug(False)
    before = _tasks()
    stages = Stages(world)
    watch = Watch(world)
    pipeline = watch.attach(stages.pipeline())
    statistics: list[RunStatistics | None] = []
    async with anyio.create_task_group() as feeders:
        sources = [SourceFactory(journal, feeders) for journal in world.journals]
        make = pipeline.outcomes if world.scenario.outcomes else pipeline
        streams: list[Any] = [make(*source.arguments()) for source in sources]
        async with anyio.create_task_group() as consumers:
            for stream, journal in zip(streams, world.journals, strict=True):
                journal.stream = stream
                consumers.start_soon(Consumer(stream, journal).run)
        await anyio.sleep(LONG)
        collect_garbage()
        for source in sources:
            source.close()
        feeders.cancel_scope.cancel()
    await stages.close()
    for stream in streams:
        try:
            statistics.append(stream.stats())
        except RuntimeError:
            statistics.append(None)  # it has not begun
    problems += world.rescuers.check(statistics)
    problems += watch.problems()
    if _tasks() != before:
        problems.append(f"{_tasks() - before} task(s) still alive")
    for journal, stats in zip(world.journals, statistics, strict=True):
        problems += [f"run {journal.prefix}: {problem}" for problem in check(journal, stats)]
        problems += [
            f"run {journal.prefix}: {name} × {count} alive long after the end"
            for name, count in (+journal.open).items()
        ]


def _tasks() -> int:
    """Count the live tasks."""
    if current_backend() == "asyncio":
        return len(asyncio.all_tasks())
    import trio

    return trio.lowlevel.current_statistics().tasks_living


@contextlib.contextmanager
def _watched(problems: list[str]) -> Iterator[None]:
    """Note warnings and exceptions that nobody could catch; keep the log quiet."""

    def note(unraisable: Any) -> None:
        problems.append(f"unraisable: {unraisable.exc_value!r} in {unraisable.object!r}")

    hook, sys.unraisablehook = sys.unraisablehook, note
    logger = logging.getLogger("conveyor")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        problems += [f"warning: {each.message}" for each in caught]
    finally:
        sys.unraisablehook = hook
        logger.disabled = was_disabled
