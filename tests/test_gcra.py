"""The arithmetic of rate limits."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor._engine.gcra import CellRate

positive = st.fractions(Fraction(1, 8), 8, max_denominator=8)


def starts(cells: CellRate, calls: list[tuple[float, float]]) -> list[float]:
    """Return when calls begin that come at given times with given costs, one after another."""
    begun: list[float] = []
    for time, cost in calls:
        now = max(time, cells.ready_at(cost), *begun[-1:])
        cells.take(cost, now)
        begun.append(now)
    return begun


@pytest.mark.parametrize(
    ("burst", "calls", "expected"),
    [
        (1, [(0, 1)] * 4, [0, 0.5, 1, 1.5]),
        (3, [(0, 1)] * 5, [0, 0, 0, 0.5, 1]),
        (3, [(0, 1), (0, 1), (0, 1), (0.75, 1), (0.75, 1)], [0, 0, 0, 0.75, 1]),
        (2, [(0, 2), (0, 2), (0, 1)], [0, 1, 1.5]),
        (2, [(0, 1), (0, 2), (0, 0)], [0, 0.5, 0.5]),
        (1, [(5, 1), (5, 1), (9, 1), (9, 1)], [5, 5.5, 9, 9.5]),
        (2, [(0, 2), (9, 1), (9, 1), (9, 1)], [0, 9, 9, 9.5]),
    ],
)
def test_calls_begin_when_the_rate_allows(
    burst: float, calls: list[tuple[float, float]], expected: list[float]
) -> None:
    """Two a second, a burst after a pause, and no more than one burst however long it was."""
    assert starts(CellRate(0.5, burst), calls) == expected


@given(data=st.data(), interval=positive, burst=positive)
def test_no_interval_holds_more_than_burst_and_rate(
    data: st.DataObject, interval: Fraction, burst: Fraction
) -> None:
    """Whatever comes when: in any t seconds begins at most ``burst + t / interval``."""
    costs = st.fractions(0, burst, max_denominator=8)
    calls = data.draw(st.lists(st.tuples(st.fractions(0, 20, max_denominator=8), costs)))
    begun = starts(CellRate(interval, burst), calls)  # type: ignore[arg-type]
    for first, start in enumerate(begun):
        spent = Fraction(0)
        for end, (_, cost) in zip(begun[first:], calls[first:], strict=True):
            spent += cost
            assert spent <= burst + (end - start) / interval


@given(interval=positive, burst=positive, costs=st.lists(positive, min_size=1))
def test_a_busy_limit_wastes_nothing(
    interval: Fraction, burst: Fraction, costs: list[Fraction]
) -> None:
    """Calls that wait all the time begin exactly when their sum, less the burst, is paid for."""
    costs = [min(cost, burst) for cost in costs]
    begun = starts(CellRate(interval, burst), [(0, cost) for cost in costs])  # type: ignore[arg-type]
    sums = [sum(costs[: n + 1]) for n in range(len(costs))]
    assert begun == [max(0, (each - burst) * interval) for each in sums]


@given(interval=positive, burst=positive, gap=st.fractions(0, 9), shift=st.fractions(-99, 99))
def test_another_clock_makes_nobody_begin_earlier(
    interval: Fraction, burst: Fraction, gap: Fraction, shift: Fraction
) -> None:
    """After a change of clocks the wait is what it was at the last reading of the old one."""
    cells = CellRate(interval, burst)  # type: ignore[arg-type]
    cells.take(burst, 0)
    cells.take(0, gap)
    wait = max(cells.ready_at(burst) - gap, 0)
    cells.change_clock(gap, shift)
    assert max(cells.ready_at(burst) - shift, 0) == wait
