"""The arithmetic of limits that are found by trying."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor._engine.aimd import Aimd


def rules(initial: int = 4, **changes: Any) -> Aimd:
    """Return rules whose numbers are easy to follow."""
    settings: dict[str, Any] = {"least": 1, "most": 9, "tolerance": 2, "backoff": 0.5}
    return Aimd(initial, **{**settings, **changes})


def wave(aimd: Aimd, *latencies: float | None) -> int:
    """Begin as many calls at once as there are latencies, None for a throttled one; end them."""
    eras = [aimd.begin() for _ in latencies]
    for era, latency in zip(eras, latencies, strict=True):
        aimd.end()
        if latency is None:
            aimd.throttle(era)
        else:
            aimd.succeed(era, latency)
    return aimd.limit


def test_a_round_of_good_calls_raises_the_limit_by_one() -> None:
    """As many as the limit allows, all at once, each time one more."""
    aimd = rules(2)
    assert [wave(aimd, *[1] * aimd.limit) for _ in range(4)] == [3, 4, 5, 6]


def test_a_round_may_come_in_parts() -> None:
    """It is the number of good calls that counts, and that the limit was reached among them."""
    aimd = rules(3)
    assert [wave(aimd, 1), wave(aimd, 1), wave(aimd, 1, 1, 1)] == [3, 3, 4]


def test_a_limit_that_is_not_reached_does_not_rise() -> None:
    """Three at a time say nothing about what four would do."""
    aimd = rules(4)
    assert [wave(aimd, 1, 1, 1) for _ in range(9)] == [4] * 9


def test_each_round_has_to_reach_the_limit() -> None:
    """That it was reached in the round before does not count."""
    aimd = rules(2)
    assert [wave(aimd, 1, 1), wave(aimd, 1, 1), wave(aimd, 1), wave(aimd, 1)] == [3, 3, 3, 3]


def test_a_call_that_pauses_is_not_in_flight() -> None:
    """While one of three pauses, the limit of three is not reached; when it goes on, it is."""
    aimd = rules(3)
    for back, limit in [(False, 3), (True, 4)]:
        eras = [aimd.begin(), aimd.begin()]
        aimd.end()  # pauses
        eras.append(aimd.begin())
        if back:
            aimd.begin()
        for era in eras:
            aimd.succeed(era, 1)
        assert (aimd.limit, aimd.in_flight) == (limit, 3 if back else 2)
        while aimd.in_flight:
            aimd.end()


def test_the_limit_stays_at_its_most() -> None:
    """However good the calls are."""
    aimd = rules(2, most=3)
    assert [wave(aimd, *[1] * aimd.limit) for _ in range(3)] == [3, 3, 3]


@pytest.mark.parametrize(
    ("initial", "backoff", "expected"),
    [
        (9, 0.5, [4, 2, 1, 1]),
        (9, 0.75, [6, 4, 3, 2]),
        (9, 0.9, [8, 7, 6, 5]),
        (1, 0.9, [1, 1, 1, 1]),
    ],
)
def test_a_throttled_call_lowers_the_limit_by_a_factor(
    initial: int, backoff: float, expected: list[int]
) -> None:
    """Rounded down, so by one at least; not below the least."""
    aimd = rules(initial, backoff=backoff)
    assert [wave(aimd, None) for _ in expected] == expected


def test_the_limit_stays_at_its_least() -> None:
    """However often calls are throttled."""
    aimd = rules(6, least=4)
    assert [wave(aimd, None), wave(aimd, None)] == [4, 4]


@pytest.mark.parametrize("calls", [[None] * 8, [None, 9, None, 1, 9, None, 9, 1]])
def test_calls_in_flight_when_the_limit_fell_lower_it_no_further(calls: list[Any]) -> None:
    """One moment of too much counts once, not once per call."""
    aimd = rules(8)
    aimd.succeed(0, 1)
    assert wave(aimd, *calls) == 4


def test_calls_in_flight_when_the_limit_fell_do_not_raise_it() -> None:
    """They tell about the load before."""
    aimd = rules(8)
    assert [wave(aimd, None, *[1] * 20), wave(aimd, 1, 1, 1), wave(aimd, 1)] == [4, 4, 4]


def test_a_decrease_begins_a_new_round() -> None:
    """Good calls before it do not count for the next increase."""
    aimd = rules(4)
    assert [wave(aimd, 1, 1, 1, None), wave(aimd, 1, 1), wave(aimd, 1, 1, 1)] == [2, 3, 4]


def ten(aimd: Aimd, latency: float, *others: float) -> int:
    """Make ten calls one by one, the last of them with the latencies that are given."""
    for each in (*[latency] * (10 - len(others)), *others):
        wave(aimd, each)
    return aimd.limit


@pytest.mark.parametrize(("latency", "expected"), [(2.4, 4), (2.5, 2)])
def test_slow_is_more_than_so_many_times_the_least_average(latency: float, expected: int) -> None:
    """The least that ten calls have taken on average, whenever that was: 1.2 seconds here."""
    aimd = rules(4)
    assert [ten(aimd, 1, 3), ten(aimd, 1.5), ten(aimd, 1.4)] == [4, 4, 4]
    assert ten(aimd, latency) == expected


def test_one_slow_call_of_ten_says_nothing() -> None:
    """Calls differ in what they ask for."""
    aimd = rules(4)
    ten(aimd, 1)
    assert [ten(aimd, 1, 11), ten(aimd, 1, 11.1)] == [4, 2]


def test_of_a_large_limit_a_whole_round_is_looked_at() -> None:
    """As many calls as may be in flight, so that it takes all who share the service."""
    aimd = rules(20, most=20)
    wave(aimd, *[1] * 20)
    assert [wave(aimd, *[3] * 19), wave(aimd, 3)] == [20, 10]


def test_a_decrease_begins_a_new_average() -> None:
    """What calls took before it tells about the load before."""
    aimd = rules(8)
    ten(aimd, 1)
    wave(aimd, 9, 9, 9, None)
    assert ten(aimd, 2) == 4


def test_below_a_millisecond_nothing_is_slow() -> None:
    """Nearly two milliseconds are not slow after calls that took no time."""
    aimd = rules(4)
    ten(aimd, 0)
    assert [ten(aimd, 0.0019), ten(aimd, 0.0021)] == [4, 2]


def test_without_tolerance_nothing_is_slow() -> None:
    """Only errors lower the limit."""
    aimd = rules(4, tolerance=None)
    assert [ten(aimd, 1), ten(aimd, 99), wave(aimd, None)] == [4, 4, 2]


def test_what_is_slow_at_the_least_limit_is_what_calls_take() -> None:
    """A service that has become slower for good is not held at the least limit for ever."""
    aimd = rules(4, least=2)
    ten(aimd, 1)
    assert [ten(aimd, 5), ten(aimd, 5)] == [2, 2]  # the new baseline
    assert [wave(aimd, 5, 5) for _ in range(5)] == [3] * 5  # ten calls that are not slow
    assert ten(aimd, 10.1) == 2


outcomes = st.lists(
    st.tuples(st.sampled_from(["begin", "well", "throttled", "badly"]), st.integers(0, 3))
)


@given(
    bounds=st.tuples(st.integers(1, 20), st.integers(0, 20), st.integers(0, 20)),
    backoff=st.floats(0.01, 0.99),
    tolerance=st.none() | st.floats(1.01, 9),
    history=outcomes,
)
def test_the_limit_never_leaves_its_bounds(
    bounds: tuple[int, int, int],
    backoff: float,
    tolerance: float | None,
    history: list[tuple[str, int]],
) -> None:
    """Whatever happens in whatever order; and it rises by one, and falls only for a reason."""
    least, initial, most = bounds[0], bounds[0] + bounds[1], sum(bounds)
    aimd = Aimd(initial, least, most, tolerance, backoff)
    flying: list[int] = []
    for event, latency in history:
        before = aimd.limit
        if event == "begin":
            flying.append(aimd.begin())
        elif flying:
            era = flying.pop(0)
            aimd.end()
            if event == "well":
                aimd.succeed(era, latency)
            elif event == "throttled":
                aimd.throttle(era)
        assert least <= aimd.limit <= most
        assert aimd.limit <= before + (event == "well")
        assert aimd.limit >= before or event in ("well", "throttled")
        assert aimd.in_flight == len(flying)


@given(initial=st.integers(1, 30), more=st.integers(0, 30), backoff=st.floats(0.1, 0.9))
def test_good_calls_raise_it_to_the_most_and_throttled_ones_lower_it_to_the_least(
    initial: int, more: int, backoff: float
) -> None:
    """In as many rounds as there are steps, and back by a factor per round trip."""
    aimd = rules(initial, most=initial + more, backoff=backoff)
    for limit in range(initial, initial + more):
        assert aimd.limit == limit
        wave(aimd, *[1] * limit)
    assert aimd.limit == initial + more
    while aimd.limit > 1:
        before = aimd.limit
        assert wave(aimd, None) <= max(1, before * backoff)
