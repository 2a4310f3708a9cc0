"""Random runs of random pipelines on random schedules, each replayed from its seed."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from simulation.model import Observed, expect
from simulation.run import simulate
from simulation.scenario import Scenario, SourceSpec, StageSpec

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


@pytest.mark.parametrize(
    ("shape", "limit", "batches", "is_right", "has_gap"),
    [
        ("value", 2, ["01", "23", "4"], True, False),
        ("value", 2, ["23", "01"], True, False),
        ("value", 2, ["01", "3"], False, True),
        ("value", 2, ["01", "24"], False, False),
        ("value", 2, ["01", "12"], False, False),
        ("value", 2, ["10", "2"], False, False),
        ("generator", 2, ["01", "4"], True, True),
        ("generator", 1, ["01", "4"], False, True),
        ("generator", 2, ["4"], False, True),
        ("generator", 2, ["01", "12"], False, False),
    ],
)
def test_the_model_tells_which_batches_may_be(
    shape: str, limit: int, batches: list[str], is_right: bool, has_gap: bool
) -> None:
    """Consecutive ones; of generators, which begin when there is room, not all, but for the end."""
    spec = StageSpec(number=0, kind="batch", shape=shape, limit=limit, max_size=2, max_wait=1)
    scenario = Scenario(seed=0, source=SourceSpec(count=5), stages=(spec,))
    observed = Observed()
    observed.batches[0] = [[f"a{digit}" for digit in batch] for batch in batches]
    expected = expect(scenario, "a", observed)
    assert is_right == (not expected.problems)
    assert expected.sure == has_gap
