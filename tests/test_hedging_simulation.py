"""Random calls with second attempts on random schedules, each replayed from its seed."""

from __future__ import annotations

import pytest

from simulation.hedging import HedgedCalls, simulate_hedged

SEEDS = 300


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_random_hedged_calls_come_out_as_foreseen(backend: str) -> None:
    """Results, calls, counts and times; and at most two attempts of each call, none left behind."""
    runs = [HedgedCalls.from_seed(seed) for seed in range(SEEDS)]
    problems = [(run, problem) for run in runs for problem in simulate_hedged(run, backend)]
    assert problems == []
