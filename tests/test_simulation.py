"""Random runs of random pipelines on random schedules, each replayed from its seed."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from simulation.run import simulate
from simulation.scenario import Scenario

BACKENDS = ["asyncio", "trio"]
SEEDS = 500
CHUNK = 50


@pytest.fixture(autouse=True)
def small_heap() -> Iterator[None]:
    """Keep what is not of the simulation out of its garbage collections."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("start", range(0, SEEDS, CHUNK))
@pytest.mark.parametrize("backend", BACKENDS)
def test_random_runs_keep_the_contract(backend: str, start: int) -> None:
    """Results, order, errors, bounds, counts and endings are as promised; see ``simulation``."""
    reports = [simulate(Scenario.from_seed(seed), backend) for seed in range(start, start + CHUNK)]
    failed = [str(report) for report in reports if report.problems]
    assert not failed, "\n" + "\n".join(failed)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_seed_replays(backend: str) -> None:
    """The same seed has the same trace, event by event."""
    for seed in range(0, 200, 8):
        scenario = Scenario.from_seed(seed)
        assert scenario == Scenario.from_seed(seed)
        assert simulate(scenario, backend).trace == simulate(scenario, backend).trace


def test_schedules_differ() -> None:
    """What is repeatable is not the same for all: the two backends see different schedules."""
    scenarios = [Scenario.from_seed(seed) for seed in range(30)]
    traces = [[simulate(each, backend).trace for each in scenarios] for backend in BACKENDS]
    assert traces[0] != traces[1]
